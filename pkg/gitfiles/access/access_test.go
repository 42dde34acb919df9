// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func TestCloneURL(t *testing.T) {
	for name, tc := range map[string]struct {
		spec devopsv1alpha3.GitRepositorySpec
		want string
	}{
		"github":           {devopsv1alpha3.GitRepositorySpec{Provider: "GitHub", Owner: "o", Repo: "r"}, "https://github.com/o/r"},
		"github api":       {devopsv1alpha3.GitRepositorySpec{Provider: "github", Server: "https://api.github.com", Owner: "o", Repo: "r"}, "https://github.com/o/r"},
		"enterprise":       {devopsv1alpha3.GitRepositorySpec{Provider: "github", Server: "https://git.example.org/api/v3", Owner: "o", Repo: "r"}, "https://git.example.org/o/r.git"},
		"gitlab groups":    {devopsv1alpha3.GitRepositorySpec{Provider: "gitlab", Owner: "a/b", Repo: "r.git"}, "https://gitlab.com/a/b/r.git"},
		"bitbucket":        {devopsv1alpha3.GitRepositorySpec{Provider: "bitbucket", Owner: "o", Repo: "r"}, "https://bitbucket.org/o/r"},
		"bitbucket server": {devopsv1alpha3.GitRepositorySpec{Provider: "bitbucket-server", Server: "https://bb.example.org/x/", Owner: "KEY", Repo: "r"}, "https://bb.example.org/x/scm/KEY/r.git"},
		"gitea":            {devopsv1alpha3.GitRepositorySpec{Provider: "gitea", Server: "http://gitea:3000", Owner: "o", Repo: "r"}, "http://gitea:3000/o/r.git"},
		"escaped":          {devopsv1alpha3.GitRepositorySpec{Provider: "gitlab", Owner: "o", Repo: "r ?#"}, "https://gitlab.com/o/r%20%3F%23.git"},
		"no server":        {devopsv1alpha3.GitRepositorySpec{Provider: "gitea", Owner: "o", Repo: "r"}, ""},
		"no owner":         {devopsv1alpha3.GitRepositorySpec{Provider: "github", Repo: "r"}, ""},
		"up":               {devopsv1alpha3.GitRepositorySpec{Provider: "github", Owner: "..", Repo: "r"}, ""},
		"password":         {devopsv1alpha3.GitRepositorySpec{Provider: "gitea", Server: "https://u:p@h", Owner: "o", Repo: "r"}, ""},
		"scheme":           {devopsv1alpha3.GitRepositorySpec{Provider: "gitea", Server: "ftp://h", Owner: "o", Repo: "r"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CloneURL(tc.spec); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestCredential(t *testing.T) {
	for name, tc := range map[string]struct {
		kind           corev1.SecretType
		data           map[string]string
		user, password string
		key            string
		ok             bool
	}{
		"basic":      {kind: devopsv1alpha3.SecretTypeBasicAuth, data: map[string]string{"username": "u", "password": "p"}, user: "u", password: "p", ok: true},
		"kubernetes": {kind: corev1.SecretTypeBasicAuth, data: map[string]string{"username": "u", "password": "p"}, user: "u", password: "p", ok: true},
		"ssh":        {kind: devopsv1alpha3.SecretTypeSSHAuth, data: map[string]string{"username": "git", "private_key": "k"}, user: "git", key: "k", ok: true},
		"ssh of k8s": {kind: corev1.SecretTypeSSHAuth, data: map[string]string{"ssh-privatekey": "k"}, key: "k", ok: true},
		"text":       {kind: devopsv1alpha3.SecretTypeSecretText, data: map[string]string{"secret": "p"}, password: "p", ok: true},
		"token":      {kind: corev1.SecretTypeOpaque, data: map[string]string{"token": "p"}, password: "p", ok: true},
		"empty":      {kind: devopsv1alpha3.SecretTypeBasicAuth, data: map[string]string{"username": "u"}},
		"kubeconfig": {kind: devopsv1alpha3.SecretTypeKubeconfig, data: map[string]string{"content": "x"}},
		"account":    {kind: corev1.SecretTypeServiceAccountToken, data: map[string]string{"token": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Secret{Type: tc.kind, Data: map[string][]byte{}}
			for k, v := range tc.data {
				s.Data[k] = []byte(v)
			}
			c, err := Credential(s)
			if (err == nil) != tc.ok || tc.ok && (c.Username != tc.user || c.Password != tc.password || string(c.PrivateKey) != tc.key) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	certs := func(namespace string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, Data: map[string]string{"ca.crt": namespace}}
	}
	own := fake.NewClientBuilder().WithObjects(certs("ns")).Build()
	shared := fake.NewClientBuilder().WithObjects(certs(DefaultCertsNamespace), certs("other")).Build()
	for name, tc := range map[string]struct {
		annotations map[string]string
		want        string
		fails       bool
	}{
		"none":      {},
		"default":   {annotations: map[string]string{devopsv1alpha3.TLSCertsAnnotation: "ca"}, want: DefaultCertsNamespace},
		"namespace": {annotations: map[string]string{devopsv1alpha3.TLSCertsAnnotation: "ca", devopsv1alpha3.TLSCertsNamespaceAnnotation: "ns"}, want: "ns"},
		"foreign":   {annotations: map[string]string{devopsv1alpha3.TLSCertsAnnotation: "ca", devopsv1alpha3.TLSCertsNamespaceAnnotation: "other"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			repo := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Annotations: tc.annotations}}
			target, err := Readers{Objects: client.Reader(own), Shared: shared}.Target(t.Context(), repo, nil)
			if (err != nil) != tc.fails || string(target.CA) != tc.want {
				t.Errorf("got %q, %v", target.CA, err)
			}
		})
	}
}
