// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"strings"
	"sync"
)

const (
	// atOnce bounds the conversations with servers: what is read of one may take some hundred megabytes of memory
	// and disk while it is looked at.
	atOnce = 32
	// atOncePerProject bounds those of one project, so that a slow server holds up its own project only.
	atOncePerProject = 4
)

// turns gives out the right to talk to a server.
type turns struct {
	all chan struct{}

	mu       sync.Mutex
	projects map[string]*share
}

// share are the turns of a project.
type share struct {
	slots chan struct{}
	// users have a slot or wait for one.
	users int
}

func newTurns() *turns {
	return &turns{all: make(chan struct{}, atOnce), projects: map[string]*share{}}
}

// take waits for a turn. done gives it back.
func (t *turns) take(ctx context.Context, project string) (done func(), err error) {
	t.mu.Lock()
	q := t.projects[project]
	if q == nil {
		q = &share{slots: make(chan struct{}, atOncePerProject)}
		t.projects[project] = q
	}
	q.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if q.users--; q.users == 0 {
			delete(t.projects, project)
		}
	}
	// The project's own first: who waits for that takes no other's place.
	for _, slots := range []chan struct{}{q.slots, t.all} {
		select {
		case slots <- struct{}{}:
			next := leave
			leave = func() { <-slots; next() }
		case <-ctx.Done():
			leave()
			return nil, failure(ErrUnavailable, "too many requests for files of git repositories are under way; try again in a moment")
		}
	}
	return leave, nil
}

// turn waits for a turn of the repository's project, which the key begins with.
func (r *Repository) turn(ctx context.Context) (done func(), err error) {
	project, _, _ := strings.Cut(r.target.Key, "/")
	done, err = r.cache.turns.take(ctx, project)
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, ctx.Err() //nolint:wrapcheck // explain is called on it
	}
	return done, err
}
