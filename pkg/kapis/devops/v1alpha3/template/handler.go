// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package template serves Templates and ClusterTemplates: Jenkinsfiles with gaps.
package template

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/templates"
)

// RenderRequest is the body of a request to render a template.
type RenderRequest struct {
	// parameters are the values; parameters that are left out have their defaults.
	Parameters []templates.Value `json:"parameters"`
}

// newTemplates makes the handler of the projects' templates.
func newTemplates(deps crud.Deps) *crud.Handler[*devopsv1alpha3.Template] {
	return crud.New(crud.Kind[*devopsv1alpha3.Template]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.TemplateKind),
		Resource:  devopsv1alpha3.TemplateResource,
		New:       func() *devopsv1alpha3.Template { return &devopsv1alpha3.Template{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.TemplateList{} },
		CheckName: validation.NameIsDNSSubdomain,
	}, deps)
}

// newClusterTemplates makes the handler of the templates for all projects.
func newClusterTemplates(deps crud.Deps) *crud.Handler[*devopsv1alpha3.ClusterTemplate] {
	return crud.New(crud.Kind[*devopsv1alpha3.ClusterTemplate]{
		GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.ClusterTemplateKind),
		Resource:  devopsv1alpha3.ClusterTemplateResource,
		New:       func() *devopsv1alpha3.ClusterTemplate { return &devopsv1alpha3.ClusterTemplate{} },
		NewList:   func() client.ObjectList { return &devopsv1alpha3.ClusterTemplateList{} },
		CheckName: validation.NameIsDNSSubdomain,
	}, deps)
}

// renderer renders templates of one kind.
type renderer[T client.Object] struct {
	deps  crud.Deps
	empty func() T
	spec  func(T) *devopsv1alpha3.TemplateSpec
}

// render answers with the template and, in an annotation, the Jenkinsfile. Nothing is stored.
func (r renderer[T]) render(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	var body RenderRequest
	if err := request.DecodeOptionalJSON(req.Request, &body); err != nil {
		return err
	}
	template := r.empty()
	if err := r.deps.Store.Get(ctx, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), template); err != nil {
		return err
	}
	text, err := templates.Jenkinsfile(ctx, r.spec(template), body.Parameters)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	annotations := template.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[devopsv1alpha3.RenderResultAnnotation] = text
	template.SetAnnotations(annotations)
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, template)
	return nil
}

func (r renderer[T]) function() restful.RouteFunction { return kapis.Handle(r.render) }
