// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"errors"
	"testing"
)

// TestShares: a project with many deliveries holds up its own only.
func TestShares(t *testing.T) {
	w := newWorld(t, Options{})
	end := make(chan struct{})
	slow := func(context.Context) error { <-end; return nil }
	for i := range waitingPerProject {
		if err := w.receiver.later(t.Context(), task{project: "a", work: slow}); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := w.receiver.later(t.Context(), task{project: "a", work: slow}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of the project: %v", err)
	}
	for _, project := range []string{"b", ""} {
		done := make(chan struct{})
		if err := w.receiver.later(t.Context(), task{project: project, work: func(context.Context) error { close(done); return nil }}); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	close(end)
	w.done()
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	if len(w.receiver.shares) != 0 {
		t.Errorf("left: %v", w.receiver.shares)
	}
}

// TestPanic: what a delivery does to the work on it does not end the process, and it may come again.
func TestPanic(t *testing.T) {
	w := newWorld(t, Options{})
	if err := w.receiver.later(t.Context(), task{key: "k", work: func(context.Context) error { panic("a fault") }}); err != nil {
		t.Fatal(err)
	}
	w.done()
	if _, known := w.receiver.known.Get("k"); known {
		t.Error("it is taken for dealt with")
	}
}
