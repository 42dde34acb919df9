// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrDraining is the cause of the end of a stream's context when the server stops.
var ErrDraining = errors.New("the server is stopping")

// grace is how much longer than its context a connection may work on a request: time for the answer
// that says that it took too long.
const grace = 5 * time.Second

// WithTimeout ends the context of a request after the timeout, and of a stream when draining ends.
// The connection gets deadlines, too: a client that sends its body or reads its answer too slowly is
// cut off. Streams have no deadline here but for a body that they do not want; who writes one sets a deadline for
// each write.
func WithTimeout(next http.Handler, timeout time.Duration, draining <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Writers that have no connection, as in tests, do not know deadlines. Every request sets both:
		// a connection keeps them.
		control := http.NewResponseController(w)
		end, info := time.Now().Add(timeout+grace), infoFrom(r)
		if !info.LongRunning {
			_ = control.SetReadDeadline(end)
			_ = control.SetWriteDeadline(end)
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		if info.Upload || r.ContentLength == 0 {
			end = time.Time{}
		}
		_ = control.SetReadDeadline(end)
		_ = control.SetWriteDeadline(time.Time{})
		// What the handler has left of the body is read before the connection is used again.
		defer func() { _ = control.SetReadDeadline(time.Now().Add(grace)) }()
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		go func() {
			select {
			case <-draining:
				cancel(ErrDraining)
			case <-ctx.Done():
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
