// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// PutNode implements engine.Recorder.
func (r *buildRun) PutNode(n engine.Node) {
	n.Edges = slices.Clone(n.Edges)
	r.mu.Lock()
	if r.ended || r.suspended {
		r.mu.Unlock()
		return
	}
	seq, known := r.nodeSeq[n.ID]
	if !known {
		seq = len(r.nodes)
		r.nodeSeq[n.ID] = seq
		r.nodes = append(r.nodes, n)
	} else {
		r.nodes[seq] = n
	}
	r.mu.Unlock()
	if err := r.s.store.PutNode(r.key, seq, n); err != nil {
		klog.FromContext(r.ctx).Error(err, "node is not stored", "job", r.jobName, "number", r.key.Number)
	}
}

// PutStep implements engine.Recorder.
func (r *buildRun) PutStep(st engine.Step) {
	r.mu.Lock()
	if r.ended || r.suspended {
		r.mu.Unlock()
		return
	}
	seq, known := r.stepSeq[st.ID]
	if !known {
		seq = len(r.steps)
		r.stepSeq[st.ID] = seq
		r.steps = append(r.steps, st)
	} else {
		r.steps[seq] = st
	}
	r.mu.Unlock()
	if st.State == engine.StateFinished {
		r.log.EndStep(st.ID)
	}
	if err := r.s.store.PutStep(r.key, seq, st); err != nil {
		klog.FromContext(r.ctx).Error(err, "step is not stored", "job", r.jobName, "number", r.key.Number)
	}
}

// Log implements engine.Recorder.
func (r *buildRun) Log(stepID string) io.Writer { return guardedWriter{r, r.log.Writer(stepID)} }

// guardedWriter drops what comes after the end of the build, or after it was suspended: a line that is cut
// by that must not get an end.
type guardedWriter struct {
	r *buildRun
	w io.Writer
}

func (g guardedWriter) Write(p []byte) (int, error) {
	g.r.mu.Lock()
	over := g.r.ended || g.r.suspended
	g.r.mu.Unlock()
	if over {
		return len(p), nil
	}
	return g.w.Write(p)
}

// SetDescription implements engine.Recorder.
func (r *buildRun) SetDescription(text string) {
	r.change(func(b *store.Build) { b.Description = text })
}

// SetDisplayName implements engine.Recorder.
func (r *buildRun) SetDisplayName(text string) {
	r.change(func(b *store.Build) { b.DisplayName = text })
}

func (r *buildRun) change(f func(*store.Build)) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.items[r.key.Job] == nil {
		return
	}
	f(r.build)
	if err := r.s.store.PutBuild(r.build); err != nil {
		klog.FromContext(r.ctx).Error(err, "build is not stored", "job", r.jobName, "number", r.key.Number)
	}
}

// graph copies the nodes and steps of a running build.
func (r *buildRun) graph() ([]engine.Node, []engine.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.nodes), slices.Clone(r.steps)
}

// StoredGraph implements engine.StoredGraph.
func (r *buildRun) StoredGraph() ([]engine.Node, []engine.Step) { return r.graph() }

// begun tells if the build has reached a stage.
func (r *buildRun) begun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.nodes) > 0
}

// interruptedBy are the users and reasons that interrupted the build so far.
func (r *buildRun) interruptedBy() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.abortedBy)
}

// graph reads the nodes and steps of a build.
func (s *Server) graph(k store.BuildKey, live *buildRun) ([]engine.Node, []engine.Step, error) {
	if live != nil {
		n, st := live.graph()
		return n, st, nil
	}
	return s.store.Graph(k)
}

// defaultMaxArtifacts bounds the artifacts of a build in bytes, maxArtifacts their number.
const (
	defaultMaxArtifacts = 8 << 30
	maxArtifacts        = 100_000
)

// artifacts implements engine.Artifacts.
type artifacts struct {
	r *buildRun
	// used and count are what this process took: the bytes and the files.
	used, count atomic.Int64
}

// Put implements engine.Artifacts.
func (a *artifacts) Put(ctx context.Context, path string, content io.Reader) error {
	if a.count.Add(1) > maxArtifacts {
		return fmt.Errorf("a build can have %d artifacts at most", maxArtifacts)
	}
	return a.r.s.store.PutArtifact(ctx, a.r.key, path, &countedReader{content, &a.used, a.r.s.cfg.MaxArtifacts})
}

// countedReader fails where more is read than there may be.
type countedReader struct {
	r    io.Reader
	used *atomic.Int64
	most int64
}

// Read implements io.Reader.
func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.used.Add(int64(n)) > c.most {
		return 0, fmt.Errorf("the artifacts of a build can have %d bytes at most", c.most)
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// waitingAgents shows in the queue what a build waits for while it gets its agent.
type waitingAgents struct {
	run   *buildRun
	inner engine.AgentProvider
}

func (a *waitingAgents) HasLabel(label string) bool { return a.inner.HasLabel(label) }

// CheckPod implements engine.PodProvider.
func (a *waitingAgents) CheckPod(pod *engine.PodRequest) error { return engine.CheckPod(a.inner, pod) }

func (a *waitingAgents) Acquire(ctx context.Context, req engine.AgentRequest, waiting func(string)) (engine.Agent, error) {
	s := a.run.s
	id, err := s.store.NextQueueID()
	if err != nil {
		return nil, err
	}
	p := &placeholder{id: id, since: s.now(), run: a.run, why: "Waiting for next available executor"}
	s.mu.Lock()
	s.placeholders[id] = p
	a.run.waits = append(a.run.waits, p)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.dropPlaceholder(p)
		s.mu.Unlock()
	}()
	return a.inner.Acquire(ctx, req, func(reason string) {
		s.mu.Lock()
		p.why = reason
		s.mu.Unlock()
		if waiting != nil {
			waiting(reason)
		}
	})
}

// Resume implements engine.AgentResumer.
func (a *waitingAgents) Resume(ctx context.Context, req engine.AgentRequest, name, workspace string) (engine.Agent, error) {
	resumer, ok := a.inner.(engine.AgentResumer)
	if !ok {
		return nil, errors.New("the agents of this server do not outlive it")
	}
	return resumer.Resume(ctx, req, name, workspace)
}

// blockage is what a running build waits for, nil if it does not. s.mu is held.
func (s *Server) blockage(k store.BuildKey) any {
	if r := s.runs[k]; r != nil && len(r.waits) > 0 {
		return r.waits[0].why
	}
	return nil
}

// dropPlaceholder forgets that a build waits. s.mu is held.
func (s *Server) dropPlaceholder(p *placeholder) {
	delete(s.placeholders, p.id)
	p.run.waits = slices.DeleteFunc(p.run.waits, func(o *placeholder) bool { return o == p })
}
