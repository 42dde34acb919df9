// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

var typeOfRun = reflect.TypeFor[*devopsv1alpha3.PipelineRun]()

const patience = time.Minute

func watchRuns(tb testing.TB, s *Store, q Query, version string) *Watcher {
	tb.Helper()
	w, err := Watch[*devopsv1alpha3.PipelineRun](context.Background(), s, q, version)
	if err != nil {
		tb.Fatalf("Watch: %v", err)
	}
	return w
}

// events gives so many events of a watcher as "TYPE name".
func events(tb testing.TB, w *Watcher, n int) []string {
	tb.Helper()
	got, end := []string{}, time.After(patience)
	for len(got) < n {
		lines, wait, err := w.Next()
		if err != nil {
			tb.Fatalf("Next: %v", err)
		}
		for _, line := range lines {
			got = append(got, eventOf(tb, line))
		}
		if wait == nil {
			continue
		}
		select {
		case <-wait:
		case <-end:
			tb.Fatalf("%d events after %s, want %d: %q", len(got), patience, n, got)
		}
	}
	return got
}

func eventOf(tb testing.TB, line []byte) string {
	tb.Helper()
	var event struct {
		Type   string
		Object devopsv1alpha3.PipelineRun
	}
	if err := json.Unmarshal(line, &event); err != nil {
		tb.Fatalf("%v: %s", err, line)
	}
	if event.Object.Kind != "PipelineRun" || event.Object.ResourceVersion == "" {
		tb.Errorf("the object is not complete: %s", line)
	}
	return event.Type + " " + event.Object.Name
}

func TestWatch(t *testing.T) {
	r, s := newInformed(t, newRun("a", "p", "one", 1), newRun("a", "p", "two", 2), newRun("b", "p", "else", 3))
	q := All("a")
	q.Field, q.Value = index.RunPipeline, "p"
	w := watchRuns(t, s, q, "")
	if diff := cmp.Diff([]string{"ADDED one", "ADDED two"}, events(t, w, 2)); diff != "" {
		t.Errorf("first what is there: -want +got:\n%s", diff)
	}
	version := list(t, s, q).ResourceVersion
	r.source.Modify(newRun("b", "p", "else", 3))
	r.source.Modify(newRun("a", "p", "one", 1))
	r.source.Modify(newRun("a", "q", "two", 2))
	r.source.Add(newRun("a", "p", "three", 3))
	r.source.Modify(newRun("a", "p", "two", 2))
	r.source.Delete(newRun("a", "p", "one", 1))
	want := []string{"MODIFIED one", "DELETED two", "ADDED three", "ADDED two", "DELETED one"}
	if diff := cmp.Diff(want, events(t, w, 5)); diff != "" {
		t.Errorf("then what happens, as the query sees it: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, events(t, watchRuns(t, s, q, version), 5)); diff != "" {
		t.Errorf("a watch from a list on has the same: -want +got:\n%s", diff)
	}
	if got, want := events(t, watchRuns(t, s, q, strconv.FormatUint(w.Version()-2, 10)), 2), want[3:]; !cmp.Equal(got, want) {
		t.Errorf("a watch from an event on: %q, want %q", got, want)
	}
	line, err := Bookmark[*devopsv1alpha3.PipelineRun](s, w)
	if err != nil || eventOf(t, line) != "BOOKMARK " {
		t.Errorf("Bookmark: %s, %v", line, err)
	}
}

func TestWatchThatIsNotServed(t *testing.T) {
	_, s := newInformed(t, newRun("a", "p", "one", 1), newRun("a", "p", "two", 2))
	plain := New(fake.NewClientBuilder().WithScheme(scheme.New()).Build(), nil, scheme.New())
	for name, tc := range map[string]struct {
		store   *Store
		version string
	}{
		"no cache":      {store: plain},
		"before memory": {store: s, version: "1"},
		"no number":     {store: s, version: "x"},
	} {
		if _, err := Watch[*devopsv1alpha3.PipelineRun](context.Background(), tc.store, All("a"), tc.version); !errors.Is(err, ErrNotServed) {
			t.Errorf("%s: %v, want ErrNotServed", name, err)
		}
	}
}

// TestWatchFromAheadOfTheCache: who has read its own write knows more than the cache, and is not told again what was before.
func TestWatchFromAheadOfTheCache(t *testing.T) {
	s, c := journaledStore(10)
	c.OnAdd(at(newRun("a", "p", "one", 1), 10), true)
	w := watchRuns(t, s, All("a"), "30")
	c.OnUpdate(nil, at(newRun("a", "p", "one", 1), 20))
	c.OnAdd(at(newRun("a", "p", "two", 2), 30), false)
	if lines, _, err := w.Next(); err != nil || len(lines) > 0 {
		t.Errorf("%q, %v: the watch tells what its client knows", lines, err)
	}
	c.OnUpdate(nil, at(newRun("a", "p", "two", 2), 40))
	if got := events(t, w, 1); got[0] != "MODIFIED two" || w.Version() != 40 {
		t.Errorf("%q up to %d", got, w.Version())
	}
}

// TestWatchFromAnotherTimeline: a version that the cache does not come near is none that the client has just made, but
// one of before a cluster was set back. Its client would hear nothing for ever.
func TestWatchFromAnotherTimeline(t *testing.T) {
	s, c := journaledStore(10)
	w := watchRuns(t, s, All("a"), "1000000")
	w.began = w.began.Add(-aheadTime)
	c.OnAdd(at(newRun("a", "p", "one", 1), 20), false)
	if lines, _, err := w.Next(); !errors.Is(err, ErrGap) || errors.Is(err, ErrSlow) {
		t.Errorf("%q, %v, want a gap", lines, err)
	}
}

// journaledStore is a store with a collection of runs that is complete up to a version.
func journaledStore(version uint64) (*Store, *collection) {
	s := New(fake.NewClientBuilder().Build(), nil, scheme.New())
	s.informers = &informed{}
	c := newCollection(s.encoder, &devopsv1alpha3.PipelineRun{})
	c.informed = func() (uint64, bool) { return version, true }
	c.ready = closed
	c.journal.begin(version, version, true)
	s.collections[typeOfRun] = c
	return s, c
}

// at gives a run in a version.
func at(run *devopsv1alpha3.PipelineRun, version int) *devopsv1alpha3.PipelineRun {
	run.ResourceVersion = strconv.Itoa(version)
	return run
}

// TestWatchDoesNotGoOverGaps checks what happens when the informer has listed again: nobody goes on as if
// nothing were missing.
func TestWatchDoesNotGoOverGaps(t *testing.T) {
	for name, disorder := range map[string]func(c *collection){
		"another of its name": func(c *collection) {
			other := at(newRun("a", "p", "one", 1), 30)
			other.UID = "another"
			c.OnUpdate(nil, other)
		},
		"older version": func(c *collection) { c.OnUpdate(nil, at(newRun("a", "p", "one", 1), 15)) },
		"unseen end": func(c *collection) {
			c.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "a/one", Obj: at(newRun("a", "p", "one", 1), 10)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := journaledStore(10)
			c.OnAdd(at(newRun("a", "p", "one", 1), 10), true)
			w := watchRuns(t, s, All("a"), "10")
			c.OnAdd(at(newRun("a", "p", "two", 2), 20), false)
			if got := events(t, w, 1); got[0] != "ADDED two" {
				t.Errorf("got %q", got)
			}
			c.OnUpdate(nil, at(newRun("a", "p", "two", 2), 20))
			if _, _, err := w.Next(); err != nil {
				t.Errorf("what the informer repeats: %v, want no error", err)
			}
			disorder(c)
			if _, _, err := w.Next(); !errors.Is(err, ErrGap) {
				t.Errorf("Next: %v, want ErrGap", err)
			}
			if _, err := Watch[*devopsv1alpha3.PipelineRun](context.Background(), s, All("a"), "12"); !errors.Is(err, ErrNotServed) {
				t.Errorf("Watch from before the gap: %v, want ErrNotServed", err)
			}
		})
	}
}

// TestWatchFanOut has 500 watchers of which some do not keep up.
func TestWatchFanOut(t *testing.T) {
	const watchers, slow, changes = 500, 20, journaled * 3 / 2
	r, s := newInformed(t, newRun("a", "p", "one", 1))
	first := watchRuns(t, s, All("a"), "")
	events(t, first, 1)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	var mu sync.Mutex
	lines := map[*byte]int{}
	outcomes := map[string]int{}
	var seen atomic.Int64
	for i := range watchers {
		w := watchRuns(t, s, All("a"), strconv.FormatUint(first.Version(), 10))
		wg.Go(func() {
			count := &seen
			if i < slow {
				<-begin
				count = new(atomic.Int64)
			}
			outcome, own := follow(w, changes, count)
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
			for _, line := range own {
				lines[line]++
			}
		})
	}
	g := gomega.NewWithT(t)
	for i := range changes {
		r.source.Modify(newRun("a", "p", "one", i))
		if i%(journaled/2) == 0 {
			// So much only as the others can be behind.
			g.Eventually(seen.Load, patience).Should(gomega.BeNumerically(">=", (i+1)*(watchers-slow)))
		}
	}
	close(begin)
	wg.Wait()
	if outcomes["gap"] != slow || outcomes["complete"] != watchers-slow {
		t.Errorf("outcomes: %v, want %d that were cut and %d that have everything", outcomes, slow, watchers-slow)
	}
	// Two that come at the same moment may both encode; all others share.
	if len(lines) > 3*changes {
		t.Errorf("%d lines were made for %d events and %d watchers", len(lines), changes, watchers)
	}
}

// follow reads until a watcher has so many events, and gives where their lines are in memory.
func follow(w *Watcher, n int, count *atomic.Int64) (outcome string, lines []*byte) {
	end := time.After(patience)
	for len(lines) < n {
		some, wait, err := w.Next()
		if errors.Is(err, ErrGap) {
			return "gap", lines
		}
		if err != nil {
			return fmt.Sprint(err), lines
		}
		for _, line := range some {
			lines = append(lines, &line[0])
		}
		count.Add(int64(len(some)))
		if wait == nil {
			continue
		}
		select {
		case <-wait:
		case <-end:
			return fmt.Sprintf("%d events", len(lines)), lines
		}
	}
	return "complete", lines
}
