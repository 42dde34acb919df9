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

// Restarts is what a Store may have beside: it tells of each start of Jenkins.
type Restarts interface {
	// OnRestart calls f after each restart of Jenkins until stop is called.
	OnRestart(f func()) (stop func())
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

	// recheck is the time between two looks at templates that are in order. Each looks at another
	// one, so that the number of calls does not grow with the number of dev containers.
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
	slot  time.Time           // the last look that was planned
	pause time.Duration       // 0 while Jenkins is there
	until time.Time
	last  error
}

// sighting is a template that Jenkins was seen to have, and is trusted to have until a time.
type sighting struct {
	revision string
	until    time.Time
}

// NewSyncer makes a Syncer. A store that tells of restarts makes it look at all templates after each.
func NewSyncer(store Store, clk clock.PassiveClock) *Syncer {
	s := &Syncer{store: store, clock: clk, back: make(chan struct{}, 1), seen: map[string]sighting{}}
	if restarts, ok := store.(Restarts); ok {
		restarts.OnRestart(s.Reset)
	}
	return s
}

// Back is signalled when Jenkins answers again after it was away, and when it lost a template. It may
// have lost others.
func (s *Syncer) Back() <-chan struct{} { return s.back }

// Reset ends the trust in what Jenkins was seen to have.
func (s *Syncer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
}

func (s *Syncer) reset() {
	clear(s.seen)
	s.slot = time.Time{}
	select {
	case s.back <- struct{}{}:
	default:
	}
}

// Has tells if Jenkins was last seen to have exactly this content.
func (s *Syncer) Has(template Template) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[template.ID].revision == template.Revision()
}

// Sync makes sure that Jenkins has the template with exactly this content, and says when to look again.
// It asks for the label that stands for the content and writes only if that is missing. What was seen is
// trusted until its turn to be looked at comes, which is once a minute for one of all templates, or until
// one that was seen turns out to be missing.
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
	now, old := s.clock.Now(), s.seen[template.ID]
	if !exists && old.revision == template.Revision() {
		// Jenkins has lost it, as it does when its configuration is loaded anew.
		s.reset()
	}
	turn := old.until
	if !turn.After(now) {
		if s.slot.Before(now) {
			s.slot = now
		}
		s.slot = s.slot.Add(recheck)
		turn = s.slot
	}
	s.seen[template.ID] = sighting{revision: template.Revision(), until: turn}
	return turn.Sub(now), nil
}

// fresh gives how long Jenkins is still trusted to have the template.
func (s *Syncer) fresh(template Template) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.seen[template.ID]
	if !ok || last.revision != template.Revision() {
		return 0
	}
	return last.until.Sub(s.clock.Now())
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
			s.reset() // it may have lost them
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
