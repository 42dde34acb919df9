// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://k8s.example"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: kube-token-1}}]
current-context: x
`

func privateKey(t *testing.T, passphrase string) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestHash(t *testing.T) {
	base := func() *corev1.Secret {
		return newSecret("ns", "x", devopsv1alpha3.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "p"})
	}
	hash := hashOf(base(), Options{Key: testKey})
	if again := hashOf(base(), Options{Key: testKey}); again != hash {
		t.Error("the hash is not the same twice")
	}
	if other := hashOf(base(), Options{Key: []byte("another key of 16 bytes or more")}); other == hash {
		t.Error("the hash does not depend on the key: passwords can be tried out")
	}
	for reason, change := range map[string]func(*corev1.Secret){
		"value":     func(s *corev1.Secret) { s.Data["password"] = []byte("q") },
		"moved":     func(s *corev1.Secret) { s.Data["username"], s.Data["password"] = []byte("up"), nil },
		"name":      func(s *corev1.Secret) { s.Name = "y" },
		"namespace": func(s *corev1.Secret) { s.Namespace = "other" },
		"type":      func(s *corev1.Secret) { s.Type = devopsv1alpha3.SecretTypeSecretText },
		"key":       func(s *corev1.Secret) { s.Data["z"] = nil },
		"description": func(s *corev1.Secret) {
			s.Annotations = map[string]string{devopsv1alpha3.CredentialDescriptionAnnotation: "d"}
		},
	} {
		s := base()
		change(s)
		if hashOf(s, Options{Key: testKey}) == hash {
			t.Errorf("%s: the hash is that of another Secret", reason)
		}
	}
}

func TestDescribe(t *testing.T) {
	s := newSecret("ns", "x", devopsv1alpha3.SecretTypeSecretText, nil)
	for in, want := range map[string]string{
		"":                                    "[slipway:0123456789abcdef]",
		" two\n lines\x00":                    "two lines [slipway:0123456789abcdef]",
		strings.Repeat("größe ", 200):         strings.TrimSpace(strings.Repeat("größe ", 83)) + " gr… [slipway:0123456789abcdef]",
		"mine [slipway:ffffffffffffffff]":     "mine [slipway:ffffffffffffffff] [slipway:0123456789abcdef]",
		"\xff\xfe not UTF-8 \xf0\x28\x8c\x28": "not UTF-8 (( [slipway:0123456789abcdef]",
	} {
		s.Annotations = map[string]string{devopsv1alpha3.CredentialDescriptionAnnotation: in}
		got := describe(s, "0123456789abcdef")
		if got != want {
			t.Errorf("%.40q: got %q, want %q", in, got, want)
		}
		if markOf(got) != "0123456789abcdef" {
			t.Errorf("%q: mark %q", got, markOf(got))
		}
	}
	for _, foreign := range []string{"", "by hand", "[slipway:0123] x", "[slipway:0123456789abcdef] x", "[slipway:0123456789abcdeF]", "[slipway:0123456789abcdef0]"} {
		if mark := markOf(foreign); mark != "" {
			t.Errorf("%q counts as ours: %s", foreign, mark)
		}
	}
}
