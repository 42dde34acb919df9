// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// defaultMaxStash bounds the stashes of a build in bytes.
const defaultMaxStash = 1 << 30

// stepServices are what the steps of builds share. Its zero value is ready.
type stepServices struct {
	locks      engine.LockTable
	milestones engine.MilestoneTable
	// passed counts the milestones that running jobs passed, by ID. Server.mu guards it.
	passed map[uint64]uint64
	// left are closed when the queue item of the ID leaves. Server.mu guards it.
	left map[int64][]chan struct{}
	// timers are the schedules of jobs by ID, polls those of polling; only fireTimers uses them.
	timers, polls map[uint64]*timerOf
	// polling are the jobs that are being polled. Server.mu guards it.
	polling map[uint64]bool
}

// withServices completes what a build needs for its steps. end must be called when the build is over.
func (r *buildRun) withServices(spec engine.RunSpec) (full engine.RunSpec, end func()) {
	stashes := &stashes{r: r, from: r.stashOrigin()}
	if r.past != nil {
		size, err := r.s.store.StashesSize(r.key)
		if err != nil {
			klog.FromContext(r.ctx).Error(err, "stashes cannot be listed", "job", r.jobName, "number", r.key.Number)
		}
		stashes.used.Store(size)
	}
	spec.Stashes = stashes
	spec.Locks = r.scopedLocks()
	spec.Builds = builds{r}
	for _, c := range r.causes {
		cause := engine.Cause{Class: causeClass(c), Description: causeText(c)}
		if cause.Class == classUserCause {
			cause.User = c.User
		}
		spec.Causes = append(spec.Causes, cause)
	}
	if r.milestones == nil {
		r.milestones = r.beginMilestones()
	}
	spec.Milestones = r.milestones
	return spec, func() {
		r.milestones.end()
		if r.isSuspended() {
			return
		}
		r.dropStashes(preservedStashes(spec.Pipeline))
	}
}

// preservedStashes is the count of preserveStashes(buildCount: n): how many builds keep their stashes.
func preservedStashes(p *jenkinsfile.Pipeline) int {
	const most = 50
	for _, d := range p.Options {
		if d.Name != "preserveStashes" {
			continue
		}
		if x := d.Arg("buildCount", true); x != nil {
			return min(max(constInt(x), 0), most)
		}
		return 1
	}
	return 0
}

// dropStashes removes the stashes of the builds that do not keep them any more.
func (r *buildRun) dropStashes(keep int) {
	r.s.mu.RLock()
	history := r.job.history()
	keys := []int{}
	// Older ones were dropped when the builds between ended.
	for i := keep; i < len(history) && i < keep+16; i++ {
		if b := history[i]; !b.Building || b.Number == r.key.Number {
			keys = append(keys, b.Number)
		}
	}
	r.s.mu.RUnlock()
	for _, n := range keys {
		k := r.key
		k.Number = n
		if err := r.s.store.DropStashes(k); err != nil {
			klog.FromContext(r.ctx).Error(err, "stashes are not removed", "job", r.jobName, "number", n)
		}
	}
}

// stashOrigin is the number of the build whose stashes a restarted one may use; 0 for none.
func (r *buildRun) stashOrigin() int {
	for _, c := range r.causes {
		if c.Stage != "" {
			return c.Replay
		}
	}
	return 0
}

// stashes implements engine.Stashes.
type stashes struct {
	r *buildRun
	// from is the build that was restarted, 0 for none.
	from int
	used atomic.Int64
}

// Put implements engine.Stashes.
func (s *stashes) Put(ctx context.Context, name string, content io.Reader) error {
	taken, older := int64(0), s.r.s.store.StashSize(s.r.key, name)
	err := s.r.s.store.PutStash(ctx, s.r.key, name, readerOnly{content}, func(n int) bool {
		taken += int64(n)
		return s.used.Add(int64(n)) <= s.r.s.cfg.MaxStash
	})
	if err != nil {
		s.used.Add(-taken)
		return err
	}
	s.used.Add(-older)
	return nil
}

// readerOnly hides what else a reader can, so that it is copied piece by piece.
type readerOnly struct{ io.Reader }

// Open implements engine.Stashes.
func (s *stashes) Open(_ context.Context, name string) (engine.Stash, error) {
	st, err := s.r.s.store.OpenStash(s.r.key, name)
	if errors.Is(err, fs.ErrNotExist) && s.from > 0 {
		k := s.r.key
		k.Number = s.from
		st, err = s.r.s.store.OpenStash(k, name)
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}
