// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// build is one running build.
type build struct {
	spec   RunSpec
	rec    Recorder
	m      *groovy.Machine
	baton  baton
	masks  masks
	lastID int
	// result is the worst that the script or a step set so far; empty for none. It belongs to who
	// holds the baton, as do vars and state.
	result Result
	// vars are the variables that env.X = … set.
	vars map[string]string
	// displayName and description are of currentBuild.
	displayName, description string
	steps                    int
	postDone                 bool
	// ranNode is the last stage that was not skipped; the steps of the pipeline's post belong to it.
	ranNode *graphNode
	// milestone is the last that it passed, -1 for none; milestones counts them.
	milestone, milestones int
	// loaded counts the scripts of the step load.
	loaded int
	// changes are those of the build, nil until they were asked for.
	changes []Change
	graphMu sync.Mutex
	abort   sync.Once
}

// maxSteps bounds how many steps a build may run.
const maxSteps = 50_000

// flow is where a branch of a build stands. It is passed in the context and never changed in
// place, apart from what its pointers hold.
type flow struct {
	agent *agentHandle
	// dir is the absolute current folder; empty without an agent.
	dir string
	// env are the variables of environment directives and withEnv.
	env map[string]string
	// node is the stage or branch around.
	node       *graphNode
	cursor     *cursor
	timestamps bool
	// path names the branch, shells counts its shell steps; both make up the ID of a shell step.
	path   string
	shells *int
	// inPost is set in the post section of the pipeline.
	inPost bool
	// locks are those that the step lock holds here.
	locks []string
	// cell is the cell of a matrix whose stage begins; see runCell.
	cell *cell
	// branchNode is the node of a branch that the stage in it takes over.
	branchNode *graphNode
}

type flowKey struct{}

func flowOf(ctx context.Context) *flow { return ctx.Value(flowKey{}).(*flow) }

// withFlow returns a context with a changed copy of the flow.
func withFlow(ctx context.Context, change func(*flow)) context.Context {
	f := *flowOf(ctx)
	change(&f)
	return context.WithValue(ctx, flowKey{}, &f)
}

// stepNode is the node that steps belong to.
func (f *flow) stepNode() *graphNode { return f.node }

// pipelineLine writes one of Jenkins' own lines.
func (b *build) pipelineLine(text string) {
	_, _ = io.WriteString(b.rec.Log(""), "[Pipeline] "+b.masks.apply(text)+"\n")
}

// line writes a line without a time, also in timestamps.
func (b *build) line(text string) {
	_, _ = io.WriteString(b.rec.Log(""), b.masks.apply(text)+"\n")
}

// stamped writes a line of the current flow, with a time in timestamps.
func (b *build) stamped(ctx context.Context, text string) {
	w := b.writer(ctx, "")
	_, _ = io.WriteString(w, text+"\n")
	w.Close()
}

func (b *build) writer(ctx context.Context, stepID string) *lineWriter {
	return &lineWriter{to: b.rec.Log(stepID), masks: &b.masks, timestamps: flowOf(ctx).timestamps}
}

// noteAbort writes once why the context has ended: who aborted the build, or a timeout.
func (b *build) noteAbort(ctx context.Context) {
	if ctx.Err() == nil {
		return
	}
	var abort *AbortError
	var stop *stopError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &abort):
		b.abort.Do(func() { b.line(abort.Error()) })
	case errors.As(cause, &stop) && stop.announce != nil:
		stop.announce()
	}
}

// blockStep runs a step with a block. before runs between the step's line and the block.
type blockStep struct {
	name  string
	label string
	// before may write lines and change the context; an error means that the block never begins.
	before func(ctx context.Context) (context.Context, error)
	body   func(ctx context.Context, bodyID string) error
	// skip, if not nil, tells behind before that the block is left out.
	skip func() bool
	// after sees the body's error behind the block's end and may change it.
	after func(ctx context.Context, err error) error
}

func (b *build) runBlock(ctx context.Context, s blockStep) error {
	if err := b.countStep(); err != nil {
		return err
	}
	b.newID()
	b.pipelineLine(s.name)
	inner := ctx
	if s.before != nil {
		var err error
		if inner, err = s.before(ctx); err != nil {
			b.newID()
			b.pipelineLine("// " + s.name)
			return err
		}
	}
	var err error
	if s.skip == nil || !s.skip() {
		err = b.runBody(inner, s)
	}
	if s.after != nil {
		err = s.after(ctx, err)
	}
	b.newID()
	b.pipelineLine("// " + s.name)
	return err
}

// runBody runs one { … } of a block step.
func (b *build) runBody(ctx context.Context, s blockStep) error {
	bodyID := b.newID()
	if s.label != "" {
		b.pipelineLine("{ (" + s.label + ")")
	} else {
		b.pipelineLine("{")
	}
	b.baton.yield()
	err := s.body(ctx, bodyID)
	b.newID()
	b.pipelineLine("}")
	return err
}

func (b *build) countStep() error {
	b.steps++
	if b.steps > maxSteps {
		return &groovy.LimitError{Message: "The build has more than " + itoa(maxSteps) + " steps; is a loop endless?"}
	}
	return nil
}

// getContext writes the step that Jenkins needs to mark a skipped stage.
func (b *build) getContext() {
	b.newID()
	b.pipelineLine("getContext")
}

// cleanup returns a context for what must still run when ctx has ended. While ctx lives, it is that.
func (b *build) cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	limit := b.spec.PostTimeout
	if limit <= 0 {
		limit = 5 * time.Minute
	}
	return context.WithTimeoutCause(context.WithoutCancel(ctx), limit,
		&stopError{line: "Post sections took longer than " + spanText(limit) + " after the end of the build"})
}

// releaseTimeout bounds how long giving an agent back may take.
const releaseTimeout = time.Minute

// agentHandle is an agent in use.
type agentHandle struct {
	Agent
	b *build
	// env are the agent's own variables, nil until they were asked for; envReady is open meanwhile.
	env      map[string]string
	envReady chan struct{}
	node     string
	// scm are the variables of the checkout at the start.
	scm [][2]string
}

// inAgent runs body on an agent for the directive; nil and none run it where it is.
func (b *build) inAgent(ctx context.Context, a *jenkinsfile.Agent, stage string, body func(context.Context) error) error {
	if a == nil || a.Type == jenkinsfile.AgentNone || a.Type == "" {
		return body(ctx)
	}
	label, err := b.agentLabel(ctx, a)
	if err != nil {
		return err
	}
	var handle *agentHandle
	s := blockStep{name: "node"}
	s.before = func(ctx context.Context) (context.Context, error) {
		if handle, err = b.acquire(ctx, AgentRequest{Label: label, Node: stage}); err != nil {
			return ctx, err
		}
		b.stamped(ctx, "Running on "+handle.Name()+" in "+handle.Workspace())
		return withFlow(ctx, func(f *flow) { f.agent, f.dir = handle, handle.Workspace() }), nil
	}
	s.body = func(ctx context.Context, _ string) error {
		if err := b.checkoutDefault(ctx, stage); err != nil {
			return err
		}
		return body(b.withSCMEnv(ctx))
	}
	defer func() {
		if handle != nil {
			b.release(ctx, handle)
		}
	}()
	return b.runBlock(ctx, s)
}

func (b *build) release(ctx context.Context, h *agentHandle) {
	b.baton.aside(func() {
		fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := h.Release(fresh); err != nil {
			b.line("Agent " + h.Name() + " could not be released: " + err.Error())
		}
	})
}

func (b *build) agentLabel(ctx context.Context, a *jenkinsfile.Agent) (string, error) {
	x := a.LabelExpr()
	if x == nil || a.Type == jenkinsfile.AgentAny {
		return "", nil
	}
	v, err := b.m.Eval(ctx, x)
	if err != nil || v == nil {
		return "", err
	}
	return strings.TrimSpace(groovy.ToString(v)), nil
}

func (b *build) acquire(ctx context.Context, req AgentRequest) (*agentHandle, error) {
	var agent Agent
	var err error
	node := flowOf(ctx).node
	first := true
	var mu sync.Mutex
	waiting := func(reason string) {
		mu.Lock()
		defer mu.Unlock()
		if first {
			first = false
			b.stamped(ctx, "Still waiting to schedule task")
		}
		b.stamped(ctx, reason)
		b.setBlocked(node, reason)
	}
	b.baton.aside(func() { agent, err = b.spec.Agents.Acquire(ctx, req, waiting) })
	b.setBlocked(node, "")
	if err != nil {
		b.noteAbort(ctx)
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		return nil, failed("No agent for %s: %v", labelText(req.Label), err)
	}
	if agent == nil {
		return nil, failed("No agent for %s", labelText(req.Label))
	}
	return &agentHandle{Agent: agent, b: b, node: req.Node}, nil
}

func labelText(label string) string {
	if label == "" {
		return "any label"
	}
	return "label ‘" + label + "’"
}

// resolve makes a path absolute in the current folder.
func (f *flow) resolve(p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(f.dir, p)
}
