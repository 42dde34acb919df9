// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package response

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

func TestStatusOf(t *testing.T) {
	pipelines := schema.GroupResource{Group: "devops.kubesphere.io", Resource: "pipelines"}
	cases := map[string]struct {
		reason      string
		err         error
		wantCode    int32
		wantMessage string
	}{
		"api":             {reason: "an API status is kept, however deep", err: fmt.Errorf("read: %w", apierrors.NewNotFound(pipelines, "p")), wantCode: 404, wantMessage: `"p" not found`},
		"jenkins 404":     {reason: "404 of Jenkins is 404", err: fmt.Errorf("log: %w", jenkins.ErrNotFound), wantCode: 404, wantMessage: "not found"},
		"jenkins 401":     {reason: "the user's own token is good", err: jenkins.ErrUnauthorized, wantCode: 502, wantMessage: "an administrator"},
		"jenkins page":    {reason: "a proxy's page with 200 is not the user's fault", err: fmt.Errorf("get run: %w", jenkins.ErrUnexpected), wantCode: 502, wantMessage: "unexpected answer"},
		"jenkins down":    {reason: "it may come back", err: jenkins.ErrUnavailable, wantCode: 503, wantMessage: "Jenkins cannot be reached"},
		"jenkins timeout": {reason: "a time limit of ours wins over what it broke", err: fmt.Errorf("%w: %w", jenkins.ErrUnavailable, context.DeadlineExceeded), wantCode: 504, wantMessage: "took too long"},
		"store down":      {reason: "so may the object store", err: objectstore.ErrUnavailable, wantCode: 503, wantMessage: "object store"},
		"store 404":       {reason: "what is not stored is not there", err: objectstore.ErrNotFound, wantCode: 404, wantMessage: "not in the object store"},
		"store 401":       {reason: "the user's own token is good", err: objectstore.ErrUnauthorized, wantCode: 502, wantMessage: "an administrator"},
		"kube down": {
			reason: "the address of the API is not the user's business",
			err:    &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/secret", Err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}, wantCode: 503, wantMessage: "the Kubernetes API cannot be reached",
		},
		"cache":     {reason: "the server is starting", err: &cache.ErrCacheNotStarted{}, wantCode: 503, wantMessage: "starting"},
		"body":      {reason: "a reader of the body hit the limit", err: &http.MaxBytesError{Limit: 1 << 20}, wantCode: 413, wantMessage: "1048576 bytes (1 MiB)"},
		"cancelled": {reason: "the client went away", err: context.Canceled, wantCode: 499, wantMessage: "cancelled"},
		"unknown":   {reason: "internals are not told", err: errors.New("password=hunter2"), wantCode: 500, wantMessage: "internal error"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := StatusOf(tc.err)
			if got.Code != tc.wantCode || !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("%s: StatusOf = %d %q, want %d with %q", tc.reason, got.Code, got.Message, tc.wantCode, tc.wantMessage)
			}
			if got.Kind != "Status" || got.APIVersion != "v1" || got.Status != "Failure" || got.Reason == "" {
				t.Errorf("%s: StatusOf = %+v, want a complete Status", tc.reason, got)
			}
			if strings.Contains(got.Message, "hunter2") || strings.Contains(got.Message, "10.0.0.1") {
				t.Errorf("%s: message %q tells internals", tc.reason, got.Message)
			}
		})
	}
}

func TestWriteListOfNothing(t *testing.T) {
	w := httptest.NewRecorder()
	WriteList[string](w, httptest.NewRequest(http.MethodGet, "/", nil), nil, 0)
	if got, want := strings.TrimSpace(w.Body.String()), `{"items":[],"totalItems":0}`; got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
}

func TestErrorSetsRetryAfter(t *testing.T) {
	w := httptest.NewRecorder()
	Error(w, httptest.NewRequest(http.MethodGet, "/", nil), TooManyRequests("slower", 7))
	if w.Code != 429 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("got %d with Retry-After %q, want 429 with 7", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestWriteOfWhatIsNoJSON(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, httptest.NewRequest(http.MethodGet, "/", nil), 200, func() {})
	if w.Code != 500 || !strings.Contains(w.Body.String(), "internal error") {
		t.Errorf("got %d %s, want a 500 instead of half an answer", w.Code, w.Body)
	}
}

func TestFaces(t *testing.T) {
	teapot := ErrorWriterFunc(func(w http.ResponseWriter, _ *http.Request, _ *metav1.Status) { w.WriteHeader(418) })
	inner := ErrorWriterFunc(func(w http.ResponseWriter, _ *http.Request, _ *metav1.Status) { w.WriteHeader(419) })
	faces := NewFaces(map[string]ErrorWriter{"/api/devcontainer": teapot, "/api/devcontainer/user/": inner})

	cases := map[string]int{
		"/api/devcontainer":         418,
		"/api/devcontainer/x":       418,
		"/api/devcontainer/user":    419,
		"/api/devcontainers":        404,
		"/kapis/api/devcontainer/x": 404,
	}
	for path, want := range cases {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r = r.WithContext(WithErrorWriter(r.Context(), faces.For(path)))
		w := httptest.NewRecorder()
		Error(w, r, NotFoundPath(path))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
