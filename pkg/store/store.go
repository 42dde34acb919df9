// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store reads objects for answers: one by name, or a page of a filtered and sorted list. It
// reads from the informer cache and copies only what is on the page.
package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Store reads objects of the kinds of a scheme.
type Store struct {
	reader client.Reader
	live   client.Reader
	scheme *runtime.Scheme
}

// New makes a Store over a cache. Any other reader works, too. live reads from Kubernetes itself what
// the cache does not have, so that a client sees an object that it has just made; it may be nil.
func New(reader, live client.Reader, scheme *runtime.Scheme) *Store {
	return &Store{reader: reader, live: live, scheme: scheme}
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

// Page is a part of a list.
type Page[T client.Object] struct {
	// Items are copies, complete with kind and version.
	Items []T
	// Total is how many objects are on all pages.
	Total int
}

// Filter is a condition besides those of the query.
type Filter[T client.Object] func(obj T) bool

// List gives one page of the objects that the query and the filters let through. The list is of
// the type that holds T's and is only used to read into. Filters must not change the object, which
// belongs to the cache.
func List[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters ...Filter[T]) (Page[T], error) {
	found, err := collect(ctx, s, list, q, filters)
	if err != nil {
		return Page[T]{}, err
	}
	sortObjects(found, q)
	from, to := q.bounds(len(found))
	page := Page[T]{Items: make([]T, 0, to-from), Total: len(found)}
	for _, obj := range found[from:to] {
		own, ok := obj.DeepCopyObject().(T)
		if !ok {
			return Page[T]{}, fmt.Errorf("a copy of %T is another type", obj)
		}
		if err := s.Finish(own); err != nil {
			return Page[T]{}, err
		}
		page.Items = append(page.Items, own)
	}
	return page, nil
}

// collect gives the matching objects as they are in the cache: not to be changed.
func collect[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters []Filter[T]) ([]T, error) {
	options := []client.ListOption{client.UnsafeDisableDeepCopy, client.InNamespace(q.Namespace)}
	if q.Labels != nil {
		options = append(options, client.MatchingLabelsSelector{Selector: q.Labels})
	}
	if err := s.reader.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	var found []T
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, ok := item.(T)
		if !ok {
			return fmt.Errorf("the list holds a %T", item)
		}
		if q.matches(obj) && !slices.ContainsFunc(filters, func(f Filter[T]) bool { return !f(obj) }) {
			found = append(found, obj)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	return found, nil
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

// sortObjects puts the newest first, or sorts by name from the end, unless the order is ascending.
func sortObjects[T client.Object](objects []T, q Query) {
	slices.SortFunc(objects, func(a, b T) int {
		order := 0
		if q.SortBy == SortByCreation {
			order = a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
		}
		if order == 0 {
			order = cmp.Compare(a.GetName(), b.GetName())
		}
		if order == 0 {
			order = cmp.Compare(a.GetNamespace(), b.GetNamespace())
		}
		if q.Ascending {
			return order
		}
		return -order
	})
}
