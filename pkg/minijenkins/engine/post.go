// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"
	"slices"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// pipelinePost runs the post section of the pipeline, once.
func (b *build) pipelinePost(ctx context.Context, err error) error {
	if b.postDone {
		return nil
	}
	b.postDone = true
	b.noteAbort(ctx)
	post := b.spec.Pipeline.Post
	if !b.anySatisfied(post, postState{err: resultOf(err)}) {
		return nil
	}
	ctx, cancel := b.cleanup(ctx)
	defer cancel()
	return b.runBlock(ctx, blockStep{name: "stage", label: "Declarative: Post Actions", body: func(ctx context.Context, id string) error {
		ctx = withFlow(ctx, func(f *flow) {
			f.node, f.inPost, f.post = b.ranNode, true, id
			f.path = "post"
		})
		return b.runPost(ctx, post, err, nil)
	}})
}

// runPost runs the conditions that hold. Each is looked at when its turn comes, so an error in one of them counts for the later ones; it does
// not keep them from running.
func (b *build) runPost(ctx context.Context, post []*jenkinsfile.PostCondition, err error, begin func()) error {
	state := postState{err: resultOf(err), stage: begin != nil}
	if !b.anySatisfied(post, state) {
		return nil
	}
	ctx, cancel := b.cleanup(ctx)
	defer cancel()
	if err != nil {
		ctx = withFlow(ctx, func(f *flow) { f.failing = state.err })
	}
	if begin != nil {
		begin()
	}
	var first error
	for _, name := range jenkinsfile.PostConditions {
		for _, c := range post {
			if c.Name != name || !b.holds(name, state) {
				continue
			}
			cctx := withFlow(ctx, func(f *flow) { f.path += "!" + c.Name })
			stepErr := b.runSteps(cctx, c.Steps.List)
			if stepErr == nil {
				continue
			}
			b.line("Error when executing " + c.Name + " post condition:")
			_, _ = io.WriteString(b.rec.Log(""), b.masks.apply(errorText(stepErr)))
			state.err = worse(state.err, resultOf(stepErr))
			if first == nil {
				first = stepErr
			}
		}
	}
	return first
}

func (b *build) anySatisfied(post []*jenkinsfile.PostCondition, state postState) bool {
	return slices.ContainsFunc(post, func(c *jenkinsfile.PostCondition) bool { return b.holds(c.Name, state) })
}

// postState is what conditions look at beside the result of the build: the result of the error, ResultSuccess for none, and whether they
// are those of a stage, which has not failed because another one has.
type postState struct {
	err   Result
	stage bool
}

// holds tells if a post condition holds, as the classes in org.jenkinsci.plugins.pipeline.modeldefinition.model.conditions have it.
func (b *build) holds(condition string, state postState) bool {
	run, previous := worse(b.result, ResultSuccess), b.spec.Build.PreviousResult
	result := worse(run, state.err)
	switch condition {
	case "always", "cleanup":
		return true
	case "changed":
		return previous != result // the first build is a change, too
	case "fixed":
		return result == ResultSuccess && (previous == ResultFailure || previous == ResultUnstable)
	case "regression":
		return previous != "" && severity(result) > severity(previous)
	case "failure":
		if state.stage {
			return result != ResultAborted && state.err != ResultSuccess
		}
		return result == ResultFailure
	case "success":
		if state.stage && run == ResultFailure {
			return state.err == ResultSuccess
		}
		return result == ResultSuccess
	case "unsuccessful":
		return result != ResultSuccess
	}
	return result == resultConditions[condition]
}

// resultConditions are the conditions that stand for one result.
var resultConditions = map[string]Result{"aborted": ResultAborted, "unstable": ResultUnstable, "notBuilt": ResultNotBuilt}
