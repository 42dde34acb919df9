// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/index"
)

// Informers are the part of a cache that a Store keeps its orders by. A reader that has them is asked
// for single objects only.
type Informers interface {
	GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error)
}

// newObject makes an empty T, nil if T is no pointer to a struct.
func newObject[T client.Object]() client.Object {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Pointer {
		return nil
	}
	return reflect.New(t.Elem()).Interface().(T)
}

// Prepare begins to keep kinds in order, so that the first list of each need not wait for that. The
// cache may be started before or after. It does nothing over a reader that is no cache.
func (s *Store) Prepare(ctx context.Context, kinds ...client.Object) error {
	if s.informers == nil {
		return nil
	}
	for _, kind := range kinds {
		if _, err := s.follow(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	return nil
}

// collectionOf gives the ordered objects of a kind when they are complete; nil if the reader is no
// cache.
func (s *Store) collectionOf(ctx context.Context, kind client.Object) (*collection, error) {
	if s.informers == nil || kind == nil {
		return nil, nil
	}
	s.mu.RLock()
	c := s.collections[reflect.TypeOf(kind)]
	s.mu.RUnlock()
	if c == nil {
		var err error
		if c, err = s.follow(ctx, kind); err != nil {
			return nil, err
		}
	}
	select {
	case <-c.ready:
		c.begin()
		return c, nil
	default:
	}
	select {
	case <-c.ready:
		c.begin()
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the cache: %w", ctx.Err())
	}
}

// follow makes the collection of a kind, once.
func (s *Store) follow(ctx context.Context, kind client.Object, options ...cache.InformerGetOption) (*collection, error) {
	// Outside the lock: this may wait for Kubernetes.
	informer, err := s.informers.GetInformer(ctx, kind, options...)
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.collections[reflect.TypeOf(kind)]; known != nil {
		return known, nil
	}
	c := newCollection(s.encoder, index.Sorted(kind))
	c.informed = informedBy(informer)
	registration, err := informer.AddEventHandler(c)
	if err != nil {
		return nil, fmt.Errorf("follow %T: %w", kind, err)
	}
	c.ready = registration.HasSyncedChecker().Done()
	s.collections[reflect.TypeOf(kind)] = c
	return c, nil
}

// begin starts the journal; c is ready.
func (c *collection) begin() {
	if c.begun.Load() {
		return
	}
	known, ok := uint64(0), false
	if c.informed != nil {
		known, ok = c.informed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun.Load() {
		c.journal.begin(known, ok)
		c.begun.Store(true)
	}
}

// informedBy gives what tells up to which resourceVersion an informer knows everything; nil for one that
// cannot tell, such as that of several namespaces.
func informedBy(informer cache.Informer) func() (uint64, bool) {
	indexed, ok := informer.(interface{ GetIndexer() toolscache.Indexer })
	if !ok {
		return nil
	}
	return func() (uint64, bool) {
		version, err := strconv.ParseUint(indexed.GetIndexer().LastStoreSyncResourceVersion(), 10, 64)
		return version, err == nil && version > 0
	}
}
