// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// Milestones are those of one job as one of its builds sees them.
type Milestones interface {
	// Pass notes that the build has come to a milestone. by is the number of a newer build that has passed
	// it before, and then this build has to end; 0 lets it go on.
	Pass(ordinal int) (by int)
}

// MilestoneTable keeps what the running builds of all jobs have passed. Its zero value is ready. Nothing
// of it outlives the process: with it end the builds that could be too late.
type MilestoneTable struct {
	mu   sync.Mutex
	jobs map[uint64]*jobMilestones
}

type jobMilestones struct {
	// passed has the newest build that passed each milestone.
	passed map[int]int
	live   map[int]*milestoneBuild
}

type milestoneBuild struct {
	t      *MilestoneTable
	job    uint64
	number int
	// last is the last milestone that it passed, -1 for none.
	last   int
	cancel func(by int)
}

// Begin adds a build of a job. cancel is called, not with a lock of the table, when a newer build has passed a milestone
// that this one, which has passed the one before, has not come to. end must be called when the build is over.
func (t *MilestoneTable) Begin(job uint64, number int, cancel func(by int)) (m Milestones, end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.jobs == nil {
		t.jobs = map[uint64]*jobMilestones{}
	}
	j := t.jobs[job]
	if j == nil {
		j = &jobMilestones{passed: map[int]int{}, live: map[int]*milestoneBuild{}}
		t.jobs[job] = j
	}
	b := &milestoneBuild{t: t, job: job, number: number, last: -1, cancel: cancel}
	j.live[number] = b
	return b, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(j.live, number)
		if len(j.live) == 0 && t.jobs[job] == j {
			delete(t.jobs, job)
		}
	}
}

// Pass implements Milestones.
func (b *milestoneBuild) Pass(ordinal int) int {
	b.t.mu.Lock()
	j := b.t.jobs[b.job]
	if j == nil {
		b.t.mu.Unlock()
		return 0
	}
	before, known := -1, false
	for o, newest := range j.passed {
		if o >= ordinal && newest > b.number {
			b.t.mu.Unlock()
			return newest
		}
		if o < ordinal && o >= before {
			before, known = o, true
		}
	}
	j.passed[ordinal], b.last = b.number, ordinal
	var late []*milestoneBuild
	for n, o := range j.live {
		if known && n < b.number && o.last >= before && o.last < ordinal {
			late = append(late, o)
		}
	}
	b.t.mu.Unlock()
	for _, o := range late {
		o.cancel(b.number)
	}
	return 0
}

// Restore implements MilestoneRestorer.
func (b *milestoneBuild) Restore(ordinal int) {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	b.last = max(b.last, ordinal)
	if j := b.t.jobs[b.job]; j != nil {
		j.passed[ordinal] = max(j.passed[ordinal], b.number)
	}
}

// maxMilestones bounds the milestones that one build may pass.
const maxMilestones = 1000

func stepMilestone(ctx context.Context, c *stepCall) (any, error) {
	if strings.Contains(flowOf(ctx).path, "|") {
		return nil, failed("Using a milestone step inside parallel is not allowed")
	}
	ordinal := int64(c.b.milestone + 1)
	if v, given := c.args["ordinal"]; given && v != nil {
		n, ok := v.(int64)
		if !ok || n < 0 || n > 1<<31-1 {
			return nil, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "milestone: ordinal must be a number from 0", Pos: c.pos}
		}
		if ordinal = n; ordinal <= int64(c.b.milestone) {
			return nil, failed("Invalid ordinal %d, as the previous one was %d", n, c.b.milestone)
		}
	}
	if c.b.milestones++; c.b.milestones > maxMilestones {
		return nil, failed("The build has more than %d milestones", maxMilestones)
	}
	c.say("Trying to pass milestone " + itoa(int(ordinal)))
	c.b.milestone = int(ordinal)
	if c.b.spec.Milestones == nil {
		return nil, nil
	}
	passed := false
	m, err := effect(ctx, c.b, kindMilestone, func(context.Context, string) (milestoneRecord, error) {
		passed = true
		return milestoneRecord{Ordinal: int(ordinal), By: c.b.spec.Milestones.Pass(int(ordinal))}, nil
	})
	if err != nil {
		return nil, err
	}
	if m.By == 0 {
		if r, ok := c.b.spec.Milestones.(MilestoneRestorer); ok && !passed {
			r.Restore(int(ordinal))
		}
		return nil, nil
	}
	c.say("Canceled since build #" + itoa(m.By) + " already got here")
	cause := &AbortError{Reason: "Superseded by #" + itoa(m.By), Result: ResultNotBuilt}
	return nil, &groovy.Exception{Class: classInterrupt, Message: cause.Error(), Err: &interruptError{cause}}
}
