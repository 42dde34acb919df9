// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agenttemplate

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

const sum = "sha256:6b9c3a7d2f4e5b8a1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b"

func app() *devcontainerv1.DevcontainerApp {
	return &devcontainerv1.DevcontainerApp{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"},
		Spec: devcontainerv1.DevcontainerAppSpec{
			StatefulSet: devcontainerv1.StatefulSetSpec{Image: "ghcr.io/acme/dev:1.4"},
		},
		Status: devcontainerv1.DevcontainerAppStatus{ImageID: "ghcr.io/acme/dev@" + sum},
	}
}

func fullApp() *devcontainerv1.DevcontainerApp {
	a := app()
	a.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{
		{Name: "HOME", Value: "/root"},
		{Name: "PRICE", Value: "$$5: \"quoted\"\n- not: yaml"},
		{Name: "JENKINS_SECRET", Value: "x"},
		{Name: "SLIPWAY_AGENT_MODE", Value: "x"},
	}
	a.Spec.Resources = corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
		Claims: []corev1.ResourceClaim{{Name: "gpu"}},
	}
	return a
}

func TestBuildGolden(t *testing.T) {
	tests := map[string]struct {
		reason string
		app    *devcontainerv1.DevcontainerApp
		opts   Options
	}{
		"pod-minimal": {
			reason: "defaults",
			app:    app(), opts: Options{AgentImage: "registry.example.com/slipway-agent:1"},
		},
		"pod-full": {
			reason: "the app's environment without what would break the agent, its resources without claims",
			app:    fullApp(),
			opts: Options{
				AgentImage: "registry.example.com/slipway-agent:1", ServiceAccount: "ci", ActiveDeadline: 90 * time.Minute,
				RunAsUser: new(int64(1000)),
			},
		},
		"pod-restricted": {
			reason: "PodSecurity's level restricted, a JRE from the agent's image, a resolver, limits, a kept workspace",
			app:    keptApp("15m"),
			opts: Options{
				AgentImage: "registry.example.com/slipway-agent-jenkins:1", Restricted: true, Payload: true, DNSPolicy: corev1.DNSDefault,
				RunAsUser: new(int64(0)), DefaultResources: &corev1.ResourceRequirements{
					Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceCPU: resource.MustParse("2")}},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Build(tt.app, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(file, []byte(got.YAML), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.YAML); diff != "" {
				t.Errorf("%s (-want +got; -update accepts it):\n%s", tt.reason, diff)
			}
			pod := &corev1.Pod{}
			if err := yaml.UnmarshalStrict([]byte(got.YAML), pod); err != nil {
				t.Errorf("the document is no pod: %v", err)
			}
		})
	}
}

func TestBuildLabels(t *testing.T) {
	opts := Options{AgentImage: "agent:1"}
	first, err := Build(app(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != "dc-team-a.web" || first.Labels[0] != first.ID || first.Labels[1] != "dc-team-a.web-6b9c3a7d2f" {
		t.Errorf("got ID %q and labels %q", first.ID, first.Labels)
	}
	again, err := Build(app(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same app and options give another template:\n%s", diff)
	}
	changes := map[string]func(a *devcontainerv1.DevcontainerApp, o *Options){
		"an environment variable": func(a *devcontainerv1.DevcontainerApp, _ *Options) {
			a.Spec.StatefulSet.Env = []devcontainerv1.EnvVar{{Name: "A", Value: "1"}}
		},
		"the image": func(a *devcontainerv1.DevcontainerApp, _ *Options) {
			a.Status.ImageID = strings.Replace(a.Status.ImageID, "6b9c", "6b9d", 1)
		},
		"the agent's image": func(_ *devcontainerv1.DevcontainerApp, o *Options) { o.AgentImage = "agent:2" },
		"the idle time":     func(_ *devcontainerv1.DevcontainerApp, o *Options) { o.IdleMinutes = 5 },
	}
	for name, change := range changes {
		a, o := app(), opts
		change(a, &o)
		changed, err := Build(a, o)
		if err != nil {
			t.Fatal(err)
		}
		if changed.ID != first.ID || changed.Revision() == first.Revision() {
			t.Errorf("%s changes: ID %q, revision %q; want the same ID and another revision than %q",
				name, changed.ID, changed.Revision(), first.Revision())
		}
	}
}

func TestBuildOfTwoTenantsDiffer(t *testing.T) {
	// Joined by '-', these would share the label dc-a-b-c.
	one, two := app(), app()
	one.Namespace, one.Name = "a", "b-c"
	two.Namespace, two.Name = "a-b", "c"
	first, err := Build(one, Options{AgentImage: "agent:1"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Build(two, Options{AgentImage: "agent:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, label := range first.Labels {
		if slices.Contains(second.Labels, label) {
			t.Errorf("two tenants share the label %q", label)
		}
	}
}

func TestBuildLongNames(t *testing.T) {
	a := app()
	a.Namespace, a.Name = strings.Repeat("n", 63), strings.Repeat("a", 253)
	template, err := Build(a, Options{AgentImage: "agent:1"})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(template.YAML), pod); err != nil {
		t.Fatal(err)
	}
	if len(pod.Labels) != 2 {
		t.Errorf("got labels %v, want the project and the dev container", pod.Labels)
	}
	for label, value := range pod.Labels {
		if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
			t.Errorf("pod label %s=%q: %v", label, value, errs)
		}
	}
}

func TestImageByDigest(t *testing.T) {
	const hex = "6b9c3a7d2f"
	tests := map[string]struct {
		reason, imageID, spec string
		want, hash            string
		err                   error
	}{
		"Containerd":      {reason: "what containerd reports of a pulled image", imageID: "ghcr.io/acme/dev@" + sum, want: "ghcr.io/acme/dev@" + sum, hash: hex},
		"DockerPullable":  {reason: "docker's prefix", imageID: "docker-pullable://ghcr.io/acme/dev@" + sum, want: "ghcr.io/acme/dev@" + sum, hash: hex},
		"ShortName":       {reason: "a name of Docker Hub is completed", imageID: "debian@" + sum, want: "docker.io/library/debian@" + sum, hash: hex},
		"TagAndDigest":    {reason: "the tag may have moved", imageID: "ghcr.io/acme/dev:1.4@" + sum, want: "ghcr.io/acme/dev@" + sum, hash: hex},
		"Port":            {reason: "a registry with a port", imageID: "localhost:5000/dev@" + sum, want: "localhost:5000/dev@" + sum, hash: hex},
		"Loaded":          {reason: "a loaded image has no digest that a registry serves", imageID: sum, spec: "localhost/dev:1", want: "localhost/dev:1", hash: hex},
		"LoadedDocker":    {reason: "the same of docker", imageID: "docker://" + sum, spec: "localhost/dev:1", want: "localhost/dev:1", hash: hex},
		"Unknown":         {reason: "the pod has not run", imageID: "", err: ErrNoImage},
		"NoDigest":        {reason: "a tag may move at any time", imageID: "ghcr.io/acme/dev:1.4", err: ErrNoImage},
		"NotAnImage":      {reason: "nonsense is no image", imageID: "../../etc passwd", err: errAny},
		"DigestTooShort":  {reason: "a broken digest", imageID: "dev@sha256:6b9c", err: errAny},
		"UnknownHashName": {reason: "a hash that nobody knows", imageID: "dev@md99:" + sum[7:], err: errAny},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			image, hash, err := ImageByDigest(tt.imageID, tt.spec)
			switch {
			case tt.err == nil && err != nil, tt.err != nil && err == nil:
				t.Fatalf("%s: got error %v", tt.reason, err)
			case tt.err != nil && !errors.Is(tt.err, errAny) && !errors.Is(err, tt.err):
				t.Fatalf("%s: got error %v, want %v", tt.reason, err, tt.err)
			}
			if image != tt.want || hash != tt.hash {
				t.Errorf("%s: got %q, %q, want %q, %q", tt.reason, image, hash, tt.want, tt.hash)
			}
		})
	}
}

var errAny = errors.New("any error")

func keptApp(keep string) *devcontainerv1.DevcontainerApp {
	a := app()
	a.Annotations = map[string]string{KeepAnnotation: keep}
	return a
}

func TestKeep(t *testing.T) {
	tests := map[string]struct {
		value string
		want  time.Duration
	}{
		"Minutes": {"15m", 15 * time.Minute}, "None": {"", 0}, "Zero": {"0", 0}, "Negative": {"-5m", 0}, "NoUnit": {"15", 0},
		"Text": {"yes", 0}, "TooLong": {"9999h", MaxKeep}, "Fraction": {"90.7s", 90 * time.Second},
	}
	plain, err := Build(app(), Options{AgentImage: "agent:1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Build(keptApp(tt.value), Options{AgentImage: "agent:1"})
			if err != nil {
				t.Fatal(err)
			}
			if got.Keep != tt.want || (got.Revision() == plain.Revision()) != (tt.want == 0) {
				t.Errorf("kept for %s, want %s; revision %s", got.Keep, tt.want, got.Revision())
			}
		})
	}
}

func TestDefaultResources(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		l := corev1.ResourceList{}
		if cpu != "" {
			l[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			l[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return l
	}
	defaults := &corev1.ResourceRequirements{Requests: list("500m", "1Gi"), Limits: list("2", "2Gi")}
	tests := map[string]struct {
		reason string
		own    corev1.ResourceRequirements
		want   corev1.ResourceRequirements
	}{
		"None":      {own: corev1.ResourceRequirements{}, want: corev1.ResourceRequirements{Requests: list("100m", "256Mi"), Limits: list("2", "2Gi")}},
		"Own":       {own: corev1.ResourceRequirements{Requests: list("1", "3Gi"), Limits: list("4", "4Gi")}, want: corev1.ResourceRequirements{Requests: list("1", "3Gi"), Limits: list("4", "4Gi")}},
		"LowLimit":  {reason: "a request is not above its limit", own: corev1.ResourceRequirements{Limits: list("", "512Mi")}, want: corev1.ResourceRequirements{Requests: list("500m", "512Mi"), Limits: list("2", "512Mi")}},
		"HighWants": {reason: "a limit is not below its request", own: corev1.ResourceRequirements{Requests: list("3", "")}, want: corev1.ResourceRequirements{Requests: list("3", "1Gi"), Limits: list("3", "2Gi")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := app()
			a.Spec.Resources = tt.own
			got := podResources(a, defaults)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
			}
		})
	}
	if len(defaults.Requests) != 2 || defaults.Limits.Memory().String() != "2Gi" {
		t.Error("the defaults were changed")
	}
}

func TestFind(t *testing.T) {
	dashed, unknown := app(), app()
	dashed.Name = "web-0123456789"
	unknown.Name, unknown.Status.ImageID = "new", ""
	scheme := runtime.NewScheme()
	if err := devcontainerv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	f := &Finder{Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(app(), dashed, unknown).Build(), Options: Options{AgentImage: "agent:1"}}
	current, err := Build(app(), f.Options)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		project, label string
		want, says     string
	}{
		"Alias":       {"team-a", "dc-team-a.web", "dc-team-a.web", ""},
		"Digest":      {"team-a", current.Labels[1], "dc-team-a.web", ""},
		"Revision":    {"team-a", current.Revision(), "dc-team-a.web", ""},
		"LikeADigest": {"team-a", "dc-team-a.web-0123456789", "dc-team-a.web-0123456789", ""},
		"OldDigest":   {"team-a", "dc-team-a.web-ffffffffff", "", "has another image by now"},
		"NotRun":      {"team-a", "dc-team-a.new", "", "has not run yet"},
		"NoApp":       {"team-a", "dc-team-a.nosuch", "", "no dev container nosuch"},
		"OtherTeam":   {"team-b", "dc-team-a.web", "", `begin with "dc-team-b."`},
		"NoLabel":     {"team-a", "", "", "begin with"},
		"OnlyPrefix":  {"team-a", "dc-team-a.", "", "no dev container"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := f.Find(t.Context(), tt.project, tt.label)
			if tt.want == "" {
				if !errors.Is(err, ErrNoTemplate) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, %v, want an error with %q", got.ID, err, tt.says)
				}
				return
			}
			if err != nil || got.ID != tt.want {
				t.Errorf("got %q, %v, want %q", got.ID, err, tt.want)
			}
		})
	}
}
