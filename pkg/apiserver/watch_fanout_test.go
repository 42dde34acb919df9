// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	cachetesting "k8s.io/client-go/tools/cache/testing"
)

// readWatch reads lines of a watch until the runs that were changed have been seen so often, and counts them in seen.
func readWatch(ctx context.Context, url, credential string, want int, seen *atomic.Int64) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", credential)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	seen.Add(1)
	lines := bufio.NewReader(resp.Body)
	for got := 0; got < want; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after %d events: %w", got, err)
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if !strings.HasPrefix(line, `{"type":"MODIFIED","object":{"kind":"PipelineRun"`) || !strings.Contains(line, `"name":"pipeline-0"`) {
			return fmt.Errorf("event %d: %.200s", got, line)
		}
		got++
		seen.Add(1)
	}
	return nil
}

// TestWatchFanOut has 500 watchers from the version of a list on; some read nothing and are cut.
func TestWatchFanOut(t *testing.T) {
	const watchers, deaf, changes = 500, 10, 40
	h, source, credential := newBench(t, 1000, func(c *Config) {
		c.Limits.StreamWrite = 10 * time.Second // nobody who reads is cut on a slow machine
	})
	server := httptest.NewServer(h)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	var list struct{ ResourceVersion string }
	if err := json.Unmarshal(benchGet(t, h, credential, benchPath+"?limit=1").Body.Bytes(), &list); err != nil || list.ResourceVersion == "" {
		t.Fatalf("%+v, %v: want a resourceVersion", list, err)
	}
	query := "?watch=true&resourceVersion=" + list.ResourceVersion
	for range deaf {
		conn := deafWatcher(t, server, query, credential)
		defer func() { _ = conn.Close() }()
	}
	var wg sync.WaitGroup
	var seen atomic.Int64
	errs := make(chan error, watchers)
	for range watchers - deaf {
		wg.Go(func() { errs <- readWatch(ctx, server.URL+benchPath+query, credential, changes, &seen) })
	}
	g := gomega.NewWithT(t)
	g.Eventually(seen.Load, "2m").Should(gomega.BeNumerically("==", watchers-deaf), "all watch")
	for i := range changes {
		// Every second one is of another pipeline.
		source.Modify(benchRun(2*i + 1))
		source.Modify(benchRun(2 * i))
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	flood(g, source, h, credential)
}

// deafWatcher begins a watch and reads nothing of it.
func deafWatcher(t *testing.T, server *httptest.Server, query, credential string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", benchPath+query, credential); err != nil {
		t.Fatal(err)
	}
	return conn
}

// flood changes runs until the connections of those who do not read are full, and waits until they are cut.
func flood(g *gomega.WithT, source *cachetesting.FakeControllerSource, h http.Handler, credential string) {
	cut := func() bool {
		for i := range 200 {
			source.Modify(benchRun(2 * (i % 50)))
		}
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", credential)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return strings.Contains(w.Body.String(), "slow_clients_total 10\n")
	}
	g.Eventually(cut, "3m", "200ms").Should(gomega.BeTrue(), "those who do not read are cut")
}
