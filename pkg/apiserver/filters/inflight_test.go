// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
)

type load struct{ rejected []string }

func (l *load) InFlight(bool) func() { return func() {} }
func (l *load) Reject(reason string) { l.rejected = append(l.rejected, reason) }

func TestWithInFlightLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-release
		}
	})
	counts := &load{}
	limited := WithInFlightLimit(h, InFlightLimits{Requests: 1, Streams: 1}, counts, func(r *http.Request) bool { return r.URL.Path == "/healthz" })
	call := func(path string, stream bool) int {
		return serve(limited, withInfo(httptest.NewRequest(http.MethodGet, path, nil), &request.Info{LongRunning: stream})).Code
	}
	done := make(chan int)
	go func() { done <- call("/slow", false) }()
	<-entered

	if got := call("/x", false); got != 429 {
		t.Errorf("a second request: %d, want 429", got)
	}
	if got := call("/x", true); got != 200 {
		t.Errorf("a stream: %d, want 200: streams are counted apart", got)
	}
	if got := call("/healthz", false); got != 200 {
		t.Errorf("a health check: %d, want 200", got)
	}
	close(release)
	if got := <-done; got != 200 {
		t.Errorf("the first request: %d, want 200", got)
	}
	if got := call("/x", false); got != 200 {
		t.Errorf("after the first has ended: %d, want 200", got)
	}
	if len(counts.rejected) != 1 {
		t.Errorf("rejected %v, want one", counts.rejected)
	}
}
