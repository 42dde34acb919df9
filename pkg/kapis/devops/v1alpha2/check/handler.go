// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check serves the checks of forms: whether a script compiles, and when a schedule runs.
// Jenkins makes them, so that what is checked is what will run.
package check

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/jenkinsjob"
)

// Jenkins makes the checks; *jenkins.Client does. Errors are those of pkg/jenkins.
type Jenkins interface {
	CheckScript(ctx context.Context, folder, job, script string) ([]jenkins.ScriptError, error)
	CheckCron(ctx context.Context, folder, job, spec string) (*jenkins.CronCheck, error)
}

// Handler serves the checks.
type Handler struct {
	deps    crud.Deps
	jenkins Jenkins
}

// New makes the handler. Without a Jenkins nothing can be checked.
func New(deps crud.Deps, j Jenkins) *Handler { return &Handler{deps: deps, jenkins: j} }

var errNoJenkins = response.Unavailable("this server does not know Jenkins, which makes the check")

// Script is the body of a check of a script.
type Script struct {
	// Value is the script; it may be empty.
	Value *string `json:"value"`
}

// passed is the status of a script that compiles.
const passed = "success"

// ScriptResult is what is said of a script: that it compiles, or what is wrong with it first.
type ScriptResult struct {
	jenkins.ScriptError
	// Errors is all that is wrong, if it is more.
	Errors []jenkins.ScriptError `json:"errors,omitempty"`
}

// Script answers whether a script compiles. Jenkins answers with a list if it does not; consoles expect one object.
func (h *Handler) Script(req *restful.Request, resp *restful.Response) error {
	ctx, namespace := req.Request.Context(), req.PathParameter(crud.ParamNamespace)
	script, err := scriptOf(req.Request)
	if err != nil {
		return err
	}
	if h.jenkins == nil {
		return errNoJenkins
	}
	if err := jenkinsjob.CheckFolder(ctx, h.deps.Store, namespace); err != nil {
		return err
	}
	// In the folder: the check does not depend on the job, which need not be there yet.
	wrong, err := h.jenkins.CheckScript(ctx, namespace, "", script)
	if err != nil {
		return err
	}
	answer := ScriptResult{ScriptError: jenkins.ScriptError{Status: passed}}
	if len(wrong) > 0 {
		answer.ScriptError = wrong[0]
	}
	if len(wrong) > 1 {
		answer.Errors = wrong
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, answer)
	return nil
}

// scriptOf reads the script from a form or from JSON.
func scriptOf(r *http.Request) (string, error) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch mediaType {
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				return "", tooLarge
			}
			return "", apierrors.NewBadRequest("the form cannot be read")
		}
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxForm); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				return "", tooLarge
			}
			return "", apierrors.NewBadRequest("the form cannot be read")
		}
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	default:
		var body Script
		if err := request.DecodeJSON(r, &body); err != nil {
			return "", err
		}
		if body.Value == nil {
			return "", errNoValue
		}
		return *body.Value, nil
	}
	values, ok := r.PostForm["value"]
	if !ok || len(values) != 1 {
		return "", errNoValue
	}
	return values[0], nil
}

// maxForm is what of a form in parts is kept in memory, in bytes.
const maxForm = 2 << 20

var errNoValue = apierrors.NewBadRequest("send the script once, as the field value of a form or of a JSON object")

// Cron is the body of a check of a schedule.
type Cron struct {
	// PipelineName is the pipeline that has the schedule, or will have it: "H" stands for another time in each.
	PipelineName string `json:"pipelineName,omitempty"`
	// Name is the same, as the console of version 3 sends it.
	Name string `json:"name,omitempty"`
	// Cron is the schedule, in Jenkins' syntax.
	Cron *string `json:"cron"`
}

// CronResult is what Jenkins says of a schedule.
type CronResult struct {
	// Result is ok, warning or error. A schedule that will run is ok, also if Jenkins has an advice.
	Result string `json:"result"`
	// Message is Jenkins' text, one line for each verdict.
	Message string `json:"message"`
	// LastTime and NextTime are when it would have run last and will run next, RFC 3339 in UTC. They are missing if Jenkins does not
	// say, or says it in another zone.
	LastTime string `json:"lastTime,omitempty"`
	NextTime string `json:"nextTime,omitempty"`
}

const (
	// maxCron bounds a schedule in bytes: it goes into an address.
	maxCron = 4 << 10
	// willRun begins Jenkins' text of a schedule that is in order.
	willRun = "Would last have run at"
)

// Cron answers what Jenkins says of a schedule.
func (h *Handler) Cron(req *restful.Request, resp *restful.Response) error {
	ctx, namespace := req.Request.Context(), req.PathParameter(crud.ParamNamespace)
	var body Cron
	if err := request.DecodeJSON(req.Request, &body); err != nil {
		return err
	}
	switch {
	case body.Cron == nil:
		return apierrors.NewBadRequest("cron is missing: it is the schedule, such as \"H/15 * * * *\"")
	case len(*body.Cron) > maxCron:
		return apierrors.NewBadRequest(fmt.Sprintf("cron has %d bytes, more than %d", len(*body.Cron), maxCron))
	case h.jenkins == nil:
		return errNoJenkins
	}
	name := body.PipelineName
	if name == "" {
		name = body.Name
	}
	found, err := h.cron(ctx, namespace, name, *body.Cron)
	if err != nil {
		return err
	}
	response.Write(resp.ResponseWriter, req.Request, http.StatusOK, cronResult(found))
	return nil
}

// cron asks at the job, for its times; if there is none yet at the folder, and if there is none of the project's at the root.
func (h *Handler) cron(ctx context.Context, namespace, name, spec string) (*jenkins.CronCheck, error) {
	err := jenkinsjob.CheckFolder(ctx, h.deps.Store, namespace)
	switch {
	case apierrors.IsNotFound(err):
		return h.jenkins.CheckCron(ctx, "", "", spec)
	case err != nil:
		return nil, err
	}
	if name != "" {
		// Only a pipeline of the project is asked for: the name is the user's.
		_, err := jenkinsjob.Pipeline(ctx, h.deps.Store, namespace, name)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
			return nil, err
		}
		if err == nil {
			found, err := h.jenkins.CheckCron(ctx, namespace, name, spec)
			if !errors.Is(err, jenkins.ErrNotFound) {
				return found, err
			}
		}
	}
	found, err := h.jenkins.CheckCron(ctx, namespace, "", spec)
	if errors.Is(err, jenkins.ErrNotFound) {
		return h.jenkins.CheckCron(ctx, "", "", spec)
	}
	return found, err
}

func cronResult(c *jenkins.CronCheck) CronResult {
	out := CronResult{Result: c.Result, Message: c.Message, LastTime: stamp(c.Last), NextTime: stamp(c.Next)}
	if c.Result == jenkins.CheckWarning && strings.Contains(c.Message, willRun) {
		// Clients take all but ok for a schedule that cannot be saved.
		out.Result = jenkins.CheckOK
	}
	return out
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
