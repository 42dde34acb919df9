// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

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
	pipeline *devopsv1alpha3.Pipeline
	patcher  *reconcile.Patcher
	// analysis is of the Jenkinsfile in the spec.
	analysis Analysis
	// doc is the job's config.xml and hash tells it from others.
	doc  []byte
	hash string
	// written: Jenkins has doc.
	written bool
	// gone: there is nothing left to write to.
	gone bool
}

func (r *Reconciler) newScope(pipeline *devopsv1alpha3.Pipeline) *scope {
	return &scope{Reconciler: r, pipeline: pipeline, patcher: reconcile.NewPatcher(r.Client, pipeline)}
}

// finish writes what the pass found and turns its error into what controller-runtime expects.
func (s *scope) finish(ctx context.Context, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || s.gone {
		// The object was read from a cache that is behind: what was found may be, too.
		return reconcile.Result(err)
	}
	s.summarize(err)
	if perr := s.patcher.Patch(ctx, s.pipeline); perr != nil {
		return reconcile.Result(errors.Join(perr, err))
	}
	result, err := reconcile.Result(err)
	if err == nil && result.RequeueAfter == 0 && s.written {
		result.RequeueAfter = jitter(s.Options.Resync)
	}
	return result, err
}

// jitter spreads what would otherwise happen to all pipelines at once, a while after each start.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + time.Duration(rand.Int64N(int64(2*d/5)+1)) //nolint:gosec // nothing depends on this being unpredictable
}

func addFinalizer(ctx context.Context, s *scope) error {
	if !controllerutil.AddFinalizer(s.pipeline, devopsv1alpha3.PipelineFinalizer) {
		return nil
	}
	if err := s.patcher.Patch(ctx, s.pipeline); err != nil {
		return fmt.Errorf("add finalizer: %w", err)
	}
	return nil
}

func dropFinalizer(ctx context.Context, s *scope) error {
	controllerutil.RemoveFinalizer(s.pipeline, devopsv1alpha3.PipelineFinalizer)
	if err := s.patcher.Patch(ctx, s.pipeline); err != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	s.gone = true
	return nil
}

// away tells if the error means that Jenkins does not answer. One that starts refuses valid
// credentials for some seconds.
func away(err error) bool {
	return errors.Is(err, jenkins.ErrUnavailable) || errors.Is(err, jenkins.ErrUnauthorized)
}

// jenkinsError gives an error of Jenkins its reason.
func jenkinsError(err error) error {
	if away(err) {
		return reconcile.Retry(devopsv1alpha3.ReasonJenkinsUnavailable, err)
	}
	return reconcile.Retry(devopsv1alpha3.ReasonFailed, err)
}
