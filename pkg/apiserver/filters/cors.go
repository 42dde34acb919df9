// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"

	"github.com/rs/cors"
)

// WithCORS lets web pages of the given origins call the API. Without origins no page of another
// server may, which is the default.
func WithCORS(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "X-KubeSphere-Authorization", RequestIDHeader},
		ExposedHeaders: []string{"Content-Disposition", "Retry-After", "Warning", "X-Text-Size", "X-More-Data", RequestIDHeader},
		// Tokens come in a header that pages set on purpose; there are no cookies.
		AllowCredentials: false,
		MaxAge:           600,
	}).Handler(next)
}
