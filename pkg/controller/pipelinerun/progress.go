// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// endedTime is for how long a pass over a copy of an ended run that does not know its end does
	// nothing: the cache learns of it much sooner.
	endedTime = 30 * time.Second
	// maxEnded bounds how many ended runs are remembered.
	maxEnded = 8192
	// maxLookInterval is what the time between two looks at a running build grows to while nothing
	// changes, maxPauseInterval the same for one that may wait for an input, or does.
	maxLookInterval  = 30 * time.Second
	maxPauseInterval = 5 * time.Second
)

// progress is what a process remembers of a live run between passes. It saves calls; nothing is lost with
// it. The passes over one run come one after the other, so it needs no lock.
type progress struct {
	uid types.UID
	// queueItem and build are known, but perhaps not to the copy of the run in the cache.
	queueItem, build int64
	// item is when Jenkins was last asked for the queue item.
	item time.Time
	// looked is when the build was last read, or was first known to run. Interval is the time until it is
	// read again.
	looked   time.Time
	interval time.Duration
	// state and stages are what it was then: the state of the build and the hash of its stages.
	state, stages string
	// soon says that the build is about to change for what was done to it.
	soon bool
	// early is how many looks in a row found a build live that was said to have ended.
	early int
	// inputDue is when the next input is to be aborted that waits for its answer; zero: none.
	inputDue time.Time
	// pauseTold says that the user knows that the build cannot be held.
	pauseTold bool
	// told is the event that was last noticed.
	told string
	// final is the build as it ended, finalStages that its stages were written.
	final       *jenkins.Run
	finalStages bool
	// stagesKnown are the stages that have finished.
	stagesKnown jenkins.KnownStages
}

// memory holds the progress of all live runs.
type memory struct {
	mu    sync.Mutex
	runs  map[client.ObjectKey]*progress
	ended *lru.Cache
}

func newMemory() *memory {
	return &memory{runs: map[client.ObjectKey]*progress{}, ended: lru.New(maxEnded)}
}

// of gives the progress of a run; that of a former run of the name is dropped.
func (m *memory) of(key client.ObjectKey, uid types.UID) *progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.runs[key]
	if p == nil || p.uid != uid {
		p = &progress{uid: uid}
		m.runs[key] = p
	}
	return p
}

// forget drops what is known of a run.
func (m *memory) forget(key client.ObjectKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.runs, key)
}

// end notes that the end of a run was written.
func (m *memory) end(key client.ObjectKey, uid types.UID, now time.Time) {
	m.forget(key)
	m.ended.Add(uid, now)
}

// justEnded tells if the end of a run was written a moment ago.
func (m *memory) justEnded(uid types.UID, now time.Time) bool {
	at, ok := m.ended.Get(uid)
	return ok && now.Sub(at.(time.Time)) < endedTime
}

// recall adds to the run what this process knows of its start and the cache does not yet.
func (s *scope) recall() {
	s.past = s.memory.of(s.key(), s.run.UID)
	if s.past.queueItem > 0 && s.queueItem() == 0 && !s.intent().IsZero() {
		s.started(&jenkins.Found{QueueID: s.past.queueItem})
	}
	if s.past.build > 0 && s.build() == 0 && s.queueItem() == s.past.queueItem {
		s.started(&jenkins.Found{BuildNumber: s.past.build})
	}
}

// remember keeps what the run says of its start.
func (s *scope) remember() {
	if item := s.queueItem(); item > 0 {
		s.past.queueItem = item
	}
	if build := s.build(); build > 0 {
		s.past.build = build
	}
	if s.run.Annotations[devopsv1alpha3.StartIntentAnnotation] == "" {
		s.past.queueItem, s.past.build = 0, 0
	}
}
