// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline serves Pipelines.
package pipeline

import (
	"github.com/emicklei/go-restful/v3"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// Validator says what is wrong with a Jenkinsfile: a *jenkinsfile.ErrorList.
type Validator func(source string) error

// New makes the handler.
func New(deps crud.Deps, validate Validator) *crud.Handler[*devopsv1alpha3.Pipeline] {
	return crud.New(crud.Kind[*devopsv1alpha3.Pipeline]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.PipelineKind),
		Resource:  devopsv1alpha3.PipelineResource,
		New:       func() *devopsv1alpha3.Pipeline { return &devopsv1alpha3.Pipeline{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.PipelineList{} },
		CheckName: validation.NameIsDNSSubdomain,
		Prepare:   preparer{validate, deps.Store}.prepare,
		Filters:   filters,
		Forms:     true,
	}, deps)
}

// filters adds the filter type to those of all lists.
func filters(req *restful.Request) ([]store.Filter[*devopsv1alpha3.Pipeline], error) {
	wanted := devopsv1alpha3.PipelineType(req.QueryParameter("type"))
	if wanted == "" {
		return nil, nil
	}
	return []store.Filter[*devopsv1alpha3.Pipeline]{
		func(p *devopsv1alpha3.Pipeline) bool { return p.Spec.Type == wanted },
	}, nil
}
