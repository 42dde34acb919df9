// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the names and labels of the server's Prometheus metrics. Every label has a
// small, fixed set of values: none is taken from what a client sends.
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	namespace = "slipway"
	apiserver = "apiserver"
)

// Reasons for which a request is turned away before it reaches a handler.
const (
	// RejectedInFlight: too many requests are in work.
	RejectedInFlight = "in_flight"
	// RejectedStreams: too many streams are open.
	RejectedStreams = "streams"
	// RejectedRate: the user sends too many requests a second.
	RejectedRate = "rate"
	// RejectedLogin: too many failed attempts to log in.
	RejectedLogin = "login"
)

// Server are the metrics of the API server.
type Server struct {
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	inFlight    *prometheus.GaugeVec
	rejected    *prometheus.CounterVec
	auth        *prometheus.CounterVec
	panics      prometheus.Counter
	slowClients prometheus.Counter
}

// NewServer makes the metrics and registers them.
func NewServer(registerer prometheus.Registerer) (*Server, error) {
	s := &Server{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "request_total",
			Help: "Requests by verb, resource, subresource and HTTP status code.",
		}, []string{"verb", "resource", "subresource", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "request_duration_seconds",
			Help:    "Time from the arrival of a request to the end of its answer, without streams.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"verb", "resource", "subresource"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "current_inflight_requests",
			Help: "Requests in work, by kind: request or stream.",
		}, []string{"kind"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "rejected_requests_total",
			Help: "Requests that were turned away to protect the server, by reason.",
		}, []string{"reason"}),
		auth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "authentication_total",
			Help: "Attempts to authenticate by result: success, anonymous, failure or error.",
		}, []string{"result"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "panics_total",
			Help: "Panics in handlers.",
		}),
		slowClients: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: apiserver, Name: "slow_clients_total",
			Help: "Streams that were cut because the client did not read them.",
		}),
	}
	for _, collector := range []prometheus.Collector{s.requests, s.duration, s.inFlight, s.rejected, s.auth, s.panics, s.slowClients} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Request is one request as the metrics see it. Callers replace values that they do not know by
// a constant such as "other".
type Request struct {
	Verb, Resource, Subresource string
	Stream                      bool
}

// Observe counts a request that has ended.
func (s *Server) Observe(r Request, code int, took time.Duration) {
	s.requests.WithLabelValues(r.Verb, r.Resource, r.Subresource, strconv.Itoa(code)).Inc()
	if !r.Stream {
		s.duration.WithLabelValues(r.Verb, r.Resource, r.Subresource).Observe(took.Seconds())
	}
}

// InFlight counts a request as in work until the returned function is called.
func (s *Server) InFlight(stream bool) (done func()) {
	kind := "request"
	if stream {
		kind = "stream"
	}
	gauge := s.inFlight.WithLabelValues(kind)
	gauge.Inc()
	return gauge.Dec
}

// Reject counts a request that was turned away for one of the Rejected reasons.
func (s *Server) Reject(reason string) { s.rejected.WithLabelValues(reason).Inc() }

// Authenticated counts an attempt to authenticate: success, anonymous, failure or error.
func (s *Server) Authenticated(result string) { s.auth.WithLabelValues(result).Inc() }

// Panic counts a panic in a handler.
func (s *Server) Panic() { s.panics.Inc() }

// SlowClient counts a stream that was cut because the client did not read it.
func (s *Server) SlowClient() { s.slowClients.Inc() }
