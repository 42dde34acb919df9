// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// claim makes the run the controller's own before anything is done for it outside: finalizer, label
// and owner.
func claim(ctx context.Context, s *scope) error {
	if err := s.readPipeline(ctx); err != nil {
		return err
	}
	controllerutil.AddFinalizer(s.run, devopsv1alpha3.PipelineRunFinalizer)
	s.hidePasswords()
	if ref := s.run.Spec.PipelineRef; ref != nil && s.run.Labels[devopsv1alpha3.PipelineNameLabel] == "" {
		if s.run.Labels == nil {
			s.run.Labels = map[string]string{}
		}
		s.run.Labels[devopsv1alpha3.PipelineNameLabel] = reconcile.LabelValue(ref.Name)
	}
	if s.pipeline != nil && len(s.run.OwnerReferences) == 0 {
		// The garbage collector deletes the runs of a pipeline that is gone.
		if err := controllerutil.SetControllerReference(s.pipeline, s.run, s.Client.Scheme()); err != nil {
			return fmt.Errorf("own run: %w", err)
		}
	}
	if !equality.Semantic.DeepEqual(s.run.ObjectMeta, s.read.ObjectMeta) || !equality.Semantic.DeepEqual(s.run.Spec, s.read.Spec) {
		if err := s.write(ctx, "claim run"); err != nil {
			return err
		}
	}
	return s.showPending(ctx)
}

// showPending gives a new run its first phase before anything else is done with it: who watches a run
// sees each phase in its order, however fast the build begins.
func (s *scope) showPending(ctx context.Context) error {
	if s.run.Status.Phase != "" {
		return nil
	}
	s.run.Status.Phase = devopsv1alpha3.Pending
	s.run.Status.UpdateTime = &metav1.Time{Time: s.Now().UTC().Truncate(time.Second)}
	s.setCondition(devopsv1alpha3.Condition{
		Type: devopsv1alpha3.ConditionSucceeded, Status: metav1.ConditionUnknown, Reason: devopsv1alpha3.ReasonStarting, Message: "the build is being started",
	})
	// The lock: a stale copy must not set a run back.
	patch := client.MergeFromWithOptions(s.read, client.MergeFromWithOptimisticLock{})
	if err := s.Client.Status().Patch(ctx, s.run, patch); err != nil {
		return fmt.Errorf("show run as pending: %w", err)
	}
	s.synced()
	return nil
}

func (s *scope) readPipeline(ctx context.Context) error {
	ref := s.run.Spec.PipelineRef
	if ref == nil || ref.Name == "" {
		return nil
	}
	found := &devopsv1alpha3.Pipeline{}
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.run.Namespace, Name: ref.Name}, found)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get pipeline %s: %w", ref.Name, err)
	}
	s.pipeline = found
	return nil
}

// locate names the run's job. It needs the reference only, so that a run can be ended whose pipeline
// is gone.
func (s *scope) locate() bool {
	ref := s.run.Spec.PipelineRef
	if ref == nil || ref.Name == "" {
		return false
	}
	s.folder, s.job = s.run.Namespace, ref.Name
	if s.run.Spec.SCM != nil && s.run.Spec.SCM.RefName != "" && s.multiBranch() {
		s.job = jenkins.BranchJob(ref.Name, s.run.Spec.SCM.RefName)
	}
	return true
}

func (s *scope) multiBranch() bool {
	switch {
	case s.pipeline != nil:
		return s.pipeline.Spec.Type == devopsv1alpha3.MultiBranchPipelineType
	case s.run.Spec.PipelineSpec != nil:
		return s.run.Spec.PipelineSpec.Type == devopsv1alpha3.MultiBranchPipelineType
	}
	return true
}

// resolve finds the job. A run that was started is followed even if its pipeline is gone.
func resolve(ctx context.Context, s *scope) error {
	known := s.locate()
	switch {
	case !known:
		return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonPipelineMissing, "the run names no pipeline: set spec.pipelineRef.name")
	case s.build() > 0, s.queueItem() > 0, !s.intent().IsZero():
		return s.requireFolder(ctx)
	case s.stopWanted():
		return nil
	case s.pipeline == nil:
		return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonPipelineMissing,
			fmt.Sprintf("there is no pipeline %s in namespace %s", s.run.Spec.PipelineRef.Name, s.run.Namespace))
	case s.pipeline.Spec.Type == devopsv1alpha3.MultiBranchPipelineType && (s.run.Spec.SCM == nil || s.run.Spec.SCM.RefName == ""):
		return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonInvalidParameters,
			"a run of a multi-branch pipeline must say what to build: set spec.scm.refName to the name of a branch")
	}
	return nil
}

// folderDelay is how often a run looks if the folder is its project's.
const folderDelay = time.Minute

// requireFolder lets only builds through that are in the project's own folder. Users can write the annotations that
// name a build: in a namespace that merely has the name of some folder, they could stop and delete that folder's builds.
func (s *scope) requireFolder(ctx context.Context) error {
	owned, err := pipeline.OwnsFolder(ctx, s.Client, s.run.Namespace)
	if err != nil || owned {
		return err
	}
	return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady,
		"the Jenkins folder "+s.run.Namespace+" is not that of a project with this namespace; see the conditions of the DevOpsProject", folderDelay)
}

// endUnstarted ends a run for which nothing was started.
func (s *scope) endUnstarted(phase devopsv1alpha3.RunPhase, reason, message string) error {
	s.starts.release(s.key())
	s.maskPasswords()
	s.seen = &observation{phase: phase, reason: reason, message: message, end: s.Now(), final: true, unstarted: true}
	return reconcile.ErrStop
}
