// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"context"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

var _ pipelinerun.InputSource = Jenkins{}

// ReadStages implements pipelinerun.StageSource.
func (j Jenkins) ReadStages(ctx context.Context, build pipelinerun.Build, known *jenkins.KnownStages) ([]jenkins.Stage, error) {
	return known.Read(ctx, j.Client, jenkins.BuildRef{Folder: build.Folder, Job: build.Job, Number: build.Number}, false)
}

// InputStages implements pipelinerun.InputSource.
func (j Jenkins) InputStages(ctx context.Context, build pipelinerun.Build) ([]jenkins.Stage, error) {
	return j.Client.OpenStages(ctx, build.Folder, build.Job, build.Number)
}

// SubmitInput implements pipelinerun.InputSource.
func (j Jenkins) SubmitInput(ctx context.Context, build pipelinerun.Build, answer jenkins.Answer) error {
	return j.Client.SubmitInput(ctx, build.Folder, build.Job, build.Number, answer)
}
