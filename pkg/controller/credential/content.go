// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/credentials"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// maxDescription bounds the description in Jenkins, in characters.
const maxDescription = 500

// markLength is how many hexadecimal digits of the hash a mark has: 64 bits, which nobody meets by chance.
const markLength = 16

var markAtEnd = regexp.MustCompile(`\[slipway:([0-9a-f]{16})\]$`)

// markOf finds the mark in the description of an entry; "" in one that Slipway did not write.
func markOf(description string) string {
	if found := markAtEnd.FindStringSubmatch(description); found != nil {
		return found[1]
	}
	return ""
}

// content is what Jenkins is to have of a Secret.
type content struct {
	entry jenkins.CredentialEntry
	// hash tells it from any other content, and mark is the part of it that is in the entry's description.
	hash, mark string
}

// newContent makes the entry of a Secret. The error is for the user, and has no part of a value.
func newContent(secret *corev1.Secret, options Options) (*content, error) {
	credential, err := credentials.Read(secret, options.KubeconfigAs)
	if err != nil {
		return nil, err
	}
	c := &content{hash: hashOf(secret, options)}
	c.mark = c.hash[:markLength]
	c.entry = jenkins.CredentialEntry{ID: secret.Name, Description: describe(secret, c.mark), Credential: credential}
	return c, nil
}

// describe is the description of an entry: the user's, and the mark.
func describe(secret *corev1.Secret, mark string) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // Jenkins' XML cannot hold some of them
		}
		return r
	}, strings.ToValidUTF8(secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation], ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxDescription {
		text = string(runes[:maxDescription]) + "…"
	}
	return strings.TrimSpace(text + " [slipway:" + mark + "]")
}

// hashOf is a keyed hash of all that goes to Jenkins, for the place where it goes: equal passwords of two credentials have different
// hashes, and without the key nobody can try out passwords.
func hashOf(secret *corev1.Secret, options Options) string {
	mac := hmac.New(sha256.New, options.Key)
	// The first part keeps the key usable for other purposes.
	parts := []string{"slipway credential", secret.Namespace, secret.Name, string(secret.Type), options.KubeconfigAs,
		secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation]}
	for _, key := range sortedKeys(secret.Data) {
		parts = append(parts, key, string(secret.Data[key]))
	}
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func sortedKeys(data map[string][]byte) []string { return slices.Sorted(maps.Keys(data)) }
