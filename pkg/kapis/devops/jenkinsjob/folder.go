// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinsjob has what the handlers of both versions of the API need of the Jenkins jobs of
// pipelines: whether a project's folder may be used, and the branches of a multi-branch pipeline.
package jenkinsjob

import (
	"context"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/store"
)

// CheckFolder tells if the Jenkins folder of a namespace's name is its project's own. Without that a
// namespace could show the jobs of another tenant. The error is a 404 that says what is missing.
func CheckFolder(ctx context.Context, s *store.Store, namespace string) error {
	project := &devopsv1alpha3.DevOpsProject{}
	switch err := s.Get(ctx, "", namespace, project); {
	case apierrors.IsNotFound(err):
		return notFound(fmt.Sprintf("namespace %q belongs to no DevOps project, so it has no folder in Jenkins", namespace))
	case err != nil:
		return err
	case !project.OwnsFolder():
		return notFound(fmt.Sprintf("project %q has no folder in Jenkins yet; its condition FolderReady says why", namespace))
	}
	return nil
}

// OwnsFolder tells if CheckFolder has nothing to say.
func OwnsFolder(ctx context.Context, s *store.Store, namespace string) bool {
	return CheckFolder(ctx, s, namespace) == nil
}

// Pipeline reads a pipeline.
func Pipeline(ctx context.Context, s *store.Store, namespace, name string) (*devopsv1alpha3.Pipeline, error) {
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := s.Get(ctx, namespace, name, pipeline); err != nil {
		return nil, err
	}
	return pipeline, nil
}

// CheckMultiBranch is a 400 for a pipeline without branches.
func CheckMultiBranch(p *devopsv1alpha3.Pipeline) error {
	if p.Spec.Type != devopsv1alpha3.MultiBranchPipelineType {
		return apierrors.NewBadRequest(fmt.Sprintf("pipeline %q is no multi-branch pipeline: it has no repository to scan and no branches", p.Name))
	}
	return nil
}

func notFound(message string) error {
	return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, message)
}
