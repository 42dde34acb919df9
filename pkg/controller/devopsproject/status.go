// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

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
	if s.namespace != nil {
		// It also stands while the namespace goes: the deletion of the folder depends on it.
		s.project.Status.AdminNamespace = s.namespace.Name
	}
	condition := metav1.Condition{
		Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: s.project.Generation,
		Reason: devopsv1alpha3.ReasonSynced, Message: "the namespace and the Jenkins folder exist",
	}
	sync := devopsv1alpha3.SyncStatusSuccessful
	if outcome := reconcile.AsOutcome(err); outcome != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, outcome.Reason, outcome.Message
		sync = devopsv1alpha3.SyncStatusFailed
		if outcome.Kind == reconcile.Waiting {
			sync = devopsv1alpha3.SyncStatusPending
		}
	}
	before := meta.FindStatusCondition(s.project.Status.Conditions, condition.Type)
	wasReady := before != nil && before.Status == metav1.ConditionTrue
	changedReason := before == nil || before.Reason != condition.Reason
	reconcile.SetCondition(&s.project.Status.Conditions, condition)
	if s.project.Annotations[devopsv1alpha3.ProjectSyncStatusAnnotation] != sync {
		s.project.Annotations = merged(s.project.Annotations, map[string]string{
			devopsv1alpha3.ProjectSyncStatusAnnotation: sync,
			devopsv1alpha3.ProjectSyncTimeAnnotation:   s.Now().UTC().Format(time.RFC3339),
		})
	}
	switch {
	case condition.Status == metav1.ConditionTrue && !wasReady:
		s.Recorder.Eventf(s.project, nil, corev1.EventTypeNormal, condition.Reason, "Sync", "%s", condition.Message)
	case condition.Status == metav1.ConditionFalse && changedReason && sync == devopsv1alpha3.SyncStatusFailed:
		s.Recorder.Eventf(s.project, nil, corev1.EventTypeWarning, condition.Reason, "Sync", "%s", condition.Message)
	}
}
