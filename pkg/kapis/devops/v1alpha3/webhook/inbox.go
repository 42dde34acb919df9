// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/lru"

	"github.com/slipway-dev/slipway/pkg/jenkins/events"
)

const (
	// shards is how many events are dealt with at once. Those of one build come one after the other.
	shards = 8
	// maxWaiting bounds the builds of which an event waits, over all shards.
	maxWaiting = 8192
	// settle is how long an event waits for the one that Jenkins sends right after it: a build that is
	// made begins at once, and one that has its result is final a moment later.
	settle = 250 * time.Millisecond
	// settleUnknown is how long a build that no run knows is left alone: its run may just be being
	// written.
	settleUnknown = 2 * time.Second
	// remembered is how many builds it is known of which event of theirs was dealt with last.
	remembered = 4096
	// applyTimeout bounds the work on one event.
	applyTimeout = 15 * time.Second
)

// errLater says that an event is to be dealt with once more after a while.
var errLater = errors.New("look again later")

// applier deals with an event. final says that there is no other time: errLater must not be returned.
type applier interface {
	apply(ctx context.Context, e *events.Event, final bool) error
}

// inbox holds the newest event of each build until it is dealt with. Nothing runs while it is empty.
type inbox struct {
	applier applier
	shards  [shards]shard
	// done has the rank of the last event of a build that was dealt with.
	done *lru.Cache
}

// shard is a part of the inbox. Its builds are dealt with one after the other.
type shard struct {
	mu sync.Mutex
	// waiting is the newest event of each build.
	waiting map[string]*letter
	// due are the keys of those to be dealt with now.
	due []string
	// working: a goroutine deals with them.
	working bool
}

// letter is an event that waits.
type letter struct {
	event *events.Event
	// ctx has the logger of the request that brought it, and outlives the request.
	ctx context.Context //nolint:containedctx // the event's own
	// again says that it was put off once.
	again bool
	// queued: the key is in due.
	queued bool
	// timer makes it due.
	timer *time.Timer
}

func newInbox(a applier) *inbox {
	b := &inbox{applier: a, done: lru.New(remembered)}
	for i := range b.shards {
		b.shards[i].waiting = map[string]*letter{}
	}
	return b
}

// keyOf names a build. A job that is deleted and made again counts from 1 again.
func keyOf(e *events.Event) string { return e.Key() + "@" + e.Start.String() }

// put takes an event. It is not taken if too many wait. An event that is not later in its build's life
// than the one that waits, or was dealt with, is dropped.
func (b *inbox) put(ctx context.Context, e *events.Event) bool {
	key := keyOf(e)
	if rank, ok := b.done.Get(key); ok && e.Type.Rank() <= rank.(int) {
		return true
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key))
	s := &b.shards[hash.Sum32()%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.waiting[key]
	switch {
	case l != nil && e.Type.Rank() <= l.event.Type.Rank():
		return true
	case l == nil && len(s.waiting) >= maxWaiting/shards:
		return false
	case l == nil:
		l = &letter{}
		s.waiting[key] = l
	}
	l.event, l.ctx, l.again = e, context.WithoutCancel(ctx), false
	b.schedule(s, key, l, delayOf(e.Type))
	return true
}

func delayOf(kind events.Type) time.Duration {
	if kind == events.RunInitialize || kind == events.RunCompleted {
		return settle
	}
	return 0
}

// schedule makes an event due after a while. s.mu is held.
func (b *inbox) schedule(s *shard, key string, l *letter, after time.Duration) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if after > 0 {
		l.timer = time.AfterFunc(after, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.waiting[key] == l {
				b.enqueue(s, key, l)
			}
		})
		return
	}
	b.enqueue(s, key, l)
}

// enqueue makes an event due now. s.mu is held.
func (b *inbox) enqueue(s *shard, key string, l *letter) {
	if l.queued {
		return
	}
	l.queued = true
	s.due = append(s.due, key)
	if !s.working {
		s.working = true
		go b.work(s)
	}
}

// work deals with what is due until nothing is.
func (b *inbox) work(s *shard) {
	for {
		s.mu.Lock()
		if len(s.due) == 0 {
			s.working, s.due = false, nil
			s.mu.Unlock()
			return
		}
		key := s.due[0]
		s.due = s.due[1:]
		l := s.waiting[key]
		delete(s.waiting, key)
		s.mu.Unlock()

		ctx, cancel := context.WithTimeout(l.ctx, applyTimeout)
		err := b.applier.apply(ctx, l.event, l.again)
		cancel()
		switch {
		case err == nil:
			b.done.Add(key, l.event.Type.Rank())
		case errors.Is(err, errLater) && !l.again:
			b.putOff(s, key, l)
		default:
			// The bulk query will tell.
			logr.FromContextOrDiscard(l.ctx).Info("an event of Jenkins was not noted", "type", l.event.Type, "error", err.Error())
		}
	}
}

// putOff lets an event wait once more, unless a newer one has come.
func (b *inbox) putOff(s *shard, key string, l *letter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[key] != nil || len(s.waiting) >= maxWaiting/shards {
		return
	}
	late := &letter{event: l.event, ctx: l.ctx, again: true}
	s.waiting[key] = late
	b.schedule(s, key, late, settleUnknown)
}
