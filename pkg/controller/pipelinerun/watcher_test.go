// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// bulk answers with what the test sets.
type bulk struct {
	answer atomic.Pointer[map[string][]jenkins.BuildStatus]
	err    atomic.Pointer[error]
	queue  atomic.Pointer[[]jenkins.Waiting]
	calls  atomic.Int64
	looks  atomic.Int64
	depth  atomic.Int64
}

func (b *bulk) Queue(context.Context) ([]jenkins.Waiting, error) {
	b.looks.Add(1)
	if err := b.err.Load(); err != nil {
		return nil, *err
	}
	if items := b.queue.Load(); items != nil {
		return *items, nil
	}
	return nil, nil
}

func (b *bulk) FolderBuilds(_ context.Context, _ string, depth int) (map[string][]jenkins.BuildStatus, error) {
	b.depth.Store(int64(depth))
	b.calls.Add(1)
	if err := b.err.Load(); err != nil {
		return nil, *err
	}
	return *b.answer.Load(), nil
}

func (b *bulk) set(builds ...jenkins.BuildStatus) {
	answer := map[string][]jenkins.BuildStatus{"job": builds}
	b.answer.Store(&answer)
}

func startWatcher(t *testing.T) (*Watcher, *bulk) {
	t.Helper()
	source := &bulk{}
	source.set()
	w, err := NewWatcher(source, WatcherOptions{Fastest: 2 * time.Millisecond, Slowest: 20 * time.Millisecond, FastTime: 20 * time.Millisecond, Backoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Error("the watcher does not stop")
		}
	})
	return w, source
}

// woken waits for the run with the name to be woken.
func woken(t *testing.T, w *Watcher, name string) {
	t.Helper()
	for {
		select {
		case e := <-w.Events():
			if e.Object.GetName() == name {
				return
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("run %s was not woken", name)
		}
	}
}

func quiet(t *testing.T, w *Watcher, during time.Duration) {
	t.Helper()
	select {
	case e := <-w.Events():
		t.Fatalf("run %s was woken for nothing", e.Object.GetName())
	case <-time.After(during):
	}
}

func TestWatcherWakesOnlyWhatChanged(t *testing.T) {
	w, source := startWatcher(t)
	a, b := client.ObjectKey{Namespace: ns, Name: "a"}, client.ObjectKey{Namespace: ns, Name: "b"}
	w.Track(a, Target{Folder: ns, Job: "job", QueueItem: 5})
	w.Track(b, Target{Folder: ns, Job: "job", QueueItem: 6, Build: 2})
	source.set(jenkins.BuildStatus{Number: 2, QueueID: 6, Building: true})
	quiet(t, w, 50*time.Millisecond)
	source.set(jenkins.BuildStatus{Number: 3, QueueID: 5, Building: true}, jenkins.BuildStatus{Number: 2, QueueID: 6, Building: true})
	woken(t, w, "a") // its queue item became build 3
	w.Track(a, Target{Folder: ns, Job: "job", QueueItem: 5, Build: 3})
	quiet(t, w, 50*time.Millisecond)
	source.set(jenkins.BuildStatus{Number: 3, QueueID: 5, Building: true}, jenkins.BuildStatus{Number: 2, QueueID: 6, Result: "SUCCESS"})
	woken(t, w, "b")
	w.Forget(b)
	w.Forget(a)
	for w.Live() > 0 {
		t.Fatal("forgotten runs are watched")
	}
}

func TestWatcherSlowsDownAndEnds(t *testing.T) {
	w, source := startWatcher(t)
	for i := range 100 {
		w.Track(client.ObjectKey{Namespace: ns, Name: fmt.Sprint(i)}, Target{Folder: ns, Job: "job", QueueItem: int64(i + 1)})
	}
	time.Sleep(300 * time.Millisecond) // at the slowest interval there is room for some 15 queries
	if n := source.calls.Load(); n == 0 || n > 60 {
		t.Errorf("%d queries for 100 runs in 300 ms: want one for all of them at a time, and fewer while nothing changes", n)
	}
	for i := range 100 {
		w.Forget(client.ObjectKey{Namespace: ns, Name: fmt.Sprint(i)})
	}
	time.Sleep(50 * time.Millisecond)
	before := source.calls.Load()
	time.Sleep(100 * time.Millisecond)
	if after := source.calls.Load(); after != before {
		t.Errorf("%d queries for a folder without live runs", after-before)
	}
}

func TestWatcherTellsOutages(t *testing.T) {
	w, source := startWatcher(t)
	key := client.ObjectKey{Namespace: ns, Name: "a"}
	w.Track(key, Target{Folder: ns, Job: "job", QueueItem: 5, Build: 1})
	source.set(jenkins.BuildStatus{Number: 1, QueueID: 5, Building: true})
	quiet(t, w, 30*time.Millisecond)
	down := errDown
	source.err.Store(&down)
	woken(t, w, "a") // to say that Jenkins is away
	since := w.NoAnswer()
	quiet(t, w, 60*time.Millisecond)
	if again := w.NoAnswer(); !again.Equal(since) {
		t.Errorf("the outage began at %s, later it is said to have begun at %s", since, again)
	}
	source.err.Store(nil)
	woken(t, w, "a") // to go on
	if !w.NoAnswer().After(since) {
		t.Error("the outage did not end")
	}
}
