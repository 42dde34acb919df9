// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Why a stage is skipped, as the log says it.
const (
	skipFailure  = "earlier failure(s)"
	skipUnstable = "earlier stage(s) marking the build as unstable"
	skipWhen     = "when conditional"
	// skipRestart begins the reason of stages before the one that a build is restarted at.
	skipRestart = "this build restarting at stage "
)

// runStages runs stages one after the other. After a failure, and with a reason to skip, the stages
// are gone through without being run. It returns the first error.
func (b *build) runStages(ctx context.Context, stages []*jenkinsfile.Stage, skip string) error {
	var first error
	// before says that a restarted build has not come to its first stage.
	before := b.spec.FirstStage != "" && flowOf(ctx).node == nil && containsStage(stages, b.spec.FirstStage)
	for _, st := range stages {
		reason := skip
		if before = before && st.Name != b.spec.FirstStage; before {
			reason = skipRestart + "\"" + b.spec.FirstStage + "\""
		}
		switch {
		case reason != "":
		case first != nil:
			reason = skipFailure
		case b.result == ResultUnstable && b.option(b.spec.Pipeline.Options, "skipStagesAfterUnstable"):
			reason = skipUnstable
		}
		if err := b.runStage(ctx, st, reason); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func containsStage(stages []*jenkinsfile.Stage, name string) bool {
	return slices.ContainsFunc(stages, func(st *jenkinsfile.Stage) bool { return st.Name == name })
}

// runStage runs one stage with its node.
func (b *build) runStage(ctx context.Context, st *jenkinsfile.Stage, skip string) error {
	return b.runBlock(ctx, blockStep{name: "stage", label: st.Name, body: func(ctx context.Context, id string) error {
		node := flowOf(ctx).branchNode
		if node == nil {
			node = b.startNode(ctx, id, st.Name, "STAGE")
		}
		node.fans = st.Parallel != nil || st.Matrix != nil
		ctx = withFlow(ctx, func(f *flow) {
			f.node, f.branchNode = node, nil
			f.path += "/" + st.Name
		})
		if skip != "" {
			return b.skipStage(ctx, st, skip)
		}
		var skipped bool
		err := b.guarded(func() (err error) {
			skipped, err = b.stageBody(ctx, st)
			return err
		})
		switch {
		case skipped:
			b.endNode(node, StateSkipped, ResultNotBuilt)
		case node.fans && !ownFailure(err):
			// Blue Ocean shows the stage around branches as a success whatever they did.
			b.endNode(node, StateFinished, ResultSuccess)
		default:
			b.endNode(node, StateFinished, resultOf(err))
		}
		return err
	}})
}

// branchError is the failure of a parallel branch.
type branchError struct {
	err  error
	name string
}

func (e *branchError) Error() string { return e.err.Error() }

func (e *branchError) Unwrap() error { return e.err }

func ownFailure(err error) bool {
	var be *branchError
	return err != nil && !errors.As(err, &be)
}

// skipStage writes that a stage is skipped and goes through the stages in it.
func (b *build) skipStage(ctx context.Context, st *jenkinsfile.Stage, reason string) error {
	b.line("Stage \"" + st.Name + "\" skipped due to " + reason)
	b.getContext()
	state := StateSkipped
	result := ResultNotBuilt
	if strings.HasPrefix(reason, skipRestart) {
		if state = StateNotStarted; st.Steps == nil {
			state, result = StateFinished, ResultSuccess // so Blue Ocean has it
		}
	}
	b.endNode(flowOf(ctx).node, state, result)
	switch {
	case st.Parallel != nil:
		return b.runParallel(ctx, b.stageBranches(st.Parallel, reason), false)
	case st.Matrix != nil:
		return b.runParallel(ctx, b.matrixBranches(st.Matrix, reason), false)
	}
	return b.runStages(ctx, st.Stages, reason)
}

// whenPlace is where the when directive of a stage is evaluated.
type whenPlace int

const (
	beforeOptions whenPlace = iota
	beforeInput
	beforeAgent
	inside
)

func placeOf(w *jenkinsfile.When) whenPlace {
	switch {
	case w != nil && w.BeforeOptions:
		return beforeOptions
	case w != nil && w.BeforeInput:
		return beforeInput
	case w != nil && w.BeforeAgent:
		return beforeAgent
	}
	return inside
}

// stageBody runs what is in a stage: options, input, agent, environment, when, steps and post.
func (b *build) stageBody(ctx context.Context, st *jenkinsfile.Stage) (skipped bool, err error) {
	// at goes on with body if the when directive does not belong here, or holds.
	at := func(ctx context.Context, here whenPlace, body func(context.Context) error) error {
		if st.When != nil && placeOf(st.When) == here {
			run, err := b.when(ctx, st.When)
			if err != nil {
				return err
			}
			if !run {
				skipped = true
				return b.skipStage(ctx, st, skipWhen)
			}
		}
		return body(ctx)
	}
	content := func(ctx context.Context) error {
		b.noteRan(ctx)
		return b.stageContent(ctx, st)
	}
	onAgent := func(ctx context.Context) error {
		return b.inAgent(ctx, st.Agent, st.Name, func(ctx context.Context) error {
			return b.inEnvironment(ctx, st.Environment, func(ctx context.Context) error { return at(ctx, inside, content) })
		})
	}
	inOptions := func(ctx context.Context) error {
		return b.inOptions(ctx, st.Options, func(ctx context.Context) error {
			return at(ctx, beforeInput, func(ctx context.Context) error {
				return b.inInput(ctx, st.Input, st.Name, func(ctx context.Context) error { return at(ctx, beforeAgent, onAgent) })
			})
		})
	}
	err = b.inCell(ctx, st, func(ctx context.Context) error { return at(ctx, beforeOptions, inOptions) })
	return skipped, err
}

func (b *build) noteRan(ctx context.Context) { b.ranNode = flowOf(ctx).node }

func (b *build) stageContent(ctx context.Context, st *jenkinsfile.Stage) error {
	var err error
	switch {
	case st.Steps != nil:
		// Jenkins needs one turn more before the first step of a stage.
		b.baton.yield()
		err = b.runSteps(ctx, st.Steps.List)
	case st.Parallel != nil || st.Matrix != nil:
		failFast := st.FailFast || b.option(b.spec.Pipeline.Options, "parallelsAlwaysFailFast")
		branches := b.stageBranches(st.Parallel, "")
		if st.Matrix != nil {
			branches = b.matrixBranches(st.Matrix, "")
		}
		err = b.runParallel(ctx, branches, failFast)
	default:
		err = b.runStages(ctx, st.Stages, "")
	}
	b.noteAbort(ctx)
	if postErr := b.runPost(ctx, st.Post, err, func() { b.line("Post stage") }); err == nil {
		err = postErr
	}
	return err
}

// runSteps runs declarative steps; each is a Groovy call.
func (b *build) runSteps(ctx context.Context, steps []*jenkinsfile.Step) error {
	for _, s := range steps {
		if _, err := b.m.Eval(ctx, s.Call); err != nil {
			return err
		}
	}
	return nil
}

// branch is one branch of parallel.
type branch struct {
	name string
	run  func(context.Context) error
}

func (b *build) stageBranches(stages []*jenkinsfile.Stage, skip string) []branch {
	out := make([]branch, 0, len(stages))
	for _, st := range stages {
		out = append(out, branch{st.Name, func(ctx context.Context) error { return b.runStage(ctx, st, skip) }})
	}
	return out
}

// runParallel runs branches side by side and returns the error of the one that failed first.
func (b *build) runParallel(ctx context.Context, branches []branch, failFast bool) error {
	if err := b.countStep(); err != nil {
		return err
	}
	b.newID()
	b.pipelineLine("parallel")
	for range max(len(branches)-1, 0) {
		b.newID()
	}
	parent := flowOf(ctx)
	defer b.fanOut(parent.node)()
	inner, fast := b.newScope(ctx, kindStop, false)
	defer b.closeScope(fast)
	var first error
	left, all := len(branches), &join{ready: make(chan struct{})}
	cursors := make([]*cursor, len(branches))
	starts := make([]func(), 0, len(branches))
	for i, br := range branches {
		id := b.newID()
		b.pipelineLine("{ (Branch: " + br.name + ")")
		cursors[i] = &cursor{tails: append([]*graphNode(nil), parent.cursor.tails...)}
		b.branches++
		bctx := withFlow(inner, func(f *flow) {
			f.cursor, f.branch = cursors[i], &branchCount{name: itoa(b.branches)}
			f.path += "|" + br.name
		})
		node := b.startNode(bctx, id, br.name, "PARALLEL")
		bctx = withFlow(bctx, func(f *flow) { f.branchNode, f.node = node, node })
		starts = append(starts, func() {
			turn := b.baton.ticket()
			go func() {
				<-turn
				defer b.baton.give()
				err := b.guarded(func() error { return br.run(bctx) })
				b.endNode(node, StateFinished, resultOf(err))
				b.newID()
				b.pipelineLine("}")
				if err != nil {
					b.line("Failed in branch " + br.name)
					if first == nil {
						first = &branchError{err: err, name: br.name}
					}
					if failFast {
						b.stopScope(bctx, fast, &stopError{line: "Failed in branch " + br.name})
					}
				}
				if left--; left == 0 {
					b.baton.release(all)
				}
			}()
		})
	}
	for _, start := range starts {
		start()
	}
	if left > 0 {
		b.baton.wait(all)
	}
	var tails []*graphNode
	for _, c := range cursors {
		tails = append(tails, c.tails...)
	}
	if len(tails) > 0 {
		parent.cursor.tails, parent.cursor.joined = tails, true
	}
	b.newID()
	b.pipelineLine("// parallel")
	return first
}

// fanOut shows the stage around branches as over, as Blue Ocean does once they begin. The function
// that it returns takes that back for what comes after them.
func (b *build) fanOut(n *graphNode) func() {
	if n == nil || !n.fans {
		return func() {}
	}
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	if n.done {
		return func() {}
	}
	n.State, n.Result, n.Duration = StateFinished, ResultSuccess, max(time.Millisecond, b.since(n.StartTime))
	b.put(n)
	return func() {
		b.graphMu.Lock()
		defer b.graphMu.Unlock()
		if !n.done {
			n.State, n.Result, n.fanned = StateRunning, ResultUnknown, n.Duration
			n.Duration = 0
		}
	}
}

// guarded turns a panic, which is a defect of the engine, into an error of the stage or branch: it
// must not end the server with all its other builds.
func (b *build) guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("engine: internal error: %v", r)
		}
	}()
	return f()
}
