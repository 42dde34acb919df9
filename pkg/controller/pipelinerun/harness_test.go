// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
)

const ns = "p"

// events keeps what was recorded.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

// bench is a cluster and a Jenkins in memory, and a controller between them.
type bench struct {
	t       testing.TB
	clock   *clock
	jenkins *fakeJenkins
	// cluster is the API server without faults.
	cluster client.WithWatch
	events  *events
	archive *Archive
	// fault is called before and after each call to the cluster.
	fault func(call, when string) error
	// stale answers reads of runs with older copies.
	stale func(*devopsv1alpha3.PipelineRun)
	r     *Reconciler
}

func newBench(tb testing.TB, objects ...client.Object) *bench {
	tb.Helper()
	scheme := runtime.NewScheme()
	// Only what is used: the fake goes through all kinds of its scheme at each patch.
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.ConfigMap{}, &corev1.Pod{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	if err := devopsv1alpha3.AddToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	b := &bench{t: tb, clock: newClock(), events: &events{}}
	b.jenkins = newFakeJenkins(b.clock.Now)
	b.jenkins.jobs[ns+"/build"] = &fakeJob{}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, ownProject(ns))...).
		WithStatusSubresource(&devopsv1alpha3.PipelineRun{}, &devopsv1alpha3.Pipeline{})
	for field, value := range index.Runs {
		builder = builder.WithIndex(&devopsv1alpha3.PipelineRun{}, field, value)
	}
	b.cluster = builder.Build()
	b.restart()
	return b
}

// restart replaces the process: nothing in memory stays.
func (b *bench) restart() {
	watcher, err := NewWatcher(b.jenkins, WatcherOptions{Now: b.clock.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.r = &Reconciler{
		Client: b.client(), Jenkins: b.jenkins, Watcher: watcher, Archive: b.archive, Recorder: b.events, Now: b.clock.Now,
		Token: func(p *devopsv1alpha3.Pipeline) string { return pipeline.StartToken([]byte("0123456789abcdef"), p) },
		// What the Jenkinsfile would say comes from the spec in these tests.
		Analyze: func(string) pipeline.Analysis { return pipeline.Analysis{Complete: true} },
	}
	b.r.setDefaults()
	b.r.Pods = b.r.Client
}

func kind(obj any) string {
	switch obj.(type) {
	case *devopsv1alpha3.PipelineRun, *devopsv1alpha3.PipelineRunList:
		return "PipelineRun"
	case *devopsv1alpha3.Pipeline:
		return "Pipeline"
	case *corev1.ConfigMap:
		return "ConfigMap"
	case *corev1.Pod:
		return "Pod"
	}
	return fmt.Sprintf("%T", obj)
}

func (b *bench) around(call string, effect func() error) error {
	call = "kube " + call
	if b.fault != nil {
		if err := b.fault(call, "before"); err != nil {
			return err
		}
	}
	err := effect()
	if err == nil && b.fault != nil {
		return b.fault(call, "after")
	}
	return err
}

// client is the cluster as the controller sees it.
func (b *bench) client() client.Client {
	return interceptor.NewClient(b.cluster, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			return b.around("get "+kind(obj), func() error {
				err := c.Get(ctx, key, obj, opts...)
				if pr, ok := obj.(*devopsv1alpha3.PipelineRun); ok && err == nil && b.stale != nil {
					b.stale(pr)
				}
				return err
			})
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return b.around("list "+kind(list), func() error { return c.List(ctx, list, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return b.around("create "+kind(obj), func() error { return c.Create(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return b.around("patch "+kind(obj), func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return b.around("patch "+kind(obj)+"/"+sub, func() error { return c.SubResource(sub).Patch(ctx, obj, patch, opts...) })
		},
	})
}

// ownProject is a project that has its namespace and its folder.
func ownProject(name string) *devopsv1alpha3.DevOpsProject {
	p := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Status.AdminNamespace = name
	p.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionTrue,
		Reason: devopsv1alpha3.ReasonSynced, LastTransitionTime: metav1.Now()}}
	return p
}

// makeProject makes the project of a namespace on an API server.
func makeProject(t *testing.T, c client.Client, name string) {
	t.Helper()
	p := ownProject(name)
	status := p.Status
	if err := c.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status = status
	if err := c.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// loseFolder has the folder of the project's name be another's.
func (b *bench) loseFolder() {
	b.t.Helper()
	p := ownProject(ns)
	if err := b.cluster.Get(b.t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		b.t.Fatal(err)
	}
	p.Status.Conditions[0].Status = metav1.ConditionFalse
	if err := b.cluster.Update(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
}

func syncedPipeline(name string, params ...devopsv1alpha3.ParameterDefinition) *devopsv1alpha3.Pipeline {
	return &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID("pipeline-" + name), Generation: 1},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType,
			Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "pipeline {}", Parameters: params}},
		Status: devopsv1alpha3.PipelineStatus{Conditions: []metav1.Condition{{
			Type: devopsv1alpha3.ConditionSynced, Status: metav1.ConditionTrue, Reason: devopsv1alpha3.ReasonSynced, ObservedGeneration: 1,
		}}},
	}
}

func newRun(name string, params ...devopsv1alpha3.Parameter) *devopsv1alpha3.PipelineRun {
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: types.UID("uid-" + name)},
		Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "build"}, Parameters: params},
	}
}

func (b *bench) reconcile(name string) (ctrl.Result, error) {
	return b.r.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: name}})
}

// pass is a pass that must not fail.
func (b *bench) pass(name string) ctrl.Result {
	b.t.Helper()
	result, err := b.reconcile(name)
	if err != nil {
		b.t.Fatalf("reconcile %s: %v", name, err)
	}
	return result
}

func (b *bench) get(name string) *devopsv1alpha3.PipelineRun {
	b.t.Helper()
	out := &devopsv1alpha3.PipelineRun{}
	if err := b.cluster.Get(b.t.Context(), types.NamespacedName{Namespace: ns, Name: name}, out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// step lets Jenkins work, the time go on and the watcher look. Whom it would wake is passed over anyway.
func (b *bench) step() {
	b.clock.advance(time.Second)
	b.jenkins.tick()
	b.look()
}

// look has the watcher look once at everything.
func (b *bench) look() {
	w := b.r.Watcher
	w.mu.Lock()
	folders := maps.Clone(w.folders)
	w.mu.Unlock()
	for name, folder := range folders {
		_, _ = w.poll(b.t.Context(), name, folder)
	}
	if w.queueSettled() == 0 {
		_, _ = w.pollQueue(b.t.Context())
	}
}

// until passes over the run until it satisfies the condition.
func (b *bench) until(name string, done func(*devopsv1alpha3.PipelineRun) bool) *devopsv1alpha3.PipelineRun {
	b.t.Helper()
	for range 200 {
		b.pass(name)
		if got := b.get(name); done(got) {
			return got
		}
		b.step()
	}
	b.t.Fatalf("run %s does not get there: %+v", name, b.get(name).Status)
	return nil
}

func ended(run *devopsv1alpha3.PipelineRun) bool { return run.Status.CompletionTime != nil }

func verdict(run *devopsv1alpha3.PipelineRun) string {
	c := conditionOf(run, devopsv1alpha3.ConditionSucceeded)
	if c == nil {
		return string(run.Status.Phase)
	}
	return fmt.Sprintf("%s/%s", run.Status.Phase, c.Reason)
}

func message(run *devopsv1alpha3.PipelineRun) string {
	if c := conditionOf(run, devopsv1alpha3.ConditionSucceeded); c != nil {
		return c.Message
	}
	return ""
}

// agentPod is the pod that the fake's log names.
func agentPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: DefaultWorkerNamespace, Name: "dc-p-agent-x1", Labels: map[string]string{devopsv1alpha3.ProjectPodLabel: ns}},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{
			{Name: "helper"}, {Name: "dev", Env: []corev1.EnvVar{{Name: "JENKINS_AGENT_NAME", Value: "dc-p-agent-x1"}}},
		}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "helper", ImageID: "h@sha256:1"}, {Name: "dev", ImageID: "dev@sha256:2"},
		}},
	}
}
