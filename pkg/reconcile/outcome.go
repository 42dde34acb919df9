// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
)

// OutcomeKind is how a pass ended short of its goal.
type OutcomeKind int

const (
	// Waiting says that nothing failed and the world is not there yet.
	Waiting OutcomeKind = iota + 1
	// Stalled says that the user has to change something: trying again would not help.
	Stalled
	// Retrying says that something failed and may work the next time.
	Retrying
)

// ReasonFailed is the reason of an error that no phase gave a reason to.
const ReasonFailed = "Failed"

// conflictDelay is how soon a pass that lost a race against another writer is run again: the
// cache needs this long to see the other's write.
const conflictDelay = 50 * time.Millisecond

// Outcome is the error by which a phase says why a pass went no further. Reason and Message are
// written for the user: they become a condition.
type Outcome struct {
	// Kind says what happens next.
	Kind OutcomeKind
	// Reason is one CamelCase word.
	Reason string
	// Message is a sentence that says what is waited for or what to do.
	Message string
	// After is when to look again; 0 waits for an event of a watched object.
	After time.Duration
	// Err is the cause of a Retrying outcome.
	Err error
}

// Error implements error.
func (o *Outcome) Error() string {
	if o.Message == "" && o.Err != nil {
		return o.Err.Error()
	}
	return fmt.Sprintf("%s: %s", o.Reason, o.Message)
}

// Unwrap gives the cause.
func (o *Outcome) Unwrap() error { return o.Err }

// Wait says that nothing failed but the world is not there yet. After is when to look again; 0
// waits for an event of a watched object.
func Wait(reason, message string, after time.Duration) error {
	return &Outcome{Kind: Waiting, Reason: reason, Message: message, After: after}
}

// Stall says that the user has to change something.
func Stall(reason, message string) error {
	return &Outcome{Kind: Stalled, Reason: reason, Message: message}
}

// Retry says that err may not happen again; the pass is repeated with back-off.
func Retry(reason string, err error) error {
	return &Outcome{Kind: Retrying, Reason: reason, Message: err.Error(), Err: err}
}

// AsOutcome gives the outcome that err is or wraps; any other error is a Retrying one with
// ReasonFailed. It is nil for nil and for ErrStop.
func AsOutcome(err error) *Outcome {
	if err == nil || errors.Is(err, ErrStop) {
		return nil
	}
	var outcome *Outcome
	if errors.As(err, &outcome) {
		return outcome
	}
	return &Outcome{Kind: Retrying, Reason: ReasonFailed, Message: err.Error(), Err: err}
}

// hinted is an error that says when to try again, as *jenkins.Error does while Jenkins is away.
type hinted interface {
	error
	RetryAfter() time.Duration
}

// hint gives the time after which the error says that a new try is worth while; 0 without one. Those
// who wait for the same thing come back at times that differ by a fifth.
func hint(err error) time.Duration {
	var h hinted
	if !errors.As(err, &h) || h.RetryAfter() <= 0 {
		return 0
	}
	return wait.Jitter(h.RetryAfter(), 0.2)
}

// Result turns the error of a pass into what Reconcile returns. A conflict with another writer is
// no failure: the pass is run again soon and in silence. So is a backend that is away and says when to
// look again: the conditions tell of it, the logs would only repeat it.
func Result(err error) (ctrl.Result, error) {
	outcome := AsOutcome(err)
	switch {
	case outcome == nil:
		return ctrl.Result{}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case outcome.Kind == Waiting:
		return ctrl.Result{RequeueAfter: outcome.After}, nil
	case outcome.Kind == Stalled:
		return ctrl.Result{}, nil
	case hint(err) > 0:
		return ctrl.Result{RequeueAfter: hint(err)}, nil
	default:
		return ctrl.Result{}, err
	}
}

// ErrStop ends a pass early without a failure.
var ErrStop = errors.New("pass is done")

// Phase is one step of a pass over the scope S.
type Phase[S any] func(ctx context.Context, s S) error

// Phases runs the phases in order and stops at the first error. ErrStop ends it with nil.
func Phases[S any](ctx context.Context, s S, phases ...Phase[S]) error {
	for _, phase := range phases {
		if err := phase(ctx, s); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}
