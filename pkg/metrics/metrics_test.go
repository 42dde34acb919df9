// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestServer(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	server, err := NewServer(registry)
	if err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	done := server.InFlight(true)
	server.Observe(Request{Verb: "list", Resource: "pipelines"}, 200, time.Second)
	server.Observe(Request{Verb: "watch", Resource: "pipelines", Stream: true}, 200, time.Hour)
	server.Reject(RejectedRate)

	want := `
# HELP slipway_apiserver_current_inflight_requests Requests in work, by kind: request or stream.
# TYPE slipway_apiserver_current_inflight_requests gauge
slipway_apiserver_current_inflight_requests{kind="stream"} 1
# HELP slipway_apiserver_request_total Requests by verb, resource, subresource and HTTP status code.
# TYPE slipway_apiserver_request_total counter
slipway_apiserver_request_total{code="200",resource="pipelines",subresource="",verb="list"} 1
slipway_apiserver_request_total{code="200",resource="pipelines",subresource="",verb="watch"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"slipway_apiserver_request_total", "slipway_apiserver_current_inflight_requests"); err != nil {
		t.Error(err)
	}
	if got := testutil.CollectAndCount(server.duration); got != 1 {
		t.Errorf("%d duration series, want 1: a stream's length says nothing about speed", got)
	}
	done()
	if got := testutil.ToFloat64(server.inFlight.WithLabelValues("stream")); got != 0 {
		t.Errorf("in flight after the end: %v, want 0", got)
	}
}

func TestNewServerTwiceOnOneRegistry(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if _, err := NewServer(registry); err != nil {
		t.Fatalf("first NewServer: %v", err)
	}
	if _, err := NewServer(registry); err == nil {
		t.Error("second NewServer on the same registry: no error, want one")
	}
}
