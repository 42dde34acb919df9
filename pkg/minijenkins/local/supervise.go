// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"os"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/step"
)

// Supervise is what a program with local agents calls first of all, with its arguments without its name. If the
// program was started to be the supervisor of a step ("step supervise …", see step.Store.Start) it does that and
// returns true and the exit code to end with.
func Supervise(args []string) (exitCode int, was bool) {
	const words = 2
	if len(args) != words+3 || args[0] != "step" || args[1] != "supervise" {
		return 0, false
	}
	err := step.Supervise(args[words], args[words+1], args[words+2])
	if err != nil {
		agent.WriteJSONError(os.Stderr, err)
	}
	return agent.ExitCode(err), true
}
