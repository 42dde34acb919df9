// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"testing"
)

// TestTurns: a project that has its share waits, and no other one.
func TestTurns(t *testing.T) {
	turns := newTurns()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var given []func()
	for range atOncePerProject {
		done, err := turns.take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, done)
	}
	if _, err := turns.take(gone, "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one more: %v", err)
	}
	other, err := turns.take(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	given[0]()
	again, err := turns.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, done := range append(given[1:], other, again) {
		done()
	}
	if len(turns.projects) != 0 || len(turns.all) != 0 {
		t.Errorf("%d projects and %d turns are left", len(turns.projects), len(turns.all))
	}
}

// TestTurnsOfAll: all projects together have a bound, too.
func TestTurnsOfAll(t *testing.T) {
	turns := newTurns()
	for range atOnce {
		turns.all <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(gone, "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if len(turns.projects) != 0 {
		t.Error("who gave up still has a place")
	}
}
