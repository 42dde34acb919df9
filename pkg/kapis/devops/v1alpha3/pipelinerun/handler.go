// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipelinerun serves PipelineRuns: to start, list, watch, stop and delete them, their stages,
// logs and artifacts.
package pipelinerun

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// ParamPipeline is the path parameter of the pipeline.
const ParamPipeline = "pipeline"

// Handler serves runs.
type Handler struct {
	*crud.Handler[*devopsv1alpha3.PipelineRun]
	deps    crud.Deps
	sources Sources
	live    *liveStages
}

// New makes the handler.
func New(deps crud.Deps, sources Sources) *Handler {
	deps.SetDefaults()
	return &Handler{
		deps: deps, sources: sources, live: newLiveStages(sources.Stages),
		Handler: crud.New(crud.Kind[*devopsv1alpha3.PipelineRun]{
			GVK:       devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.PipelineRunKind),
			Resource:  devopsv1alpha3.PipelineRunResource,
			New:       func() *devopsv1alpha3.PipelineRun { return &devopsv1alpha3.PipelineRun{} },
			NewList:   func() client.ObjectList { return &devopsv1alpha3.PipelineRunList{} },
			CheckName: validation.NameIsDNSSubdomain,
			Filters:   filters,
			Field:     field,
		}, deps),
	}
}

// field narrows a list to the runs of the pipeline of the path, if it names one, and to one of its
// branches, if the query does.
func field(req *restful.Request) (field, value string) {
	pipeline, branch := req.PathParameter(ParamPipeline), branchJob(req.QueryParameter("branch"))
	switch {
	case pipeline == "":
		return "", ""
	case branch != "":
		return index.RunBranch, index.BranchValue(pipeline, branch)
	}
	return index.RunPipeline, pipeline
}

// filters adds the filter branch to those of all lists, if it is not the field of the list already, and leaves out of
// a list of Jenkins' runs those that Jenkins does not have yet.
func filters(req *restful.Request) ([]store.Filter[*devopsv1alpha3.PipelineRun], error) {
	var conditions []store.Filter[*devopsv1alpha3.PipelineRun]
	if branch := branchJob(req.QueryParameter("branch")); branch != "" && req.PathParameter(ParamPipeline) == "" {
		conditions = append(conditions, func(run *devopsv1alpha3.PipelineRun) bool {
			return run.Spec.SCM != nil && run.Spec.SCM.RefName == branch
		})
	}
	if backward(req) {
		conditions = append(conditions, func(run *devopsv1alpha3.PipelineRun) bool {
			return run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] != ""
		})
	}
	return conditions, nil
}

// backward tells if a list is to have Jenkins' runs for items. KubeSphere has that as the default, which no console
// since version 3.1 uses.
func backward(req *restful.Request) bool {
	info, ok := request.InfoFrom(req.Request.Context())
	wanted, err := strconv.ParseBool(req.QueryParameter("backward"))
	return err == nil && wanted && (!ok || info.Verb != request.VerbWatch)
}

// List answers with PipelineRuns. With backward=true the items are Jenkins' runs as the status
// annotation holds them, for clients of the older API.
func (h *Handler) List(req *restful.Request, resp *restful.Response) error {
	if !backward(req) {
		return h.Handler.List(req, resp)
	}
	page, err := h.Page(req)
	if err != nil {
		return err
	}
	items := make([]json.RawMessage, 0, len(page.Items))
	for _, run := range page.Items {
		status := json.RawMessage(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation])
		if !json.Valid(status) {
			// Users can write annotations. The total counts it.
			status = json.RawMessage("{}")
		}
		items = append(items, status)
	}
	response.WriteList(resp.ResponseWriter, req.Request, items, page.Total)
	return nil
}

// Start makes a run of the pipeline of the path. The answer is 200, as KubeSphere's.
func (h *Handler) Start(req *restful.Request, resp *restful.Response) error {
	run, err := h.CreateRun(req, req.QueryParameter("branch"))
	if err != nil {
		return err
	}
	return h.answer(req, resp, run)
}

// CreateRun makes, as the user, a run of the pipeline of the path with the parameters of the body. The
// branch is Jenkins' name of a branch job, for multi-branch pipelines.
func (h *Handler) CreateRun(req *restful.Request, branch string) (*devopsv1alpha3.PipelineRun, error) {
	ctx := req.Request.Context()
	c, user, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return nil, err
	}
	var sent startBody
	if err := request.DecodeOptionalJSON(req.Request, &sent); err != nil {
		return nil, err
	}
	// A run copies the pipeline's spec: an old state from the cache would run what the user has just
	// replaced.
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := h.deps.Store.GetLive(ctx, req.PathParameter(crud.ParamNamespace), req.PathParameter(ParamPipeline), pipeline); err != nil {
		return nil, err
	}
	var (
		defined  map[string]definition
		complete bool
	)
	if len(sent.Parameters) > 0 {
		defined, complete = definitionsOf(pipeline, h.sources.Parse)
	}
	body, err := sent.request(defined)
	if err != nil {
		return nil, err
	}
	run, err := newRun(pipeline, body, branch, user)
	if err != nil {
		return nil, err
	}
	if err := checkParameters(pipeline, body.Parameters, defined, complete); err != nil {
		return nil, err
	}
	if err := h.sealPasswords(pipeline, run, defined); err != nil {
		return nil, err
	}
	if err := c.Create(ctx, run, crud.FieldOwner); err != nil {
		return nil, err
	}
	return run, nil
}

// Update changes the action of a run, the only part of it that a user may change. Without a
// resourceVersion the action is set whatever else changed: a controller writes to a live run all the
// time.
func (h *Handler) Update(req *restful.Request, resp *restful.Response) error {
	sent := &devopsv1alpha3.PipelineRun{}
	if err := request.DecodeJSON(req.Request, sent); err != nil {
		return err
	}
	return h.act(req, resp, func(run *devopsv1alpha3.PipelineRun) error {
		return setAction(run, sent)
	})
}

// Stop stops a run: a short form of an update with the action Stop.
func (h *Handler) Stop(req *restful.Request, resp *restful.Response) error {
	run, err := h.RequestStop(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	return h.answer(req, resp, run)
}

// RequestStop asks, as the user, for a run to be stopped.
func (h *Handler) RequestStop(ctx context.Context, namespace, name string) (*devopsv1alpha3.PipelineRun, error) {
	return h.change(ctx, namespace, name, func(run *devopsv1alpha3.PipelineRun) error {
		stop := devopsv1alpha3.Stop
		run.Spec.Action = &stop
		return nil
	})
}

// act changes the run of the path as the user, and answers with it.
func (h *Handler) act(req *restful.Request, resp *restful.Response, change func(*devopsv1alpha3.PipelineRun) error) error {
	run, err := h.change(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), change)
	if err != nil {
		return err
	}
	return h.answer(req, resp, run)
}

// change changes a live run as the user.
func (h *Handler) change(ctx context.Context, namespace, name string, change func(*devopsv1alpha3.PipelineRun) error) (*devopsv1alpha3.PipelineRun, error) {
	return h.update(ctx, namespace, name, func(run *devopsv1alpha3.PipelineRun) error {
		if ended(run) {
			return response.NewStatus(http.StatusBadRequest, "BadRequest",
				fmt.Sprintf("pipelinerun %q has ended (%s); nothing can be done with it", run.Name, run.Status.Phase))
		}
		return change(run)
	})
}

// update changes a run as the user, as often as others change it at the same time.
func (h *Handler) update(ctx context.Context, namespace, name string, change func(*devopsv1alpha3.PipelineRun) error) (*devopsv1alpha3.PipelineRun, error) {
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return nil, err
	}
	run := &devopsv1alpha3.PipelineRun{}
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := h.deps.Store.GetLive(ctx, namespace, name, run); err != nil {
			return err
		}
		if err := change(run); err != nil {
			return err
		}
		return c.Update(ctx, run, crud.FieldOwner)
	})
	return run, err
}

// Ended tells if a run changes no more.
func Ended(run *devopsv1alpha3.PipelineRun) bool { return ended(run) }

func ended(run *devopsv1alpha3.PipelineRun) bool {
	return run.Status.Phase.Ended() || run.Status.CompletionTime != nil
}

// Delete removes a run, live or not: its finalizer stops the build and removes it from Jenkins. A
// console that may not delete live runs, as KubeSphere's, stops them first. The answer is empty.
func (h *Handler) Delete(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	run := &devopsv1alpha3.PipelineRun{}
	run.Namespace, run.Name = req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName)
	if req.QueryParameter("keepJenkinsRecord") == "true" {
		if err := h.keepRecord(ctx, c, run); err != nil {
			return err
		}
	}
	if err := c.Delete(ctx, run); err != nil {
		return err
	}
	resp.WriteHeader(http.StatusOK)
	return nil
}

// keepRecord asks the finalizer to leave the build in Jenkins.
func (h *Handler) keepRecord(ctx context.Context, c client.Client, run *devopsv1alpha3.PipelineRun) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := h.deps.Store.GetLive(ctx, run.Namespace, run.Name, run); err != nil {
			return err
		}
		if run.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] == "true" {
			return nil
		}
		if run.Annotations == nil {
			run.Annotations = map[string]string{}
		}
		run.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] = "true"
		return c.Update(ctx, run, crud.FieldOwner)
	})
}

// run gives the run of the path.
func (h *Handler) run(req *restful.Request) (*devopsv1alpha3.PipelineRun, error) {
	run := &devopsv1alpha3.PipelineRun{}
	err := h.deps.Store.Get(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), run)
	return run, err
}

func (h *Handler) answer(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	if err := h.deps.Store.Finish(run); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, run)
	return nil
}
