// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Results of runs, the values of the metric's label.
const (
	resultSuccess   = "success"
	resultUnstable  = "unstable"
	resultFailure   = "failure"
	resultCancelled = "cancelled"
	resultUnknown   = "unknown"
)

var endedRuns = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "slipway", Subsystem: "pipelinerun", Name: "ended_total",
	Help: "Runs that have ended, by result: success, unstable (with test failures or warnings), failure, cancelled or unknown.",
}, []string{"result"})

func init() { metrics.Registry.MustRegister(endedRuns) } //nolint:gochecknoinits // controller-runtime's registry is global

// countEnd counts a run that has ended. An unstable one has the phase of a success, and is none.
func countEnd(phase devopsv1alpha3.RunPhase, reason string) {
	result := resultUnknown
	switch {
	case reason == devopsv1alpha3.ReasonUnstable:
		result = resultUnstable
	case phase == devopsv1alpha3.Succeeded:
		result = resultSuccess
	case phase == devopsv1alpha3.Failed:
		result = resultFailure
	case phase == devopsv1alpha3.Cancelled:
		result = resultCancelled
	}
	endedRuns.WithLabelValues(result).Inc()
}
