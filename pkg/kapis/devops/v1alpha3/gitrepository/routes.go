// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"github.com/emicklei/go-restful/v3"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, family crud.Family) {
	crud.AddRoutes(ws, New(deps), family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.GitRepositoryResource, Tag: "Git repositories",
		Singular: "git repository", Plural: "git repositories",
		Object: devopsv1alpha3.GitRepository{}, Page: response.List[devopsv1alpha3.GitRepository]{},
	}))
}
