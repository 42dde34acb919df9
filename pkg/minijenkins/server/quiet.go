// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import "net/http"

// quietDown begins or ends the quiet mode: starts are queued, and nothing leaves the queue.
func (s *Server) quietDown(c *call, on bool) {
	if len(c.segs) > 0 {
		fail404(c.w)
		return
	}
	if !c.post() || !c.form() {
		return
	}
	s.mu.Lock()
	s.quieting, s.quietReason = on, ""
	if on {
		s.quietReason = c.r.Form.Get("message")
	}
	s.mu.Unlock()
	if !on {
		s.scheduleOnce(c.r.Context())
	}
	redirect(c.w, "/")
}

// starting answers while the server acts as if it still started, and tells if it did. As Jenkins
// does, it first says so; then its users are not there yet, and then it says so again.
func (s *Server) starting(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.StartDelay <= 0 {
		return false
	}
	gone := s.now().Sub(s.born)
	switch third := s.cfg.StartDelay / 3; {
	case gone >= s.cfg.StartDelay:
		return false
	case gone >= third && gone < 2*third:
		if changes(r) && r.Header.Get("Authorization") == "" {
			failContainer(w, http.StatusForbidden, "No valid crumb was included in the request")
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="Jenkins"`)
		failContainer(w, http.StatusUnauthorized, "Unauthorized")
		return true
	}
	w.Header().Set("Retry-After", "5")
	writePage(w, http.StatusServiceUnavailable, typeHTML, page("Starting Jenkins", "<h1>Please wait while Jenkins is getting ready to work...</h1>"))
	return true
}
