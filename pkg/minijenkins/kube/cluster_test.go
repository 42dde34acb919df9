// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The images of the development cluster.
const (
	devImage   = "registry.slipway.internal/dev-base:bookworm"
	agentImage = "registry.slipway.internal/slipway-agent:dev"
)

// podYAML is a template's pod; the parts are YAML.
func podYAML(image, pull, initCommand, extra string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {labels: {slipway.dev/project: team}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  initContainers:
  - name: agent
    image: %s
    command: %s
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: slipway, mountPath: /opt/slipway}]
  containers:
  - name: dev
    image: %s
    imagePullPolicy: %s
    command: [/opt/slipway/slipway-agent, launch]
    env: [{name: HOME, value: /home/jenkins/agent}]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: slipway, mountPath: /opt/slipway, readOnly: true}]
%s
  volumes: [{name: slipway, emptyDir: {}}]
`, agentImage, initCommand, image, pull, extra)
}

// cluster is a provider on a real cluster, in a namespace of its own.
type cluster struct {
	*Provider
	t         *testing.T
	ctx       context.Context
	client    kubernetes.Interface
	mu        sync.Mutex
	templates []*store.Template
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Skip("KUBECONFIG is not set: this test needs a cluster with the images " + devImage + " and " + agentImage)
	}
	rc, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	rc.QPS, rc.Burst = 50, 100
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	ns := "minijenkins-test-" + rand.String(5)
	if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{t: t, ctx: ctx, client: client}
	c.Provider, err = New(Config{REST: rc, Namespace: ns, Instance: rand.String(8), StartTimeout: 90 * time.Second, Templates: func() []*store.Template {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.templates
	}})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(run) }()
	t.Cleanup(func() { stop(); <-done })
	return c
}

func (c *cluster) template(label, yaml string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.templates = append(c.templates, &store.Template{Seq: uint64(len(c.templates) + 1), ID: label, Name: label, Label: label, YAML: yaml, AgentContainer: "dev"})
}

const copyAgent = "[/slipway-agent, copy, /opt/slipway]"

func (c *cluster) acquire(label string) (engine.Agent, []string, error) {
	var reasons []string
	a, err := c.ForBuild(Build{Project: "team", Job: "team/app", Number: 1}).Acquire(c.ctx, engine.AgentRequest{Label: label}, func(r string) { reasons = append(reasons, r) })
	return a, reasons, err
}

func (c *cluster) pods() []string {
	c.t.Helper()
	list, err := c.client.CoreV1().Pods(c.cfg.Namespace).List(c.ctx, metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			out = append(out, p.Name)
		}
	}
	return out
}

func (c *cluster) wantNoPods() {
	c.t.Helper()
	if p := c.pods(); len(p) > 0 {
		c.t.Errorf("pods are left: %v", p)
	}
}

// TestAgentOnCluster runs steps in a real pod under Pod Security "restricted".
func TestAgentOnCluster(t *testing.T) {
	c := newCluster(t)
	c.template("dc-team.app", podYAML(devImage, "IfNotPresent", copyAgent, ""))
	begin := time.Now()
	a, reasons, err := c.acquire("dc-team.app")
	if err != nil {
		t.Fatal(err, reasons)
	}
	t.Logf("agent %s after %s; reasons: %q", a.Name(), time.Since(begin).Round(time.Millisecond), reasons)
	if got := c.Agents(); len(got) != 1 || !got[0].Online || got[0].Name != a.Name() {
		t.Errorf("agents: %+v", got)
	}
	if a.Workspace() != "/home/jenkins/agent/workspace/team/app" {
		t.Errorf("workspace %s", a.Workspace())
	}
	t.Run("shell", func(t *testing.T) { testShell(t, c, a) })
	t.Run("files", func(t *testing.T) { testFiles(t, c, a) })
	t.Run("abort", func(t *testing.T) { testAbort(t, c, a) })
	t.Run("deleted during a step", func(t *testing.T) {
		began := make(chan struct{})
		out := &notifyWriter{began: began, want: "begin"}
		go func() {
			<-began
			_ = c.client.CoreV1().Pods(c.cfg.Namespace).Delete(c.ctx, a.Name(), metav1.DeleteOptions{})
		}()
		begin := time.Now()
		_, err := a.Shell(c.ctx, engine.ShellRequest{ID: "kill-1", Script: "echo begin; sleep 100", Dir: a.Workspace()}, out, nil)
		var dead *Error
		if !errors.As(err, &dead) {
			t.Fatalf("error %v (%T)", err, err)
		}
		t.Logf("after %s: %v", time.Since(begin).Round(time.Millisecond), err)
	})
	if err := a.Release(c.ctx); err != nil {
		t.Error(err)
	}
	c.wantNoPods()
}

type notifyWriter struct {
	bytes.Buffer
	began chan struct{}
	once  sync.Once
	want  string
}

func (w *notifyWriter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.want) {
		w.once.Do(func() { close(w.began) })
	}
	return n, err
}

func testShell(t *testing.T, c *cluster, a engine.Agent) {
	t.Helper()
	var out bytes.Buffer
	begin := time.Now()
	code, err := a.Shell(c.ctx, engine.ShellRequest{ID: "b-1", Script: "echo $GREETING; pwd; id -u; exit 3", Dir: a.Workspace() + "/sub", Env: map[string]string{"GREETING": "hello ü"}}, &out, nil)
	if err != nil || code != 3 {
		t.Fatalf("code %d, %v\n%s", code, err, out.String())
	}
	t.Logf("shell step: %s", time.Since(begin).Round(time.Millisecond))
	want := "+ echo hello ü\nhello ü\n+ pwd\n/home/jenkins/agent/workspace/team/app/sub\n+ id -u\n1000\n+ exit 3\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	var stdout bytes.Buffer
	out.Reset()
	if code, err = a.Shell(c.ctx, engine.ShellRequest{ID: "b-2", Script: "#!/bin/bash\necho to-out; echo to-err >&2", Dir: a.Workspace()}, &out, &stdout); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	if stdout.String() != "to-out\n" || out.String() != "to-err\n" {
		t.Errorf("stdout %q, log %q", stdout.String(), out.String())
	}
	// The same ID is not run again.
	out.Reset()
	if code, err = a.Shell(c.ctx, engine.ShellRequest{ID: "b-1", Script: "echo again", Dir: a.Workspace()}, &out, nil); err != nil || code != 3 || out.String() != want {
		t.Errorf("second run of an ID: %d, %v, %q", code, err, out.String())
	}
	// Much output, in order.
	begin = time.Now()
	n := &countWriter{}
	if code, err = a.Shell(c.ctx, engine.ShellRequest{ID: "b-3", Script: "#!/bin/sh\nhead -c 50000000 /dev/zero", Dir: a.Workspace()}, n, nil); err != nil || code != 0 || n.n != 50000000 {
		t.Errorf("50 MB of output: %d bytes, %d, %v", n.n, code, err)
	}
	t.Logf("50 MB of output: %s", time.Since(begin).Round(time.Millisecond))
}

type countWriter struct{ n int }

func (w *countWriter) Write(p []byte) (int, error) { w.n += len(p); return len(p), nil }

func testFiles(t *testing.T, c *cluster, a engine.Agent) {
	t.Helper()
	for name, content := range map[string]string{"out/a dir/ünï çode.txt": "x\n", "out/plain.txt": "y\n", "empty": "", "large": strings.Repeat("0123456789", 300_000)} {
		p := a.Workspace() + "/" + name
		if err := a.WriteFile(c.ctx, p, []byte(content)); err != nil {
			t.Fatal(err)
		}
		f, err := a.Open(c.ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != content {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		_ = f.Close()
	}
	if _, err := a.Open(c.ctx, a.Workspace()+"/nosuch"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	got, err := a.Glob(c.ctx, a.Workspace(), "out/**", "**/plain*")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"out/a dir/ünï çode.txt"}, got); d != "" {
		t.Error(d)
	}
	if err := a.RemoveAll(c.ctx, a.Workspace()+"/out"); err != nil {
		t.Error(err)
	}
	if got, err := a.Glob(c.ctx, a.Workspace(), "out/**", ""); err != nil || len(got) != 0 {
		t.Errorf("after delete: %v, %v", got, err)
	}
	if _, err := a.Clone(c.ctx, engine.CloneRequest{URL: "http://127.0.0.1:1/nosuch.git", Dir: a.Workspace() + "/src"}, io.Discard); err == nil {
		t.Error("clone of nothing worked")
	} else {
		t.Log("clone:", err)
	}
}

func testAbort(t *testing.T, c *cluster, a engine.Agent) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(c.ctx)
	began := make(chan struct{})
	go func() { <-began; cancel(&engine.AbortError{User: "admin"}) }()
	begin := time.Now()
	_, err := a.Shell(ctx, engine.ShellRequest{ID: "abort-1", Script: "echo begin; sleep 1000", Dir: a.Workspace()}, &notifyWriter{began: began, want: "begin\n"}, nil)
	var abort *engine.AbortError
	if !errors.As(err, &abort) {
		t.Fatalf("error %v", err)
	}
	t.Logf("abort: %s", time.Since(begin).Round(time.Millisecond))
	var out bytes.Buffer
	if _, err := a.Shell(c.ctx, engine.ShellRequest{ID: "abort-2", Script: "#!/bin/sh\nls /proc | grep '^[0-9]' | while read p; do cat /proc/$p/cmdline 2>/dev/null | tr '\\0' ' '; echo; done | grep 'sleep 1000' | grep -v grep || true", Dir: a.Workspace()}, &out, nil); err != nil || out.Len() > 0 {
		t.Errorf("the aborted script runs on: %q, %v", out.String(), err)
	}
}

// TestStartFailures shows that each way in which a pod cannot start has its reason.
func TestStartFailures(t *testing.T) {
	c := newCluster(t)
	if _, err := c.client.CoreV1().ResourceQuotas(c.cfg.Namespace).Create(c.ctx, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "ci"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/configmaps": resource.MustParse("100"), "requests.nvidia.com/gpu": resource.MustParse("0"), "requests.memory": resource.MustParse("900Gi")}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	mem := func(m string) string {
		return "    resources: {requests: {memory: " + m + "}, limits: {memory: " + m + "}}"
	}
	small := "    resources: {requests: {memory: 16Mi}}"
	withInit := func(s string) string {
		return strings.Replace(s, "    command: [/slipway-agent", "    resources: {requests: {memory: 16Mi}}\n    command: [/slipway-agent", 1)
	}
	cases := map[string]struct {
		yaml    string
		timeout time.Duration
		want    []string
	}{
		"image does not exist": {withInit(podYAML("registry.slipway.internal/nosuch/image:1", "IfNotPresent", copyAgent, small)), 40 * time.Second,
			[]string{"did not start within", "container dev", "ImagePull", "nosuch/image"}},
		"image never pulled":   {withInit(podYAML("registry.slipway.internal/nosuch/image:1", "Never", copyAgent, small)), 60 * time.Second, []string{"failed to start", "ErrImageNeverPull"}},
		"bad image name":       {withInit(podYAML("UPPER CASE", "IfNotPresent", copyAgent, small)), 60 * time.Second, []string{"InvalidImageName"}},
		"no room on the nodes": {withInit(podYAML(devImage, "IfNotPresent", copyAgent, mem("800Gi"))), 6 * time.Second, []string{"Unschedulable", "Insufficient memory"}},
		"quota":                {withInit(podYAML(devImage, "IfNotPresent", copyAgent, mem("1000Gi"))), 60 * time.Second, []string{"refused", "exceeded quota: ci", "requests.memory=1000"}},
		"pod security":         {strings.Replace(withInit(podYAML(devImage, "IfNotPresent", copyAgent, small)), "runAsNonRoot: true, runAsUser: 1000", "runAsUser: 0", 1), 60 * time.Second, []string{"refused", "PodSecurity", "restricted"}},
		"schema":               {withInit(podYAML(devImage, "Sometimes", copyAgent, small)), 60 * time.Second, []string{"refused", "imagePullPolicy", "Sometimes"}},
		"unknown field":        {strings.Replace(podYAML(devImage, "Never", copyAgent, small), "spec:", "spec:\n  nosuch: 1", 1), 60 * time.Second, []string{"cannot be used", "nosuch"}},
		"init container fails": {strings.Replace(withInit(podYAML(devImage, "IfNotPresent", copyAgent, small)), copyAgent, "[/slipway-agent, copy, /nosuch/folder]", 1), 60 * time.Second, []string{"failed to start", "init container agent ended with exit code"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			label := strings.ReplaceAll(name, " ", "-")
			c.template(label, tc.yaml)
			c.cfg.StartTimeout = tc.timeout
			var reasons []string
			begin := time.Now()
			_, err := c.ForBuild(Build{Project: "team", Job: "team/app", Number: 1}).Acquire(c.ctx, engine.AgentRequest{Label: label}, func(r string) { reasons = append(reasons, r) })
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v (%T)", err, err)
			}
			t.Logf("%s: %v", time.Since(begin).Round(time.Millisecond), err)
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in the message; reasons before: %q", w, reasons)
				}
			}
		})
	}
	c.wantNoPods()
	t.Run("aborted while pending", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(c.ctx)
		_, err := c.ForBuild(Build{Project: "team", Job: "team/app"}).Acquire(ctx, engine.AgentRequest{Label: "no-room-on-the-nodes"}, func(r string) {
			if strings.Contains(r, "Insufficient") {
				cancel(&engine.AbortError{User: "admin"})
			}
		})
		var abort *engine.AbortError
		if !errors.As(err, &abort) {
			t.Errorf("error %v", err)
		}
		c.wantNoPods()
	})
	t.Run("agent exits", func(t *testing.T) {
		c.template("agent-exits", strings.Replace(withInit(podYAML(devImage, "IfNotPresent", copyAgent, small)), "[/opt/slipway/slipway-agent, launch]",
			"[/bin/sh, -c, 'echo out of order > /dev/termination-log; exit 7']", 1))
		c.cfg.StartTimeout = time.Minute
		a, _, err := c.acquire("agent-exits")
		if err == nil {
			// It was seen running; the first step tells.
			_, err = a.Shell(c.ctx, engine.ShellRequest{ID: "x-1", Script: "echo", Dir: a.Workspace()}, io.Discard, nil)
			if rerr := a.Release(c.ctx); rerr != nil {
				t.Error(rerr)
			}
		}
		if err == nil || !strings.Contains(err.Error(), "container dev ended with exit code 7: out of order") {
			t.Errorf("error %v", err)
		}
		c.wantNoPods()
	})
	t.Run("orphans are collected", func(t *testing.T) {
		pod, err := parsePod(withInit(podYAML(devImage, "IfNotPresent", copyAgent, small)))
		if err != nil {
			t.Fatal(err)
		}
		pod.Name, pod.Namespace = "orphan", c.cfg.Namespace
		pod.Labels = map[string]string{LabelInstance: c.cfg.Instance}
		if _, err := c.client.CoreV1().Pods(c.cfg.Namespace).Create(c.ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for len(c.pods()) > 0 {
			c.collect(c.ctx)
			select {
			case <-c.ctx.Done():
				t.Fatal("the orphan lives")
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}
