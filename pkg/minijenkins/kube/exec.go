// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	clientexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// execRequest is one command in a container.
type execRequest struct {
	pod, container string
	command        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// execFunc runs a command in a container.
type execFunc func(ctx context.Context, req execRequest) error

// remoteExec runs a command by the WebSocket protocol, or SPDY where the server or a proxy does not
// know that.
func (p *Provider) remoteExec(ctx context.Context, req execRequest) error {
	u := p.client.CoreV1().RESTClient().Post().Resource("pods").Name(req.pod).Namespace(p.cfg.Namespace).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: req.container, Command: req.command,
			Stdin: req.stdin != nil, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	ws, err := remotecommand.NewWebSocketExecutor(p.cfg.REST, "GET", u.String())
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(p.cfg.REST, "POST", u)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	e, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	return e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: req.stdin, Stdout: req.stdout, Stderr: req.stderr})
}

// The exit codes of slipway-agent that mean something here.
const (
	exitLost     = 3
	exitNotFound = 4
)

// commandError is the failure that slipway-agent itself reported.
type commandError struct {
	code    int
	message string
	reason  string
}

func (e *commandError) Error() string { return e.message }

// Is lets errors.Is find fs.ErrNotExist.
func (e *commandError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.code == exitNotFound || e.reason == "NotFound")
}

// tail keeps the last bytes that were written.
type tail struct{ buf []byte }

const maxTail = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > maxTail {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-maxTail:]...)
	}
	return len(p), nil
}

// lastLine is the last line that is not empty, and what stands before it.
func (t *tail) lastLine() (line, before []byte) {
	b := bytes.TrimRight(t.buf, "\r\n \t")
	i := bytes.LastIndexByte(b, '\n')
	return b[i+1:], b[:i+1]
}

// agentCommand runs a subcommand of slipway-agent and translates its failure: the last line of
// stderr is JSON with the fields error and reason.
func (a *podAgent) agentCommand(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) (*tail, error) {
	errs := &tail{}
	if stdout == nil {
		stdout = io.Discard
	}
	err := a.p.exec(ctx, execRequest{pod: a.name, container: a.container, stdin: stdin, stdout: stdout, stderr: errs,
		command: append([]string{a.p.cfg.AgentPath}, args...)})
	var code clientexec.CodeExitError
	if !errors.As(err, &code) {
		return errs, err
	}
	out := &commandError{code: code.Code, message: fmt.Sprintf("slipway-agent %s: exit code %d", args[0], code.Code)}
	line, _ := errs.lastLine()
	var f struct{ Error, Reason string }
	if json.Unmarshal(line, &f) == nil && f.Error != "" {
		out.message, out.reason = f.Error, f.Reason
	} else if len(line) > 0 {
		out.message += ": " + strings.ToValidUTF8(string(line), "?")
	}
	return errs, out
}
