// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// scopedLocks are the locks that the build may take: a lock of one tenant is none of another's.
func (r *buildRun) scopedLocks() engine.Locks {
	project := ""
	if strings.Contains(r.jobName, "/") { // jobs without a folder share their locks
		project = r.jobProject()
	}
	return r.s.steps.locks.Scope(project)
}

// noted implements engine.Locks and engine.LockRestorer; it notes how to give back what it restores.
type noted struct {
	engine.Locks
	releases []func()
}

// Restore implements engine.LockRestorer.
func (n *noted) Restore(req engine.LockRequest) func() {
	l, ok := n.Locks.(engine.LockRestorer)
	if !ok {
		return func() {}
	}
	release := l.Restore(req)
	n.releases = append(n.releases, release)
	return release
}

// restoreLocks takes the locks that the build held. Nobody else has one yet.
func (r *buildRun) restoreLocks() {
	n := &noted{Locks: r.scopedLocks()}
	engine.Restore(r.history.Events(), n, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimed = n.releases
}

// buildMilestones implements engine.Milestones: what a build passed it has passed also after a restart.
type buildMilestones struct {
	r     *buildRun
	inner engine.Milestones
	end   func()
	// restoring is set while what was passed before is passed again; passed has that.
	restoring bool
	passed    map[int]bool
}

func (r *buildRun) beginMilestones() *buildMilestones {
	m := &buildMilestones{r: r, passed: map[int]bool{}}
	m.inner, m.end = r.s.steps.milestones.Begin(r.key.Job, r.key.Number, func(by int) {
		// Who was superseded before the restart has got to know it then.
		if !m.restoring {
			r.cancel(&engine.AbortError{Reason: "Superseded by #" + strconv.Itoa(by), Result: engine.ResultNotBuilt})
		}
	})
	return m
}

// Pass implements engine.Milestones.
func (m *buildMilestones) Pass(ordinal int) int {
	if m.passed[ordinal] {
		return 0
	}
	by := m.inner.Pass(ordinal)
	if by > 0 || !m.r.build.Durable {
		return by
	}
	s := m.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.steps.passed == nil {
		s.steps.passed = map[uint64]uint64{}
	}
	s.steps.passed[m.r.key.Job]++
	err := s.store.PutMilestone(m.r.key.Job, store.PassedMilestone{Build: m.r.key.Number, Seq: s.steps.passed[m.r.key.Job], Ordinal: ordinal})
	if err != nil {
		s.logger().Error(err, "milestone is not stored", "job", m.r.jobName, "number", m.r.key.Number)
	}
	return by
}

// endMilestones forgets the milestones of a job with its last running build. s.mu is held.
func (s *Server) endMilestones(job *item) {
	if job.live > 0 || s.steps.passed[job.ID] == 0 {
		return
	}
	delete(s.steps.passed, job.ID)
	if err := s.store.DropMilestones(job.ID); err != nil {
		s.logger().Error(err, "milestones are not forgotten", "job", job.fullName())
	}
}

// restoreMilestones lets the builds pass again what they had passed, in that order, and those that have ended since.
func (s *Server) restoreMilestones(list []*buildRun) error {
	byJob := map[uint64]map[int]*buildMilestones{}
	for _, r := range list {
		if byJob[r.key.Job] == nil {
			byJob[r.key.Job] = map[int]*buildMilestones{}
		}
		r.milestones = r.beginMilestones()
		r.milestones.restoring = true
		byJob[r.key.Job][r.key.Number] = r.milestones
	}
	var errs []error
	for job, live := range byJob {
		passed, err := s.store.Milestones(job)
		errs = append(errs, err)
		for _, p := range passed {
			if m := live[p.Build]; m != nil {
				m.inner.Pass(p.Ordinal)
				m.passed[p.Ordinal] = true
				continue
			}
			m, end := s.steps.milestones.Begin(job, p.Build, func(int) {})
			m.Pass(p.Ordinal)
			end()
		}
		if len(passed) > 0 {
			s.mu.Lock()
			if s.steps.passed == nil {
				s.steps.passed = map[uint64]uint64{}
			}
			s.steps.passed[job] = passed[len(passed)-1].Seq
			s.mu.Unlock()
		}
		for _, m := range live {
			m.restoring = false
		}
	}
	return errors.Join(errs...)
}
