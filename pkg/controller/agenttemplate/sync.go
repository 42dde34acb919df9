// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agenttemplate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Store is what is needed of Jenkins. A call that fails because Jenkins refuses this one template gives
// an error that wraps ErrRefused; any other error counts as Jenkins being away.
type Store interface {
	// EnsureTemplate replaces the template of that ID, or adds it.
	EnsureTemplate(ctx context.Context, template Template) error
	// DeleteTemplate removes the template; that there is none is a success.
	DeleteTemplate(ctx context.Context, id string) error
	// LabelExists tells if a template or a node serves the label.
	LabelExists(ctx context.Context, label string) (bool, error)
}

// ErrRefused says that Jenkins answered, and does not take this template.
var ErrRefused = errors.New("Jenkins refuses the agent template") //nolint:staticcheck // Jenkins is a name

// UnavailableError says that Jenkins could not be asked. Nothing is known of what it has.
type UnavailableError struct {
	// After is when to try again.
	After time.Duration
	// Err is the failure of the last call that was made.
	Err error
}

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("Jenkins is not available: %v", e.Err) }

// Unwrap gives the failure.
func (e *UnavailableError) Unwrap() error { return e.Err }

const (
	// callTimeout bounds one call: a worker of the controller waits for it, and on a healthy Jenkins
	// it takes about 10 ms.
	callTimeout = 10 * time.Second
	minPause    = time.Second
	maxPause    = time.Minute

	// recheck is how long Jenkins is trusted to have what it was seen to have.
	recheck = time.Minute
)

// Syncer keeps Jenkins in step with templates. While Jenkins is away it makes one call each pause,
// whoever asks, so that a thousand dev containers do not each wait for a timeout. It is safe for
// concurrent use.
type Syncer struct {
	store Store
	clock clock.PassiveClock
	// back is signalled when Jenkins answers again after it was away.
	back chan struct{}

	mu    sync.Mutex
	seen  map[string]sighting // by template ID; lost with the process, which then looks once
	pause time.Duration       // 0 while Jenkins is there
	until time.Time
	last  error
}

// sighting is a template that Jenkins was seen to have.
type sighting struct {
	revision string
	at       time.Time
}

// NewSyncer makes a Syncer.
func NewSyncer(store Store, clk clock.PassiveClock) *Syncer {
	return &Syncer{store: store, clock: clk, back: make(chan struct{}, 1), seen: map[string]sighting{}}
}

// Back is signalled when Jenkins answers again after it was away. It may have lost templates.
func (s *Syncer) Back() <-chan struct{} { return s.back }

// Sync makes sure that Jenkins has the template with exactly this content, and says when to look again.
// It asks for the label that stands for the content and writes only if that is missing. What was seen
// less than a minute ago is not asked for.
func (s *Syncer) Sync(ctx context.Context, template Template) (again time.Duration, err error) {
	if again := s.fresh(template); again > 0 {
		return again, nil
	}
	var exists bool
	err = s.call(ctx, func(ctx context.Context) (err error) {
		exists, err = s.store.LabelExists(ctx, template.Revision())
		return err
	})
	if err == nil && !exists {
		err = s.call(ctx, func(ctx context.Context) error { return s.store.EnsureTemplate(ctx, template) })
	}
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[template.ID] = sighting{revision: template.Revision(), at: s.clock.Now()}
	return recheck, nil
}

// fresh gives how long Jenkins is still trusted to have the template.
func (s *Syncer) fresh(template Template) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.seen[template.ID]
	if !ok || last.revision != template.Revision() {
		return 0
	}
	return last.at.Add(recheck).Sub(s.clock.Now())
}

// Delete makes sure that Jenkins does not have the template.
func (s *Syncer) Delete(ctx context.Context, id string) error {
	s.mu.Lock()
	delete(s.seen, id)
	s.mu.Unlock()
	return s.call(ctx, func(ctx context.Context) error { return s.store.DeleteTemplate(ctx, id) })
}

func (s *Syncer) call(ctx context.Context, do func(context.Context) error) error {
	probe, err := s.admit()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.record(do(ctx), probe)
}

// admit refuses a call during a pause. The one that it lets through after it, the probe, moves the
// pause's end, so that others do not follow before it is answered.
func (s *Syncer) admit() (probe bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pause == 0 {
		return false, nil
	}
	now := s.clock.Now()
	if now.Before(s.until) {
		return false, &UnavailableError{After: s.until.Sub(now), Err: s.last}
	}
	s.until = now.Add(callTimeout)
	return true, nil
}

func (s *Syncer) record(err error, probe bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || errors.Is(err, ErrRefused) {
		if s.pause != 0 {
			s.pause, s.last = 0, nil
			clear(s.seen) // it may have lost them
			select {
			case s.back <- struct{}{}:
			default:
			}
		}
		return err
	}
	now := s.clock.Now()
	switch {
	case s.pause == 0:
		s.pause = minPause
		s.until = now.Add(s.pause)
	case probe:
		// Calls that were on their way when Jenkins went away do not make the pause longer.
		s.pause = min(2*s.pause, maxPause)
		s.until = now.Add(s.pause)
	}
	s.last = err
	return &UnavailableError{After: max(s.until.Sub(now), minPause), Err: err}
}
