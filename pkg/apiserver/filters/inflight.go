// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/metrics"
)

// Load counts requests in work and those that are turned away.
type Load interface {
	InFlight(stream bool) (done func())
	Reject(reason string)
}

// InFlightLimits bound what is in work at once.
type InFlightLimits struct {
	// Requests bounds requests that are no streams.
	Requests int
	// Streams bounds watches, followed logs and downloads.
	Streams int
}

// WithInFlightLimit turns requests away with 429 while too many are in work, so that those get done.
// Streams are counted apart, as they stay. Requests for which exempt is true are always let through:
// a busy server is to be seen as such, not as a dead one.
func WithInFlightLimit(next http.Handler, limits InFlightLimits, load Load, exempt func(*http.Request) bool) http.Handler {
	requests := make(chan struct{}, limits.Requests)
	streams := make(chan struct{}, limits.Streams)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		slots, reason := requests, metrics.RejectedInFlight
		stream := infoFrom(r).LongRunning
		if stream {
			slots, reason = streams, metrics.RejectedStreams
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			load.Reject(reason)
			response.Error(w, r, response.TooManyRequests("the server has too many requests in work; try again in a moment", 1))
			return
		}
		defer load.InFlight(stream)()
		next.ServeHTTP(w, r)
	})
}
