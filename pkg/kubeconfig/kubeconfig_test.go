// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const config = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: secret-token}}]
current-context: a
`

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad, empty, missing := write("good", config), write("bad", "a: ["), write("empty", ""), filepath.Join(dir, "missing")
	cases := map[string]struct {
		reason    string
		path, env string
		none      bool
		want      string // in the error; empty: it is good
	}{
		"flag":         {path: good, env: missing},
		"environment":  {env: good},
		"list":         {reason: "files that are not there are passed over", env: missing + ":" + good},
		"nothing":      {none: true, want: "--kubeconfig"},
		"missing file": {path: missing, want: missing},
		"missing env":  {reason: "the variable that is wrong is named", env: missing, none: true, want: "KUBECONFIG is " + missing},
		"broken":       {path: bad, want: bad},
		"empty file":   {path: empty, none: true, want: empty + " describes no cluster"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", dir)
			t.Setenv("KUBECONFIG", tc.env)
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			got, err := Load(tc.path)
			if tc.want == "" {
				if err != nil || got.Host != "https://127.0.0.1:1" {
					t.Fatalf("%s: %v, %v", tc.reason, got, err)
				}
				return
			}
			if err == nil || errors.Is(err, ErrNone) != tc.none || !strings.Contains(err.Error(), tc.want) ||
				strings.Contains(err.Error(), "KUBERNETES_MASTER") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line with %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestPath(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ path, env, want string }{
		"relative": {path: "x", env: "/y", want: filepath.Join(here, "x")},
		"env":      {env: "/y", want: "/y"},
		"list":     {env: "/y:/z"},
		"nothing":  {},
	} {
		t.Setenv("KUBECONFIG", tc.env)
		if got := Path(tc.path); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestCheckOfADeadCluster(t *testing.T) {
	_, err := Check(&rest.Config{Host: "https://127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "the cluster at https://127.0.0.1:1 does not answer") || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("%v", err)
	}
}
