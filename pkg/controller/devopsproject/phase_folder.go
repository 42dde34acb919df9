// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// conflictDelay is how soon to look again at what another writer just made.
	conflictDelay = 100 * time.Millisecond
	// namespaceRecheck bounds how long a missed event of the namespace delays the project's deletion.
	namespaceRecheck = 5 * time.Second
)

// ensureFolder makes the Jenkins folder. It comes after the namespace, so that a project whose
// name is taken gets none.
func ensureFolder(ctx context.Context, s *scope) error {
	if err := s.Jenkins.EnsureFolder(ctx, s.project.Name); err != nil {
		return jenkinsError(err)
	}
	return nil
}

// deleteNamespace deletes the namespace and waits until it is gone. Meanwhile the finalizers of
// what is in it run: Pipelines delete their jobs, PipelineRuns stop their builds.
func deleteNamespace(ctx context.Context, s *scope) error {
	namespace, err := s.readNamespace(ctx)
	if err != nil || namespace == nil || !metav1.IsControlledBy(namespace, s.project) {
		return err
	}
	s.namespace = namespace
	if namespace.DeletionTimestamp.IsZero() {
		// By UID: the namespace may have been replaced by another of the same name since it was read.
		precondition := client.Preconditions{UID: &namespace.UID}
		if err := s.Client.Delete(ctx, namespace, precondition); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete namespace %s: %w", namespace.Name, err)
		}
	}
	return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting until the namespace with its pipelines and runs is gone", namespaceRecheck)
}

// deleteFolder deletes the folder of a project that had its namespace; one that never had it, as
// the name was taken, never made a folder either.
func deleteFolder(ctx context.Context, s *scope) error {
	if s.project.Status.AdminNamespace == "" {
		return nil
	}
	if err := s.Jenkins.DeleteFolder(ctx, s.project.Name); err != nil {
		return jenkinsError(err)
	}
	return nil
}
