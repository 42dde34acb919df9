// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// start runs the controller in a manager with its cache, as in production.
func (h *harness) start() gomega.Gomega {
	h.t.Helper()
	mgr := envtest.NewManager(h.t, h.ns)
	err := Setup(h.t.Context(), mgr, h.jenkins, Options{AgentImage: "registry.example.com/slipway-agent:1"})
	if err != nil {
		h.t.Fatal(err)
	}
	envtest.Start(h.t, mgr)
	g := gomega.NewWithT(h.t)
	g.SetDefaultEventuallyTimeout(20 * time.Second)
	g.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	return g
}

// reason gives the reason of the app's condition Ready.
func (h *harness) reason(app *devcontainerv1.DevcontainerApp) func() string {
	return func() string {
		h.t.Helper()
		condition := meta.FindStatusCondition(h.readApp(app).Status.Conditions, devcontainerv1.ConditionReady)
		if condition == nil {
			return ""
		}
		return condition.Reason
	}
}

func TestWatches(t *testing.T) {
	h := newHarness(t)
	g := h.start()
	// With a name that no child has, so that each way back to the app is by annotation or owner.
	app := h.create(strings.Repeat("long-name.", 20) + "x")
	name := resources.Name(app)
	g.Eventually(h.reason(app)).Should(gomega.Equal(devcontainerv1.ReasonPodPending))

	set := read(h, &appsv1.StatefulSet{}, name)
	h.report(set, "StatefulSet", "FailedCreate", "failed error: pods is forbidden: exceeded quota: ci")
	g.Eventually(h.reason(app)).Should(gomega.Equal(devcontainerv1.ReasonQuotaExceeded), "an event of the StatefulSet")

	pod := h.runPod(app)
	g.Eventually(h.reason(app)).Should(gomega.Equal(devcontainerv1.ReasonReady), "the pod")
	g.Eventually(func() string { return h.readApp(app).Status.AgentLabel }).ShouldNot(gomega.BeEmpty())

	h.changeStatus(pod, func() {
		pod.Status.Conditions[1].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0].Ready = false
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waitCreating}}
	})
	g.Eventually(h.reason(app)).Should(gomega.Equal(devcontainerv1.ReasonStarting), "the pod's status")
	h.report(pod, "Pod", eventFailedAttach, "Multi-Attach error")
	g.Eventually(h.reason(app)).Should(gomega.Equal(devcontainerv1.ReasonVolumePending), "an event of the pod")

	for _, child := range []client.Object{&corev1.Service{}, &appsv1.StatefulSet{}} {
		uid := read(h, child, name).GetUID()
		if err := h.c.Delete(t.Context(), child); err != nil {
			t.Fatal(err)
		}
		g.Eventually(func() bool { return !h.gone(child, name) && child.GetUID() != uid }).Should(gomega.BeTrue(), "a child that is deleted is made again")
	}
	if err := h.c.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() bool { return h.gone(&devcontainerv1.DevcontainerApp{}, app.Name) }).Should(gomega.BeTrue(), "the deletion")
	if len(h.jenkins.templates) != 0 {
		t.Error("the template is left in Jenkins")
	}
}

func TestTemplatesComeBackWithJenkins(t *testing.T) {
	h := newHarness(t)
	g := h.start()
	one, two := h.create("one"), h.create("two")
	for _, app := range []*devcontainerv1.DevcontainerApp{one, two} {
		g.Eventually(func() bool { return h.gone(&appsv1.StatefulSet{}, app.Name) }).Should(gomega.BeFalse())
		h.runPod(app)
		g.Eventually(func() bool {
			_, ok := h.jenkins.get("dc-" + h.ns + "." + app.Name)
			return ok
		}).Should(gomega.BeTrue())
	}
	// Jenkins goes away and loses all; a change of one app finds it back. The other's turn would only come
	// with its next look, up to a minute later.
	h.jenkins.set(errors.New("connection refused"))
	h.jenkins.mu.Lock()
	clear(h.jenkins.templates)
	h.jenkins.mu.Unlock()
	one = h.readApp(one)
	h.change(one, func() { one.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A", Value: "1"}} })
	g.Eventually(func() string {
		return meta.FindStatusCondition(h.readApp(one).Status.Conditions, devcontainerv1.ConditionAgentTemplateSynced).Reason
	}).Should(gomega.Equal(devcontainerv1.ReasonJenkinsUnavailable))
	h.jenkins.set(nil)
	for _, app := range []*devcontainerv1.DevcontainerApp{one, two} {
		g.Eventually(func() bool {
			_, ok := h.jenkins.get("dc-" + h.ns + "." + app.Name)
			return ok
		}).Should(gomega.BeTrue(), "the template of "+app.Name)
	}
}

// TestNoHotLoop lets the controller run on an app that is in order and counts what it does to Jenkins and to
// the app.
func TestNoHotLoop(t *testing.T) {
	h := newHarness(t)
	g := h.start()
	app := h.create("web")
	g.Eventually(func() bool { return h.gone(&appsv1.StatefulSet{}, "web") }).Should(gomega.BeFalse())
	h.runPod(app)
	g.Eventually(func() string { return h.readApp(app).Status.AgentLabel }).ShouldNot(gomega.BeEmpty())
	versions := func() string {
		all := []client.Object{
			h.readApp(app), read(h, &appsv1.StatefulSet{}, "web"), read(h, &corev1.Service{}, "web"),
			read(h, &corev1.Secret{}, "web-ssh"), read(h, &corev1.Pod{}, "web-0"),
		}
		var b strings.Builder
		for _, obj := range all {
			b.WriteString(obj.GetResourceVersion() + " ")
		}
		return b.String()
	}
	last := ""
	g.Eventually(func() bool { // until the passes that the last writes started are over
		now := versions()
		same := now == last
		last = now
		return same
	}).WithPolling(300 * time.Millisecond).Should(gomega.BeTrue())
	g.Consistently(versions).WithTimeout(2 * time.Second).WithPolling(100 * time.Millisecond).Should(gomega.Equal(last))
}

func TestHostKeysAreMadeAhead(t *testing.T) {
	pool := newKeyPool()
	ctx := t.Context()
	done := make(chan error, 1)
	go func() { done <- pool.Start(ctx) }()
	g := gomega.NewWithT(t)
	g.Eventually(func() int { return len(pool.sets) }).WithTimeout(60 * time.Second).Should(gomega.Equal(cap(pool.sets)))
	seen := map[string]bool{}
	for range 2 * poolSize { // more than there are
		set, err := pool.Take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(set[0].Private)] {
			t.Fatal("two dev containers would share a host key")
		}
		seen[string(set[0].Private)] = true
	}
	if !pool.NeedLeaderElection() {
		t.Error("each replica would make keys that nobody uses")
	}
}
