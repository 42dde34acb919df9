// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// ErrNotServed says that a watch cannot be served from the cache: the reader is none, or the watch is
// to begin further in the past than the cache remembers.
var ErrNotServed = errors.New("the cache cannot serve this watch")

// ErrGap says that a watch has missed events: it was too slow, or the cache itself has missed them. The
// client has to list again.
var ErrGap = errors.New("events are missing; list again, and watch from there")

// ErrSlow is the ErrGap of a watch that was too slow.
var ErrSlow = fmt.Errorf("the client reads too slowly: %w", ErrGap)

// aheadTime is how long a watch may be ahead of the cache. Longer, and its version is of before a cluster was set back.
const aheadTime = time.Minute

// maxBatch bounds what a Watcher gives at once, in events.
const maxBatch = 64

// Watcher gives the changes of what a query selects, each as a line of JSON. Lines are made once for
// all watchers. It is for one goroutine.
type Watcher struct {
	collection *collection
	query      Query
	matches    func(client.Object) bool
	// initial are the objects that are to be sent first.
	initial []*entry
	// next is the number of the next event, in the given epoch.
	next  uint64
	epoch int
	// version is the resourceVersion up to which everything was given.
	version uint64
	// began is when the watch was begun.
	began time.Time
}

// Watch begins a watch. With an empty version, or 0, all objects are given first as ADDED; else only
// what happened after it. The error is ErrNotServed if the caller has to ask Kubernetes.
func Watch[T client.Object](ctx context.Context, s *Store, q Query, version string, filters ...Filter[T]) (*Watcher, error) {
	c, err := s.collectionOf(ctx, newObject[T]())
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, ErrNotServed
	}
	w := &Watcher{began: time.Now(), collection: c, query: q, matches: matcher(c.fields, q, filters)}
	begin := uint64(0)
	if version != "" {
		if begin, err = strconv.ParseUint(version, 10, 64); err != nil {
			return nil, fmt.Errorf("%w: resourceVersion %q", ErrNotServed, version)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.epoch = c.journal.epoch
	if begin > 0 {
		var ok bool
		if w.next, ok = c.journal.after(begin); !ok {
			return nil, ErrNotServed
		}
		w.version = begin
		return w, nil
	}
	s1, _ := c.scopeOf(q)
	w.initial, w.next, w.version = c.allLocked(s1, q), c.journal.next, c.journal.version
	// Oldest first, as events come.
	if !q.Ascending {
		slices.Reverse(w.initial)
	}
	return w, nil
}

// Version is the resourceVersion up to which everything was given, 0 if that is not known.
func (w *Watcher) Version() uint64 { return w.version }

// Next gives what there is to send now, some lines at a time. If there is nothing more it gives a
// channel that is closed when there is; the lines may be fewer than there are events, even none. The
// error is ErrGap, or one of encoding.
func (w *Watcher) Next() (lines [][]byte, wait <-chan struct{}, err error) {
	if len(w.initial) > 0 {
		lines, err = w.nextInitial()
		return lines, nil, err
	}
	events, wait, err := w.take()
	if err != nil {
		return nil, nil, err
	}
	for i := range events {
		line, err := w.line(&events[i])
		if err != nil {
			return nil, nil, err
		}
		if line != nil {
			lines = append(lines, line)
		}
	}
	return lines, wait, nil
}

// nextInitial gives some of the objects that were there at the beginning.
func (w *Watcher) nextInitial() (lines [][]byte, err error) {
	n := min(maxBatch, len(w.initial))
	for i, e := range w.initial[:n] {
		w.initial[i] = nil
		if !w.matches(e.obj) {
			continue
		}
		object, err := w.collection.encoder.encode(e, false)
		if err != nil {
			return nil, err
		}
		lines = append(lines, makeLine(watch.Added, object))
	}
	w.initial = w.initial[n:]
	return lines, nil
}

// take copies some events.
func (w *Watcher) take() (events []event, wait <-chan struct{}, err error) {
	c := w.collection
	c.mu.RLock()
	j := &c.journal
	switch {
	case w.epoch != j.epoch:
		c.mu.RUnlock()
		return nil, nil, ErrGap
	case w.next < j.first:
		c.mu.RUnlock()
		return nil, nil, ErrSlow
	}
	for ; w.next < j.next && len(events) < maxBatch; w.next++ {
		e := j.ring[w.next%journaled]
		if e.version <= w.version {
			// The client was ahead of the cache when it began: it has read its own write, for example.
			if time.Since(w.began) < aheadTime {
				continue
			}
			c.mu.RUnlock()
			return nil, nil, ErrGap
		}
		w.version = e.version
		events = append(events, e)
	}
	c.mu.RUnlock()
	if len(events) > 0 {
		return events, nil, nil
	}
	return nil, w.wait(), nil
}

// wait gives the channel to wait on; it is closed already if something has happened meanwhile.
func (w *Watcher) wait() <-chan struct{} {
	c := w.collection
	c.mu.Lock()
	defer c.mu.Unlock()
	j := &c.journal
	if w.epoch != j.epoch || w.next != j.next {
		return closed
	}
	w.version = max(w.version, j.version)
	return j.waiting()
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// line gives an event as this watcher sees it, nil if it does not concern it: what begins to match is
// added for it, and what no longer does is deleted.
func (w *Watcher) line(e *event) ([]byte, error) {
	was := e.old != nil && w.matches(e.old.obj)
	is := e.now != nil && w.matches(e.now.obj)
	kind, object := watch.Modified, e.now
	switch {
	case !was && !is:
		return nil, nil
	case !was:
		kind = watch.Added
	case !is:
		kind = watch.Deleted
	}
	if e.now == nil {
		object = e.last
	}
	// For most watchers it is what it is for all.
	usual := kind == e.kind()
	if usual {
		if line := e.line.Load(); line != nil {
			return *line, nil
		}
	}
	encoded, err := w.collection.encoder.encode(object, true)
	if err != nil {
		return nil, err
	}
	line := makeLine(kind, encoded)
	if usual {
		e.line.Store(&line)
	}
	return line, nil
}

// kind is what an event is for a watcher of everything.
func (e *event) kind() watch.EventType {
	switch {
	case e.now == nil:
		return watch.Deleted
	case e.old == nil:
		return watch.Added
	}
	return watch.Modified
}

// makeLine puts an event together.
func makeLine(kind watch.EventType, object []byte) []byte {
	line := make([]byte, 0, len(object)+len(kind)+25)
	line = append(line, `{"type":"`...)
	line = append(line, kind...)
	line = append(line, `","object":`...)
	line = append(line, object...)
	return append(line, '}', '\n')
}

// Bookmark gives a line that tells from which resourceVersion a watch of T can go on, nil if that is not known.
func Bookmark[T client.Object](s *Store, w *Watcher) ([]byte, error) {
	w.collection.version() // looks at what the informer knows
	if len(w.initial) == 0 {
		w.wait()
	}
	if w.version == 0 || len(w.initial) > 0 {
		return nil, nil
	}
	obj := newObject[T]()
	kind, err := apiutil.GVKForObject(obj, s.scheme)
	if err != nil {
		return nil, fmt.Errorf("find kind: %w", err)
	}
	// As Kubernetes writes it.
	object := fmt.Sprintf(`{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d","creationTimestamp":null}}`,
		kind.Kind, kind.GroupVersion().String(), w.version)
	return makeLine(watch.Bookmark, []byte(object)), nil
}
