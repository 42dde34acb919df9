// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"

	"github.com/felixge/httpsnoop"
	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

// WithAudit logs, when it has ended, every request of a known user that could change something or
// was refused: who did what to which object, and how it ended.
func WithAudit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, known := request.UserFrom(r.Context())
		if !known {
			next.ServeHTTP(w, r)
			return
		}
		captured := httpsnoop.CaptureMetricsFn(w, func(w http.ResponseWriter) { next.ServeHTTP(w, r) })
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if reads && captured.Code != http.StatusForbidden {
			return
		}
		info := infoFrom(r)
		log := logr.FromContextOrDiscard(r.Context()).WithName("audit")
		if !info.IsResourceRequest {
			log.Info("audit", "user", u.GetName(), "verb", info.Verb, "path", clip(info.Path), "code", captured.Code, "address", clientAddress(r))
			return
		}
		log.Info("audit", "user", u.GetName(), "verb", info.Verb, "group", clip(info.APIGroup), "resource", clip(info.Resource),
			"subresource", info.Subresource, "namespace", info.Namespace, "name", info.Name, "code", captured.Code, "address", clientAddress(r))
	})
}
