// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const jenkins = "jenkins"

// codeNone is the code of a request to Jenkins that got no answer.
const codeNone = "none"

// JenkinsState says how it is with Jenkins: since when there is no answer (zero if there is one), when the last one came, and whether calls
// are refused until there is one again.
type JenkinsState func() (since, lastAnswer time.Time, open bool)

// Jenkins are the metrics of the client of Jenkins. The label op is the client's name of the call in snake case, "start_build".
type Jenkins struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	restarts prometheus.Counter

	up, open, lastAnswer *prometheus.Desc
	state                atomic.Pointer[JenkinsState]
}

// NewJenkins makes the metrics and registers them. A registerer that has them already gives those.
func NewJenkins(registerer prometheus.Registerer) (*Jenkins, error) {
	j := &Jenkins{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: jenkins, Name: "requests_total",
			Help: "Requests sent to Jenkins by call and HTTP status code; none if no answer came.",
		}, []string{"op", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: jenkins, Name: "request_duration_seconds",
			Help:    "Time until Jenkins' answer began, by call.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"op"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: jenkins, Name: "refused_calls_total",
			Help: "Calls that were not sent, as Jenkins does not answer.",
		}, []string{"op"}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: jenkins, Name: "restarts_total",
			Help: "Restarts of Jenkins that were noticed.",
		}),
		up: prometheus.NewDesc(prometheus.BuildFQName(namespace, jenkins, "up"),
			"1 if Jenkins answered the last call, 0 if it did not or was never called.", nil, nil),
		open: prometheus.NewDesc(prometheus.BuildFQName(namespace, jenkins, "breaker_open"),
			"1 while calls are refused, as Jenkins does not answer.", nil, nil),
		lastAnswer: prometheus.NewDesc(prometheus.BuildFQName(namespace, jenkins, "last_answer_timestamp_seconds"),
			"When Jenkins last answered, in Unix time.", nil, nil),
	}
	err := registerer.Register(j)
	var registered prometheus.AlreadyRegisteredError
	if errors.As(err, &registered) {
		if known, ok := registered.ExistingCollector.(*Jenkins); ok {
			return known, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("register metrics of Jenkins: %w", err)
	}
	return j, nil
}

// Watch shows the state of a client from now on.
func (j *Jenkins) Watch(state JenkinsState) { j.state.Store(&state) }

// Request counts a request that was sent; code is 0 if no answer came.
func (j *Jenkins) Request(op string, code int, took time.Duration) {
	op = snake(op)
	text := codeNone
	if code != 0 {
		text = strconv.Itoa(code)
	}
	j.requests.WithLabelValues(op, text).Inc()
	j.duration.WithLabelValues(op).Observe(took.Seconds())
}

// Refused counts a call that was not sent.
func (j *Jenkins) Refused(op string) { j.refused.WithLabelValues(snake(op)).Inc() }

// Restarted counts a restart.
func (j *Jenkins) Restarted() { j.restarts.Inc() }

func snake(op string) string { return strings.ReplaceAll(op, " ", "_") }

// Describe implements prometheus.Collector.
func (j *Jenkins) Describe(ch chan<- *prometheus.Desc) {
	j.requests.Describe(ch)
	j.duration.Describe(ch)
	j.refused.Describe(ch)
	j.restarts.Describe(ch)
	ch <- j.up
	ch <- j.open
	ch <- j.lastAnswer
}

// Collect implements prometheus.Collector.
func (j *Jenkins) Collect(ch chan<- prometheus.Metric) {
	j.requests.Collect(ch)
	j.duration.Collect(ch)
	j.refused.Collect(ch)
	j.restarts.Collect(ch)
	state := j.state.Load()
	if state == nil {
		return
	}
	since, last, open := (*state)()
	ch <- prometheus.MustNewConstMetric(j.up, prometheus.GaugeValue, oneIf(since.IsZero() && !last.IsZero()))
	ch <- prometheus.MustNewConstMetric(j.open, prometheus.GaugeValue, oneIf(open))
	if !last.IsZero() {
		ch <- prometheus.MustNewConstMetric(j.lastAnswer, prometheus.GaugeValue, float64(last.UnixMilli())/1000)
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
