// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/cron"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	propTriggers = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
	timerTrigger = "hudson.triggers.TimerTrigger"
)

// timerOf is a schedule that was read.
type timerOf struct {
	text, seed string
	// schedule is nil if it cannot be read.
	schedule *cron.Schedule
	// next is its next time as it was found at asked; found is false if there was none for long.
	asked, next time.Time
	found       bool
}

// newTimer reads a schedule. s.mu is held.
func (s *Server) newTimer(text, seed string) *timerOf {
	schedule, err := cron.Parse(text, seed)
	if err != nil {
		s.logger().Error(err, "schedule cannot be read", "job", seed)
	}
	return &timerOf{text: text, seed: seed, schedule: schedule}
}

// timerAgain is when a schedule that has no time for long is searched again.
const timerAgain = 30 * 24 * time.Hour

// due tells if the schedule has a minute from the first to the last one. A search may be long and everybody waits for it, so what it
// found is remembered.
func (t *timerOf) due(from, to time.Time) bool {
	if t.schedule == nil {
		return false
	}
	if known := !t.asked.IsZero() && !from.Before(t.asked); !known || t.found && t.next.Before(from) || !t.found && from.Sub(t.asked) > timerAgain {
		t.next, t.found = t.schedule.Next(from)
		t.asked = from
	}
	return t.found && !t.next.After(to)
}

// cronOf reads the triggers cron('…') of a Jenkinsfile; several are lines of one schedule.
func cronOf(p *jenkinsfile.Pipeline) string {
	var lines []string
	for _, d := range p.Triggers {
		if spec, ok := jenkinsfile.ConstantText(d.Arg("spec", true)); d.Name == "cron" && ok && spec != "" {
			lines = append(lines, spec)
		}
	}
	return strings.Join(lines, "\n")
}

// timerSpec reads the schedule of the timer trigger in a config.xml.
func timerSpec(root *element) string {
	if spec := root.value("properties", propTriggers, "triggers", timerTrigger, "spec"); spec != "" {
		return spec
	}
	return root.value("triggers", timerTrigger, "spec")
}

// runTimers starts the jobs whose time has come until ctx ends.
func (s *Server) runTimers(ctx context.Context) {
	last := s.now().Truncate(time.Minute)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := s.now()
		timer.Reset(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if next := s.now().Truncate(time.Minute); next.After(last) {
			s.fireTimers(ctx, last.Add(time.Minute), next)
			last = next
		}
	}
}

// fireTimers starts each job once whose schedule has a minute from the first to the last one. Minutes that passed while the
// server was down are not made up for, as in Jenkins.
func (s *Server) fireTimers(ctx context.Context, from, to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poll(s.duePolls(from, to))
	if s.steps.timers == nil {
		s.steps.timers = map[uint64]*timerOf{}
	}
	for id := range s.steps.timers {
		if s.items[id] == nil {
			delete(s.steps.timers, id)
		}
	}
	for id, job := range s.items {
		if !job.isJob() || job.cfg.disabled || job.cfg.cron == "" && job.Cron == "" {
			continue
		}
		if !s.timerFor(id, job).due(from, to) {
			continue
		}
		if err := s.startByTimer(job); err != nil {
			klog.FromContext(ctx).Error(err, "job is not started by its timer", "job", job.fullName())
		}
	}
}

// timerFor is the schedule of a job. s.mu is held.
func (s *Server) timerFor(id uint64, job *item) *timerOf {
	text, seed := job.cfg.cron, job.fullName()
	if text == "" {
		text = job.Cron
	}
	known := s.steps.timers[id]
	if known == nil || known.text != text || known.seed != seed {
		known = s.newTimer(text, seed)
		s.steps.timers[id] = known
	}
	return known
}

// startByTimer queues a build unless one that a timer asked for is waiting. s.mu is held.
func (s *Server) startByTimer(job *item) error {
	params, err := valuesOf(job.parameters(), nil)
	if err != nil {
		return err
	}
	cause := store.Cause{Timer: true}
	if slices.ContainsFunc(job.line, func(q *store.QueueItem) bool {
		return slices.Equal(q.Params, params) && slices.Contains(q.Causes, cause)
	}) {
		return nil
	}
	_, _, err = s.enqueue(start{job: job, params: params, cause: cause, quiet: s.quietOf(job)})
	return err
}
