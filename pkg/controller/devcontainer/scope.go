// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// scope is what the phases of one pass share: the app, what they made sure of, and what they saw.
// status.go computes the status from it alone.
type scope struct {
	app *devcontainerv1.DevcontainerApp

	// storageNote says what the volume cannot be made to, although the spec asks for it.
	storageNote string
	// ephemeral: files are kept in the pod.
	ephemeral bool
	// keysError says which SSH key of the spec is not valid; empty if all are.
	keysError string
	// fingerprints are those of the host keys.
	fingerprints []string

	secret  *corev1.Secret
	claim   *corev1.PersistentVolumeClaim
	service *corev1.Service
	set     *appsv1.StatefulSet
	pod     *corev1.Pod
	// events are those of the StatefulSet, the pod and the volume, oldest first. They are read only
	// while the app is not ready.
	events []corev1.Event
	now    time.Time

	// failure is why the phases ended early; nil if they did not.
	failure *reconcile.Outcome
	// lookAgain is when a look at the clock alone would change the status; 0 for never.
	lookAgain time.Duration
}

// stopped tells if the pod should not exist.
func (s *scope) stopped() bool { return s.app.Spec.RunState == devcontainerv1.Stopped }
