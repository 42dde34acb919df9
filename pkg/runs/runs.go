// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package runs makes PipelineRuns.
package runs

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// New makes a run of a pipeline, with a copy of its spec. Who makes it adds its name, why it runs, and with which
// parameters.
func New(pipeline *devopsv1alpha3.Pipeline) *devopsv1alpha3.PipelineRun {
	controller := true
	spec := pipeline.Spec.DeepCopy()
	WithoutPasswords(spec)
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   pipeline.Namespace,
			Labels:      map[string]string{devopsv1alpha3.PipelineNameLabel: reconcile.LabelValue(pipeline.Name)},
			Annotations: map[string]string{},
			// Without blockOwnerDeletion: to set that, a user would need a right on the pipeline itself.
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind,
				Name: pipeline.Name, UID: pipeline.UID, Controller: &controller,
			}},
		},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind,
				Namespace: pipeline.Namespace, Name: pipeline.Name, UID: pipeline.UID,
			},
			PipelineSpec: spec,
		},
	}
}

// WithoutPasswords drops the defaults of passwords from a copy of a pipeline's spec: they are read from the pipeline by
// who may write it, not from each of its runs.
func WithoutPasswords(spec *devopsv1alpha3.PipelineSpec) {
	if spec.Pipeline == nil {
		return
	}
	for i := range spec.Pipeline.Parameters {
		if p := &spec.Pipeline.Parameters[i]; p.Type == string(jenkinsfile.ParameterPassword) {
			p.DefaultValue = ""
		}
	}
}
