// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// baton lets one branch of a build run at a time, so the script needs no locks. Each time that it is
// handed out is a turn with a number. Branches that begin, that let others run first and that wait for
// others get it in the order in which they asked; that order follows from the script alone. What comes
// from outside, which is the end of an effect or a cancel, asks when it is there, and its turn is written
// into the history. In a replay it gets exactly that turn again, and so each turn is that of before.
type baton struct {
	mu    sync.Mutex
	held  bool
	turn  uint64
	queue []*ticket
	// replay is nil once the build has come to where it was.
	replay *replay
	// cancels counts the cancels in the queue.
	cancels atomic.Int32
}

// ticket is a place in the queue.
type ticket struct {
	ready chan struct{}
	// outside is set for what is no turn until it is counted.
	outside bool
	// cancel, if not nil, may be run by who holds the baton instead; then passed is set.
	cancel func()
	passed bool
}

// replay hands out the turns of a history.
type replay struct {
	// ended are the events with a turn that are left, in order.
	ended []Event
	// asked are the effects and scopes that wait for their event, in the order in which they were asked for.
	asked []*asked
	// between tells if events are left that need no turn but a place in the script.
	between func() bool
	// handed is called with each event, live when none is left and nobody can run, and failed when what is
	// asked for does not fit the history. b.mu is held.
	handed func(Event)
	live   func()
	failed func(error)
}

// asked is something that has begun and waits for its event.
type asked struct {
	key, kind string
	// wake gets one answer. For a scope, which nobody waits for, it is nil and begin is called.
	wake chan answer
	// begin gets the answer of a scope, in a goroutine of its own; it holds the baton if there is an event.
	begin func(answer)
}

// answer is what comes of something that was asked for in a replay.
type answer struct {
	// event is what was recorded; who gets one holds the baton. Else it is to be done now.
	event *Event
	// stopped says that it must not be done at all.
	stopped bool
}

func (a *asked) tell(x answer) {
	if a.wake != nil {
		a.wake <- x
		return
	}
	go a.begin(x)
}

// take waits for a turn.
func (b *baton) take() { <-b.line().ready }

// line takes a place in the queue; it has its turn when ready is closed.
func (b *baton) line() *ticket { return b.enqueue(&ticket{ready: make(chan struct{})}) }

func (b *baton) enqueue(t *ticket) *ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, t)
	if !b.held {
		b.next()
	}
	return t
}

// ticket takes a place in the queue; receive from it to wait.
func (b *baton) ticket() <-chan struct{} { return b.line().ready }

// takeOutside waits for the baton. It is no turn unless count is called.
func (b *baton) takeOutside() { <-b.enqueue(&ticket{ready: make(chan struct{}), outside: true}).ready }

// takeCancel is takeOutside for a cancel. It is false if who held the baton ran f meanwhile.
func (b *baton) takeCancel(f func()) bool {
	b.cancels.Add(1)
	t := b.enqueue(&ticket{ready: make(chan struct{}), outside: true, cancel: f})
	<-t.ready
	return !t.passed
}

// count makes the baton of who came from outside a turn and returns its number.
func (b *baton) count() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return b.turn
}

// passCancels runs the cancels that wait. The caller holds the baton and keeps it.
func (b *baton) passCancels() {
	if b.cancels.Load() == 0 {
		return
	}
	b.mu.Lock()
	var waiting []*ticket
	b.queue = slices.DeleteFunc(b.queue, func(t *ticket) bool {
		if t.cancel != nil {
			waiting = append(waiting, t)
		}
		return t.cancel != nil
	})
	b.mu.Unlock()
	for _, t := range waiting {
		b.cancels.Add(-1)
		t.cancel()
		t.passed = true
		close(t.ready)
	}
}

func (b *baton) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next()
}

// next hands the baton on. b.mu is held, the baton is not.
func (b *baton) next() {
	b.held = false
	if b.replay != nil && b.again() {
		return
	}
	if len(b.queue) == 0 {
		return
	}
	t := b.queue[0]
	b.queue = b.queue[1:]
	b.held = true
	if t.cancel != nil {
		b.cancels.Add(-1)
	}
	if !t.outside {
		b.turn++
	}
	close(t.ready)
}

// again hands the baton to the next event of the history if this is its turn. With nobody left to run the
// replay is over. b.mu is held.
func (b *baton) again() bool {
	r := b.replay
	if len(r.ended) > 0 && r.ended[0].Turn == b.turn+1 {
		ev := r.ended[0]
		i := slices.IndexFunc(r.asked, func(a *asked) bool { return a.key == ev.Key })
		switch {
		case i < 0:
			b.fail(fmt.Errorf("%q (%s) is not asked for", ev.Key, ev.Kind))
			return false
		case r.asked[i].kind != ev.Kind:
			b.fail(fmt.Errorf("%q is %s, not %s", ev.Key, r.asked[i].kind, ev.Kind))
			return false
		}
		a := r.asked[i]
		r.asked = slices.Delete(r.asked, i, i+1)
		r.ended = r.ended[1:]
		b.turn++
		b.held = true
		r.handed(ev)
		a.tell(answer{event: &ev})
		return true
	}
	if len(b.queue) > 0 {
		return false
	}
	if len(r.ended) > 0 {
		b.fail(fmt.Errorf("%q (%s) belongs to turn %d and nothing leads there from turn %d", r.ended[0].Key, r.ended[0].Kind, r.ended[0].Turn, b.turn))
		return false
	}
	if r.between() {
		b.fail(errors.New("the script does not come to where it was cancelled"))
		return false
	}
	b.replay = nil
	r.live()
	for _, a := range r.asked {
		a.tell(answer{})
	}
	return false
}

// fail ends a replay that does not fit. b.mu is held.
func (b *baton) fail(err error) {
	r := b.replay
	b.dropReplay()
	r.failed(err)
}

// dropReplay ends a replay; what was asked for is not done. b.mu is held.
func (b *baton) dropReplay() {
	r := b.replay
	if r == nil {
		return
	}
	b.replay = nil
	for _, a := range r.asked {
		a.tell(answer{stopped: true})
	}
}

// finish ends a replay of a build that has ended; all that was recorded must have happened.
func (b *baton) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.replay; r != nil && (len(r.ended) > 0 || r.between()) {
		b.fail(errors.New("it ended before all that had happened"))
	}
}

// halt ends a replay, if there is one.
func (b *baton) halt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropReplay()
}

// yield lets the others that wait run first.
func (b *baton) yield() {
	b.mu.Lock()
	t := &ticket{ready: make(chan struct{})}
	b.queue = append(b.queue, t)
	b.next()
	b.mu.Unlock()
	<-t.ready
}

// ask gives the baton away for an effect. With an event in the answer the caller holds it again.
func (b *baton) ask(key, kind string) answer {
	b.mu.Lock()
	if b.replay == nil {
		b.next()
		b.mu.Unlock()
		return answer{}
	}
	a := &asked{key: key, kind: kind, wake: make(chan answer, 1)}
	b.replay.asked = append(b.replay.asked, a)
	b.next()
	b.mu.Unlock()
	return <-a.wake
}

// watch asks for a cancel. begin is called at once if the build is live.
func (b *baton) watch(key, kind string, begin func(answer)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.replay == nil {
		go begin(answer{})
		return
	}
	b.replay.asked = append(b.replay.asked, &asked{key: key, kind: kind, begin: begin})
}

// replaying tells if the build has not come to where it was.
func (b *baton) replaying() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replay != nil
}

// number is that of the turn.
func (b *baton) number() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turn
}

// beginScopes has cancels waited for though somebody still has something to do again, unless events are left.
func (b *baton) beginScopes() {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.replay
	if r == nil || len(r.ended) > 0 || r.between() {
		return
	}
	r.asked = slices.DeleteFunc(r.asked, func(a *asked) bool {
		if a.begin != nil {
			a.tell(answer{})
		}
		return a.begin != nil
	})
}

// unwatch forgets a cancel that can not come any more. It is false if begin was or will be called.
func (b *baton) unwatch(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.replay == nil {
		return false
	}
	n := len(b.replay.asked)
	b.replay.asked = slices.DeleteFunc(b.replay.asked, func(a *asked) bool { return a.key == key })
	return len(b.replay.asked) < n
}

// join lets a branch wait for others without being in the queue.
type join struct{ ready chan struct{} }

// wait gives the baton away until release was called and the turn has come.
func (b *baton) wait(j *join) {
	b.give()
	<-j.ready
}

// release puts who waits into the queue. The caller holds the baton.
func (b *baton) release(j *join) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, &ticket{ready: j.ready})
}
