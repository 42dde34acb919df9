// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net"
	"net/http"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/metrics"
)

// Observer takes what is known of a request that has ended.
type Observer interface {
	Observe(r metrics.Request, code int, took time.Duration)
}

// maxLogged bounds what of a client's text goes to the log.
const maxLogged = 512

// WithAccessLog counts and logs every request when it has ended. The log names the path, never the
// query, which may hold secrets. labels maps a request to the few values that metrics may have.
func WithAccessLog(next http.Handler, observer Observer, labels func(*request.Info) metrics.Request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := infoFrom(r)
		record := request.RecordFrom(r.Context())
		captured := httpsnoop.CaptureMetricsFn(w, func(w http.ResponseWriter) { next.ServeHTTP(w, r) })
		observer.Observe(labels(info), captured.Code, captured.Duration)
		log := logr.FromContextOrDiscard(r.Context())
		log.V(1).Info("request", "method", clip(r.Method), "path", clip(r.URL.Path), "code", captured.Code,
			"took", captured.Duration.Round(time.Microsecond).String(), "bytes", captured.Written, "user", record.User, "address", clientAddress(r))
	})
}

// clientAddress is the address of the other end of the connection. Headers of proxies are not
// looked at: anybody can write them.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func clip(text string) string {
	if len(text) > maxLogged {
		return text[:maxLogged] + "…"
	}
	return text
}
