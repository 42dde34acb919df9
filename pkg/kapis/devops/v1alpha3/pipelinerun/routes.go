// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const mimeText = "text/plain"

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, h *Handler, family crud.Family) {
	r := routes{ws: ws, h: h, docs: family.Docs(ws, crud.Docs{Tag: "Pipeline runs"})}
	r.collections()
	r.objects()
	r.actions()
	r.files()
}

type routes struct {
	ws   *restful.WebService
	h    *Handler
	docs crud.Docs
}

func access(verb, subresource string) kapis.Access {
	return kapis.Access{
		Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineRunResource, Subresource: subresource,
	}
}

// finish names the operation and adds what all routes have.
func (r routes) finish(route *restful.RouteBuilder, operation string, a kapis.Access) *restful.RouteBuilder {
	return r.docs.Finish(route, a).Operation(operation + r.docs.Suffix)
}

func (r routes) collections() {
	ws := r.ws
	ofPipeline := r.docs.Path + "/pipelines/{" + ParamPipeline + "}/pipelineruns"
	pipeline := ws.PathParameter(ParamPipeline, "name of the pipeline")
	branch := ws.QueryParameter("branch", "branch job of a multi-branch pipeline, in Jenkins' encoding")
	backward := ws.QueryParameter("backward", "items are Jenkins' runs instead of PipelineRuns").DataType("boolean").DefaultValue("false")

	ws.Route(crud.ListParams(ws, r.finish(ws.GET(ofPipeline), "listPipelineRunOfPipeline", access("list", ""))).To(kapis.Handle(r.h.List)).
		Doc("List or watch the runs of a pipeline").
		Param(pipeline).Param(branch).Param(backward).
		Returns(http.StatusOK, "OK", response.List[devopsv1alpha3.PipelineRun]{}))
	ws.Route(r.finish(ws.POST(ofPipeline), "createPipelineRun", access("create", "")).To(kapis.Handle(r.h.Start)).
		Doc("Start a run of a pipeline").
		Notes("Values for parameters that the pipeline does not define are refused.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(pipeline).Param(branch).
		Reads(StartRequest{}).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is no pipeline of this name", metav1.Status{}))
	ws.Route(crud.ListParams(ws, r.finish(ws.GET(r.docs.Path+"/pipelineruns"), "listPipelineRun", access("list", ""))).To(kapis.Handle(r.h.List)).
		Doc("List or watch the runs of all pipelines").
		Param(branch).Param(backward).
		Returns(http.StatusOK, "OK", response.List[devopsv1alpha3.PipelineRun]{}))
}

func (r routes) object() string { return r.docs.Path + "/pipelineruns/{" + crud.ParamName + "}" }

func (r routes) objects() {
	ws := r.ws
	name := ws.PathParameter(crud.ParamName, "name of the run")
	ws.Route(r.finish(ws.GET(r.object()), "getPipelineRun", access("get", "")).To(kapis.Handle(r.h.Get)).
		Doc("Read a run").
		Param(name).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(r.finish(ws.PUT(r.object()), "updatePipelineRun", access("update", "")).To(kapis.Handle(r.h.Update)).
		Doc("Stop, pause or resume a run").
		Notes("Only spec.action can be changed. metadata.resourceVersion may be left out.").
		Consumes(restful.MIME_JSON).
		Param(name).
		Reads(devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusConflict, "It was changed since it was read", metav1.Status{}))
	ws.Route(r.finish(ws.POST(r.object()+"/stop"), "stopPipelineRun", access("update", "")).To(kapis.Handle(r.h.Stop)).
		Doc("Stop a run").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(r.finish(ws.DELETE(r.object()), "deletePipelineRun", access("delete", "")).To(kapis.Handle(r.h.Delete)).
		Doc("Delete a run; if it is live it is stopped first").
		Param(name).
		Param(ws.QueryParameter("keepJenkinsRecord", "leave the build in Jenkins").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK, without a body", nil).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
}

func (r routes) files() {
	ws := r.ws
	name := ws.PathParameter(crud.ParamName, "name of the run")
	ws.Route(r.finish(ws.GET(r.object()+"/nodedetails"), "getPipelineRunStages", access("get", "")).To(kapis.Handle(r.h.Stages)).
		Doc("Read the stages of a run and their steps").
		Notes("Those of a running build are Jenkins'. If it does not answer they are the last that are known: the headers Age and Warning say so. "+
			"approvable is there on a step that waits for an input which the user may answer, deadline if it waits not for ever, and answer on "+
			"one whose input was answered.").
		Param(name).
		Returns(http.StatusOK, "OK", []Stage{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(LogDocs(ws, r.finish(ws.GET(r.object()+"/log"), "getPipelineRunLog", access("get", "log"))).To(kapis.Handle(r.h.Log)).
		Doc("Read or follow the log of a run").
		Param(name))
	ws.Route(LogDocs(ws, r.finish(ws.GET(r.object()+"/nodes/{"+ParamNode+"}/steps/{"+ParamStep+"}/log"), "getPipelineRunStepLog", access("get", "log"))).
		To(kapis.Handle(r.h.StepLog)).
		Doc("Read or follow the log of a step").
		Param(name).Param(ws.PathParameter(ParamNode, "id of the stage")).Param(ws.PathParameter(ParamStep, "id of the step")).
		Returns(http.StatusGone, "Jenkins has discarded the build; the log of the run has all of it", metav1.Status{}))
	ws.Route(r.finish(ws.GET(r.object()+"/artifacts"), "listPipelineRunArtifact", access("get", "artifacts")).To(kapis.Handle(r.h.Artifacts)).
		Doc("List the artifacts of a run").
		Param(name).
		Returns(http.StatusOK, "OK", response.List[Artifact]{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(r.finish(ws.GET(r.object()+"/artifacts/download"), "downloadPipelineRunArtifact", access("get", "artifacts")).To(kapis.Handle(r.h.Download)).
		Doc("Download an artifact").
		Produces(restful.MIME_OCTET, "*/*").
		Param(name).
		Param(ws.QueryParameter("filename", "path of the artifact").Required(true)).
		Returns(http.StatusOK, "OK", []byte{}).
		Returns(http.StatusNotFound, "There is no such artifact", metav1.Status{}))
}

// LogDocs describes a route of a log.
func LogDocs(ws *restful.WebService, route *restful.RouteBuilder) *restful.RouteBuilder {
	return route.
		Notes("Without follow the headers X-Text-Size (the offset to go on from) and X-More-Data (there while more may come, else absent) are set. "+
			"The log of a run that has ended is a file: Range: bytes=… gives a part of it, and ETag tells it from others. "+
			"Accept-Encoding: gzip compresses, what is followed part by part.").
		Produces(mimeText, "*/*").
		Param(ws.QueryParameter("start", "offset in bytes: 0, or the X-Text-Size of an earlier answer").DataType("integer").DefaultValue("0")).
		Param(ws.QueryParameter("thresholdInKB", "without start: only so many kilobytes at the end, from the beginning of a line").DataType("integer")).
		Param(ws.QueryParameter("follow", "stay until the end").DataType("boolean").DefaultValue("false")).
		Param(ws.QueryParameter("download", "let browsers save it as a file").DataType("boolean").DefaultValue("false")).
		Returns(http.StatusOK, "OK", "").
		Returns(http.StatusPartialContent, "The range that was asked for", "").
		Returns(http.StatusRequestedRangeNotSatisfiable, "The log is shorter", metav1.Status{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{})
}
