// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// scope is what the phases of one pass share.
type scope struct {
	*Reconciler
	pipeline *devopsv1alpha3.Pipeline
	patcher  *reconcile.Patcher
	// analysis is of the Jenkinsfile in the spec.
	analysis Analysis
	// doc is the config.xml of a new job, options are what it has besides the spec, and hash tells it from others.
	doc     []byte
	options jobxml.Options
	hash    string
	// written: Jenkins has the job, as far as anybody knows.
	written bool
	// looked: the pass asked Jenkins about the job.
	looked bool
	// disabled: somebody disabled the job in Jenkins.
	disabled bool
	// repaired are the fields that somebody changed in Jenkins and that are as they were again.
	repaired []string
	// info and branches are what was read of a multi-branch job in this pass, nil if it was not read.
	info     *jenkins.PipelineInfo
	branches []jenkins.BranchInfo
	// recheck is when to look again at what only somebody in Jenkins can change.
	recheck time.Duration
	// unrecorded: the Jenkinsfile could not be kept in the history.
	unrecorded bool
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
		s.unsaved()
		return reconcile.Result(errors.Join(perr, err))
	}
	result, err := reconcile.Result(err)
	if err == nil && result.RequeueAfter == 0 && s.written {
		p := s.memory.get(s.key())
		var next time.Time
		if p.scan != nil {
			next = p.scan.next
		}
		result.RequeueAfter = earliest(s.Now(), p.check, p.refresh, next)
	}
	if err == nil && result.RequeueAfter == 0 {
		result.RequeueAfter = s.recheck
	}
	if err == nil && s.unrecorded && (result.RequeueAfter == 0 || result.RequeueAfter > historyRetry) {
		result.RequeueAfter = historyRetry
	}
	return result, err
}

// unsaved plans to look again at what could not be written down.
func (s *scope) unsaved() {
	s.plan(func(p *plan) {
		p.look = p.look || s.looked
		if s.info != nil {
			p.refresh = s.Now()
		}
	})
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.pipeline) }

// plan changes the plan of the pipeline.
func (s *scope) plan(f func(*plan)) { s.memory.of(s.key(), f) }

// jobPath names the job in Jenkins.
func (s *scope) jobPath() (folder, job string) { return s.pipeline.Namespace, JobName(s.pipeline) }

func (s *scope) isMultiBranch() bool { return s.pipeline.Spec.MultiBranchPipeline != nil }

// reason is the reason of the condition Synced as the former pass left it.
func (s *scope) reason() string {
	if c := meta.FindStatusCondition(s.pipeline.Status.Conditions, devopsv1alpha3.ConditionSynced); c != nil {
		return c.Reason
	}
	return ""
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
	s.memory.forget(s.key())
	controllerutil.RemoveFinalizer(s.pipeline, devopsv1alpha3.PipelineFinalizer)
	if err := s.patcher.Patch(ctx, s.pipeline); err != nil {
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
