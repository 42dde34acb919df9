// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

func TestBadFlags(t *testing.T) {
	t.Setenv("MINIJENKINS_TOKEN", "")
	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"kind":             {args: []string{"--agents", "docker"}, want: `--agents "docker": must be kubernetes or local`},
		"local flag":       {reason: "local agents are never used by mistake", args: []string{"--executors", "2"}, want: "--executors means nothing with --agents kubernetes"},
		"kubernetes flag":  {args: []string{"--agents", "local", "--namespace", "x"}, want: "--namespace means nothing with --agents local"},
		"no executors":     {args: []string{"--agents", "local", "--executors", "0"}, want: "--executors 0: must be at least 1"},
		"bad label":        {args: []string{"--agents", "local", "--agent-label", "a b"}, want: `the label "a b" is not a single name`},
		"bad variable":     {args: []string{"--agents", "local", "--agent-env", "=x"}, want: `--agent-env "=x": must be NAME=VALUE or NAME`},
		"no token":         {reason: "only local agents get along without", args: nil, want: "give the API token"},
		"argument":         {args: []string{"local"}, want: "unknown command"},
		"missing template": {args: []string{"--token-file", "TOKEN", "--default-template", "/none"}, want: "read default template"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			token := filepath.Join(dir, "t")
			if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"--listen", "127.0.0.1:0", "--state-dir", filepath.Join(dir, "state")}
			for _, a := range tc.args {
				if a == "TOKEN" {
					a = token
				}
				args = append(args, a)
			}
			cmd := newCommand()
			cmd.SetArgs(args)
			cmd.SetOut(&bytes.Buffer{})
			cmd.SetErr(&bytes.Buffer{})
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestOwnToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := ownToken(t.Context(), dir)
	if err != nil || len(first) < 32 {
		t.Fatalf("token %q, %v", first, err)
	}
	again, err := ownToken(t.Context(), dir)
	if err != nil || again != first {
		t.Errorf("the next start has another token: %q and %q, %v", first, again, err)
	}
	if info, err := os.Stat(filepath.Join(dir, tokenFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
}

func TestLocalSource(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PASSED_ON", "value")
	o := agentOptions{kind: agentsLocal, executors: 3, labels: []string{"linux"}, env: []string{"A=b=c", "PASSED_ON", "NOT_SET"}}
	source, err := o.source(dir)
	if err != nil {
		t.Fatal(err)
	}
	agents, err := source(server.AgentDeps{Running: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	if got := agents.Agents(); len(got) != 0 {
		t.Errorf("agents at the beginning: %v", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "agents", "workspace")); err != nil || !info.IsDir() {
		t.Errorf("no folder for workspaces: %v", err)
	}
}
