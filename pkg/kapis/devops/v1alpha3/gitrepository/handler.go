// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitrepository serves GitRepositories.
package gitrepository

import (
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// New makes the handler.
func New(deps crud.Deps) *crud.Handler[*devopsv1alpha3.GitRepository] {
	return crud.New(crud.Kind[*devopsv1alpha3.GitRepository]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.GitRepositoryKind),
		Resource:  devopsv1alpha3.GitRepositoryResource,
		New:       func() *devopsv1alpha3.GitRepository { return &devopsv1alpha3.GitRepository{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.GitRepositoryList{} },
		CheckName: validation.NameIsDNSSubdomain,
		Prepare:   prepare,
		Forms:     true,
		Latest:    true,
	}, deps)
}
