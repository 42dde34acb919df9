// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localtest starts a minijenkins with local agents in the process of a test:
//
//	mj := localtest.Start(t, localtest.Options{})
//	client := jenkins.New(mj.URL, mj.User, mj.Token)
//
// It must be imported by tests only: a test binary that imports it is the supervisor of its own steps.
package localtest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/local"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

func init() {
	if code, was := local.Supervise(os.Args[1:]); was {
		os.Exit(code)
	}
}

// User and Token are the account of a server that Start made.
const (
	User  = "admin"
	Token = "11aabbccddeeff00112233445566778899"
)

// Options change what Start starts. The zero value is a server without a quiet period in a temporary folder.
type Options struct {
	// StateDir is the folder for the state; empty means one that is deleted after the test.
	StateDir string
	// Local configures the agents; an empty Root means StateDir/agents.
	Local local.Config
	// Config changes the configuration of the server if it is not nil.
	Config func(*server.Config)
}

// Instance is a running server. It stops when the test ends, and so do the builds that run then.
type Instance struct {
	// URL has no '/' at its end.
	URL, User, Token string
	StateDir         string
	// Stop stops it before the end of the test, so that another one can use its folder, where the builds go on. It
	// may be called again.
	Stop func()
}

// Start starts a server.
func Start(tb testing.TB, opts Options) *Instance {
	tb.Helper()
	stateDir := cmp.Or(opts.StateDir, tb.TempDir())
	web := httptest.NewUnstartedServer(nil)
	url := "http://" + web.Listener.Addr().String()
	root := cmp.Or(opts.Local.Root, filepath.Join(stateDir, "agents"))
	cfg := server.Config{
		StateDir: stateDir, BaseURL: url, QuietPeriod: -1,
		Accounts: []server.Account{{Name: User, Token: Token}},
		NewAgents: func(d server.AgentDeps) (server.AgentSource, error) {
			opts.Local.Root = root
			opts.Local.Running = d.Running
			return local.New(opts.Local)
		},
	}
	if opts.Config != nil {
		opts.Config(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		web.Close()
		tb.Fatalf("start minijenkins: %v", err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	web.Config.Handler = http.HandlerFunc(s.Handler().ServeHTTP)
	web.Start()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("stop minijenkins: %v", err)
		}
		web.CloseClientConnections()
		web.Close()
	}
	tb.Cleanup(func() {
		stop()
		// Steps outlive the server, but they must not outlive the test.
		left, err := local.New(local.Config{Root: root, StopGrace: time.Second})
		if err == nil {
			err = left.Reap(context.WithoutCancel(ctx))
		}
		if err != nil {
			tb.Errorf("end the steps: %v", err)
		}
	})
	return &Instance{URL: url, User: User, Token: Token, StateDir: stateDir, Stop: stop}
}
