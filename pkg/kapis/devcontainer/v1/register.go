// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1 assembles the routes of devcontainer.devstar.cn/v1.
package v1

import (
	"github.com/emicklei/go-restful/v3"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devcontainer/v1/devcontainerapp"
)

// WebService gives the routes of the group.
func WebService(deps crud.Deps) *restful.WebService {
	ws := new(restful.WebService)
	ws.Path(request.Root + "/" + devcontainerv1.GroupVersion.String()).Produces(restful.MIME_JSON)
	devcontainerapp.AddRoutes(ws, deps, crud.FamilyNamespaces)
	return ws
}
