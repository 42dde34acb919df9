// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

func TestWithRateLimit(t *testing.T) {
	var rejected []string
	h := WithRateLimit(respond(200), RateLimits{PerSecond: 0.001, Burst: 2, Streams: 1},
		func(reason string) { rejected = append(rejected, reason) }, func(r *http.Request) bool { return r.URL.Path == "/healthz" })
	call := func(user, path string) *httptest.ResponseRecorder {
		r := withInfo(httptest.NewRequest(http.MethodGet, path, nil), &request.Info{})
		if user != "" {
			r = withUser(r, user)
		}
		return serve(h, r)
	}
	for i, want := range []int{200, 200, 429, 429} {
		if got := call("ann", "/"); got.Code != want || (want == 429) != (got.Header().Get("Retry-After") != "") {
			t.Errorf("request %d of ann: %d, Retry-After %q, want %d", i, got.Code, got.Header().Get("Retry-After"), want)
		}
	}
	if got := call("bob", "/").Code; got != 200 {
		t.Errorf("bob: %d, want 200: users do not share a limit", got)
	}
	if got := call("", "/").Code; got != 200 {
		t.Errorf("no user: %d, want 200: counted by address", got)
	}
	if got := call("ann", "/healthz").Code; got != 200 {
		t.Errorf("exempt: %d, want 200", got)
	}
	if len(rejected) != 2 {
		t.Errorf("rejected %v, want two", rejected)
	}
}

func TestWithRateLimitOfStreams(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := WithRateLimit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case entered <- struct{}{}:
			<-release
		default:
		}
	}), RateLimits{PerSecond: 1000, Burst: 1000, Streams: 1}, func(string) {}, never)
	stream := func() *http.Request {
		return withUser(withInfo(httptest.NewRequest(http.MethodGet, "/", nil), &request.Info{LongRunning: true}), "ann")
	}
	done := make(chan struct{})
	go func() { defer close(done); serve(h, stream()) }()
	<-entered
	if got := serve(h, stream()).Code; got != 429 {
		t.Errorf("a second stream: %d, want 429", got)
	}
	close(release)
	<-done
	if got := serve(h, stream()).Code; got != 200 {
		t.Errorf("after the first has ended: %d, want 200", got)
	}
}

func TestWithRateLimitOff(t *testing.T) {
	h := WithRateLimit(respond(200), RateLimits{}, func(string) { t.Error("rejected") }, never)
	for range 100 {
		if got := serve(h, httptest.NewRequest(http.MethodGet, "/", nil)).Code; got != 200 {
			t.Fatalf("%d, want 200", got)
		}
	}
}
