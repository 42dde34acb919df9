// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"time"
)

// effect runs live without the baton and returns what live returned. Everything that a script cannot
// work out by itself has to go through effect or observe: a build that goes on after a restart of the
// server runs its script again from the top and gets here what was recorded the first time. value has
// to survive JSON. id names this very execution ("BUILD-BRANCH.N"); it is the same after a restart, so
// live can find again what it began before. live must not touch the build: what it does to b, the
// graph or the script has to come after effect has returned, from its value.
func effect[T any](ctx context.Context, b *build, kind string, live func(ctx context.Context, id string) (T, error)) (value T, err error) {
	b.baton.aside(func() { value, err = live(ctx, kind) })
	return value, err
}

// observe is effect for what takes no time, such as the clock or a random number: the baton stays.
func observe[T any](ctx context.Context, b *build, kind string, read func() T) T {
	_, _, _ = ctx, b, kind
	return read()
}

// now is the time as the script sees it.
func (b *build) now(ctx context.Context) time.Time { return observe(ctx, b, "time", time.Now) }

// onAgent is effect for what talks to the agent of the current flow. An error is the agent's, unless
// the context has ended or it is an exception of the script already.
func onAgent[T any](ctx context.Context, c *stepCall, live func(ctx context.Context, a *agentHandle, id string) (T, error)) (value T, err error) {
	err = c.agent(ctx, func(a *agentHandle) (err error) {
		value, err = live(ctx, a, c.name)
		return err
	})
	return value, err
}
