// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// checked is the result of a check.
type checked struct {
	name string
	// err says in words for anybody why it failed, nil if it is good.
	err error
}

// readiness checks whether the server takes requests.
func (s *Server) readiness(ctx context.Context) []checked {
	shutdown := checked{name: "shutdown"}
	if s.stopping.Load() {
		shutdown.err = errStopping
	}
	results := []checked{shutdown}
	for _, name := range slices.Sorted(maps.Keys(s.config.Checks)) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		results = append(results, checked{name, s.config.Checks[name](ctx)})
		cancel()
	}
	return results
}

// health answers as Kubernetes does: "ok", or line by line what is good and what is not. Kubernetes keeps the reasons
// to itself; here they are said, as nobody could tell otherwise what a server that is not ready waits for.
func health(checks func(*http.Request) []checked) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var text strings.Builder
		code := http.StatusOK
		for _, check := range checks(r) {
			switch {
			case slices.Contains(r.URL.Query()["exclude"], check.name):
				fmt.Fprintf(&text, "[+]%s excluded: ok\n", check.name)
			case check.err != nil:
				fmt.Fprintf(&text, "[-]%s failed: %s\n", check.name, check.err)
				code = http.StatusInternalServerError
			default:
				fmt.Fprintf(&text, "[+]%s ok\n", check.name)
			}
		}
		answer := "ok"
		switch {
		case code != http.StatusOK:
			answer = text.String() + "check failed\n"
		case r.URL.Query().Has("verbose"):
			answer = text.String() + "check passed\n"
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(answer)) // an error is a client that is gone
	})
}

// tellEvery is how often the log says what the server waits for at its start.
const tellEvery = 10 * time.Second

// tellWhy logs what the server waits for until the context ends.
func (s *Server) tellWhy(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, check := range s.readiness(ctx) {
			if check.err != nil && ctx.Err() == nil {
				s.config.Log.Info("not ready yet", "check", check.name, "reason", check.err.Error())
			}
		}
	}
}
