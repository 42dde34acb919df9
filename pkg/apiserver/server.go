// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/metrics"
	scmhook "github.com/slipway-dev/slipway/pkg/scm/hook"
	"github.com/slipway-dev/slipway/pkg/store"
)

const (
	// headerTimeout bounds the time in which a client sends the header of a request.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection may wait for its next request.
	idleTimeout = 2 * time.Minute
	// maxHeader bounds the header of a request in bytes; tokens are the longest part.
	maxHeader = 64 << 10
	// checkTimeout bounds one check of readiness.
	checkTimeout = 5 * time.Second
)

var errStopping = errors.New("the server is stopping")

// Server serves the API.
type Server struct {
	config  CompletedConfig
	handler http.Handler
	faces   *response.Faces
	metrics *metrics.Server
	store   *store.Store
	// receiver takes events of source code servers.
	receiver *scmhook.Receiver
	// news is nil if the server has no Jenkins.
	news     *jenkinsNews
	paths    paths
	known    known
	stopping atomic.Bool
	// draining is closed when streams are to end.
	draining chan struct{}
	drain    sync.Once
}

// New makes a server. It does not listen yet.
func New(c CompletedConfig) (*Server, error) {
	s := &Server{config: c, draining: make(chan struct{}), store: store.New(c.Reader, c.Client, c.Scheme)}
	var err error
	if s.metrics, err = metrics.NewServer(c.registry); err != nil {
		return nil, fmt.Errorf("apiserver: register metrics: %w", err)
	}
	if c.Jenkins != nil {
		s.news = &jenkinsNews{health: c.Jenkins}
	}
	writers := map[string]response.ErrorWriter{}
	for _, face := range c.Faces {
		s.paths.faces = append(s.paths.faces, face.Prefixes...)
		for _, prefix := range face.Prefixes {
			writers[prefix] = face.Errors
		}
	}
	s.faces = response.NewFaces(writers)
	services, err := s.webServices()
	if err != nil {
		return nil, err
	}
	s.known = knownOf(services)
	s.handler = s.chain(s.routes(services))
	return s, nil
}

// Handler gives the whole chain, for tests and for programs that listen on their own.
func (s *Server) Handler() http.Handler { return s.handler }

// Run listens and serves until the context ends, then stops as Serve does.
func (s *Server) Run(ctx context.Context) error {
	listener := s.config.Serving.Listener
	if listener == nil {
		var err error
		var lc net.ListenConfig
		if listener, err = lc.Listen(ctx, "tcp", s.config.Serving.Address); err != nil {
			return fmt.Errorf("apiserver: listen: %w", err)
		}
	}
	return s.Serve(ctx, listener)
}

// Serve serves on the listener until the context ends. Then, in this order: the server says that it is
// not ready, goes on for the shutdown delay, takes no new connections, ends streams, and waits for
// requests in work. What is left after the shutdown timeout is cut off.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	log := s.config.Log
	go s.prepare(ctx)
	server := &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.config.Serving.TLS,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(log.V(1)), slog.LevelInfo),
		// Requests in work do not end with the context: they are drained.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, 1)
	secure := s.config.Serving.TLS != nil
	go func() {
		if secure {
			failed <- server.ServeTLS(listener, "", "")
			return
		}
		failed <- server.Serve(listener)
	}()
	log.Info("serving", "address", listener.Addr().String(), "tls", secure)
	select {
	case err := <-failed:
		return fmt.Errorf("apiserver: serve: %w", err)
	case <-ctx.Done():
	}
	return s.shutDown(context.WithoutCancel(ctx), server)
}

// prepare puts in order what lists need, as soon as the cache is filled.
func (s *Server) prepare(ctx context.Context) {
	began := time.Now()
	waiting, stop := context.WithCancel(ctx)
	go s.tellWhy(waiting)
	defer stop()
	if err := s.store.Prepare(ctx, CachedKinds()...); err != nil && ctx.Err() == nil {
		// The first list tries again, and tells who asked for it.
		s.config.Log.Error(err, "lists are not prepared")
		return
	}
	s.config.Log.Info("lists are prepared", "took", time.Since(began).Round(time.Millisecond).String())
}

func (s *Server) shutDown(ctx context.Context, server *http.Server) error {
	s.stopping.Store(true)
	s.config.Log.Info("stopping", "delay", s.config.Serving.ShutdownDelay.String())
	if delay := s.config.Serving.ShutdownDelay; delay > 0 {
		timer := time.NewTimer(delay)
		<-timer.C
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Serving.ShutdownTimeout)
	defer cancel()
	s.drain.Do(func() { close(s.draining) })
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
		return fmt.Errorf("apiserver: requests were cut off: %w", err)
	}
	// Their senders have been answered, and do not send again.
	s.receiver.Drain(ctx)
	return nil
}
