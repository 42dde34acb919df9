// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// memory is what is to be looked at in Jenkins, and when. It is a plan and no state: a process that starts without it
// looks at everything in due time.
type memory struct {
	mu    sync.Mutex
	plans map[types.NamespacedName]*plan
}

// plan is of one pipeline.
type plan struct {
	// check is when the job is compared with its spec.
	check time.Time
	// look: something says that the job is not as it should be.
	look bool
	// refresh is when the branches are read; zero: not until something happens to them.
	refresh time.Time
	// refreshed is when they were read, branches how many there were.
	refreshed time.Time
	branches  int
	// request is the value of the annotation that asks for it, as last seen.
	request string
	seen    bool
	// scan follows a scan, nil if there is none to follow.
	scan *scan
	// listed is what the last survey saw of the branches.
	listed string
}

// scan is a scan of a repository that was asked for.
type scan struct {
	// before tells the scan before it, which the log is about until the new one begins. known is false if that one is
	// not known, as after a start of this process.
	before jenkins.ScanState
	known  bool
	since  time.Time
	next   time.Time
	tries  int
}

// of gives the plan of a pipeline, to be changed by f.
func (m *memory) of(key types.NamespacedName, f func(*plan)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plans == nil {
		m.plans = map[types.NamespacedName]*plan{}
	}
	p := m.plans[key]
	if p == nil {
		p = &plan{}
		m.plans[key] = p
	}
	f(p)
}

// get gives a copy of the plan.
func (m *memory) get(key types.NamespacedName) plan {
	var out plan
	m.of(key, func(p *plan) { out = *p })
	return out
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.plans, key)
}

// jitter spreads what would otherwise happen to all pipelines at once, a while after each start.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + upTo(2*d/5)
}

// upTo gives a random part of d.
func upTo(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1)) //nolint:gosec // nothing depends on this being unpredictable
}

// earliest gives the first of the times that are set, as seen from now; 0 if none is.
func earliest(now time.Time, times ...time.Time) time.Duration {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		return 0
	}
	// A pass at the very moment would find nothing due where clocks differ by a tick.
	return max(first.Sub(now), time.Millisecond)
}
