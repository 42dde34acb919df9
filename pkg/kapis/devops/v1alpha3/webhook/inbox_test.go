// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins/events"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// applied notes what is dealt with.
type applied struct {
	mu    sync.Mutex
	list  []string
	later int
	slow  time.Duration
	err   error
	busy  map[int64]bool
	twice bool
}

func (a *applied) apply(_ context.Context, e *events.Event, final bool) error {
	a.mu.Lock()
	if a.busy == nil {
		a.busy = map[int64]bool{}
	}
	a.twice = a.twice || a.busy[e.Build]
	a.busy[e.Build] = true
	a.mu.Unlock()
	time.Sleep(a.slow)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, e.Build)
	if a.later > 0 && !final {
		a.later--
		return errLater
	}
	a.list = append(a.list, fmt.Sprintf("%s %d", e.Type, e.Build))
	return a.err
}

func (a *applied) took() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	a.list = nil
	slices.Sort(list)
	return list
}

func about(kind events.Type, build int64) *events.Event {
	return &events.Event{Type: kind, Folder: "p", Job: "j", Pipeline: "j", Build: build}
}

func TestInbox(t *testing.T) {
	tests := map[string]struct {
		reason string
		events []*events.Event
		apart  time.Duration
		want   []string
	}{
		"coalesce": {"what Jenkins sends in one go is one write", []*events.Event{about(events.RunInitialize, 1), about(events.RunStarted, 1)}, 10 * time.Millisecond, []string{"run.started 1"}},
		"end":      {"", []*events.Event{about(events.RunCompleted, 1), about(events.RunFinalized, 1)}, 100 * time.Millisecond, []string{"run.finalized 1"}},
		"no final": {"what does not follow is not waited for", []*events.Event{about(events.RunCompleted, 1)}, 0, []string{"run.completed 1"}},
		"apart":    {"", []*events.Event{about(events.RunStarted, 1), about(events.RunFinalized, 1)}, time.Minute, []string{"run.finalized 1", "run.started 1"}},
		"repeated": {"", []*events.Event{about(events.RunStarted, 1), about(events.RunStarted, 1)}, time.Second, []string{"run.started 1"}},
		"older":    {"", []*events.Event{about(events.RunFinalized, 1), about(events.RunStarted, 1)}, time.Second, []string{"run.finalized 1"}},
		"builds":   {"", []*events.Event{about(events.RunFinalized, 1), about(events.RunStarted, 2)}, 0, []string{"run.finalized 1", "run.started 2"}},
		"again":    {"a job that was made again counts from 1", []*events.Event{about(events.RunFinalized, 1), {Type: events.RunStarted, Folder: "p", Job: "j", Build: 1, Start: time.Unix(1, 0)}}, time.Second, []string{"run.finalized 1", "run.started 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &applied{}
				b := newInbox(a)
				for _, e := range tt.events {
					if !b.put(t.Context(), e) {
						t.Error("not taken")
					}
					time.Sleep(tt.apart)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if diff := cmp.Diff(tt.want, a.took()); diff != "" {
					t.Errorf("%s:\n%s", tt.reason, diff)
				}
			})
		})
	}
}

func TestInboxLooksAgainOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &applied{later: 5}
		b := newInbox(a)
		b.put(t.Context(), about(events.RunStarted, 1))
		time.Sleep(settleUnknown / 2)
		if got := a.took(); got != nil {
			t.Errorf("dealt with at once: %v", got)
		}
		time.Sleep(settleUnknown)
		synctest.Wait()
		if got := a.took(); !slices.Equal(got, []string{"run.started 1"}) {
			t.Errorf("%v", got)
		}
		// An event that failed may come again.
		a.later, a.err = 0, errors.New("boom")
		b.put(t.Context(), about(events.RunFinalized, 1))
		synctest.Wait()
		a.err = nil
		b.put(t.Context(), about(events.RunFinalized, 1))
		synctest.Wait()
		if got := a.took(); len(got) != 2 {
			t.Errorf("%v", got)
		}
	})
}

// TestInboxIsBounded: a flood is turned away, nothing runs when it is over, and the events of one build are
// dealt with one after the other.
func TestInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &applied{slow: 10 * time.Millisecond}
		b := newInbox(a)
		taken := 0
		for i := range int64(3 * maxWaiting) {
			if b.put(t.Context(), about(events.RunStarted, i+1)) {
				taken++
			}
		}
		if taken > maxWaiting+shards || taken < maxWaiting/2 {
			t.Errorf("%d of %d events were taken", taken, 3*maxWaiting)
		}
		b.put(t.Context(), about(events.RunFinalized, 1))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(a.took()); got < taken || a.twice {
			t.Errorf("%d of %d were dealt with; one build by two at a time: %t", got, taken, a.twice)
		}
		for i := range b.shards {
			if s := &b.shards[i]; len(s.waiting) > 0 || s.working || s.due != nil {
				t.Errorf("shard %d still works", i)
			}
		}
	})
}

// TestNoteOverConflict: an event that was decided on an old copy is decided once more.
func TestNoteOverConflict(t *testing.T) {
	run := &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: "r", UID: "u", Annotations: map[string]string{devopsv1alpha3.QueueItemAnnotation: "5"}},
		Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "j"}},
	}
	build := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(run)
	for field, value := range index.Runs {
		build = build.WithIndex(&devopsv1alpha3.PipelineRun{}, field, value)
	}
	kube := build.Build()
	newer := events.Note{Type: events.RunFinalized, Build: 1, Time: time.Now()}
	raced := false
	racing := interceptor.NewClient(kube, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
		if !raced {
			raced = true
			other := &devopsv1alpha3.PipelineRun{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), other); err != nil {
				return err
			}
			other.Annotations[devopsv1alpha3.JenkinsEventAnnotation] = newer.String()
			if err := c.Update(ctx, other); err != nil {
				return err
			}
		}
		return c.Patch(ctx, obj, patch, opts...)
	}})
	n := &notes{reader: kube, client: racing, now: time.Now}
	e := about(events.RunStarted, 1)
	e.QueueItem, e.Time = 5, time.Now()
	if err := n.apply(t.Context(), e, true); err != nil {
		t.Fatal(err)
	}
	got := &devopsv1alpha3.PipelineRun{}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(run), got); err != nil {
		t.Fatal(err)
	}
	if text := got.Annotations[devopsv1alpha3.JenkinsEventAnnotation]; !raced || text != newer.String() {
		t.Errorf("raced %t: an older event took the place of a newer one that came in between: %s", raced, text)
	}
}

// TestMergedBuild: a build that Jenkins made of two starts belongs to the run that has its queue item.
func TestMergedBuild(t *testing.T) {
	run := func(name, item string) *devopsv1alpha3.PipelineRun {
		r := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: name, UID: types.UID("uid-" + name)},
			Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "j"}}}
		if item != "" {
			r.Annotations = map[string]string{devopsv1alpha3.QueueItemAnnotation: item}
		}
		return r
	}
	build := fake.NewClientBuilder().WithScheme(scheme.New()).WithObjects(run("a", ""), run("b", "5"))
	for field, value := range index.Runs {
		build = build.WithIndex(&devopsv1alpha3.PipelineRun{}, field, value)
	}
	n := &notes{reader: build.Build(), now: time.Now}
	e := about(events.RunStarted, 1)
	e.QueueItem, e.Causes = 5, []string{"slipway-run:uid-a", "slipway-run:uid-b"}
	got, ours, err := n.runOf(t.Context(), e)
	if err != nil || !ours || got == nil || got.Name != "b" {
		t.Errorf("%v %t %v, want the run b", got, ours, err)
	}
}
