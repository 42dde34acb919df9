// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestTokenReview(t *testing.T) {
	w := newWorld(t, nil)
	good := token(t, "ann")
	forged := signed(t, gojwt.SigningMethodHS256, []byte("another secret of enough length!"), nil)
	const no = `{"kind":"TokenReview","status":{"authenticated":false}}`
	for reason, tt := range map[string]struct {
		body string
		code int
		want string
	}{
		"good":          {fmt.Sprintf(`{"spec":{"token":%q}}`, good), 200, `{"kind":"TokenReview","status":{"authenticated":true,"user":{"username":"ann","uid":"ann"}}}`},
		"whole object":  {fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{"creationTimestamp":null},"spec":{"token":%q,"audiences":["a"]},"status":{"authenticated":false}}`, good), 200, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"ann","uid":"ann"}}}`},
		"forged":        {fmt.Sprintf(`{"spec":{"token":%q}}`, forged), 200, no},
		"nonsense":      {`{"spec":{"token":"x"}}`, 200, no},
		"line break":    {`{"spec":{"token":"x\r\nX-Evil: 1"}}`, 200, no},
		"spaces":        {`{"spec":{"token":"a b"}}`, 200, no},
		"unicode":       {`{"spec":{"token":"größe"}}`, 200, no},
		"no algorithm":  {fmt.Sprintf(`{"spec":{"token":%q}}`, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."), 200, no},
		"long":          {fmt.Sprintf(`{"spec":{"token":%q}}`, strings.Repeat("x", 12<<10)), 200, no},
		"huge":          {fmt.Sprintf(`{"spec":{"token":%q}}`, strings.Repeat("x", 20<<10)), 413, "16 KiB"},
		"no token":      {`{"spec":{}}`, 400, "spec.token is missing"},
		"other kind":    {`{"kind":"SubjectAccessReview","spec":{"token":"x"}}`, 400, "TokenReview"},
		"unknown field": {`{"spec":{"tokn":"x"}}`, 400, "tokn"},
		"wrong type":    {`{"spec":{"token":1}}`, 400, "spec.token"},
		"no JSON":       {`token=x`, 400, ""},
	} {
		answer := w.do(call{method: "POST", path: "/oauth/authenticate", body: tt.body})
		if answer.Code != tt.code || tt.code == 200 && strings.TrimSpace(answer.Body.String()) != tt.want || !strings.Contains(answer.Body.String(), tt.want) {
			t.Errorf("%s: %d %s, want %d %s", reason, answer.Code, answer.Body, tt.code, tt.want)
		}
		if strings.Contains(answer.Body.String(), good) {
			t.Errorf("%s: the token is repeated", reason)
		}
	}
	if answer := w.do(call{method: "POST", path: "/oauth/authenticate", body: "spec", contentType: "application/x-www-form-urlencoded"}); answer.Code != 415 {
		t.Errorf("a form: %d, want 415", answer.Code)
	}
	if answer := w.do(call{path: "/oauth/authenticate", user: "ann"}); answer.Code != 405 {
		t.Errorf("GET: %d, want 405", answer.Code)
	}
}

// TestTokenReviewIsLimited guesses, and looks whether a good token of another address is still taken.
func TestTokenReviewIsLimited(t *testing.T) {
	w := newWorld(t, func(config *Config) { config.Limits.Rate.PerSecond = -1 })
	last := 0
	for range 80 {
		last = w.do(call{method: "POST", path: "/oauth/authenticate", body: `{"spec":{"token":"x"}}`}).Code
	}
	answer := w.do(call{method: "POST", path: "/oauth/authenticate", body: `{"spec":{"token":"x"}}`})
	if last != 429 || answer.Code != 429 || answer.Header().Get("Retry-After") == "" {
		t.Errorf("after 80 bad tokens: %d, %d %s, want 429", last, answer.Code, answer.Header())
	}
	fresh := newWorld(t, func(config *Config) { config.Limits.Rate.PerSecond = -1 })
	body := fmt.Sprintf(`{"spec":{"token":%q}}`, token(t, "ann"))
	for range 80 {
		if got := fresh.do(call{method: "POST", path: "/oauth/authenticate", body: body}); got.Code != 200 {
			t.Fatalf("good tokens count: %d %s", got.Code, got.Body)
		}
	}
}

// TestTokenReviewOfKubernetes asks about a token that only Kubernetes knows, and of one while it does not answer.
func TestTokenReviewOfKubernetes(t *testing.T) {
	var failure error
	w := newWorld(t, func(config *Config) {
		config.Client = interceptor.NewClient(config.Client.(client.WithWatch), interceptor.Funcs{
			Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				review, ok := obj.(*authenticationv1.TokenReview)
				if !ok {
					return kube.Create(ctx, obj, opts...)
				}
				if failure != nil {
					return failure
				}
				review.Status.Authenticated = review.Spec.Token == "of-a-service-account"
				review.Status.User = authenticationv1.UserInfo{Username: "system:serviceaccount:ci:bot", UID: "u-1"}
				return nil
			},
		})
	})
	answer := w.do(call{method: "POST", path: "/oauth/authenticate", body: `{"spec":{"token":"of-a-service-account"}}`})
	if answer.Code != 200 || !strings.Contains(answer.Body.String(), `"user":{"username":"system:serviceaccount:ci:bot","uid":"u-1"}`) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	failure = fmt.Errorf("dial tcp 10.0.0.1: hunter2")
	answer = w.do(call{method: "POST", path: "/oauth/authenticate", body: `{"spec":{"token":"another"}}`})
	if answer.Code != 503 || strings.Contains(answer.Body.String(), "hunter2") {
		t.Errorf("Kubernetes away: %d %s, want 503", answer.Code, answer.Body)
	}
}
