// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// ErrClosed says that the store is closed.
var ErrClosed = errors.New("the store is closed")

// maxTransaction bounds how many changes share a transaction.
const maxTransaction = 4096

// retryWrite is the wait before a transaction that failed is tried again.
const retryWrite = 500 * time.Millisecond

// change is a queued change.
type change struct {
	// do runs in a transaction, perhaps more than once.
	do func(*bbolt.Tx) error
	// then, if not nil, runs once when the change is on disk.
	then func()
}

// writer brings changes to disk in their order, those that wait together.
type writer struct {
	db *bbolt.DB

	mu sync.Mutex
	// work wakes the writer, progress those who wait for it.
	work, progress *sync.Cond
	list           []change
	// queued and written count changes since the start.
	queued, written uint64
	// attempt counts failed transactions; err is the error of the last one, nil after a success.
	attempt uint64
	err     error
	closed  bool
	// refused says that a change came when it was closed.
	refused bool
	over    chan struct{}
}

func (w *writer) begin(db *bbolt.DB) {
	w.db, w.over = db, make(chan struct{})
	w.work, w.progress = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	go w.run()
}

func (w *writer) add(c change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.refused = true
		return ErrClosed
	}
	w.list = append(w.list, c)
	w.queued++
	w.work.Signal()
	return nil
}

// flush waits for all that was queued before, or for a failure to write it. Once a change was refused it fails.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	target, attempt := w.queued, w.attempt
	for w.written < target {
		if w.attempt != attempt {
			return w.err
		}
		w.progress.Wait()
	}
	if w.refused {
		return ErrClosed // nobody must believe that it is done
	}
	return nil
}

func (w *writer) run() {
	defer close(w.over)
	for {
		batch, last := w.take()
		if len(batch) == 0 {
			return
		}
		err := w.commit(batch)
		w.mu.Lock()
		if err == nil {
			w.list = w.list[len(batch):]
			if len(w.list) == 0 {
				w.list = nil
			}
			w.written += uint64(len(batch))
		} else {
			w.attempt++
		}
		w.err = err
		w.progress.Broadcast()
		w.mu.Unlock()
		switch {
		case err != nil && last:
			return
		case err != nil:
			pause := time.NewTimer(retryWrite)
			<-pause.C
		}
	}
}

// take waits for changes and returns them, still in the list; none if the writer has ended. last says
// that it is closed.
func (w *writer) take() (batch []change, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.list) == 0 && !w.closed {
		w.work.Wait()
	}
	n := min(len(w.list), maxTransaction)
	return w.list[:n:n], w.closed
}

func (w *writer) commit(batch []change) error {
	err := w.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range batch {
			if err := c.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	for _, c := range batch {
		if c.then != nil {
			c.then()
		}
	}
	return nil
}

// end writes what is queued and stops the writer. It may be called more than once.
func (w *writer) end() error {
	w.mu.Lock()
	w.closed = true
	w.work.Signal()
	w.mu.Unlock()
	<-w.over
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) > 0 {
		return w.err
	}
	return nil
}
