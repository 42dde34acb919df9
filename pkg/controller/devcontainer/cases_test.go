// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

func withKeys(keys ...string) func(*devcontainerv1.DevcontainerApp) {
	return func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.SSHPublicKeyList = keys }
}

func TestInvalidKeysMakeNothing(t *testing.T) {
	h := newHarness(t)
	app := h.create("web", withKeys(keyOne, `command="rm -rf /" `+keyTwo, "not a key"))
	result := h.pass(app)
	got := h.readApp(app)
	wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonInvalidKeys, "sshPublicKeyList[1]")
	wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonInvalidKeys, "sshPublicKeyList[2]")
	if got.Status.ObservedGeneration != 0 {
		t.Errorf("observed generation %d: the spec was not brought about", got.Status.ObservedGeneration)
	}
	if !h.gone(&corev1.Secret{}, "web-ssh") || !h.gone(&appsv1.StatefulSet{}, "web") {
		t.Error("something was made for an app into which its owner cannot log in")
	}
	if result.RequeueAfter != 0 {
		t.Errorf("tried again after %s, although only the user can help", result.RequeueAfter)
	}
	h.change(got, func() { got.Spec.StatefulSet.SSHPublicKeyList = []string{keyOne} })
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	if !h.readApp(app).Status.Ready {
		t.Error("the app does not get ready with its keys corrected")
	}
}

func TestInvalidKeyOfARunningAppKeepsTheOldKeys(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	got := h.readApp(app)
	h.change(got, func() {
		got.Spec.StatefulSet.SSHPublicKeyList = []string{"-----BEGIN OPENSSH PRIVATE KEY-----"}
		got.Spec.StatefulSet.Image = "ghcr.io/acme/dev:2"
	})
	h.pass(app)
	got = h.readApp(app)
	wantCondition(t, got, devcontainerv1.ConditionReady, devcontainerv1.ReasonInvalidKeys, "sshPublicKeyList[0]")
	if got.Status.Ready {
		t.Error("status.ready although the spec's keys do not work")
	}
	if keys := string(read(h, &corev1.Secret{}, "web-ssh").Data[resources.AuthorizedKeysFile]); keys != keyOne+"\n" {
		t.Errorf("the former key was taken away: %q", keys)
	}
	if image := read(h, &appsv1.StatefulSet{}, "web").Spec.Template.Spec.Containers[0].Image; image != "ghcr.io/acme/dev:2" {
		t.Errorf("a bad key holds up the rest of the spec: image %s", image)
	}
	h.change(got, func() { got.Spec.RunState = devcontainerv1.Stopped })
	h.pass(app)
	if *read(h, &appsv1.StatefulSet{}, "web").Spec.Replicas != 0 {
		t.Error("an app with a bad key cannot be stopped")
	}
}

func TestForeignObjectsAreLeftAlone(t *testing.T) {
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web-ssh"}, StringData: map[string]string{"precious": "x"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "web-data"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}},
	} {
		t.Run(fmt.Sprintf("%T", object), func(t *testing.T) {
			h := newHarness(t)
			object.SetNamespace(h.ns)
			if err := h.c.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			version := object.GetResourceVersion()
			app := h.create("web")
			result := h.pass(app)
			wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonFailed, "does not belong")
			if err := h.c.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil || object.GetResourceVersion() != version {
				t.Errorf("the user's object was touched (%v)", err)
			}
			if result.RequeueAfter != foreignDelay {
				t.Errorf("looked at again after %s, want %s: no watch tells when it goes", result.RequeueAfter, foreignDelay)
			}
			if err := h.c.Delete(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			if claim, ok := object.(*corev1.PersistentVolumeClaim); ok {
				// Nothing plays the controller that protects volumes in use.
				h.change(claim, func() { claim.Finalizers = nil })
			}
			h.pass(app)
			wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonPodPending, "")
		})
	}
}

func TestWithoutStorageClass(t *testing.T) {
	h := newHarness(t)
	h.tap.classes = nil
	app := h.create("web")
	h.pass(app)
	ephemeral := func() bool { return resources.IsEphemeral(read(h, &appsv1.StatefulSet{}, "web")) }
	if !ephemeral() || !h.gone(&corev1.PersistentVolumeClaim{}, "web-data") {
		t.Fatal("a volume is asked for in a cluster that has none")
	}
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionStoragePersistent, devcontainerv1.ReasonEphemeral, "lost")
	h.runPod(app)
	h.pass(app)

	h.tap.classes = defaultClass()
	h.pass(app)
	if !ephemeral() {
		t.Fatal("the files of a running pod are thrown away because the cluster got a StorageClass")
	}
	got := h.readApp(app)
	h.change(got, func() { got.Spec.RunState = devcontainerv1.Stopped })
	h.pass(app)
	h.pass(app)
	got = h.readApp(app)
	h.change(got, func() { got.Spec.RunState = devcontainerv1.Running })
	h.pass(app)
	if ephemeral() {
		t.Error("a stop and a start did not move the app to a volume")
	}
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionStoragePersistent, devcontainerv1.ReasonPersistent, "")

	h.tap.classes = nil
	h.pass(app)
	if ephemeral() {
		t.Error("a volume that exists is dropped because the StorageClass went")
	}
}

func TestNamedStorageClassNeedsNoDefault(t *testing.T) {
	h := newHarness(t)
	h.tap.classes = nil
	app := h.create("web", func(a *devcontainerv1.DevcontainerApp) {
		a.Spec.Storage = &devcontainerv1.StorageSpec{StorageClassName: new("fast")}
	})
	h.pass(app)
	claim := read(h, &corev1.PersistentVolumeClaim{}, "web-data")
	if *claim.Spec.StorageClassName != "fast" {
		t.Errorf("got class %q", *claim.Spec.StorageClassName)
	}
	h.report(claim, "PersistentVolumeClaim", "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`)
	pod := h.runPod(app)
	h.unschedule(pod, "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonVolumePending, `"fast" not found`)
}

// unschedule makes a pod one that no node has taken. A pod cannot leave its node, so it is a new one.
func (h *harness) unschedule(pod *corev1.Pod, message string) {
	h.t.Helper()
	if err := h.c.Delete(h.t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		h.t.Fatal(err)
	}
	pod.ResourceVersion, pod.UID, pod.Spec.NodeName = "", "", ""
	if err := h.c.Create(h.t.Context(), pod); err != nil {
		h.t.Fatal(err)
	}
	h.changeStatus(pod, func() {
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
		}}}
	})
}

func TestVolumeThatCannotChange(t *testing.T) {
	h := newHarness(t)
	app := h.create("web", func(a *devcontainerv1.DevcontainerApp) {
		a.Spec.Storage = &devcontainerv1.StorageSpec{Size: new(resource.MustParse("10Gi")), StorageClassName: new("std")}
	})
	h.pass(app)
	h.runPod(app)
	h.pass(app)
	tests := map[string]struct {
		storage devcontainerv1.StorageSpec
		says    string
	}{
		"shrink": {devcontainerv1.StorageSpec{Size: new(resource.MustParse("1Gi"))}, "cannot shrink"},
		"move":   {devcontainerv1.StorageSpec{Size: new(resource.MustParse("10Gi")), StorageClassName: new("fast")}, "cannot move"},
		"grow":   {devcontainerv1.StorageSpec{Size: new(resource.MustParse("20Gi"))}, "stays as it is"}, // the class does not exist
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.readApp(app)
			h.change(got, func() { got.Spec.Storage = &tt.storage })
			h.pass(app)
			got = h.readApp(app)
			wantCondition(t, got, devcontainerv1.ConditionStoragePersistent, devcontainerv1.ReasonPersistent, tt.says)
			if !got.Status.Ready || got.Status.ObservedGeneration != got.Generation {
				t.Error("a wish for the volume that cannot be met keeps the app from running")
			}
			size := storageOf(read(h, &corev1.PersistentVolumeClaim{}, "web-data"))
			if size.Cmp(resource.MustParse("10Gi")) != 0 {
				t.Errorf("the volume became %s", size.String())
			}
		})
	}
}

func TestQuotaOnTheAPIServer(t *testing.T) {
	h := newHarness(t)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "ci"}}
	quota.Spec.Hard = corev1.ResourceList{"persistentvolumeclaims": resource.MustParse("0")}
	if err := h.c.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	h.changeStatus(quota, func() {
		quota.Status.Hard = quota.Spec.Hard
		quota.Status.Used = corev1.ResourceList{"persistentvolumeclaims": resource.MustParse("0")}
	})
	app := h.create("web")
	gomega.NewWithT(t).Eventually(func() bool { // the admission of the API server sees the quota a moment later
		probe := resources.Claim(app, resource.MustParse("1Gi"))
		return apierrors.IsForbidden(h.c.Create(t.Context(), probe, client.DryRunAll))
	}).WithTimeout(30 * time.Second).Should(gomega.BeTrue())
	result := h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonQuotaExceeded, "exceeded quota: ci")
	if result.RequeueAfter != quotaDelay {
		t.Errorf("tried again after %s, want %s", result.RequeueAfter, quotaDelay)
	}
	if told := h.told(); len(told) != 1 || !strings.HasPrefix(told[0], "Warning QuotaExceeded") {
		t.Errorf("got events %q", told)
	}
	h.pass(app)
	if told := h.told(); len(told) != 0 {
		t.Errorf("the same again is told again: %q", told)
	}
	if err := h.c.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() int32 {
		h.pass(app)
		return h.readApp(app).Status.NodePortAssigned
	}).WithTimeout(30 * time.Second).ShouldNot(gomega.BeZero())
}

func TestEventOfTheStatefulSetIsShown(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	h.report(read(h, &appsv1.StatefulSet{}, "web"), "StatefulSet", "FailedCreate",
		`create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: exceeded quota: ci, requested: pods=1`)
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionReady, devcontainerv1.ReasonQuotaExceeded, "requested: pods=1")
}

func TestChangeOfKeysDoesNotReachAnotherAppsPod(t *testing.T) {
	h := newHarness(t)
	app := h.create("web")
	h.pass(app)
	// A pod of the expected name that belongs to nobody.
	stranger := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "web-0", Labels: resources.Labels(app)}}
	stranger.Spec.Containers = []corev1.Container{{Name: resources.DevContainer, Image: "evil"}}
	if err := h.c.Create(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	h.changeStatus(stranger, func() {
		stranger.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		stranger.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resources.DevContainer, ImageID: testImageID}}
	})
	h.pass(app)
	got := h.readApp(app)
	if got.Status.Ready || got.Status.ImageID != "" || got.Status.AgentLabel != "" {
		t.Errorf("a stranger's pod is taken for the app's: %+v", got.Status)
	}
}

func TestNamesOnTheAPIServer(t *testing.T) {
	for name, appName := range map[string]string{
		"253":         strings.Repeat("a", 253),
		"253 dots":    strings.Repeat("a.", 126) + "a",
		"63":          strings.Repeat("b", 63),
		"52":          strings.Repeat("c", 52),
		"digit":       "1st",
		"dots":        "my.dev.box",
		"digits, 253": strings.Repeat("9", 253),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			app := h.create(appName)
			h.pass(app)
			h.runPod(app) // with the labels and the host name that the StatefulSet controller gives
			h.pass(app)
			got := h.readApp(app)
			if !got.Status.Ready {
				t.Fatalf("not ready: %+v", got.Status.Conditions)
			}
			label := "dc-" + h.ns + "." + appName
			if _, ok := h.jenkins.get(label); !ok || got.Status.AgentLabel != label {
				t.Errorf("got label %q", got.Status.AgentLabel)
			}
			h.tap.writes = 0
			h.pass(app)
			if h.tap.writes != 0 {
				t.Errorf("a second pass writes: %q", h.tap.log)
			}
		})
	}
}

func TestTwoAppsOfOneNamespaceShareNothing(t *testing.T) {
	h := newHarness(t)
	long := strings.Repeat("a", 252)
	apps := []*devcontainerv1.DevcontainerApp{h.create(long + "x"), h.create(long + "y"), h.create("1web"), h.create("dc-1web")}
	seen := map[string]string{}
	for _, app := range apps {
		h.pass(app)
		set := read(h, &appsv1.StatefulSet{}, resources.Name(app))
		if !metav1.IsControlledBy(set, app) {
			t.Errorf("StatefulSet %s does not belong to %s", set.Name, app.Name)
		}
		selector := metav1.FormatLabelSelector(set.Spec.Selector)
		if other, ok := seen[selector]; ok {
			t.Errorf("%s and %s select each other's pods by %s", app.Name, other, selector)
		}
		seen[selector] = app.Name
	}
}

func TestValidationMessages(t *testing.T) {
	h := newHarness(t)
	many := make([]string, 300)
	for i := range many {
		many[i] = keyOne
	}
	tests := map[string]struct {
		change func(a *devcontainerv1.DevcontainerApp)
		says   string // "" for valid
	}{
		"Valid":        {func(*devcontainerv1.DevcontainerApp) {}, ""},
		"Digest":       {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = testImageID }, ""},
		"Port":         {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = "localhost:5000/dev" }, ""},
		"NoImage":      {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = "" }, "spec.statefulset.image"},
		"ImageScheme":  {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = "https://ghcr.io/x" }, "without spaces or a scheme"},
		"ImageSpace":   {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = "ubuntu 22.04" }, "without spaces or a scheme"},
		"ImageUnicode": {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = "übuntu" }, "image must be an image reference"},
		"ImageTooLong": {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.Image = strings.Repeat("a", 1025) }, "1024"},
		"GitSSH": {func(a *devcontainerv1.DevcontainerApp) {
			a.Spec.StatefulSet.GitRepositoryURL = "git@github.com:acme/web.git"
		}, ""},
		"GitFile":    {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.GitRepositoryURL = "file:///etc" }, "must be an http, https, ssh or git URL"},
		"GitOption":  {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.GitRepositoryURL = "--upload-pack=evil" }, "must be an http, https, ssh or git URL"},
		"GitExt":     {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.GitRepositoryURL = "ext::sh -c id" }, "must be an http, https, ssh or git URL"},
		"GitNewline": {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.GitRepositoryURL = "https://x/\ny" }, "must be an http, https, ssh or git URL"},
		"Keys256":    {withKeys(many[:256]...), ""},
		"Keys300":    {withKeys(many...), "256"},
		"KeyEmpty":   {withKeys(""), "sshPublicKeyList[0]"},
		"KeyTooLong": {withKeys(strings.Repeat("a", 16385)), "sshPublicKeyList[0]"},
		"PortZero":   {func(a *devcontainerv1.DevcontainerApp) { a.Spec.StatefulSet.ContainerPort = 65536 }, "containerPort"},
		"RunState":   {func(a *devcontainerv1.DevcontainerApp) { a.Spec.RunState = "Paused" }, `supported values: "Running", "Stopped"`},
		"EnvName": {func(a *devcontainerv1.DevcontainerApp) {
			a.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A-B"}}
		}, "env[0].name"},
		"EnvTwice": {func(a *devcontainerv1.DevcontainerApp) {
			a.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A"}, {Name: "A"}}
		}, "Duplicate value"},
		"CommandTooLarge": {func(a *devcontainerv1.DevcontainerApp) {
			a.Spec.StatefulSet.Command = []string{strings.Repeat("x", 32769)}
		}, "command[0]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := h.app(strings.ToLower(name), tt.change)
			err := h.c.Create(t.Context(), app, client.DryRunAll)
			if tt.says == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if app.Spec.RunState != devcontainerv1.Running || app.Spec.StatefulSet.ContainerPort != 22 {
					t.Errorf("defaults: run state %q, port %d", app.Spec.RunState, app.Spec.StatefulSet.ContainerPort)
				}
				return
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want Invalid with %q", err, tt.says)
			}
		})
	}
}

func TestNewNamesAllThatIsMissing(t *testing.T) {
	_, err := New(Deps{}, Options{})
	if err == nil {
		t.Fatal("made without anything")
	}
	for _, what := range []string{"client", "reader", "recorder", "templates", "slipway-agent"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not name the %s: %v", what, err)
		}
	}
	h := newHarness(t)
	r, err := New(Deps{Client: h.c, Reader: h.c, Recorder: h.events, Templates: h.jenkins},
		Options{AgentImage: "agent", RunAsUser: new(int64(7)), Agent: agenttemplate.Options{AgentImage: "with-jre"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.options.Agent.AgentImage != "with-jre" || *r.options.Agent.RunAsUser != 7 || r.options.DefaultStorage.String() != DefaultStorage || r.options.Workers != DefaultWorkers {
		t.Errorf("got options %+v", r.options)
	}
}
