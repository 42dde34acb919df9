// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// decoded gives a run as it comes from Kubernetes: with nothing in common with another one.
func decoded(t *testing.T, name, jenkinsfile string) *devopsv1alpha3.PipelineRun {
	t.Helper()
	run := newRun("a", "p", name, 1)
	run.GenerateName = name[:1]
	run.Labels = map[string]string{devopsv1alpha3.PipelineNameLabel: "p"}
	run.Annotations = map[string]string{devopsv1alpha3.JenkinsPipelineRunStatusAnnotation: `{"id":"` + name + `"}`, devopsv1alpha3.CreatorAnnotation: "ann"}
	run.Finalizers = []string{"f"}
	run.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pipeline", Name: "p", UID: "u"}}
	run.Spec.PipelineSpec = &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Name: "p", Jenkinsfile: jenkinsfile}}
	run.Spec.Parameters = []devopsv1alpha3.Parameter{{Name: "version", Value: name}}
	run.Status.Conditions = []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Message: strings.Repeat("long ", 50)}}
	encoded, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	own := &devopsv1alpha3.PipelineRun{}
	if err := json.Unmarshal(encoded, own); err != nil {
		t.Fatal(err)
	}
	return own
}

func TestTransform(t *testing.T) {
	transform := Transform()
	var runs []*devopsv1alpha3.PipelineRun
	for i, jenkinsfile := range []string{"pipeline {}", "pipeline {}", "pipeline { changed }", "pipeline { changed }"} {
		run := decoded(t, fmt.Sprintf("r-%d", i), jenkinsfile)
		want := run.DeepCopy()
		run.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		run.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"
		got, err := transform(run)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("run %d: nothing else may change: -want +got:\n%s", i, diff)
		}
		runs = append(runs, run)
	}
	if runs[0].Spec.PipelineSpec != runs[1].Spec.PipelineSpec || runs[2].Spec.PipelineSpec != runs[3].Spec.PipelineSpec {
		t.Error("runs of equal specs are to share one")
	}
	if runs[0].Spec.PipelineSpec == runs[2].Spec.PipelineSpec {
		t.Error("runs of different specs must not")
	}
	if a, b := runs[0].Spec.Parameters[0].Name, runs[3].Spec.Parameters[0].Name; unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("short texts are to be shared")
	}
	if _, err := json.Marshal(runs); err != nil {
		t.Error(err)
	}
}

func TestTransformOfOthers(t *testing.T) {
	transform := Transform()
	pipeline := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
	if _, err := transform(pipeline); err != nil || pipeline.ManagedFields != nil || pipeline.Annotations[corev1.LastAppliedConfigAnnotation] == "" {
		t.Errorf("%+v, %v: users write pipelines back as they read them, with what kubectl remembers", pipeline, err)
	}
	for _, run := range []*devopsv1alpha3.PipelineRun{{}, {Spec: devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{}}}} {
		if _, err := transform(run); err != nil {
			t.Error(err)
		}
	}
	missed := toolscache.DeletedFinalStateUnknown{Key: "a/b"}
	if got, err := transform(missed); err != nil || !cmp.Equal(got, missed) {
		t.Errorf("%v, %v: want it unchanged", got, err)
	}
}
