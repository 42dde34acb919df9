// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// LockRequest asks for named locks, all at once.
type LockRequest struct {
	// ID is unique over all requests and stable over a restart of the server.
	ID string
	// Names are the locks. One of each exists.
	Names []string
	// Holder is how others name who holds them ("team » app #7").
	Holder string
	// Since is when they were first asked for: who waited before a restart keeps his place. Zero is now.
	Since time.Time `json:"since,omitzero"`
	// First puts the request in front of those that wait.
	First bool
	// NoWait gives up at once if a lock is held.
	NoWait bool
}

// Locks are what the step lock waits for.
type Locks interface {
	// Acquire waits until all locks are free and takes them. Before it waits, and when what it waits for
	// changes, it calls waiting with a lock and its holder. release is nil if NoWait gave up; else it must
	// be called once. The error is that of ctx.
	Acquire(ctx context.Context, req LockRequest, waiting func(name, holder string)) (release func(), err error)
}

// LockTable holds the locks of a process. Its zero value is ready.
type LockTable struct {
	mu   sync.Mutex
	held map[string]lockHolder
	line []*lockWait
}

// lockHolder is who has a lock: the request's ID and what others call it.
type lockHolder struct{ id, name string }

type lockWait struct {
	req   LockRequest
	ready chan struct{}
	// changed gets a signal when the holders have changed.
	changed chan struct{}
}

// Scope gives the locks of one tenant: equal names in different scopes are different locks.
func (t *LockTable) Scope(scope string) Locks { return scopedLocks{t, scope + "\x00"} }

type scopedLocks struct {
	t      *LockTable
	prefix string
}

func (s scopedLocks) Acquire(ctx context.Context, req LockRequest, waiting func(name, holder string)) (func(), error) {
	req = s.prefixed(req)
	return s.t.acquire(ctx, req, func(name, holder string) { waiting(strings.TrimPrefix(name, s.prefix), holder) })
}

// prefixed makes the names those of the table.
func (s scopedLocks) prefixed(req LockRequest) LockRequest {
	names := make([]string, len(req.Names))
	for i, n := range req.Names {
		names[i] = s.prefix + n
	}
	slices.Sort(names)
	req.Names = slices.Compact(names)
	return req
}

// Restore implements LockRestorer.
func (s scopedLocks) Restore(req LockRequest) (release func()) {
	req = s.prefixed(req)
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if s.t.held == nil {
		s.t.held = map[string]lockHolder{}
	}
	for _, n := range req.Names {
		s.t.held[n] = lockHolder{req.ID, req.Holder}
	}
	return sync.OnceFunc(func() { s.t.release(req) })
}

func (t *LockTable) acquire(ctx context.Context, req LockRequest, waiting func(name, holder string)) (func(), error) {
	t.mu.Lock()
	w := &lockWait{req: req, ready: make(chan struct{}), changed: make(chan struct{}, 1)}
	t.line = slices.Insert(t.line, t.place(req), w)
	t.grant()
	t.mu.Unlock()
	told := [2]string{}
	for {
		t.mu.Lock()
		granted, name, holder := t.state(w)
		if !granted && (req.NoWait || ctx.Err() != nil) {
			t.leave(w)
			t.mu.Unlock()
			return nil, ctx.Err()
		}
		t.mu.Unlock()
		if granted {
			return sync.OnceFunc(func() { t.release(req) }), nil
		}
		if now := [2]string{name, holder}; now != told {
			told = now
			waiting(name, holder)
		}
		select {
		case <-w.ready:
		case <-w.changed:
		case <-ctx.Done():
		}
	}
}

// place is where a request belongs in the line: behind those that were asked for before it, or with First before them. t.mu is held.
func (t *LockTable) place(req LockRequest) int {
	later := func(o *lockWait) bool { return !req.Since.IsZero() && o.req.Since.After(req.Since) }
	if req.First {
		n := 0
		for n < len(t.line) && t.line[n].req.First && later(t.line[n]) {
			n++
		}
		return n
	}
	n := len(t.line)
	for n > 0 && !t.line[n-1].req.First && later(t.line[n-1]) {
		n--
	}
	return n
}

// state tells if w has its locks, else one of them that it lacks and who has it or will have it first.
func (t *LockTable) state(w *lockWait) (granted bool, name, holder string) {
	select {
	case <-w.ready:
		return true, "", ""
	default:
	}
	for _, n := range w.req.Names {
		if h, ok := t.held[n]; ok {
			return false, n, h.name
		}
	}
	for _, o := range t.line {
		if o == w {
			break
		}
		for _, n := range w.req.Names {
			if slices.Contains(o.req.Names, n) {
				return false, n, o.req.Holder
			}
		}
	}
	return false, w.req.Names[0], ""
}

// grant gives free locks to those who wait, in their order. Who waits for a lock keeps those behind
// from overtaking with it, so that nobody waits for ever. t.mu is held.
func (t *LockTable) grant() {
	if t.held == nil {
		t.held = map[string]lockHolder{}
	}
	reserved := map[string]bool{}
	t.line = slices.DeleteFunc(t.line, func(w *lockWait) bool {
		free := !slices.ContainsFunc(w.req.Names, func(n string) bool {
			_, held := t.held[n]
			return held || reserved[n]
		})
		for _, n := range w.req.Names {
			if free {
				t.held[n] = lockHolder{w.req.ID, w.req.Holder}
			} else {
				reserved[n] = true
			}
		}
		if free {
			close(w.ready)
		}
		return free
	})
	for _, w := range t.line {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

func (t *LockTable) leave(w *lockWait) {
	t.line = slices.DeleteFunc(t.line, func(o *lockWait) bool { return o == w })
	t.grant()
}

func (t *LockTable) release(req LockRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range req.Names {
		if t.held[n].id == req.ID {
			delete(t.held, n)
		}
	}
	t.grant()
}
