// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// conflictDelay is how soon to look again at what another writer just made.
	conflictDelay = 100 * time.Millisecond
	// namespaceRecheck bounds how long a missed event of the namespace delays the project's deletion.
	namespaceRecheck = 5 * time.Second
	// contentsTimeout bounds the wait for what is in the namespace before that is deleted.
	contentsTimeout = 10 * time.Second
	// contentsRecheck is how soon to look again: projects are deleted seldom, and from a cache.
	contentsRecheck = 200 * time.Millisecond
)

// deleteContents deletes what Slipway made in the namespace and waits, for a bounded time, until it is
// gone with its pods. It saves the user a wait: Kubernetes looks at a namespace that still has
// finalizers or pods in it only every few seconds. What is left then, goes with the namespace.
func deleteContents(ctx context.Context, s *scope) error {
	namespace, err := s.readNamespace(ctx)
	if err != nil || namespace == nil || !metav1.IsControlledBy(namespace, s.project) || !namespace.DeletionTimestamp.IsZero() {
		return err
	}
	if s.Now().Sub(s.project.DeletionTimestamp.Time) > contentsTimeout {
		return nil
	}
	left := 0
	// Runs before their pipelines: each stops its build while the job is still there.
	for _, list := range []client.ObjectList{
		&devopsv1alpha3.PipelineRunList{}, &devopsv1alpha3.PipelineList{}, &devcontainerv1.DevcontainerAppList{},
	} {
		n, err := s.deleteAll(ctx, list)
		if err != nil {
			return err
		}
		left += n
	}
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(s.project.Name), client.HasLabels{devcontainerv1.AppLabel}); err != nil {
		return fmt.Errorf("list pods of %s: %w", s.project.Name, err)
	}
	if left += len(pods.Items); left > 0 {
		return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "waiting until pipelines, runs and dev containers are gone", contentsRecheck)
	}
	return nil
}

// deleteAll deletes the objects of a list's kind in the namespace and gives how many are still there.
func (s *scope) deleteAll(ctx context.Context, list client.ObjectList) (int, error) {
	if err := s.Client.List(ctx, list, client.InNamespace(s.project.Name)); err != nil {
		return 0, fmt.Errorf("list %T of %s: %w", list, s.project.Name, err)
	}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		object := item.(client.Object)
		if !object.GetDeletionTimestamp().IsZero() {
			return nil
		}
		return client.IgnoreNotFound(s.Client.Delete(ctx, object))
	})
	if err != nil {
		return 0, fmt.Errorf("delete %T of %s: %w", list, s.project.Name, err)
	}
	return meta.LenList(list), nil
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
