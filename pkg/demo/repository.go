// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // G504 is about Go before 1.6.3
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Repository is a git repository that is served by smart HTTP on an address that pods can reach.
type Repository struct {
	// URL is what pods clone.
	URL string
	// Commit is the hash of the last commit, Subject its first line.
	Commit, Subject string

	server *http.Server
}

// ServeRepository makes a repository with one commit below dir and serves it on a free port of
// host, until Close.
func ServeRepository(ctx context.Context, dir, host string) (*Repository, error) {
	bare := filepath.Join(dir, "git", "hello.git")
	work := filepath.Join(dir, "work")
	if err := os.MkdirAll(work, 0o750); err != nil {
		return nil, fmt.Errorf("make the demo repository: %w", err)
	}
	subject := "Say hello from the demo"
	if err := os.WriteFile(filepath.Join(work, "hello.sh"), []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil { //nolint:gosec // a script that git records as executable
		return nil, fmt.Errorf("make the demo repository: %w", err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", bare},
		{"-C", work, "init", "--quiet", "--initial-branch=main"},
		{"-C", work, "add", "--all"},
		{"-C", work, "-c", "user.name=Demo", "-c", "user.email=demo@slipway.dev", "commit", "--quiet", "--message", subject},
		{"-C", work, "push", "--quiet", bare, "main"},
	} {
		if _, err := git(ctx, args...); err != nil {
			return nil, err
		}
	}
	commit, err := git(ctx, "-C", work, "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	execPath, err := git(ctx, "--exec-path")
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve the demo repository: %w", err)
	}
	repository := &Repository{
		URL:     "http://" + listener.Addr().String() + "/hello.git",
		Commit:  commit,
		Subject: subject,
		server: &http.Server{
			ReadHeaderTimeout: 10 * time.Second,
			Handler: &cgi.Handler{
				Path: filepath.Join(execPath, "git-http-backend"),
				Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1"},
			},
		},
	}
	go func() {
		// Serve ends with an error that says that Close was called; before that a failure shows in
		// the clones.
		_ = repository.server.Serve(listener)
	}()
	return repository, nil
}

// Close stops serving.
func (r *Repository) Close() error {
	if err := r.server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop serving the demo repository: %w", err)
	}
	return nil
}

func git(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	// The user's own configuration (signing, hooks, templates) has no say in the demo.
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
