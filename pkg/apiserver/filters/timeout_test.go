// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

func TestWithTimeout(t *testing.T) {
	draining := make(chan struct{})
	var cause error
	h := WithTimeout(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		cause = context.Cause(r.Context())
		response.Error(w, r, r.Context().Err())
	}), time.Millisecond, draining)

	w := serve(h, withInfo(httptest.NewRequest(http.MethodGet, "/", nil), &request.Info{}))
	if w.Code != 504 || !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("a slow request: %d, %v, want 504", w.Code, cause)
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(h, withInfo(httptest.NewRequest(http.MethodGet, "/", nil), &request.Info{LongRunning: true}))
	}()
	select {
	case <-done:
		t.Fatal("a stream ended with the timeout of requests")
	case <-time.After(50 * time.Millisecond):
	}
	close(draining)
	<-done
	if !errors.Is(cause, ErrDraining) {
		t.Errorf("a stream ended by %v, want ErrDraining", cause)
	}
}

// deadlineWriter records the deadlines that are set on its connection.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error { w.read = append(w.read, t); return nil }
func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.write = append(w.write, t)
	return nil
}

func TestWithTimeoutSetsDeadlines(t *testing.T) {
	h := WithTimeout(respond(200), time.Minute, nil)
	for stream, reason := range map[bool]string{false: "a slow client is cut off", true: "a stream takes over a connection that had deadlines"} {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, withInfo(httptest.NewRequest(http.MethodGet, "/", nil), &request.Info{LongRunning: stream}))
		if len(w.read) < 1 || len(w.write) != 1 || w.read[0].IsZero() != stream || w.write[0].IsZero() != stream {
			t.Errorf("%s: deadlines %v and %v", reason, w.read, w.write)
		}
	}
}

// TestBodyThatNeverComes: a connection is not kept for a body that a client only promises, be the request a stream or not,
// and be it refused or not.
func TestBodyThatNeverComes(t *testing.T) {
	cases := map[string]request.Info{
		"a request": {}, "a stream": {LongRunning: true}, "an upload": {LongRunning: true, Upload: true},
	}
	for name, info := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := WithTimeout(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				if info.LongRunning && !info.Upload {
					_ = http.NewResponseController(w).Flush()
				}
			}), 10*time.Millisecond, nil)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r.WithContext(request.WithInfo(r.Context(), &info)))
			}))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still there after a minute")
			}
		})
	}
}
