// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// TestSignatures: how far a delivery reaches by the secret that it is signed with.
func TestSignatures(t *testing.T) {
	const server, own, team = "https://git.example.org", "the-secret-of-one-pipeline", "the-secret-of-a-webhook"
	in := func(namespace string, p *devopsv1alpha3.Pipeline, secret string) *devopsv1alpha3.Pipeline {
		p.Namespace = namespace
		if secret != "" {
			p.Annotations = map[string]string{SecretAnnotation: secret}
		}
		return p
	}
	secret := func(namespace, name, key, value string, kind corev1.SecretType) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: kind, Data: map[string][]byte{key: []byte(value)}}
	}
	address := server + "/team/app"
	objects := func() []client.Object {
		repo := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: "app"}, Spec: devopsv1alpha3.GitRepositorySpec{URL: "git@git.example.org:team/app.git", Webhooks: []corev1.LocalObjectReference{{Name: "hook"}, {Name: "missing"}, {Name: "foreign"}}}}
		hook := &devopsv1alpha3.Webhook{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: "hook"}, Spec: devopsv1alpha3.WebhookSpec{Secret: &corev1.SecretReference{Name: "s"}}}
		foreign := &devopsv1alpha3.Webhook{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: "foreign"}, Spec: devopsv1alpha3.WebhookSpec{Secret: &corev1.SecretReference{Namespace: "a", Name: "s"}}}
		return []client.Object{
			in("a", gitURL("own", address), "s"), in("a", gitURL("none", address), ""), in("b", gitURL("missing", address), "missing"), in("b", gitURL("kind", address), "kind"),
			in("c", gitURL("hook", address), ""), repo, hook, foreign,
			secret("a", "s", "secret", own+"\n", devopsv1alpha3.SecretTypeSecretText), secret("b", "kind", "secret", own, devopsv1alpha3.SecretTypeKubeconfig), secret("c", "s", "token", team, corev1.SecretTypeOpaque),
		}
	}
	all := []string{"scan a/none", "scan a/own", "scan b/kind", "scan b/missing", "scan c/hook"}
	tests := map[string]struct {
		reason   string
		secret   string
		unsigned bool
		want     []string
		err      error
	}{
		"server":           {"", serverSecret, false, all, nil},
		"pipeline":         {"a tenant's secret reaches what it is of", own, false, []string{"scan a/own"}, nil},
		"webhook":          {"", team, false, []string{"scan c/hook"}, nil},
		"wrong":            {"", "some-other-secret", false, nil, ErrSignature},
		"unsigned":         {"", "", false, nil, ErrUnsigned},
		"unsigned allowed": {"what has a secret of its own wants it", "", true, []string{"scan a/none", "scan c/hook"}, nil},
		"wrong though":     {"what is signed must fit", "some-other-secret", true, nil, ErrSignature},
		"pipeline though":  {"", own, true, []string{"scan a/own"}, nil},
	}
	sends := map[scm.Provider]delivery{scm.GitHub: githubPush(server, "team/app", "refs/heads/main", "1"), scm.GitLab: gitlabPush(server, "team/app", "refs/heads/main", "1"),
		scm.Gitea: giteaPush(server, "ssh://git@git.example.org", "team/app", "refs/heads/main", "1")}
	for name, tc := range tests {
		for p, d := range sends {
			t.Run(name+"/"+string(p), func(t *testing.T) {
				w := newWorld(t, Options{Secret: []byte(serverSecret), AllowUnsigned: tc.unsigned}, objects()...)
				d.secret = tc.secret
				if err := w.deliver(p, d); !errors.Is(err, tc.err) {
					t.Fatalf("%s: got %v, want %v", tc.reason, err, tc.err)
				}
				if diff := cmp.Diff(tc.want, w.done()); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
			})
		}
	}
	t.Run("ping", func(t *testing.T) {
		w := newWorld(t, Options{Secret: []byte(serverSecret)}, objects()...)
		d := sends[scm.GitHub]
		d.header, d.secret = map[string]string{"X-GitHub-Event": "ping"}, own
		if err := w.deliver(scm.GitHub, d); err != nil {
			t.Errorf("whoever makes a webhook with the secret of a project sees that it works: %v", err)
		}
		if writes := w.done(); writes != nil {
			t.Error(writes)
		}
	})
	t.Run("no oracle", func(t *testing.T) {
		w := newWorld(t, Options{Secret: []byte(serverSecret)}, objects()...)
		for _, path := range []string{"team/app", "team/unknown"} {
			for secret, want := range map[string]error{serverSecret: nil, "wrong-secret-wrong": ErrSignature, "": ErrUnsigned} {
				d := githubPush(server, path, "refs/heads/main", path+secret)
				d.secret = secret
				if err := w.deliver(scm.GitHub, d); !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", path, err, want)
				}
			}
		}
		w.done()
		before := w.reads
		for range 20 {
			d := sends[scm.GitHub]
			d.secret = "wrong-secret-wrong"
			_ = w.deliver(scm.GitHub, d)
		}
		if w.reads != before {
			t.Errorf("%d more reads of Secrets by who knows none", w.reads-before)
		}
		w.later(time.Minute)
		d := sends[scm.GitHub]
		d.secret = own
		if err := w.deliver(scm.GitHub, d); err != nil || w.reads == before {
			t.Errorf("Secrets are read again after a while: %v", err)
		}
		w.done()
	})
	for name, header := range map[string]http.Header{
		"SHA-1":  {"X-Github-Event": {"push"}, "X-Hub-Signature": {"sha1=" + strings.Repeat("0", 40)}},
		"no hex": {"X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=zz"}},
		"short":  {"X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=00"}},
		"prefix": {"X-Github-Event": {"push"}, "X-Hub-Signature-256": {strings.Repeat("0", 64)}},
	} {
		t.Run(name, func(t *testing.T) {
			body, _ := json.Marshal(sends[scm.GitHub].body)
			for unsigned, want := range map[bool]error{false: ErrUnsigned, true: ErrSignature} {
				w := newWorld(t, Options{Secret: []byte(serverSecret), AllowUnsigned: unsigned}, objects()...)
				if err := w.receiver.Deliver(t.Context(), header, body); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
		})
	}
}
