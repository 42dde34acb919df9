// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	clientexec "k8s.io/client-go/util/exec"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// podWorld is a cluster that outlives providers.
type podWorld struct {
	t      *testing.T
	client *fake.Clientset
	tmpl   *store.Template
	mu     sync.Mutex
	// running are the builds that run.
	running map[string]bool
	// watches counts the watches that were begun.
	watches int
}

func newPodWorld(t *testing.T) *podWorld {
	t.Helper()
	w := &podWorld{t: t, client: fake.NewClientset(), running: map[string]bool{"inst-1-7": true},
		tmpl: &store.Template{Seq: 3, ID: "t", Name: "go", Label: "go", YAML: "kind: Pod\nspec: {containers: [{name: dev, image: i}]}", InstanceCap: 1}}
	// The fake does not know of dry runs.
	w.client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c, ok := a.(clienttesting.CreateActionImpl)
		if !ok || len(c.CreateOptions.DryRun) == 0 {
			return false, nil, nil
		}
		return true, c.Object, nil
	})
	w.client.PrependWatchReactor("pods", func(a clienttesting.Action) (bool, watch.Interface, error) {
		var opts metav1.ListOptions
		if of, ok := a.(clienttesting.WatchActionImpl); ok {
			opts = of.ListOptions
		}
		got, err := w.client.Tracker().Watch(a.GetResource(), a.GetNamespace(), opts)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.watches++
		return true, got, err
	})
	return w
}

func (w *podWorld) begun() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watches
}

// provider starts a provider, as a new process does. stop ends it.
func (w *podWorld) provider() (p *Provider, stop func()) {
	w.t.Helper()
	p = newProvider(Config{REST: &rest.Config{}, Namespace: "workers", Instance: "inst", StartTimeout: 5 * time.Second,
		Templates: func() []*store.Template { return []*store.Template{w.tmpl} },
		Running: func(id string) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.running[id]
		}}, w.client)
	p.exec = func(context.Context, execRequest) error { return nil }
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	if err := p.Reap(ctx); err != nil {
		w.t.Fatal(err)
	}
	before := w.begun()
	go func() { defer close(done); _ = p.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	// The fake loses what happens between the list and the watch.
	eventually(w.t, "the watch has begun", func() bool { return p.synced() && w.begun() > before })
	return p, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *podWorld) pods() []string {
	w.t.Helper()
	list, err := w.client.CoreV1().Pods("workers").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	slices.Sort(out)
	return out
}

// run has the container of a pod run.
func (w *podWorld) run(name string) {
	w.t.Helper()
	pod, err := w.client.CoreV1().Pods("workers").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "dev", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
	if _, err := w.client.CoreV1().Pods("workers").UpdateStatus(w.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *podWorld) create(pod *corev1.Pod) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Pods("workers").Create(w.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

type acquired struct {
	agent engine.Agent
	err   error
}

func acquireLater(ctx context.Context, p *Provider, id string, waiting func(string)) <-chan acquired {
	out := make(chan acquired, 1)
	go func() {
		a, err := p.ForBuild(Build{ID: "inst-1-7", Project: "team", Job: "team/app", Number: 7}).Acquire(ctx, engine.AgentRequest{ID: id, Label: "go"}, waiting)
		out <- acquired{a, err}
	}()
	return out
}

const request = "inst-1-7-0.1"

// TestAcquireGoesOn: a build that waits for its pod when the server stops waits for the same one after, and an agent
// that it had it has again, with the room that this takes.
func TestAcquireGoesOn(t *testing.T) {
	w := newPodWorld(t)
	p, stop := w.provider()
	ctx, suspend := context.WithCancelCause(t.Context())
	first := acquireLater(ctx, p, request, nil)
	eventually(t, "the pod is made", func() bool { return len(w.pods()) == 1 })
	suspend(engine.ErrSuspended)
	if a := <-first; !errors.Is(a.err, engine.ErrSuspended) {
		t.Fatal(a)
	}
	stop()
	name := w.pods()[0]
	if want := podName("go", suffix(request, 0)); name != want {
		t.Errorf("the pod is %s, not %s", name, want)
	}

	p, stop = w.provider()
	second := acquireLater(t.Context(), p, request, nil)
	eventually(t, "it is asked for again", func() bool { return len(p.Agents()) == 1 })
	w.run(name)
	a := <-second
	if a.err != nil || a.agent.Name() != name || a.agent.Workspace() != defaultWorkingDir+"/workspace/team/app" {
		t.Fatal(a)
	}
	workspace := a.agent.Workspace()
	stop()

	p, stop = w.provider()
	defer stop()
	p.collect(t.Context())
	if d := cmp.Diff([]string{name}, w.pods()); d != "" {
		t.Fatal(d)
	}
	// Before the build asks for it again its pod takes the room of the template.
	full := make(chan string, 1)
	other := acquireLater(t.Context(), p, "inst-1-7-0.9", func(reason string) {
		if strings.Contains(reason, "in use") {
			full <- reason
		}
	})
	<-full
	agent, err := p.ForBuild(Build{ID: "inst-1-7", Project: "team", Job: "team/app", Number: 7}).(engine.AgentResumer).
		Resume(t.Context(), engine.AgentRequest{ID: request, Label: "go"}, name, workspace)
	if err != nil || agent.Name() != name || agent.Workspace() != workspace {
		t.Fatal(agent, err)
	}
	if d := cmp.Diff([]AgentInfo{{Name: name, Labels: []string{"go"}, Online: true}}, p.Agents()); d != "" {
		t.Error(d)
	}
	if err := agent.WriteFile(t.Context(), "/x", nil); err != nil {
		t.Error(err)
	}
	if _, err := p.ForBuild(Build{ID: "inst-1-7"}).(engine.AgentResumer).Resume(t.Context(), engine.AgentRequest{}, name, workspace); err == nil {
		t.Error("an agent was given twice")
	}
	if err := agent.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other request has its pod", func() bool { return slices.Equal(w.pods(), []string{podName("go", suffix("inst-1-7-0.9", 0))}) })
	w.run(w.pods()[0])
	if a := <-other; a.err != nil {
		t.Fatal(a.err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := cmp.Diff(map[uint64]int{3: 1}, p.perTemplate); d != "" {
		t.Error(d)
	}
}

// TestAgentGone: the steps of an agent that is gone after the restart fail with that.
func TestAgentGone(t *testing.T) {
	w := newPodWorld(t)
	p, _ := w.provider()
	agent, err := p.ForBuild(Build{ID: "inst-1-7"}).(engine.AgentResumer).Resume(t.Context(), engine.AgentRequest{}, "go-xxxxx", "/w")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Shell(t.Context(), engine.ShellRequest{ID: "s", Dir: "/w"}, io.Discard, nil); err == nil || err.Error() != "Agent go-xxxxx was deleted" {
		t.Error(err)
	}
	if err := agent.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if len(p.Agents()) != 0 {
		t.Error(p.Agents())
	}
	ctx, abort := context.WithCancelCause(t.Context())
	abort(&engine.AbortError{User: "u"})
	q := newProvider(p.cfg, w.client) // its watch never begins
	var aborted *engine.AbortError
	if _, err := q.ForBuild(Build{}).(engine.AgentResumer).Resume(ctx, engine.AgentRequest{}, "go-xxxxx", "/w"); !errors.As(err, &aborted) {
		t.Error(err)
	}
}

// TestNameTaken: a pod that has the name but is not of the request is left alone.
func TestNameTaken(t *testing.T) {
	note := func(request string) map[string]string {
		return map[string]string{AnnotationAgent: `{"build":"inst-1-7","request":"` + request + `","container":"dev","template":3}`}
	}
	ours := map[string]string{LabelInstance: "inst"}
	now := metav1.Now()
	for reason, c := range map[string]struct {
		pod   metav1.ObjectMeta
		taken bool
	}{
		"of somebody else":        {metav1.ObjectMeta{}, true},
		"of another minijenkins":  {metav1.ObjectMeta{Labels: map[string]string{LabelInstance: "other"}, Annotations: note(request)}, true},
		"of another request":      {metav1.ObjectMeta{Labels: ours, Annotations: note("inst-1-7-0.99")}, true},
		"with a note of rubbish":  {metav1.ObjectMeta{Labels: ours, Annotations: map[string]string{AnnotationAgent: "{"}}, true},
		"being deleted":           {metav1.ObjectMeta{Labels: ours, Annotations: note(request), DeletionTimestamp: &now, Finalizers: []string{"x/y"}}, true},
		"of this very request":    {metav1.ObjectMeta{Labels: ours, Annotations: note(request)}, false},
		"of it, in an old folder": {metav1.ObjectMeta{Labels: ours, Annotations: map[string]string{AnnotationAgent: `{"request":"` + request + `","container":"dev"}`}}, false},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newPodWorld(t)
			p, _ := w.provider()
			names := []string{podName("go", suffix(request, 0)), podName("go", suffix(request, 1))}
			c.pod.Name, c.pod.Namespace = names[0], "workers"
			w.create(&corev1.Pod{ObjectMeta: c.pod})
			got := acquireLater(t.Context(), p, request, nil)
			want := names[:1]
			if c.taken {
				want = names
				slices.Sort(want)
			}
			eventually(t, "the pod is there", func() bool { return len(p.Agents()) == 1 && slices.Equal(w.pods(), want) })
			mine := podName("go", suffix(request, len(want)-1))
			w.run(mine)
			a := <-got
			if a.err != nil || a.agent.Name() != mine {
				t.Fatal(a)
			}
			if err := a.agent.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(w.pods()); n != len(want)-1 {
				t.Errorf("%d pods are left: %v", n, w.pods())
			}
		})
	}
}

// TestReap: what a former process left goes with the builds that do not go on, at the start and later.
func TestReap(t *testing.T) {
	w := newPodWorld(t)
	left := func(name, note string) {
		meta := metav1.ObjectMeta{Name: name, Namespace: "workers", Labels: map[string]string{LabelInstance: "inst"}}
		if note != "" {
			meta.Annotations = map[string]string{AnnotationAgent: note}
		}
		w.create(&corev1.Pod{ObjectMeta: meta})
	}
	left("old", "")
	left("ended", `{"build":"inst-1-6","request":"inst-1-6-0.1","template":3}`)
	left("runs", `{"build":"inst-1-7","request":"inst-1-7-0.1","template":3}`)
	left("also-runs", `{"build":"inst-1-7","request":"inst-1-7-0.2","template":3}`)
	w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "foreign", Namespace: "workers", Labels: map[string]string{LabelInstance: "other"}}})
	p, _ := w.provider()
	if d := cmp.Diff([]string{"also-runs", "foreign", "runs"}, w.pods()); d != "" {
		t.Error(d)
	}
	p.mu.Lock()
	rooms := p.perTemplate[3]
	p.mu.Unlock()
	if rooms != 2 {
		t.Errorf("%d rooms are taken", rooms)
	}
	// One that is deleted by somebody else gives its room back, and so do those whose build ends.
	if err := p.deletePod(t.Context(), "runs"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its room is free", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.perTemplate[3] == 1 })
	p.collect(t.Context())
	if d := cmp.Diff([]string{"also-runs", "foreign"}, w.pods()); d != "" {
		t.Error(d)
	}
	w.mu.Lock()
	w.running = nil
	w.mu.Unlock()
	p.collect(t.Context())
	if d := cmp.Diff([]string{"foreign"}, w.pods()); d != "" {
		t.Error(d)
	}
	eventually(t, "no room is taken", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.perTemplate) == 0 && len(p.kept) == 0 })
}

// TestSuspendedStep: a step lives on when its build is suspended, and is stopped when it is aborted.
func TestSuspendedStep(t *testing.T) {
	for reason, c := range map[string]struct {
		cause error
		stops bool
	}{"suspended": {engine.ErrSuspended, false}, "aborted": {&engine.AbortError{User: "u"}, true}} {
		t.Run(reason, func(t *testing.T) {
			p := newFake(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			stopped := make(chan struct{})
			p.exec = func(ectx context.Context, req execRequest) error {
				switch strings.Join(req.command[1:3], " ") {
				case "step attach":
					cancel(c.cause)
					select {
					case <-ectx.Done():
						return ectx.Err()
					case <-stopped:
						_, _ = io.WriteString(req.stdout, "last words\n")
						_, _ = io.WriteString(req.stderr, `{"exitCode":143}`+"\n")
					}
				case "step stop":
					close(stopped)
				}
				return nil
			}
			var out bytes.Buffer
			_, err := fakeAgent(t, p).Shell(ctx, engine.ShellRequest{ID: "s-1", Dir: "/w"}, &out, nil)
			if !errors.Is(err, c.cause) {
				t.Error(err)
			}
			if spoke := out.String() == "last words\n"; spoke != c.stops {
				t.Errorf("output %q", out.String())
			}
		})
	}
}

// TestStopGoesOn: with a context that has ended before, a step that a former process began is stopped and its output kept;
// nothing is started.
func TestStopGoesOn(t *testing.T) {
	cause := &engine.AbortError{User: "u"}
	for reason, c := range map[string]struct {
		begun bool
		cause error
		calls []string
		out   string
	}{
		"it runs":        {begun: true, cause: cause, calls: []string{"step attach", "step stop"}, out: "last words\n"},
		"it never began": {cause: cause, calls: []string{"step attach", "step stop"}},
		"suspended":      {begun: true, cause: engine.ErrSuspended},
	} {
		t.Run(reason, func(t *testing.T) {
			p := newFake(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(c.cause)
			stopped := make(chan struct{})
			var mu sync.Mutex
			var calls []string
			p.exec = func(ectx context.Context, req execRequest) error {
				call := strings.Join(req.command[1:3], " ")
				mu.Lock()
				calls = append(calls, call)
				mu.Unlock()
				switch {
				case call == "step stop":
					close(stopped)
				case ectx.Err() != nil:
					return ectx.Err()
				case !c.begun:
					<-stopped
					_, _ = io.WriteString(req.stderr, `{"error":"there is no step","reason":"NotFound"}`+"\n")
					return clientexec.CodeExitError{Err: errors.New("exit 4"), Code: exitNotFound}
				default:
					<-stopped
					_, _ = io.WriteString(req.stdout, "last words\n")
					_, _ = io.WriteString(req.stderr, `{"exitCode":143}`+"\n")
				}
				return nil
			}
			var out bytes.Buffer
			if _, err := fakeAgent(t, p).Shell(ctx, engine.ShellRequest{ID: "s-1", Dir: "/w"}, &out, nil); !errors.Is(err, c.cause) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(calls)
			if d := cmp.Diff(c.calls, calls, cmpopts.EquateEmpty()); d != "" || out.String() != c.out {
				t.Errorf("output %q, calls: %s", out.String(), d)
			}
		})
	}
}

// TestUnreachable: while the cluster starts again commands wait for it, and none is sent twice.
func TestUnreachable(t *testing.T) {
	p := newFake(t)
	away := 0
	var sent []string
	p.exec = func(_ context.Context, req execRequest) error {
		if away++; away%3 != 0 {
			return fmt.Errorf("exec: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
		}
		sent = append(sent, strings.Join(req.command[1:3], " "))
		if req.stdin != nil {
			if data, _ := io.ReadAll(req.stdin); len(data) == 0 {
				t.Error("the input was lost")
			}
		}
		_, _ = io.WriteString(req.stderr, `{"exitCode":3}`+"\n")
		return nil
	}
	a := fakeAgent(t, p)
	if err := a.WriteFile(t.Context(), "/w/f", []byte("text")); err != nil {
		t.Error(err)
	}
	if code, err := a.Shell(t.Context(), engine.ShellRequest{ID: "s-1", Script: "x", Dir: "/w"}, io.Discard, nil); code != 3 || err != nil {
		t.Error(code, err)
	}
	if d := cmp.Diff([]string{"file write", "step start", "step attach"}, sent); d != "" {
		t.Error(d)
	}
	p.cfg.StartTimeout = time.Nanosecond
	if err := a.RemoveAll(t.Context(), "/w/f"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

// TestClusterAway: a build that goes on before the cluster can be reached waits for it.
func TestClusterAway(t *testing.T) {
	for _, known := range []bool{false, true} {
		w := newPodWorld(t)
		if known { // the former process has made the pod
			p, stop := w.provider()
			ctx, suspend := context.WithCancelCause(t.Context())
			first := acquireLater(ctx, p, "inst-1-7-0.1", func(string) {})
			eventually(t, "the pod is there", func() bool { return len(w.pods()) == 1 })
			suspend(engine.ErrSuspended)
			<-first
			stop()
		}
		var mu sync.Mutex
		p, _ := w.provider()
		left := 3
		for _, verb := range []string{"create", "get"} {
			w.client.PrependReactor(verb, "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				mu.Lock()
				defer mu.Unlock()
				if left == 0 {
					return false, nil, nil
				}
				left--
				return true, nil, &url.Error{Op: "Post", URL: "https://cluster", Err: syscall.ECONNREFUSED}
			})
		}
		got := acquireLater(t.Context(), p, "inst-1-7-0.1", func(string) {})
		eventually(t, "the cluster is asked again", func() bool { mu.Lock(); defer mu.Unlock(); return left == 0 })
		eventually(t, "the pod is there", func() bool { return len(w.pods()) == 1 })
		w.run(w.pods()[0])
		if a := <-got; a.err != nil {
			t.Errorf("known %v: %v", known, a.err)
		}
	}
}
