// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// finding is where an object is found by a value of one of its fields: by the hash of the two, as the values
// themselves would take more memory than all else that is kept of an object here.
type finding struct {
	hash uint64
	e    *entry
}

func (f finding) less(other finding) bool {
	if f.hash != other.hash {
		return f.hash < other.hash
	}
	return byName(f.e.position, other.e.position) < 0
}

var seed = maphash.MakeSeed()

// findings gives the places of an object in collection.found.
func (c *collection) findings(e *entry) iter.Seq[finding] {
	return func(yield func(finding) bool) {
		for field, values := range c.sought {
			for _, value := range values(e.obj) {
				if !yield(finding{maphash.Comparable(seed, scope{e.namespace, field, value}), e}) {
					return
				}
			}
		}
	}
}

// withValue gives the objects of a namespace that have a value of a sought field, by name.
func (c *collection) withValue(s scope) []*entry {
	values := c.sought[s.field]
	hash := maphash.Comparable(seed, s)
	c.mu.RLock()
	defer c.mu.RUnlock()
	var entries []*entry
	c.found.Ascend(finding{hash, &entry{}}, func(f finding) bool {
		if f.hash != hash {
			return false
		}
		if f.e.namespace == s.namespace && slices.Contains(values(f.e.obj), s.value) {
			entries = append(entries, f.e)
		}
		return true
	})
	return entries
}

// Reader gives the reader of the store for those who look objects up by a field of index.Sorted or index.Found
// within a namespace: it answers that without an index of the cache. Everything else it leaves to the cache.
func (s *Store) Reader() client.Reader { return fieldReader{Reader: s.reader, store: s} }

type fieldReader struct {
	client.Reader
	store *Store
}

// List implements client.Reader.
func (r fieldReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var options client.ListOptions
	options.ApplyOptions(opts)
	entries, ok, err := r.find(ctx, list, &options)
	if err != nil {
		return err
	}
	if !ok {
		return r.Reader.List(ctx, list, opts...)
	}
	items := make([]runtime.Object, len(entries))
	for i, e := range entries {
		items[i] = e.obj
		if options.UnsafeDisableDeepCopy == nil || !*options.UnsafeDisableDeepCopy {
			items[i] = e.obj.DeepCopyObject()
		}
	}
	if err := meta.SetList(list, items); err != nil {
		return fmt.Errorf("fill list: %w", err)
	}
	return nil
}

// find gives what a list asks for; ok is false if it is none that the store's fields answer.
func (r fieldReader) find(ctx context.Context, list client.ObjectList, options *client.ListOptions) (entries []*entry, ok bool, err error) {
	if r.store.informers == nil || options.Namespace == "" || options.FieldSelector == nil || options.LabelSelector != nil || options.Limit != 0 {
		return nil, false, nil
	}
	wanted := options.FieldSelector.Requirements()
	if len(wanted) != 1 {
		return nil, false, nil
	}
	value, exact := options.FieldSelector.RequiresExactMatch(wanted[0].Field)
	kind := r.store.itemOf(list)
	if !exact || kind == nil {
		return nil, false, nil
	}
	c, err := r.store.collectionOf(ctx, kind)
	if err != nil {
		return nil, false, err
	}
	s := scope{options.Namespace, wanted[0].Field, value}
	switch {
	case c.sought[s.field] != nil:
		return c.withValue(s), true, nil
	case c.fields[s.field] != nil:
		return c.all(s, Query{SortBy: SortByName, Ascending: true}), true, nil
	}
	return nil, false, nil
}

// itemOf makes an empty object of a list's kind; nil if it cannot tell.
func (s *Store) itemOf(list client.ObjectList) client.Object {
	kind, err := apiutil.GVKForObject(list, s.scheme)
	if err != nil {
		return nil
	}
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	made, err := s.scheme.New(kind)
	if err != nil {
		return nil
	}
	item, _ := made.(client.Object)
	return item
}
