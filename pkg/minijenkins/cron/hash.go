// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cron

import (
	"crypto/md5" //nolint:gosec // Jenkins seeds with it, nothing is protected
)

// hash gives out the numbers for H: the linear congruential generator of java.util.Random (its
// documentation specifies the algorithm), seeded with the two halves of the MD5 of the job's name.
type hash struct {
	state uint64
	zero  bool
}

const (
	lcgFactor = 0x5DEECE66D
	lcgAdd    = 0xB
	lcgMask   = 1<<48 - 1
)

// newHash makes the generator of a name; without a name all numbers are 0.
func newHash(seed string) *hash {
	if seed == "" {
		return &hash{zero: true}
	}
	sum := md5.Sum([]byte(seed)) //nolint:gosec // see above
	var l uint64
	for i := range 8 {
		l = l<<8 + uint64(sum[i]^sum[i+8])
	}
	return &hash{state: (l ^ lcgFactor) & lcgMask}
}

func (h *hash) bits(n uint) int32 {
	h.state = (h.state*lcgFactor + lcgAdd) & lcgMask
	return int32(uint32(h.state >> (48 - n)))
}

// next is a number from 0 to n-1.
func (h *hash) next(n int) int {
	if h.zero || n <= 1 {
		return 0
	}
	bound := int32(n)
	r := h.bits(31)
	if m := bound - 1; bound&m == 0 {
		return int((int64(bound) * int64(r)) >> 31)
	}
	// What would not be spread evenly is drawn again; the overflow is part of the algorithm.
	for u := r; ; u = h.bits(31) {
		if r = u % bound; u-r+(bound-1) >= 0 {
			return int(r)
		}
	}
}
