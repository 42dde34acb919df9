// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// stepCalls is how many calls for steps are made at a time for one run.
const stepCalls = 4

// StageReader reads stages and their steps.
type StageReader interface {
	// Nodes gives the stages without their steps.
	Nodes(ctx context.Context, folder, job string, build int64) ([]jenkins.Stage, error)
	// Steps gives the steps of one stage, RunSteps those of all, without saying whose they are.
	Steps(ctx context.Context, folder, job string, build int64, node string) ([]jenkins.Step, error)
	RunSteps(ctx context.Context, folder, job string, build int64) ([]jenkins.Step, error)
}

// readStages reads the stages and the steps of those that changed: the steps of a stage that has finished
// are read once in its life.
func (s *scope) readStages(ctx context.Context, final bool) ([]jenkins.Stage, error) {
	stages, err := s.Jenkins.Nodes(ctx, s.folder, s.job, s.build())
	if err != nil {
		return nil, err
	}
	var open []int
	for i := range stages {
		stage := &stages[i]
		stage.Steps = []jenkins.Step{}
		if stage.State == "" || stage.State == jenkins.StateSkipped || stage.State == jenkins.StateNotBuilt {
			continue // it has no steps
		}
		known, ok := s.past.steps[stage.ID]
		if ok && stage.State == jenkins.StateFinished && known.result == stage.Result && known.duration == stage.DurationMillis {
			stage.Steps = known.steps
			continue
		}
		open = append(open, i)
	}
	if final && len(open) > 1 && isChain(stages) {
		steps, err := s.Jenkins.RunSteps(ctx, s.folder, s.job, s.build())
		if err != nil {
			return nil, err
		}
		open = handOut(stages, open, steps)
	}
	if err := s.readSteps(ctx, stages, open); err != nil {
		return nil, err
	}
	s.past.steps = map[string]finishedStage{}
	for i := range stages {
		if stage := &stages[i]; stage.State == jenkins.StateFinished && !final {
			s.past.steps[stage.ID] = finishedStage{result: stage.Result, duration: stage.DurationMillis, steps: stage.Steps}
		}
	}
	return stages, nil
}

// readSteps reads the steps of stages, one call each.
func (s *scope) readSteps(ctx context.Context, stages []jenkins.Stage, open []int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(stepCalls)
	for _, i := range open {
		g.Go(func() error {
			steps, err := s.Jenkins.Steps(ctx, s.folder, s.job, s.build(), stages[i].ID)
			if errors.Is(err, jenkins.ErrNotFound) {
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
func isChain(stages []jenkins.Stage) bool {
	for i, stage := range stages {
		good := stage.State == jenkins.StateFinished && (stage.Result == jenkins.ResultSuccess || stage.Result == jenkins.ResultUnstable) ||
			stage.State == jenkins.StateSkipped
		last := i == len(stages)-1
		linked := last && len(stage.Edges) == 0 || !last && len(stage.Edges) == 1 && stage.Edges[0].ID == stages[i+1].ID
		if !good || !linked || stage.Type != "STAGE" || i > 0 && number(stage.ID) <= number(stages[i-1].ID) {
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
func handOut(stages []jenkins.Stage, open []int, steps []jenkins.Step) (left []int) {
	own := map[int][]jenkins.Step{}
	for _, step := range steps {
		at := -1
		for i, stage := range stages {
			if number(stage.ID) >= 0 && number(stage.ID) < number(step.ID) {
				at = i
			}
		}
		if at < 0 || stages[at].State == jenkins.StateSkipped {
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
