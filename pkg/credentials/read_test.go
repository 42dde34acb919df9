// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
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

func secretOf(kind corev1.SecretType, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{Type: kind, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func TestCheck(t *testing.T) {
	const hidden = "hunter2-hidden"
	plain, locked := string(privateKey(t, "")), string(privateKey(t, "open sesame"))
	type data = map[string]string
	tests := map[string]struct {
		reason string
		kind   corev1.SecretType
		data   data
		// want is a part of the message; empty: it is good.
		want string
	}{
		"basic":             {"", devopsv1alpha3.SecretTypeBasicAuth, data{"username": "ü", "password": hidden}, ""},
		"extra key":         {"other keys do no harm", devopsv1alpha3.SecretTypeBasicAuth, data{"username": "u", "password": hidden, "x": "y"}, ""},
		"no user":           {"both are named", devopsv1alpha3.SecretTypeBasicAuth, data{"pasword": hidden}, "username and password"},
		"empty password":    {"an empty value is a mistake", devopsv1alpha3.SecretTypeBasicAuth, data{"username": "u", "password": ""}, "needs a value for password"},
		"binary":            {"JSON cannot carry it", devopsv1alpha3.SecretTypeSecretText, data{"secret": hidden + "\xff\xfe"}, "base64"},
		"NUL":               {"nor XML", devopsv1alpha3.SecretTypeSecretText, data{"secret": hidden + "\x00"}, "base64"},
		"wrong key":         {"", devopsv1alpha3.SecretTypeSecretText, data{"Secret": hidden}, "needs a value for secret"},
		"huge text":         {"up to the size of a Secret", devopsv1alpha3.SecretTypeSecretText, data{"secret": strings.Repeat("é", 500000)}, ""},
		"ssh":               {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": plain}, ""},
		"ssh, CRLF":         {"pasted from Windows", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": strings.ReplaceAll(plain, "\n", "\r\n")}, ""},
		"ssh, no newline":   {"often lost in a form", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": strings.TrimSpace(plain)}, ""},
		"ssh, locked":       {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": locked, "passphrase": "open sesame"}, ""},
		"ssh, spare phrase": {"it is not needed", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": plain, "passphrase": "x"}, ""},
		"ssh, no phrase":    {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": locked}, "is encrypted"},
		"ssh, wrong phrase": {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": locked, "passphrase": hidden}, "one of the two is wrong"},
		"ssh, cut":          {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": plain[:len(plain)/2]}, "not complete"},
		"ssh, damaged":      {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": plain[:60] + "AAAA" + plain[64:]}, "damaged"},
		"ssh, public":       {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": "ssh-ed25519 AAAA " + hidden}, "public key"},
		"ssh, certificate":  {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "something else"},
		"ssh, PuTTY":        {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": "PuTTY-User-Key-File-3: ssh-ed25519\n" + hidden}, "PuTTY"},
		"ssh, text":         {"", devopsv1alpha3.SecretTypeSSHAuth, data{"username": "git", "private_key": hidden}, "not a private key"},
		"ssh, PKCS8 locked": {"Jenkins reads it, Go does not", devopsv1alpha3.SecretTypeSSHAuth,
			data{"username": "git", "passphrase": "x", "private_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, ""},
		"kubeconfig":          {"", devopsv1alpha3.SecretTypeKubeconfig, data{"content": kubeconfig}, ""},
		"kubeconfig, JSON":    {"YAML is a superset", devopsv1alpha3.SecretTypeKubeconfig, data{"content": `{"clusters":[{"name":"c","cluster":{}}],"contexts":[{"name":"x","context":{"cluster":"c"}}]}`}, ""},
		"kubeconfig, list":    {"", devopsv1alpha3.SecretTypeKubeconfig, data{"content": "- " + hidden}, "is not a kubeconfig"},
		"kubeconfig, text":    {"", devopsv1alpha3.SecretTypeKubeconfig, data{"content": hidden}, "is not a kubeconfig"},
		"kubeconfig, pod":     {"", devopsv1alpha3.SecretTypeKubeconfig, data{"content": "apiVersion: v1\nkind: Pod\nmetadata: {name: " + hidden + "}"}, "is not a kubeconfig"},
		"kubeconfig, context": {"", devopsv1alpha3.SecretTypeKubeconfig, data{"content": strings.Replace(kubeconfig, "current-context: x", "current-context: "+hidden, 1)}, "current-context"},
		"other type":          {"a type that is none of ours", "credential.devops.kubesphere.io/other", data{"secret": hidden}, "type"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read(secretOf(tt.kind, tt.data), "")
			switch {
			case tt.want == "" && err != nil:
				t.Fatalf("%s: %v", tt.reason, err)
			case tt.want == "":
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("%s: got %v, want %q", tt.reason, err, tt.want)
			case strings.Contains(err.Error(), hidden):
				t.Errorf("the message holds a value: %v", err)
			}
		})
	}
}

func TestKubeconfigAs(t *testing.T) {
	secret := secretOf(devopsv1alpha3.SecretTypeKubeconfig, map[string]string{"content": kubeconfig})
	if got, err := Read(secret, KubeconfigAsSecretText); err != nil || got != (jenkins.SecretText{Secret: kubeconfig}) {
		t.Errorf("as a secret text: %v, %v", got, err)
	}
	if got, err := Read(secret, KubeconfigAsKubeconfig); err != nil || got != (jenkins.Kubeconfig{Content: kubeconfig}) {
		t.Errorf("as a kubeconfig: %v, %v", got, err)
	}
}
