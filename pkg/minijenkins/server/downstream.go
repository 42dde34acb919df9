// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	classUserCause     = "hudson.model.Cause$UserIdCause"
	classUpstreamCause = "org.jenkinsci.plugins.workflow.support.steps.build.BuildUpstreamCause"
	// maxUpstream bounds how many builds may stand in a chain in which each started the next.
	maxUpstream = 20
	// maxStarted bounds how many builds of one top folder that other builds started may run or wait at a time: without
	// it a few jobs that start each other fill the server.
	maxStarted = 500
)

// causeClass is the class of a cause.
func causeClass(c store.Cause) string { return causeBean(c).class }

func upstreamText(u *store.Upstream) string {
	return fmt.Sprintf("Started by upstream project \"%s\" build number %d", u.Project, u.Build)
}

// builds implements engine.Builds: the jobs of one top folder, which is one tenant.
type builds struct{ r *buildRun }

// Start implements engine.Builds.
func (b builds) Start(_ context.Context, req engine.BuildRequest) (engine.Downstream, error) {
	s := b.r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	job := s.jobNear(b.r.job, req.Job)
	if q := b.asked(job, req.ID); q != nil {
		return &downstream{s: s, job: job, name: job.fullName(), q: q}, nil
	}
	if job == nil {
		return nil, fmt.Errorf("No item named %s found", req.Job) //nolint:staticcheck // it is Jenkins' message
	}
	if job.cfg.disabled {
		return nil, fmt.Errorf("the job %s is disabled", job.fullName())
	}
	up := &store.Upstream{Project: b.r.jobName, Build: b.r.key.Number, URL: strings.TrimPrefix(b.r.job.path(), "/"), Depth: 1, Request: req.ID}
	for _, c := range b.r.causes {
		if c.Upstream != nil {
			up.Depth = max(up.Depth, c.Upstream.Depth+1)
		}
	}
	if up.Depth > maxUpstream {
		return nil, fmt.Errorf("more than %d builds have started each other in a row", maxUpstream)
	}
	if s.startedIn(b.r.jobProject()) >= maxStarted {
		return nil, fmt.Errorf("%d builds that other builds of %s have started run or wait: %s is not started as well", maxStarted, b.r.jobProject(), job.fullName())
	}
	params, err := givenParams(job.parameters(), req.Params)
	if err != nil {
		return nil, err
	}
	quiet := s.quietOf(job)
	if req.QuietPeriod >= 0 {
		quiet = req.QuietPeriod
	}
	q, _, err := s.enqueue(start{job: job, params: params, cause: store.Cause{Upstream: up}, quiet: quiet})
	if err != nil {
		return nil, err
	}
	if b.r.build.Durable && req.ID != "" {
		if err := s.store.PutDownstream(b.r.key, req.ID, q.ID); err != nil {
			return nil, err
		}
	}
	return &downstream{s: s, job: job, name: job.fullName(), q: q}, nil
}

// startedIn counts the builds of a top folder that run or wait and that another build has started. s.mu is held.
func (s *Server) startedIn(project string) int {
	count := 0
	of := func(job *item, causes []store.Cause) {
		if job == nil || !slices.ContainsFunc(causes, func(c store.Cause) bool { return c.Upstream != nil }) {
			return
		}
		if top, _, _ := strings.Cut(job.fullName(), "/"); top == project {
			count++
		}
	}
	for _, r := range s.runs {
		of(r.job, r.causes)
	}
	for _, q := range s.queue {
		if q.Left.IsZero() {
			of(s.items[q.Job], q.Causes)
		}
	}
	return count
}

// asked finds the queue item that a request of the time before a restart became; nil if there was none. s.mu is held.
func (b builds) asked(job *item, request string) *store.QueueItem {
	if b.r.past == nil || request == "" || job == nil {
		return nil
	}
	id, known := b.r.past.Downstream[request]
	if q := b.r.s.queue[id]; known && q != nil && q.Job == job.ID {
		return q
	}
	// The causes have it too, as the server may have died between the two.
	of := func(causes []store.Cause) bool {
		return slices.ContainsFunc(causes, func(c store.Cause) bool { return c.Upstream != nil && c.Upstream.Request == request })
	}
	for _, q := range b.r.s.queue {
		if q.Job == job.ID && of(q.Causes) {
			return q
		}
	}
	for _, o := range job.history() {
		if known && o.QueueID == id || of(o.Causes) {
			return &store.QueueItem{ID: o.QueueID, Job: job.ID, Left: o.Started, Number: o.Number}
		}
	}
	if known { // it was cancelled, or its build is deleted
		return &store.QueueItem{ID: id, Job: job.ID, Left: b.r.s.now(), Cancelled: true}
	}
	return nil
}

// givenParams gives all parameters of a job their values. Those that it does not have are left out.
func givenParams(defs []jenkinsfile.Parameter, given []engine.ParamValue) ([]store.Param, error) {
	var known []givenParam
	for _, p := range given {
		if slices.ContainsFunc(defs, func(d jenkinsfile.Parameter) bool { return d.Name == p.Name }) {
			known = slices.DeleteFunc(known, func(g givenParam) bool { return g.Name == p.Name })
			known = append(known, givenParam{Name: p.Name, Value: p.Value})
		}
	}
	return valuesOf(defs, known)
}

// jobNear finds a job by a path seen from the folder of another, within the top folder of that; nil if
// there is none. s.mu is held.
func (s *Server) jobNear(from *item, path string) *item {
	if from.up == nil || s.items[from.ID] != from {
		return nil
	}
	it, rest := from.up, path
	if strings.HasPrefix(path, "/") {
		it, rest = s.root, path[1:]
	}
	for _, name := range strings.Split(rest, "/") {
		switch name {
		case "", ".":
			continue
		case "..":
			if it = it.up; it == nil {
				return nil
			}
		default:
			if it = it.find(name); it == nil {
				return nil
			}
		}
	}
	if !it.isJob() || s.items[it.ID] != it || len(it.names()) != 1 && it.names()[0] != from.names()[0] ||
		(len(it.names()) == 1) != (len(from.names()) == 1) {
		return nil
	}
	return it
}

// downstream implements engine.Downstream.
type downstream struct {
	s    *Server
	job  *item
	name string
	q    *store.QueueItem
	// build is set when it has begun.
	build *store.Build
}

// JobName implements engine.Downstream.
func (d *downstream) JobName() string { return d.name }

var errNeverBegan = errors.New("the build was cancelled while it waited in the queue")

// Started implements engine.Downstream.
func (d *downstream) Started(ctx context.Context) (engine.OtherBuild, error) {
	for {
		d.s.mu.Lock()
		switch {
		case d.q.Number > 0:
			d.build = d.job.builds[d.q.Number]
			if d.build == nil {
				d.s.mu.Unlock()
				return engine.OtherBuild{}, errors.New("the build was deleted")
			}
			out := d.seen()
			d.s.mu.Unlock()
			return out, nil
		case !d.q.Left.IsZero() || d.s.items[d.job.ID] != d.job:
			d.s.mu.Unlock()
			return engine.OtherBuild{}, errNeverBegan
		}
		left := d.s.watchLeft(d.q.ID)
		d.s.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return engine.OtherBuild{}, context.Cause(ctx)
		}
	}
}

// Finished implements engine.Downstream.
func (d *downstream) Finished(ctx context.Context) (engine.OtherBuild, error) {
	if d.build == nil {
		// A build that goes on after a restart may have seen its start before.
		if out, err := d.Started(ctx); err != nil {
			return out, err
		}
	}
	d.s.mu.RLock()
	run := d.s.runs[d.build.Key()]
	d.s.mu.RUnlock()
	if run != nil {
		select {
		case <-run.done:
		case <-ctx.Done():
			return engine.OtherBuild{}, context.Cause(ctx)
		}
	}
	d.s.mu.RLock()
	defer d.s.mu.RUnlock()
	return d.seen(), nil
}

// seen is the build as it is now. s.mu is held, at least for reading.
func (d *downstream) seen() engine.OtherBuild {
	b := d.build
	return engine.OtherBuild{
		JobName: d.name, Number: b.Number, URL: buildURL(d.s.buildURLBase(), d.job, b.Number), Result: b.Result,
		DisplayName: b.DisplayName, Description: b.Description, StartTime: b.Started, Duration: max(b.Duration, time.Duration(0)),
		Variables: paramValues(b.Params),
	}
}

// Cancel implements engine.Downstream.
func (d *downstream) Cancel(reason string) {
	d.s.mu.Lock()
	run := d.s.runs[store.BuildKey{Job: d.q.Job, Number: d.q.Number}]
	if d.q.Left.IsZero() {
		// It has gone already if the job was deleted.
		_ = d.s.cancelItem(d.q.ID)
	}
	d.s.mu.Unlock()
	if run != nil {
		run.cancel(&engine.AbortError{Reason: reason})
	}
}

// watchLeft returns what is closed when a queue item leaves. s.mu is held.
func (s *Server) watchLeft(id int64) <-chan struct{} {
	ch := make(chan struct{})
	if s.steps.left == nil {
		s.steps.left = map[int64][]chan struct{}{}
	}
	s.steps.left[id] = append(s.steps.left[id], ch)
	return ch
}

// hasLeft wakes who waits for a queue item. s.mu is held.
func (s *Server) hasLeft(id int64) {
	for _, ch := range s.steps.left[id] {
		close(ch)
	}
	delete(s.steps.left, id)
}
