// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credential serves which builds used a credential, at the address of the older API.
package credential

import (
	"github.com/emicklei/go-restful/v3"

	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/credential"
)

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, j credential.Jenkins, family crud.Family) {
	credential.AddUsageRoute(ws, credential.New(deps, j), family.Docs(ws, crud.Docs{Tag: "Credentials", Suffix: "V1alpha2"}))
}
