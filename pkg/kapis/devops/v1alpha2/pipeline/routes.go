// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps Deps, family crud.Family) {
	h := New(deps)
	docs := family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.PipelineResource + "/{" + crud.ParamName + "}", Tag: "Pipelines (Blue Ocean)", Suffix: "V1alpha2",
	})
	docs.Params = append(docs.Params, ws.PathParameter(crud.ParamName, "name of the pipeline"))
	finish := func(route *restful.RouteBuilder, verb, subresource, operation string) *restful.RouteBuilder {
		access := kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource, Subresource: subresource}
		return docs.Finish(route, access).Operation(operation+docs.Suffix).Returns(http.StatusNotFound, "There is no pipeline of this name", metav1.Status{})
	}
	branch := ws.PathParameter(ParamBranch, "name of the branch's job in Jenkins, encoded once more for the address: feat%252Fx for the branch feat/x")

	ws.Route(finish(ws.GET(docs.Path), "get", "", "getPipeline").To(kapis.Handle(h.Get)).
		Doc("Read a pipeline as Blue Ocean shows it").
		Notes("From what the controllers know of it; Jenkins is asked only for a pipeline of which they know nothing yet. Only a multi-branch pipeline "+
			"has the fields of branches. With check=true the answer is {\"exist\":true} if the name is taken, else {\"exist\":false}.").
		Param(ws.QueryParameter("check", "only tell whether the name is taken").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", MultiBranchPipeline{}))
	ws.Route(finish(ws.GET(docs.Path+"/branches"), "get", "", "listPipelineBranches").To(kapis.Handle(h.ListBranches)).
		Doc("List branches as Blue Ocean shows them").
		Notes("A bare list: the primary branch first, then those that ran last. 400 for a pipeline that is no multi-branch pipeline.").
		Param(ws.QueryParameter("filter", "origin: branches and tags of the repository; pull-requests: those; anything else: all")).
		Param(ws.QueryParameter("name", "part of the name")).
		Param(ws.QueryParameter("start", "branches to leave out").DataType("integer").DefaultValue("0")).
		Param(ws.QueryParameter("limit", "branches to give; -1 for all").DataType("integer").DefaultValue("100")).
		Returns(http.StatusOK, "OK", []Branch{}))
	ws.Route(finish(ws.GET(docs.Path+"/branches/{"+ParamBranch+"}"), "get", "", "getPipelineBranch").To(kapis.Handle(h.GetBranch)).
		Doc("Read a branch as Blue Ocean shows it").
		Param(branch).
		Returns(http.StatusOK, "OK", Branch{}))
	ws.Route(finish(ws.POST(docs.Path+"/scan"), "create", "scan", "scanPipeline").To(kapis.Handle(h.Scan)).
		Doc("Look for branches now").
		Notes("Asks for a scan of the repository; the condition Scanned of the pipeline says how it went. The right pipelines/scan is enough. "+
			"The parameter delay is taken and has no effect: a scan begins as soon as Jenkins takes it.").
		Consumes("*/*").
		Param(ws.QueryParameter("delay", "has no effect")).
		Returns(http.StatusOK, "OK", response.Message{}))
	ws.Route(finish(ws.GET(docs.Path+"/consolelog"), "get", "", "getPipelineScanLog").To(kapis.Handle(h.ScanLog)).
		Doc("Read the log of the last scan").
		Notes("Empty if the repository was never scanned.").
		Produces("text/plain", restful.MIME_JSON).
		Returns(http.StatusOK, "The log, text/plain", "").
		Returns(http.StatusBadGateway, "Jenkins failed", metav1.Status{}))
}
