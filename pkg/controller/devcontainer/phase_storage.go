// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// defaultClassAnnotation marks the StorageClass of claims that name none.
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class"

// ensureStorage keeps the volume of the work directory. A cluster without a StorageClass has none; there
// the files are in the pod, and they move to a volume only while the app is stopped: before, the move
// would lose them.
func (r *Reconciler) ensureStorage(ctx context.Context, s *scope) error {
	want := resources.Claim(s.app, r.options.DefaultStorage)
	live := &corev1.PersistentVolumeClaim{}
	err := r.client.Get(ctx, client.ObjectKeyFromObject(want), live)
	exists := err == nil
	switch {
	case exists:
		s.storageNote = fitClaim(want, live)
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read PersistentVolumeClaim: %w", err)
	default:
		s.ephemeral, err = r.mustBeEphemeral(ctx, s)
		if err != nil || s.ephemeral {
			return err
		}
	}
	obj, err := r.apply(ctx, s, want, &corev1.PersistentVolumeClaim{})
	if err == nil {
		s.claim = obj.(*corev1.PersistentVolumeClaim)
		return nil
	}
	outcome := reconcile.AsOutcome(err)
	switch {
	case exists && (isQuota(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err)):
		// The volume works as it is. That it cannot grow must not keep the rest from being done.
		s.claim, s.storageNote = live, "the volume stays as it is: "+outcome.Message
		return nil
	case outcome.Reason == devcontainerv1.ReasonStarting:
		return reconcile.Wait(devcontainerv1.ReasonVolumePending, outcome.Message, outcome.After)
	}
	return err
}

// fitClaim changes want to what the live claim can become, and says what it cannot: a claim's class is
// fixed and its size only grows.
func fitClaim(want, live *corev1.PersistentVolumeClaim) (note string) {
	if asked := want.Spec.StorageClassName; asked != nil && live.Spec.StorageClassName != nil && *asked != *live.Spec.StorageClassName {
		note = fmt.Sprintf("the volume stays in StorageClass %q: a volume cannot move to %q", *live.Spec.StorageClassName, *asked)
	}
	want.Spec.StorageClassName = live.Spec.StorageClassName
	asked, has := storageOf(want), storageOf(live)
	if asked.Cmp(has) < 0 {
		want.Spec.Resources.Requests[corev1.ResourceStorage] = has
		note = fmt.Sprintf("the volume stays at %s: a volume cannot shrink to %s", has.String(), asked.String())
	}
	return note
}

func storageOf(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	return claim.Spec.Resources.Requests[corev1.ResourceStorage]
}

// mustBeEphemeral tells, for an app without a claim, if it has to do without one.
func (r *Reconciler) mustBeEphemeral(ctx context.Context, s *scope) (bool, error) {
	set := &appsv1.StatefulSet{}
	err := r.client.Get(ctx, client.ObjectKey{Namespace: s.app.Namespace, Name: resources.Name(s.app)}, set)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("read StatefulSet: %w", err)
	}
	running := err == nil && set.Spec.Replicas != nil && *set.Spec.Replicas > 0
	if running && resources.IsEphemeral(set) {
		return true, nil
	}
	if storage := s.app.Spec.Storage; storage != nil && storage.StorageClassName != nil {
		return false, nil
	}
	classes := &storagev1.StorageClassList{}
	if err := r.client.List(ctx, classes); err != nil {
		return false, fmt.Errorf("list StorageClasses: %w", err)
	}
	for i := range classes.Items {
		if classes.Items[i].Annotations[defaultClassAnnotation] == "true" {
			return false, nil
		}
	}
	return true, nil
}
