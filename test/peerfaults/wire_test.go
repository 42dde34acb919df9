// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package peerfaults

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// call is a request that went over a wire.
type call struct {
	at time.Time
	// method is the HTTP method, path the path as it was sent, with its escapes.
	method, path string
	query        url.Values
	header       http.Header
	// body is that of a write.
	body string
}

// about tells if a call has to do with a project.
func (c *call) about(project string) bool {
	return strings.Contains(c.path, "/"+project) || strings.Contains(c.body, `"`+project+`"`) || strings.Contains(c.body, "/"+project) || strings.Contains(c.query.Encode(), project)
}

// fault is what a test does to requests. It tells if it has answered.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

// wire passes requests of one server on to another, keeps them, and does to them what tests ask for.
type wire struct {
	*httptest.Server
	next http.Handler
	// connections counts those that were opened.
	connections atomic.Int64

	mu     sync.Mutex
	calls  []call
	faults map[int]fault
	count  int
}

func newWire(next http.Handler) *wire {
	w := &wire{next: next, faults: map[int]fault{}}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.connections.Add(1)
		}
	}
	w.Start()
	return w
}

// maxKept bounds what is kept of a body.
const maxKept = 64 << 10

func (w *wire) serve(rw http.ResponseWriter, r *http.Request) {
	c := call{at: time.Now(), method: r.Method, path: r.URL.EscapedPath(), query: r.URL.Query(), header: r.Header.Clone()}
	if r.Method != http.MethodGet && r.ContentLength > 0 && r.ContentLength < maxKept {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		c.body, r.Body = string(body), io.NopCloser(bytes.NewReader(body))
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	faults := make([]fault, 0, len(w.faults))
	for _, f := range w.faults {
		faults = append(faults, f)
	}
	w.mu.Unlock()
	for _, f := range faults {
		if f(rw, r, w.next) {
			return
		}
	}
	w.next.ServeHTTP(rw, r)
}

// breaks lets a fault work until the test ends, or the function is called.
func (w *wire) breaks(tb testing.TB, f fault) (mend func()) {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	id := w.count
	w.faults[id] = f
	mend = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.faults, id)
	}
	tb.Cleanup(mend)
	return mend
}

// since gives the calls from a time on that have to do with a project.
func (w *wire) since(begin time.Time, project string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []call
	for i := range w.calls {
		if c := &w.calls[i]; !c.at.Before(begin) && (project == "" || c.about(project)) {
			found = append(found, *c)
		}
	}
	return found
}

// lines writes calls for people.
func lines(calls []call) string {
	var b strings.Builder
	for i := range calls {
		b.WriteString("\n\t" + calls[i].method + " " + calls[i].path)
		if q := calls[i].query.Encode(); q != "" {
			b.WriteString("?" + q)
		}
	}
	return b.String()
}

// kept gives those calls for which a function holds.
func kept(calls []call, holds func(*call) bool) []call {
	var out []call
	for i := range calls {
		if holds(&calls[i]) {
			out = append(out, calls[i])
		}
	}
	return out
}
