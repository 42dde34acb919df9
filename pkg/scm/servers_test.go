// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kubefake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestLoadServers(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "servers.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := LoadServers(write("- {name: ours, provider: gitlab, url: 'https://gitlab.example.org/'}\n- {name: bb, provider: bitbucket-server, url: 'https://bb.example.org'}\n"))
	want := []Server{{"ours", GitLab, "https://gitlab.example.org"}, {"bb", BitbucketServer, "https://bb.example.org"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"unknown field": {"- {name: a, provider: gitlab, url: 'https://a', token: x}", "token"},
		"no list":       {"name: a", "not valid"},
		"no kind":       {"- {name: a, provider: cvs, url: 'https://a'}", "entry 1"},
		"no address":    {"- {name: a, provider: gitlab}", "entry 1"},
		"password":      {"- {name: a, provider: gitlab, url: 'https://u:hunter2@a'}", "not usable"},
		"no name":       {"- {provider: gitlab, url: 'https://a'}", "needs a name"},
		"too many":      {strings.Repeat("- {name: a, provider: gitlab, url: 'https://a'}\n", maxServers+1), "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadServers(write(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := LoadServers(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file is no empty one")
	}
	if list, err := LoadServers(""); err != nil || list != nil {
		t.Errorf("%v %v", list, err)
	}
}

func TestDirectory(t *testing.T) {
	kube := kubefake.NewClientBuilder().Build()
	d := NewDirectory([]Server{{"ours", GitLab, "https://gitlab.example.org"}}, kube, "system")
	var group sync.WaitGroup
	for i := range 3 { // several replicas add at once
		group.Go(func() {
			other := NewDirectory(nil, kube, "system")
			if _, err := other.Add(t.Context(), kube, Server{fmt.Sprintf("added-%d", i), GitLab, "https://added.example.org"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := d.List(t.Context(), GitLab)
	if err != nil || len(list) != 5 || list[0].Name != "ours" || list[4].Name != "gitlab.com" {
		t.Errorf("%v %v", list, err)
	}
	for name, want := range map[string]string{"ours": "https://gitlab.example.org", "default": "https://gitlab.com", "": "https://gitlab.com", "added-1": "https://added.example.org"} {
		if s, err := d.Find(t.Context(), GitLab, name); err != nil || s.URL != want {
			t.Errorf("%q: %v %v", name, s, err)
		}
	}
	if _, err := d.Find(t.Context(), GitLab, "none"); !errors.Is(err, NotFound) || !strings.Contains(err.Error(), "ours") {
		t.Errorf("%v", err)
	}
	if _, err := d.Add(t.Context(), kube, Server{"ours", GitLab, "https://x.example.org"}); !errors.Is(err, Conflict) {
		t.Errorf("%v", err)
	}
	broken := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "broken", Name: ServersConfigMap}, Data: map[string]string{ServersKey: "x: y"}}
	if err := kube.Create(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	if _, err := NewDirectory(nil, kube, "broken").List(t.Context(), ""); !errors.Is(err, ServerError) || !strings.Contains(err.Error(), "broken/"+ServersConfigMap) {
		t.Errorf("%v", err)
	}
	if err := client.IgnoreNotFound(kube.Delete(t.Context(), broken)); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialOf(t *testing.T) {
	for name, tc := range map[string]struct {
		kind corev1.SecretType
		data map[string]string
		want Credential
		ok   bool
	}{
		"token":      {devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": "t\n"}, Credential{Token: "t"}, true},
		"basic":      {devopsv1alpha3.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "p"}, Credential{Username: "u", Password: "p"}, true},
		"kubernetes": {corev1.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "p"}, Credential{Username: "u", Password: "p"}, true},
		"empty":      {devopsv1alpha3.SecretTypeSecretText, nil, Credential{}, false},
		"SSH":        {devopsv1alpha3.SecretTypeSSHAuth, map[string]string{"private_key": "k"}, Credential{}, false},
		"other":      {corev1.SecretTypeServiceAccountToken, map[string]string{"token": "k"}, Credential{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: tc.kind, Data: map[string][]byte{}}
			for key, value := range tc.data {
				secret.Data[key] = []byte(value)
			}
			got, err := CredentialOf(secret)
			if (err == nil) != tc.ok || tc.ok && got != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
