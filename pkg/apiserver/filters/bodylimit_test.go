// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

func TestWithBodyLimit(t *testing.T) {
	h := WithBodyLimit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			response.Error(w, r, err)
		}
	}), 1<<20)
	cases := map[string]struct {
		reason   string
		size     int
		chunked  bool
		wantCode int
	}{
		"small":   {reason: "up to the limit", size: 1 << 20, wantCode: 200},
		"large":   {reason: "the length tells", size: 20 << 20, wantCode: 413},
		"chunked": {reason: "the reader finds out", size: 20 << 20, chunked: true, wantCode: 413},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", tc.size)))
			if tc.chunked {
				r.ContentLength = -1
			}
			w := serve(h, r)
			if w.Code != tc.wantCode {
				t.Fatalf("%s: %d, want %d", tc.reason, w.Code, tc.wantCode)
			}
			if tc.wantCode == 413 && !strings.Contains(statusOf(t, w).Message, "1048576 bytes (1 MiB)") {
				t.Errorf("%s: message %q does not name the limit", tc.reason, statusOf(t, w).Message)
			}
		})
	}
}
