// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

// startMini serves a minijenkins whose agents are folders of this machine.
func startMini(t *testing.T) *target {
	t.Helper()
	const user, token, password = "admin", "a-token-for-tests", "a-password-for-tests"
	dir := t.TempDir()
	srv := httptest.NewUnstartedServer(nil)
	address := "http://" + srv.Listener.Addr().String()
	server, err := minijenkins.New(minijenkins.Config{
		StateDir: filepath.Join(dir, "state"), BaseURL: address, StopTimeout: -1,
		Accounts: []minijenkins.Account{{Name: user, Token: token, Password: password}},
		NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) {
			return folders{filepath.Join(dir, "agents")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	srv.Config.Handler = http.HandlerFunc(server.Handler().ServeHTTP)
	srv.Start()
	t.Cleanup(func() {
		stop()
		srv.Close()
		if err := <-done; err != nil {
			t.Errorf("minijenkins: %v", err)
		}
	})
	return &target{mini: true, config: jenkins.Config{URL: address, Username: user, Token: token}, password: password,
		cloud: jenkins.DefaultCloud, label: folderLabel}
}

// folderLabel is the label of the agents below.
const folderLabel = "folder"

// folders makes agents that are folders below it.
type folders struct{ dir string }

func (f folders) ForBuild(b kube.Build) engine.AgentProvider { return folderProvider{f.dir, b} }
func (folders) Agents() []kube.AgentInfo                     { return nil }
func (folders) Reap(context.Context) error                   { return nil }
func (folders) Run(ctx context.Context) error                { <-ctx.Done(); return nil }

type folderProvider struct {
	dir   string
	build kube.Build
}

func (folderProvider) HasLabel(label string) bool { return label == folderLabel }

func (p folderProvider) Acquire(context.Context, engine.AgentRequest, func(string)) (engine.Agent, error) {
	dir := filepath.Join(p.dir, filepath.FromSlash(p.build.Job), fmt.Sprint(p.build.Number))
	return folderAgent{dir}, os.MkdirAll(dir, 0o700)
}

type folderAgent struct{ dir string }

func (a folderAgent) Name() string                  { return filepath.Base(a.dir) }
func (a folderAgent) Workspace() string             { return a.dir }
func (a folderAgent) Release(context.Context) error { return os.RemoveAll(a.dir) }

func (folderAgent) Shell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	if err := os.MkdirAll(req.Dir, 0o700); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-xe", "-c", req.Script)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = req.Dir, out, out, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.Env = os.Environ()
	for k, v := range req.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (folderAgent) Open(_ context.Context, path string) (io.ReadCloser, error) { return os.Open(path) }

func (folderAgent) WriteFile(_ context.Context, path string, content []byte) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
}

func (folderAgent) Glob(_ context.Context, dir, includes, _ string) ([]string, error) {
	var all []string
	for pattern := range strings.SplitSeq(includes, ",") {
		found, err := doublestar.Glob(os.DirFS(dir), strings.TrimSpace(pattern), doublestar.WithFilesOnly())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (folderAgent) Clone(context.Context, engine.CloneRequest, io.Writer) (string, error) {
	return "", errors.New("these agents have no git")
}

func (folderAgent) RemoveAll(_ context.Context, dir string) error { return os.RemoveAll(dir) }
