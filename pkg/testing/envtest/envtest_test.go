// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestServerHasDefinitions(t *testing.T) {
	c := Client(t)
	for _, list := range []client.ObjectList{
		&devcontainerv1.DevcontainerAppList{}, &devopsv1alpha3.PipelineList{},
		&devopsv1alpha3.PipelineRunList{}, &devopsv1alpha3.DevOpsProjectList{}, &devopsv1alpha3.GitRepositoryList{},
	} {
		if err := c.List(t.Context(), list); err != nil {
			t.Errorf("list %T: %v", list, err)
		}
	}
}

func TestNamespacesAreUnique(t *testing.T) {
	a, b := Namespace(t), Namespace(t)
	if a == b {
		t.Fatalf("two namespaces of one test have the name %s", a)
	}
	if !strings.HasPrefix(a, "t-namespacesareunique-") {
		t.Errorf("namespace %q does not tell its test", a)
	}
}

func TestUserHasOnlyRBACRights(t *testing.T) {
	ns := Namespace(t)
	c, err := client.New(User(t, "somebody", "some-group"), client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(ns)); !apierrors.IsForbidden(err) {
		t.Errorf("list Secrets as a user without rights: got %v, want Forbidden", err)
	}
}

func TestManagerSeesOnlyItsNamespaces(t *testing.T) {
	c, mine, other := Client(t), Namespace(t), Namespace(t)
	mgr := NewManager(t, mine)
	if _, err := mgr.GetCache().GetInformer(t.Context(), &corev1.ConfigMap{}); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{mine, other} {
		cm := &corev1.ConfigMap{}
		cm.Namespace, cm.Name = ns, "x"
		if err := c.Create(t.Context(), cm); err != nil {
			t.Fatal(err)
		}
	}
	Start(t, mgr)
	list := &corev1.ConfigMapList{}
	if err := mgr.GetClient().List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Namespace != mine {
		t.Errorf("the cache has %d objects, want the one of namespace %s", len(list.Items), mine)
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	empty := t.TempDir()
	notExecutable := t.TempDir()
	for _, name := range binaries {
		if err := os.WriteFile(filepath.Join(notExecutable, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		reason  string
		env     map[string]string
		managed bool
		want    error
		says    string
	}{
		"Skipped": {
			reason: "the skip is asked for, also where binaries are missing",
			env:    map[string]string{SkipEnv: "1", AssetsEnv: empty}, managed: true, want: ErrSkipped, says: SkipEnv,
		},
		"SkipOtherValue": {
			reason: "only 1 skips, so that a typing error does not switch tests off",
			env:    map[string]string{SkipEnv: "0", AssetsEnv: empty}, managed: true, want: ErrNoBinaries, says: "make build-cluster",
		},
		"NoBinaries": {
			reason: "missing binaries fail and say how to get them",
			env:    map[string]string{SkipEnv: "", AssetsEnv: empty}, managed: true, want: ErrNoBinaries, says: "make build-cluster",
		},
		"NotExecutable": {
			reason: "a file that cannot be run is no binary",
			env:    map[string]string{SkipEnv: "", AssetsEnv: notExecutable}, managed: true, want: ErrNoBinaries, says: notExecutable,
		},
		"NoMain": {
			reason: "without Main nobody would stop the server",
			env:    map[string]string{SkipEnv: ""}, want: ErrNoMain, says: "TestMain",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			err := (&instance{managed: tt.managed}).run()
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got %v, want %v that says %q", tt.reason, err, tt.want, tt.says)
			}
		})
	}
}

func TestRootIsTheModule(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "pkg", "testing", "envtest", "envtest.go")); err != nil {
		t.Errorf("root %s: %v", root, err)
	}
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Errorf("outside of a checkout: got %s, want an error", root)
	}
}

func TestNamePrefix(t *testing.T) {
	for _, name := range []string{"TestX", "TestÜber/ä b", "Test" + strings.Repeat("Long", 30), "Test/…"} {
		got := namePrefix(name) + "abcde"
		if errs := validation.IsDNS1123Label(got); len(errs) > 0 {
			t.Errorf("namePrefix(%q) leads to %q: %v", name, got, errs)
		}
	}
}
