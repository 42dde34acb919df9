// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// starts lets runs of one job with equal parameters into Jenkins' queue one after the other. Jenkins
// does not queue a second item with equal parameters but answers 303 with the waiting one: two runs
// would then share a build. The table covers the starts of this process, of which the cache may not
// know yet; those of a former process are known by the intents that they wrote.
type starts struct {
	mu   sync.Mutex
	runs map[client.ObjectKey]queued
	// left are the live runs that are known to have left the queue, which the cache may not know yet.
	left map[client.ObjectKey]bool
	// waiting are the runs that were sent away, in their order.
	waiting map[turn][]client.ObjectKey
	// wake is called with the run whose turn it is.
	wake func(client.ObjectKey)
}

// turn is what one run at a time has.
type turn struct{ job, fingerprint string }

// queued is a run that is being started or waits in the queue.
type queued struct {
	turn
	item int64
}

func newStarts(wake func(client.ObjectKey)) *starts {
	return &starts{runs: map[client.ObjectKey]queued{}, left: map[client.ObjectKey]bool{}, waiting: map[turn][]client.ObjectKey{}, wake: wake}
}

// reserve takes the turn for the run, and names the run that has it if another one does.
func (t *starts) reserve(key client.ObjectKey, want turn) (holder string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, has := range t.runs {
		if other != key && has.turn == want {
			t.line(key, want)
			return other.Name, false
		}
	}
	t.unline(key, want)
	t.runs[key] = queued{turn: want, item: t.runs[key].item}
	return "", true
}

func (t *starts) line(key client.ObjectKey, want turn) {
	if !slices.Contains(t.waiting[want], key) {
		t.waiting[want] = append(t.waiting[want], key)
	}
}

func (t *starts) unline(key client.ObjectKey, want turn) {
	t.waiting[want] = slices.DeleteFunc(t.waiting[want], func(k client.ObjectKey) bool { return k == key })
	if len(t.waiting[want]) == 0 {
		delete(t.waiting, want)
	}
}

// took notes the queue item of a run. It fails if another run has it.
func (t *starts) took(key client.ObjectKey, item int64) (holder string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, has := range t.runs {
		if other != key && has.item == item {
			return other.Name, false
		}
	}
	has := t.runs[key]
	has.item = item
	t.runs[key] = has
	return "", true
}

// release gives up the turn of a run that was not started.
func (t *starts) release(key client.ObjectKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass(key)
}

// leave notes that a run has left the queue, and passes its turn on.
func (t *starts) leave(key client.ObjectKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left[key] = true
	t.pass(key)
}

// hasLeft tells if a run is known to have left the queue.
func (t *starts) hasLeft(key client.ObjectKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left[key]
}

// forget drops what is known of a run that has ended or is gone.
func (t *starts) forget(key client.ObjectKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.left, key)
	for want := range t.waiting {
		t.unline(key, want)
	}
	t.pass(key)
}

// pass wakes the run that has waited longest. The others look for themselves, seldom.
func (t *starts) pass(key client.ObjectKey) {
	has, ok := t.runs[key]
	if !ok {
		return
	}
	delete(t.runs, key)
	if line := t.waiting[has.turn]; len(line) > 0 && t.wake != nil {
		if t.waiting[has.turn] = line[1:]; len(line) == 1 {
			delete(t.waiting, has.turn)
		}
		t.wake(line[0])
	}
}

// inQueue tells if a run as the cache has it may be in Jenkins' queue.
func inQueue(run *devopsv1alpha3.PipelineRun) bool {
	_, intended := run.Annotations[devopsv1alpha3.StartIntentAnnotation]
	return (intended || numberIn(run, devopsv1alpha3.QueueItemAnnotation) > 0) &&
		run.Status.CompletionTime == nil && numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation) == 0
}
