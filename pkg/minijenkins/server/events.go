// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The types of events, those of Jenkins' generic-event plugin. A build has them in this order;
// deleted comes when the build itself is deleted, not its job.
const (
	EventInitialize = "run.initialize"
	EventStarted    = "run.started"
	EventCompleted  = "run.completed"
	EventFinalized  = "run.finalized"
	EventDeleted    = "run.deleted"
)

const (
	// eventShards is how many events are on their way at once. All events of a build go through
	// one shard, which keeps their order.
	eventShards = 16
	// defaultEventsQueue bounds the events that wait, over all shards.
	defaultEventsQueue = 8192
	eventTimeout       = 10 * time.Second
	// eventMaxAge is when an event that could not be delivered is given up: its receiver has long
	// asked for the state itself.
	eventMaxAge = 15 * time.Minute
	// eventFlush is how long a server that stops goes on to deliver.
	eventFlush = 2 * time.Second
	// dropLogPeriod is how often dropped events are logged at most.
	dropLogPeriod = time.Minute
)

// eventBackoff is the wait between the attempts for one event.
var eventBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 20, Cap: 30 * time.Second}

// event is an event on its way.
type event struct {
	kind string
	body []byte
	at   time.Time
}

// eventBody is the body of an event in the form of the generic-event plugin.
type eventBody struct {
	Type string `json:"type"`
	// Source and URL are the paths of the job and the build, without a slash before them.
	Source string `json:"source"`
	URL    string `json:"url"`
	ID     string `json:"id"`
	// Time has the form 2026-01-02T15:04:05.000+0000.
	Time     string          `json:"time"`
	DataType string          `json:"dataType"`
	Data     json.RawMessage `json:"data"`
}

// EventStats counts events since the server was made.
type EventStats struct {
	// Sent were taken by the receiver, Dropped were not and never will be, Waiting are on their way.
	Sent, Dropped, Waiting int64
}

// eventSender delivers events. Its methods never wait for the receiver.
type eventSender struct {
	url, token string
	client     *http.Client
	// flush brings what an event tells of to disk first.
	flush   func() error
	shards  [eventShards]eventShard
	now     func() time.Time
	backoff wait.Backoff

	sent, dropped, waiting atomic.Int64
	logMu                  sync.Mutex
	logged                 time.Time
}

// eventShard is a bounded queue. If it is full, the oldest event makes room: the newer one tells more.
type eventShard struct {
	mu    sync.Mutex
	list  []event
	bound int
	wake  chan struct{}
}

func checkEventsURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The text of the URL may hold a secret.
		return errors.New("minijenkins: the events URL must be http(s)://HOST/PATH")
	}
	return nil
}

func newEventSender(cfg *Config, now func() time.Time, flush func() error) *eventSender {
	if cfg.EventsURL == "" {
		return nil
	}
	e := &eventSender{url: cfg.EventsURL, token: cfg.EventsToken, now: now, flush: flush, backoff: eventBackoff}
	e.client = &http.Client{Timeout: eventTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: eventShards, MaxIdleConnsPerHost: eventShards, IdleConnTimeout: time.Minute,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i := range e.shards {
		e.shards[i].bound = max(1, cfg.EventsQueue/eventShards)
		e.shards[i].wake = make(chan struct{}, 1)
	}
	return e
}

// EventStats are the counters of events; all zero without an EventsURL.
func (s *Server) EventStats() EventStats {
	if s.events == nil {
		return EventStats{}
	}
	return EventStats{Sent: s.events.sent.Load(), Dropped: s.events.dropped.Load(), Waiting: s.events.waiting.Load()}
}

// emit queues an event of a build as the build is now. s.mu is held, at least for reading.
func (s *Server) emit(kind string, it *item, b *store.Build) {
	if s.events == nil {
		return
	}
	body, err := s.eventBody(kind, it, b)
	if err != nil {
		s.logger().Error(err, "event cannot be written", "type", kind, "job", it.fullName(), "number", b.Number)
		return
	}
	s.events.add(s.logger(), b.Key(), event{kind: kind, body: body, at: s.now()})
}

// emitNow takes the lock for emit.
func (s *Server) emitNow(kind string, it *item, b *store.Build) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.emit(kind, it, b)
}

func (s *Server) eventBody(kind string, it *item, b *store.Build) ([]byte, error) {
	bean := s.buildBean(s.buildURLBase(), it, b)
	bean.class = "io.jenkins.plugins.generic.event.data.WorkflowRunData"
	parent, multi := "", false
	if it.up != nil {
		parent, multi = it.up.fullName(), it.up.Kind == store.KindMultibranch
	}
	bean.set("_multiBranch", multi).set("_parentFullName", parent).set("_projectName", it.Name)
	var data bytes.Buffer
	if err := renderJSON(&data, bean, byDepth(1)); err != nil {
		return nil, err
	}
	source := it.path()[1:]
	return json.Marshal(eventBody{
		Type: kind, Source: source, URL: source + fmt.Sprint(b.Number) + "/", ID: uuid.NewString(),
		Time: s.now().Format(blueTime), DataType: classRun, Data: data.Bytes(),
	})
}

func (e *eventSender) add(log klog.Logger, k store.BuildKey, ev event) {
	sh := &e.shards[(k.Job*31+uint64(k.Number))%eventShards]
	sh.mu.Lock()
	full := len(sh.list) >= sh.bound
	if full {
		sh.list = sh.list[1:]
	} else {
		e.waiting.Add(1)
	}
	sh.list = append(sh.list, ev)
	sh.mu.Unlock()
	if full {
		e.drop(log, errors.New("too many events wait"))
	}
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// take removes the first event of a shard.
func (sh *eventShard) take() (event, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.list) == 0 {
		return event{}, false
	}
	ev := sh.list[0]
	sh.list[0] = event{}
	if sh.list = sh.list[1:]; len(sh.list) == 0 {
		sh.list = nil
	}
	return ev, true
}

// putBack makes an event the first again.
func (sh *eventShard) putBack(ev event) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.list = append([]event{ev}, sh.list...)
}

// drop counts an event that is given up and logs it, not each one of many.
func (e *eventSender) drop(log klog.Logger, why error) {
	n := e.dropped.Add(1)
	e.logMu.Lock()
	defer e.logMu.Unlock()
	if now := e.now(); e.logged.IsZero() || now.Sub(e.logged) >= dropLogPeriod {
		e.logged = now
		log.Error(why, "events of builds were dropped", "total", n)
	}
}

// run delivers until ctx ends, and then for a moment what still waits.
func (e *eventSender) run(ctx context.Context) error {
	var g errgroup.Group
	for i := range e.shards {
		g.Go(func() error {
			e.serve(ctx, &e.shards[i])
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventFlush)
			defer cancel()
			e.drain(last, &e.shards[i])
			for {
				if _, ok := e.shards[i].take(); !ok {
					return nil
				}
				e.waiting.Add(-1)
				e.drop(klog.FromContext(ctx), errors.New("the server stops"))
			}
		})
	}
	err := g.Wait()
	e.client.CloseIdleConnections()
	return err
}

func (e *eventSender) serve(ctx context.Context, sh *eventShard) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-sh.wake:
		}
		e.drain(ctx, sh)
		if ctx.Err() != nil {
			return
		}
	}
}

// drain delivers what waits in a shard.
func (e *eventSender) drain(ctx context.Context, sh *eventShard) {
	for ctx.Err() == nil {
		ev, ok := sh.take()
		if !ok {
			return
		}
		err := e.deliver(ctx, ev)
		if err != nil && ctx.Err() != nil {
			sh.putBack(ev)
			return
		}
		e.waiting.Add(-1)
		if err != nil {
			e.drop(klog.FromContext(ctx), err)
			continue
		}
		e.sent.Add(1)
	}
}

// deliver sends an event until the receiver takes it or refuses it for good, it is too old or ctx ends.
func (e *eventSender) deliver(ctx context.Context, ev event) error {
	backoff := e.backoff
	for {
		again, err := e.post(ctx, ev)
		if err == nil || !again {
			return err
		}
		pause := backoff.Step()
		if e.now().Add(pause).Sub(ev.at) > eventMaxAge {
			return fmt.Errorf("event is too old: %w", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// post sends an event once; again says that another attempt may help.
func (e *eventSender) post(ctx context.Context, ev event) (again bool, err error) {
	if err := e.flush(); err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(ev.body))
	if err != nil {
		return false, errors.New("the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Event-Type", ev.kind)
	if e.token != "" {
		req.Header.Set("Authorization", "Bearer "+e.token)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return true, fmt.Errorf("send: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	switch code := resp.StatusCode; {
	case code < 300:
		return false, nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return true, fmt.Errorf("the receiver answered %d", code)
	default:
		return false, fmt.Errorf("the receiver refused it with %d", code)
	}
}
