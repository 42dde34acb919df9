// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resources builds the Kubernetes objects of a dev container. Its functions are pure: the same
// DevcontainerApp and options give the same object, byte for byte, so that a change of what users get
// shows as a change of a golden file.
package resources

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// AppNameAnnotation carries the DevcontainerApp's full name on every object made for it: a label's
// value and a child's own name may be shortened.
const AppNameAnnotation = "devcontainer.devstar.cn/app-name"

// maxName is the longest name of a child. The pod of a StatefulSet has the label
// controller-revision-hash, whose value is the StatefulSet's name, a dash and up to ten characters, and
// a label's value ends at 63.
const maxName = 52

// Name is the name of the StatefulSet and of the Service. It is the app's own name where that is short
// and a DNS label; the pod's name becomes its host name, which may not hold a dot. A Service's name
// must begin with a letter.
func Name(app *devcontainerv1.DevcontainerApp) string {
	const prefix = "dc-"
	name := app.Name
	switch {
	case name != "" && name[0] >= '0' && name[0] <= '9':
		// Always with a hash: "dc-1x" may be the name of another app.
		return prefix + reconcile.Shorten(name, maxName-len(prefix))
	case len(name) > maxName, strings.ContainsRune(name, '.'), len(validation.IsDNS1035Label(name)) > 0:
		return reconcile.Shorten(name, maxName)
	}
	return name
}

// PodName is the name of the only pod.
func PodName(app *devcontainerv1.DevcontainerApp) string { return Name(app) + "-0" }

// SecretName is the name of the Secret with the SSH keys. Its suffix keeps it apart from Secrets that
// users make.
func SecretName(app *devcontainerv1.DevcontainerApp) string { return Name(app) + "-ssh" }

// ClaimName is the name of the PersistentVolumeClaim.
func ClaimName(app *devcontainerv1.DevcontainerApp) string { return Name(app) + "-data" }

// Labels are on every object made for the app.
func Labels(app *devcontainerv1.DevcontainerApp) map[string]string {
	value := reconcile.LabelValue(app.Name)
	return map[string]string{
		devcontainerv1.AppLabel:        value,
		"app.kubernetes.io/name":       "devcontainer",
		"app.kubernetes.io/instance":   value,
		"app.kubernetes.io/managed-by": "slipway",
	}
}

// Selector finds the pod. It never changes: a StatefulSet's selector cannot.
func Selector(app *devcontainerv1.DevcontainerApp) map[string]string {
	return map[string]string{devcontainerv1.AppLabel: reconcile.LabelValue(app.Name)}
}

func objectMeta(app *devcontainerv1.DevcontainerApp, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   app.Namespace,
		Name:        name,
		Labels:      Labels(app),
		Annotations: map[string]string{AppNameAnnotation: app.Name},
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(app, devcontainerv1.GroupVersion.WithKind(devcontainerv1.Kind)),
		},
	}
}
