// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWithRecovery(t *testing.T) {
	cases := map[string]struct {
		reason    string
		handler   http.HandlerFunc
		wantAbort bool
		wantCode  int
		wantCount int
	}{
		"none":      {reason: "nothing happens", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, wantCode: 204},
		"panic":     {reason: "a panic is a 500", handler: func(http.ResponseWriter, *http.Request) { panic("secret detail") }, wantCode: 500, wantCount: 1},
		"midway":    {reason: "a part must not look like the whole", handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("x") }, wantAbort: true, wantCode: 200, wantCount: 1},
		"on intent": {reason: "the handler wants the connection cut", handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wantAbort: true, wantCode: 200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log, logged := bufferLog()
			count, aborted := 0, false
			w := httptest.NewRecorder()
			func() {
				defer func() { aborted = recover() == http.ErrAbortHandler }() //nolint:errorlint // a panic's value is compared as the server does
				WithRecovery(tc.handler, log, func() { count++ }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
			}()
			if aborted != tc.wantAbort || w.Code != tc.wantCode || count != tc.wantCount {
				t.Errorf("%s: aborted %v, code %d, count %d, want %v, %d, %d", tc.reason, aborted, w.Code, count, tc.wantAbort, tc.wantCode, tc.wantCount)
			}
			if strings.Contains(w.Body.String(), "secret detail") {
				t.Errorf("%s: the answer tells internals: %s", tc.reason, w.Body)
			}
			if tc.wantCount > 0 && !strings.Contains(logged.String(), "stack") {
				t.Errorf("%s: the log has no stack: %s", tc.reason, logged)
			}
		})
	}
}
