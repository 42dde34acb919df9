// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	kwait "k8s.io/apimachinery/pkg/util/wait"
)

const (
	// probeFirst is when a Jenkins that has stopped answering is asked for the first time whether it is back. The time doubles until
	// Config.ProbeInterval.
	probeFirst = 500 * time.Millisecond
	// probeJitter is how much longer a pause may be, as a share: several clients must not ask at the same moment.
	probeJitter = 0.25
	// probeTimeout is how long a probe may take; what takes longer is no Jenkins to send work to. A call that its caller gave less time than
	// this and that got no answer says nothing about Jenkins.
	probeTimeout = 5 * time.Second
	// probeHint is when to come back while a probe is under way.
	probeHint = 500 * time.Millisecond
)

// outcome is what a call says about Jenkins, whatever it says to its caller.
type outcome int

const (
	// noVerdict: the caller gave up.
	noVerdict outcome = iota
	// answered: Jenkins answered, be it with an error.
	answered
	// silent: nothing came, or what stands for nothing: a gateway's error, or a page of a Jenkins that starts.
	silent
)

// breaker keeps calls from a Jenkins that does not answer. Closed, it lets all calls through and counts failures in a row. Open, it refuses
// calls at once; from time to time one small question goes out, and when that is answered the breaker is closed again.
//
// It is our own, as the libraries do not fit: the open period of sony/gobreaker is fixed and its error does not say when it ends; failsafe-go
// computes the period only for calls that its executor makes whole, while half of our failures come later, in the body, and takes the late
// failure of a call that began before for the failure of the probe. The growing pauses are apimachinery's.
type breaker struct {
	threshold int
	pauses    kwait.Backoff

	mu sync.Mutex
	// term counts the changes of state: the end of a call that began in an earlier one does not count.
	term     uint64
	open     bool
	probing  bool
	failures int
	since    time.Time
	last     time.Time
	reason   string
	next     time.Time
	pause    kwait.Backoff
}

func newBreaker(threshold int, longest time.Duration) *breaker {
	first := min(probeFirst, longest)
	return &breaker{threshold: threshold, pauses: kwait.Backoff{Duration: first, Factor: 2, Jitter: probeJitter, Cap: longest, Steps: 1000}}
}

// admission is the answer to a call that wants to go out.
type admission struct {
	// term is the state that the call begins in.
	term uint64
	// refused is why it must not; its Op is empty.
	refused *Error
	// probe asks the caller to probe Jenkins first and to report that to probed.
	probe bool
}

// admit says whether a call may go out.
func (b *breaker) admit() admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return admission{term: b.term}
	}
	now := time.Now()
	if b.probing || now.Before(b.next) {
		return admission{refused: b.refusal(now)}
	}
	b.probing = true
	return admission{probe: true, term: b.term}
}

// refusal is the error of a call that does not go out. The caller holds mu.
func (b *breaker) refusal(now time.Time) *Error {
	after := max(b.next.Sub(now), probeHint)
	return &Error{kind: ErrUnavailable, retryAfter: after, Message: fmt.Sprintf("Jenkins does not answer since %s (%s); next attempt in %s",
		b.since.UTC().Format(time.RFC3339), b.reason, after.Round(100*time.Millisecond))}
}

// record takes what a call of a term says about Jenkins. began is when it was sent.
func (b *breaker) record(term uint64, began time.Time, o outcome, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case o == answered:
		b.last = time.Now()
		if term == b.term && !b.open {
			b.failures, b.since = 0, time.Time{}
		}
	case o == noVerdict, term != b.term, b.open:
	default:
		if b.failures++; b.failures == 1 {
			b.since = began
		}
		b.reason = reason
		if b.threshold > 0 && b.failures >= b.threshold {
			b.open, b.pause = true, b.pauses
			b.term++
			b.next = time.Now().Add(b.pause.Step())
		}
	}
}

// probed takes the outcome of a probe. It returns why the call that made it must not go out, if it must not.
func (b *breaker) probed(o outcome, reason string) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.probing = false
	switch o {
	case answered:
		b.open, b.failures, b.since, b.last = false, 0, time.Time{}, now
		b.term++
		return nil
	case silent:
		b.reason = reason
		b.next = now.Add(b.pause.Step())
	}
	return b.refusal(now)
}

func (b *breaker) state() (since, last time.Time, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.last, b.open
}

// State says how it is with Jenkins, as far as the calls of this client know. since is when the first call failed of those in a row that got no
// answer; zero if the last call got one. lastAnswer is when Jenkins last answered; zero if it never did. open says that calls are refused
// until Jenkins answers again.
func (c *Client) State() (since, lastAnswer time.Time, open bool) { return c.breaker.state() }

// ticket is a call that goes out.
type ticket struct {
	c     *Client
	term  uint64
	began time.Time
}

// enter waits until a call may go out: the breaker has to be closed and a slot free. The caller must call leave.
func (c *Client) enter(ctx context.Context, op string) (*ticket, error) {
	a := c.breaker.admit()
	if a.probe {
		a.refused = c.breaker.probed(c.probe(ctx))
	}
	if a.refused == nil {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, transportError(op, context.Cause(ctx))
		}
		// Jenkins may have gone away while the call waited for its turn.
		if a = c.breaker.admit(); a.refused == nil && !a.probe {
			return &ticket{c: c, term: a.term, began: time.Now()}, nil
		}
		<-c.slots
		if a.probe {
			// The pause was over at that very moment: let the next call have the probe.
			a.refused = c.breaker.probed(noVerdict, "")
		}
	}
	if c.cfg.Observer != nil {
		c.cfg.Observer.Refused(op)
	}
	a.refused.Op = op
	return nil, a.refused
}

// leave ends a call that has got its answer, or its header where the body is streamed.
func (t *ticket) leave(ctx context.Context, err error) {
	<-t.c.slots
	t.report(ctx, err)
}

// report tells the breaker how a call went.
func (t *ticket) report(ctx context.Context, err error) {
	o, reason := t.c.verdict(ctx, err, time.Since(t.began))
	t.c.breaker.record(t.term, t.began, o, reason)
}

// verdict says what the end of a call tells about Jenkins.
func (c *Client) verdict(ctx context.Context, err error, took time.Duration) (outcome, string) {
	var e *Error
	switch {
	case err == nil:
		c.accepted.Store(true)
		return answered, ""
	case !errors.As(err, &e), errors.Is(err, context.Canceled):
		return noVerdict, ""
	case e.Status == http.StatusTooManyRequests:
		return answered, "" // somebody is there and counts
	case e.Status == 0 && ctx.Err() != nil && took < min(probeTimeout, c.cfg.Timeout):
		return noVerdict, "" // the caller was in more of a hurry than a slow Jenkins can bear
	case errors.Is(err, ErrUnavailable):
		return silent, e.brief()
	case errors.Is(err, ErrUnauthorized) && c.accepted.Load():
		// A credential that was good before: Jenkins starts and does not know its users yet.
		return silent, e.brief()
	case e.Status == 0:
		return noVerdict, ""
	}
	return answered, ""
}

// brief is the error without the call.
func (e *Error) brief() string {
	short := Error{Status: e.Status, Message: e.Message}
	if e.Status != 0 {
		short.Message = "" // the page of a starting Jenkins is long
	}
	return short.words()
}

// probe asks Jenkins for next to nothing.
func (c *Client) probe(ctx context.Context) (outcome, string) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, c.cfg.Timeout))
	defer cancel()
	const op = "probe"
	a, err := c.exchange(ctx, call{op: op, method: http.MethodGet, path: "/api/json", query: url.Values{"tree": {"mode"}}})
	if err == nil {
		err = decodeJSON(op, a, &struct{}{})
	}
	switch {
	case err == nil, errors.Is(err, ErrForbidden):
		if c.restarts.back() && c.cfg.Observer != nil {
			c.cfg.Observer.Restarted()
		}
		return answered, ""
	case caller.Err() != nil:
		return noVerdict, ""
	}
	var e *Error
	if errors.As(err, &e) {
		return silent, e.brief()
	}
	return silent, "no answer"
}

// Observer is told what the client does, for metrics. Its methods must return at once.
type Observer interface {
	// Request: a request was sent. op is one of a small set of fixed texts, code the HTTP status, 0 if no answer came, took the time until
	// the header of the answer came.
	Request(op string, code int, took time.Duration)
	// Refused: a call was not sent, as Jenkins does not answer.
	Refused(op string)
	// Restarted: Jenkins was restarted.
	Restarted()
}

// sessionHeader holds what Jenkins makes up at each start.
const sessionHeader = "X-Jenkins-Session"

// restarts notices a restart of Jenkins and tells those who asked for it.
type restarts struct {
	mu      sync.Mutex
	session string
	nextID  int
	told    map[int]func()
}

// OnRestart calls f, in a goroutine of its own, each time that Jenkins turns out to have been restarted: what is kept only in its memory is gone
// then. It is noticed with the first call that is answered after it, and not for a restart before the client's first call. The returned
// function ends it.
func (c *Client) OnRestart(f func()) (stop func()) {
	r := &c.restarts
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[int]func(){}
	}
	id := r.nextID
	r.nextID++
	r.told[id] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.told, id)
	}
}

// see looks at the header of a good answer. Pages for people and plain answers do not have it.
func (r *restarts) see(h http.Header) (restarted bool) {
	session := h.Get(sessionHeader)
	if session == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	restarted = r.session != "" && r.session != session
	r.session = session
	if restarted {
		r.tell()
	}
	return restarted
}

// back is called when Jenkins answers again. From one that does not name its sessions, that may mean a restart.
func (r *restarts) back() (restarted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != "" {
		return false
	}
	r.tell()
	return true
}

func (r *restarts) tell() {
	for _, f := range r.told {
		go f()
	}
}
