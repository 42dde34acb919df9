// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

// AddRoutes adds the routes of one family of paths: for pipelines, and for their branches.
func AddRoutes(ws *restful.WebService, h *Handler, family crud.Family) {
	docs := family.Docs(ws, crud.Docs{Path: "/pipelines/{" + ParamPipeline + "}", Tag: "Runs by number"})
	docs.Params = append(docs.Params, ws.PathParameter(ParamPipeline, "name of the pipeline"))
	ofPipeline := routes{ws: ws, h: h, docs: docs}
	ofPipeline.add()
	docs.Path += "/branches/{" + ParamBranch + "}"
	docs.Suffix = "OfBranch" + docs.Suffix
	docs.Params = append(docs.Params[:len(docs.Params):len(docs.Params)],
		ws.PathParameter(ParamBranch, "branch job in Jenkins' encoding, encoded once more: feat%252Fx for feat/x"))
	ofBranch := routes{ws: ws, h: h, docs: docs}
	ofBranch.add()
}

type routes struct {
	ws   *restful.WebService
	h    *Handler
	docs crud.Docs
}

// route begins a route below the runs.
func (r routes) route(method, path, operation, verb, subresource string) *restful.RouteBuilder {
	access := kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineRunResource, Subresource: subresource}
	route := r.docs.Finish(r.ws.Method(method).Path(r.docs.Path+"/runs"+path), access).Operation(operation + r.docs.Suffix)
	if method == http.MethodPost {
		route = route.Consumes(restful.MIME_JSON, "*/*")
	}
	if path != "" {
		route = route.Param(r.ws.PathParameter(ParamRun, "number of the build").DataType("integer")).
			Returns(http.StatusNotFound, "There is no such run", metav1.Status{})
	}
	return route
}

func (r routes) add() {
	r.lists()
	r.actions()
	r.parts()
}

func (r routes) paged(route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Param(r.ws.QueryParameter("start", "how many to leave out").DataType("integer").DefaultValue("0")).
		Param(r.ws.QueryParameter("limit", "how many at most; -1 for all").DataType("integer").DefaultValue("100"))
}

func (r routes) lists() {
	r.ws.Route(r.paged(r.route(http.MethodGet, "", "listRun", "list", "")).To(kapis.Handle(r.h.List)).
		Doc("List runs in Blue Ocean's form, the newest first").
		Param(r.ws.QueryParameter("branch", "only those of this branch")).
		Returns(http.StatusOK, "OK", response.List[Run]{}).
		Returns(http.StatusNotFound, "There is no such pipeline", metav1.Status{}))
	r.ws.Route(r.route(http.MethodPost, "", "startRun", "create", "").To(kapis.Handle(r.h.Start)).
		Doc("Start a run").
		Notes("The answer comes when Jenkins has given the build its number. If that takes long the answer is a run without id, in the state QUEUED, "+
			"whose causeOfBlockage says what it waits for.").
		Param(r.ws.QueryParameter("branch", "branch of a multi-branch pipeline, if the path names none")).
		Reads(pipelinerun.StartRequest{}).
		Returns(http.StatusOK, "OK", Run{}).
		Returns(http.StatusNotFound, "There is no such pipeline", metav1.Status{}).
		Returns(http.StatusConflict, "The run ended before it was started; the message says why", metav1.Status{}))
	r.ws.Route(r.route(http.MethodGet, "/{"+ParamRun+"}", "getRun", "get", "").To(kapis.Handle(r.h.Get)).
		Doc("Read a run").
		Returns(http.StatusOK, "OK", Run{}))
}

func (r routes) actions() {
	object := "/{" + ParamRun + "}"
	r.ws.Route(r.route(http.MethodPost, object+"/stop", "stopRun", "update", "").To(kapis.Handle(r.h.Stop)).
		Doc("Stop a run").
		Param(r.ws.QueryParameter("blocking", "wait for the end").DataType("boolean").DefaultValue("false")).
		Param(r.ws.QueryParameter("timeOutInSecs", "how long to wait, 45 at most").DataType("integer").DefaultValue("10")).
		Returns(http.StatusOK, "OK", Run{}))
	r.ws.Route(r.route(http.MethodPost, object+"/replay", "replayRun", "create", "replay").To(kapis.Handle(r.h.Replay)).
		Doc("Run the build of a run once more").
		Returns(http.StatusOK, "OK", Run{}).
		Returns(http.StatusConflict, "The run ended before it was started; the message says why", metav1.Status{}))
	r.ws.Route(r.step(r.route(http.MethodPost, object+stepPath, "submitInput", "update", "")).To(kapis.Handle(r.h.Answer)).
		Doc("Answer an input").
		Notes("Where the input names who may answer, others are told so with allow \"false\", and the input waits on.").
		Reads(pipelinerun.InputAnswer{}).
		Returns(http.StatusOK, "OK", Verdict{}))
}

const nodePath = "/nodes/{" + pipelinerun.ParamNode + "}"

const stepPath = nodePath + "/steps/{" + pipelinerun.ParamStep + "}"

func (r routes) node(route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.Param(r.ws.PathParameter(pipelinerun.ParamNode, "id of the stage"))
}

func (r routes) step(route *restful.RouteBuilder) *restful.RouteBuilder {
	return r.node(route).Param(r.ws.PathParameter(pipelinerun.ParamStep, "id of the step"))
}

func (r routes) parts() {
	object := "/{" + ParamRun + "}"
	r.ws.Route(r.paged(r.route(http.MethodGet, object+"/artifacts", "listRunArtifact", "get", "artifacts")).To(kapis.Handle(r.h.Artifacts)).
		Doc("List the artifacts of a run").
		Returns(http.StatusOK, "OK", []Artifact{}))
	r.ws.Route(pipelinerun.LogDocs(r.ws, r.route(http.MethodGet, object+"/log", "getRunLog", "get", "log")).To(kapis.Handle(r.h.Log)).
		Doc("Read or follow the log of a run"))
	r.ws.Route(pipelinerun.LogDocs(r.ws, r.step(r.route(http.MethodGet, object+stepPath+"/log", "getRunStepLog", "get", "log"))).To(kapis.Handle(r.h.StepLog)).
		Doc("Read or follow the log of a step").
		Returns(http.StatusGone, "Jenkins has discarded the build; the log of the run has all of it", metav1.Status{}))
	r.ws.Route(r.route(http.MethodGet, object+"/nodes", "listRunNode", "get", "").To(kapis.Handle(r.h.Nodes)).
		Doc("List the stages of a run").
		Returns(http.StatusOK, "OK", []Node{}))
	r.ws.Route(r.node(r.route(http.MethodGet, object+nodePath+"/steps", "listRunStep", "get", "")).To(kapis.Handle(r.h.Steps)).
		Doc("List the steps of a stage").
		Returns(http.StatusOK, "OK", []Step{}))
	r.ws.Route(r.route(http.MethodGet, object+"/nodesdetail", "getRunNodesDetail", "get", "").To(kapis.Handle(r.h.NodesDetail)).
		Doc("List the stages of a run with their steps").
		Returns(http.StatusOK, "OK", []NodeDetail{}))
}
