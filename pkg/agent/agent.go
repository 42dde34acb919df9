// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent holds what the subcommands of slipway-agent share: how a failure is told to whoever
// started the container, and by which exit code. The subcommands themselves are in the packages below
// it; README.md says what each of them promises.
package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The exit codes of slipway-agent, apart from those of the commands that it runs for others.
const (
	// ExitError is any failure that has no code of its own.
	ExitError = 1
	// ExitUsage is a wrong command line or a wrong request on stdin.
	ExitUsage = 2
	// ExitLost means that a step's supervisor was killed, so that the step's result is not known.
	ExitLost = 3
	// ExitNotFound means that the file, folder or step does not exist.
	ExitNotFound = 4
	// ExitConfig (EX_CONFIG of sysexits.h) means that the container cannot work as it was set up:
	// starting it again will not help.
	ExitConfig = 78
)

// Failure is a failure with a name for programs, a sentence for people and an exit code.
type Failure struct {
	// Reason is one word in CamelCase, stable for programs: "NotFound".
	Reason string
	// Message says what is wrong and what to do. It never holds a credential.
	Message string
	// Code is the exit code; 0 means ExitError.
	Code int
	// Err is the cause; it may be nil. It is not part of the text.
	Err error
}

func (f *Failure) Error() string { return f.Message }
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure. The last argument becomes its cause if it is an error.
func Fail(code int, reason, format string, args ...any) *Failure {
	f := &Failure{Reason: reason, Message: fmt.Sprintf(format, args...), Code: code}
	if n := len(args); n > 0 {
		f.Err, _ = args[n-1].(error)
	}
	return f
}

// Because sets the cause and returns f.
func (f *Failure) Because(err error) *Failure {
	f.Err = err
	return f
}

// AsFailure returns the Failure in err's chain, or wraps err into one of reason Error.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Reason: "Error", Message: err.Error(), Code: ExitError, Err: err}
}

// ExitCode is the process exit code for err; 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if f := AsFailure(err); f.Code != 0 {
		return f.Code
	}
	return ExitError
}

// WriteJSONError writes err as the one line {"error":"…","reason":"…"}, which is what a caller of the
// step, file and git subcommands finds as the last line of stderr.
func WriteJSONError(w io.Writer, err error) {
	f := AsFailure(err)
	line, merr := json.Marshal(struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}{f.Message, f.Reason})
	if merr != nil {
		line = []byte(`{"error":"unknown","reason":"Error"}`)
	}
	_, _ = w.Write(append(line, '\n'))
}

const (
	// EnvTerminationLog names the file for the termination message, if it is not the default of
	// Kubernetes.
	EnvTerminationLog     = "SLIPWAY_TERMINATION_LOG"
	defaultTerminationLog = "/dev/termination-log"
	// Kubernetes cuts a termination message at 4096 bytes.
	maxTermination = 4000
)

// ReportTermination writes "<prefix> <Reason>: <message>" as one line to the termination log of the
// container, where Kubernetes shows it in the pod's status, and to stderr. The default file is not
// created: where Kubernetes did not make it, nobody reads it.
func ReportTermination(prefix string, err error) {
	f := AsFailure(err)
	line := OneLine(prefix + " " + f.Reason + ": " + f.Message)
	fmt.Fprintln(os.Stderr, line)

	name, flags := defaultTerminationLog, os.O_WRONLY|os.O_TRUNC
	if env := os.Getenv(EnvTerminationLog); env != "" {
		name, flags = env, flags|os.O_CREATE
	}
	file, oerr := os.OpenFile(name, flags, 0o644) //nolint:gosec // G703: the pod's own environment names the file
	if oerr != nil {
		return
	}
	defer func() { _ = file.Close() }()
	_, _ = file.WriteString(line + "\n")
}

// OneLine makes s printable as one line of bounded length.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
	if len(s) > maxTermination {
		cut := maxTermination
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}
