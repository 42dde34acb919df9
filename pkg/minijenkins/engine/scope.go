// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// scope is a part of a build that can be cancelled: the build, the block of timeout, the branches of a
// parallel that fails fast, what runs after an abort. Contexts of a build end in no other way, and only
// while somebody holds the baton, so a script that looks whether its context has ended sees the same after
// a restart.
type scope struct {
	key, kind string
	parent    *scope
	ctx       context.Context //nolint:containedctx // it is what the scope stands for
	cancel    context.CancelCauseFunc
	// cause is that of a deadline; nil means that the event has it.
	cause error
	// closed is set when the block has ended. It belongs to who holds the baton.
	closed bool
	// stop ends the wait for the cancel.
	stop chan struct{}
}

// contains tells if in is the scope or stands in it.
func (s *scope) contains(in *scope) bool {
	for ; in != nil; in = in.parent {
		if in == s {
			return true
		}
	}
	return false
}

// hook is what is to be done when steps are cancelled.
type hook struct {
	scope *scope
	// key and out are of the effect that is stopped; out is nil without one.
	key  string
	out  *lineWriter
	text string
	// begin is how much out had written when the effect began.
	begin int64
	fire  func()
	fired bool
}

// hookFor adds a hook for the current flow; the caller removes it with unhook.
func (b *build) hookFor(ctx context.Context, h *hook) *hook {
	h.scope = flowOf(ctx).scope
	b.hooks = append(b.hooks, h)
	return h
}

func (b *build) unhook(h *hook) {
	b.hooks = slices.DeleteFunc(b.hooks, func(o *hook) bool { return o == h })
}

// newScope begins a scope. detached says that the end of ctx does not end it.
func (b *build) newScope(ctx context.Context, kind string, detached bool) (context.Context, *scope) {
	f := flowOf(ctx)
	s := &scope{kind: kind, key: f.branch.next(), parent: f.scope, stop: make(chan struct{})}
	if detached {
		s.parent = nil
		ctx = context.WithoutCancel(ctx)
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	inner := context.WithValue(s.ctx, flowKey{}, func() *flow { c := *f; c.scope = s; return &c }())
	b.scopesMu.Lock()
	b.scopes = append(b.scopes, s)
	b.scopesMu.Unlock()
	if why := b.journal.stop.Load(); why != nil {
		s.cancel(why.err)
	}
	return inner, s
}

// closeScope ends a scope whose block is over. The caller holds the baton.
func (b *build) closeScope(s *scope) {
	s.closed = true
	close(s.stop)
	if s.kind != kindStop && b.baton.unwatch(s.key) {
		b.watchers.Done()
	}
	s.cancel(nil)
	b.scopesMu.Lock()
	b.scopes = slices.DeleteFunc(b.scopes, func(o *scope) bool { return o == s })
	b.scopesMu.Unlock()
}

// hardStop ends all contexts of the build.
func (b *build) hardStop(cause error) {
	b.scopesMu.Lock()
	defer b.scopesMu.Unlock()
	for _, s := range b.scopes {
		s.cancel(cause)
	}
}

// within begins a scope that is cancelled with cause after d. After a restart only the rest of d is left.
func (b *build) within(ctx context.Context, kind string, d time.Duration, cause error, detached bool) (context.Context, *scope, error) {
	inner, s := b.newScope(ctx, kind, detached)
	s.cause = cause
	deadline, err := b.deadline(s.key, kind, d)
	if err != nil {
		b.closeUnwatched(s)
		return inner, nil, err
	}
	b.watchScope(s, func(fire func()) {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		select {
		case <-t.C:
			fire()
		case <-s.stop:
		}
	}, func() error { return cause })
	return inner, s, nil
}

func (b *build) closeUnwatched(s *scope) {
	s.kind = kindStop
	b.closeScope(s)
}

// deadline is the end of a wait of d that begins now or has begun before a restart.
func (b *build) deadline(key, kind string, d time.Duration) (time.Time, error) {
	end := time.Now().Add(d)
	if stop := b.stopped(); !b.durable() || stop != nil {
		return end, stop
	}
	for _, ev := range b.journal.begun[key] {
		if ev.Kind == kind {
			err := json.Unmarshal(ev.Value, &end)
			return end, err
		}
	}
	value, err := json.Marshal(end.Round(0))
	if err != nil {
		return end, err
	}
	return end, b.append(Event{Key: key, Kind: kind, Begin: true, Value: value})
}

// watchScope cancels the scope when wait calls fire, as a turn of its own. wait must return when the scope's
// stop is closed. The caller holds the baton.
func (b *build) watchScope(s *scope, wait func(fire func()), cause func() error) {
	b.watchers.Add(1)
	b.baton.watch(s.key, s.kind, func(a answer) {
		defer b.watchers.Done()
		switch {
		case a.stopped:
		case a.event != nil:
			b.cancelAgain(s, *a.event)
			b.baton.give()
		default:
			wait(func() { b.cancelNow(s, cause()) })
		}
	})
}

// cancelNow waits for a turn and cancels the scope.
func (b *build) cancelNow(s *scope, cause error) {
	if b.baton.takeCancel(func() { b.cancelScope(s, cause, b.m.Steps()) }) {
		b.cancelScope(s, cause, 0)
		b.baton.give()
	}
}

// cancelScope cancels a scope for the first time. at is the script's count of steps if the baton stays with
// who runs the script, else 0.
func (b *build) cancelScope(s *scope, cause error, at int) {
	if s.closed || s.ctx.Err() != nil || b.stopped() != nil {
		return
	}
	v := cancelValue{At: at}
	if b.durable() && s.cause == nil {
		v.Cause = recordError(cause)
		cause = v.Cause.err()
	}
	b.fireHooks(s, v, func(v cancelValue) error {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		ev := Event{Key: s.key, Kind: s.kind, Value: data}
		if at == 0 {
			ev.Turn = b.baton.count()
		}
		return b.append(ev)
	}, cause)
}

// fireHooks cancels the scope when record has kept that, and says so where steps are stopped. What they write
// meanwhile waits, so that the place of the line in their output is known.
func (b *build) fireHooks(s *scope, v cancelValue, record func(cancelValue) error, cause error) {
	var hit []*hook
	for _, h := range b.hooks {
		if !h.fired && s.contains(h.scope) {
			hit = append(hit, h)
		}
	}
	for _, h := range hit {
		if h.out == nil {
			continue
		}
		h.out.mu.Lock()
		defer h.out.mu.Unlock()
		if v.Notes == nil {
			v.Notes = map[string]int64{}
		}
		v.Notes[h.key] = h.out.count - h.begin + b.rec.ahead(h.out.id)
	}
	if b.durable() {
		if record(v) != nil {
			return
		}
	}
	s.cancel(cause)
	for _, h := range hit {
		h.fired = true
		if h.fire != nil {
			h.fire()
		}
		if h.out != nil {
			h.out.insert(h.begin+v.Notes[h.key], h.text)
		}
	}
}

// cancelAgain does in a replay what an event says.
func (b *build) cancelAgain(s *scope, ev Event) {
	var v cancelValue
	if err := json.Unmarshal(ev.Value, &v); err != nil {
		b.breakOff(misfit(err))
		return
	}
	cause := s.cause
	if cause == nil {
		cause = v.Cause.err()
	}
	b.fireAgain(s, v, cause)
}

func (b *build) fireAgain(s *scope, v cancelValue, cause error) {
	s.cancel(cause)
	for _, h := range b.hooks {
		if h.fired || !s.contains(h.scope) {
			continue
		}
		h.fired = true
		if h.fire != nil {
			h.fire()
		}
		if h.out != nil {
			h.out.plan(h.begin+v.Notes[h.key], h.text)
		}
	}
}

// stopScope cancels a scope of a branch that has failed. The caller holds the baton, and what it does follows
// from the script: only how far the output of the steps is, which are stopped, has to be kept.
func (b *build) stopScope(ctx context.Context, s *scope, cause error) {
	if s.closed || s.ctx.Err() != nil || b.stopped() != nil {
		return
	}
	key := flowOf(ctx).branch.next()
	if ev, ok := b.recall(key, kindStop); ok {
		var v cancelValue
		if err := json.Unmarshal(ev.Value, &v); err != nil {
			b.breakOff(misfit(err))
			return
		}
		b.fireAgain(s, v, cause)
		return
	}
	b.fireHooks(s, cancelValue{}, func(v cancelValue) error { return b.note(key, kindStop, v) }, cause)
}

// interject runs cancels that wait while a script computes without giving the baton away.
func (b *build) interject() {
	j := &b.journal
	for len(j.between) > 0 && b.stopped() == nil {
		var v cancelValue
		if err := json.Unmarshal(j.between[0].Value, &v); err != nil {
			b.breakOff(misfit(err))
			return
		}
		if v.At != b.m.Steps() {
			break
		}
		ev := j.between[0]
		j.between = j.between[1:]
		s := b.scopeOf(ev.Key)
		if s == nil {
			b.breakOff(misfit(errors.New("nothing is there that was cancelled")))
			return
		}
		if b.baton.unwatch(s.key) {
			b.watchers.Done()
		}
		b.cancelAgain(s, ev)
	}
	if b.baton.replaying() {
		b.lookUp()
	}
	b.baton.passCancels()
}

// maxAway is how many steps a script may do in one turn of a replay before it can be cancelled.
const maxAway = 200_000

// lookUp starts the waits for cancels if the script, which has come to the end of the history, computes on and
// on: else an endless loop could not be stopped before it has come to its next step.
func (b *build) lookUp() {
	j := &b.journal
	if turn := b.baton.number(); turn != j.loopTurn {
		j.loopTurn, j.loopSteps = turn, b.m.Steps()
	}
	if b.m.Steps()-j.loopSteps > maxAway {
		j.loopSteps = b.m.Steps()
		b.baton.beginScopes()
	}
}

func (b *build) scopeOf(key string) *scope {
	b.scopesMu.Lock()
	defer b.scopesMu.Unlock()
	i := slices.IndexFunc(b.scopes, func(s *scope) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return b.scopes[i]
}

// suspends tells if the end of a context is the server's, after which the build goes on.
func (b *build) suspends(ctx context.Context) bool {
	return b.durable() && errors.Is(context.Cause(ctx), ErrSuspended)
}

// rootScope makes the context of a build, which ends with ctx, but only while somebody holds the baton.
func (b *build) rootScope(ctx context.Context) (inner context.Context, end func()) {
	f := &flow{cursor: &cursor{}, branch: &branchCount{name: "0"}}
	inner, s := b.newScope(context.WithValue(ctx, flowKey{}, f), kindAbort, true)
	b.watchers.Add(1)
	quit := context.AfterFunc(ctx, func() {
		defer b.watchers.Done()
		if b.suspends(ctx) {
			b.suspend()
		}
	})
	b.watchScope(s, func(fire func()) {
		select {
		case <-ctx.Done():
			if !b.suspends(ctx) {
				fire()
			}
		case <-s.stop:
		}
	}, func() error {
		if cause := context.Cause(ctx); !errors.Is(cause, ErrSuspended) {
			return cause
		}
		return &AbortError{Reason: "The server stops, and this build can not go on later"}
	})
	return inner, func() {
		b.closeScope(s)
		if quit() {
			b.watchers.Done()
		}
	}
}

// detached returns a context for what must be done also if ctx has ended, but not if the build is suspended.
func (b *build) detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &scope{kind: kindStop, ctx: ctx, cancel: stop}
	b.scopesMu.Lock()
	b.scopes = append(b.scopes, s)
	b.scopesMu.Unlock()
	if b.suspended() {
		stop(ErrSuspended)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, func() {
		cancel()
		stop(nil)
		b.scopesMu.Lock()
		defer b.scopesMu.Unlock()
		b.scopes = slices.DeleteFunc(b.scopes, func(o *scope) bool { return o == s })
	}
}
