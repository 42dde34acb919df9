// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha3 assembles the routes of devops.kubesphere.io/v1alpha3.
package v1alpha3

import (
	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/credential"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/devopsproject"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/gitrepository"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/nodelabel"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipeline"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scmwebhook"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/steptemplate"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/template"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/webhook"
	"github.com/slipway-dev/slipway/pkg/scm/hook"
)

// Deps is what the group needs.
type Deps struct {
	crud.Deps
	// Runs serves the runs; it may be shared with other versions.
	Runs *pipelinerun.Handler
	// ValidateJenkinsfile says what is wrong with a Jenkinsfile.
	ValidateJenkinsfile pipeline.Validator
	// Credentials tells of the use of credentials. It may be nil.
	Credentials credential.Jenkins
	// Live reads from Kubernetes itself, with the server's rights.
	Live client.Reader
	// Authorizer decides what users may do, for answers over several projects.
	Authorizer authorizer.UnconditionalAuthorizer
	// Labels tells the labels of agents. It may be nil.
	Labels nodelabel.Jenkins
	// Branches gives the branches of multi-branch pipelines; it is shared with v1alpha2.
	Branches *jenkinsjob.Branches
	// Files reads and writes the files of git repositories.
	Files gitrepository.FilesDeps
	// Webhook takes the events of Jenkins.
	Webhook webhook.Deps
	// SCM talks to source code servers.
	SCM scm.Deps
	// Receiver takes the events of source code servers; it is shared with v1alpha2.
	Receiver *hook.Receiver
}

// WebService gives the routes of the group, in both families of paths.
func WebService(deps Deps) *restful.WebService {
	ws := new(restful.WebService)
	ws.Path(request.Root + "/" + devopsv1alpha3.GroupVersion.String()).Produces(restful.MIME_JSON)
	devopsproject.AddRoutes(ws, deps.Deps, deps.Live)
	devopsproject.AddMemberRoutes(ws, deps.Deps, deps.Authorizer)
	nodelabel.AddRoutes(ws, deps.Deps, deps.Authorizer, deps.Labels)
	webhook.AddRoutes(ws, deps.Webhook)
	webhook.AddSCMRoutes(ws, deps.Receiver)
	scm.AddRoutes(ws, deps.SCM)
	template.AddClusterRoutes(ws, deps.Deps)
	steptemplate.AddRoutes(ws, deps.Deps)
	files := gitrepository.NewFiles(deps.Deps, deps.Files)
	for _, family := range crud.Families {
		pipeline.AddRoutes(ws, deps.Deps, deps.ValidateJenkinsfile, family)
		pipeline.AddBranchRoutes(ws, deps.Deps, deps.Branches, family)
		pipelinerun.AddRoutes(ws, deps.Runs, family)
		gitrepository.AddRoutes(ws, deps.Deps, family)
		gitrepository.AddFileRoutes(ws, files, family)
		scmwebhook.AddRoutes(ws, deps.Deps, family)
		credential.AddRoutes(ws, deps.Deps, deps.Credentials, family)
		template.AddRoutes(ws, deps.Deps, family)
	}
	return ws
}
