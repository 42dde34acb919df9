// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// waitingPerProject and workersPerProject bound the deliveries of one project that wait and that are dealt with,
	// so that a project with many of them, or with many pipelines for each, does not hold up others'.
	waitingPerProject = 256
	workersPerProject = 2
)

// task is the work on a delivery.
type task struct {
	// key tells it from other deliveries; empty: it is not remembered.
	key string
	// project is whose delivery it is; empty for those of servers that all projects trust.
	project string
	work    func(context.Context) error
}

// share is what a project has of the workers.
type share struct {
	slots chan struct{}
	// users wait or have a slot.
	users int
}

// project gives whose secret fits: one of the projects, as most deliveries are of one. It is empty for everywhere.
func (g grant) project() string {
	if g.everywhere || g.unsigned {
		return ""
	}
	var names []string
	for name := range g.namespaces {
		names = append(names, name)
	}
	for key := range g.pipelines {
		names = append(names, key.Namespace)
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// later deals with a delivery after the request. A delivery that could not be dealt with may come again.
func (r *Receiver) later(ctx context.Context, t task) error {
	slots, ok := r.enter(t.project)
	if !ok {
		return ErrBusy
	}
	select {
	case r.waiting <- struct{}{}:
	default:
		r.leave(t.project)
		return ErrBusy
	}
	if t.key != "" {
		r.known.Add(t.key, struct{}{})
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer func() { <-r.waiting }()
		defer r.leave(t.project)
		// The project's own first: who waits for that takes no other's place.
		slots <- struct{}{}
		defer func() { <-slots }()
		r.working <- struct{}{}
		defer func() { <-r.working }()
		if err := t.run(ctx, r.retries); err != nil {
			if t.key != "" {
				r.known.Remove(t.key)
			}
			if errors.Is(err, errNothing) {
				return // it may come again when a pipeline has been made or corrected
			}
			logr.FromContextOrDiscard(ctx).Error(err, "an event of a source code server was not passed on")
		}
	}()
	return nil
}

// run does the work, again if it fails. What it was sent must not end the process.
func (t task) run(ctx context.Context, retries wait.Backoff) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause) // where it was is in the log already
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var last error
	err = wait.ExponentialBackoffWithContext(ctx, retries, func(ctx context.Context) (bool, error) {
		last = t.work(ctx)
		return lasts(last), nil
	})
	if last != nil {
		err = last
	}
	return err
}

// lasts tells if it would be the same the next time: a success, or failures such as that a namespace is being deleted
// or has no quota left.
func lasts(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !lasts(err) })
	}
	return err == nil || errors.Is(err, errNothing) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) ||
		apierrors.IsRequestEntityTooLargeError(err)
}

// Drain waits until what was taken has been dealt with, or the context ends. Deliveries must not come any more.
func (r *Receiver) Drain(ctx context.Context) {
	for range maxWaiting {
		select {
		case r.waiting <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// enter counts a delivery of a project; ok is false if it has too many.
func (r *Receiver) enter(project string) (slots chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.shares[project]
	if s == nil {
		most := workersPerProject
		if project == "" {
			most = workers
		}
		s = &share{slots: make(chan struct{}, most)}
		r.shares[project] = s
	}
	if project != "" && s.users >= waitingPerProject {
		return nil, false
	}
	s.users++
	return s.slots, true
}

// leave takes a delivery off.
func (r *Receiver) leave(project string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.shares[project]
	if s.users--; s.users == 0 {
		delete(r.shares, project)
	}
}
