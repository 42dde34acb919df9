// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// summarize computes status and annotations from what the pass saw.
func (s *scope) summarize(err error) {
	condition := metav1.Condition{
		Type: devopsv1alpha3.ConditionSynced, Status: metav1.ConditionTrue, ObservedGeneration: s.pipeline.Generation,
		Reason: devopsv1alpha3.ReasonSynced, Message: "the job is in Jenkins",
	}
	sync, message := devopsv1alpha3.SyncStatusSuccessful, ""
	if outcome := reconcile.AsOutcome(err); outcome != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, outcome.Reason, outcome.Message
		sync, message = devopsv1alpha3.SyncStatusFailed, outcome.Message
		if outcome.Kind == reconcile.Waiting {
			sync, message = devopsv1alpha3.SyncStatusPending, ""
		}
	} else if s.disabled {
		condition.Status, condition.Reason = metav1.ConditionFalse, devopsv1alpha3.ReasonJobDisabled
		condition.Message = "the job is in Jenkins, but was disabled there, so no run of it can start; enable it in Jenkins"
	} else if s.analysis.Problem != "" {
		condition.Status, condition.Reason = metav1.ConditionFalse, devopsv1alpha3.ReasonInvalidJenkinsfile
		condition.Message = s.analysis.Problem
	}
	before := meta.FindStatusCondition(s.pipeline.Status.Conditions, condition.Type)
	news := before == nil || before.Reason != condition.Reason
	reconcile.SetCondition(&s.pipeline.Status.Conditions, condition)
	s.pipeline.Status.ObservedGeneration = s.pipeline.Generation
	if s.written {
		s.annotate(devopsv1alpha3.PipelineSpecHashAnnotation, s.hash)
	}
	s.annotateSync(sync, message)
	if len(s.repaired) > 0 && err == nil {
		s.Recorder.Eventf(s.pipeline, nil, corev1.EventTypeWarning, "Repaired", "Sync", "%s", s.repairMessage())
	}
	if !news || sync == devopsv1alpha3.SyncStatusPending {
		return
	}
	eventType := corev1.EventTypeNormal
	if condition.Status != metav1.ConditionTrue {
		eventType = corev1.EventTypeWarning
	}
	s.Recorder.Eventf(s.pipeline, nil, eventType, condition.Reason, "Sync", "%s", condition.Message)
}

// annotateSync writes the three annotations that KubeSphere's console polls. The time changes with
// the status only, or every pass would be a write.
func (s *scope) annotateSync(sync, message string) {
	if s.pipeline.Annotations[devopsv1alpha3.PipelineSyncStatusAnnotation] != sync {
		s.annotate(devopsv1alpha3.PipelineSyncStatusAnnotation, sync)
		s.annotate(devopsv1alpha3.PipelineSyncTimeAnnotation, s.Now().UTC().Format(time.RFC3339))
	}
	if message == "" {
		delete(s.pipeline.Annotations, devopsv1alpha3.PipelineSyncMsgAnnotation)
		return
	}
	s.annotate(devopsv1alpha3.PipelineSyncMsgAnnotation, message)
}

func (s *scope) annotate(key, value string) {
	if s.pipeline.Annotations == nil {
		s.pipeline.Annotations = map[string]string{}
	}
	s.pipeline.Annotations[key] = value
}
