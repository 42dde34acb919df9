// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"

	"github.com/slipway-dev/slipway/pkg/apiserver/filters"
)

// chain puts the filters in front of the routes. Read from the bottom it is the way of a request.
func (s *Server) chain(routes http.Handler) http.Handler {
	c := s.config

	// What is known of Jenkins' work is served with its age.
	h := s.withStaleness(routes)
	// Bodies are bounded last: whoever may not send a request is told that, whatever its size is.
	h = filters.WithBodyLimit(h, c.Limits.BodyBytes)
	// Only permitted requests count against a user's rate.
	h = filters.WithRateLimit(h, c.Limits.Rate, s.metrics.Reject, s.paths.isUnlimited)
	h = filters.WithAuthorization(h, c.Authorizer, s.paths.policy)
	// Audit lies between the two, so that it knows the user and sees what is refused.
	h = filters.WithAudit(h)
	h = filters.WithAuthentication(h, c.authenticator, s.paths.isOpen, s.metrics.Authenticated)
	// The time limit includes authentication and authorization, which ask Kubernetes.
	h = filters.WithTimeout(h, c.Limits.RequestTimeout, s.draining)
	h = filters.WithInFlightLimit(h, c.Limits.InFlight, s.metrics, s.paths.isProbe)
	// Browsers ask before they send a credential; that question is answered here.
	h = filters.WithCORS(h, c.CORSOrigins)
	// Everything below is logged and counted, what is turned away, too.
	h = filters.WithAccessLog(h, s.metrics, s.labels)
	// From here on the address has one reading, and errors have the format of its face.
	h = filters.WithRequestInfo(h, s.faces)
	h = filters.WithRequestID(h, c.Log)
	// A panic anywhere above ends here.
	h = filters.WithRecovery(h, c.Log, s.metrics.Panic)
	return h
}
