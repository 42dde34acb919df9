// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devcontainerapp serves dev containers.
package devcontainerapp

import (
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// New makes the handler.
func New(deps crud.Deps) *crud.Handler[*devcontainerv1.DevcontainerApp] {
	return crud.New(crud.Kind[*devcontainerv1.DevcontainerApp]{
		GVK:       devcontainerv1.GroupVersion.WithKind(devcontainerv1.Kind),
		Resource:  devcontainerv1.ResourceName,
		New:       func() *devcontainerv1.DevcontainerApp { return &devcontainerv1.DevcontainerApp{} },
		NewList:   func() client.ObjectList { return &devcontainerv1.DevcontainerAppList{} },
		CheckName: validation.NameIsDNSSubdomain,
		Prepare:   prepare,
	}, deps)
}
