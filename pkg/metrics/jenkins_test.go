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

func TestJenkins(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := NewJenkins(registry)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := NewJenkins(registry); err != nil || again != m {
		t.Fatalf("a second client gets %p, %v; want the same metrics", again, err)
	}
	m.Request("start build", 201, time.Second)
	m.Request("start build", 0, time.Second)
	m.Refused("read log")
	m.Restarted()
	compare := func(want string) {
		t.Helper()
		names := []string{"slipway_jenkins_requests_total", "slipway_jenkins_refused_calls_total", "slipway_jenkins_restarts_total",
			"slipway_jenkins_up", "slipway_jenkins_breaker_open", "slipway_jenkins_last_answer_timestamp_seconds"}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	const counters = `
# HELP slipway_jenkins_refused_calls_total Calls that were not sent, as Jenkins does not answer.
# TYPE slipway_jenkins_refused_calls_total counter
slipway_jenkins_refused_calls_total{op="read_log"} 1
# HELP slipway_jenkins_requests_total Requests sent to Jenkins by call and HTTP status code; none if no answer came.
# TYPE slipway_jenkins_requests_total counter
slipway_jenkins_requests_total{code="201",op="start_build"} 1
slipway_jenkins_requests_total{code="none",op="start_build"} 1
# HELP slipway_jenkins_restarts_total Restarts of Jenkins that were noticed.
# TYPE slipway_jenkins_restarts_total counter
slipway_jenkins_restarts_total 1
`
	const gauges = `
# HELP slipway_jenkins_breaker_open 1 while calls are refused, as Jenkins does not answer.
# TYPE slipway_jenkins_breaker_open gauge
# HELP slipway_jenkins_last_answer_timestamp_seconds When Jenkins last answered, in Unix time.
# TYPE slipway_jenkins_last_answer_timestamp_seconds gauge
# HELP slipway_jenkins_up 1 if Jenkins answered the last call, 0 if it did not or was never called.
# TYPE slipway_jenkins_up gauge
`
	compare(counters)
	at := time.Unix(1_700_000_000, 500_000_000)
	m.Watch(func() (time.Time, time.Time, bool) { return time.Time{}, at, false })
	compare(counters + gauges + "slipway_jenkins_breaker_open 0\nslipway_jenkins_last_answer_timestamp_seconds 1.7000000005e+09\nslipway_jenkins_up 1\n")
	m.Watch(func() (time.Time, time.Time, bool) { return at, at, true })
	compare(counters + gauges + "slipway_jenkins_breaker_open 1\nslipway_jenkins_last_answer_timestamp_seconds 1.7000000005e+09\nslipway_jenkins_up 0\n")
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
