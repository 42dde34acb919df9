// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"sync"
)

// slots bound how much is done at once, in all and by each tenant, so that nobody with a slow repository keeps others waiting.
type slots struct {
	all  chan struct{}
	each int
	mu   sync.Mutex
	of   map[string]*tenantSlots
}

type tenantSlots struct {
	free chan struct{}
	// users wait for one or have one.
	users int
}

func newSlots(all, each int) *slots {
	return &slots{all: make(chan struct{}, all), each: each, of: map[string]*tenantSlots{}}
}

// take waits for a slot of a tenant; ok is false if ctx ended before. release must be called once if it is true.
func (s *slots) take(ctx context.Context, tenant string) (release func(), ok bool) {
	s.mu.Lock()
	t := s.of[tenant]
	if t == nil {
		t = &tenantSlots{free: make(chan struct{}, s.each)}
		s.of[tenant] = t
	}
	t.users++
	s.mu.Unlock()
	select {
	case t.free <- struct{}{}:
	case <-ctx.Done():
		s.leave(tenant, t)
		return nil, false
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-t.free
		s.leave(tenant, t)
		return nil, false
	}
	return func() {
		<-s.all
		<-t.free
		s.leave(tenant, t)
	}, true
}

func (s *slots) leave(tenant string, t *tenantSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(s.of, tenant)
	}
}
