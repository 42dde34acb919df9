// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

const (
	keyOne      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS one@example.com"
	keyTwo      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAvWTvGkk7ebJ6kyBUxr6RtZhYqK8fx0vAdoMjZ4MDmX two@example.com"
	testImage   = "ghcr.io/acme/dev:1.4"
	testImageID = "ghcr.io/acme/dev@sha256:6b9c3a7d2f4e5b8a1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b"
)

// fakeJenkins keeps templates in memory.
type fakeJenkins struct {
	mu        sync.Mutex
	templates map[string]agenttemplate.Template
	err       error
	calls     int
}

func (j *fakeJenkins) enter() (func(), error) {
	j.mu.Lock()
	j.calls++
	return j.mu.Unlock, j.err
}

func (j *fakeJenkins) EnsureTemplate(_ context.Context, t agenttemplate.Template) error {
	leave, err := j.enter()
	defer leave()
	if err == nil {
		j.templates[t.ID] = t
	}
	return err
}

func (j *fakeJenkins) DeleteTemplate(_ context.Context, id string) error {
	leave, err := j.enter()
	defer leave()
	if err == nil {
		delete(j.templates, id)
	}
	return err
}

func (j *fakeJenkins) LabelExists(_ context.Context, label string) (bool, error) {
	leave, err := j.enter()
	defer leave()
	for _, t := range j.templates {
		if slices.Contains(t.Labels, label) {
			return err == nil, err
		}
	}
	return false, err
}

func (j *fakeJenkins) set(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

func (j *fakeJenkins) get(id string) (agenttemplate.Template, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t, ok := j.templates[id]
	return t, ok
}

// errInjected is the failure of a call that a test wants to fail.
var errInjected = errors.New("injected failure")

// tap counts the calls of a client and makes one of them fail.
type tap struct {
	calls, writes int
	log           []string
	// failAt is the call, from 1, that fails; 0 for none.
	failAt int
	// late lets that call take effect before it fails, as if its answer was lost.
	late bool
	// classes are the StorageClasses that the client sees: they belong to the whole cluster, which
	// tests share.
	classes []storagev1.StorageClass
}

func (p *tap) call(write bool, what string, do func() error) error {
	p.calls++
	if write {
		p.writes++
		p.log = append(p.log, what)
	}
	if p.calls != p.failAt {
		return do()
	}
	if p.late {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", what, errInjected)
}

func (p *tap) wrap(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			return p.call(false, "get", func() error { return c.Get(ctx, key, obj, opts...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if classes, ok := list.(*storagev1.StorageClassList); ok {
				classes.Items = p.classes
				return p.call(false, "list", func() error { return nil })
			}
			return p.call(false, "list", func() error { return c.List(ctx, list, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return p.call(true, "create "+describe(obj), func() error { return c.Create(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return p.call(true, "patch "+describe(obj), func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			return p.call(true, "update "+describe(obj), func() error { return c.Update(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return p.call(true, "delete "+describe(obj), func() error { return c.Delete(ctx, obj, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return p.call(true, "patch "+sub+" of "+describe(obj), func() error { return c.SubResource(sub).Patch(ctx, obj, patch, opts...) })
		},
	})
}

// defaultClass is a cluster with volumes.
func defaultClass() []storagev1.StorageClass {
	class := storagev1.StorageClass{}
	class.Name = "standard"
	class.Annotations = map[string]string{defaultClassAnnotation: "true"}
	return []storagev1.StorageClass{class}
}

// harness is a reconciler on a real API server without a cache, and what the tests play beside it: the
// StatefulSet controller, the kubelet and Jenkins.
type harness struct {
	t       *testing.T
	c       client.WithWatch
	ns      string
	tap     *tap
	jenkins *fakeJenkins
	events  *recorder
	r       *Reconciler
}

// hostKeySets are few, because they take long to make, and given in turn, so that keys which are made
// again are seen to change.
var hostKeySets = sync.OnceValues(func() (sets [3][]sshkeys.HostKey, err error) {
	for i := range sets {
		if sets[i], err = sshkeys.GenerateHostKeys(); err != nil {
			return sets, err
		}
	}
	return sets, nil
})

var hostKeysMade int

func testHostKeys() ([]sshkeys.HostKey, error) {
	sets, err := hostKeySets()
	hostKeysMade++
	return sets[hostKeysMade%len(sets)], err
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{
		t: t, c: envtest.Client(t), ns: envtest.Namespace(t),
		tap:     &tap{classes: defaultClass()},
		jenkins: &fakeJenkins{templates: map[string]agenttemplate.Template{}},
		events:  &recorder{},
	}
	h.restart(clock.RealClock{})
	return h
}

// restart makes a new reconciler, as after a crash of the process.
func (h *harness) restart(clk clock.PassiveClock) {
	h.t.Helper()
	c := h.tap.wrap(h.c)
	r, err := New(Deps{Client: c, Reader: c, Recorder: h.events, Templates: h.jenkins, Clock: clk},
		Options{AgentImage: "registry.example.com/slipway-agent:1", RunAsUser: new(int64(0))})
	if err != nil {
		h.t.Fatal(err)
	}
	r.makeHostKeys = testHostKeys
	h.r = r
}

func (h *harness) app(name string, changes ...func(*devcontainerv1.DevcontainerApp)) *devcontainerv1.DevcontainerApp {
	app := &devcontainerv1.DevcontainerApp{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: name}}
	app.Spec.StatefulSet = devcontainerv1.StatefulSetSpec{Image: testImage, SSHPublicKeyList: []string{keyOne}}
	for _, change := range changes {
		change(app)
	}
	return app
}

func (h *harness) create(name string, changes ...func(*devcontainerv1.DevcontainerApp)) *devcontainerv1.DevcontainerApp {
	h.t.Helper()
	app := h.app(name, changes...)
	if err := h.c.Create(h.t.Context(), app); err != nil {
		h.t.Fatal(err)
	}
	return app
}

// pass runs one pass and fails the test if it fails.
func (h *harness) pass(app *devcontainerv1.DevcontainerApp) ctrl.Result {
	h.t.Helper()
	result, err := h.try(app)
	if err != nil {
		h.t.Fatalf("pass: %v", err)
	}
	return result
}

func (h *harness) try(app *devcontainerv1.DevcontainerApp) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	return h.r.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(app)})
}

// read gets an object; the test fails if there is none.
func read[T client.Object](h *harness, obj T, name string) T {
	h.t.Helper()
	if err := h.c.Get(h.t.Context(), client.ObjectKey{Namespace: h.ns, Name: name}, obj); err != nil {
		h.t.Fatal(err)
	}
	return obj
}

func (h *harness) gone(obj client.Object, name string) bool {
	h.t.Helper()
	err := h.c.Get(h.t.Context(), client.ObjectKey{Namespace: h.ns, Name: name}, obj)
	if err != nil && !apierrors.IsNotFound(err) {
		h.t.Fatal(err)
	}
	return err != nil
}

func (h *harness) readApp(app *devcontainerv1.DevcontainerApp) *devcontainerv1.DevcontainerApp {
	h.t.Helper()
	return read(h, &devcontainerv1.DevcontainerApp{}, app.Name)
}

func (h *harness) change(obj client.Object, change func()) {
	h.t.Helper()
	before := obj.DeepCopyObject().(client.Object)
	change()
	if err := h.c.Patch(h.t.Context(), obj, client.MergeFrom(before)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) changeStatus(obj client.Object, change func()) {
	h.t.Helper()
	before := obj.DeepCopyObject().(client.Object)
	change()
	if err := h.c.Status().Patch(h.t.Context(), obj, client.MergeFrom(before)); err != nil {
		h.t.Fatal(err)
	}
}

// runPod plays the StatefulSet controller and the kubelet: it replaces the pod by one of the present
// template that is ready.
func (h *harness) runPod(app *devcontainerv1.DevcontainerApp) *corev1.Pod {
	h.t.Helper()
	ctx := h.t.Context()
	set := read(h, &appsv1.StatefulSet{}, resources.Name(app))
	old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: resources.PodName(app)}}
	if err := h.c.Delete(ctx, old, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
		h.t.Fatal(err)
	}
	// The longest that a revision's name gets.
	revision := fmt.Sprintf("%s-%010d", set.Name, set.Generation)
	pod := &corev1.Pod{
		ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(),
		Spec:       *set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Namespace, pod.Name = h.ns, resources.PodName(app)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	pod.Spec.Hostname, pod.Spec.Subdomain, pod.Spec.NodeName = pod.Name, set.Spec.ServiceName, "node-1"
	if err := h.c.Create(ctx, pod); err != nil {
		h.t.Fatal(err)
	}
	h.changeStatus(set, func() {
		set.Status.ObservedGeneration, set.Status.UpdateRevision = set.Generation, revision
		set.Status.Replicas = 1
	})
	h.changeStatus(pod, func() {
		now := metav1.Now()
		pod.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.7", HostIPs: []corev1.HostIP{{IP: "10.0.0.7"}},
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
				{Type: corev1.PodReady, Status: corev1.ConditionTrue},
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: resources.DevContainer, Image: testImage, ImageID: testImageID, Ready: true,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
			}},
		}
	})
	return pod
}

// report makes an event, as the parts of Kubernetes do.
func (h *harness) report(about client.Object, kind, reason, message string) {
	h.t.Helper()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, GenerateName: "e-"},
		InvolvedObject: corev1.ObjectReference{
			Kind: kind, Namespace: about.GetNamespace(), Name: about.GetName(), UID: about.GetUID(),
		},
		Reason: reason, Message: message, Type: corev1.EventTypeWarning,
		FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1,
	}
	if err := h.c.Create(h.t.Context(), event); err != nil {
		h.t.Fatal(err)
	}
}

// wantCondition checks a condition by reason and a part of its message.
func wantCondition(t *testing.T, app *devcontainerv1.DevcontainerApp, conditionType, reason, message string) {
	t.Helper()
	got := meta.FindStatusCondition(app.Status.Conditions, conditionType)
	if got == nil {
		t.Fatalf("no condition %s", conditionType)
	}
	if got.Reason != reason || !strings.Contains(got.Message, message) {
		t.Errorf("%s is %s %q, want %s with %q", conditionType, got.Reason, got.Message, reason, message)
	}
}

// told gives the events that were made since the last call.
func (h *harness) told() []string { return h.events.take() }

// recorder keeps events as lines "<type> <reason> <note>". The one of client-go blocks when it is full.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}
