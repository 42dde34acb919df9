// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package shares

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestShares: one user cannot take all that there is, and all together have a bound.
func TestShares(t *testing.T) {
	const atOnce, perUser = 12, 4
	s := New(atOnce, perUser)
	var given []func()
	for i := range atOnce {
		done, err := s.Take(fmt.Sprint("user", i/perUser))
		if err != nil {
			t.Fatal(i, err)
		}
		given = append(given, done)
		if i == perUser-1 {
			if _, err := s.Take("user0"); !apierrors.IsTooManyRequests(err) {
				t.Errorf("one more of the same user: %v", err)
			}
		}
	}
	if _, err := s.Take("other"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("one more of all: %v", err)
	}
	for _, done := range given {
		done()
	}
	if s.all != 0 || len(s.users) != 0 {
		t.Errorf("left: %d, %v", s.all, s.users)
	}
}
