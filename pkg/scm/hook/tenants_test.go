// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// owned gives a pipeline of a project, and its own secret.
func owned(project, name, address string) []client.Object {
	p := gitURL(name, address)
	p.Namespace, p.UID = project, p.UID+"-"+p.UID
	p.Annotations = map[string]string{SecretAnnotation: name}
	return []client.Object{p, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: name}, Type: devopsv1alpha3.SecretTypeSecretText,
		Data: map[string][]byte{devopsv1alpha3.WebhookSecretKey: []byte(project + "-" + name)},
	}}
}

// TestTwoWebhooksOfOneEvent: a server tells all webhooks of a repository of an event by one name and in the same
// words; the secret of each project reaches its own pipelines.
func TestTwoWebhooksOfOneEvent(t *testing.T) {
	const server = "https://git.example.org"
	objects := append(owned("a", "one", server+"/team/app"), owned("b", "two", server+"/team/app")...)
	w := newWorld(t, Options{}, objects...)
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	for _, tc := range []struct {
		secret string
		want   []string
	}{{"a-one", []string{"scan a/one"}}, {"b-two", []string{"scan b/two"}}, {"a-one", nil}} {
		push.secret = tc.secret
		if err := w.deliver(scm.GitHub, push); tc.want != nil && err != nil || tc.want == nil && !errors.Is(err, ErrKnown) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, w.done()); diff != "" {
			t.Errorf("signed with %s: -want +got:\n%s", tc.secret, diff)
		}
	}
}

// TestManySecrets: a project with many secrets for a repository does not shut out another one.
func TestManySecrets(t *testing.T) {
	const server = "https://git.example.org"
	var objects []client.Object
	for i := range maxTried + 10 {
		objects = append(objects, owned("a", fmt.Sprintf("p%03d", i), server+"/team/app")...)
	}
	w := newWorld(t, Options{}, append(objects, owned("b", "two", server+"/team/app")...)...)
	push := githubPush(server, "team/app", "refs/heads/main", "1")
	push.secret = "b-two"
	if err := w.deliver(scm.GitHub, push); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"scan b/two"}, w.done()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if w.reads > maxTried {
		t.Errorf("%d Secrets were read, want at most %d", w.reads, maxTried)
	}
}
