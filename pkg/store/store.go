// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store reads objects for answers: one by name, a page of a filtered and sorted list, or the
// changes of one.
//
// Over an informer cache it keeps the objects of each kind in order, by the events of the informer, so
// that a page costs as much as it is long, and encodes each version of an object once for all readers. Over
// any other reader it lists, filters and sorts.
package store

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Store reads objects of the kinds of a scheme.
type Store struct {
	reader  client.Reader
	live    client.Reader
	scheme  *runtime.Scheme
	encoder *encoder
	// informers are the reader's, nil if it has none.
	informers Informers

	mu          sync.RWMutex
	collections map[reflect.Type]*collection
}

// New makes a Store over a cache. Any other reader works, too. live reads from Kubernetes itself what
// the cache does not have, so that a client sees an object that it has just made; it may be nil.
func New(reader, live client.Reader, scheme *runtime.Scheme) *Store {
	informers, _ := reader.(Informers)
	return &Store{
		reader: reader, live: live, scheme: scheme, encoder: newEncoder(scheme),
		informers: informers, collections: map[reflect.Type]*collection{},
	}
}

// Get reads the object into obj, which is a copy and complete with kind and version.
func (s *Store) Get(ctx context.Context, namespace, name string, obj client.Object) error {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	err := s.reader.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) && s.live != nil {
		err = s.live.Get(ctx, key, obj)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return s.Finish(obj)
}

// GetLive reads the object from Kubernetes itself where that is possible: for a decision that must
// not be made on an old state.
func (s *Store) GetLive(ctx context.Context, namespace, name string, obj client.Object) error {
	reader := s.live
	if reader == nil {
		reader = s.reader
	}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return s.Finish(obj)
}

// Finish makes an object fit for an answer: it fills in kind and version, which typed reads leave
// out, and removes the record of who wrote which field, which is longer than most objects.
func (s *Store) Finish(obj client.Object) error {
	kind, err := apiutil.GVKForObject(obj, s.scheme)
	if err != nil {
		return fmt.Errorf("find kind: %w", err)
	}
	obj.GetObjectKind().SetGroupVersionKind(kind)
	obj.SetManagedFields(nil)
	return nil
}
