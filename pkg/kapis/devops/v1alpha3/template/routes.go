// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const tag = "Templates"

// AddRoutes adds the routes of the projects' templates, in one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, family crud.Family) {
	docs := family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.TemplateResource, Tag: tag, Singular: "template", Plural: "templates",
		Object: devopsv1alpha3.Template{}, Page: response.List[devopsv1alpha3.Template]{},
	})
	crud.AddReadRoutes(ws, newTemplates(deps), docs)
	r := renderer[*devopsv1alpha3.Template]{
		deps: deps, empty: func() *devopsv1alpha3.Template { return &devopsv1alpha3.Template{} },
		spec: func(t *devopsv1alpha3.Template) *devopsv1alpha3.TemplateSpec { return &t.Spec },
	}
	addRender(ws, docs, route{kind: devopsv1alpha3.TemplateKind, resource: devopsv1alpha3.TemplateResource, function: r.function()})
}

// AddClusterRoutes adds the routes of the templates for all projects.
func AddClusterRoutes(ws *restful.WebService, deps crud.Deps) {
	docs := crud.Docs{
		Path: "/" + devopsv1alpha3.ClusterTemplateResource, Tag: tag, Singular: "cluster template", Plural: "cluster templates",
		Object: devopsv1alpha3.ClusterTemplate{}, Page: response.List[devopsv1alpha3.ClusterTemplate]{},
	}
	crud.AddReadRoutes(ws, newClusterTemplates(deps), docs)
	r := renderer[*devopsv1alpha3.ClusterTemplate]{
		deps: deps, empty: func() *devopsv1alpha3.ClusterTemplate { return &devopsv1alpha3.ClusterTemplate{} },
		spec: func(t *devopsv1alpha3.ClusterTemplate) *devopsv1alpha3.TemplateSpec { return &t.Spec },
	}
	addRender(ws, docs, route{kind: devopsv1alpha3.ClusterTemplateKind, resource: devopsv1alpha3.ClusterTemplateResource, function: r.function()})
}

// route is what differs between the routes that render.
type route struct {
	kind, resource string
	function       restful.RouteFunction
}

func addRender(ws *restful.WebService, docs crud.Docs, r route) {
	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: r.resource}
	ws.Route(docs.Finish(ws.POST(docs.Path+"/{"+crud.ParamName+"}/render"), access).To(r.function).
		Operation("render"+r.kind+docs.Suffix).
		Doc("Make a Jenkinsfile of a "+docs.Singular).
		Notes("The answer is the template; its annotation "+devopsv1alpha3.RenderResultAnnotation+" holds the Jenkinsfile. Nothing is stored.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(ws.PathParameter(crud.ParamName, "name of the "+docs.Singular)).
		Reads(RenderRequest{}).
		Returns(http.StatusOK, "OK", docs.Object).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
}
