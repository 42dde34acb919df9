// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// maxStages bounds the JSON of the stages, in bytes: a ConfigMap holds 1 MiB.
const maxStages = 900_000

// stagesHashAnnotation is the hash of the stages that the ConfigMap holds. It saves reading the
// ConfigMap, and a watch of all ConfigMaps of the cluster.
const stagesHashAnnotation = "slipway.dev/stages-hash"

// keepStages writes the stages into the run's ConfigMap if they changed.
func (s *scope) keepStages(ctx context.Context, final bool) error {
	if s.past.finalStages {
		return nil
	}
	stages, err := s.past.stagesKnown.Read(ctx, s.Jenkins, jenkins.BuildRef{Folder: s.folder, Job: s.job, Number: s.build()}, final)
	switch {
	case err != nil && away(err):
		return s.failed(err)
	case err != nil:
		// A run without stages is still a run: what Jenkins cannot show must not keep it from ending.
		ctrl.LoggerFrom(ctx).V(1).Info("the stages cannot be read", "build", s.build(), "error", err.Error())
		return nil
	}
	s.inputs = waitingInputs(stages)
	text, err := encodeStages(stages, final, maxStages)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:8])
	if s.run.Annotations[stagesHashAnnotation] == hash {
		s.past.finalStages = final
		return nil
	}
	if err := s.writeStages(ctx, string(text)); err != nil {
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
			// A quota, or a namespace that is being deleted: the run goes on without.
			ctrl.LoggerFrom(ctx).Info("the stages cannot be kept", "error", err.Error())
			return nil
		}
		return fmt.Errorf("write stages: %w", err)
	}
	s.annotate(stagesHashAnnotation, hash)
	s.past.finalStages = final
	return nil
}

// encodeStages writes the stages as JSON of at most limit bytes. Durations of what still runs are
// left out, as they change with every look. Too long a text loses, in this order: the descriptions of
// steps, the steps, and the stages at the end.
func encodeStages(stages []jenkins.Stage, final bool, limit int) ([]byte, error) {
	if stages == nil {
		stages = []jenkins.Stage{}
	}
	if !final {
		stages = withoutRunningDurations(stages)
	}
	for degree := 0; ; degree++ {
		text, err := json.Marshal(stages)
		if err != nil {
			return nil, fmt.Errorf("encode stages: %w", err)
		}
		if len(text) <= limit || len(stages) == 0 {
			return text, nil
		}
		switch degree {
		case 0:
			stages = changeSteps(stages, func(step *jenkins.Step) { step.DisplayDescription = "" })
		case 1:
			stages = clone(stages)
			for i := range stages {
				stages[i].Steps = []jenkins.Step{}
			}
		default:
			stages = stages[:len(stages)/2]
		}
	}
}

func clone(stages []jenkins.Stage) []jenkins.Stage { return append([]jenkins.Stage{}, stages...) }

func changeSteps(stages []jenkins.Stage, change func(*jenkins.Step)) []jenkins.Stage {
	out := clone(stages)
	for i := range out {
		out[i].Steps = append([]jenkins.Step{}, out[i].Steps...)
		for j := range out[i].Steps {
			change(&out[i].Steps[j])
		}
	}
	return out
}

func withoutRunningDurations(stages []jenkins.Stage) []jenkins.Stage {
	out := changeSteps(stages, func(step *jenkins.Step) {
		if step.State != jenkins.StateFinished {
			step.DurationMillis = 0
		}
	})
	for i := range out {
		if out[i].State != jenkins.StateFinished {
			out[i].DurationMillis = 0
		}
	}
	return out
}

// writeStages creates the ConfigMap, or patches it.
func (s *scope) writeStages(ctx context.Context, text string) error {
	if s.run.Annotations[stagesHashAnnotation] == "" {
		if err := s.createStages(ctx, text); !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{devopsv1alpha3.StageConfigMapKey: text}})
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.run.Namespace, Name: s.run.Name}}
	err = s.Client.Patch(ctx, cm, client.RawPatch(types.MergePatchType, patch))
	if !apierrors.IsNotFound(err) {
		return err
	}
	return s.createStages(ctx, text)
}

func (s *scope) createStages(ctx context.Context, text string) error {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.run.Namespace, Name: s.run.Name,
			Labels: map[string]string{devopsv1alpha3.PipelineNameLabel: s.run.Labels[devopsv1alpha3.PipelineNameLabel], devopsv1alpha3.ManagedLabel: "true"},
		},
		Data: map[string]string{devopsv1alpha3.StageConfigMapKey: text},
	}
	if err := controllerutil.SetControllerReference(s.run, cm, s.Client.Scheme()); err != nil {
		return err
	}
	return s.Client.Create(ctx, cm)
}
