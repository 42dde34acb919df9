// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"regexp"

	"github.com/go-logr/logr"
	"github.com/google/uuid"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

// RequestIDHeader carries the id of a request, both ways.
const RequestIDHeader = "X-Request-Id"

// requestID is what an id of a client may look like: it is written to the log.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// WithRequestID gives every request an id: the client's own if it is a good one. Answer, log and
// audit log carry it. The context gets a logger that names it.
func WithRequestID(next http.Handler, log logr.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestIDHeader)
		if !requestID.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set(RequestIDHeader, id)
		ctx := request.WithID(r.Context(), id)
		ctx = request.WithRecord(ctx, &request.Record{})
		ctx = logr.NewContext(ctx, log.WithValues("requestID", id))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
