// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of events that cancel steps, and those that a server reads from a history.
const (
	kindAbort   = "abort"
	kindTimeout = "timeout"
	kindLimit   = "limit"
	kindStop    = "stop"

	kindAgent     = "agent"
	kindRelease   = "release"
	kindLock      = "lock"
	kindUnlock    = "unlock"
	kindMilestone = "milestone"
	kindWaiting   = "waiting"
)

// journal is the memory of a build: what is in the history and what is added to it.
type journal struct {
	h History
	// past are the events from before the restart that tell of agents and locks, held the locks that the build held then.
	past []Event
	held map[string]lockRecord
	ctx  context.Context //nolint:containedctx // of Append, for the life of the build
	mu   sync.Mutex
	// seen are the events that need no turn by key, begun those that something has begun.
	seen  map[string]Event
	begun map[string][]Event
	// between are the cancels that came while the script did not give the baton away, in order.
	between []Event
	// claimed are the keys of all events that the replay has come to.
	claimed map[string]bool
	// loopTurn and loopSteps are where the script was last seen in a turn; see interject.
	loopTurn  uint64
	loopSteps int
	// time is that of the last event handed out in a replay, in nanoseconds; 0 once live.
	time atomic.Int64
	// stop is why the build must not go on, nil if it may.
	stop atomic.Pointer[stopReason]
}

// stopReason ends a build without its steps.
type stopReason struct {
	err error
	// suspended is set if it goes on after a restart.
	suspended bool
}

// brokenError is why a build that is durable can not go on. Scripts do not catch it.
type brokenError struct{ message string }

func (e *brokenError) Error() string { return e.message }

// cancelValue is the value of an event that cancels.
type cancelValue struct {
	Cause *errorRecord `json:"cause,omitempty"`
	// At is the script's count of steps if it was cancelled between two turns.
	At int `json:"at,omitempty"`
	// Notes are, by the keys of the effects that were stopped, how much output they had had.
	Notes map[string]int64 `json:"notes,omitempty"`
}

// durable tells if the build goes on after a restart.
func (b *build) durable() bool { return b.journal.h != nil }

// openJournal reads the history and prepares the replay.
func (b *build) openJournal(ctx context.Context) {
	j := &b.journal
	j.h, j.ctx = b.spec.History, context.WithoutCancel(ctx)
	j.seen, j.begun, j.claimed = map[string]Event{}, map[string][]Event{}, map[string]bool{}
	if j.h == nil {
		return
	}
	// Also a build without events may have begun before a restart and have written lines.
	events := j.h.Events()
	j.held = heldLocks(events)
	r := &replay{between: func() bool { return len(j.between) > 0 }}
	r.handed = func(ev Event) {
		j.time.Store(ev.Time.UnixNano())
		j.claimed[ev.Key] = true
	}
	r.live = func() {
		j.time.Store(0)
		if f, ok := j.h.(Forgetter); ok {
			f.Forget()
		}
		b.rec.release()
	}
	r.failed = func(err error) { b.stopAll(&stopReason{err: misfit(err)}) }
	if len(events) > 0 {
		j.time.Store(events[0].Time.UnixNano())
	}
	for _, ev := range events {
		switch ev.Kind {
		case kindAgent, kindRelease, kindLock, kindUnlock:
			j.past = append(j.past, ev)
		}
		switch {
		case ev.Begin:
			j.begun[ev.Key] = append(j.begun[ev.Key], ev)
		case ev.Turn > 0:
			r.ended = append(r.ended, ev)
		case ev.Kind == kindAbort || ev.Kind == kindTimeout || ev.Kind == kindLimit:
			j.between = append(j.between, ev)
		default:
			j.seen[ev.Key] = ev
		}
	}
	b.rec.hold(b.spec.Recorder)
	b.baton.replay = r
}

// misfit is the error of a build whose history does not fit what its script does.
func misfit(err error) error {
	return &brokenError{"The build can not go on after the restart of the server: its script did not do the same again (" + err.Error() +
		"). The server's version may have changed; run it again"}
}

// breakOff ends a build that can not go on.
func (b *build) breakOff(err error) {
	b.stopAll(&stopReason{err: err})
	b.baton.halt()
}

// stopped returns why nothing must be done any more, nil if the build may go on.
func (b *build) stopped() error {
	if s := b.journal.stop.Load(); s != nil {
		return s.err
	}
	return nil
}

// suspended tells if the build goes on after a restart.
func (b *build) suspended() bool {
	s := b.journal.stop.Load()
	return s != nil && s.suspended
}

// stopAll keeps the build from doing anything more.
func (b *build) stopAll(why *stopReason) {
	if !b.journal.stop.CompareAndSwap(nil, why) {
		return
	}
	b.rec.mute(why.suspended)
	b.hardStop(why.err)
}

// suspend stops a build that goes on after a restart.
func (b *build) suspend() {
	b.stopAll(&stopReason{err: ErrSuspended, suspended: true})
	b.baton.halt()
}

// append adds an event to the history. The build must not go on with what the event says before.
func (b *build) append(ev Event) error {
	j := &b.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := b.stopped(); err != nil {
		return err
	}
	ev.Time = time.Now()
	err := j.h.Append(j.ctx, ev)
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrSuspended) {
		b.suspend()
		return ErrSuspended
	}
	b.breakOff(&brokenError{fmt.Sprintf("The history of the build could not be written, so it can not go on: %v", err)})
	return b.stopped()
}

// clock is the time of the build: in a replay that of the event before, else now. It is for what is shown
// only; scripts get now.
func (b *build) clock() time.Time {
	if n := b.journal.time.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Now()
}

// recall gives what an event without a turn says.
func (b *build) recall(key, kind string) (Event, bool) {
	ev, ok := b.journal.seen[key]
	if !ok {
		return ev, false
	}
	delete(b.journal.seen, key) // nobody asks for it again
	if ev.Kind != kind {
		b.breakOff(misfit(fmt.Errorf("%q is %s, not %s", key, kind, ev.Kind)))
		return ev, false
	}
	return ev, true
}

// note writes an event that keeps the baton.
func (b *build) note(key, kind string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("engine: event %s: %w", kind, err)
	}
	return b.append(Event{Key: key, Kind: kind, Value: data})
}

// agentRecord is what the history says about an agent.
type agentRecord struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Workspace string `json:"workspace"`
	Label     string `json:"label,omitempty"`
	Node      string `json:"node,omitempty"`
}

// lockRecord is what the history says about locks that were asked for.
type lockRecord struct {
	LockRequest
	// Got is set if they were taken; Waited is what the step said last while it waited for them.
	Got    bool   `json:"got,omitempty"`
	Waited string `json:"waited,omitempty"`
	// Began is when they were asked for.
	Began time.Time `json:"began,omitzero"`
}

// milestoneRecord is what the history says about a milestone; By is the build that was there before.
type milestoneRecord struct {
	Ordinal int `json:"ordinal"`
	By      int `json:"by,omitempty"`
}

// Restore gives a build that will go on the locks and milestones back that its history says it has. A
// server calls it for all of them before it runs the first one, else another build could take what is not
// its own. locks and milestones are those of the RunSpec; what is nil or can not restore is left out.
func Restore(events []Event, locks Locks, milestones Milestones) {
	for _, rec := range heldLocks(events) {
		if l, ok := locks.(LockRestorer); ok {
			l.Restore(rec.LockRequest)
		}
	}
	for _, ev := range events {
		var m milestoneRecord
		r, ok := milestones.(MilestoneRestorer)
		if ok && !ev.Begin && ev.Kind == kindMilestone && json.Unmarshal(ev.Value, &m) == nil && m.By == 0 {
			r.Restore(m.Ordinal)
		}
	}
}

// heldLocks are the locks that were not released, by the key of the event.
func heldLocks(events []Event) map[string]lockRecord {
	held := map[string]lockRecord{}
	for _, ev := range events {
		var rec lockRecord
		switch {
		case ev.Begin:
		case ev.Kind == kindLock:
			if json.Unmarshal(ev.Value, &rec) == nil && rec.Got {
				held[rec.ID] = rec
			}
		case ev.Kind == kindUnlock:
			var id string
			if json.Unmarshal(ev.Value, &id) == nil {
				delete(held, id)
			}
		}
	}
	return held
}

// LockRestorer is a Locks that knows builds from before a restart.
type LockRestorer interface {
	// Restore takes locks that the request of that ID held before the restart, at once and from whoever
	// has them. Doing it twice is doing it once; release of either gives them back.
	Restore(req LockRequest) (release func())
}

// MilestoneRestorer is a Milestones that knows builds from before a restart.
type MilestoneRestorer interface {
	// Restore notes that the build has passed the milestone before the restart.
	Restore(ordinal int)
}

// releaseLost gives back what a broken build had and its script did not come to again.
func (b *build) releaseLost(ctx context.Context) {
	events := b.journal.past
	for id, rec := range heldLocks(events) {
		if l, ok := b.spec.Locks.(LockRestorer); ok && !b.unlocked[id] {
			l.Restore(rec.LockRequest)()
		}
	}
	released := map[string]bool{}
	for _, ev := range events {
		var name string
		if !ev.Begin && ev.Kind == kindRelease && json.Unmarshal(ev.Value, &name) == nil {
			released[name] = true
		}
	}
	for _, ev := range events {
		var rec agentRecord
		if ev.Begin || ev.Kind != kindAgent || b.journal.claimed[ev.Key] || json.Unmarshal(ev.Value, &rec) != nil || rec.Name == "" || released[rec.Name] {
			continue
		}
		h := &lease{b: b, name: rec.Name, place: rec.Workspace, req: AgentRequest{ID: rec.ID, Label: rec.Label, Node: rec.Node}}
		if err := h.giveBack(ctx); err != nil {
			_, _ = io.WriteString(b.spec.Recorder.Log(freeLog), "Agent "+rec.Name+" could not be released: "+err.Error()+"\n")
		}
	}
}
