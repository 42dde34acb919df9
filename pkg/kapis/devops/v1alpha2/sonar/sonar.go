// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sonar serves what SonarQube says of the code that the last build of a pipeline or branch has
// analysed.
package sonar

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
	"github.com/slipway-dev/slipway/pkg/sonarqube"
)

// paramBranch is the path parameter of a branch: the name of its job in Jenkins.
const paramBranch = "branch"

// maxAnalyses bounds how many analyses of one build are looked up: each takes some calls.
const maxAnalyses = 10

// Jenkins knows what scanners left in builds; *jenkins.Client does. Errors are those of pkg/jenkins.
type Jenkins interface {
	SonarAnalyses(ctx context.Context, folder, job string) ([]jenkins.SonarAnalysis, error)
}

// Source knows the results; *sonarqube.Client does. Errors are those of pkg/sonarqube.
type Source interface {
	Status(ctx context.Context, taskID string) (*sonarqube.Status, error)
}

// Status is the result of one analysis.
type Status struct {
	// Task is the processing of the report.
	Task *sonarqube.TaskResult `json:"task,omitempty"`
	// Measures and Issues are missing until the report is processed.
	Measures *sonarqube.MeasuresResult `json:"measures,omitempty"`
	Issues   *sonarqube.IssuesResult   `json:"issues,omitempty"`
	// QualityGate is missing for a project without one.
	QualityGate *sonarqube.GateResult `json:"qualityGate,omitempty"`
	// Action is what the scanner left in the build. Older consoles know it under another name.
	Action    *jenkins.SonarAnalysis `json:"generalAction,omitempty"`
	OldAction *jenkins.SonarAnalysis `json:"jenkinsAction,omitempty"`
}

// Handler serves the results.
type Handler struct {
	deps      crud.Deps
	jenkins   Jenkins
	sonarqube Source
}

// New makes the handler. Without a SonarQube there are no results.
func New(deps crud.Deps, j Jenkins, s Source) *Handler {
	return &Handler{deps: deps, jenkins: j, sonarqube: s}
}

// Get answers with the results of the last build of a pipeline, or of the branch that the path names, as a bare list.
func (h *Handler) Get(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	p, err := jenkinsjob.Pipeline(ctx, h.deps.Store, req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	job := p.Name
	if branch := req.PathParameter(paramBranch); branch != "" {
		if err := jenkinsjob.CheckMultiBranch(p); err != nil {
			return err
		}
		job = jenkins.BranchJob(job, branch)
	}
	if h.sonarqube == nil {
		return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound,
			"this server knows no SonarQube; an administrator can set it up with --sonarqube-url")
	}
	if h.jenkins == nil {
		return response.Unavailable("this server does not know Jenkins, whose builds name their analyses")
	}
	if err := jenkinsjob.CheckFolder(ctx, h.deps.Store, p.Namespace); err != nil {
		return err
	}
	analyses, err := h.jenkins.SonarAnalyses(ctx, p.Namespace, job)
	if err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return err
	}
	// A job without a build is one without an analysis.
	list, err := h.results(ctx, analyses)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, list)
	return nil
}

func (h *Handler) results(ctx context.Context, analyses []jenkins.SonarAnalysis) ([]Status, error) {
	list := []Status{}
	// The last ones: a stage that is run again leaves an analysis each time.
	for _, analysis := range analyses[max(0, len(analyses)-maxAnalyses):] {
		if analysis.TaskID == "" {
			continue
		}
		found, err := h.sonarqube.Status(ctx, analysis.TaskID)
		if errors.Is(err, sonarqube.ErrNotFound) {
			// SonarQube has forgotten the task, or never had it: the build names it.
			continue
		}
		if err != nil {
			return nil, explain(err)
		}
		list = append(list, Status{Task: found.Task, Measures: found.Measures, Issues: found.Issues, QualityGate: found.Gate, Action: &analysis, OldAction: &analysis})
	}
	return list, nil
}

// explain says what a failure of SonarQube means for the user. The cause is for the log.
func explain(err error) error {
	switch {
	case errors.Is(err, sonarqube.ErrUnavailable):
		return fmt.Errorf("%w: %w", response.Unavailable("SonarQube cannot be reached; try again in a moment"), err)
	case errors.Is(err, sonarqube.ErrUnauthorized):
		return fmt.Errorf("%w: %w", badGateway("SonarQube refuses this server's token, or the token may not see the project; an administrator has to check it"), err)
	case errors.Is(err, sonarqube.ErrUnexpected):
		return fmt.Errorf("%w: %w", badGateway("SonarQube's answer cannot be used; an administrator has to check its address and version"), err)
	}
	return err
}

func badGateway(message string) error {
	return response.NewStatus(http.StatusBadGateway, response.ReasonBadGateway, message)
}

// AddRoutes adds the routes of one family of paths.
func AddRoutes(ws *restful.WebService, deps crud.Deps, j Jenkins, s Source, family crud.Family) {
	h := New(deps, j, s)
	docs := family.Docs(ws, crud.Docs{
		Path: "/" + devopsv1alpha3.PipelineResource + "/{" + crud.ParamName + "}", Tag: "SonarQube", Suffix: "V1alpha2",
	})
	docs.Params = append(docs.Params, ws.PathParameter(crud.ParamName, "name of the pipeline"))
	access := kapis.Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.PipelineResource}
	finish := func(route *restful.RouteBuilder) *restful.RouteBuilder {
		return docs.Finish(route, access).To(kapis.Handle(h.Get)).
			Notes("A bare list, one entry an analysis; empty if the last build has none. While SonarQube works on a report there is only its task.").
			Returns(http.StatusOK, "OK", []Status{}).
			Returns(http.StatusNotFound, "There is no pipeline of this name, or the server knows no SonarQube", metav1.Status{}).
			Returns(http.StatusBadGateway, "Jenkins or SonarQube failed", metav1.Status{})
	}
	ws.Route(finish(ws.GET(docs.Path + "/sonarstatus")).
		Operation("getSonarStatus" + docs.Suffix).
		Doc("Read the code analyses of the last build"))
	ws.Route(finish(ws.GET(docs.Path + "/branches/{" + paramBranch + "}/sonarstatus")).
		Operation("getBranchSonarStatus" + docs.Suffix).
		Doc("Read the code analyses of the last build of a branch").
		Param(ws.PathParameter(paramBranch, "name of the branch's job in Jenkins, encoded once more for the address")))
}
