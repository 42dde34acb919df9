// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// effect runs live without the baton and returns what live returned. Everything that a script cannot
// work out by itself has to go through effect or observe: a build that goes on after a restart of the
// server runs its script again from the top and gets here what was recorded the first time. value has
// to survive JSON. id names this very execution ("BUILD-BRANCH.N"); it is the same after a restart, so
// live can find again what it began before. live must not touch the build: what it does to b, the
// graph or the script has to come after effect has returned, from its value. Of a step's own log only live
// may write while it runs. An effect must be asked for with the baton in hand.
func effect[T any](ctx context.Context, b *build, kind string, live func(ctx context.Context, id string) (T, error)) (value T, err error) {
	return perform(ctx, b, effectOptions{kind: kind}, func(ctx context.Context, x *execution) (T, error) { return live(ctx, x.id) })
}

// observe is effect for what takes no time, such as the clock or a random number: the baton stays.
func observe[T any](ctx context.Context, b *build, kind string, read func() T) T {
	key := flowOf(ctx).branch.next()
	if !b.durable() {
		return read()
	}
	var value T
	if ev, ok := b.recall(key, kind); ok {
		if err := json.Unmarshal(ev.Value, &value); err != nil {
			b.breakOff(misfit(err))
		}
		return value
	}
	value = read()
	if b.stopped() != nil {
		return value
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = b.append(Event{Key: key, Kind: kind, Value: data})
	}
	if err == nil {
		var again T // what a replay will give
		if err = json.Unmarshal(data, &again); err == nil {
			return again
		}
	}
	if b.stopped() == nil {
		b.breakOff(fmt.Errorf("engine: %s: %w", kind, err))
	}
	return value // the next step sees that the build has stopped
}

// now is the time as the script sees it.
func (b *build) now(ctx context.Context) time.Time { return observe(ctx, b, "time", time.Now) }

// Now implements groovy.Observer.
func (h *host) Now(ctx context.Context) time.Time { return h.b.now(ctx) }

// Random implements groovy.Observer.
func (h *host) Random(ctx context.Context) uint64 { return observe(ctx, h.b, "random", rand.Uint64) }

// onAgent is effect for what talks to the agent of the current flow. An error is the agent's, unless
// the context has ended or it is an exception of the script already.
func onAgent[T any](ctx context.Context, c *stepCall, live func(ctx context.Context, a *agentHandle, id string) (T, error)) (value T, err error) {
	return agentEffect(ctx, c, effectOptions{kind: c.name}, live)
}

func agentEffect[T any](ctx context.Context, c *stepCall, o effectOptions, live func(ctx context.Context, a *agentHandle, id string) (T, error)) (value T, err error) {
	a := flowOf(ctx).agent
	value, err = perform(ctx, c.b, o, func(ctx context.Context, x *execution) (value T, err error) {
		found, done := ctx, func() {}
		if ctx.Err() != nil { // what it was stopping before a restart has to be stopped all the same
			found, done = c.b.detached(ctx, releaseTimeout)
		}
		err = a.resume(found)
		done()
		if err != nil {
			return value, err
		}
		value, err = live(ctx, a, x.id)
		return value, stepFailure(err)
	})
	if err == nil {
		return value, nil
	}
	var e *groovy.Exception
	switch {
	case c.b.stopped() != nil:
		return value, err
	case ctx.Err() != nil:
		return value, interrupted(ctx)
	case errors.As(err, &e):
		return value, err
	}
	return value, &agentError{agent: a.Name(), err: err}
}

// branchCount counts the effects of one branch; both make up their keys.
type branchCount struct {
	name string
	n    int
}

func (c *branchCount) next() string {
	c.n++
	return c.name + "." + itoa(c.n)
}

// effectID is the ID of an execution in the world outside.
func (b *build) effectID(key string) string { return b.buildID() + "-" + key }

// effectOptions say how an effect is done.
type effectOptions struct {
	kind string
	// note is the line in the step's log when it is stopped; announce is called before. Empty is none.
	note     string
	announce func()
	// always is set for what gives something back, which a build that can not go on still does.
	always bool
}

// execution is one effect while it runs.
type execution struct {
	b             *build
	key, id, kind string
}

// deadline is the end of a wait of d; after a restart it is what it was.
func (x *execution) deadline(d time.Duration) (time.Time, error) {
	return x.b.deadline(x.key, x.kind, d)
}

// told are the texts that tell was called with before a restart.
func (x *execution) told() []string {
	var out []string
	for _, ev := range x.b.journal.begun[x.key] {
		var texts []string
		if ev.Kind == kindWaiting && json.Unmarshal(ev.Value, &texts) == nil {
			out = append(out, texts...)
		}
	}
	return out
}

// since is when something was first told, now if nothing was told before a restart.
func (x *execution) since(now time.Time) time.Time {
	for _, ev := range x.b.journal.begun[x.key] {
		if ev.Kind == kindWaiting {
			return ev.Time
		}
	}
	return now
}

// tell keeps that something was shown, so that it is not shown again after a restart.
func (x *execution) tell(texts ...string) {
	data, err := json.Marshal(texts)
	if err == nil && x.b.durable() {
		_ = x.b.append(Event{Key: x.key, Kind: kindWaiting, Begin: true, Value: data}) // a failure stops the build
	}
}

// perform does an effect or gives what is recorded of it.
func perform[T any](ctx context.Context, b *build, o effectOptions, live func(ctx context.Context, x *execution) (T, error)) (value T, err error) {
	f := flowOf(ctx)
	x := &execution{b: b, kind: o.kind, key: f.branch.next()}
	x.id = b.effectID(x.key)
	// skip tells if the build has stopped and this is not to be done.
	skip := func() error {
		if err := b.stopped(); err != nil && (!o.always || b.suspended()) {
			return err
		}
		return nil
	}
	if err := skip(); err != nil {
		return value, err
	}
	begin := f.out.written()
	if o.note != "" || o.announce != nil {
		h := &hook{key: x.key, text: o.note, begin: begin, fire: o.announce}
		if o.note != "" {
			h.out = f.out
		}
		b.hookFor(ctx, h)
		defer b.unhook(h)
	}
	a := b.baton.ask(x.key, x.kind)
	if a.event != nil {
		return replayed[T](b, f.out, begin, *a.event)
	}
	if err := skip(); err != nil {
		b.baton.takeOutside()
		return value, err
	}
	err = b.guarded(func() (err error) {
		value, err = live(ctx, x)
		return err
	})
	b.baton.takeOutside()
	f.out.endLine()
	if stop := b.stopped(); stop != nil || !b.durable() {
		if stop != nil && !o.always {
			err = stop
		}
		return value, err
	}
	return settle(b, Event{Key: x.key, Kind: x.kind, Step: f.out.stepID(), Output: f.out.written() - begin}, value, err)
}

// settle records how an effect has ended. What it gives is what a replay will give.
func settle[T any](b *build, ev Event, value T, err error) (out T, _ error) {
	var encodeErr error
	if ev.Value, encodeErr = json.Marshal(value); encodeErr != nil {
		encodeErr = fmt.Errorf("engine: the value of %s: %w", ev.Kind, encodeErr)
		ev.Value, err = nil, errors.Join(err, encodeErr)
	}
	if err != nil {
		if ev.Error, encodeErr = json.Marshal(recordError(err)); encodeErr != nil {
			return out, encodeErr
		}
	}
	ev.Turn = b.baton.count()
	if err := b.append(ev); err != nil {
		return value, err
	}
	return outcome[T](b, ev)
}

// replayed gives what is recorded. The output is in the log already.
func replayed[T any](b *build, out *lineWriter, begin int64, ev Event) (T, error) {
	if ev.Output > 0 {
		out.skipped(begin, ev.Output)
		b.rec.skip(ev.Step, ev.Output)
	}
	return outcome[T](b, ev)
}

func outcome[T any](b *build, ev Event) (value T, err error) {
	if len(ev.Value) > 0 {
		if err := json.Unmarshal(ev.Value, &value); err != nil {
			b.breakOff(misfit(err))
			return value, b.stopped()
		}
	}
	if len(ev.Error) > 0 {
		var rec errorRecord
		if err := json.Unmarshal(ev.Error, &rec); err != nil {
			b.breakOff(misfit(err))
			return value, b.stopped()
		}
		return value, rec.err()
	}
	return value, nil
}
