// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package live gives tests the API server as operators run it, on a real kube-apiserver and without a Jenkins, with a
// user who can log in and may do everything in one namespace.
package live

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/options"
	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/kapis/compat/devstar"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// The user.
const (
	// User is the user's name.
	User = "ann"
	// Password is the user's password.
	Password = "a-long-password"
)

// readyTimeout bounds the wait for the server.
const readyTimeout = time.Minute

// Server is a server that runs until the end of the test.
type Server struct {
	// URL is its address, without a slash at the end.
	URL string
	// Namespace is that in which the user may do everything.
	Namespace string
	// Kube is the administrator's client of Kubernetes.
	Kube client.Client
}

// Start starts a server. The test's package needs envtest.Main.
func Start(t *testing.T) *Server {
	t.Helper()
	s := &Server{Kube: envtest.Client(t), Namespace: envtest.Namespace(t)}
	s.makeUser(t)
	o := options.New()
	dir := t.TempDir()
	o.Kubernetes.Kubeconfig = file(t, dir, "kubeconfig", kubeconfig(t, envtest.Config(t)))
	o.Authentication.JWTSecretFile = file(t, dir, "jwt", []byte(strings.Repeat("a secret ", 8)))
	config, objects, err := o.Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	config.Serving.Listener, config.Serving.ShutdownTimeout = listener, 5*time.Second
	config.Faces = []apiserver.Face{devstar.Face(devstar.Options{})}
	completed, err := config.Complete()
	if err != nil {
		t.Fatal(err)
	}
	server, err := apiserver.New(completed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- objects.Start(ctx) }()
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Errorf("the server ended with: %v", err)
			}
		}
	})
	s.waitReady(t)
	return s
}

// makeUser makes the Secret of the user, and the right to everything of ours in the namespace.
func (s *Server) makeUser(t *testing.T) {
	t.Helper()
	system := apiserver.DefaultSystemNamespace
	secret, err := password.NewSecret(system, User, Password, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}},
		secret,
		&devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: User}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{devopsv1alpha3.GroupName}, Resources: []string{"*"}, Verbs: []string{"*"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: User},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: User},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: User}},
		},
	} {
		if err := s.Kube.Create(t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("make %T: %v", obj, err)
		}
	}
}

func (s *Server) waitReady(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(readyTimeout)
	for {
		status, body := s.do(t, http.MethodGet, "/readyz", "", nil)
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready after %s: %d %s", readyTimeout, status, body)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Token logs the user in.
func (s *Server) Token(t *testing.T) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {User}, "password": {Password}}
	status, body := s.do(t, http.MethodPost, "/oauth/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("log in: %d %s", status, body)
	}
	return answer.AccessToken
}

// Description reads /openapi.json.
func (s *Server) Description(t *testing.T) []byte {
	t.Helper()
	status, body := s.do(t, http.MethodGet, "/openapi.json", "", nil)
	if status != http.StatusOK {
		t.Fatalf("read the description: %d %s", status, body)
	}
	return body
}

func (s *Server) do(t *testing.T, method, path, contentType string, body io.Reader) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text
}

func file(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func kubeconfig(t *testing.T, from *rest.Config) []byte {
	t.Helper()
	c := clientcmdapi.NewConfig()
	host := from.Host
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: host, CertificateAuthorityData: from.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: from.CertData, ClientKeyData: from.KeyData, Token: from.BearerToken}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	text, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
