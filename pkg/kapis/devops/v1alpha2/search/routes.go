// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package search

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/pipeline"
)

// described is Result with the type of its items, for the description of the API.
type described struct {
	Items      []pipeline.MultiBranchPipeline `json:"items"`
	TotalCount int                            `json:"total_count"`
}

// AddRoutes adds the route.
func AddRoutes(ws *restful.WebService, deps crud.Deps, a authorizer.UnconditionalAuthorizer) {
	h, docs := New(deps, a), crud.Docs{Tag: "Pipelines (Blue Ocean)"}
	ws.Route(docs.Finish(ws.GET("/search"), kapis.Access{}).To(kapis.Handle(h.Search)).
		Operation("searchPipelinesV1alpha2").
		Doc("Search pipelines").
		Notes("Of all projects, or of one, those whose name or alias fits the pattern, in any case. Projects in which the user may not list "+
			"pipelines are left out. A start beyond the end gives an empty page.").
		Param(ws.QueryParameter("q", "terms as in Blue Ocean, in any order: type:pipeline;organization:jenkins;pipeline:project/*keyword*; "+
			"others are ignored. Without a project all are searched")).
		Param(ws.QueryParameter("filter", "has no effect; folders are never found")).
		Param(ws.QueryParameter("start", "pipelines to leave out").DataType("integer").DefaultValue("0")).
		Param(ws.QueryParameter("limit", "pipelines to give; -1 for all").DataType("integer").DefaultValue("100")).
		Returns(http.StatusOK, "OK", described{}))
}
