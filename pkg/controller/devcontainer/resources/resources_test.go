// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func minimal() *devcontainerv1.DevcontainerApp {
	return &devcontainerv1.DevcontainerApp{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web", UID: "0b9e3a52-0000-4000-8000-000000000001"},
		Spec: devcontainerv1.DevcontainerAppSpec{
			StatefulSet: devcontainerv1.StatefulSetSpec{Image: "ghcr.io/acme/dev:1.4"},
		},
	}
}

func full() *devcontainerv1.DevcontainerApp {
	app := minimal()
	app.Spec = devcontainerv1.DevcontainerAppSpec{
		StatefulSet: devcontainerv1.StatefulSetSpec{
			Image:            "ghcr.io/acme/dev:1.4",
			GitRepositoryURL: "https://git.example.com/acme/$(HOME)/web.git",
			Command:          []string{"/bin/bash", "-c", `service ssh restart && echo $$ $(date) "ü" && tail -f /dev/null`},
			ContainerPort:    2222,
			Env: []devcontainerv1.EnvVar{
				{Name: "GREETING", Value: "costs $$5 or $(GREETING)"},
				{Name: "SLIPWAY_KEYS_DIR", Value: "/tmp/other"},
				{Name: "EMPTY"},
			},
		},
		Storage: &devcontainerv1.StorageSpec{Size: new(resource.MustParse("20Gi")), StorageClassName: new("fast")},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
			Claims:   []corev1.ResourceClaim{{Name: "gpu"}},
		},
	}
	return app
}

func named(name string) *devcontainerv1.DevcontainerApp {
	app := minimal()
	app.Name = name
	return app
}

func TestGolden(t *testing.T) {
	stopped := full()
	stopped.Spec.RunState = devcontainerv1.Stopped
	opts := PodOptions{AgentImage: "registry.example.com/slipway-agent:1", RunAsUser: new(int64(0))}
	ephemeral := opts
	ephemeral.Ephemeral = true
	keys := []sshkeys.HostKey{{Algorithm: "ed25519", Private: []byte("private"), Public: []byte("public")}}

	tests := map[string]struct {
		reason string
		object any
	}{
		"statefulset-minimal":   {reason: "only an image", object: StatefulSet(minimal(), opts)},
		"statefulset-full":      {reason: "each field of the spec; texts reach the container as they are", object: StatefulSet(full(), opts)},
		"statefulset-stopped":   {reason: "no pod, nothing else changes", object: StatefulSet(stopped, opts)},
		"statefulset-ephemeral": {reason: "no StorageClass: the size is a limit of the emptyDir", object: StatefulSet(full(), ephemeral)},
		"statefulset-long-name": {reason: "names of 253 characters", object: StatefulSet(named(strings.Repeat("a", 253)), opts)},
		"service":               {reason: "one NodePort", object: Service(minimal())},
		"service-digit":         {reason: "a Service's name begins with a letter", object: Service(named("1web"))},
		"secret":                {reason: "the agent's files", object: Secret(minimal(), keys, []byte("ssh-ed25519 AAAA\n"))},
		"secret-no-keys":        {reason: "nobody may log in: an empty file, not a missing one", object: Secret(minimal(), keys, nil)},
		"claim-default":         {reason: "the default size and class", object: Claim(minimal(), resource.MustParse("10Gi"))},
		"claim-full":            {reason: "the spec's size and class", object: Claim(full(), resource.MustParse("10Gi"))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := yaml.Marshal(tt.object)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update accepts it):\n%s", tt.reason, diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 253)
	dots := "my.dev.container"
	names := []string{
		"web", "1web", "dc-1web", "a", "0", "0.0", dots, "my-dev-container", strings.Repeat("b", 52), strings.Repeat("b", 53),
		long, long[:252] + "b", "a." + strings.Repeat("c", 250), "9" + strings.Repeat("-", 60) + "x",
	}
	seen := map[string]string{}
	for _, name := range names {
		app := named(name)
		got := Name(app)
		if other, ok := seen[got]; ok {
			t.Errorf("apps %q and %q share the name %q", name, other, got)
		}
		seen[got] = name
		if len(got) > maxName {
			t.Errorf("app %q: name %q has %d characters, at most %d fit", name, got, len(got), maxName)
		}
		if errs := validation.IsDNS1035Label(got); len(errs) > 0 {
			t.Errorf("app %q: name %q is no Service name: %v", name, got, errs)
		}
		// The host name of the pod.
		if errs := validation.IsDNS1123Label(PodName(app)); len(errs) > 0 {
			t.Errorf("app %q: pod name %q: %v", name, PodName(app), errs)
		}
		for label, value := range Labels(app) {
			if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
				t.Errorf("app %q: label %s=%q: %v", name, label, value, errs)
			}
		}
	}
	if got := Name(named("web")); got != "web" {
		t.Errorf("a short name is kept: got %q", got)
	}
}

func TestNodePortFindsTheSSHPort(t *testing.T) {
	service := Service(minimal())
	if got := NodePort(service); got != 0 {
		t.Errorf("before Kubernetes chose one: got %d", got)
	}
	service.Spec.Ports = append([]corev1.ServicePort{{Name: "web", NodePort: 31000}}, service.Spec.Ports...)
	service.Spec.Ports[1].NodePort = 30022
	if got := NodePort(service); got != 30022 {
		t.Errorf("got %d, want the one of the port %s", got, SSHPort)
	}
}

func TestSizesThatAreNoSizes(t *testing.T) {
	for _, size := range []string{"0", "-5Gi"} {
		app := minimal()
		app.Spec.Storage = &devcontainerv1.StorageSpec{Size: new(resource.MustParse(size))}
		got := Claim(app, resource.MustParse("10Gi")).Spec.Resources.Requests[corev1.ResourceStorage]
		if got.String() != "10Gi" {
			t.Errorf("size %s: got %s, want the default", size, got.String())
		}
	}
}
