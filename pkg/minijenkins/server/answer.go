// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"net/http"
)

// maxHeldAnswer is how much of an answer is kept back at most, in bytes.
const maxHeldAnswer = 1 << 20

// answer lets nothing out before all that a client could learn from it is on disk: then a killed
// server has never told of something that it does not know any more. The answer to a request that
// changes something is kept back until its handler has returned, as a handler may hold Server.mu,
// and others must be able to change something while this one waits for the disk.
type answer struct {
	w     http.ResponseWriter
	flush func() error
	hold  bool

	status int
	held   bytes.Buffer
	// sent says that the status is out; failed that it was not the handler's.
	sent, failed bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if !a.hold {
		a.send()
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !a.sent {
		a.held.Write(p)
		if a.held.Len() > maxHeldAnswer {
			a.send()
		}
		return len(p), nil
	}
	if a.failed {
		return len(p), nil
	}
	return a.w.Write(p)
}

// send lets the answer out.
func (a *answer) send() {
	a.sent = true
	if err := a.flush(); err != nil {
		a.failed = true
		clear(a.w.Header())
		failContainer(a.w, http.StatusInternalServerError, "The state cannot be written to the disk")
		return
	}
	a.w.WriteHeader(a.status)
	if a.held.Len() > 0 {
		_, _ = a.w.Write(a.held.Bytes())
	}
	a.held = bytes.Buffer{}
}

// finish lets out what is kept back.
func (a *answer) finish() {
	if a.status != 0 && !a.sent {
		a.send()
	}
}
