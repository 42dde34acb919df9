// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	classInputAction    = "org.jenkinsci.plugins.workflow.support.steps.input.InputAction"
	classApproverAction = "org.jenkinsci.plugins.workflow.support.steps.input.ApproverAction"
)

// question is an input of a running build that nobody has answered yet.
type question struct {
	engine.Input
	answer chan engine.Answer
}

// Ask implements engine.Inputs.
func (r *buildRun) Ask(ctx context.Context, in engine.Input) (engine.Answer, error) {
	if r.past != nil {
		if a, ok := r.past.Answers[in.StepID]; ok {
			return a, nil // somebody was told that it counts
		}
	}
	q := &question{Input: in, answer: make(chan engine.Answer, 1)}
	r.mu.Lock()
	r.questions = append(r.questions, q)
	r.mu.Unlock()
	r.change(func(b *store.Build) { b.Asked = true })
	select {
	case a := <-q.answer:
		return a, nil
	case <-ctx.Done():
		r.takeQuestion(q)
		return engine.Answer{}, context.Cause(ctx)
	}
}

// question is the oldest question of an ID, of which branches may ask more than one; nil if there is none.
func (r *buildRun) question(id string) *question {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.questions, func(q *question) bool { return q.ID == id })
	if i < 0 {
		return nil
	}
	return r.questions[i]
}

// takeQuestion removes a question and tells if nobody else was faster.
func (r *buildRun) takeQuestion(q *question) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.questions, q)
	if i >= 0 {
		r.questions = slices.Delete(r.questions, i, i+1)
	}
	return i >= 0
}

// pending are the questions of a build, the oldest first.
func (s *Server) pending(k store.BuildKey) []engine.Input {
	s.mu.RLock()
	r := s.runs[k]
	s.mu.RUnlock()
	return r.pending()
}

func (r *buildRun) pending() []engine.Input {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []engine.Input
	for _, q := range r.questions {
		out = append(out, q.Input)
	}
	return out
}

var (
	errNoQuestion = errors.New("no such input")
	errSubmitter  = errors.New("not among those who may answer")
)

// answerInput answers a question once. values makes the values of its parameters.
func (s *Server) answerInput(k store.BuildKey, id string, l login, abort bool, values func([]jenkinsfile.Parameter) ([]store.Param, error)) error {
	s.mu.RLock()
	r := s.runs[k]
	s.mu.RUnlock()
	q := r.question(id)
	if q == nil {
		return errNoQuestion
	}
	a := engine.Answer{User: l.user, Abort: abort}
	// Whoever may cancel a build may also say no, and an administrator may always answer.
	if !abort {
		if !mayAnswer(q.Submitter, l) {
			return errSubmitter
		}
		given, err := values(q.Parameters)
		if err != nil {
			return err
		}
		a.Values = paramValues(given)
	}
	if !r.takeQuestion(q) {
		return errNoQuestion // somebody else was faster
	}
	if r.build.Durable {
		if err := s.store.PutAnswer(k, q.StepID, a); err != nil {
			return err
		}
	}
	if abort {
		r.mu.Lock()
		r.abortedBy = append(r.abortedBy, rejectedBy+l.user)
		r.mu.Unlock()
	} else {
		r.change(func(b *store.Build) { b.Approved = true })
	}
	q.answer <- a
	return nil
}

// rejectedBy begins what is kept of a build that an input's answer ended.
const rejectedBy = "Rejected by "

func mayAnswer(submitters string, l login) bool {
	if submitters == "" || !l.limited {
		return true
	}
	return slices.ContainsFunc(strings.Split(submitters, ","), func(u string) bool { return strings.TrimSpace(u) == l.user })
}

// paramValues are values as the engine takes them.
func paramValues(given []store.Param) []engine.ParamValue {
	var out []engine.ParamValue
	for _, v := range given {
		pv := engine.ParamValue{Name: v.Name, Value: v.Value, Sensitive: v.Type == jenkinsfile.ParameterPassword}
		if v.Type == jenkinsfile.ParameterBoolean {
			pv.Value = v.Value == "true"
		}
		out = append(out, pv)
	}
	return out
}

// blueAnswer serves POST on a step.
func (s *Server) blueAnswer(c *call, b *store.Build) {
	if !needJSON(c) {
		return
	}
	body, ok := c.readBody()
	if !ok {
		return
	}
	var f struct {
		ID         string          `json:"id"`
		Abort      bool            `json:"abort"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(body, &f); err != nil || f.ID == "" {
		fail500(c.w, c.r, "an input needs an id")
		return
	}
	errNoList := errors.New("parameters is required")
	err := s.answerInput(b.Key(), f.ID, loginOf(c.r), f.Abort, func(defs []jenkinsfile.Parameter) ([]store.Param, error) {
		given, err := parameterList(f.Parameters)
		if err == nil && given == nil {
			err = errNoList
		}
		if err != nil {
			return nil, err
		}
		return valuesOf(defs, given)
	})
	switch {
	case err == nil:
		empty(c.w, http.StatusOK)
	case errors.Is(err, errNoQuestion):
		failBlue(c.w, http.StatusBadRequest, "Error processing Input Submit request. This Run instance does not have an Input with an id of '"+f.ID+"'.")
	case errors.Is(err, errSubmitter):
		failBlue(c.w, http.StatusBadRequest, s.submitterMessage(b.Key(), f.ID))
	case errors.Is(err, errChoice):
		fail500(c.w, c.r, err.Error())
	default:
		failBlue(c.w, http.StatusBadRequest, err.Error())
	}
}

func (s *Server) submitterMessage(k store.BuildKey, id string) string {
	who := ""
	for _, in := range s.pending(k) {
		if in.ID == id {
			who = in.Submitter
		}
	}
	return "You need to be " + who + " to submit this."
}

// inputRoutes serves what is below input/ of a build.
func (s *Server) inputRoutes(c *call, b *store.Build) {
	c.next()
	if len(c.segs) == 0 {
		if len(s.pending(b.Key())) == 0 {
			fail404(c.w)
			return
		}
		mark(c.w)
		writePage(c.w, http.StatusOK, typeHTML, page("Paused for Input", ""))
		return
	}
	id, action := c.next(), c.rest()
	if !slices.Contains([]string{"proceed", "proceedEmpty", "submit", "abort"}, action) {
		fail404(c.w)
		return
	}
	if !c.post() || !c.form() {
		return
	}
	abort := action == "abort" || action == "submit" && !c.r.Form.Has("proceed")
	form := c.r.Form.Get("json")
	if action == "proceedEmpty" {
		form = ""
	}
	if !s.classicAnswer(c, b, id, abort, form) {
		return
	}
	if action == "submit" {
		redirect(c.w, c.view+c.at.path+c.ref+"/console")
		return
	}
	empty(c.w, http.StatusOK)
}

// classicAnswer answers an input; it has answered the request too if it returns false.
func (s *Server) classicAnswer(c *call, b *store.Build, id string, abort bool, form string) bool {
	err := s.answerInput(b.Key(), id, loginOf(c.r), abort, func(defs []jenkinsfile.Parameter) ([]store.Param, error) {
		if form == "" {
			return valuesOf(defs, nil)
		}
		return valuesFromJSON(defs, []byte(form))
	})
	switch {
	case err == nil:
		return true
	case errors.Is(err, errNoQuestion):
		fail404(c.w)
	case errors.Is(err, errSubmitter):
		failForm(c.w, s.submitterMessage(b.Key(), id))
	default:
		failForm(c.w, err.Error())
	}
	return false
}

// inputBean is a question in Blue Ocean; nil for none. step is the path of the step.
func inputBean(step string, in *engine.Input) *object {
	if in == nil {
		return nil
	}
	return bean("io.jenkins.blueocean.rest.impl.pipeline.InputStepImpl").in("_links", links("self", step+"input/")).
		in("id", in.ID).in("message", in.Message).in("ok", in.OK).
		in("parameters", inputParameterBeans(in.Parameters)).in("submitter", nullIfEmpty(in.Submitter))
}

// inputParameterBeans are like those of a job, but without a description there is null.
func inputParameterBeans(defs []jenkinsfile.Parameter) []*object {
	out := parameterBeans(defs)
	for i, d := range defs {
		for j := range out[i].fields {
			if f := &out[i].fields[j]; f.name == "description" {
				f.val = nullIfEmpty(d.Description)
			}
		}
	}
	return out
}

// wfInput is a question in the stage view API. self is the path of the build.
func wfInput(self string, in engine.Input) *object {
	inputs := []*object{}
	for _, p := range in.Parameters {
		o := bean("").in("type", typeNames[p.Type]+"ParameterDefinition").in("name", p.Name)
		if p.Description != "" {
			o.in("description", p.Description)
		}
		def := bean("")
		switch p.Type {
		case jenkinsfile.ParameterBoolean:
			def.in("defaultVal", p.Default == "true")
		case jenkinsfile.ParameterChoice:
			def.in("defaultVal", p.Default).in("choices", p.Choices)
		case jenkinsfile.ParameterPassword:
		default:
			def.in("defaultVal", p.Default)
		}
		inputs = append(inputs, o.in("definition", def))
	}
	id := url.QueryEscape(in.ID)
	return bean("").in("id", in.ID).in("proceedText", in.OK).in("message", in.Message).in("inputs", inputs).
		in("proceedUrl", self+"wfapi/inputSubmit?inputId="+id).in("abortUrl", self+"input/"+encodeSegment(in.ID)+"/abort").
		in("redirectApprovalUrl", self+"input/")
}

// wfInputs serves the questions of a build in the stage view API; false if the path is another.
func (s *Server) wfInputs(c *call, b *store.Build, self string) bool {
	switch c.rest() {
	case "wfapi/pendingInputActions":
		list := s.pending(b.Key())
		s.plain(c, func() any {
			out := []*object{}
			for _, in := range list {
				out = append(out, wfInput(self, in))
			}
			return out
		})
	case "wfapi/nextPendingInputAction":
		list := s.pending(b.Key())
		s.plain(c, func() any {
			if len(list) == 0 {
				return (*object)(nil)
			}
			return wfInput(self, list[0])
		})
	case "wfapi/inputSubmit":
		if c.post() && c.form() && s.classicAnswer(c, b, c.r.Form.Get("inputId"), false, c.r.Form.Get("json")) {
			empty(c.w, http.StatusOK)
		}
	default:
		return false
	}
	return true
}
