// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes below a workspace, in both families of paths, and those over all
// workspaces. live reads from Kubernetes itself; it may be nil.
func AddRoutes(ws *restful.WebService, deps crud.Deps, live client.Reader) {
	h := New(deps, live)
	workspace := ws.PathParameter(ParamWorkspace, "workspace of the project")
	addRoutes(ws, h, crud.Docs{Path: "/workspaces/{" + ParamWorkspace + "}/namespaces", Params: []*restful.Parameter{workspace}})
	addRoutes(ws, h, crud.Docs{
		Path: "/workspaces/{" + ParamWorkspace + "}/devops", Params: []*restful.Parameter{workspace}, Suffix: "Devops", Deprecated: true,
	})
	addRoutes(ws, h, crud.Docs{Path: "/" + devopsv1alpha3.DevOpsProjectResource, Suffix: "OfAllWorkspaces"})
}

func addRoutes(ws *restful.WebService, h *Handler, d crud.Docs) {
	d.Tag, d.Singular, d.Plural = "Projects", "project", "projects"
	d.Object, d.Page = devopsv1alpha3.DevOpsProject{}, response.List[devopsv1alpha3.DevOpsProject]{}
	d.OwnGet = true
	crud.AddRoutes(ws, h.Handler, d)

	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.DevOpsProjectResource}
	ws.Route(d.Finish(ws.GET(d.Path+"/{"+crud.ParamName+"}"), access).To(kapis.Handle(h.Get)).
		Operation("getDevOpsProject"+d.Suffix).
		Doc("Read a project").
		Notes("With check=true the answer is {\"exist\":true} or {\"exist\":false}.").
		Param(ws.PathParameter(crud.ParamName, "name of the project")).
		Param(ws.QueryParameter("generateName", "the path holds the name under which the user made the project").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter("check", "only tell whether the name is taken").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", devopsv1alpha3.DevOpsProject{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
}
