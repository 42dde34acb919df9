// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

const recordings = "testdata/recordings/"

// replay returns a client of a server that answers from the recordings, logged in by token.
func replay(t *testing.T, files ...string) (*Client, *jenkinstest.Server) {
	t.Helper()
	for i := range files {
		files[i] = recordings + files[i]
	}
	srv := jenkinstest.Replay(t, files...)
	return client(t, Config{URL: srv.URL, Username: jenkinstest.User, Token: jenkinstest.Token}), srv
}

// handler returns a client of a server that answers by the function.
func handler(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return client(t, Config{URL: srv.URL, Username: "u", Token: "t0ken-secret"})
}

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.RecheckDelay, cfg.LogPoll = time.Millisecond, time.Millisecond
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// notFound says it as Jenkins does.
func notFound(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Jenkins", "2")
	http.NotFound(w, r)
}
