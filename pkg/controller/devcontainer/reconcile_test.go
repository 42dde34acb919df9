// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

func TestCreateMakesAllInOnePass(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)

	secret := read(h, &corev1.Secret{}, "web-ssh")
	for _, file := range []string{"ssh_host_ed25519_key", "ssh_host_rsa_key.pub", "ssh_host_ecdsa_key", resources.AuthorizedKeysFile} {
		if len(secret.Data[file]) == 0 {
			t.Errorf("the Secret has no %s", file)
		}
	}
	children := []client.Object{
		secret, read(h, &corev1.PersistentVolumeClaim{}, "web-data"),
		read(h, &corev1.Service{}, "web"), read(h, &appsv1.StatefulSet{}, "web"),
	}
	for _, child := range children {
		if !metav1.IsControlledBy(child, app) {
			t.Errorf("%s does not belong to the app and would outlive it", describe(child))
		}
	}
	got := h.readApp(app)
	if got.Status.NodePortAssigned < devcontainerv1.NodePortMin || got.Status.Ready {
		t.Errorf("got port %d, ready %t, want a port and not ready", got.Status.NodePortAssigned, got.Status.Ready)
	}
	if len(got.Status.HostKeyFingerprints) != 3 {
		t.Errorf("got fingerprints %v, want three", got.Status.HostKeyFingerprints)
	}
	wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonPodPending, "not made")
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonWaitingForImage, "")
	wantCondition(t, got, devcontainerv1.ConditionStoragePersistent, devcontainerv1.ReasonPersistent, "web-data")
	if controllerutil.ContainsFinalizer(got, devcontainerv1.Finalizer) {
		t.Error("there is a finalizer before there is anything in Jenkins")
	}
	if told := h.told(); len(told) != 0 {
		t.Errorf("a normal start makes no events, got %q", told)
	}
}

func TestReadyAndSynced(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	result := h.pass(app)

	got := h.readApp(app)
	if !got.Status.Ready || got.Status.ImageID != testImageID || got.Status.NodeIP != "10.0.0.7" || got.Status.PodName != "web-0" {
		t.Errorf("got status %+v", got.Status)
	}
	if got.Status.ObservedGeneration != got.Generation {
		t.Errorf("observed generation %d of %d", got.Status.ObservedGeneration, got.Generation)
	}
	wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonReady, fmt.Sprint(got.Status.NodePortAssigned))
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonSynced, "agent { label")
	label := "dc-" + h.ns + ".web"
	if got.Status.AgentLabel != label {
		t.Errorf("got agent label %q, want %q", got.Status.AgentLabel, label)
	}
	if template, ok := h.jenkins.get(label); !ok || !strings.Contains(template.YAML, testImageID) {
		t.Errorf("Jenkins has no template with the image by digest: %+v", template)
	}
	if !controllerutil.ContainsFinalizer(got, devcontainerv1.Finalizer) {
		t.Error("the template would stay in Jenkins for ever: no finalizer")
	}
	if result.RequeueAfter <= 0 || result.RequeueAfter > time.Minute {
		t.Errorf("the template is looked at again after %s, want up to a minute", result.RequeueAfter)
	}
	if told := h.told(); len(told) != 2 || !strings.HasPrefix(told[0], "Normal Ready") || !strings.HasPrefix(told[1], "Normal Synced") {
		t.Errorf("got events %q, want that it is ready and synced", told)
	}
}

func TestSecondPassWritesNothing(t *testing.T) {
	full := func(a *devcontainerv1.DevcontainerApp) {
		a.Spec.StatefulSet.GitRepositoryURL = "https://git.example.com/acme/web"
		a.Spec.StatefulSet.Command = []string{"/bin/bash", "-c", "service ssh restart && tail -f /dev/null"}
		a.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A", Value: "$$"}, {Name: "B"}}
		a.Spec.StatefulSet.ContainerPort = 2222
		a.Spec.StatefulSet.SSHPublicKeyList = []string{keyTwo, keyOne, keyOne}
		a.Spec.Storage = &devcontainerv1.StorageSpec{Size: new(resource.MustParse("1.5Gi")), StorageClassName: new("fast")}
		a.Spec.Resources = corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.5"), corev1.ResourceMemory: resource.MustParse("1000000000")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2048Mi")},
		}
	}
	for name, change := range map[string]func(*devcontainerv1.DevcontainerApp){
		"minimal": func(*devcontainerv1.DevcontainerApp) {},
		"full":    full,
		"no keys": func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.SSHPublicKeyList = nil },
		"stopped": func(a *devcontainerv1.DevcontainerApp) { a.Spec.RunState = devcontainerv1.Stopped },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			app := h.create("web", change)
			h.pass(app)
			if app.Spec.RunState != devcontainerv1.Stopped {
				h.runPod(app)
				h.pass(app)
			}
			h.tap.writes, h.tap.log = 0, nil
			h.told()
			h.pass(app)
			h.restart(h.r.clock) // a new process is as quiet
			h.pass(app)
			if h.tap.writes != 0 {
				t.Errorf("an app in order is written to: %q", h.tap.log)
			}
			if told := h.told(); len(told) != 0 {
				t.Errorf("an app in order makes events: %q", told)
			}
		})
	}
}

func TestUpdates(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	port := h.readApp(app).Status.NodePortAssigned
	secret := read(h, &corev1.Secret{}, "web-ssh")
	revision := func() int64 { return read(h, &appsv1.StatefulSet{}, "web").Generation }

	t.Run("a key changes the Secret and no pod", func(t *testing.T) {
		before := revision()
		pod := read(h, &corev1.Pod{}, "web-0")
		app = h.readApp(app)
		h.change(app, func() { app.Spec.StatefulSet.SSHPublicKeyList = []string{keyTwo} })
		h.pass(app)
		after := read(h, &corev1.Secret{}, "web-ssh")
		if got := string(after.Data[resources.AuthorizedKeysFile]); got != keyTwo+"\n" {
			t.Errorf("got authorized keys %q", got)
		}
		if revision() != before {
			t.Error("the StatefulSet changed: the pod would be replaced")
		}
		if now := read(h, &corev1.Pod{}, "web-0"); now.UID != pod.UID || now.Annotations[keysAnnotation] == pod.Annotations[keysAnnotation] {
			t.Error("the kubelet is not told of the new keys")
		}
		if !h.readApp(app).Status.Ready {
			t.Error("the app is not ready during a change of keys")
		}
	})
	t.Run("an image replaces the pod and keeps port and host keys", func(t *testing.T) {
		app = h.readApp(app)
		h.change(app, func() { app.Spec.StatefulSet.Image = "ghcr.io/acme/dev:2" })
		h.pass(app)
		if got := read(h, &appsv1.StatefulSet{}, "web").Spec.Template.Spec.Containers[0].Image; got != "ghcr.io/acme/dev:2" {
			t.Errorf("got image %s", got)
		}
		got := h.readApp(app)
		if got.Status.Ready {
			t.Error("the former pod counts as ready for the new image")
		}
		wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonStarting, "replaced")
		h.runPod(app)
		h.pass(app)
		got = h.readApp(app)
		if !got.Status.Ready || got.Status.NodePortAssigned != port {
			t.Errorf("ready %t, port %d, want true and %d", got.Status.Ready, got.Status.NodePortAssigned, port)
		}
	})
	template := func() corev1.PodSpec { return read(h, &appsv1.StatefulSet{}, "web").Spec.Template.Spec }
	for name, tt := range map[string]struct {
		set, unset func(spec *devcontainerv1.DevcontainerAppSpec)
		is         func() bool
	}{
		"variables": {
			func(spec *devcontainerv1.DevcontainerAppSpec) {
				spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A", Value: "1"}}
			},
			func(spec *devcontainerv1.DevcontainerAppSpec) { spec.StatefulSet.Env = nil },
			func() bool { return len(template().Containers[0].Env) > 0 },
		},
		"limits": {
			func(spec *devcontainerv1.DevcontainerAppSpec) {
				spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
			},
			func(spec *devcontainerv1.DevcontainerAppSpec) { spec.Resources.Limits = nil },
			func() bool { return len(template().Containers[0].Resources.Limits) > 0 },
		},
		"repository": {
			func(spec *devcontainerv1.DevcontainerAppSpec) {
				spec.StatefulSet.GitRepositoryURL = "https://git.example.com/x"
			},
			func(spec *devcontainerv1.DevcontainerAppSpec) { spec.StatefulSet.GitRepositoryURL = "" },
			func() bool { return len(template().InitContainers) > 1 },
		},
	} {
		t.Run("what is no longer asked for goes: "+name, func(t *testing.T) {
			for _, want := range []bool{true, false} {
				change := tt.unset
				if want {
					change = tt.set
				}
				app = h.readApp(app)
				h.change(app, func() { change(&app.Spec) })
				h.pass(app)
				if tt.is() != want {
					t.Errorf("it is there: %t, want %t", !want, want)
				}
			}
		})
	}
	t.Run("a stop keeps all but the pod", func(t *testing.T) {
		app = h.readApp(app)
		h.change(app, func() { app.Spec.RunState = devcontainerv1.Stopped })
		h.pass(app)
		if got := *read(h, &appsv1.StatefulSet{}, "web").Spec.Replicas; got != 0 {
			t.Errorf("got %d replicas", got)
		}
		if err := h.c.Delete(t.Context(), read(h, &corev1.Pod{}, "web-0"), client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
		h.pass(app)
		got := h.readApp(app)
		wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonStopped, "is stopped")
		wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonSynced, "")
		if got.Status.NodePortAssigned != port {
			t.Errorf("the port became %d, was %d", got.Status.NodePortAssigned, port)
		}
	})
	t.Run("a start brings it back", func(t *testing.T) {
		app = h.readApp(app)
		h.change(app, func() { app.Spec.RunState = devcontainerv1.Running })
		h.pass(app)
		h.runPod(app)
		h.pass(app)
		if got := h.readApp(app); !got.Status.Ready || got.Status.NodePortAssigned != port {
			t.Errorf("ready %t, port %d", got.Status.Ready, got.Status.NodePortAssigned)
		}
	})
	after := read(h, &corev1.Secret{}, "web-ssh")
	for file, data := range secret.Data {
		if file != resources.AuthorizedKeysFile && string(after.Data[file]) != string(data) {
			t.Errorf("%s changed: clients would refuse the host", file)
		}
	}
}

func TestDriftIsRepaired(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	port := h.readApp(app).Status.NodePortAssigned

	set := func() *appsv1.StatefulSet { return read(h, &appsv1.StatefulSet{}, "web") }
	service := func() *corev1.Service { return read(h, &corev1.Service{}, "web") }
	secret := func() *corev1.Secret { return read(h, &corev1.Secret{}, "web-ssh") }
	remove := func(obj client.Object) {
		if err := h.c.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		drift func()
		check func() bool
	}{
		"image":    {func() { o := set(); h.change(o, func() { o.Spec.Template.Spec.Containers[0].Image = "evil" }) }, func() bool { return set().Spec.Template.Spec.Containers[0].Image == testImage }},
		"replicas": {func() { o := set(); h.change(o, func() { o.Spec.Replicas = new(int32(3)) }) }, func() bool { return *set().Spec.Replicas == 1 }},
		"token": {func() {
			o := set()
			h.change(o, func() { o.Spec.Template.Spec.AutomountServiceAccountToken = new(true) })
		}, func() bool { return !*set().Spec.Template.Spec.AutomountServiceAccountToken }},
		"label":    {func() { o := set(); h.change(o, func() { delete(o.Labels, devcontainerv1.AppLabel) }) }, func() bool { return set().Labels[devcontainerv1.AppLabel] == "web" }},
		"hash":     {func() { o := set(); h.change(o, func() { delete(o.Annotations, hashAnnotation) }) }, func() bool { return set().Annotations[hashAnnotation] != "" }},
		"selector": {func() { o := service(); h.change(o, func() { o.Spec.Selector = map[string]string{"a": "b"} }) }, func() bool { return service().Spec.Selector[devcontainerv1.AppLabel] == "web" }},
		"type":     {func() { o := service(); h.change(o, func() { o.Spec.Ports[0].TargetPort.StrVal = "x" }) }, func() bool { return service().Spec.Ports[0].TargetPort.StrVal == resources.SSHPort }},
		"ports": {func() {
			o := service()
			h.change(o, func() { o.Spec.Ports = append(o.Spec.Ports, corev1.ServicePort{Name: "x", Port: 80}) })
		}, func() bool { return len(service().Spec.Ports) == 1 }},
		"keys":          {func() { o := secret(); h.change(o, func() { o.Data[resources.AuthorizedKeysFile] = []byte("evil") }) }, func() bool { return string(secret().Data[resources.AuthorizedKeysFile]) == keyOne+"\n" }},
		"extra file":    {func() { o := secret(); h.change(o, func() { o.Data["ssh_host_ecdsa_key.pub"] = []byte("evil") }) }, func() bool { return strings.HasPrefix(string(secret().Data["ssh_host_ecdsa_key.pub"]), "ecdsa") }},
		"host key lost": {func() { o := secret(); h.change(o, func() { delete(o.Data, "ssh_host_rsa_key") }) }, func() bool { return len(secret().Data["ssh_host_rsa_key"]) > 0 }},
		"set deleted":   {func() { remove(set()) }, func() bool { return set().DeletionTimestamp == nil }},
		"svc deleted":   {func() { remove(service()) }, func() bool { return service().DeletionTimestamp == nil }},
		"template lost": {func() { clear(h.jenkins.templates); h.restart(h.r.clock) }, func() bool { return len(h.jenkins.templates) == 1 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.drift()
			h.pass(app)
			if !tt.check() {
				t.Fatal("the drift is still there")
			}
			if name != "svc deleted" && name != "ports" && resources.NodePort(service()) != port && port != 0 {
				t.Errorf("the port became %d, was %d", resources.NodePort(service()), port)
			}
			port = resources.NodePort(service())
			h.pass(app)
			h.tap.writes, h.tap.log = 0, nil
			h.pass(app)
			if h.tap.writes != 0 {
				t.Errorf("after the repair there is no rest: %q", h.tap.log)
			}
		})
	}
}

// TestCrashBetweenCalls lets each single call of the whole life of an app fail, once before and once after
// it took effect, and checks that the next passes come to the same end with the same host keys.
func TestCrashBetweenCalls(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%t", late), func(t *testing.T) {
			h := newHarness(t)
			failures := 0
			for n := 1; ; n++ {
				app := h.create(fmt.Sprintf("web-%d", n))
				h.restart(h.r.clock)
				h.tap.calls, h.tap.failAt, h.tap.late = 0, n, late
				failed := h.life(app)
				if h.tap.calls < n {
					break // the life of an app has no such call
				}
				if failed {
					failures++
				}
			}
			if failures < 20 {
				t.Errorf("only %d calls were made to fail: the test does not reach what it should", failures)
			}
		})
	}
}

// life runs an app from its creation to its deletion, each time until passes succeed, and checks the
// result. It tells if a pass failed by the injected failure.
func (h *harness) life(app *devcontainerv1.DevcontainerApp) (failed bool) {
	h.t.Helper()
	settle := func() {
		h.t.Helper()
		for range 4 {
			_, err := h.try(app)
			if errors.Is(err, errInjected) {
				failed = true
				h.restart(h.r.clock)
				continue
			}
			if err != nil {
				h.t.Fatalf("call %d failed: the next pass gives %v", h.tap.failAt, err)
			}
		}
	}
	settle()
	keys := maps.Clone(read(h, &corev1.Secret{}, app.Name+"-ssh").Data)
	h.runPod(app)
	settle()
	got := h.readApp(app)
	if !got.Status.Ready || got.Status.AgentLabel == "" || got.Status.NodePortAssigned == 0 {
		h.t.Fatalf("call %d failed: the app does not get ready: %+v", h.tap.failAt, got.Status)
	}
	if diff := cmp.Diff(keys, read(h, &corev1.Secret{}, app.Name+"-ssh").Data); diff != "" {
		h.t.Fatalf("call %d failed: the host keys changed", h.tap.failAt)
	}
	if err := h.c.Delete(h.t.Context(), got); err != nil {
		h.t.Fatal(err)
	}
	settle()
	if !h.gone(&devcontainerv1.DevcontainerApp{}, app.Name) {
		h.t.Fatalf("call %d failed: the app is still there after its deletion", h.tap.failAt)
	}
	if _, ok := h.jenkins.get("dc-" + h.ns + "." + app.Name); ok {
		h.t.Fatalf("call %d failed: the template is left in Jenkins", h.tap.failAt)
	}
	return failed
}

func TestDeleteWhileJenkinsIsAway(t *testing.T) {
	h := newHarness(t)
	clk := clocktesting.NewFakePassiveClock(time.Now())
	h.restart(clk)
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	h.told()

	h.jenkins.set(errors.New("dial tcp: connection refused"))
	if err := h.c.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	result := h.pass(app)
	got := h.readApp(app)
	if !controllerutil.ContainsFinalizer(got, devcontainerv1.Finalizer) {
		t.Fatal("the finalizer is gone while the template is in Jenkins")
	}
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonJenkinsUnavailable, "connection refused")
	if got.Status.Ready {
		t.Error("a deleted app counts as ready")
	}
	if !h.gone(&corev1.Service{}, "web") || !h.gone(&appsv1.StatefulSet{}, "web") {
		t.Error("a deleted app can still be reached while Jenkins is away")
	}
	if result.RequeueAfter <= 0 {
		t.Error("nobody will look again")
	}
	if told := h.told(); len(told) != 1 || !strings.HasPrefix(told[0], "Warning JenkinsUnavailable") {
		t.Errorf("got events %q, want one that says why", told)
	}
	calls := h.jenkins.calls
	h.pass(app)
	if h.jenkins.calls != calls {
		t.Error("Jenkins is called during the pause")
	}
	h.jenkins.set(nil)
	clk.SetTime(clk.Now().Add(time.Minute))
	h.pass(app)
	if !h.gone(&devcontainerv1.DevcontainerApp{}, "web") {
		t.Error("the app is still there although Jenkins is back")
	}
	if len(h.jenkins.templates) != 0 {
		t.Error("the template is left in Jenkins")
	}
	h.pass(app) // a pass for an app that is gone
}

func TestJenkinsAwayDelaysNothing(t *testing.T) {
	h := newHarness(t)
	h.jenkins.set(errors.New("dial tcp: connection refused"))
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	result := h.pass(app)
	got := h.readApp(app)
	if !got.Status.Ready {
		t.Error("a dev container is not ready because Jenkins is away")
	}
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonJenkinsUnavailable, "connection refused")
	if result.RequeueAfter <= 0 || result.RequeueAfter > time.Minute {
		t.Errorf("the next try is after %s", result.RequeueAfter)
	}
	if got.Status.AgentLabel != "" {
		t.Errorf("label %q is offered, but Jenkins does not have it", got.Status.AgentLabel)
	}
}
