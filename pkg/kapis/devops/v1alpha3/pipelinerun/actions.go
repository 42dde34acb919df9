// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/emicklei/go-restful/v3"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

// Path parameters of an input.
const (
	ParamNode = "node"
	ParamStep = "step"
)

// InputSource reads and answers the inputs that builds wait at. Errors are those of pkg/jenkins.
type InputSource interface {
	// InputStages gives the stages of a build, those that have not finished with their steps.
	InputStages(ctx context.Context, build Build) ([]jenkins.Stage, error)
	SubmitInput(ctx context.Context, build Build, answer jenkins.Answer) error
}

// PendingInput is an input that a run waits at.
type PendingInput struct {
	// Node and Step are the ids under which it is answered.
	Node string `json:"node"`
	// Step is the id of the step.
	Step string `json:"step"`
	// Stage is the name of the stage.
	Stage string `json:"stage,omitempty"`
	// ID is Jenkins' id of the input; an answer repeats it.
	ID string `json:"id"`
	// Message is the question.
	Message string `json:"message,omitempty"`
	// OK is the text of the button.
	OK string `json:"ok,omitempty"`
	// Parameters are the values that it asks for.
	Parameters []jenkins.InputParameter `json:"parameters"`
	// Submitter lists the users and groups who may answer; empty: everybody who may update the run.
	Submitter string `json:"submitter,omitempty"`
	// Approvable tells if the user who asks may answer.
	Approvable bool `json:"approvable"`
	// Deadline is when the input is aborted, if it has a deadline.
	Deadline *metav1.Time `json:"deadline,omitempty"`
}

// InputList are the inputs of a run.
type InputList struct {
	response.List[PendingInput]
	// Answered are the answers to others, the oldest first.
	Answered []devopsv1alpha3.Approval `json:"answered,omitempty"`
}

// InputAnswer is the answer to an input.
type InputAnswer struct {
	// ID is the id of the input.
	ID string `json:"id"`
	// Abort refuses; the build is then aborted.
	Abort bool `json:"abort,omitempty"`
	// Parameters are the values; those that are left out take their defaults.
	Parameters []InputValue `json:"parameters,omitempty"`
	// Comment is kept with the answer.
	Comment string `json:"comment,omitempty"`
}

// InputValue is a value of an input.
type InputValue struct {
	// Name is the name of the parameter.
	Name string `json:"name"`
	// Value is a text, a number or a boolean.
	Value any `json:"value"`
}

// maxInputValues bounds how many values an answer has.
const maxInputValues = 256

// actions adds the routes by which users act on live runs.
func (r routes) actions() {
	ws := r.ws
	name := ws.PathParameter(crud.ParamName, "name of the run")
	node, step := ws.PathParameter(ParamNode, "id of the stage"), ws.PathParameter(ParamStep, "id of the step that waits")
	ws.Route(r.finish(ws.POST(r.object()+"/pause"), "pausePipelineRun", access("update", "")).To(kapis.Handle(r.h.Pause)).
		Doc("Hold a run that has not been started").
		Notes("Jenkins cannot hold a build that runs: it waits only at an input step.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusConflict, "The build runs and cannot be held", metav1.Status{}))
	ws.Route(r.finish(ws.POST(r.object()+"/resume"), "resumePipelineRun", access("update", "")).To(kapis.Handle(r.h.Resume)).
		Doc("Let a held run start, or answer the inputs that its build waits at with their defaults").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusForbidden, "An input names others who may answer", metav1.Status{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusConflict, "The run does not wait", metav1.Status{}))
	ws.Route(r.finish(ws.POST(r.object()+"/replay"), "replayPipelineRun", access("create", "replay")).To(kapis.Handle(r.h.Replay)).
		Doc("Start a run that runs the build of this one once more, with its Jenkinsfile and its parameters").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).
		Returns(http.StatusOK, "OK", devopsv1alpha3.PipelineRun{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}).
		Returns(http.StatusConflict, "It has no build that could be replayed", metav1.Status{}))
	ws.Route(r.finish(ws.GET(r.object()+"/inputs"), "listPipelineRunInput", access("get", "")).To(kapis.Handle(r.h.Inputs)).
		Doc("List the inputs that a run waits at, and how others were answered").
		Param(name).
		Returns(http.StatusOK, "OK", InputList{}).
		Returns(http.StatusNotFound, "There is none of this name", metav1.Status{}))
	ws.Route(r.finish(ws.POST(r.object()+"/nodes/{"+ParamNode+"}/steps/{"+ParamStep+"}"), "submitPipelineRunInput", access("update", "")).To(kapis.Handle(r.h.Answer)).
		Doc("Answer an input").
		Notes("Where the input names who may answer, only these users and groups may, and who may update the project.").
		Consumes(restful.MIME_JSON, "*/*").
		Param(name).Param(node).Param(step).
		Reads(InputAnswer{}).
		Returns(http.StatusOK, "OK", response.Message{}).
		Returns(http.StatusForbidden, "The input names others who may answer", metav1.Status{}).
		Returns(http.StatusNotFound, "There is no such input", metav1.Status{}))
}

// begun tells if the start of a run is under way or done.
func begun(run *devopsv1alpha3.PipelineRun) bool {
	for _, annotation := range []string{devopsv1alpha3.StartIntentAnnotation, devopsv1alpha3.QueueItemAnnotation, devopsv1alpha3.JenkinsPipelineRunIDAnnotation} {
		if run.Annotations[annotation] != "" {
			return true
		}
	}
	return false
}

func conflict(format string, args ...any) error {
	return response.NewStatus(http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf(format, args...))
}

// Pause holds a run that has not been started.
func (h *Handler) Pause(req *restful.Request, resp *restful.Response) error {
	return h.act(req, resp, func(run *devopsv1alpha3.PipelineRun) error {
		if begun(run) {
			return conflict("pipelinerun %q has been started, and Jenkins cannot hold a build: it waits only at an input step; stop the run, or add an input to the Jenkinsfile", run.Name)
		}
		pause := devopsv1alpha3.Pause
		run.Spec.Action = &pause
		return nil
	})
}

// Resume lets a held run start, or answers the inputs that its build waits at.
func (h *Handler) Resume(req *restful.Request, resp *restful.Response) error {
	run := &devopsv1alpha3.PipelineRun{}
	if err := h.deps.Store.GetLive(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName), run); err != nil {
		return err
	}
	if ended(run) || !begun(run) {
		return h.act(req, resp, func(run *devopsv1alpha3.PipelineRun) error {
			resume := devopsv1alpha3.Resume
			run.Spec.Action = &resume
			return nil
		})
	}
	ctx := req.Request.Context()
	inputs, err := h.pending(ctx, run)
	if err != nil {
		return err
	}
	if len(inputs) == 0 {
		return conflict("pipelinerun %q does not wait for an input", run.Name)
	}
	for _, input := range inputs {
		if !input.Approvable {
			return &NotSubmitterError{Input: input}
		}
	}
	for _, input := range inputs {
		if err := h.submit(ctx, run, input, jenkins.Answer{}, ""); err != nil {
			return err
		}
	}
	return h.answer(req, resp, run)
}

// NotSubmitterError says that an input names others who may answer.
type NotSubmitterError struct{ Input PendingInput }

// Error implements error.
func (e *NotSubmitterError) Error() string {
	return fmt.Sprintf("the input %s can only be answered by %s", quote(e.Input.ID), quote(e.Input.Submitter))
}

// Status implements apierrors.APIStatus: it is a 403.
func (e *NotSubmitterError) Status() metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: e.Error()}
}

// Replay makes a run that replays the build of this one. The answer is 200, as that of a start.
func (h *Handler) Replay(req *restful.Request, resp *restful.Response) error {
	run, err := h.CreateReplay(req.Request.Context(), req.PathParameter(crud.ParamNamespace), req.PathParameter(crud.ParamName))
	if err != nil {
		return err
	}
	return h.answer(req, resp, run)
}

// CreateReplay makes, as the user, a run that replays the build of another one.
func (h *Handler) CreateReplay(ctx context.Context, namespace, name string) (*devopsv1alpha3.PipelineRun, error) {
	c, who, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return nil, err
	}
	original := &devopsv1alpha3.PipelineRun{}
	if err := h.deps.Store.GetLive(ctx, namespace, name, original); err != nil {
		return nil, err
	}
	if _, known := h.buildOf(ctx, original); !known {
		return nil, conflict("pipelinerun %q has no build that could be replayed", original.Name)
	}
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := h.deps.Store.GetLive(ctx, original.Namespace, original.Spec.PipelineRef.Name, pipeline); err != nil {
		return nil, err
	}
	branch := ""
	if original.Spec.SCM != nil {
		branch = original.Spec.SCM.RefName
	}
	run, err := newRun(pipeline, StartRequest{Parameters: original.Spec.Parameters}, branch, who)
	if err != nil {
		return nil, err
	}
	run.Spec.ReplayOf = original.Name
	if original.Spec.PipelineSpec != nil {
		// What is run is what was run then.
		run.Spec.PipelineSpec = original.Spec.PipelineSpec.DeepCopy()
	}
	if err := c.Create(ctx, run, crud.FieldOwner); err != nil {
		return nil, err
	}
	return run, nil
}

// Inputs lists what a run waits for, and how its other inputs were answered.
func (h *Handler) Inputs(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	inputs := []PendingInput{}
	if !ended(run) {
		if inputs, err = h.pending(req.Request.Context(), run); err != nil {
			return err
		}
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, InputList{
		List:     response.List[PendingInput]{Items: inputs, TotalItems: len(inputs)},
		Answered: devopsv1alpha3.Approvals(run),
	})
	return nil
}

// pending asks Jenkins what a build waits for.
func (h *Handler) pending(ctx context.Context, run *devopsv1alpha3.PipelineRun) ([]PendingInput, error) {
	inputs := []PendingInput{}
	build, known := h.buildOf(ctx, run)
	if !known {
		return inputs, nil
	}
	if h.sources.Inputs == nil {
		return nil, response.Unavailable("this server does not know Jenkins, which knows what a build waits for: start it with --jenkins-url")
	}
	stages, err := h.sources.Inputs.InputStages(ctx, build)
	if err != nil {
		return nil, err
	}
	judge := h.judge(run)
	for _, stage := range stages {
		for _, step := range stage.Steps {
			if step.Input == nil || step.State != jenkins.StatePaused {
				continue
			}
			may, deadline, err := judge.of(ctx, step)
			if err != nil {
				return nil, err
			}
			parameters := step.Input.Parameters
			if parameters == nil {
				parameters = []jenkins.InputParameter{}
			}
			inputs = append(inputs, PendingInput{
				Node: stage.ID, Step: step.ID, Stage: stage.DisplayName, ID: step.Input.ID, Message: step.Input.Message, OK: step.Input.OK,
				Parameters: parameters, Submitter: step.Input.Submitter, Approvable: may, Deadline: deadline,
			})
		}
	}
	return inputs, nil
}

// Answer answers an input.
func (h *Handler) Answer(req *restful.Request, resp *restful.Response) error {
	run, err := h.run(req)
	if err != nil {
		return err
	}
	if err := h.AnswerInput(req, run); err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, response.Success())
	return nil
}

// AnswerInput answers the input of the step that the path names, as the body says. Jenkins sees Slipway's
// own account, which may answer every input, so it is here that the input's submitter counts; the error is
// a *NotSubmitterError for who is none. To refuse is to stop the run, which everybody may who may update it.
func (h *Handler) AnswerInput(req *restful.Request, run *devopsv1alpha3.PipelineRun) error {
	ctx := req.Request.Context()
	var body InputAnswer
	if err := request.DecodeJSON(req.Request, &body); err != nil {
		return err
	}
	if err := checkComment(body.Comment); err != nil {
		return err
	}
	inputs, err := h.pending(ctx, run)
	if err != nil {
		return err
	}
	node, step := req.PathParameter(ParamNode), req.PathParameter(ParamStep)
	at := slices.IndexFunc(inputs, func(in PendingInput) bool {
		return in.Node == node && in.Step == step && (body.ID == "" || strings.EqualFold(in.ID, body.ID))
	})
	if ended(run) || at < 0 {
		return response.NewStatus(http.StatusNotFound, metav1.StatusReasonNotFound,
			fmt.Sprintf("pipelinerun %q does not wait for the input %s in step %s of node %s: it may have been answered already", run.Name, quote(body.ID), quote(step), quote(node)))
	}
	input := inputs[at]
	if !input.Approvable && !body.Abort {
		return &NotSubmitterError{Input: input}
	}
	answer := jenkins.Answer{Abort: body.Abort}
	if !body.Abort {
		if answer.Parameters, err = inputValues(body.Parameters, input.Parameters); err != nil {
			return err
		}
	}
	return h.submit(ctx, run, input, answer, body.Comment)
}

// inputValues checks the values of an answer. No message repeats a value: it may be a secret.
func inputValues(values []InputValue, defined []jenkins.InputParameter) ([]jenkins.Parameter, error) {
	if len(values) > maxInputValues {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("an answer has at most %d parameters", maxInputValues))
	}
	byName := map[string]jenkins.InputParameter{}
	for _, p := range defined {
		byName[p.Name] = p
	}
	out := make([]jenkins.Parameter, 0, len(values))
	for _, v := range values {
		p, ok := byName[v.Name]
		if !ok {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the input does not ask for %s, or it is given twice", quote(v.Name)))
		}
		delete(byName, v.Name)
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		if len(p.Choices) > 0 && !slices.Contains(p.Choices, text) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("parameter %s must be one of its choices", quote(v.Name)))
		}
		out = append(out, jenkins.Parameter{Name: v.Name, Value: text})
	}
	return out, nil
}

func textOf(v InputValue) (string, error) {
	switch value := v.Value.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	case int64: // what the decoder makes of a number that is whole
		return strconv.FormatInt(value, 10), nil
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("parameter %s must be a text, a number or a boolean", quote(v.Name)))
}

// submitter is a user who may or may not answer inputs.
type submitter struct {
	user      user.Info
	client    client.Client
	namespace string
	run       string
	// acts is nil until it was asked if the user may act on the run at all, admin until it was asked if the user may change the
	// project itself.
	acts, admin *bool
}

func (h *Handler) submitter(ctx context.Context, run *devopsv1alpha3.PipelineRun) (*submitter, error) {
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return nil, err
	}
	u, _ := request.UserFrom(ctx)
	return &submitter{user: u, client: c, namespace: run.Namespace, run: run.Name}, nil
}

// may tells if the user may answer an input with this list of submitters: one that the list names or that
// is in a group which it names, and administrators of the project, as in Jenkins; without a list everybody
// who may act on the run.
func (s *submitter) may(ctx context.Context, list string) (bool, error) {
	acts, err := s.has(ctx, &s.acts, devopsv1alpha3.PipelineRunResource, s.namespace, s.run)
	if err != nil || !acts {
		return false, err
	}
	if strings.TrimSpace(list) == "" {
		return true, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" && (name == s.user.GetName() || slices.Contains(s.user.GetGroups(), name)) {
			return true, nil
		}
	}
	return s.has(ctx, &s.admin, "devopsprojects", "", s.namespace)
}

// has asks Kubernetes, as the user, if the user may change something, and remembers the answer.
func (s *submitter) has(ctx context.Context, known **bool, resource, namespace, name string) (bool, error) {
	if *known != nil {
		return **known, nil
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "update", Group: devopsv1alpha3.GroupName, Resource: resource, Namespace: namespace, Name: name,
		},
	}}
	if err := s.client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask if the user may change %s: %w", resource, err)
	}
	*known = &review.Status.Allowed
	return review.Status.Allowed, nil
}
