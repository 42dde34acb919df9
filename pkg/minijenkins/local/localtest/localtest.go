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

// Instance is a running server. It stops when the test ends; builds that run then would go on after another Start in the
// same folder.
type Instance struct {
	// URL has no '/' at its end.
	URL, User, Token string
	StateDir         string
	// Stop stops it before the end of the test, so that another one can use its folder. It may be called again.
	Stop func()
}

// Start starts a server.
func Start(t testing.TB, opts Options) *Instance {
	t.Helper()
	stateDir := cmp.Or(opts.StateDir, t.TempDir())
	web := httptest.NewUnstartedServer(nil)
	url := "http://" + web.Listener.Addr().String()
	cfg := server.Config{
		StateDir: stateDir, BaseURL: url, QuietPeriod: -1,
		Accounts: []server.Account{{Name: User, Token: Token}},
		NewAgents: func(d server.AgentDeps) (server.AgentSource, error) {
			opts.Local.Root = cmp.Or(opts.Local.Root, filepath.Join(stateDir, "agents"))
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
		t.Fatalf("start minijenkins: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
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
			t.Errorf("stop minijenkins: %v", err)
		}
		web.CloseClientConnections()
		web.Close()
	}
	t.Cleanup(stop)
	return &Instance{URL: url, User: User, Token: Token, StateDir: stateDir, Stop: stop}
}
