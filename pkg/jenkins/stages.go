// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// StageReader reads the stages of a build and their steps in parts; *Client does.
type StageReader interface {
	// Nodes gives the stages without their steps.
	Nodes(ctx context.Context, folder, job string, build int64) ([]Stage, error)
	// Steps gives the steps of one stage, RunSteps those of all, without saying whose they are.
	Steps(ctx context.Context, folder, job string, build int64, node string) ([]Step, error)
	RunSteps(ctx context.Context, folder, job string, build int64) ([]Step, error)
}

var _ StageReader = (*Client)(nil)

// KnownStages remembers the steps of the stages of one build that have finished: they are read once. The zero value
// knows none. It is not safe for use by several goroutines.
type KnownStages struct{ list map[string]finishedStage }

// finishedStage holds the steps of a stage as it was.
type finishedStage struct {
	result   string
	duration int64
	steps    []Step
}

// Read gives the stages of a build with their steps, as Client.Stages does, and asks only for what changed since the last
// time. ended says that the build has ended; nothing is remembered then.
func (k *KnownStages) Read(ctx context.Context, source StageReader, b BuildRef, ended bool) ([]Stage, error) {
	stages, err := source.Nodes(ctx, b.Folder, b.Job, b.Number)
	if err != nil {
		return nil, err
	}
	var open []int
	for i := range stages {
		stage := &stages[i]
		stage.Steps = []Step{}
		if !stage.hasSteps() {
			continue
		}
		known, ok := k.list[stage.ID]
		if ok && stage.State == StateFinished && known.result == stage.Result && known.duration == stage.DurationMillis {
			stage.Steps = known.steps
			continue
		}
		open = append(open, i)
	}
	if ended && len(open) > 1 && isChain(stages) {
		steps, err := source.RunSteps(ctx, b.Folder, b.Job, b.Number)
		if err != nil {
			return nil, err
		}
		open = handOut(stages, open, steps)
	}
	if err := readSteps(ctx, source, b, stages, open); err != nil {
		return nil, err
	}
	k.list = map[string]finishedStage{}
	for i := range stages {
		if stage := &stages[i]; stage.State == StateFinished && !ended {
			k.list[stage.ID] = finishedStage{result: stage.Result, duration: stage.DurationMillis, steps: stage.Steps}
		}
	}
	return stages, nil
}

// hasSteps tells if the stage has begun.
func (s *Stage) hasSteps() bool {
	return s.State != "" && s.State != StateSkipped && s.State != StateNotBuilt
}

// readSteps reads the steps of stages, one call each.
func readSteps(ctx context.Context, source StageReader, b BuildRef, stages []Stage, open []int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(stepCalls)
	for _, i := range open {
		g.Go(func() error {
			steps, err := source.Steps(ctx, b.Folder, b.Job, b.Number, stages[i].ID)
			if errors.Is(err, ErrNotFound) {
				return nil // Jenkins lists a new stage some moments before it knows its steps
			}
			if err == nil {
				stages[i].Steps = steps
			}
			return err
		})
	}
	return g.Wait()
}

// isChain tells if the stages follow one another, none beside another, and all went well. Then a step
// belongs to the stage that began last before it. After a failure Jenkins shows the last steps of a build
// in all of its stages.
func isChain(stages []Stage) bool {
	for i, stage := range stages {
		good := stage.State == StateFinished && (stage.Result == ResultSuccess || stage.Result == ResultUnstable) ||
			stage.State == StateSkipped
		last := i == len(stages)-1
		linked := last && len(stage.Edges) == 0 || !last && len(stage.Edges) == 1 && stage.Edges[0].ID == stages[i+1].ID
		if !good || !linked || stage.Type != "STAGE" || number(stage.ID) < 0 || i > 0 && number(stage.ID) <= number(stages[i-1].ID) {
			return false
		}
	}
	return true
}

// number is the number of a node: they are numbered as they begin.
func number(id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		return -1
	}
	return n
}

// handOut gives each step to its stage. It gives the stages whose steps that does not tell: those that got
// none, as they may have stages within them, and all if a step is of no stage.
func handOut(stages []Stage, open []int, steps []Step) (left []int) {
	own := map[int][]Step{}
	for _, step := range steps {
		at := -1
		for i, stage := range stages {
			if number(stage.ID) >= 0 && number(stage.ID) < number(step.ID) {
				at = i
			}
		}
		if at < 0 || stages[at].State == StateSkipped {
			return open
		}
		end := stages[at].StartTime.Add(time.Duration(stages[at].DurationMillis) * time.Millisecond)
		if !step.StartTime.IsZero() && step.StartTime.After(end) {
			return open // it came after the stage
		}
		own[at] = append(own[at], step)
	}
	for _, i := range open {
		if len(own[i]) == 0 {
			left = append(left, i)
			continue
		}
		stages[i].Steps = own[i]
	}
	return left
}
