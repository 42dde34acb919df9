// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// maxMessage bounds the message in an annotation, in characters.
const maxMessage = 1000

// scope is what the phases of one pass share.
type scope struct {
	*Reconciler
	secret  *corev1.Secret
	patcher *reconcile.Patcher
	// project is nil if the Secret is in no project.
	project *devopsv1alpha3.DevOpsProject
	content *content
	// written: Jenkins has the content.
	written bool
	// silent: nothing is said about the pass on the Secret.
	silent bool
}

func (r *Reconciler) newScope(secret *corev1.Secret) *scope {
	return &scope{Reconciler: r, secret: secret, patcher: reconcile.NewPatcher(r.Client, secret)}
}

// finish writes what the pass found and turns its error into what controller-runtime expects.
func (s *scope) finish(ctx context.Context, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || s.silent {
		return reconcile.Result(err)
	}
	tell := s.summarize(err)
	if perr := s.patcher.Patch(ctx, s.secret); perr != nil {
		return reconcile.Result(errors.Join(perr, err))
	}
	tell()
	return reconcile.Result(err)
}

// summarize sets the annotations and gives the event that is due.
func (s *scope) summarize(err error) (tell func()) {
	status, reason, message := devopsv1alpha3.SyncStatusSuccessful, devopsv1alpha3.ReasonSynced, ""
	outcome := reconcile.AsOutcome(err)
	if outcome != nil {
		status, reason, message = devopsv1alpha3.SyncStatusFailed, outcome.Reason, outcome.Message
		if outcome.Kind == reconcile.Waiting {
			status = devopsv1alpha3.SyncStatusPending
		}
	}
	before := s.annotation(devopsv1alpha3.CredentialSyncMsgAnnotation)
	changed := s.annotation(devopsv1alpha3.CredentialSyncStatusAnnotation) != status
	if changed {
		s.annotate(devopsv1alpha3.CredentialSyncStatusAnnotation, status)
		s.annotate(devopsv1alpha3.CredentialSyncTimeAnnotation, s.Now().UTC().Format(time.RFC3339))
	}
	if runes := []rune(message); len(runes) > maxMessage {
		message = string(runes[:maxMessage]) + "…"
	}
	// The words of what is tried again may differ each time; they are no news.
	again := outcome != nil && outcome.Kind == reconcile.Retrying && !changed && before != ""
	switch {
	case message == "":
		delete(s.secret.Annotations, devopsv1alpha3.CredentialSyncMsgAnnotation)
	case !again:
		s.annotate(devopsv1alpha3.CredentialSyncMsgAnnotation, message)
	}
	if s.written {
		s.annotate(devopsv1alpha3.CredentialDataHashAnnotation, s.content.hash)
		s.annotate(devopsv1alpha3.CredentialAutoSyncAnnotation, "true")
	}
	return func() {
		news := changed || !again && message != before
		switch {
		case !news || status == devopsv1alpha3.SyncStatusPending:
		case status == devopsv1alpha3.SyncStatusSuccessful:
			s.Recorder.Eventf(s.secret, nil, corev1.EventTypeNormal, reason, "Sync", "the credential is in Jenkins")
		default:
			s.Recorder.Eventf(s.secret, nil, corev1.EventTypeWarning, reason, "Sync", "%s", message)
		}
	}
}

func (s *scope) annotation(key string) string { return s.secret.Annotations[key] }

func (s *scope) annotate(key, value string) {
	if s.secret.Annotations == nil {
		s.secret.Annotations = map[string]string{}
	}
	s.secret.Annotations[key] = value
}

func addFinalizer(ctx context.Context, s *scope) error {
	if !controllerutil.AddFinalizer(s.secret, devopsv1alpha3.CredentialFinalizer) {
		return nil
	}
	if err := s.patcher.Patch(ctx, s.secret); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	return nil
}

func dropFinalizer(ctx context.Context, s *scope) error {
	controllerutil.RemoveFinalizer(s.secret, devopsv1alpha3.CredentialFinalizer)
	if err := s.patcher.Patch(ctx, s.secret); err != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	return nil
}
