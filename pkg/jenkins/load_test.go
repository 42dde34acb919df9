// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestManyCalls: 10,000 calls, good and bad, whole answers and streams that are given up, leave no goroutine and no connection beyond the pool's.
func TestManyCalls(t *testing.T) {
	const calls, workers = 10_000, 50
	var mu sync.Mutex
	open, most := map[net.Conn]bool{}, 0
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/json":
			w.Header().Set("X-Jenkins", "2")
			_, _ = io.WriteString(w, "{}")
		case "/job/f/job/j/1/logText/progressiveText":
			w.Header().Set("X-Text-Size", "4096")
			_, _ = w.Write(make([]byte, 4096))
		default:
			notFound(w, r)
		}
	}))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch s {
		case http.StateNew:
			opened.Add(1)
			open[c] = true
			most = max(most, len(open))
		case http.StateClosed, http.StateHijacked:
			delete(open, c)
		}
	}
	srv.Start()
	c := client(t, Config{URL: srv.URL, Username: "u", Token: "t"})
	before := runtime.NumGoroutine()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(workers)
	for i := range calls {
		g.Go(func() error {
			switch i % 4 {
			case 0:
				return c.Ping(ctx)
			case 1:
				return c.DeleteJob(ctx, "f", "nosuch")
			case 2:
				text, _, _, err := c.Log(ctx, "f", "j", 1, 0)
				if err != nil {
					return err
				}
				if i%8 == 2 { // the reader may go away before it has read anything
					_, _ = io.Copy(io.Discard, text)
				}
				return text.Close()
			}
			_, err := c.BuildStatuses(ctx, "nosuch")
			return ignoreNotFound(err)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	// The transport closes what is more than it keeps; the server sees that a moment later.
	stillOpen := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}
	for deadline := time.Now().Add(10 * time.Second); stillOpen() > poolIdle && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	idle := stillOpen()
	if most > poolSize || idle > poolIdle {
		t.Errorf("%d connections at a time, %d afterwards; the pool has %d and keeps %d", most, idle, poolSize, poolIdle)
	}
	c.CloseIdleConnections()
	srv.Close()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	after := runtime.NumGoroutine()
	if after > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	t.Logf("%d calls by %d callers: %d connections opened, at most %d at a time, %d open afterwards; goroutines %d before, %d after",
		calls, workers, opened.Load(), most, idle, before, after)
}
