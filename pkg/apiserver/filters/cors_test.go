// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWithCORS(t *testing.T) {
	cases := map[string]struct {
		reason    string
		origins   []string
		method    string
		origin    string
		wantCode  int
		wantAllow string
	}{
		"off":       {reason: "by default nothing is allowed", method: http.MethodGet, origin: "https://a", wantCode: 201},
		"allowed":   {reason: "a named origin is", origins: []string{"https://a"}, method: http.MethodGet, origin: "https://a", wantCode: 201, wantAllow: "https://a"},
		"other":     {reason: "another is not", origins: []string{"https://a"}, method: http.MethodGet, origin: "https://b", wantCode: 201},
		"preflight": {reason: "the question before a request is answered here", origins: []string{"https://a"}, method: http.MethodOptions, origin: "https://a", wantCode: 204, wantAllow: "https://a"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/", nil)
			r.Header.Set("Origin", tc.origin)
			if tc.method == http.MethodOptions {
				r.Header.Set("Access-Control-Request-Method", http.MethodPut)
			}
			w := serve(WithCORS(respond(201), tc.origins), r)
			if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != tc.wantCode || got != tc.wantAllow {
				t.Errorf("%s: %d, allowed %q, want %d, %q", tc.reason, w.Code, got, tc.wantCode, tc.wantAllow)
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: credentials are allowed", tc.reason)
			}
		})
	}
}
