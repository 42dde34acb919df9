// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package require tells what a machine lacks for running a development
// cluster, in one sentence that a person can act on.
package require

import (
	"errors"
	"fmt"
)

// ExitCode is the process exit code for an Error.
const ExitCode = 3

// Error means that the machine lacks something that a cluster cannot do
// without.
type Error struct {
	// Missing names what is missing, as a noun phrase or a short clause.
	Missing string
	// Cause is the error that showed it; it may be nil.
	Cause error
}

// Missing returns an Error. Its arguments are those of fmt.Sprintf.
func Missing(cause error, format string, args ...any) error {
	return &Error{Missing: fmt.Sprintf(format, args...), Cause: cause}
}

// Error implements error.
func (e *Error) Error() string {
	cause := ""
	if e.Cause != nil {
		cause = " (" + e.Cause.Error() + ")"
	}
	return fmt.Sprintf("the development cluster cannot run here: %s%s; use a cluster that you have instead: KUBECONFIG=/path/to/kubeconfig make run", e.Missing, cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is tells whether an error chain holds an Error.
func Is(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
