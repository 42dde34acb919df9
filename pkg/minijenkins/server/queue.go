// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// placeholder is a build that waits for an agent. Jenkins shows it as a queue item of its own.
type placeholder struct {
	id    int64
	since time.Time
	why   string
	run   *buildRun
}

// stuckAfter is when a waiting build counts as stuck.
const stuckAfter = 10 * time.Second

// start asks for a build.
type start struct {
	job    *item
	params []store.Param
	cause  store.Cause
	quiet  time.Duration
	// script replaces the job's Jenkinsfile, for a replay; stage is the first one that is run.
	script, stage string
}

// causes are the cause of the start, or none.
func (st start) causes() []store.Cause {
	if st.cause == (store.Cause{}) {
		return nil
	}
	return []store.Cause{st.cause}
}

// maxSameCauses is how often an item of the queue notes the same cause.
const maxSameCauses = 32

func timesOf(causes []store.Cause, cause store.Cause) int {
	n := 0
	for _, c := range causes {
		if c == cause {
			n++
		}
	}
	return n
}

// enqueue puts a start into the queue. An equal item that has not left yet takes it in: its quiet
// period is shortened if need be and it gets one more cause. s.mu is held.
func (s *Server) enqueue(st start) (q *store.QueueItem, existed bool, err error) {
	now := s.now()
	due := now.Add(st.quiet)
	for _, o := range st.job.line {
		if o.Script != st.script || o.Stage != st.stage || !slices.Equal(o.Params, st.params) {
			continue
		}
		if !due.Before(o.Due) && timesOf(o.Causes, st.cause) >= maxSameCauses {
			return o, true, nil // a hook that is called all the time must not make it grow for ever
		}
		changed := *o
		changed.Causes = append(slices.Clone(o.Causes), st.causes()...)
		if due.Before(o.Due) {
			changed.Due = due
		}
		if err := s.store.PutQueueItem(&changed); err != nil {
			return nil, false, fmt.Errorf("queue: %w", err)
		}
		*o = changed
		s.poke()
		return o, true, nil
	}
	q = &store.QueueItem{Job: st.job.ID, Entered: now, Due: due, Params: st.params, Causes: st.causes(), Script: st.script, Stage: st.stage}
	if err := s.store.AddQueueItem(q); err != nil {
		return nil, false, fmt.Errorf("queue: %w", err)
	}
	s.addQueued(st.job, q)
	s.poke()
	return q, false, nil
}

// addQueued puts an item into memory. s.mu is held.
func (s *Server) addQueued(job *item, q *store.QueueItem) {
	s.queue[q.ID] = q
	if !q.Left.IsZero() {
		s.left = append(s.left, q)
		return
	}
	s.line = append(s.line, q)
	job.line = append(job.line, q)
}

// leaveLine notes that an item has left; its place in the line is taken out by the ID. s.mu is held.
func (s *Server) leaveLine(q *store.QueueItem) {
	s.line = withoutItem(s.line, q)
	if job := s.items[q.Job]; job != nil {
		job.line = withoutItem(job.line, q)
	}
	s.left = append(s.left, q)
	s.hasLeft(q.ID)
}

func withoutItem(list []*store.QueueItem, q *store.QueueItem) []*store.QueueItem {
	i, ok := slices.BinarySearchFunc(list, q.ID, func(o *store.QueueItem, id int64) int { return cmp.Compare(o.ID, id) })
	if !ok {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// dropQueueOf forgets the items of a deleted job. s.mu is held.
func (s *Server) dropQueueOf(job uint64) {
	gone := func(q *store.QueueItem) bool { return q.Job == job }
	for _, q := range s.line {
		if gone(q) {
			s.hasLeft(q.ID)
		}
	}
	s.line, s.left = slices.DeleteFunc(s.line, gone), slices.DeleteFunc(s.left, gone)
	maps.DeleteFunc(s.queue, func(_ int64, q *store.QueueItem) bool { return q.Job == job })
}

// waiting are the items that have not left, by ID.
func (s *Server) waiting() []*store.QueueItem { return slices.Clone(s.line) }

// waitingOf are the waiting items of a job by ID.
func (s *Server) waitingOf(job *item) []*store.QueueItem { return slices.Clone(job.line) }

var (
	errNoItem = errors.New("no such queue item")
	errLeft   = errors.New("the queue item has left")
)

// cancelItem takes an item out of the queue. s.mu is held.
func (s *Server) cancelItem(id int64) error {
	q := s.queue[id]
	switch {
	case q == nil:
		return errNoItem
	case !q.Left.IsZero():
		return errLeft
	}
	changed := *q
	changed.Left, changed.Cancelled = s.now(), true
	if err := s.store.PutQueueItem(&changed); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	*q = changed
	s.leaveLine(q)
	return nil
}

// schedule starts what is due until ctx ends.
func (s *Server) schedule(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		timer.Reset(s.scheduleOnce(ctx))
	}
}

// scheduleOnce starts what is due and returns when to look again.
func (s *Server) scheduleOnce(ctx context.Context) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := time.Minute
	now := s.now()
	for _, q := range s.waiting() {
		due := q.Due
		if due.After(q.Entered) {
			due = due.Add(s.lag)
		}
		if wait := due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if s.quieting {
			continue
		}
		if err := s.leave(q, now); err != nil {
			klog.FromContext(ctx).Error(err, "queue item cannot be started", "item", q.ID)
			next = min(next, 5*time.Second)
		}
	}
	if !s.quieting {
		if !now.Before(s.periodicAt) {
			s.periodicAt = now.Add(s.duePeriodicScans(now))
		}
		next = min(next, s.periodicAt.Sub(now))
	}
	return min(next, s.expire(now))
}

// expire forgets items that left long ago and returns when to look again. s.mu is held.
func (s *Server) expire(now time.Time) time.Duration {
	next := time.Minute
	var gone []int64
	for _, q := range s.left {
		if wait := q.Left.Add(s.cfg.LeftItemTTL).Sub(now); wait > 0 {
			next = min(next, wait)
			break
		}
		gone = append(gone, q.ID)
	}
	if len(gone) > 0 && s.store.DeleteQueueItems(gone) == nil {
		for _, id := range gone {
			delete(s.queue, id)
		}
		s.left = slices.Delete(s.left, 0, len(gone))
	}
	return next
}

// leave moves a due item on: to a build, or out of the queue if its job is disabled, or it stays
// blocked. s.mu is held.
func (s *Server) leave(q *store.QueueItem, now time.Time) error {
	job := s.items[q.Job]
	if job == nil || job.cfg.disabled {
		return s.cancelItem(q.ID)
	}
	if job.isMulti() {
		return s.leaveForScan(job, q, now)
	}
	if other := s.blocker(job); other != nil {
		if job.cfg.abortPrevious || job.AbortPrevious {
			if r := s.runs[other.Key()]; r != nil {
				r.cancel(&engine.AbortError{Reason: "Superseded by a newer build", Result: engine.ResultNotBuilt})
			}
		}
		if q.BuildableSince.IsZero() {
			changed := *q
			changed.BuildableSince = now
			if err := s.store.PutQueueItem(&changed); err != nil {
				return err
			}
			*q = changed
		}
		return nil
	}
	b := &store.Build{
		Job: job.ID, Number: max(1, job.NextBuild), QueueID: q.ID, Queued: q.Entered,
		Started: now, Building: true, Params: q.Params, Causes: q.Causes, Durable: s.durable,
	}
	left := *q
	left.Left, left.Number = now, b.Number
	next := *job.Item
	next.NextBuild = b.Number + 1
	if err := s.store.StartBuild(&left, b, &next); err != nil {
		return fmt.Errorf("start build: %w", err)
	}
	*q = left
	s.leaveLine(q)
	job.NextBuild = next.NextBuild
	job.addBuild(b)
	s.launch(job, b, q)
	return nil
}

// blocker is the running build that holds back the next one of a job, nil if there is none.
func (s *Server) blocker(job *item) *store.Build {
	if !job.noConcurrent() {
		return nil
	}
	if job.live == 0 {
		return nil
	}
	return first(job.history(), func(b *store.Build) bool { return b.Building })
}

// why says what an item waits for, in Jenkins' words.
func (s *Server) why(q *store.QueueItem) string {
	now := s.now()
	if wait := q.Due.Sub(now); wait > 0 {
		return "In the quiet period. Expires in " + timeSpan(wait)
	}
	if s.quieting {
		return "Jenkins is about to shut down"
	}
	if job := s.items[q.Job]; job != nil {
		if b := s.blocker(job); b != nil {
			return fmt.Sprintf("Build #%d is already in progress (ETA: %s)", b.Number, s.eta(job, b))
		}
	}
	return "Finished waiting"
}

func (s *Server) eta(job *item, b *store.Build) string {
	est := job.estimate()
	left := time.Duration(est)*time.Millisecond - s.now().Sub(b.Started)
	if est < 0 || left <= 0 {
		return "N/A"
	}
	return timeSpan(left)
}

// timeSpan writes a duration the way Jenkins does.
func timeSpan(d time.Duration) string {
	ms := d.Milliseconds()
	sec := ms / 1000
	two := func(a int64, an string, b int64, bn string) string {
		return strconv.FormatInt(a, 10) + " " + an + " " + strconv.FormatInt(b, 10) + " " + bn
	}
	switch {
	case sec >= 24*3600:
		unit := "days"
		if sec < 2*24*3600 {
			unit = "day"
		}
		return two(sec/(24*3600), unit, sec/3600%24, "hr")
	case sec >= 3600:
		return two(sec/3600, "hr", sec/60%60, "min")
	case sec >= 60:
		return two(sec/60, "min", sec%60, "sec")
	case sec >= 10:
		return strconv.FormatInt(sec, 10) + " sec"
	case sec >= 1:
		return strconv.FormatFloat(float64(ms/100)/10, 'f', -1, 64) + " sec"
	case ms >= 100:
		return strconv.FormatFloat(float64(ms/10)/100, 'f', -1, 64) + " sec"
	}
	return strconv.FormatInt(ms, 10) + " ms"
}

var errDelay = errors.New("invalid time duration value")

// parseDelay reads the parameter delay: "5sec" or milliseconds.
func parseDelay(s string, quiet time.Duration) (time.Duration, error) {
	if s == "" {
		return quiet, nil
	}
	s = strings.TrimSpace(s)
	unit := time.Millisecond
	if t, ok := strings.CutSuffix(s, "secs"); ok {
		s, unit = t, time.Second
	} else if t, ok := strings.CutSuffix(s, "sec"); ok {
		s, unit = t, time.Second
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n > int64(1000*time.Hour/unit) || n < 0 {
		return 0, fmt.Errorf("%w: %q", errDelay, s)
	}
	return time.Duration(n) * unit, nil
}

// paramText lists parameters as the field params of a queue item does.
func paramText(params []store.Param) string {
	var b strings.Builder
	for _, p := range params {
		v := p.Value
		if p.Type == jenkinsfile.ParameterPassword {
			v = "****"
		}
		b.WriteString("\n" + p.Name + "=" + v)
	}
	return b.String()
}
