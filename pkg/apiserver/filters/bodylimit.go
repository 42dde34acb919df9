// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// WithBodyLimit refuses bodies of more than limit bytes: at once if the client says how long its
// body is, else when it has read so far.
func WithBodyLimit(next http.Handler, limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if infoFrom(r).Upload {
			next.ServeHTTP(w, r) // the handler has a limit of its own
			return
		}
		if r.ContentLength > limit {
			// The body is not read: the connection cannot be used again.
			w.Header().Set("Connection", "close")
			response.Error(w, r, request.TooLarge(limit))
			return
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		next.ServeHTTP(w, r)
	})
}
