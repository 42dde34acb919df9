// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// Prepare keeps kinds in order from now on, so that the first list of each need not wait for that. It
// waits for the cache, which somebody else starts, and does nothing over a reader that is none.
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
		return c, nil
	default:
	}
	select {
	case <-c.ready:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the cache: %w", ctx.Err())
	}
}

// syncPoll is how often an informer is asked whether it is complete.
const syncPoll = 10 * time.Millisecond

// follow makes the collection of a kind, once, when the informer is complete.
func (s *Store) follow(ctx context.Context, kind client.Object, options ...cache.InformerGetOption) (*collection, error) {
	// Outside the lock: this may wait for Kubernetes.
	informer, err := s.informers.GetInformer(ctx, kind, options...)
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	err = wait.PollUntilContextCancel(ctx, syncPoll, true, func(context.Context) (bool, error) { return informer.HasSynced(), nil })
	if err != nil {
		return nil, fmt.Errorf("wait for the cache: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.collections[reflect.TypeOf(kind)]; known != nil {
		return known, nil
	}
	c := newCollection(s.encoder, kind)
	c.informed = informedBy(informer)
	before, known := c.informed()
	registration, err := informer.AddEventHandler(c)
	if err != nil {
		return nil, fmt.Errorf("follow %T: %w", kind, err)
	}
	// The collection begins with what the informer had somewhere between the two, and hears of everything
	// after that.
	after, _ := c.informed()
	c.mu.Lock()
	c.journal.begin(before, after, known)
	c.mu.Unlock()
	c.ready = registration.HasSyncedChecker().Done()
	s.collections[reflect.TypeOf(kind)] = c
	return c, nil
}

// informedBy gives what tells up to which resourceVersion an informer knows everything. One of several
// namespaces, for example, cannot tell.
func informedBy(informer cache.Informer) func() (uint64, bool) {
	indexed, ok := informer.(interface{ GetIndexer() toolscache.Indexer })
	if !ok {
		return func() (uint64, bool) { return 0, false }
	}
	return func() (uint64, bool) {
		version, err := strconv.ParseUint(indexed.GetIndexer().LastStoreSyncResourceVersion(), 10, 64)
		return version, err == nil && version > 0
	}
}
