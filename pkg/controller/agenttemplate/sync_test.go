// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agenttemplate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"
)

// fakeStore is a Jenkins in memory.
type fakeStore struct {
	mu     sync.Mutex
	labels map[string]string // label to template ID
	calls  []string
	err    error
}

func (f *fakeStore) call(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	return f.err
}

func (f *fakeStore) EnsureTemplate(_ context.Context, t Template) error {
	if err := f.call("ensure"); err != nil {
		return err
	}
	for label, id := range f.labels {
		if id == t.ID {
			delete(f.labels, label)
		}
	}
	for _, label := range t.Labels {
		f.labels[label] = t.ID
	}
	return nil
}

func (f *fakeStore) DeleteTemplate(context.Context, string) error { return f.call("delete") }

func (f *fakeStore) LabelExists(_ context.Context, label string) (bool, error) {
	err := f.call("look")
	_, ok := f.labels[label]
	return ok && err == nil, err
}

func (f *fakeStore) take() []string {
	calls := f.calls
	f.calls = nil
	return calls
}

func newTest() (*fakeStore, *clocktesting.FakePassiveClock, *Syncer) {
	store := &fakeStore{labels: map[string]string{}}
	clk := clocktesting.NewFakePassiveClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	return store, clk, NewSyncer(store, clk)
}

func template(revision string) Template {
	return Template{ID: "dc-a.b", Labels: []string{"dc-a.b", "dc-a.b-1", "dc-a.b-r" + revision}, YAML: "kind: Pod"}
}

func TestSyncWritesOnlyWhatIsMissing(t *testing.T) {
	store, clk, s := newTest()
	steps := []struct {
		reason   string
		before   func()
		template Template
		want     []string
	}{
		{"a new template is written", func() {}, template("1"), []string{"look", "ensure"}},
		{"within a minute nothing is asked", func() { clk.SetTime(clk.Now().Add(59 * time.Second)) }, template("1"), nil},
		{"after a minute it is looked for", func() { clk.SetTime(clk.Now().Add(2 * time.Second)) }, template("1"), []string{"look"}},
		{"a new revision does not wait", func() {}, template("2"), []string{"look", "ensure"}},
		{"Jenkins lost it", func() { clear(store.labels); clk.SetTime(clk.Now().Add(time.Minute)) }, template("2"), []string{"look", "ensure"}},
		{"another writer changed it", func() {
			delete(store.labels, template("2").Revision())
			clk.SetTime(clk.Now().Add(time.Minute))
		}, template("2"), []string{"look", "ensure"}},
	}
	for _, step := range steps {
		step.before()
		again, err := s.Sync(t.Context(), step.template)
		if err != nil || again <= 0 || again > time.Minute {
			t.Fatalf("%s: got %v, %v, want a time of up to a minute", step.reason, again, err)
		}
		if diff := cmp.Diff(step.want, store.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
	}
}

func TestSyncOfANewProcessLooksFirst(t *testing.T) {
	store, clk, s := newTest()
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	store.take()
	if _, err := NewSyncer(store, clk).Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"look"}, store.take()); diff != "" {
		t.Errorf("what Jenkins has is not written again (-want +got):\n%s", diff)
	}
}

func TestOutageIsProbedByOneCallEachPause(t *testing.T) {
	store, clk, s := newTest()
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	down := errors.New("connection refused")
	store.err = down
	store.take()

	clk.SetTime(clk.Now().Add(2 * time.Minute))
	var last time.Duration
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		want *= time.Second
		var unavailable *UnavailableError
		_, err := s.Sync(t.Context(), template("1"))
		if !errors.As(err, &unavailable) || !errors.Is(err, down) || unavailable.After != want {
			t.Fatalf("probe %d: got %v (%+v), want to wait %s", i, err, unavailable, want)
		}
		if got := len(store.take()); got != 1 {
			t.Fatalf("probe %d made %d calls, want 1", i, got)
		}
		// Others do not call during the pause, and hear the same.
		err = s.Delete(t.Context(), "dc-a.other")
		if !errors.As(err, &unavailable) || !errors.Is(err, down) || len(store.take()) != 0 {
			t.Fatalf("during pause %d: got %v, want no call and the same cause", i, err)
		}
		last = want
		clk.SetTime(clk.Now().Add(want))
	}
	if last != maxPause {
		t.Errorf("the last pause is %s, want %s", last, maxPause)
	}
	select {
	case <-s.Back():
		t.Fatal("Jenkins is said to be back before it is")
	default:
	}
	store.err = nil
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Back():
	default:
		t.Error("nobody is told that Jenkins is back")
	}
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestOutageEndsTrust(t *testing.T) {
	store, _, s := newTest()
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("down")
	_ = s.Delete(t.Context(), "dc-a.other")
	store.err = nil
	clear(store.labels)
	store.take()
	// Somebody else's call finds Jenkins back: what was seen before the outage counts no more.
	s.clock.(*clocktesting.FakePassiveClock).SetTime(s.clock.Now().Add(minPause))
	if err := s.Delete(t.Context(), "dc-a.other"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"delete", "look", "ensure"}, store.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestRefusalIsNoOutage(t *testing.T) {
	store, _, s := newTest()
	store.err = fmt.Errorf("bad label: %w", ErrRefused)
	for range 3 {
		_, err := s.Sync(t.Context(), template("1"))
		var unavailable *UnavailableError
		if !errors.Is(err, ErrRefused) || errors.As(err, &unavailable) {
			t.Fatalf("got %v, want a refusal", err)
		}
	}
	if got := len(store.take()); got != 3 {
		t.Errorf("one bad template stopped the calls for others: %d calls of 3", got)
	}
}

func TestCallsHaveADeadline(t *testing.T) {
	_, clk, _ := newTest()
	s := NewSyncer(deadlineStore{t}, clk)
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "dc-a.b"); err != nil {
		t.Fatal(err)
	}
}

type deadlineStore struct{ t *testing.T }

func (d deadlineStore) check(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		d.t.Error("a call has no deadline")
	}
	return nil
}

func (d deadlineStore) EnsureTemplate(ctx context.Context, _ Template) error { return d.check(ctx) }
func (d deadlineStore) DeleteTemplate(ctx context.Context, _ string) error   { return d.check(ctx) }
func (d deadlineStore) LabelExists(ctx context.Context, _ string) (bool, error) {
	return false, d.check(ctx)
}

func TestLooksDoNotGrowWithTemplates(t *testing.T) {
	store, clk, s := newTest()
	templates := make([]Template, 50)
	due := make([]time.Time, len(templates))
	for i := range templates {
		id := fmt.Sprintf("dc-a.b%d", i)
		templates[i] = Template{ID: id, Labels: []string{id, id + "-r1"}}
	}
	pass := func() {
		for i := range templates {
			if due[i].After(clk.Now()) {
				continue
			}
			again, err := s.Sync(t.Context(), templates[i])
			if err != nil || again <= 0 {
				t.Fatalf("again after %s, %v", again, err)
			}
			due[i] = clk.Now().Add(again)
		}
	}
	pass()
	if got := len(store.take()); got != 100 {
		t.Fatalf("a new process made %d calls, want a look and a write each", got)
	}
	for range 100 {
		clk.SetTime(clk.Now().Add(time.Minute))
		pass()
		if got := len(store.take()); got > 1 {
			t.Fatalf("%d looks in a minute, want at most 1", got)
		}
	}
}

func TestALostTemplateEndsTrust(t *testing.T) {
	store, clk, s := newTest()
	other := Template{ID: "dc-a.c", Labels: []string{"dc-a.c", "dc-a.c-r1"}}
	for _, template := range []Template{template("1"), other} {
		if _, err := s.Sync(t.Context(), template); err != nil {
			t.Fatal(err)
		}
	}
	clear(store.labels) // its configuration was loaded anew
	store.take()
	clk.SetTime(clk.Now().Add(time.Minute))
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Back():
	default:
		t.Fatal("nobody is told to look at the others")
	}
	if _, err := s.Sync(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"look", "ensure", "look", "ensure"}, store.take()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// restartingStore tells of restarts.
type restartingStore struct {
	*fakeStore
	restarted func()
}

func (r *restartingStore) OnRestart(f func()) (stop func()) {
	r.restarted = f
	return func() {}
}

func TestRestartEndsTrust(t *testing.T) {
	fake, clk, _ := newTest()
	store := &restartingStore{fakeStore: fake}
	s := NewSyncer(store, clk)
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	if !s.Has(template("1")) || s.Has(template("2")) {
		t.Error("it is not known what Jenkins has")
	}
	store.restarted()
	select {
	case <-s.Back():
	default:
		t.Error("nobody is told of the restart")
	}
	fake.take()
	if _, err := s.Sync(t.Context(), template("1")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"look"}, fake.take()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
