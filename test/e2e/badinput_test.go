// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiclient"
	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/demo"
)

const (
	devopsAPI       = "/kapis/devops.kubesphere.io/v1alpha3"
	devcontainerAPI = "/kapis/devcontainer.devstar.cn/v1"
)

// signed makes a token with the server's own secret.
func signed(ctx context.Context, t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	if key == nil {
		c, err := demo.NewKubeClient(suite.state)
		if err != nil {
			t.Fatal(err)
		}
		var secret corev1.Secret
		if err := c.Get(ctx, client.ObjectKey{Namespace: suite.state.SystemNamespace, Name: "slipway-keys"}, &secret); err != nil {
			t.Fatal(err)
		}
		key = secret.Data["jwtSecret"]
	}
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// stranger makes a user without any right and logs in.
func stranger(ctx context.Context, t *testing.T, name string) *apiclient.Client {
	t.Helper()
	c, err := demo.NewKubeClient(suite.state)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := password.NewSecret(suite.state.SystemNamespace, name, "a long password", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(ctx, secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.Background(), secret) })
	anonymous, err := apiclient.New(suite.state.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The server's view of Secrets follows the cluster's within moments.
	deadline := time.Now().Add(10 * time.Second)
	for {
		user, err := anonymous.Login(ctx, name, "a long password")
		if err == nil {
			return user
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// TestBadInput sends what users and attackers send. Each answer has its documented code and says
// what to do, and nothing is made.
func TestBadInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	session, err := suite.login(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("e2e-bad-%d", time.Now().Unix())
	if err := session.CreateProject(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.DeleteProject(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	jenkinsfile := "pipeline { agent any\n parameters { string(name: 'known', defaultValue: 'x') }\n stages { stage('a') { steps { echo 'hi' } } } }"
	if err := session.CreatePipeline(ctx, name, "good", jenkinsfile); err != nil {
		t.Fatal(err)
	}
	anonymous, err := apiclient.New(suite.state.URL)
	if err != nil {
		t.Fatal(err)
	}
	hour := func(d time.Duration) jwt.MapClaims {
		return jwt.MapClaims{"username": "admin", "sub": "admin", "iss": "slipway", "exp": time.Now().Add(d).Unix(), "groups": []string{"slipway:admins"}}
	}
	expired := anonymous.WithToken(signed(ctx, t, jwt.SigningMethodHS256, nil, hour(-time.Hour)))
	unsigned := anonymous.WithToken(signed(ctx, t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, hour(time.Hour)))
	forged := anonymous.WithToken(signed(ctx, t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 40)), hour(time.Hour)))
	forever := anonymous.WithToken(signed(ctx, t, jwt.SigningMethodHS256, nil, jwt.MapClaims{"username": "admin", "iss": "slipway"}))
	valid := anonymous.WithToken(signed(ctx, t, jwt.SigningMethodHS256, nil, hour(time.Hour)))
	mallory := stranger(ctx, t, "mallory")

	containers := devcontainerAPI + "/namespaces/" + name + "/devcontainerapps"
	pipelines := devopsAPI + "/namespaces/" + name + "/pipelines"
	container := func(name, image, key string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"statefulset": map[string]any{"image": image, "sshPublicKeyList": []string{key}}}}
	}
	pipeline := func(text string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": "bad"}, "spec": map[string]any{"type": "pipeline", "pipeline": map[string]any{"jenkinsfile": text}}}
	}
	list := apiclient.Request{Path: containers}
	post := func(path string, object any) apiclient.Request {
		return apiclient.Request{Method: http.MethodPost, Path: path, Object: object}
	}
	raw := func(path, body string) apiclient.Request {
		return apiclient.Request{Method: http.MethodPost, Path: path, Body: []byte(body)}
	}
	goodKey := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5GmWRSyeRrLyVIH+iLVWCLMEyYnLFqXHHaFkVPLYSm me"
	cases := map[string]struct {
		client  *apiclient.Client
		request apiclient.Request
		code    int
		says    []string
	}{
		"NoToken":         {anonymous, list, 401, []string{"token"}},
		"ExpiredToken":    {expired, list, 401, []string{"expired"}},
		"AlgNone":         {unsigned, list, 401, []string{"none"}},
		"WrongSignature":  {forged, list, 401, []string{"signature"}},
		"NoExpiry":        {forever, list, 401, []string{"exp"}},
		"OtherTenant":     {mallory, list, 403, []string{"mallory", name}},
		"OtherTenantPost": {mallory, post(pipelines, pipeline(jenkinsfile)), 403, []string{"mallory"}},
		"BadSSHKey":       {valid, post(containers, container("a", "example.com/dev:1", "ssh-rsa AAAA")), 422, []string{"key"}},
		"BadImage":        {valid, post(containers, container("a", "http://example.com/dev image", goodKey)), 422, []string{"image must be an image reference"}},
		"LongName":        {valid, post(containers, container(strings.Repeat("n", 300), "example.com/dev:1", goodKey)), 422, []string{"253"}},
		"UnknownField":    {valid, raw(containers, `{"metadata":{"name":"a"},"spec":{"statefulset":{"image":"x/y:1","imgae":"z"}}}`), 400, []string{"imgae"}},
		"WrongType":       {valid, raw(containers, `{"metadata":{"name":"a"},"spec":{"statefulset":{"image":7}}}`), 400, []string{"image"}},
		"NotJSON":         {valid, raw(containers, `image: x`), 400, []string{"JSON"}},
		"HugeBody":        {valid, raw(containers, `{"metadata":{"name":"`+strings.Repeat("a", 20<<20)+`"}}`), 413, []string{"1"}},
		"Jenkinsfile":     {valid, post(pipelines, pipeline("pipeline {\n  agent any\n  stages { stage('a') { steps { echo 'hi }\n}")), 400, []string{"line 3", "column"}},
		"UnknownParameter": {valid, post(pipelines+"/good/pipelineruns", map[string]any{"parameters": []map[string]string{{"name": "unknown", "value": "1"}}}),
			400, []string{"unknown", "known"}},
		"NoSuchPipeline": {valid, post(pipelines+"/missing/pipelineruns", map[string]any{}), 404, []string{"missing"}},
		"NoSuchRoute":    {valid, apiclient.Request{Path: "/kapis/devops.kubesphere.io/v1alpha3/nothing/here"}, 404, nil},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			err := tc.client.Do(ctx, tc.request, nil)
			var status *apiclient.StatusError
			if !errors.As(err, &status) {
				t.Fatalf("error = %v, want HTTP %d", err, tc.code)
			}
			if status.Code != tc.code {
				t.Errorf("HTTP %d (%s), want %d", status.Code, status.Message, tc.code)
			}
			for _, want := range tc.says {
				if !strings.Contains(status.Message, want) {
					t.Errorf("message %q does not say %q", status.Message, want)
				}
			}
			t.Logf("%d %s", status.Code, status.Message)
		})
	}

	devstarCases := map[string]struct {
		body string
		code int
	}{
		"UnknownRepoID": {`{"repoId":"999999999","sshPublicKeyList":[]}`, 11003},
		"NotANumber":    {`{"repoId":"one","sshPublicKeyList":[]}`, 11002},
		"300Digits":     {`{"repoId":"` + strings.Repeat("7", 300) + `","sshPublicKeyList":[]}`, 11002},
		"BadKey":        {`{"repoId":"1","sshPublicKeyList":["not a key"]}`, 11002},
		"UnknownField":  {`{"repoId":"1","sshKeys":[]}`, 11002},
		"HugeBody":      {`{"repoId":"` + strings.Repeat("7", 20<<20) + `"}`, 11002},
	}
	for title, tc := range devstarCases {
		t.Run("DevStar"+title, func(t *testing.T) {
			request := raw("/api/devcontainer", tc.body)
			request.Scheme = "token"
			checkDevStar(ctx, t, valid, request, tc.code)
		})
	}
	t.Run("DevStarNoToken", func(t *testing.T) {
		checkDevStar(ctx, t, anonymous, apiclient.Request{Path: "/api/devstar_ssh/key_pair/new_temp"}, 1)
	})

	var left struct {
		TotalItems int `json:"totalItems"`
	}
	if err := session.API.Do(ctx, list, &left); err != nil || left.TotalItems != 0 {
		t.Errorf("refused requests left %d dev containers (%v)", left.TotalItems, err)
	}
}

func checkDevStar(ctx context.Context, t *testing.T, c *apiclient.Client, request apiclient.Request, code int) {
	t.Helper()
	var envelope struct {
		Code int    `json:"code"`
		Msg  string `json:"msg"`
		Data struct {
			ErrorMsg string `json:"ErrorMsg"`
		} `json:"data"`
	}
	if err := c.Do(ctx, request, &envelope); err != nil {
		t.Fatal(err)
	}
	if envelope.Code != code || envelope.Msg == "" {
		t.Errorf("code %d %q %q, want %d", envelope.Code, envelope.Msg, envelope.Data.ErrorMsg, code)
	}
	t.Logf("%d %s %s", envelope.Code, envelope.Msg, envelope.Data.ErrorMsg)
}
