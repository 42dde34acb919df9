// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// projectReady tells if a project's namespace is its own and its Jenkins folder exists.
func projectReady(project *devopsv1alpha3.DevOpsProject) bool {
	return project.DeletionTimestamp.IsZero() && project.Status.AdminNamespace == project.Name &&
		meta.IsStatusConditionTrue(project.Status.Conditions, devopsv1alpha3.ConditionReady)
}

// OwnsFolder tells if the Jenkins folder of a namespace's name is that of the project of the namespace.
func OwnsFolder(ctx context.Context, reader client.Reader, namespace string) (bool, error) {
	project := &devopsv1alpha3.DevOpsProject{}
	if err := reader.Get(ctx, client.ObjectKey{Name: namespace}, project); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("get project %s: %w", namespace, err)
	}
	return project.OwnsFolder(), nil
}

// requireProject lets only the pipelines of a project through: in a namespace that merely has the
// name of some folder, anybody who may write Pipelines could write that folder's jobs.
func requireProject(ctx context.Context, s *scope) error {
	project := &devopsv1alpha3.DevOpsProject{}
	err := s.Client.Get(ctx, client.ObjectKey{Name: s.pipeline.Namespace}, project)
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Stall(devopsv1alpha3.ReasonProjectMissing,
			fmt.Sprintf("the namespace %s belongs to no DevOpsProject; make a project of that name or move the pipeline into the namespace of one", s.pipeline.Namespace))
	case err != nil:
		return fmt.Errorf("get project %s: %w", s.pipeline.Namespace, err)
	case meta.IsStatusConditionFalse(project.Status.Conditions, devopsv1alpha3.ConditionFolderReady):
		// The folder of that name is somebody else's: not even a job that was there once may be written.
		return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady, "the Jenkins folder of the project is not its own, see the conditions of the project", 0)
	case project.OwnsFolder() && s.pipeline.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] != "":
		// The project was ready once; that Jenkins is away now shows at the job itself.
		return nil
	case !projectReady(project):
		message := "the project is not ready"
		if c := meta.FindStatusCondition(project.Status.Conditions, devopsv1alpha3.ConditionReady); c != nil {
			message += ": " + c.Message
		}
		return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady, message, 0)
	}
	return nil
}

// render makes the config.xml. A Jenkinsfile that does not parse goes to Jenkins all the same, as
// Jenkins takes it, too: Slipway's parser is a second opinion, which the condition shows.
func render(_ context.Context, s *scope) error {
	spec := &s.pipeline.Spec
	if spec.Pipeline != nil {
		s.analysis = analysisOf(spec.Pipeline, s.Analyze)
	}
	options := jobxml.Options{AuthToken: deriveToken(s.Options.Key, s.pipeline)}
	if spec.Pipeline != nil && len(spec.Pipeline.Parameters) == 0 {
		options.Parameters = s.analysis.Parameters
	}
	doc, err := jobxml.Render(spec, options)
	if err != nil {
		return reconcile.Stall(devopsv1alpha3.ReasonInvalidSpec, err.Error())
	}
	sum := sha256.Sum256(doc)
	s.hash = hex.EncodeToString(sum[:])
	options.Hash = s.hash
	options.Runs = s.analysis.Runs
	if s.doc, err = jobxml.Render(spec, options); err != nil {
		return reconcile.Stall(devopsv1alpha3.ReasonInvalidSpec, err.Error())
	}
	s.options = options
	return nil
}
