// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

func TestChangeCache(t *testing.T) {
	reads := 0
	answer := func() ([]engine.Change, bool, error) { return nil, false, nil }
	c := newChangeCache(func(store.BuildKey) ([]engine.Change, bool, error) {
		reads++
		return answer()
	})
	of := func(b store.Build, times, wantReads, want int) {
		t.Helper()
		reads = 0
		for range times {
			if list, err := c.of(&b); err != nil || len(list) != want {
				t.Errorf("build %d: %d changes, want %d: %v", b.Number, len(list), want, err)
			}
		}
		if reads != wantReads {
			t.Errorf("build %d: %d reads, want %d", b.Number, reads, wantReads)
		}
	}
	list := func(n, paths int) func() ([]engine.Change, bool, error) {
		return func() ([]engine.Change, bool, error) {
			list := make([]engine.Change, n)
			list[0].Paths = make([]string, paths)
			return list, true, nil
		}
	}
	of(store.Build{Number: 1}, 3, 0, 0)                              // of no commit
	of(store.Build{Number: 2, Commit: "c", Building: true}, 3, 3, 0) // not known yet
	answer = list(2, 1)
	of(store.Build{Number: 2, Commit: "c", Building: true}, 3, 1, 2) // known since
	c.forget(store.BuildKey{Number: 2})
	answer = list(3, 1)
	of(store.Build{Number: 2, Commit: "c"}, 3, 1, 3) // found out anew
	answer = list(maxCachedChanges+1, 1)
	of(store.Build{Number: 3, Commit: "c"}, 2, 2, maxCachedChanges+1) // too many
	answer = list(1, maxCachedPaths+1)
	of(store.Build{Number: 4, Commit: "c"}, 2, 2, 1) // too long
	answer = func() ([]engine.Change, bool, error) { return nil, false, nil }
	of(store.Build{Number: 5, Commit: "c"}, 3, 1, 0) // ended, and nobody has found them out
	broken := errors.New("the disk is gone")
	answer = func() ([]engine.Change, bool, error) { return nil, false, broken }
	b := store.Build{Number: 6, Commit: "c"}
	if _, err := c.of(&b); !errors.Is(err, broken) {
		t.Error(err)
	}
	answer = list(1, 1)
	of(b, 1, 1, 1) // a failure is not remembered
}

// BenchmarkChangesOfAPage is what the changes of the hundred builds of a page take, from the disk and from memory.
func BenchmarkChangesOfAPage(b *testing.B) {
	st, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	builds := make([]store.Build, 100)
	for i := range builds {
		builds[i] = store.Build{Job: 1, Number: 1 + i, Commit: "c"}
		var list []engine.Change
		for n := range 5 {
			list = append(list, engine.Change{ID: fmt.Sprintf("%040d", n), Author: "ann", Time: time.Now(), Message: "a change\n\nand why", Paths: []string{"a", "b/c", "d/e/f"}})
		}
		if err := st.PutChanges(builds[i].Key(), list); err != nil {
			b.Fatal(err)
		}
	}
	page := func(b *testing.B, c func() *changeCache) {
		b.Helper()
		for b.Loop() {
			cache := c()
			for i := range builds {
				if list, err := cache.of(&builds[i]); err != nil || len(list) != 5 {
					b.Fatal(list, err)
				}
			}
		}
	}
	b.Run("disk", func(b *testing.B) { page(b, func() *changeCache { return newChangeCache(st.Changes) }) })
	warm := newChangeCache(st.Changes)
	b.Run("memory", func(b *testing.B) { page(b, func() *changeCache { return warm }) })
}
