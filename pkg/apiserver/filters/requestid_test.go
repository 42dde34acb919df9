// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

func TestWithRequestID(t *testing.T) {
	cases := map[string]struct {
		reason string
		sent   string
		kept   bool
	}{
		"none": {reason: "one is made"},
		"good": {reason: "the client's own is kept", sent: "build-42", kept: true},
		"log":  {reason: "what would break a log line is not", sent: "a\nb"},
		"long": {reason: "nor what is too long", sent: strings.Repeat("a", 65)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got string
			h := WithRequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = request.IDFrom(r.Context()) }), logr.Discard())
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("X-Request-Id", tc.sent)
			w := serve(h, r)
			if got == "" || w.Header().Get("X-Request-Id") != got || (got == tc.sent) != tc.kept {
				t.Errorf("%s: id %q, header %q, sent %q", tc.reason, got, w.Header().Get("X-Request-Id"), tc.sent)
			}
		})
	}
}
