// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// TestUnstableIsShownAsSuch: a run whose tests failed is neither shown as a failure, as the peer does, nor as a success like any other.
func TestUnstableIsShownAsSuch(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	b.jenkins.result = jenkins.ResultUnstable
	counted, others := testutil.ToFloat64(endedRuns.WithLabelValues(resultUnstable)), testutil.ToFloat64(endedRuns.WithLabelValues(resultSuccess))
	got := b.until("r1", ended)
	c := conditionOf(got, devopsv1alpha3.ConditionSucceeded)
	if got.Status.Phase != devopsv1alpha3.Succeeded || c.Status != metav1.ConditionTrue || c.Reason != "Unstable" || c.Message != "the build ended with test failures or warnings" {
		t.Errorf("phase %s, condition %+v", got.Status.Phase, c)
	}
	var shown struct{ State, Result string }
	if err := json.Unmarshal([]byte(got.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &shown); err != nil || shown.State != "FINISHED" || shown.Result != "UNSTABLE" {
		t.Errorf("the JSON that the console reads: %+v, %v", shown, err)
	}
	if diff := cmp.Diff([]string{"Normal Started Jenkins started build 1 of p/build", "Warning Unstable Unstable: the build ended with test failures or warnings"}, b.events.list); diff != "" {
		t.Errorf("events: %s", diff)
	}
	if unstable, success := testutil.ToFloat64(endedRuns.WithLabelValues(resultUnstable))-counted, testutil.ToFloat64(endedRuns.WithLabelValues(resultSuccess))-others; unstable != 1 || success != 0 {
		t.Errorf("the metric counts %v unstable and %v successful runs", unstable, success)
	}
}
