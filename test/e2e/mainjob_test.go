// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// field reads one text field of a JSON object.
func field(content []byte, name string) string {
	var object map[string]any
	_ = json.Unmarshal(content, &object)
	text, _ := object[name].(string)
	return text
}

// TestMainJob is the product's whole job, as `make demo` plays it.
func TestMainJob(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := demo.Run(ctx, demo.Config{State: suite.state, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"Pending → Running → Succeeded", "debug stage: SKIPPED NOT_BUILT", "debug stage: FINISHED SUCCESS",
		"left in Kubernetes: 0", "left in Jenkins: 0", "left in S3: 0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	t.Logf("slipway up was ready after %s\n%s", suite.ready.Round(time.Millisecond), out.String())
}

// project makes a project that is deleted with the test, with a repository and a dev container.
func project(t *testing.T, session *demo.Session, id int64) (string, *demo.DevContainer) {
	t.Helper()
	name := fmt.Sprintf("e2e-%d-%d", os.Getpid(), id)
	repository, err := demo.ServeRepository(t.Context(), t.TempDir(), suite.state.HostIP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repository.Close() })
	if err := session.CreateProject(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		fresh, err := suite.login(ctx, os.TempDir())
		if err == nil {
			err = fresh.DeleteProject(ctx, name)
		}
		if err != nil {
			t.Errorf("delete project: %v", err)
		}
	})
	if err := session.CreateRepository(t.Context(), name, "hello", repository.URL, suite.state.DevImage, id); err != nil {
		t.Fatal(err)
	}
	keyFile, publicKey, err := session.NewKeyPair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	container, err := session.CreateDevContainer(t.Context(), id, name, keyFile, publicKey)
	if err != nil {
		t.Fatal(err)
	}
	return name, container
}

// TestKillDuringBuild kills the whole process in the middle of a build. After a restart the build goes on
// in its pod: the run succeeds with each line of the log once, there is exactly one build for it, and its
// pod is gone.
func TestKillDuringBuild(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	session, err := suite.login(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name, container := project(t, session, 4242)
	jenkinsfile := fmt.Sprintf("pipeline {\n  agent { label '%s' }\n  stages { stage('slow') { steps { sh 'echo begun; sleep 20; echo slept'; sh 'echo afterwards' } } }\n}\n", container.AgentLabel)
	if err := session.CreatePipeline(ctx, name, "slow", jenkinsfile); err != nil {
		t.Fatal(err)
	}
	run, err := session.StartRun(ctx, name, "slow")
	if err != nil {
		t.Fatal(err)
	}
	log := &notifier{want: "begun", seen: make(chan struct{})}
	go func() { _ = session.StreamLog(ctx, run, log) }()
	select {
	case <-log.seen:
	case <-ctx.Done():
		t.Fatalf("the build did not begin:\n%s", log.text.String())
	}

	if err := suite.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if suite, err = start(suite.dir); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready again after %s", suite.ready.Round(time.Millisecond))
	if session, err = suite.login(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	ended, err := session.FollowRun(ctx, run, func(devopsv1alpha3.RunPhase) {})
	if err != nil {
		t.Fatal(err)
	}
	if ended.Status.Phase != devopsv1alpha3.Succeeded {
		t.Errorf("the run is %s (%v), want Succeeded", ended.Status.Phase, ended.Status.Conditions)
	}
	var whole strings.Builder
	if err := session.StreamLog(ctx, run, &whole); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"begun", "slept", "afterwards", "Finished: SUCCESS"} {
		if n := strings.Count(whole.String(), "\n"+line+"\n"); n != 1 {
			t.Errorf("the log has the line %q %d times, want once:\n%s", line, n, whole.String())
		}
	}
	checkOneBuild(ctx, t, name, "slow")
	checkNoAgentPods(ctx, t, name)
}

func checkOneBuild(ctx context.Context, t *testing.T, folder, job string) {
	t.Helper()
	token, err := suite.state.Jenkins.Secret()
	if err != nil {
		t.Fatal(err)
	}
	c, err := jenkins.New(jenkins.Config{URL: suite.state.Jenkins.URL, Username: suite.state.Jenkins.Username, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	builds, err := c.BuildStatuses(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(builds[job]) != 1 {
		t.Errorf("Jenkins has %d builds for one run: %+v", len(builds[job]), builds)
	}
}

func checkNoAgentPods(ctx context.Context, t *testing.T, project string) {
	t.Helper()
	c, err := demo.NewKubeClient(suite.state)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(suite.state.WorkerNamespace), client.MatchingLabels{devopsv1alpha3.ProjectPodLabel: project}); err != nil {
			t.Fatal(err)
		}
		if len(pods.Items) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d agent pods are left: %s", len(pods.Items), pods.Items[0].Name)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// notifier closes seen when a text has been written.
type notifier struct {
	want string
	seen chan struct{}
	text strings.Builder
	done bool
}

// Write implements io.Writer.
func (n *notifier) Write(p []byte) (int, error) {
	n.text.Write(p)
	// The script's own line has the word too; the output begins the line.
	if !n.done && strings.Contains(n.text.String(), "\n"+n.want) {
		n.done = true
		close(n.seen)
	}
	return len(p), nil
}

// BenchmarkDevContainerReady times a dev container from create to ready, its image present.
func BenchmarkDevContainerReady(b *testing.B) {
	session, err := suite.login(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	result, err := demo.TimeDevContainers(b.Context(), session, suite.state, b.N)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(result.Median.Seconds(), "median-s")
	b.ReportMetric(result.Max.Seconds(), "max-s")
	b.ReportMetric(0, "ns/op")
}
