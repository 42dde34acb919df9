// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// hashLength is how many hexadecimal digits of a hash tell shortened names apart: with 40 bits a
// namespace of 10,000 names has one chance in 20,000 of a clash.
const hashLength = 10

// LabelValue gives a legal label value for a name: the name itself if it is one, else its
// beginning followed by a hash of the whole. Kubernetes bounds label values to 63 characters, names
// to 253.
func LabelValue(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	return Shorten(name, validation.LabelValueMaxLength)
}

// Shorten gives a name of at most limit characters that is a legal DNS label where name is a legal
// DNS subdomain: characters that a label may not hold become '-', and a hash of the whole name
// keeps different names apart.
func Shorten(name string, limit int) string {
	sum := sha256.Sum256([]byte(name))
	suffix := "-" + hex.EncodeToString(sum[:])[:hashLength]
	head := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name)
	if len(head) > limit-len(suffix) {
		head = head[:limit-len(suffix)]
	}
	head = strings.Trim(head, "-")
	return strings.TrimLeft(head+suffix, "-")
}
