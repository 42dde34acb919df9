// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clients drives minijenkins with the clients of Jenkins that other people wrote: the library gojenkins, and python3-jenkins and
// jenkins-job-builder as Debian packages them.
package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

const (
	testUser     = "admin"
	testToken    = "a-token-for-tests"
	testPassword = "a-password-for-tests"
)

// start serves a minijenkins on a TCP port and returns its address. Its agents are folders of this machine.
func start(t *testing.T) string {
	t.Helper()
	return startIn(t, t.TempDir())
}

// startIn is start in a folder.
func startIn(t *testing.T, dir string) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	address := "http://" + srv.Listener.Addr().String()
	s, err := server.New(server.Config{
		StateDir: filepath.Join(dir, "state"), BaseURL: address, StopTimeout: -1, QuietPeriod: -1, AllowFileSCM: true,
		Accounts: []server.Account{{Name: testUser, Token: testToken, Password: testPassword}},
		NewAgents: func(server.AgentDeps) (server.AgentSource, error) {
			return &folders{dir: filepath.Join(dir, "agents"), live: map[string]bool{}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	srv.Config.Handler = s.Handler()
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("minijenkins: %v", err)
		}
	})
	return address
}

// needPackages installs Debian packages if they are missing. Where that is not possible the test fails: it would show nothing.
func needPackages(t *testing.T, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the clients of Debian are not installed and not run")
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		out, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${Status}", name).Output()
		return err == nil && string(out) == "install ok installed"
	})
	if len(missing) == 0 {
		return
	}
	if os.Geteuid() != 0 {
		t.Fatalf("install the packages %s, or run the tests as root", strings.Join(missing, " "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	begin := time.Now()
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if _, err := aptGet(ctx, install...); err != nil {
		if out, err := aptGet(ctx, "update"); err != nil {
			t.Fatalf("apt-get update: %v\n%s", err, out)
		}
		if out, err := aptGet(ctx, install...); err != nil {
			t.Fatalf("apt-get install %s: %v\n%s", strings.Join(missing, " "), err, out)
		}
	}
	t.Logf("installed %s in %s", strings.Join(missing, " "), time.Since(begin).Round(time.Second))
}

func aptGet(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// python runs a script of testdata with Debian's Python; another one may come first in PATH.
func python(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, "/usr/bin/python3", args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// command runs a program within a minute and returns what it wrote.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PYTHON") || strings.HasPrefix(v, "http_proxy") }),
		"NO_PROXY=127.0.0.1", "PYTHONUNBUFFERED=1", "HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	err := cmd.Run()
	return out.String(), err
}

// folders makes agents that are folders below it.
type folders struct {
	dir  string
	mu   sync.Mutex
	live map[string]bool
}

func (f *folders) ForBuild(b kube.Build) engine.AgentProvider { return folderProvider{f, b} }
func (f *folders) Reap(context.Context) error                 { return nil }
func (f *folders) Run(ctx context.Context) error              { <-ctx.Done(); return nil }

func (f *folders) Agents() []kube.AgentInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []kube.AgentInfo
	for name := range f.live {
		out = append(out, kube.AgentInfo{Name: name, Labels: []string{"folder", name}, Online: true})
	}
	return out
}

func (f *folders) set(name string, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.live, name); live {
		f.live[name] = true
	}
}

type folderProvider struct {
	f     *folders
	build kube.Build
}

func (folderProvider) HasLabel(string) bool { return true }

func (p folderProvider) Acquire(context.Context, engine.AgentRequest, func(string)) (engine.Agent, error) {
	name := fmt.Sprintf("folder-%s-%d", strings.ReplaceAll(p.build.Job, "/", "-"), p.build.Number)
	p.f.set(name, true)
	dir := filepath.Join(p.f.dir, filepath.FromSlash(p.build.Job), fmt.Sprint(p.build.Number))
	return folderAgent{p.f, name, dir}, os.MkdirAll(dir, 0o700)
}

type folderAgent struct {
	f         *folders
	name, dir string
}

func (a folderAgent) Name() string      { return a.name }
func (a folderAgent) Workspace() string { return a.dir }

func (a folderAgent) Release(context.Context) error {
	a.f.set(a.name, false)
	return os.RemoveAll(a.dir)
}

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

func (folderAgent) Clone(ctx context.Context, req engine.CloneRequest, out io.Writer) (string, error) {
	for _, args := range [][]string{{"clone", "-q", req.URL, req.Dir}, {"-C", req.Dir, "checkout", "-q", req.Ref}} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return "", err
		}
	}
	head, err := exec.CommandContext(ctx, "git", "-C", req.Dir, "rev-parse", "HEAD").Output()
	return strings.TrimSpace(string(head)), err
}

func (folderAgent) RemoveAll(_ context.Context, dir string) error { return os.RemoveAll(dir) }
