// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clients drives minijenkins with the clients of Jenkins that other people wrote: the library gojenkins, and python3-jenkins and
// jenkins-job-builder as Debian packages them.
package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/local/localtest"
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
	return localtest.Start(t, localtest.Options{StateDir: filepath.Join(dir, "state"), Config: func(c *server.Config) {
		c.AllowFileSCM = true
		c.Accounts = []server.Account{{Name: testUser, Token: testToken, Password: testPassword}}
	}}).URL
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

// command runs a program within some minutes and returns what it wrote.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PYTHON") || strings.HasPrefix(v, "http_proxy") }),
		"NO_PROXY=127.0.0.1", "PYTHONUNBUFFERED=1", "HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	err := cmd.Run()
	return out.String(), err
}
