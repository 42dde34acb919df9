// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

// ensureService keeps the NodePort Service.
func (r *Reconciler) ensureService(ctx context.Context, s *scope) error {
	obj, err := r.apply(ctx, s, resources.Service(s.app), &corev1.Service{})
	if err != nil {
		return err
	}
	s.service = obj.(*corev1.Service)
	return nil
}

// ensureStatefulSet keeps the StatefulSet: an image, a command or a variable that changed replaces the
// pod, a key does not.
func (r *Reconciler) ensureStatefulSet(ctx context.Context, s *scope) error {
	want := resources.StatefulSet(s.app, resources.PodOptions{
		AgentImage: r.options.AgentImage,
		RunAsUser:  r.options.RunAsUser,
		Ephemeral:  s.ephemeral,
	})
	obj, err := r.apply(ctx, s, want, &appsv1.StatefulSet{})
	if err != nil {
		return err
	}
	s.set = obj.(*appsv1.StatefulSet)
	return nil
}
