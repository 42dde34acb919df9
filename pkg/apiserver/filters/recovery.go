// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"

	"github.com/felixge/httpsnoop"
	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// WithRecovery turns a panic into a 500 and a line in the log. If the answer had begun it is cut
// off, so that the client does not take the part for the whole.
func WithRecovery(next http.Handler, log logr.Logger, onPanic func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := false
		tracked := httpsnoop.Wrap(w, httpsnoop.Hooks{
			WriteHeader: func(call httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
				return func(code int) { begun = true; call(code) }
			},
			Write: func(call httpsnoop.WriteFunc) httpsnoop.WriteFunc {
				return func(b []byte) (int, error) { begun = true; return call(b) }
			},
			ReadFrom: func(call httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
				return func(src io.Reader) (int64, error) { begun = true; return call(src) }
			},
		})
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				// How a handler says that it wants the connection cut.
				panic(http.ErrAbortHandler)
			}
			onPanic()
			log.Error(fmt.Errorf("panic: %v", cause), "handler failed", "method", r.Method, "path", r.URL.Path,
				"requestID", w.Header().Get(RequestIDHeader), "stack", string(debug.Stack()))
			if begun {
				panic(http.ErrAbortHandler)
			}
			response.Error(w, r, response.NewStatus(http.StatusInternalServerError, "InternalError",
				"internal error; the server's log has more under the id of this request"))
		}()
		next.ServeHTTP(tracked, r)
	})
}
