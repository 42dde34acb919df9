// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkins is the contract between Slipway and a Jenkins: what the product relies on, driven over the wire through the product's own
// client. With JENKINS_URL it runs against that Jenkins, without it against a minijenkins that it starts; the cases are the same.
//
// A case that needs what the server lacks is skipped with the reason. At the end the suite prints what was skipped, so that a run against a
// real Jenkins shows what was not looked at.
package jenkins

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Variables of the environment that say which Jenkins is driven.
const (
	envURL       = "JENKINS_URL"
	envUser      = "JENKINS_USER"
	envToken     = "JENKINS_TOKEN"
	envTokenFile = "JENKINS_TOKEN_FILE"
	// envPassword turns on the cases of the login by password.
	envPassword = "JENKINS_PASSWORD"
	envCAFile   = "JENKINS_CA_FILE"
	// envCloud is the name of the Kubernetes cloud, envLabel the label of agents that can run a shell; empty takes any executor.
	envCloud = "JENKINS_CLOUD"
	envLabel = "JENKINS_AGENT_LABEL"
)

const (
	// prefix begins the names of all folders that the suite makes; the time of their creation in base 36 comes next.
	prefix = "slipway-contract-"
	// leftoverAge is how old a folder must be to be taken for that of a suite that was cut off.
	leftoverAge = time.Hour
	// patience bounds every wait; only what fails waits so long.
	patience = 3 * time.Minute
)

// target is the Jenkins that is driven.
type target struct {
	config   jenkins.Config
	password string
	cloud    string
	label    string
	// mini: the suite has started it.
	mini bool
}

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // minijenkins' log is of no interest here
	os.Exit(m.Run())
}

// newTarget reads the environment, or starts a minijenkins.
func newTarget(t *testing.T) *target {
	t.Helper()
	if os.Getenv(envURL) == "" {
		return startMini(t)
	}
	to := &target{
		config:   jenkins.Config{URL: os.Getenv(envURL), Username: os.Getenv(envUser), Token: os.Getenv(envToken), CAFile: os.Getenv(envCAFile)},
		password: os.Getenv(envPassword), cloud: os.Getenv(envCloud), label: os.Getenv(envLabel),
	}
	if file := os.Getenv(envTokenFile); file != "" && to.config.Token == "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s: %v", envTokenFile, err)
		}
		to.config.Token = strings.TrimSpace(string(text))
	}
	if to.config.Username == "" || to.config.Token == "" {
		t.Fatalf("%s is set: give %s and %s (or %s) as well", envURL, envUser, envToken, envTokenFile)
	}
	if to.cloud == "" {
		to.cloud = jenkins.DefaultCloud
	}
	return to
}

// testCase is one promise of Jenkins.
type testCase struct {
	name string
	// needs are what the server must have.
	needs []capability
	run   func(e *env)
}

// env is what a case works with.
type env struct {
	*jenkins.Client
	target *target
	// t is the case's test.
	t *testing.T
	// folder is the suite's; dir is the case's own folder in it.
	folder, dir string
}

// skips collects what was not looked at.
type skips struct {
	mu   sync.Mutex
	list []string
}

func (s *skips) add(name, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, fmt.Sprintf("SKIP %s: %s", name, reason))
}

// TestContract drives the Jenkins through all cases.
func TestContract(t *testing.T) {
	to := newTarget(t)
	client, err := jenkins.New(to.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	version, err := client.Version(t.Context())
	if err != nil {
		t.Fatalf("no Jenkins to drive at %s: %v", to.config.URL, err)
	}
	who, err := client.WhoAmI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Jenkins %s at %s as %s (minijenkins: %t)", version, to.config.URL, who.Name, to.mini)

	removeLeftovers(t, client)
	e := &env{Client: client, target: to, folder: prefix + strconv.FormatInt(time.Now().Unix(), 36) + "-" + strings.ToLower(rand.Text()[:6])}
	t.Cleanup(func() { remove(t, client, e.folder) })
	if err := client.EnsureFolder(t.Context(), e.folder); err != nil {
		t.Fatalf("the user cannot make folders: %v", err)
	}

	known := probeAll(t, e)
	skipped := &skips{}
	// The cases run side by side; what they leave is removed with the folder, and that after all of them.
	t.Run("cases", func(t *testing.T) {
		for i, c := range cases() {
			t.Run(c.name, func(t *testing.T) {
				for _, need := range c.needs {
					if reason := known[need]; reason != "" {
						skipped.add(c.name, string(need)+": "+reason)
						t.Skipf("needs %s: %s", need, reason)
					}
				}
				t.Parallel()
				own := *e
				own.t = t
				own.dir = e.folder + "/c" + strconv.Itoa(i)
				if err := own.EnsureFolder(t.Context(), own.dir); err != nil {
					t.Fatal(err)
				}
				c.run(&own)
			})
		}
	})
	for _, line := range skipped.list {
		t.Log(line)
	}
	t.Logf("%d of %d cases were run", len(cases())-len(skipped.list), len(cases()))
}

// remove deletes a folder when the test is over, whatever became of it.
func remove(t *testing.T, client *jenkins.Client, folder string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		// A build that is still running may keep Jenkins from it.
		if err = client.DeleteFolder(ctx, folder); err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	t.Errorf("the folder %s is left behind: %v", folder, err)
}

// removeLeftovers deletes the folders of suites that were cut off.
func removeLeftovers(t *testing.T, client *jenkins.Client) {
	t.Helper()
	items, err := client.TopItems(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range items {
		if made, ok := madeAt(name); ok && time.Since(made) > leftoverAge {
			t.Logf("removing %s, which a suite left at %s", name, made.Format(time.RFC3339))
			remove(t, client, name)
		}
	}
}

// madeAt reads from the name of a folder when the suite made it.
func madeAt(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	stamp, _, dashed := strings.Cut(rest, "-")
	seconds, err := strconv.ParseInt(stamp, 36, 64)
	if !ok || !dashed || err != nil || seconds < 1e9 {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

func TestMadeAt(t *testing.T) {
	for name, want := range map[string]int64{
		prefix + strconv.FormatInt(1_800_000_000, 36) + "-abc123": 1_800_000_000,
		prefix + "abc": 0, prefix + "-": 0, prefix: 0, "slipway": 0, "my-" + prefix + "zzzzzz-a": 0, prefix + "1-a": 0,
	} {
		if got, ok := madeAt(name); ok != (want != 0) || ok && got.Unix() != want {
			t.Errorf("%s: %v, %t", name, got, ok)
		}
	}
}

// until repeats check until it says that it is done. Not found and unavailable are taken for "not yet".
func until(t *testing.T, what string, check func() (bool, error)) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		done, err := check()
		switch {
		case err != nil && !errors.Is(err, jenkins.ErrNotFound) && !errors.Is(err, jenkins.ErrUnavailable):
			t.Fatalf("%s: %v", what, err)
		case err == nil && done:
			return
		}
		last = err
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s: not within %s (last error: %v)", what, patience, last)
}

// is fails the test if err is not of the kind.
func is(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: err = %v, want %v", what, err, kind)
	}
}

// must fails the test at once on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
