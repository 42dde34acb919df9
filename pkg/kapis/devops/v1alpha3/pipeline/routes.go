// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"github.com/emicklei/go-restful/v3"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, validate Validator, family crud.Family) {
	docs := family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.PipelineResource, Tag: "Pipelines",
		Singular: "pipeline", Plural: "pipelines",
		Object: devopsv1alpha3.Pipeline{}, Page: response.List[devopsv1alpha3.Pipeline]{},
		ListParams: []*restful.Parameter{
			ws.QueryParameter("type", "only pipelines of this type").PossibleValues([]string{
				string(devopsv1alpha3.NoScmPipelineType), string(devopsv1alpha3.MultiBranchPipelineType),
			}),
		},
	})
	crud.AddRoutes(ws, New(deps, validate), docs)
	addJenkinsfileRoute(ws, deps, docs)
	addRevisionRoutes(ws, deps, docs)
}
