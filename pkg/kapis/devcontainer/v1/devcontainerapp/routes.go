// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainerapp

import (
	"github.com/emicklei/go-restful/v3"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, family crud.Family) {
	crud.AddRoutes(ws, New(deps), family.Docs(ws, crud.Docs{
		Path: "/" + devcontainerv1.ResourceName, Tag: "Dev containers",
		Singular: "dev container", Plural: "dev containers",
		Object: devcontainerv1.DevcontainerApp{}, Page: response.List[devcontainerv1.DevcontainerApp]{},
	}))
}
