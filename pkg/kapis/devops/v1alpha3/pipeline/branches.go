// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	"github.com/slipway-dev/slipway/pkg/store"
)

// paramBranch is the path parameter of a branch: the name of its job in Jenkins.
const paramBranch = "branch"

// branchHandler serves the branches of multi-branch pipelines.
type branchHandler struct {
	deps     crud.Deps
	branches *jenkinsjob.Branches
}

// List answers with a page of branches.
func (h branchHandler) List(req *restful.Request, resp *restful.Response) error {
	query, err := store.ParseQuery(req.Request.URL.Query())
	if err != nil {
		return err
	}
	_, all, err := h.read(req)
	if err != nil {
		return err
	}
	all = jenkinsjob.Filter(all, req.QueryParameter("filter"), req.QueryParameter("name"))
	from, to := 0, len(all)
	switch {
	case query.Limit != store.NoLimit:
		from = min((query.Page-1)*query.Limit, len(all))
		to = min(from+query.Limit, len(all))
	case query.Page > 1:
		from = len(all)
	}
	response.WriteList(resp.ResponseWriter, req.Request, all[from:to], len(all))
	return nil
}

// Get answers with one branch.
func (h branchHandler) Get(req *restful.Request, resp *restful.Response) error {
	p, all, err := h.read(req)
	if err != nil {
		return err
	}
	name := req.PathParameter(paramBranch)
	branch, found := jenkinsjob.Find(all, name)
	if !found {
		return jenkinsjob.NoBranch(p, name)
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, jenkinsjob.Shown(branch))
	return nil
}

func (h branchHandler) read(req *restful.Request) (*devopsv1alpha3.Pipeline, []jenkins.BranchInfo, error) {
	ctx := req.Request.Context()
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return nil, nil, err
	}
	all, err := h.branches.List(ctx, h.deps.Store, p)
	return p, all, err
}

// AddBranchRoutes adds the routes of branches of one family of paths.
func AddBranchRoutes(ws *restful.WebService, deps crud.Deps, branches *jenkinsjob.Branches, family crud.Family) {
	h := branchHandler{deps, branches}
	docs := family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.PipelineResource + "/{" + crud.ParamName + "}/branches", Tag: "Pipelines",
	})
	docs.Params = append(docs.Params, ws.PathParameter(crud.ParamName, "name of the pipeline"))
	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	ws.Route(docs.Finish(ws.GET(docs.Path), access).To(kapis.Handle(h.List)).
		Operation("listBranch"+docs.Suffix).
		Doc("List the branches of a multi-branch pipeline").
		Notes("The primary branch first, then those that ran last. They come from the annotation jenkins-branches; if the condition "+
			"BranchesComplete is False, from Jenkins, some seconds old at most. 400 for a pipeline that is no multi-branch pipeline.").
		Param(ws.QueryParameter("filter", "origin: branches and tags of the repository; pull-requests: those; anything else: all")).
		Param(ws.QueryParameter("name", "part of the name")).
		Param(ws.QueryParameter("page", "page, from 1").DataType("integer").DefaultValue("1")).
		Param(ws.QueryParameter("limit", "branches a page; -1 for all").DataType("integer").DefaultValue("-1")).
		Returns(http.StatusOK, "OK", response.List[jenkins.BranchInfo]{}).
		Returns(http.StatusNotFound, "There is no pipeline of this name", metav1.Status{}))
	ws.Route(docs.Finish(ws.GET(docs.Path+"/{"+paramBranch+"}"), access).To(kapis.Handle(h.Get)).
		Operation("getBranch"+docs.Suffix).
		Doc("Read a branch of a multi-branch pipeline").
		Param(ws.PathParameter(paramBranch, "name of the branch's job in Jenkins, encoded once more for the address: feat%252Fx for the branch feat/x")).
		Returns(http.StatusOK, "OK", jenkins.BranchInfo{}).
		Returns(http.StatusNotFound, "There is no pipeline or branch of this name", metav1.Status{}))
}
