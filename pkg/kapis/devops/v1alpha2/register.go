// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha2 assembles the routes of devops.kubesphere.io/v1alpha2, the API of older consoles:
// what Jenkins' Blue Ocean shows of pipelines and runs, by the numbers of builds.
package v1alpha2

import (
	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/check"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/credential"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/crumb"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/jenkinsproxy"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/pipeline"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/run"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/scm"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/search"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/sonar"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/webhook"
	credentialv1alpha3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/credential"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/scm/hook"
)

// Version is the version of the group.
const Version = "v1alpha2"

// Root is the path below which the routes are.
const Root = request.Root + "/devops.kubesphere.io/" + Version

// Jenkins is what is asked of Jenkins; *jenkins.Client has it. Errors are those of pkg/jenkins.
type Jenkins interface {
	pipeline.Jenkins
	check.Jenkins
	sonar.Jenkins
}

// Deps is what the group needs.
type Deps struct {
	crud.Deps
	// Reader is the informer cache with the fields of package index.
	Reader client.Reader
	// Runs serves the runs; it is shared with v1alpha3.
	Runs *pipelinerun.Handler
	// Client is the server's own, without a cache.
	Client client.Client
	// Authorizer decides what users may do, for answers over several projects.
	Authorizer authorizer.UnconditionalAuthorizer
	// Branches gives the branches of multi-branch pipelines; it is shared with v1alpha3.
	Branches *jenkinsjob.Branches
	// Jenkins answers what nobody keeps. It may be nil.
	Jenkins Jenkins
	// Credentials tells of the use of credentials. It may be nil.
	Credentials credentialv1alpha3.Jenkins
	// SonarQube knows the results of code analyses. It may be nil.
	SonarQube sonar.Source
	// Binaries keeps the files of S2iBinaries.
	Binaries s2ibinary.Options
	// GitLab lists servers and repositories. It may be nil.
	GitLab jenkinsproxy.GitLab
	// SCM talks to source code servers.
	SCM scm.Deps
	// Receiver takes the events of source code servers; it is shared with v1alpha3.
	Receiver *hook.Receiver
}

// WebService gives the routes of the group, in both families of paths.
func WebService(deps Deps) *restful.WebService {
	ws := new(restful.WebService)
	ws.Path(Root).Produces(restful.MIME_JSON)
	runs := run.New(deps.Deps, deps.Reader, deps.Runs)
	search.AddRoutes(ws, deps.Deps, deps.Authorizer)
	crumb.AddRoutes(ws)
	jenkinsproxy.AddRootRoutes(ws)
	scm.AddRoutes(ws, deps.SCM)
	webhook.AddRoutes(ws, deps.Receiver)
	pipelines := pipeline.Deps{Deps: deps.Deps, Client: deps.Client, Authorizer: deps.Authorizer, Jenkins: deps.Jenkins, Branches: deps.Branches}
	binaries := s2ibinary.New(deps.Deps, deps.Binaries)
	for _, family := range crud.Families {
		pipeline.AddRoutes(ws, pipelines, family)
		credential.AddRoutes(ws, deps.Deps, deps.Credentials, family)
		check.AddRoutes(ws, deps.Deps, deps.Jenkins, family)
		sonar.AddRoutes(ws, deps.Deps, deps.Jenkins, deps.SonarQube, family)
		jenkinsproxy.AddRoutes(ws, deps.GitLab, family)
		run.AddRoutes(ws, runs, family)
		s2ibinary.AddRoutes(ws, binaries, family)
	}
	return ws
}
