// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
)

// Claim is the volume of the work directory. size is used if the app names none. It belongs to the app
// and not to the StatefulSet: files outlive the pod and the StatefulSet, but not the app.
func Claim(app *devcontainerv1.DevcontainerApp, size resource.Quantity) *corev1.PersistentVolumeClaim {
	var class *string
	if storage := app.Spec.Storage; storage != nil {
		class = storage.StorageClassName
		if storage.Size != nil && storage.Size.Sign() > 0 {
			size = *storage.Size
		}
	}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: objectMeta(app, ClaimName(app)),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: class,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: size},
			},
		},
	}
}
