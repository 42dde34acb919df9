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
	rec    *keeper
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
	// libs are the shared libraries, libVars what they define.
	libs    []*Library
	libVars map[string]*libraryVar
	// changes are those of the build, nil until they were asked for.
	changes []Change
	graphMu sync.Mutex
	abort   sync.Once

	journal journal
	// hooks, branches, which counts those of parallel, and unlocked, the requests whose locks were given back, belong
	// to who holds the baton.
	hooks    []*hook
	branches int
	unlocked map[string]bool
	scopesMu sync.Mutex
	scopes   []*scope
	// watchers are the goroutines that wait for cancels.
	watchers sync.WaitGroup
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
	// path names the place in the pipeline.
	path string
	// branch counts what the branch does.
	branch *branchCount
	// scope is what can be cancelled around; out is the log of the step that runs, nil in a block.
	scope *scope
	out   *lineWriter
	// inPost is set in the post section of the pipeline.
	inPost bool
	// post is the ID of the pipeline's post section; empty outside.
	post string
	// failing is what has failed before a post section, which currentBuild has there already.
	failing Result
	// locks are those that the step lock holds here.
	locks []string
	// cell is the cell of a matrix whose stage begins; see runCell.
	cell *cell
	// branchNode is the node of a branch that the stage in it takes over.
	branchNode *graphNode
	// pods are the pod templates around, the outermost first.
	pods []podScope
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
	return &lineWriter{to: b.rec.Log(stepID), masks: &b.masks, timestamps: flowOf(ctx).timestamps, id: stepID}
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
	inner, s, err := b.within(ctx, kindLimit, limit, &stopError{line: "Post sections took longer than " + spanText(limit) + " after the end of the build"}, true)
	if err != nil {
		return ctx, func() {}
	}
	return inner, func() { b.closeScope(s) }
}

// releaseTimeout bounds how long giving an agent back may take.
const releaseTimeout = time.Minute

// agentHandle is an agent in use.
type agentHandle struct {
	*lease
	workspace string
	// env are the agent's own variables, nil until they were asked for; asking is set meanwhile, with those who wait.
	env     map[string]string
	asking  bool
	waiting []*join
	// scm are the variables of the checkout at the start.
	scm [][2]string
}

// lease is an agent that the build has until it is released.
type lease struct {
	// Agent is for effects only: onAgent finds it again after a restart.
	Agent
	b    *build
	mu   sync.Mutex
	req  AgentRequest
	name string
	// place is the agent's own workspace.
	place string
	// container is the one in which steps run if outer, which has the agent, is not nil.
	outer     *lease
	container string
}

// inAgent runs body on an agent for the directive; nil and none run it where it is.
func (b *build) inAgent(ctx context.Context, a *jenkinsfile.Agent, stage string, body func(context.Context) error) error {
	if a == nil || a.Type == jenkinsfile.AgentNone || a.Type == "" {
		return body(ctx)
	}
	if a.Type == jenkinsfile.AgentKubernetes {
		return b.inPod(ctx, a, stage, body)
	}
	label, err := b.agentLabel(ctx, a)
	if err != nil {
		return err
	}
	return b.inNode(ctx, a, AgentRequest{Label: label, Node: stage}, body)
}

// inNode runs body on the agent of a request, after the checkout that the directive stands for.
func (b *build) inNode(ctx context.Context, a *jenkinsfile.Agent, req AgentRequest, body func(context.Context) error) error {
	var handle *agentHandle
	s := blockStep{name: "node"}
	s.before = func(ctx context.Context) (_ context.Context, err error) {
		if handle, err = b.acquire(ctx, req); err != nil {
			return ctx, err
		}
		b.stamped(ctx, "Running on "+handle.Name()+" in "+handle.Workspace())
		return withFlow(ctx, func(f *flow) { f.agent, f.dir = handle, handle.Workspace() }), nil
	}
	s.body = func(ctx context.Context, _ string) error {
		return b.inCustomWorkspace(ctx, a, func(ctx context.Context) error {
			if err := b.checkoutDefault(ctx, req.Node); err != nil {
				return err
			}
			return body(b.withSCMEnv(ctx))
		})
	}
	defer func() {
		if handle != nil {
			b.release(ctx, handle)
		}
	}()
	return b.runBlock(ctx, s)
}

func (b *build) release(ctx context.Context, h *agentHandle) {
	_, err := perform(ctx, b, effectOptions{kind: kindRelease, always: true}, func(ctx context.Context, _ *execution) (string, error) {
		return h.name, h.giveBack(ctx)
	})
	if err != nil && b.stopped() == nil {
		b.line("Agent " + h.Name() + " could not be released: " + err.Error())
	}
}

// Name and Workspace are known also while the agent has not been found again.
func (h *agentHandle) Name() string      { return h.name }
func (h *agentHandle) Workspace() string { return h.workspace }

// resume finds the agent again after a restart.
func (h *lease) resume(ctx context.Context) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Agent != nil {
		return nil
	}
	if h.outer != nil {
		return h.enter(ctx)
	}
	r, ok := h.b.spec.Agents.(AgentResumer)
	if !ok {
		return errors.New("it did not outlive the restart of the server")
	}
	agent, err := r.Resume(ctx, h.req, h.name, h.place)
	if err != nil {
		return err
	}
	if agent == nil {
		return errors.New("it is not there any more")
	}
	h.Agent = agent
	return nil
}

// giveBack releases the agent, also after the end of ctx.
func (h *lease) giveBack(ctx context.Context) error {
	fresh, cancel := h.b.detached(ctx, releaseTimeout)
	defer cancel()
	if _, ok := h.b.spec.Agents.(AgentResumer); !ok && h.Agent == nil {
		return nil
	}
	if err := h.resume(fresh); err != nil {
		return err
	}
	return h.Release(fresh)
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
	node := flowOf(ctx).node
	h := &lease{b: b, req: req}
	rec, err := perform(ctx, b, effectOptions{kind: kindAgent}, func(ctx context.Context, x *execution) (agentRecord, error) {
		h.req.ID = x.id
		if req.Pod != nil {
			if err := CheckPod(b.spec.Agents, nil); err != nil {
				return agentRecord{}, err
			}
		}
		agent, err := b.spec.Agents.Acquire(ctx, h.req, b.agentWaits(ctx, x, node))
		if err != nil || agent == nil {
			return agentRecord{}, err
		}
		h.Agent = agent
		return agentRecord{ID: x.id, Name: agent.Name(), Workspace: agent.Workspace(), Label: req.Label, Node: req.Node}, nil
	})
	b.setBlocked(node, "")
	if stop := b.stopped(); stop != nil && err != nil {
		if h.Agent != nil && !b.suspended() {
			_ = h.giveBack(ctx) // the build has ended with an error already
		}
		return nil, stop
	}
	if err != nil {
		b.noteAbort(ctx)
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		return nil, failed("No agent for %s: %v", labelText(req.Label), err)
	}
	if rec.Name == "" {
		return nil, failed("No agent for %s", labelText(req.Label))
	}
	h.req.ID, h.name, h.place = rec.ID, rec.Name, rec.Workspace
	return &agentHandle{lease: h, workspace: h.place}, nil
}

// agentWaits says why the build waits for an agent, each reason once also over a restart.
func (b *build) agentWaits(ctx context.Context, x *execution, node *graphNode) func(string) {
	var mu sync.Mutex
	told := x.told()
	say := func(text string) {
		if contains(told, text) {
			return
		}
		x.tell(text)
		w := b.writer(ctx, b.freeStep())
		_, _ = io.WriteString(w, text+"\n")
		w.Close()
	}
	first := true
	return func(reason string) {
		mu.Lock()
		defer mu.Unlock()
		if first {
			first = false
			say("Still waiting to schedule task")
		}
		say(reason)
		b.setBlocked(node, reason)
	}
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
