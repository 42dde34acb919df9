// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

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
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// scope is what the phases of one pass share.
type scope struct {
	*Reconciler
	project *devopsv1alpha3.DevOpsProject
	patcher *reconcile.Patcher
	// namespace is the project's own namespace, nil if it was not seen.
	namespace *corev1.Namespace
	// recheck is when to look again at what only somebody in Jenkins can change.
	recheck time.Duration
	// gone: the pass took the last finalizer away, there is nothing left to write to.
	gone bool
}

func (r *Reconciler) newScope(project *devopsv1alpha3.DevOpsProject) *scope {
	return &scope{Reconciler: r, project: project, patcher: reconcile.NewPatcher(r.Client, project)}
}

// finish writes what the pass found and turns its error into what controller-runtime expects.
func (s *scope) finish(ctx context.Context, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || s.gone {
		// The object was read from a cache that is behind: what was found may be, too.
		return reconcile.Result(err)
	}
	s.summarize(err)
	if perr := s.patcher.Patch(ctx, s.project); perr != nil {
		return reconcile.Result(errors.Join(perr, err))
	}
	result, err := reconcile.Result(err)
	if err == nil && result.RequeueAfter == 0 {
		result.RequeueAfter = s.recheck
	}
	return result, err
}

func addFinalizer(ctx context.Context, s *scope) error {
	if !controllerutil.AddFinalizer(s.project, devopsv1alpha3.DevOpsProjectFinalizer) {
		return nil
	}
	if err := s.patcher.Patch(ctx, s.project); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	return nil
}

func dropFinalizer(ctx context.Context, s *scope) error {
	controllerutil.RemoveFinalizer(s.project, devopsv1alpha3.DevOpsProjectFinalizer)
	if err := s.patcher.Patch(ctx, s.project); err != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	s.gone = true
	return nil
}

// jenkinsError gives an error of Jenkins its reason.
func jenkinsError(err error) error {
	if jenkins.Away(err) {
		return reconcile.Retry(devopsv1alpha3.ReasonJenkinsUnavailable, err)
	}
	return reconcile.Retry(devopsv1alpha3.ReasonFailed, err)
}
