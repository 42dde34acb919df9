// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// A build that runs when the server stops goes on after the next start. The engine runs its script again
// from the top and gets from the history what the script could not work out by itself; the server gives it
// the plan of before, a log that drops what is there already, the nodes and steps, what people answered and
// did to it, its locks and its agents. Nothing in the log tells of it.

// finished begins the last line of a log.
const finished = "Finished: "

const (
	interruptedText = "The build was interrupted by a restart of minijenkins."
	cannotGoOn      = "The build was interrupted by a restart of minijenkins and cannot go on: "
)

// id is the engine's name for the build.
func (r *buildRun) id() string {
	return fmt.Sprintf("%s-%d-%d", r.s.store.Instance(), r.key.Job, r.key.Number)
}

// runsBuild tells if the build of an engine's name runs; see AgentDeps.
func (s *Server) runsBuild(id string) bool {
	rest, ours := strings.CutPrefix(id, s.store.Instance()+"-")
	job, number, ok := strings.Cut(rest, "-")
	j, errJ := strconv.ParseUint(job, 10, 64)
	n, errN := strconv.Atoi(number)
	if !ours || !ok || errJ != nil || errN != nil {
		return false
	}
	return s.isBuilding(store.BuildKey{Job: j, Number: n})
}

// restoreBuilds makes the builds that were running when the last process died run again, as soon as begin is
// called, or ends those with which that is not possible.
func (s *Server) restoreBuilds(builds []*store.Build) error {
	jobs, runs := map[uint64]bool{}, map[store.BuildKey]bool{}
	for _, b := range builds {
		if !b.Building {
			continue
		}
		r, why := s.restoreBuild(b)
		if r == nil {
			if err := s.endInterrupted(b, why); err != nil {
				return err
			}
			continue
		}
		s.runs[r.key] = r
		r.job.live++
		jobs[r.key.Job], runs[r.key] = true, true
	}
	err := s.store.SweepRuns(func(k store.BuildKey) bool { return runs[k] || k.Number == 0 && jobs[k.Job] })
	return errors.Join(err, s.store.Flush())
}

// restoreBuild makes a build that goes on; nil with the reason if it cannot.
func (s *Server) restoreBuild(b *store.Build) (_ *buildRun, why string) {
	job := s.items[b.Job]
	if job == nil || !b.Durable || !s.durable {
		return nil, interruptedText
	}
	r := s.newRun(job, b)
	var err error
	if r.past, err = s.store.RunRecord(r.key); err != nil {
		return nil, cannotGoOn + err.Error()
	}
	switch q := s.queue[b.QueueID]; {
	case r.past.Plan != nil:
		r.jobName = cmp.Or(r.past.Plan.Env["JOB_NAME"], r.jobName)
	case q != nil:
		r.script, r.stage = q.Script, q.Stage
	default:
		return nil, interruptedText
	}
	if r.nodes, r.steps, err = s.store.Graph(r.key); err != nil {
		return nil, cannotGoOn + err.Error()
	}
	for i := range r.nodes {
		r.nodeSeq[r.nodes[i].ID] = i
	}
	for i := range r.steps {
		r.stepSeq[r.steps[i].ID] = i
	}
	for _, i := range r.past.Interrupts {
		r.noteInterrupt(i)
	}
	for _, a := range r.past.Answers {
		if a.Abort {
			r.abortedBy = append(r.abortedBy, rejectedBy+a.User)
		}
	}
	if err = r.openLog(); err == nil {
		r.log.Resume()
		r.history, err = s.store.OpenHistory(r.key, r.log)
	}
	if err != nil {
		if r.log != nil {
			err = errors.Join(err, r.log.Suspend())
		}
		return nil, cannotGoOn + err.Error()
	}
	return r, ""
}

// goOn begins the restored builds, the oldest first. Before the first of them begins all have what they held.
func (s *Server) goOn(ctx, base context.Context) {
	var list []*buildRun
	s.mu.RLock()
	for _, r := range s.runs {
		if r.past != nil {
			list = append(list, r)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b *buildRun) int {
		return cmp.Or(a.build.Started.Compare(b.build.Started), cmp.Compare(a.key.Job, b.key.Job), cmp.Compare(a.key.Number, b.key.Number))
	})
	for _, r := range list {
		if !r.isOver() {
			r.restoreLocks()
		}
	}
	if err := s.restoreMilestones(list); err != nil {
		klog.FromContext(ctx).Error(err, "milestones cannot be restored")
	}
	for _, r := range list {
		klog.FromContext(ctx).Info("build goes on after the restart", "job", r.jobName, "number", r.key.Number)
		r.begin(base)
	}
}

// overBefore ends a restored build that was over but for its record, or was to be killed.
func (r *buildRun) overBefore() bool {
	if result, ok := strings.CutPrefix(r.log.LastLine(), finished); ok {
		r.mu.Lock()
		r.lastWritten = true
		r.mu.Unlock()
		r.finish(engine.Result(result), "")
		return true
	}
	if r.isOver() {
		r.finish(engine.ResultAborted, hardKill)
		return true
	}
	return false
}

// isOver tells if a restored build was over but for its record, or was to be killed.
func (r *buildRun) isOver() bool {
	return strings.HasPrefix(r.log.LastLine(), finished) || slices.ContainsFunc(r.past.Interrupts, func(i store.Interrupt) bool { return i.Hard })
}

// suspend stops the build until the next start of the server.
func (r *buildRun) suspend() {
	r.mu.Lock()
	over, stop := r.ended, r.stop
	r.suspended = !over
	r.mu.Unlock()
	if !over && stop != nil {
		stop(engine.ErrSuspended)
	}
}

func (r *buildRun) isSuspended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.suspended
}

// plan is what the build was begun with; it is known if the build has come to its first stage before.
func (r *buildRun) plan() (p *store.Plan, known bool) {
	if r.past != nil && r.past.Plan != nil {
		return r.past.Plan, true
	}
	return &store.Plan{Stage: r.stage}, false
}

// keepPlan brings the plan to disk before anything of it happens.
func (r *buildRun) keepPlan(p *store.Plan) error {
	if !r.build.Durable {
		return nil
	}
	if err := errors.Join(r.s.store.PutPlan(r.key, p), r.s.store.Flush()); err != nil {
		return fmt.Errorf("keep plan: %w", err)
	}
	return nil
}

// history implements engine.History for the time in which the build runs.
type history struct{ r *buildRun }

func (h history) Events() []engine.Event { return h.r.history.Events() }

// Forget implements engine.Forgetter.
func (h history) Forget() { h.r.history.Forget() }

func (h history) Append(ctx context.Context, e engine.Event) error {
	h.r.mu.Lock()
	ended, suspended := h.r.ended, h.r.suspended
	h.r.mu.Unlock()
	switch {
	case suspended:
		return engine.ErrSuspended
	case ended:
		return nil // it only winds up
	}
	return h.r.history.Append(ctx, e)
}

// Skip implements engine.LogSkipper.
func (r *buildRun) Skip(stepID string, n int64) { r.log.Skip(stepID, n) }

var _ engine.LogAhead = (*buildRun)(nil)

// Ahead implements engine.LogAhead.
func (r *buildRun) Ahead(stepID string) int64 { return r.log.Ahead(stepID) }

// endInterrupted ends a build that a former process left running.
func (s *Server) endInterrupted(b *store.Build, reason string) error {
	end := s.store.LogTime(b.Key())
	if end.Before(b.Started) {
		end = s.now()
	}
	nodes, steps, err := s.store.Graph(b.Key())
	if err != nil {
		return err
	}
	for i := range nodes {
		if endNode(&nodes[i], end) {
			err = errors.Join(err, s.store.PutNode(b.Key(), i, nodes[i]))
		}
	}
	for i := range steps {
		if endStep(&steps[i], end) {
			err = errors.Join(err, s.store.PutStep(b.Key(), i, steps[i]))
		}
	}
	l, lerr := s.store.CreateLog(b.Key(), nil)
	if err = errors.Join(err, lerr); err != nil {
		return fmt.Errorf("end interrupted build: %w", err)
	}
	b.Result = engine.ResultAborted
	if result, over := strings.CutPrefix(l.LastLine(), finished); over {
		b.Result = engine.Result(result)
	} else {
		l.End(oneLine(reason) + finished + string(b.Result) + "\n")
		b.AbortedBy = append(b.AbortedBy, reason)
	}
	if err = l.Close(); err != nil {
		return fmt.Errorf("end interrupted build: %w", err)
	}
	b.Building, b.Duration = false, max(time.Millisecond, end.Sub(b.Started))
	dropSecrets(b)
	return errors.Join(s.store.EndBuild(b), s.store.DropStashes(b.Key()))
}
