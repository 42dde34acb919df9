// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha3 assembles the routes of devops.kubesphere.io/v1alpha3.
package v1alpha3

import (
	"github.com/emicklei/go-restful/v3"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/credential"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/devopsproject"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/gitrepository"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipeline"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
)

// Deps is what the group needs.
type Deps struct {
	crud.Deps
	// Sources hold logs and artifacts of runs.
	Sources pipelinerun.Sources
	// ValidateJenkinsfile says what is wrong with a Jenkinsfile.
	ValidateJenkinsfile pipeline.Validator
	// Credentials tells of the use of credentials. It may be nil.
	Credentials credential.Jenkins
	// Webhook takes the events of Jenkins.
	Webhook webhook.Deps
}

// WebService gives the routes of the group, in both families of paths.
func WebService(deps Deps) *restful.WebService {
	ws := new(restful.WebService)
	ws.Path(request.Root + "/" + devopsv1alpha3.GroupVersion.String()).Produces(restful.MIME_JSON)
	devopsproject.AddRoutes(ws, deps.Deps)
	webhook.AddRoutes(ws, deps.Webhook)
	for _, family := range crud.Families {
		pipeline.AddRoutes(ws, deps.Deps, deps.ValidateJenkinsfile, family)
		pipelinerun.AddRoutes(ws, deps.Deps, deps.Sources, family)
		gitrepository.AddRoutes(ws, deps.Deps, family)
		credential.AddRoutes(ws, deps.Deps, deps.Credentials, family)
	}
	return ws
}
