// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scheme names the kinds that Slipway's programs read and write.
package scheme

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// New gives a scheme with the kinds of Kubernetes, of resource definitions and of Slipway.
func New() *runtime.Scheme {
	scheme := runtime.NewScheme()
	// Adding fails only where two types claim one name, which any start of the program would show.
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(devopsv1alpha1.AddToScheme(scheme))
	utilruntime.Must(devopsv1alpha3.AddToScheme(scheme))
	utilruntime.Must(devcontainerv1.AddToScheme(scheme))
	return scheme
}
