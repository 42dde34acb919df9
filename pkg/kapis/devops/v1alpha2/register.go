// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha2 assembles the routes of devops.kubesphere.io/v1alpha2, the API of older consoles:
// what Jenkins' Blue Ocean shows of pipelines and runs, by the numbers of builds.
package v1alpha2

import (
	"github.com/emicklei/go-restful/v3"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// Version is the version of the group.
const Version = "v1alpha2"

// Root is the path below which the routes are.
const Root = request.Root + "/devops.kubesphere.io/" + Version

// Deps is what the group needs.
type Deps struct {
	crud.Deps
}

// WebService gives the routes of the group, in both families of paths.
func WebService(_ Deps) *restful.WebService {
	ws := new(restful.WebService)
	return ws.Path(Root).Produces(restful.MIME_JSON)
}
