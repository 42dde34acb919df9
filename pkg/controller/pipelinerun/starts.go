// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
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
}

// queued is a run that is being started or waits in the queue.
type queued struct {
	job         string
	fingerprint string
	item        int64
}

func newStarts() *starts { return &starts{runs: map[client.ObjectKey]queued{}} }

// reserve takes the place of the job and fingerprint for the run, and names the run that has it if
// another one does.
func (t *starts) reserve(key client.ObjectKey, want queued) (holder string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, has := range t.runs {
		if other != key && has.job == want.job && has.fingerprint == want.fingerprint {
			return other.Name, false
		}
	}
	if has, held := t.runs[key]; held {
		want.item = has.item
	}
	t.runs[key] = want
	return "", true
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

// release frees the place of a run that has left the queue.
func (t *starts) release(key client.ObjectKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.runs, key)
}

// inQueue tells if a run as the cache has it may be in Jenkins' queue.
func inQueue(run *devopsv1alpha3.PipelineRun) bool {
	_, intended := run.Annotations[devopsv1alpha3.StartIntentAnnotation]
	return (intended || numberIn(run, devopsv1alpha3.QueueItemAnnotation) > 0) &&
		run.Status.CompletionTime == nil && numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation) == 0
}
