// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

func TestWithRequestInfo(t *testing.T) {
	faces := response.NewFaces(map[string]response.ErrorWriter{
		"/face": response.ErrorWriterFunc(func(w http.ResponseWriter, _ *http.Request, _ *metav1.Status) { w.WriteHeader(200) }),
	})
	var path, resource, query string
	h := WithRequestInfo(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, resource, query = r.URL.Path, infoFrom(r).Resource, r.URL.RawQuery
		if r.URL.Path == "/face/x" {
			response.Error(w, r, response.NotFoundPath(path))
		}
	}), faces)
	cases := map[string]struct {
		reason             string
		target             string
		wantCode           int
		wantPath, resource string
	}{
		"alias": {reason: "the path is routed as what it stands for", target: "/v1alpha3/namespaces/a/pipelines", wantCode: 200, wantPath: "/kapis/devops.kubesphere.io/v1alpha3/namespaces/a/pipelines", resource: "pipelines"},
		"plain": {reason: "other paths stay", target: "/healthz", wantCode: 200, wantPath: "/healthz"},
		"bad":   {reason: "a path with two readings goes no further", target: "/v1alpha3/namespaces/a%2fb/pipelines", wantCode: 400},
		"face":  {reason: "errors are in the face's format", target: "/face/x", wantCode: 200, wantPath: "/face/x"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path, resource = "", ""
			r := httptest.NewRequest(http.MethodGet, tc.target, nil)
			w := serve(h, r)
			if w.Code != tc.wantCode || path != tc.wantPath || resource != tc.resource {
				t.Errorf("%s: %d %q %q, want %d %q %q", tc.reason, w.Code, path, resource, tc.wantCode, tc.wantPath, tc.resource)
			}
			if r.URL.Path == tc.wantPath && name == "alias" {
				t.Errorf("%s: the caller's request was changed", tc.reason)
			}
		})
	}
	for target, want := range map[string]string{"/v1alpha3/namespaces/a/pipelines": "limit=1&name=x", "/v1alpha3/namespaces/a/pipelines?limit=2": "limit=2"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set(headerRawQuery, "limit=1&name=x")
		if serve(h, r); query != want {
			t.Errorf("%s with a query in the header: %q, want %q", target, query, want)
		}
	}
}
