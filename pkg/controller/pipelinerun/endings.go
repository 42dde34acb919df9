// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// endingTime is for how long it is remembered that a build is said to have ended, and how it did.
	endingTime = 30 * time.Second
	// gatherTime is how long a build that has ended waits for others of its job that do, so that they are
	// read together. That is worth it while gatherLive runs are live.
	gatherTime = time.Second
	gatherLive = 50
	// endingSlack is how many builds more are asked for: some may have begun that nobody has seen yet.
	endingSlack = 3
	// endingWaste is how many builds may be read for each one that is wanted.
	endingWaste = 3
)

// RunLister reads many builds of a job by one call.
type RunLister interface {
	ListRuns(ctx context.Context, folder, job string, page jenkins.Page) ([]*jenkins.Run, error)
}

// endings reads builds that have ended. Where several of one job are said to have ended, they are read by
// one call: the more ends at once, the fewer calls each one takes.
type endings struct {
	now func() time.Time

	mu   sync.Mutex
	jobs map[jobKey]map[int64]*ending
}

// ending is a build that is said to have ended.
type ending struct {
	noted time.Time
	// run is the build as it ended; nil if it has not been read.
	run *jenkins.Run
}

func newEndings(now func() time.Time) *endings {
	return &endings{now: now, jobs: map[jobKey]map[int64]*ending{}}
}

// note notes a build that is said to have ended.
func (e *endings) note(job jobKey, build int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.jobs[job] == nil {
		e.jobs[job] = map[int64]*ending{}
	}
	if e.jobs[job][build] == nil {
		e.jobs[job][build] = &ending{noted: e.now()}
	}
}

// gather gives how long the build is still to wait for others that end; 0 if it was read with one.
func (e *endings) gather(job jobKey, build int64) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.jobs[job][build]
	if known == nil || known.run != nil {
		return 0
	}
	return max(0, gatherTime-e.now().Sub(known.noted))
}

// take gives the build if it was read with another one, and drops it. Else it gives the page of the job
// that has it and the others that wait; ok is false if that is not worth it.
func (e *endings) take(job jobKey, build, newest int64) (run *jenkins.Run, page jenkins.Page, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for number, other := range e.jobs[job] {
		if e.now().Sub(other.noted) > endingTime {
			delete(e.jobs[job], number)
		}
	}
	known := e.jobs[job][build]
	delete(e.jobs[job], build)
	if known != nil && known.run != nil {
		e.clean(job)
		return known.run, page, false
	}
	first, last, wanted := build, build, 1
	for number, other := range e.jobs[job] {
		if other.run != nil {
			continue
		}
		first, last = min(first, number), max(last, number)
		wanted++
		newest = max(newest, number)
	}
	e.clean(job)
	// Builds that were deleted leave gaps, so a build is never further down than its number says.
	page = jenkins.Page{Start: int(max(0, newest-last-endingSlack)), Limit: int(last-first) + 1 + 2*endingSlack}
	return nil, page, wanted > 1 && page.Limit <= endingWaste*wanted+2*endingSlack
}

// clean drops a job of which nothing is remembered. e.mu is held.
func (e *endings) clean(job jobKey) {
	if len(e.jobs[job]) == 0 {
		delete(e.jobs, job)
	}
}

// keep keeps what was read of other builds.
func (e *endings) keep(job jobKey, runs []*jenkins.Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, run := range runs {
		number, err := strconv.ParseInt(run.ID, 10, 64)
		if err != nil || !observe(run).final {
			continue
		}
		if other := e.jobs[job][number]; other != nil {
			other.run = run
		}
	}
}

// readEnded reads a build that is said to have ended, with others of its job if some are.
func (s *scope) readEnded(ctx context.Context) (*jenkins.Run, error) {
	job := jobKey{s.folder, s.job}
	run, page, ok := s.endings.take(job, s.build(), s.Watcher.newestOf(job))
	if run != nil {
		return run, nil
	}
	if ok {
		// That it fails says nothing about this build.
		if runs, err := s.Jenkins.ListRuns(ctx, s.folder, s.job, page); err == nil {
			s.endings.keep(job, runs)
			for _, run := range runs {
				if run.ID == strconv.FormatInt(s.build(), 10) {
					return run, nil
				}
			}
		} else if away(err) {
			return nil, err
		}
	}
	return s.Jenkins.GetRun(ctx, s.folder, s.job, s.build())
}
