// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// endInterval is how often a deleted run looks if its build has ended.
const endInterval = time.Second

// leaveLimit is how long a deleted run waits until nobody takes the build that it leaves for a new one.
const leaveLimit = 5 * time.Minute

// endArchiving stops the copying of the run's files, which would otherwise outlive it.
func endArchiving(_ context.Context, s *scope) error {
	if s.Archive != nil && s.Archive.cancel(s.key()) {
		return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting until the archive lets go of the run", endInterval)
	}
	return nil
}

// endBuild sees to it that nothing of the run is live in Jenkins. Without a folder of the project's own there is nothing of it.
func endBuild(ctx context.Context, s *scope) error {
	if owned, err := pipeline.OwnsFolder(ctx, s.Client, s.run.Namespace); err != nil || !owned {
		return err
	}
	if err := s.readPipeline(ctx); err != nil {
		return err
	}
	if !s.locate() {
		return nil
	}
	if s.build() == 0 && (s.queueItem() > 0 || !s.intent().IsZero()) {
		if err := s.endStart(ctx); err != nil {
			return err
		}
	}
	if s.build() == 0 || s.run.Status.CompletionTime != nil {
		return nil
	}
	build, err := s.Jenkins.GetRun(ctx, s.folder, s.job, s.build())
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil
	case err != nil:
		return s.failed(err)
	case observe(build).final:
		return nil
	}
	if err := s.Jenkins.StopBuild(ctx, s.folder, s.job, s.build()); err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return s.failed(err)
	}
	return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting until Jenkins has stopped the build", endInterval)
}

// endStart finds what became of a start, and takes it out of the queue if it is still there.
func (s *scope) endStart(ctx context.Context) error {
	found, err := s.find(ctx)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		if left := s.Options.StartSettle - s.Now().Sub(s.intent()); s.queueItem() == 0 && left > 0 {
			return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting for a sign of the start, which got no answer", left)
		}
		return nil
	case err != nil:
		return s.failed(err)
	}
	if _, mine := s.owner(ctx, found.QueueID); !mine {
		return nil
	}
	if found.BuildNumber > 0 {
		s.started(found)
		return nil
	}
	err = s.Jenkins.CancelQueueItem(ctx, found.QueueID)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jenkins.ErrConflict), errors.Is(err, jenkins.ErrNotFound):
		return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "the run has just left Jenkins' queue", endInterval)
	}
	return s.failed(err)
}

// deleteBuild deletes the build unless the user wants to keep it, or somebody in Jenkins does.
func deleteBuild(ctx context.Context, s *scope) error {
	if s.folder == "" || s.build() == 0 {
		return nil
	}
	if s.run.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] == "true" {
		return s.leaveBuild(ctx)
	}
	err := s.Jenkins.DeleteBuild(ctx, s.folder, s.job, s.build())
	switch {
	case err == nil, errors.Is(err, jenkins.ErrNotFound):
		return nil
	case errors.Is(err, jenkins.ErrInvalid):
		// It is marked in Jenkins as one to be kept for ever, which no other try will change.
		ctrl.LoggerFrom(ctx).Info("Jenkins keeps the build of a deleted run", "build", s.build(), "error", err.Error())
		return s.leaveBuild(ctx)
	}
	return s.failed(err)
}

// leaveBuild leaves the build in Jenkins. One that carries no note of its run could be taken for Jenkins' own
// and be adopted: the run stays until the builds up to it have been looked at.
func (s *scope) leaveBuild(ctx context.Context) error {
	_, intended := s.run.Annotations[devopsv1alpha3.StartIntentAnnotation]
	noted := intended && !unmarked(s.run)
	if noted || s.Now().Sub(s.run.DeletionTimestamp.Time) > leaveLimit || s.pipeline == nil || !s.pipeline.DeletionTimestamp.IsZero() || readMarks(s.pipeline).covers(branchOf(s.run), s.build()) {
		return nil
	}
	if s.pipeline.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] == "" {
		asked := s.pipeline.DeepCopy()
		if asked.Annotations == nil {
			asked.Annotations = map[string]string{}
		}
		asked.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] = s.Now().UTC().Format(time.RFC3339)
		if err := s.Client.Patch(ctx, asked, client.MergeFrom(s.pipeline)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("ask for a look at the pipeline's builds: %w", err)
		}
	}
	return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting until the builds before it have been looked at", endInterval)
}

// deleteArchive deletes the run's files from the object store.
func deleteArchive(ctx context.Context, s *scope) error {
	if s.Archive == nil {
		return nil
	}
	return s.Archive.remove(ctx, s.run)
}

// dropFinalizer lets the run go, if it is still as it was read: a stale copy may not know of a build.
func dropFinalizer(ctx context.Context, s *scope) error {
	s.forget(s.key())
	controllerutil.RemoveFinalizer(s.run, devopsv1alpha3.PipelineRunFinalizer)
	s.gone = true
	return client.IgnoreNotFound(s.write(ctx, "remove finalizer"))
}
