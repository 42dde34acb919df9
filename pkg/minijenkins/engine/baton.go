// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "sync"

// baton lets one branch of a build run at a time. Waiting branches get it in the order in which they
// asked, so parallel branches take turns at their steps, as they do in Jenkins, and the script needs
// no locks.
type baton struct {
	mu    sync.Mutex
	held  bool
	queue []chan struct{}
}

// ticket takes a place in the queue; receive from it to wait.
func (b *baton) ticket() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := make(chan struct{})
	if !b.held {
		b.held = true
		close(ch)
		return ch
	}
	b.queue = append(b.queue, ch)
	return ch
}

func (b *baton) take() { <-b.ticket() }

func (b *baton) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.held = false
		return
	}
	next := b.queue[0]
	b.queue = b.queue[1:]
	close(next)
}

// yield lets the others that wait run first.
func (b *baton) yield() {
	b.give()
	b.take()
}

// aside runs f without the baton. It is for everything that takes time.
func (b *baton) aside(f func()) {
	b.give()
	defer b.take()
	f()
}
