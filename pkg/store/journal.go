// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math"
	"sync/atomic"
	"time"
)

// journaled is how many events of a kind are kept for watches: a watch that is further behind, or
// begins further in the past, is not served from here.
const journaled = 1024

// event is one change of a collection.
type event struct {
	// old is the version before; nil if there was none.
	old *entry
	// now is the version after; nil if the object was deleted.
	now *entry
	// last is a deleted object as it was at its end.
	last *entry
	// version is the resourceVersion of the change.
	version uint64
	// unseen says that the informer has only learned that the object is gone, or that another has its name.
	unseen bool
	// line is the event as a watch that wants all of it sends it: made once for all of them.
	line *atomic.Pointer[[]byte]
}

// journal is the recent past of a collection. The collection's lock guards it.
type journal struct {
	// ring holds the events with numbers from first up to but not including next.
	ring        []event
	first, next uint64
	// version is the resourceVersion up to which all is in the collection, 0 if that is not known.
	version uint64
	// floor is the least resourceVersion after which everything is in the ring.
	floor uint64
	// epoch counts the gaps. A watch does not go over a gap.
	epoch int
	// wake is closed when there is something new. It is made for the first that waits.
	wake chan struct{}
	// quiet is what the informer said of its own state when nothing was heard of it, and since when.
	quiet      uint64
	quietSince time.Time
}

func newJournal() journal { return journal{floor: math.MaxUint64} }

// begin says where the journal begins: the collection has what there was at a resourceVersion between the
// two. If that is not known a watch cannot begin in the past.
func (j *journal) begin(before, after uint64, known bool) {
	if known {
		j.version, j.floor = max(j.version, before), after
	}
}

// add writes an event. What was there when the collection began is none.
func (j *journal) add(e event, initial bool) {
	disorder := e.unseen || e.version <= j.version
	j.version = max(j.version, e.version)
	if initial {
		return
	}
	if disorder {
		// The informer has missed events and tells of what is there now, in no order: neither can a watch
		// go on over that, nor may one begin in the middle of it.
		j.gap()
		return
	}
	if j.ring == nil {
		j.ring = make([]event, journaled)
	}
	slot := &j.ring[j.next%journaled]
	if j.next-j.first == journaled {
		j.floor = max(j.floor, slot.version)
		j.first++
	}
	e.line = new(atomic.Pointer[[]byte])
	*slot = e
	j.next++
	j.notify()
}

// gap forgets everything.
func (j *journal) gap() {
	clear(j.ring)
	j.first = j.next
	if j.floor != math.MaxUint64 {
		j.floor = max(j.floor, j.version)
	}
	j.epoch++
	j.notify()
}

// observe takes what the informer says of its own state, which is ahead of the collection while an
// event is under way between the two. It counts when it has been the same for some time in which
// nothing was heard.
func (j *journal) observe(known uint64, now time.Time) {
	if known != j.quiet {
		j.quiet, j.quietSince = known, now
		return
	}
	if known > j.version && now.Sub(j.quietSince) >= settle {
		j.version = known
	}
}

// notify wakes who waits.
func (j *journal) notify() {
	if j.wake != nil {
		close(j.wake)
		j.wake = nil
	}
}

// waiting gives a channel that is closed when there is something new.
func (j *journal) waiting() <-chan struct{} {
	if j.wake == nil {
		j.wake = make(chan struct{})
	}
	return j.wake
}

// after gives the number of the first event after a resourceVersion, and tells if nothing is missing
// between.
func (j *journal) after(version uint64) (number uint64, ok bool) {
	if version < j.floor {
		return 0, false
	}
	number = j.next
	for number > j.first && j.ring[(number-1)%journaled].version > version {
		number--
	}
	return number, true
}
