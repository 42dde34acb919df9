// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// Request is one step to start.
type Request struct {
	// Script is run by "/bin/sh -xe" unless it begins with "#!".
	Script string `json:"script"`
	// Dir is absolute; it is made if it does not exist.
	Dir string `json:"dir"`
	// Env is added to the environment of the agent.
	Env map[string]string `json:"env,omitempty"`
	// Base is the environment of the agent, as NAME=VALUE; nil means that of this process. It is for a process
	// whose own environment is none of the step's business, and no part of a request that comes from outside.
	Base []string `json:"-"`
	// SeparateStdout keeps stdout apart from the log.
	SeparateStdout bool `json:"separateStdout,omitempty"`
}

// ReadRequest reads and checks a Request: one JSON object without unknown fields.
func ReadRequest(r io.Reader) (*Request, error) {
	var req Request
	if err := DecodeStrict(r, &req); err != nil {
		return nil, err
	}
	return &req, req.check()
}

// DecodeStrict reads exactly one JSON value of at most 16 MiB from a caller. A field that is not
// known is refused, because to ignore it would be to do something else than was asked.
func DecodeStrict(r io.Reader, into any) error {
	data, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if len(data) > maxRequest {
		return agent.Fail(agent.ExitUsage, "BadRequest", "the request is longer than %d bytes", maxRequest)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return agent.Fail(agent.ExitUsage, "BadRequest", "the request is not the expected JSON: %v", err)
	}
	if dec.More() {
		return agent.Fail(agent.ExitUsage, "BadRequest", "something follows the JSON of the request")
	}
	return nil
}

func (r *Request) check() error {
	bad := func(format string, args ...any) error {
		return agent.Fail(agent.ExitUsage, "BadRequest", format, args...)
	}
	switch {
	case strings.TrimSpace(r.Script) == "":
		return bad("the script is empty")
	case strings.ContainsRune(r.Script, 0):
		return bad("the script has a NUL character")
	case !filepath.IsAbs(r.Dir) || strings.ContainsRune(r.Dir, 0):
		return bad("dir %q is not an absolute path", clip(r.Dir))
	}
	for k, v := range r.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return bad("environment variable %q has a bad name or a NUL in its value", clip(k))
		}
	}
	return nil
}

// handshake is what the supervisor tells the process that started it, as one JSON line.
type handshake struct {
	Started bool   `json:"started"`
	Error   string `json:"error,omitempty"`
}

// Start starts a step unless one of that ID exists, and returns whether it did. self is the path of
// the slipway-agent binary, which Start runs as "self step supervise DIR FOLDER" (see Supervise). When
// it returns nil the step has its supervisor and will have a result, or be lost if that is killed.
func (s *Store) Start(id string, req *Request, self string) (started bool, err error) {
	if err := CheckID(id); err != nil {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(s.dir, id)); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(req.Dir, 0o755); err != nil {
		return false, agent.Fail(agent.ExitError, "DirNotWritable", "cannot make the step's folder: %v", err)
	}
	// The prefix cannot be an ID, so a folder that a killed start left behind is in nobody's way.
	tmp, err := os.MkdirTemp(s.dir, ".new-")
	if err != nil {
		return false, agent.Fail(agent.ExitError, "StepsDirNotWritable", "cannot write to the steps folder: %v", err)
	}
	defer func() {
		if !started {
			_ = os.RemoveAll(tmp)
		}
	}()
	if err := os.WriteFile(filepath.Join(tmp, scriptFile), []byte(req.Script), 0o700); err != nil {
		return false, fmt.Errorf("write script: %w", err)
	}
	return s.spawn(id, req, tmp, self)
}

// spawn starts the supervisor and waits until it has claimed the step or failed to.
func (s *Store) spawn(id string, req *Request, tmp, self string) (bool, error) {
	job, err := json.Marshal(superviseJob{Dir: req.Dir, SeparateStdout: req.SeparateStdout})
	if err != nil {
		return false, err
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer func() { _ = pr.Close() }()

	cmd := exec.Command(self, "step", "supervise", tmp, filepath.Join(s.dir, id), string(job)) //nolint:noctx // it outlives whoever starts it
	cmd.Dir = req.Dir
	cmd.Env = environment(req)
	// stdin, stdout and stderr stay nil, which is /dev/null: whoever ran "step start" must see the
	// end of its output although the step goes on.
	cmd.ExtraFiles = []*os.File{pw}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = pw.Close()
	if err != nil {
		return false, fmt.Errorf("start supervisor: %w", err)
	}
	var answer handshake
	if derr := json.NewDecoder(pr).Decode(&answer); derr != nil {
		return false, agent.Fail(agent.ExitError, "StartFailed", "the supervisor ended before it began: %v", errors.Join(derr, cmd.Wait()))
	}
	if answer.Error != "" {
		_ = cmd.Wait()
		return false, agent.Fail(agent.ExitError, "StartFailed", "%s", answer.Error)
	}
	if !answer.Started {
		_ = cmd.Wait()
		return false, nil
	}
	// A process that lives longer than the step has to collect it.
	go func() { _ = cmd.Wait() }()
	return true, nil
}

// hiddenEnv are variables of the container that a step must not get: the secret of the inbound agent
// lets its holder be the agent.
var hiddenEnv = []string{"JENKINS_SECRET"}

func environment(req *Request) []string {
	env := map[string]string{}
	base := req.Base
	if base == nil {
		base = os.Environ()
	}
	for _, kv := range base {
		if k, v, ok := strings.Cut(kv, "="); ok && !slices.Contains(hiddenEnv, k) {
			env[k] = v
		}
	}
	env["PWD"] = req.Dir
	for k, v := range req.Env {
		env[k] = v
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
