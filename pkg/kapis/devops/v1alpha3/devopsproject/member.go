// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/rights"
	"github.com/slipway-dev/slipway/pkg/store"
)

// paramMember is the path parameter of a member of a workspace.
const paramMember = "workspacemember"

// maxProjects bounds for how many projects of a workspace the rights of a member are asked for.
const maxProjects = 5000

var (
	listPipelines = rights.Right{
		Verb: request.VerbList, Group: devopsv1alpha3.GroupName, Version: devopsv1alpha3.GroupVersion.Version, Resource: devopsv1alpha3.PipelineResource,
	}
	listProjects = rights.Right{
		Verb: request.VerbList, Group: devopsv1alpha3.GroupName, Version: devopsv1alpha3.GroupVersion.Version, Resource: devopsv1alpha3.DevOpsProjectResource,
	}
)

// memberHandler serves the projects of a member.
type memberHandler struct {
	store      *store.Store
	authorizer authorizer.UnconditionalAuthorizer
}

// List answers with the projects of a workspace in which a member may list pipelines. Who asks for another
// member needs the right to list projects.
func (h memberHandler) List(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	query, err := store.ParseQuery(req.Request.URL.Query())
	if err != nil {
		return err
	}
	member, err := h.member(ctx, req.PathParameter(paramMember))
	if err != nil {
		return err
	}
	names, err := h.names(ctx, req)
	if err != nil {
		return err
	}
	visible, err := rights.Allowed(ctx, h.authorizer, member, listPipelines, names)
	if err != nil {
		return err
	}
	page, err := store.List(ctx, h.store, &devopsv1alpha3.DevOpsProjectList{}, query, func(p *devopsv1alpha3.DevOpsProject) bool {
		return belongs(req, p) && visible.Has(p.Name)
	})
	if err != nil {
		return err
	}
	response.WriteList(resp.ResponseWriter, req.Request, page.Items, page.Total)
	return nil
}

// member gives the user of a name, as far as it is known: of others than the user who asks the groups are not.
func (h memberHandler) member(ctx context.Context, name string) (user.Info, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, response.Unauthorized("no user")
	}
	if name == u.GetName() {
		return u, nil
	}
	allowed, err := rights.Has(ctx, h.authorizer, u, listProjects, "", "")
	if err != nil {
		return nil, err
	}
	if !allowed {
		return nil, response.NewStatus(http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf(
			"user %q may not list devopsprojects.%s in the whole cluster, and so not see the projects of other members", u.GetName(), devopsv1alpha3.GroupName))
	}
	return &user.DefaultInfo{Name: name, Groups: []string{user.AllAuthenticated}}, nil
}

// names gives the names of the workspace's projects.
func (h memberHandler) names(ctx context.Context, req *restful.Request) ([]string, error) {
	query := store.All("")
	query.Limit = 1
	var names []string
	// Only names are collected, nothing is copied.
	_, err := store.List(ctx, h.store, &devopsv1alpha3.DevOpsProjectList{}, query, func(p *devopsv1alpha3.DevOpsProject) bool {
		if belongs(req, p) {
			names = append(names, p.Name)
		}
		return false
	})
	slices.Sort(names)
	return names[:min(len(names), maxProjects)], err
}

// AddMemberRoutes adds the route of the projects of a member, in both families of paths.
func AddMemberRoutes(ws *restful.WebService, deps crud.Deps, a authorizer.UnconditionalAuthorizer) {
	h := memberHandler{deps.Store, a}
	for _, last := range []string{"namespaces", "devops"} {
		docs := crud.Docs{Tag: "Projects", Params: []*restful.Parameter{
			ws.PathParameter(ParamWorkspace, "workspace of the projects"), ws.PathParameter(paramMember, "name of a user"),
		}}
		if last == "devops" {
			docs.Suffix, docs.Deprecated = "Devops", true
		}
		route := docs.Finish(ws.GET("/workspaces/{"+ParamWorkspace+"}/workspacemembers/{"+paramMember+"}/"+last), kapis.Access{})
		ws.Route(crud.ListParams(ws, route).To(kapis.Handle(h.List)).
			Operation("listDevOpsProjectOfMember"+docs.Suffix).
			Doc("List the projects of a member").
			Notes("Those of the workspace in which the user may list pipelines. To ask for another user takes the right to list all projects; rights that "+
				"others have by their groups are not known. It cannot be watched.").
			Returns(http.StatusOK, "OK", response.List[devopsv1alpha3.DevOpsProject]{}))
	}
}
