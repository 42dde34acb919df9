// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

const (
	classAbort     = "hudson.AbortException"
	classInterrupt = "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException"
)

// failed makes the error of a step that failed in a way that needs no stack trace.
func failed(format string, args ...any) error {
	return &groovy.Exception{Class: classAbort, Message: fmt.Sprintf(format, args...)}
}

// agentError is the loss of an agent.
type agentError struct {
	agent string
	err   error
}

func (e *agentError) Error() string {
	return fmt.Sprintf("Agent %s was lost: %v", e.agent, e.err)
}

func (e *agentError) Unwrap() error { return e.err }

// stopError is the cause of a context that a step of the build ended: timeout or failFast.
type stopError struct {
	line string
	// announce writes once into the log that steps are being stopped; it may be nil.
	announce func()
}

func (e *stopError) Error() string { return e.line }

// interruptError is how a step ends when its context does.
type interruptError struct{ cause error }

func (e *interruptError) Error() string { return e.cause.Error() }

func (e *interruptError) Unwrap() error { return e.cause }

// interrupted returns the error of a step whose context has ended.
func interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	var exc *groovy.Exception
	if errors.As(cause, &exc) {
		return cause
	}
	var broken *brokenError
	if errors.Is(cause, ErrSuspended) || errors.As(cause, &broken) {
		return cause
	}
	return &groovy.Exception{Class: classInterrupt, Message: cause.Error(), Err: &interruptError{cause}}
}

// resultOf is the result of what ended with the error.
func resultOf(err error) Result {
	var in *interruptError
	var abort *AbortError
	var stop *stopError
	var other *downstreamError
	switch {
	case err == nil:
		return ResultSuccess
	case errors.As(err, &other):
		return other.result
	case errors.As(err, &abort) && abort.Result != "":
		return abort.Result
	case errors.As(err, &in), errors.As(err, &abort), errors.As(err, &stop), errors.Is(err, context.Canceled):
		return ResultAborted
	}
	return ResultFailure
}

// messageOf is the message without the class.
func messageOf(err error) string {
	var e *groovy.Exception
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// errorText is how the log shows an error: ERROR and the message for what a step reported, else the
// exception with the place in the Jenkinsfile. Interruptions show nothing, as in Jenkins.
func errorText(err error) string {
	var stop *stopError
	if errors.As(err, &stop) {
		return stop.line + "\n"
	}
	var other *downstreamError
	if errors.As(err, &other) {
		return other.message + "\n"
	}
	if interruption(err) {
		return ""
	}
	var lost *agentError
	if errors.As(err, &lost) {
		return "ERROR: " + lost.Error() + "\n"
	}
	var e *groovy.Exception
	if !errors.As(err, &e) {
		return "ERROR: " + err.Error() + "\n"
	}
	if e.Class == classAbort {
		return "ERROR: " + e.Message + "\n"
	}
	text := e.Error() + "\n"
	switch {
	case e.File != "":
		text += fmt.Sprintf("\tat %s.call(%s:%d)\n", e.Script, e.File, e.Pos.Line)
	case e.Pos.Line > 0:
		function := "run"
		if len(e.Trace) > 0 {
			function = e.Trace[0]
		}
		text += fmt.Sprintf("\tat WorkflowScript.%s(WorkflowScript:%d)\n", function, e.Pos.Line)
	}
	return text
}
