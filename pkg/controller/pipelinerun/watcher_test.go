// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
		case <-time.After(time.Minute):
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
		case <-time.After(30 * time.Second):
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
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	until("the folder is queried", func() bool { return source.calls.Load() > 0 })
	time.Sleep(300 * time.Millisecond) // at the slowest interval there is room for some 15 queries
	if n := source.calls.Load(); n > 60 {
		t.Errorf("%d queries for 100 runs in 300 ms: want one for all of them at a time, and fewer while nothing changes", n)
	}
	for i := range 100 {
		w.Forget(client.ObjectKey{Namespace: ns, Name: fmt.Sprint(i)})
	}
	until("nothing is watched", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.folders) == 0
	})
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

// TestWatcherKnowsRefusals: a Jenkins that refuses a query answers; runs must not wait for it to.
func TestWatcherKnowsRefusals(t *testing.T) {
	source := &bulk{}
	w, err := NewWatcher(source, WatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Track(client.ObjectKey{Namespace: ns, Name: "a"}, Target{Folder: ns, Job: "job", QueueItem: 5})
	refused := answer(http.StatusInternalServerError, jenkins.ErrInternal, "a plugin fell over")
	unauthorized := answer(http.StatusUnauthorized, jenkins.ErrUnauthorized, "who is that?")
	for name, ask := range map[string]func() error{
		"folder": func() error { _, err := w.poll(t.Context(), ns, w.folders[ns]); return err },
		"queue":  func() error { _, err := w.pollQueue(t.Context()); return err },
	} {
		source.err.Store(&errDown)
		if err := ask(); err == nil || !w.Silent() {
			t.Errorf("%s: %v, and Jenkins is not said to be away", name, err)
		}
		source.err.Store(&refused)
		if err := ask(); err == nil || w.Silent() {
			t.Errorf("%s: %v, and Jenkins is said to be away", name, err)
		}
		source.err.Store(&unauthorized)
		if err := ask(); err == nil || !errors.Is(w.Cause(), jenkins.ErrUnauthorized) {
			t.Errorf("%s: %v, and the cause is %v", name, err, w.Cause())
		}
		// What a run notices next is another outage.
		w.Answered()
		w.NoAnswer()
		if errors.Is(w.Cause(), jenkins.ErrUnauthorized) {
			t.Errorf("%s: the cause is that of the outage before", name)
		}
	}
}

// TestWatcherRelaxesWhileEventsTell: where events come, queries are a safety net; where they fail, they are
// what tells.
func TestWatcherRelaxesWhileEventsTell(t *testing.T) {
	source, now := &bulk{}, newClock()
	source.set()
	w, err := NewWatcher(source, WatcherOptions{Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	p := w.newPace()
	if got := p.next(0); got != DefaultFastest {
		t.Errorf("without events the first query comes after %s", got)
	}
	w.Told()
	if got := p.next(0); got != DefaultEventInterval {
		t.Errorf("with events the next query comes after %s", got)
	}
	now.advance(trustTime)
	if got := p.next(0); got != DefaultFastest {
		t.Errorf("events that do not come any more are relied on: %s", got)
	}
	w.Told()
	w.Track(client.ObjectKey{Namespace: ns, Name: "a"}, Target{Folder: ns, Job: "job", QueueItem: 5})
	for n := range int64(2) {
		source.set(jenkins.BuildStatus{Number: 1, QueueID: 5, Building: n == 0, Result: "SUCCESS"})
		if wake, err := w.poll(t.Context(), ns, w.folders[ns]); err != nil || len(wake) != 1 {
			t.Fatalf("%v %v", wake, err)
		}
	}
	if got := p.next(0); got != DefaultFastest {
		t.Errorf("events that tell nothing of what changes are relied on: %s", got)
	}
	for range 100 {
		w.Track(client.ObjectKey{Namespace: ns, Name: "x"}, Target{Folder: fmt.Sprint(len(w.folders)), Job: "job"})
	}
	if got := p.next(2 * time.Second); got != dutyCycle*2*time.Second {
		t.Errorf("a slow Jenkins is asked again after %s", got)
	}
}

// TestWatcherFollowsOldBuilds: builds that live long are followed, however many come after them.
func TestWatcherFollowsOldBuilds(t *testing.T) {
	source := &bulk{}
	w, err := NewWatcher(source, WatcherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old, newer := client.ObjectKey{Namespace: ns, Name: "old"}, client.ObjectKey{Namespace: ns, Name: "newer"}
	w.Track(old, Target{Folder: ns, Job: "job", Build: 1})
	poll := func() int64 {
		t.Helper()
		if _, err := w.poll(t.Context(), ns, w.folders[ns]); err != nil {
			t.Fatal(err)
		}
		return source.depth.Load()
	}
	source.set(jenkins.BuildStatus{Number: 1, Building: true})
	if got := poll(); got != minDepth {
		t.Errorf("depth %d", got)
	}
	w.Track(newer, Target{Folder: ns, Job: "job", Build: 80})
	if got := poll(); got < 80 || got > maxDepth {
		t.Errorf("depth %d for builds 1 and 80", got)
	}
	source.set(jenkins.BuildStatus{Number: 5000, Building: true})
	poll()
	if got := poll(); got != minDepth {
		t.Errorf("depth %d for a build that no query can reach", got)
	}
	if !w.Sight(old).Missing {
		t.Error("a build that is too old is not asked for on its own")
	}
}

// TestWatcherTellsWhyRunsWait: one look at the queue tells it for all.
func TestWatcherTellsWhyRunsWait(t *testing.T) {
	source, now := &bulk{}, newClock()
	source.set()
	w, err := NewWatcher(source, WatcherOptions{Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: ns, Name: name} }
	w.Track(key("start"), Target{Folder: ns, Job: "job", QueueItem: 5})
	w.Track(key("agent"), Target{Folder: ns, Job: "job", QueueItem: 4, Build: 3, NoAgent: true})
	w.Track(key("busy"), Target{Folder: ns, Job: "job", Build: 2})
	w.Track(key("thief"), Target{Folder: "other", Job: "job", QueueItem: 5})
	if got := w.queueSettled(); got != queueSettle {
		t.Errorf("the queue is looked at after %s", got)
	}
	now.advance(queueSettle)
	items := func(why string) {
		source.queue.Store(&[]jenkins.Waiting{{ID: 5, Why: why, Job: ns + "/job"}, {ID: 9, Why: "no nodes with the label", Job: ns + "/job", Build: 3}, {ID: 10, Why: "x", Job: ns + "/job", Build: 2}})
	}
	items("expires in 3.2 sec")
	wake, err := w.pollQueue(t.Context())
	if err != nil || len(wake) != 2 || w.Sight(key("start")).Why != "expires in 3.2 sec" || w.Sight(key("agent")).Why != "no nodes with the label" {
		t.Errorf("%v %v %+v %+v", wake, err, w.Sight(key("start")), w.Sight(key("agent")))
	}
	if w.Sight(key("busy")).Why != "" || w.Sight(key("thief")).Why != "" {
		t.Error("a run is told why another one waits")
	}
	items("expires in 1.0 sec")
	if wake, _ := w.pollQueue(t.Context()); len(wake) != 0 {
		t.Errorf("%v woken for a number that counts down", wake)
	}
	// An item that is in neither list was cancelled, or is just leaving.
	source.queue.Store(&[]jenkins.Waiting{})
	for i := range 3 {
		if missing := w.Sight(key("start")).Missing; missing != (i > 1) {
			t.Errorf("after %d looks: missing %t", i, missing)
		}
		if _, err := w.poll(t.Context(), ns, w.folders[ns]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.pollQueue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"start", "agent", "thief"} {
		w.Forget(key(name))
	}
	if got := w.queueSettled(); got >= 0 {
		t.Errorf("nobody waits, and the queue is looked at after %s", got)
	}
}
