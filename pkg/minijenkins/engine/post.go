// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"

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
	if len(b.satisfied(post, worse(b.result, resultOf(err)))) == 0 {
		return nil
	}
	ctx, cancel := b.cleanup(ctx)
	defer cancel()
	return b.runBlock(ctx, blockStep{name: "stage", label: "Declarative: Post Actions", body: func(ctx context.Context, _ string) error {
		ctx = withFlow(ctx, func(f *flow) {
			f.node, f.inPost = b.ranNode, true
			f.path, f.shells = "post", new(int)
		})
		return b.runPost(ctx, post, err, nil)
	}})
}

// runPost runs the conditions that hold for the result so far. An error in one of them does not keep
// the others from running.
func (b *build) runPost(ctx context.Context, post []*jenkinsfile.PostCondition, err error, begin func()) error {
	if len(post) == 0 {
		return nil
	}
	conditions := b.satisfied(post, worse(b.result, resultOf(err)))
	if len(conditions) == 0 {
		return nil
	}
	ctx, cancel := b.cleanup(ctx)
	defer cancel()
	if begin != nil {
		begin()
	}
	var first error
	for _, c := range conditions {
		cctx := withFlow(ctx, func(f *flow) {
			f.path += "!" + c.Name
			f.shells = new(int)
		})
		if stepErr := b.runSteps(cctx, c.Steps.List); stepErr != nil {
			b.line("Error when executing " + c.Name + " post condition:")
			_, _ = io.WriteString(b.rec.Log(""), b.masks.apply(errorText(stepErr)))
			if first == nil {
				first = stepErr
			}
		}
	}
	return first
}

// satisfied returns the conditions that hold, in the order in which they run.
func (b *build) satisfied(post []*jenkinsfile.PostCondition, result Result) []*jenkinsfile.PostCondition {
	var out []*jenkinsfile.PostCondition
	for _, name := range jenkinsfile.PostConditions {
		for _, c := range post {
			if c.Name == name && holds(name, result, b.spec.Build.PreviousResult) {
				out = append(out, c)
			}
		}
	}
	return out
}

func holds(condition string, result, previous Result) bool {
	if result == "" {
		result = ResultSuccess
	}
	switch condition {
	case "always", "cleanup":
		return true
	case "changed":
		return previous != "" && previous != result
	case "fixed":
		return result == ResultSuccess && (previous == ResultFailure || previous == ResultUnstable)
	case "regression":
		return previous != "" && severity(result) > severity(previous)
	case "aborted":
		return result == ResultAborted
	case "failure":
		return result == ResultFailure
	case "success":
		return result == ResultSuccess
	case "unstable":
		return result == ResultUnstable
	case "unsuccessful":
		return result != ResultSuccess
	case "notBuilt":
		return result == ResultNotBuilt
	}
	return false
}
