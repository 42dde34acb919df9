// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, j Jenkins, family crud.Family) {
	h, docs := New(deps, j), family.Docs(ws, crud.Docs{Tag: "Checks", Suffix: "V1alpha2"})
	right := func(verb string) kapis.Access {
		return kapis.Access{Verb: verb, Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	}
	ws.Route(docs.Finish(ws.POST(docs.Path+"/"+devopsv1alpha3.PipelineResource+"/{"+crud.ParamName+"}/checkScriptCompile"), right("get")).
		To(kapis.Handle(h.Script)).
		Operation("checkScriptCompile"+docs.Suffix).
		Doc("Check whether a script compiles").
		Notes("Jenkins compiles it as Groovy; the rules of Declarative Pipelines are not checked. The status is success, or fail with "+
			"the place of the first error. The script is the field value of a form or of JSON. The pipeline need not exist yet.").
		Consumes("application/x-www-form-urlencoded", "multipart/form-data", restful.MIME_JSON).
		Param(ws.PathParameter(crud.ParamName, "name of the pipeline")).
		Reads(Script{}).
		Returns(http.StatusOK, "OK", ScriptResult{}).
		Returns(http.StatusNotFound, "The project has no folder in Jenkins", metav1.Status{}).
		Returns(http.StatusBadGateway, "Jenkins failed", metav1.Status{}))
	ws.Route(docs.Finish(ws.POST(docs.Path+"/checkCron"), right("list")).To(kapis.Handle(h.Cron)).
		Operation("checkCron"+docs.Suffix).
		Doc("Check a schedule").
		Notes("What Jenkins says of it, with the times of the pipeline if that exists.").
		Consumes(restful.MIME_JSON).
		Reads(Cron{}).
		Returns(http.StatusOK, "OK", CronResult{}).
		Returns(http.StatusBadGateway, "Jenkins failed", metav1.Status{}))
}
