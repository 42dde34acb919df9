// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/local"
	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

const (
	localUser, localToken = "admin", "TOKEN"
	localFolder           = "team"
	localLabel            = "dc-team.app"
)

func TestMain(m *testing.M) {
	if code, was := local.Supervise(os.Args[1:]); was {
		os.Exit(code)
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		// The cases mostly wait for processes.
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestCases runs every case with agents on this machine. SLIPWAY_JENKINSFILES is a regular expression for
// the names of those to run.
func TestCases(t *testing.T) {
	cases, err := Load(".", os.Getenv("SLIPWAY_JENKINSFILES"))
	if err != nil {
		t.Fatal(err)
	}
	target := localTarget(t)
	t.Run("each", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				target.Play(t.Context(), t, c)
			})
		}
	})
}

// localTarget starts a minijenkins whose agents are processes of this machine.
func localTarget(t *testing.T) *Target {
	t.Helper()
	dir := t.TempDir()
	repositories, err := ServeGit(t.Context(), filepath.Join(dir, "git"), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repositories.Close() })
	s, err := server.New(server.Config{
		StateDir: filepath.Join(dir, "state"), QuietPeriod: -1, StopTimeout: -1,
		Accounts: []server.Account{{Name: localUser, Token: localToken}},
		NewAgents: func(server.AgentDeps) (server.AgentSource, error) {
			return local.New(local.Config{Root: filepath.Join(dir, "agents"), Executors: 64, StopGrace: time.Second})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(t.Context()), klog.Background()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	http := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		http.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the server does not stop")
		}
	})
	client, err := jenkins.New(jenkins.Config{URL: http.URL, Username: localUser, Token: localToken, LogPoll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := untilReady(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if err := client.EnsureFolder(t.Context(), localFolder); err != nil {
		t.Fatal(err)
	}
	return &Target{
		Jenkins: client, Folder: localFolder, Label: localLabel, Git: repositories, NoPods: true,
		Poll: 50 * time.Millisecond, Patience: 30 * time.Second,
		Pipelines: &Direct{Client: client, Folder: localFolder, URL: http.URL, Username: localUser, Token: localToken, Poll: 20 * time.Millisecond},
	}
}

func untilReady(ctx context.Context, client *jenkins.Client) error {
	deadline := time.After(10 * time.Second)
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-deadline:
			return fmt.Errorf("minijenkins is not ready: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
