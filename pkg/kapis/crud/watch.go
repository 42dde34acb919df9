// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package crud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/store"
)

const (
	// heartbeat is how often a line without content is sent while nothing happens, so that proxies
	// keep the connection and a dead client is noticed.
	heartbeat = 20 * time.Second
	// maxWatch bounds a watch; clients go on from the last version that they saw.
	maxWatch = time.Hour
)

// Event is one line of a watch.
type Event struct {
	// Type is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
	Type string `json:"type"`
	// Object is the object; for BOOKMARK one with a resourceVersion only, for ERROR a Status.
	Object any `json:"object"`
}

// watch streams events as lines of JSON, by the rules of a watch of Kubernetes: without a
// resourceVersion all objects come first as ADDED; with one only what happened since; a version that is
// too old gives an ERROR with code 410. It is served from the cache, where an event is encoded once for
// all who watch. One that begins further in the past than the cache remembers is a watch of Kubernetes as
// the user.
func (h *Handler[T]) watch(req *restful.Request, resp *restful.Response) error {
	ctx := req.Request.Context()
	query, filters, err := h.query(req)
	if err != nil {
		return err
	}
	timeout, err := watchTimeout(req.QueryParameter("timeoutSeconds"))
	if err != nil {
		return err
	}
	version := req.QueryParameter("resourceVersion")
	if _, err := strconv.ParseUint(version, 10, 64); version != "" && err != nil {
		return apierrors.NewBadRequest("resourceVersion must be that of an event or object that was read before")
	}
	watcher, err := store.Watch(ctx, h.deps.Store, query, version, filters...)
	switch {
	case errors.Is(err, store.ErrNotServed):
		seconds := int64(timeout / time.Second)
		return h.watchKubernetes(ctx, resp, store.Condition(query, filters...), &client.ListOptions{
			Namespace:     query.Namespace,
			LabelSelector: query.Labels,
			Raw:           &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds},
		})
	case err != nil:
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := newStream(resp.ResponseWriter, h.deps.WriteTimeout)
	if err := h.follow(ctx, watcher, s); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, store.ErrSlow) {
		h.deps.SlowClient()
	}
	// The answer has begun; an error now is a client that is gone.
	return nil
}

// follow writes what a watcher gives until ctx ends or the client is gone or too slow.
func (h *Handler[T]) follow(ctx context.Context, watcher *store.Watcher, s *stream) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	told := uint64(0)
	for ctx.Err() == nil {
		lines, wait, err := watcher.Next()
		if err != nil {
			return errors.Join(err, s.sendError(err))
		}
		if len(lines) > 0 {
			told = watcher.Version()
			if err := s.write(lines...); err != nil {
				return err
			}
		}
		if wait == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-wait:
		case <-beat.C:
			line, err := store.Bookmark[T](h.deps.Store, watcher)
			if err != nil || line == nil || watcher.Version() == told {
				line = emptyLine
			}
			told = watcher.Version()
			if err := s.write(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchKubernetes forwards a watch of Kubernetes as the user.
func (h *Handler[T]) watchKubernetes(ctx context.Context, resp *restful.Response, filter store.Filter[T], options *client.ListOptions) error {
	c, _, err := kapis.ClientFor(ctx, h.deps.Clients)
	if err != nil {
		return err
	}
	upstream, err := c.Watch(ctx, h.kind.NewList(), options)
	if err != nil {
		return err
	}
	defer upstream.Stop()
	s := newStream(resp.ResponseWriter, h.deps.WriteTimeout)
	if err := h.forward(ctx, upstream.ResultChan(), s, filter); errors.Is(err, os.ErrDeadlineExceeded) {
		h.deps.SlowClient()
	}
	return nil
}

func watchTimeout(text string) (time.Duration, error) {
	if text == "" {
		return maxWatch, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || time.Duration(seconds)*time.Second > maxWatch {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("timeoutSeconds must be a whole number from 1 to %d", int(maxWatch/time.Second)))
	}
	return time.Duration(seconds) * time.Second, nil
}

// forward writes events until the upstream ends, the client is gone or too slow, or the server stops.
func (h *Handler[T]) forward(ctx context.Context, events <-chan watch.Event, s *stream, filter store.Filter[T]) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := s.beat(); err != nil {
				return err
			}
		case event, open := <-events:
			if !open {
				return nil
			}
			if !h.wanted(event, filter) {
				continue
			}
			if err := s.send(Event{Type: string(event.Type), Object: event.Object}); err != nil {
				return err
			}
			if event.Type == watch.Error {
				return nil
			}
		}
	}
}

// wanted completes an event's object and tells if the query and the route's filters let it through. Bookmarks and
// errors always pass.
func (h *Handler[T]) wanted(event watch.Event, filter store.Filter[T]) bool {
	obj, ok := event.Object.(T)
	if !ok {
		return true
	}
	if err := h.deps.Store.Finish(obj); err != nil {
		return false
	}
	return event.Type == watch.Bookmark || filter(obj)
}

// stream writes lines, each with a deadline of its own.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

func newStream(w http.ResponseWriter, timeout time.Duration) *stream {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	// Proxies of the nginx family pass lines on only with this.
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, control: http.NewResponseController(w), timeout: timeout}
	_ = s.control.Flush()
	return s
}

func (s *stream) send(event Event) error {
	line, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return s.write(append(line, '\n'))
}

// sendError ends a watch with the reason.
func (s *stream) sendError(err error) error {
	status := response.StatusOf(err)
	if errors.Is(err, store.ErrGap) {
		status = response.StatusOf(apierrors.NewResourceExpired(err.Error()))
	}
	return s.send(Event{Type: string(watch.Error), Object: status})
}

// emptyLine is sent while nothing happens; readers of JSON skip it.
var emptyLine = []byte("\n")

func (s *stream) beat() error { return s.write(emptyLine) }

// write sends lines at once.
func (s *stream) write(lines ...[]byte) error {
	// Writers without a connection, as in tests, know no deadlines.
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout))
	for _, line := range lines {
		if _, err := s.w.Write(line); err != nil {
			return fmt.Errorf("send event: %w", err)
		}
	}
	if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("send event: %w", err)
	}
	return nil
}
