// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package runs

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestNew(t *testing.T) {
	pipeline := &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: strings.Repeat("long", 50), UID: "u"},
		Spec: devopsv1alpha3.PipelineSpec{Pipeline: &devopsv1alpha3.NoScmPipeline{Parameters: []devopsv1alpha3.ParameterDefinition{
			{Name: "A", Type: "string", DefaultValue: "a"}, {Name: "P", Type: "password", DefaultValue: "hunter2"},
		}}},
	}
	run := New(pipeline)
	if got := run.Spec.PipelineSpec.Pipeline.Parameters; got[0].DefaultValue != "a" || got[1].DefaultValue != "" {
		t.Errorf("parameters %+v: those who read a run must not get passwords", got)
	}
	if pipeline.Spec.Pipeline.Parameters[1].DefaultValue != "hunter2" {
		t.Error("the pipeline was changed")
	}
	owner := metav1.GetControllerOf(run)
	if owner == nil || owner.UID != "u" || owner.BlockOwnerDeletion != nil || run.Namespace != "shop" {
		t.Errorf("owner %+v", owner)
	}
	if value := run.Labels[devopsv1alpha3.PipelineNameLabel]; value == "" || len(validation.IsValidLabelValue(value)) > 0 {
		t.Errorf("label %q", value)
	}
	if New(&devopsv1alpha3.Pipeline{}).Spec.PipelineSpec == nil {
		t.Error("a pipeline with branches has a spec, too")
	}
}
