// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/slipway-dev/slipway/pkg/testing/chart"
)

// TestFlagsOfTheChart: a flag that is renamed is renamed in the chart, too.
func TestFlagsOfTheChart(t *testing.T) {
	chart.CheckFlags(t, newCommand().Flags(), "controller-manager.yaml", "slipway.backendArgs", "slipway.agentArgs")
}
