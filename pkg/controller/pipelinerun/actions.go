// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// act does to a live build what the user asked for. It gives a message if the build is about to
// change for it.
func (s *scope) act(ctx context.Context, _ *jenkins.Run) (message string, err error) {
	if !s.stopWanted() {
		return "", nil
	}
	if err := s.Jenkins.StopBuild(ctx, s.folder, s.job, s.build()); err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return "", s.failed(err)
	}
	return "waiting until Jenkins has stopped the build", nil
}
