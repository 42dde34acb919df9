// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// templateOf renders the template of a dev container.
func templateOf(t *testing.T, options agenttemplate.Options, changes ...func(*devcontainerv1.DevcontainerApp)) agenttemplate.Template {
	t.Helper()
	app := &devcontainerv1.DevcontainerApp{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: "web"}}
	app.Status.ImageID = "ghcr.io/acme/dev@sha256:" + strings.Repeat("0123456789abcdef", 4)
	for _, change := range changes {
		change(app)
	}
	options.AgentImage = "registry.example.com/slipway-agent:1"
	template, err := agenttemplate.Build(app, options)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func limits(memory string) func(*devcontainerv1.DevcontainerApp) {
	return func(app *devcontainerv1.DevcontainerApp) {
		app.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourceCPU: resource.MustParse("1")}
	}
}

// enforce sets the namespace's Pod Security level.
func enforce(t *testing.T, c client.Client, ns, level string) {
	t.Helper()
	namespace := &corev1.Namespace{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: ns}, namespace); err != nil {
		t.Fatal(err)
	}
	before := namespace.DeepCopy()
	namespace.Labels["pod-security.kubernetes.io/enforce"] = level
	if err := c.Patch(t.Context(), namespace, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// quota makes a quota and plays the controller that fills in its status.
func quota(t *testing.T, c client.Client, ns, used string) {
	t.Helper()
	hard := corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("4Gi"), corev1.ResourceRequestsCPU: resource.MustParse("2")}
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ci"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	if err := c.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	q.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{
		corev1.ResourceLimitsMemory: resource.MustParse(used), corev1.ResourceRequestsCPU: resource.MustParse("0")}}
	if err := c.Status().Update(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// TestTryPod asks a real API server with its admission.
func TestTryPod(t *testing.T) {
	c := envtest.Client(t)
	tests := map[string]struct {
		reason    string
		template  agenttemplate.Template
		level     string // of Pod Security
		used      string // of the quota; empty for none
		want      string
		permanent bool
		says      string
	}{
		"Plain": {reason: "nothing is in the way", template: templateOf(t, agenttemplate.Options{})},
		"Restricted": {reason: "a restricted pod fits a restricted namespace", template: templateOf(t, agenttemplate.Options{Restricted: true}),
			level: "restricted"},
		"NotRestricted": {reason: "an image's own user may be root", template: templateOf(t, agenttemplate.Options{}),
			level: "restricted",
			want:  ReasonPodSecurity, permanent: true, says: `violates PodSecurity "restricted:latest"`},
		"Quota": {reason: "it fits", template: templateOf(t, agenttemplate.Options{}, limits("512Mi")),
			used: "1Gi"},
		"QuotaUsedUp": {reason: "it fits later", template: templateOf(t, agenttemplate.Options{}, limits("2Gi")),
			used: "3Gi", want: ReasonQuotaExceeded, says: "exceeded quota: ci, requested: limits.memory=2Gi"},
		"QuotaNever": {template: templateOf(t, agenttemplate.Options{}, limits("9Gi")),
			used: "0", want: ReasonQuotaExceeded, permanent: true, says: "requested: limits.memory=9Gi"},
		"QuotaNeedsLimits": {reason: "a dev container without limits", template: templateOf(t, agenttemplate.Options{}),
			used: "0", want: ReasonQuotaExceeded, permanent: true, says: "must specify limits.memory"},
		"DefaultLimits": {reason: "the same with limits by default", template: templateOf(t, agenttemplate.Options{DefaultResources: &corev1.ResourceRequirements{
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}}),
			used: "0"},
		"RestrictedUnderQuota": {reason: "both at once, with all options", template: templateOf(t, agenttemplate.Options{Restricted: true, DNSPolicy: corev1.DNSDefault, Payload: true,
			ServiceAccount: "default"}, limits("512Mi"), func(app *devcontainerv1.DevcontainerApp) {
			app.Annotations = map[string]string{agenttemplate.KeepAnnotation: "15m"}
		}), level: "restricted", used: "0"},
		"Invalid": {template: agenttemplate.Template{ID: "x", YAML: "apiVersion: v1\nkind: Pod\nspec:\n  restartPolicy: Sometimes\n  containers:\n  - {name: dev, image: a}\n"},
			want: ReasonInvalidPod, permanent: true, says: `"Sometimes"`},
		"NotYAML":      {template: agenttemplate.Template{ID: "x", YAML: "{{"}, want: ReasonInvalidPod, permanent: true},
		"UnknownField": {template: agenttemplate.Template{ID: "x", YAML: "kind: Pod\nspec: {nosuch: 1}\n"}, want: ReasonInvalidPod, permanent: true, says: "nosuch"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ns := envtest.Namespace(t)
			if tt.level != "" {
				enforce(t, c, ns, tt.level)
			}
			if tt.used != "" {
				quota(t, c, ns, tt.used)
			}
			deadline := time.Now().Add(20 * time.Second)
			for {
				got, err := TryPod(t.Context(), c, ns, tt.template)
				if err != nil {
					t.Fatal(err)
				}
				if tt.want == "" && got == nil || got != nil && got.Reason == tt.want && got.Permanent == tt.permanent && strings.Contains(got.Message, tt.says) {
					break
				}
				// The API server's admission sees a new quota or label a moment later.
				if time.Now().After(deadline) {
					t.Fatalf("%s: got %+v, want %q, permanent %t, with %q", tt.reason, got, tt.want, tt.permanent, tt.says)
				}
				time.Sleep(100 * time.Millisecond)
			}
			pods := &corev1.PodList{}
			if err := c.List(t.Context(), pods, client.InNamespace(ns)); err != nil || len(pods.Items) > 0 {
				t.Errorf("a trial left %d pods, %v", len(pods.Items), err)
			}
		})
	}
}

func TestTryPodWithoutRights(t *testing.T) {
	ns := envtest.Namespace(t)
	nobody, err := client.New(envtest.User(t, "agentpod-nobody"), client.Options{Scheme: envtest.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := TryPod(t.Context(), nobody, ns, templateOf(t, agenttemplate.Options{}))
	if err != nil || got == nil || got.Reason != ReasonCannotCheck || got.Permanent {
		t.Errorf("got %+v, %v", got, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// TestStart runs Pods against a real API server, with no more rights than the chart's Role gives.
func TestStart(t *testing.T) {
	admin, ns := envtest.Client(t), envtest.Namespace(t)
	config := envtest.User(t, "agentpod-"+ns)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "agents"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "watch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"localsubjectaccessreviews"}, Verbs: []string{"create"}},
	}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "agents"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "agents"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "agentpod-" + ns}}}
	for _, obj := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	fakeJenkins := &fakeJenkins{}
	pods, err := New(Options{Client: kube, Namespace: ns, Jenkins: fakeJenkins, JenkinsUser: "system:serviceaccount:ci:jenkins"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pods.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, ended := pods.Changed().Get(); !ended {
			t.Error("the queue does not end")
		}
	})
	pod := agentPod("dc-team-a.web-x1z2y", func(pod *corev1.Pod) { pod.Namespace, pod.UID, pod.CreationTimestamp = ns, "", metav1.Time{} })
	if err := admin.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is known", func() bool { _, ok := pods.Find(pod.Name); return ok })
	before := pod.DeepCopy()
	waiting("ErrImagePull", "no such host")(pod)
	if err := admin.Status().Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the problem is known", func() bool { _, ok := pods.Problem(project, label); return ok })
	if name, _ := pods.Changed().Get(); name != project {
		t.Errorf("%q is told of the problem", name)
	}
	// The build is aborted: nothing waits.
	pods.collectNow(t.Context())
	pods.mu.Lock()
	pods.pods[pod.Name].unwanted = time.Now().Add(-time.Minute)
	pods.mu.Unlock()
	pods.collectNow(t.Context())
	eventually(t, "the pod is gone", func() bool {
		found, _ := pods.Find(pod.Name)
		return !found.Gone.IsZero()
	})
	if _, ok := pods.Problem(project, label); !ok {
		t.Error("the problem went with the pod")
	}
	// Jenkins' account has no rights here.
	got, _ := pods.Diagnose(t.Context(), project, "dc-team-a.api", time.Now().Add(-time.Hour))
	if got.Reason != ReasonRightsMissing || !strings.Contains(got.Message, "create, get, delete, list, watch") {
		t.Errorf("got %+v", got)
	}
}

var _ Jenkins = (*jenkins.Client)(nil)
