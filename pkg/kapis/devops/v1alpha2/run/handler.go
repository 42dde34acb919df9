// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package run serves runs as older consoles ask for them: by pipeline, branch and the number of the build
// in Jenkins, in the form of Blue Ocean. A run is a PipelineRun all the same: it is found by its number in
// the informer cache, and what is done with it is done by package pipelinerun.
package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

// Path parameters. ParamBranch is the name of the branch job in Jenkins' encoding.
const (
	ParamPipeline = pipelinerun.ParamPipeline
	ParamBranch   = "branch"
	ParamRun      = "run"
)

const (
	// startPatience is how long a start waits for the number of the build, startPoll how often the cache
	// is looked at for it.
	startPatience = 15 * time.Second
	startPoll     = 50 * time.Millisecond
	// stopPatience and maxStopPatience are how long a blocking stop waits for the end if the query does
	// not say, and at most.
	stopPatience    = 10 * time.Second
	maxStopPatience = 45 * time.Second
	// defaultLimit is Blue Ocean's length of a list.
	defaultLimit = 100
)

// Handler serves runs.
type Handler struct {
	deps   crud.Deps
	reader client.Reader
	runs   *pipelinerun.Handler
	// patience is how long a start waits for the number of the build.
	patience time.Duration
}

// New makes the handler. The reader is a cache with the fields of package index.
func New(deps crud.Deps, reader client.Reader, runs *pipelinerun.Handler) *Handler {
	deps.SetDefaults()
	return &Handler{deps: deps, reader: reader, runs: runs, patience: startPatience}
}

// find gives the run of the path: a copy.
func (h *Handler) find(req *restful.Request) (*devopsv1alpha3.PipelineRun, error) {
	text, pipeline, branch := req.PathParameter(ParamRun), req.PathParameter(ParamPipeline), req.PathParameter(ParamBranch)
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 1 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("a run is named by the number of its build, got %.40q", text))
	}
	list := &devopsv1alpha3.PipelineRunList{}
	err = h.reader.List(req.Request.Context(), list, client.InNamespace(req.PathParameter(crud.ParamNamespace)), client.UnsafeDisableDeepCopy,
		client.MatchingFields{index.RunBuild: index.BuildValue(pipeline, branch, strconv.FormatInt(number, 10))})
	if err != nil {
		return nil, fmt.Errorf("find run %d: %w", number, err)
	}
	// A job that was deleted and made again counts from one: the newest is meant.
	var found *devopsv1alpha3.PipelineRun
	for i := range list.Items {
		if run := &list.Items[i]; found == nil || found.CreationTimestamp.Before(&run.CreationTimestamp) {
			found = run
		}
	}
	if found == nil {
		what := fmt.Sprintf("pipeline %.253q", pipeline)
		if branch != "" {
			what = fmt.Sprintf("branch %.253q of %s", branch, what)
		}
		return nil, response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s has no run %d", what, number))
	}
	run := found.DeepCopy()
	return run, h.deps.Store.Finish(run)
}

// with gives the run of the path to a function that answers.
func (h *Handler) with(serve func(*restful.Request, *restful.Response, *devopsv1alpha3.PipelineRun) error) func(*restful.Request, *restful.Response) error {
	return func(req *restful.Request, resp *restful.Response) error {
		run, err := h.find(req)
		if err != nil {
			return err
		}
		return serve(req, resp, run)
	}
}

func answer(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	shown, err := show(run, time.Now())
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, shown)
	return nil
}

// Get answers with a run.
func (h *Handler) Get(req *restful.Request, resp *restful.Response) error {
	return h.with(answer)(req, resp)
}

// List answers with a page of the runs of a pipeline, or of one of its branches, the newest first. Those
// that have no build yet are among them.
func (h *Handler) List(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	page, err := pageOf(req)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: req.PathParameter(crud.ParamNamespace), Name: req.PathParameter(ParamPipeline)}
	if err := h.deps.Store.Get(ctx, key.Namespace, key.Name, &devopsv1alpha3.Pipeline{}); err != nil {
		return err
	}
	all, err := index.RunsOf(ctx, h.reader, key)
	if err != nil {
		return err
	}
	runs := sorted(all, branchOf(req))
	from, to := page.of(len(runs))
	items := make([]map[string]any, 0, to-from)
	now := time.Now()
	for _, run := range runs[from:to] {
		item, err := show(run, now)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	response.WriteList(resp.ResponseWriter, req.Request, items, len(runs))
	return nil
}

// branchOf is the branch of the path, or else of the query.
func branchOf(req *restful.Request) string {
	if branch := req.PathParameter(ParamBranch); branch != "" {
		return branch
	}
	return req.QueryParameter("branch")
}

// Start starts a run.
func (h *Handler) Start(req *restful.Request, resp *restful.Response) error {
	run, err := h.runs.CreateRun(req, branchOf(req))
	if err != nil {
		return err
	}
	return h.answerStarted(req, resp, run)
}

// Replay starts a run that replays the build of another.
func (h *Handler) Replay(req *restful.Request, resp *restful.Response) error {
	original, err := h.find(req)
	if err != nil {
		return err
	}
	run, err := h.runs.CreateReplay(req.Request.Context(), original.Namespace, original.Name)
	if err != nil {
		return err
	}
	return h.answerStarted(req, resp, run)
}

// answerStarted waits for the number of the build. A run that has none for a while waits on; why is in
// its causeOfBlockage. It would be wrong to call that a failure: the client would start another.
func (h *Handler) answerStarted(req *restful.Request, resp *restful.Response, run *devopsv1alpha3.PipelineRun) error {
	run, err := h.await(req.Request.Context(), run, h.patience, func(run *devopsv1alpha3.PipelineRun) bool {
		return numberOf(run) > 0 || pipelinerun.Ended(run)
	})
	if err != nil {
		return err
	}
	if numberOf(run) == 0 && pipelinerun.Ended(run) {
		reason, message := why(run)
		return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("the run was not started: %s: %s", reason, message))
	}
	return answer(req, resp, run)
}

// await waits until a run is as it should be, and gives it as it is when the time is over.
func (h *Handler) await(ctx context.Context, run *devopsv1alpha3.PipelineRun, patience time.Duration, done func(*devopsv1alpha3.PipelineRun) bool) (*devopsv1alpha3.PipelineRun, error) {
	var last error
	err := wait.PollUntilContextTimeout(ctx, startPoll, patience, true, func(ctx context.Context) (bool, error) {
		now := &devopsv1alpha3.PipelineRun{}
		if last = h.deps.Store.Get(ctx, run.Namespace, run.Name, now); last != nil {
			return false, last
		}
		// A cache may be behind what this request has just written.
		if now.UID == run.UID {
			run = now
		}
		return done(run), nil
	})
	switch {
	case last != nil && ctx.Err() == nil && !errors.Is(last, context.DeadlineExceeded):
		return nil, last
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for run %s: %w", run.Name, context.Cause(ctx))
	case err != nil && !wait.Interrupted(err):
		return nil, err
	}
	return run, nil
}

// Stop stops a run. One that has ended is answered unchanged, as Jenkins does.
func (h *Handler) Stop(req *restful.Request, resp *restful.Response) error {
	patience, err := patienceOf(req)
	if err != nil {
		return err
	}
	run, err := h.find(req)
	if err != nil {
		return err
	}
	ctx := req.Request.Context()
	if !pipelinerun.Ended(run) {
		stopped, err := h.runs.RequestStop(ctx, run.Namespace, run.Name)
		switch {
		case err == nil:
			run = stopped
		case stopped != nil && pipelinerun.Ended(stopped): // it ended just now
			run = stopped
		default:
			return err
		}
	}
	if patience > 0 {
		if run, err = h.await(ctx, run, patience, pipelinerun.Ended); err != nil {
			return err
		}
	}
	return answer(req, resp, run)
}

// patienceOf is how long a stop is to wait for the end; zero: not at all.
func patienceOf(req *restful.Request) (time.Duration, error) {
	patience := stopPatience
	if text := req.QueryParameter("timeOutInSecs"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 {
			return 0, apierrors.NewBadRequest("timeOutInSecs must be a number of seconds")
		}
		patience = time.Duration(min(seconds, int(maxStopPatience/time.Second))) * time.Second
	}
	switch req.QueryParameter("blocking") {
	case "", "false", "0":
		return 0, nil
	case "true", "1":
		return patience, nil
	}
	return 0, apierrors.NewBadRequest("blocking must be true or false")
}

// Artifacts answers with the artifacts of a run: a list without an envelope.
func (h *Handler) Artifacts(req *restful.Request, resp *restful.Response) error {
	page, err := pageOf(req)
	if err != nil {
		return err
	}
	run, err := h.find(req)
	if err != nil {
		return err
	}
	files, err := h.runs.ListArtifacts(req.Request.Context(), run)
	if err != nil {
		return err
	}
	from, to := page.of(len(files))
	items := make([]Artifact, 0, to-from)
	for _, file := range files[from:to] {
		items = append(items, Artifact{ID: file.Path, Artifact: file, Downloadable: true})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, items)
	return nil
}

// Log answers with the log of a run, StepLog with that of one of its steps.
func (h *Handler) Log(req *restful.Request, resp *restful.Response) error {
	return h.with(h.runs.ServeLog)(req, resp)
}

// StepLog is Log for a step.
func (h *Handler) StepLog(req *restful.Request, resp *restful.Response) error {
	return h.with(h.runs.ServeStepLog)(req, resp)
}

// stages gives the stages of the run of the path.
func (h *Handler) stages(req *restful.Request, resp *restful.Response) ([]pipelinerun.Stage, error) {
	run, err := h.find(req)
	if err != nil {
		return nil, err
	}
	return h.runs.ShowStages(req, resp, run)
}

// Nodes answers with the stages of a run, without their steps.
func (h *Handler) Nodes(req *restful.Request, resp *restful.Response) error {
	stages, err := h.stages(req, resp)
	if err != nil {
		return err
	}
	nodes := make([]Node, 0, len(stages))
	for _, stage := range stages {
		nodes = append(nodes, Node{Stage: stage.Stage})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, nodes)
	return nil
}

// Steps answers with the steps of a stage.
func (h *Handler) Steps(req *restful.Request, resp *restful.Response) error {
	stages, err := h.stages(req, resp)
	if err != nil {
		return err
	}
	node := req.PathParameter(pipelinerun.ParamNode)
	for _, stage := range stages {
		if stage.ID == node {
			response.Write(resp.ResponseWriter, req.Request, http.StatusOK, stepsOf(stage))
			return nil
		}
	}
	return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound,
		fmt.Sprintf("run %s has no node %.100q", req.PathParameter(ParamRun), node))
}

// NodesDetail answers with the stages of a run and their steps.
func (h *Handler) NodesDetail(req *restful.Request, resp *restful.Response) error {
	stages, err := h.stages(req, resp)
	if err != nil {
		return err
	}
	nodes := make([]NodeDetail, 0, len(stages))
	for _, stage := range stages {
		nodes = append(nodes, NodeDetail{Stage: stage.Stage, Steps: stepsOf(stage)})
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, nodes)
	return nil
}

// Answer answers an input. Consoles that use this version take every other code than 200 for a failure of
// the server, and look for allow in the body: who may not answer is told so there.
func (h *Handler) Answer(req *restful.Request, resp *restful.Response) error {
	run, err := h.find(req)
	if err != nil {
		return err
	}
	err = h.runs.AnswerInput(req, run)
	var others *pipelinerun.NotSubmitterError
	switch {
	case errors.As(err, &others):
		response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Verdict{Allow: "false", Message: others.Error()})
		return nil
	case err != nil:
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, Verdict{Allow: "true", Message: response.Success().Message})
	return nil
}
