// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// maxLocks bounds how many locks one step may ask for, maxLockName the name of one in bytes.
const (
	maxLocks    = 64
	maxLockName = 512
)

// lockNames reads resource and extra.
func (c *stepCall) lockNames() ([]string, error) {
	wrong := func(format string) error {
		return &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: format, Pos: c.pos}
	}
	names := []string{c.text("resource")}
	if v := c.args["extra"]; v != nil {
		list, ok := v.(*groovy.List)
		if !ok || len(list.Items) > maxLocks {
			return nil, wrong("lock: extra must be a list of at most " + itoa(maxLocks) + " [resource: 'name']")
		}
		for _, item := range list.Items {
			m, ok := item.(*groovy.Map)
			if !ok {
				return nil, wrong("lock: extra must be a list of [resource: 'name']")
			}
			if label, _ := m.Get("label"); label != nil {
				return nil, failed("lock: labels are not supported by the built-in runner; use Jenkins")
			}
			r, _ := m.Get("resource")
			names = append(names, groovy.ToString(r))
		}
	}
	for i, n := range names {
		if names[i] = strings.TrimSpace(n); names[i] == "" || n == "null" || len(n) > maxLockName {
			return nil, wrong("lock needs a resource with a name of at most " + itoa(maxLockName) + " bytes")
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	// One of each resource exists.
	if q, given := c.args["quantity"]; given && q != nil {
		if n, ok := q.(int64); !ok || n < 0 || n > int64(len(names)) {
			return nil, failed("lock: quantity %s of %d resource(s) is not supported by the built-in runner; use Jenkins", clip(groovy.ToString(q)), len(names))
		}
	}
	return names, nil
}

func lockText(names []string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = "Resource: " + n
	}
	return strings.Join(parts, ", ")
}

func stepLock(ctx context.Context, c *stepCall) (any, error) {
	names, err := c.lockNames()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if slices.Contains(flowOf(ctx).locks, n) {
			return nil, failed("lock: this build holds [Resource: %s] here already and would wait for itself", n)
		}
	}
	text := lockText(names)
	var release func()
	skipped := false
	return c.runBlock(ctx, blockStep{
		before: func(ctx context.Context) (context.Context, error) {
			c.b.stamped(ctx, "Trying to acquire lock on ["+text+"]")
			if release, err = c.acquireLocks(ctx, names); err != nil {
				return ctx, err
			}
			if skipped = release == nil; skipped {
				c.b.stamped(ctx, "["+text+"] is locked, skipping execution...")
				return ctx, nil
			}
			c.b.stamped(ctx, "Lock acquired on ["+text+"]")
			ctx = withFlow(ctx, func(f *flow) { f.locks = append(slices.Clone(f.locks), names...) })
			if v := c.text("variable"); envName(v) {
				vars := [][2]string{{v, strings.Join(names, ",")}}
				for i, n := range names {
					vars = append(vars, [2]string{v + itoa(i), n})
				}
				ctx = c.b.overlay(ctx, vars)
			}
			return ctx, nil
		},
		skip: func() bool { return skipped },
		after: func(ctx context.Context, err error) error {
			if release != nil {
				release()
				c.b.stamped(ctx, "Lock released on resource ["+text+"]")
			}
			return err
		},
	})
}

// acquireLocks waits for locks. While it waits the stage says for what, and there is a step with it.
func (c *stepCall) acquireLocks(ctx context.Context, names []string) (release func(), err error) {
	b := c.b
	id, node := itoa(b.lastID), flowOf(ctx).node
	req := LockRequest{Names: names, Holder: (&buildObject{b}).String(), First: c.flag("inversePrecedence"), NoWait: c.flag("skipIfLocked")}
	w := b.writer(ctx, id)
	waitingStep := func(description string) Step {
		step := b.newStep(ctx, id, "Lock shared resource", description)
		step.State = StateQueued
		return step
	}
	rec, err := perform(withFlow(ctx, func(f *flow) { f.out = w }), b, effectOptions{kind: kindLock}, func(ctx context.Context, x *execution) (lockRecord, error) {
		rec := lockRecord{LockRequest: req}
		rec.ID = x.id
		say := func(name, holder string) string {
			rec.Waited = name + ": locked by " + holder
			return "[Resource: " + name + "] is locked by build " + holder + ", waiting for execution..."
		}
		told := x.told()
		for i := 0; i+1 < len(told); i += 2 {
			_, _ = w.Write([]byte(say(told[i], told[i+1]) + "\n")) // it is in the log already
		}
		start := x.since(b.clock())
		rec.Since = start
		waiting := func(name, holder string) {
			again := len(told) > 1 && told[len(told)-2] == name && told[len(told)-1] == holder
			reason := say(name, holder)
			b.setBlocked(node, b.masks.apply(reason))
			step := waitingStep(rec.Waited)
			step.StartTime = b.rec.stepStart(id, start)
			b.rec.PutStep(step)
			if !again {
				x.tell(name, holder)
				_, _ = w.Write([]byte(reason + "\n"))
			}
			told = nil
		}
		var err error
		release, err = b.spec.Locks.Acquire(ctx, rec.LockRequest, waiting)
		rec.Got, rec.Began = release != nil, start
		return rec, err
	})
	switch stop := b.stopped(); {
	case stop != nil && err != nil:
		if release != nil && !b.suspended() {
			release()
		}
		return nil, stop
	case rec.Got && release == nil:
		release = func() {}
		// What the build gave back before the restart may be another's now.
		if _, held := b.journal.held[rec.ID]; held {
			if r, ok := b.spec.Locks.(LockRestorer); ok {
				release = r.Restore(rec.LockRequest)
			}
		}
	}
	if rec.Got {
		release = b.unlocking(ctx, rec.ID, release)
	}
	if rec.Waited == "" {
		if err != nil {
			return nil, interrupted(ctx)
		}
		return release, nil
	}
	b.setBlocked(node, "")
	if err != nil {
		b.noteAbort(ctx)
		err = interrupted(ctx)
	}
	step := waitingStep(rec.Waited)
	step.StartTime = b.rec.stepStart(id, rec.Began)
	b.closeStep(step, resultOf(err), err)
	return release, err
}

// unlocking gives locks back once the history says so. A build that goes on after a restart keeps them.
func (b *build) unlocking(ctx context.Context, id string, release func()) func() {
	return func() {
		if b.suspended() {
			return
		}
		observe(ctx, b, kindUnlock, func() string { return id })
		if b.suspended() {
			return
		}
		if b.unlocked == nil {
			b.unlocked = map[string]bool{}
		}
		b.unlocked[id] = true
		release()
	}
}
