// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io/fs"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// errorRecord is an error in the history. What the engine and scripts tell apart stays apart.
type errorRecord struct {
	// Type says which error it is; empty is one that only has a text.
	Type string `json:"type,omitempty"`
	// Text is its message, Class that of an exception; Name is the agent, the user or the step.
	Text  string          `json:"text,omitempty"`
	Class string          `json:"class,omitempty"`
	Name  string          `json:"name,omitempty"`
	Pos   jenkinsfile.Pos `json:"pos,omitzero"`
	// Result is that of an abort or of another build.
	Result Result `json:"result,omitempty"`
	// Causes are the errors that it wraps.
	Causes []*errorRecord `json:"causes,omitempty"`
}

// sentinels are errors that are known by themselves.
var sentinels = map[string]error{
	"notExist": fs.ErrNotExist, "exist": fs.ErrExist, "permission": fs.ErrPermission, "closed": fs.ErrClosed,
	"canceled": context.Canceled, "deadline": context.DeadlineExceeded,
}

// recordError describes an error and what it wraps.
func recordError(err error) *errorRecord {
	if err == nil {
		return nil
	}
	for name, s := range sentinels {
		if err == s { //nolint:errorlint // what wraps it comes first
			return &errorRecord{Type: name}
		}
	}
	switch e := err.(type) { //nolint:errorlint // what is wrapped follows
	case *groovy.Exception:
		return withCause(&errorRecord{Type: "exception", Class: e.Class, Text: e.Message, Pos: e.Pos}, e.Err)
	case *groovy.LimitError:
		return &errorRecord{Type: "limit", Text: e.Message, Pos: e.Pos}
	case *agentError:
		return withCause(&errorRecord{Type: "agent", Name: e.agent}, e.err)
	case *interruptError:
		return withCause(&errorRecord{Type: "interrupt"}, e.cause)
	case *stopError:
		return &errorRecord{Type: "stop", Text: e.line}
	case *downstreamError:
		return &errorRecord{Type: "downstream", Text: e.message, Result: e.result}
	case *AbortError:
		return &errorRecord{Type: "abort", Name: e.User, Text: e.Reason, Result: e.Result}
	case *UnsupportedError:
		return &errorRecord{Type: "unsupported", Name: e.Name, Text: e.Message, Pos: jenkinsfile.Pos{Line: e.Line, Column: e.Column}}
	case *CheckError:
		r := &errorRecord{Type: "check"}
		for _, p := range e.Problems {
			r.Causes = append(r.Causes, recordError(p))
		}
		return r
	case interface{ Unwrap() []error }:
		r := &errorRecord{Text: err.Error()}
		for _, cause := range e.Unwrap() {
			r = withCause(r, cause)
		}
		return r
	}
	r := withCause(&errorRecord{Text: err.Error()}, errors.Unwrap(err))
	if len(r.Causes) == 0 {
		for name, s := range sentinels {
			if errors.Is(err, s) { // errors such as syscall.ENOENT say that they are
				return withCause(r, sentinels[name])
			}
		}
	}
	return r
}

func withCause(r *errorRecord, cause error) *errorRecord {
	if cause != nil {
		r.Causes = append(r.Causes, recordError(cause))
	}
	return r
}

// recordedError is an error from a history that only has a text and what it wraps.
type recordedError struct {
	text   string
	causes []error
}

func (e *recordedError) Error() string   { return e.text }
func (e *recordedError) Unwrap() []error { return e.causes }

// err is the error that was described.
func (r *errorRecord) err() error {
	if r == nil {
		return nil
	}
	if s, ok := sentinels[r.Type]; ok {
		return s
	}
	var cause error
	if len(r.Causes) > 0 {
		cause = r.Causes[0].err()
	}
	switch r.Type {
	case "exception":
		return &groovy.Exception{Class: r.Class, Message: r.Text, Pos: r.Pos, Err: cause}
	case "limit":
		return &groovy.LimitError{Message: r.Text, Pos: r.Pos}
	case "agent":
		return &agentError{agent: r.Name, err: known(cause)}
	case "interrupt":
		return &interruptError{known(cause)}
	case "stop":
		return &stopError{line: r.Text}
	case "downstream":
		return &downstreamError{message: r.Text, result: r.Result}
	case "abort":
		return &AbortError{User: r.Name, Reason: r.Text, Result: r.Result}
	case "unsupported":
		return &UnsupportedError{Name: r.Name, Message: r.Text, Line: r.Pos.Line, Column: r.Pos.Column}
	case "check":
		e := &CheckError{}
		for _, c := range r.Causes {
			var p *UnsupportedError
			if errors.As(c.err(), &p) {
				e.Problems = append(e.Problems, p)
			}
		}
		return e
	}
	e := &recordedError{text: r.Text}
	for _, c := range r.Causes {
		e.causes = append(e.causes, c.err())
	}
	return e
}

// known keeps an error that has to have a cause from lacking one.
func known(cause error) error {
	if cause == nil {
		return errors.New("unknown")
	}
	return cause
}
