// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestShares: one user cannot take all that there is, and all together have a bound.
func TestShares(t *testing.T) {
	s := newShares()
	var given []func()
	for i := range largeAtOnce {
		done, err := s.take(fmt.Sprint("user", i/largePerUser))
		if err != nil {
			t.Fatal(i, err)
		}
		given = append(given, done)
		if i == largePerUser-1 {
			if _, err := s.take("user0"); !apierrors.IsTooManyRequests(err) {
				t.Errorf("one more of the same user: %v", err)
			}
		}
	}
	if _, err := s.take("other"); !apierrors.IsTooManyRequests(err) {
		t.Errorf("one more of all: %v", err)
	}
	for _, done := range given {
		done()
	}
	if s.all != 0 || len(s.users) != 0 {
		t.Errorf("left: %d, %v", s.all, s.users)
	}
}
