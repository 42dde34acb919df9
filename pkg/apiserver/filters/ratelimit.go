// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/metrics"
)

// trackedClients bounds the memory for clients. One that is forgotten begins anew.
const trackedClients = 10000

// RateLimits bound what one user may ask for.
type RateLimits struct {
	// PerSecond is the lasting rate of requests; 0 turns this filter off.
	PerSecond float64
	// Burst is how many may come at once.
	Burst int
	// Streams is how many watches, followed logs and downloads a user may have open.
	Streams int
}

// WithRateLimit turns requests away with 429 if their user sends too many, or has too many streams.
// Callers without a user are told apart by their address.
func WithRateLimit(next http.Handler, limits RateLimits, reject func(reason string), exempt func(*http.Request) bool) http.Handler {
	if limits.PerSecond <= 0 {
		return next
	}
	clients := &clients{limits: limits, known: lru.New(trackedClients)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		c := clients.of(r)
		reservation := c.limiter.Reserve()
		if wait := reservation.Delay(); wait > 0 {
			reservation.Cancel()
			reject(metrics.RejectedRate)
			response.Error(w, r, response.TooManyRequests("you send too many requests; wait, or watch instead of polling",
				int((wait+time.Second-1)/time.Second)))
			return
		}
		if infoFrom(r).LongRunning {
			if !c.open(limits.Streams) {
				reject(metrics.RejectedStreams)
				response.Error(w, r, response.TooManyRequests("you have too many streams open; close some", 1))
				return
			}
			defer c.close()
		}
		next.ServeHTTP(w, r)
	})
}

type clients struct {
	limits RateLimits
	mu     sync.Mutex
	known  *lru.Cache
}

type client struct {
	limiter *rate.Limiter
	mu      sync.Mutex
	streams int
}

// of gives what is known of the client that sent the request.
func (c *clients) of(r *http.Request) *client {
	key := "address:" + clientAddress(r)
	if u, ok := request.UserFrom(r.Context()); ok {
		key = "user:" + u.GetName()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known.Get(key); ok {
		return known.(*client)
	}
	made := &client{limiter: rate.NewLimiter(rate.Limit(c.limits.PerSecond), c.limits.Burst)}
	c.known.Add(key, made)
	return made
}

func (c *client) open(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams >= limit {
		return false
	}
	c.streams++
	return true
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams--
}
