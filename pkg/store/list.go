// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/index"
)

// Page is a part of a list.
type Page[T client.Object] struct {
	// Items are copies, complete with kind and version.
	Items []T
	Place
}

// Place says where a page is in its list.
type Place struct {
	// Total is how many objects are on all pages.
	Total int
	// Continue is the Query.Continue of the next page, "" if there is none.
	Continue string
	// ResourceVersion is the version that the list is from; a watch can begin there. It is "" if that is
	// not known.
	ResourceVersion string
}

// Encoded is a page in JSON.
type Encoded struct {
	// Len is how many objects are on the page.
	Len int
	// Items gives them one after another; they must not be changed. Those of a long page are encoded when
	// it is their turn. After an error there are no more.
	Items iter.Seq2[[]byte, error]
	Place
}

// Filter is a condition besides those of the query.
type Filter[T client.Object] func(obj T) bool

// List gives one page of the objects that the query and the filters let through. The list is of
// the type that holds T's and is only used to read into. Filters must not change the object, which
// belongs to the cache.
func List[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters ...Filter[T]) (Page[T], error) {
	entries, place, err := find(ctx, s, list, q, filters)
	if err != nil {
		return Page[T]{}, err
	}
	page := Page[T]{Items: make([]T, 0, len(entries)), Place: place}
	for _, e := range entries {
		own, ok := e.obj.DeepCopyObject().(T)
		if !ok {
			return Page[T]{}, fmt.Errorf("a copy of %T is another type", e.obj)
		}
		if err := s.Finish(own); err != nil {
			return Page[T]{}, err
		}
		page.Items = append(page.Items, own)
	}
	return page, nil
}

// longPage is from how many objects on a page is not encoded before it is sent, and its JSON not kept.
const longPage = 500

// ListJSON gives the same page as List in JSON, without a copy.
func ListJSON[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters ...Filter[T]) (Encoded, error) {
	entries, place, err := find(ctx, s, list, q, filters)
	if err != nil {
		return Encoded{}, err
	}
	keep := len(entries) < longPage
	return Encoded{Len: len(entries), Place: place, Items: func(yield func([]byte, error) bool) {
		for _, e := range entries {
			encoded, err := s.encoder.encode(e, keep)
			if !yield(encoded, err) || err != nil {
				return
			}
		}
	}}, nil
}

// find gives the entries of a page.
func find[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters []Filter[T]) ([]*entry, Place, error) {
	kind := reflect.TypeFor[T]()
	after, err := q.after(kind)
	if err != nil {
		return nil, Place{}, err
	}
	id := ""
	if q.Limit != NoLimit {
		id = q.listID(kind)
	}
	// A filter for a namespace is the same as a list there.
	if wanted := q.Filters["namespace"]; wanted != "" && q.Namespace == "" {
		q.Namespace = wanted
	}
	c, err := s.collectionOf(ctx, newObject[T]())
	if err != nil {
		return nil, Place{}, err
	}
	var (
		place   Place
		entries []*entry
		more    bool
	)
	if c == nil {
		if entries, err = read(ctx, s, list, q, filters); err != nil {
			return nil, Place{}, err
		}
		entries, place.Total, more = q.cut(entries, after)
	} else {
		// Read before the objects, which may be newer than it, never older.
		if version := c.version(); version > 0 {
			place.ResourceVersion = strconv.FormatUint(version, 10)
		}
		entries, place.Total, more = selectPage(c, q, after, filters)
	}
	if more && q.Limit != NoLimit && len(entries) > 0 {
		if place.Continue, err = encodeToken(entries[len(entries)-1].position, id); err != nil {
			return nil, Place{}, err
		}
	}
	return entries, place, nil
}

// selectPage gives a page of a collection. Only a query with filters looks at more than the page.
func selectPage[T client.Object](c *collection, q Query, after *position, filters []Filter[T]) (page []*entry, total int, more bool) {
	s, exact := c.scopeOf(q)
	if exact && len(filters) == 0 && (q.Labels == nil || q.Labels.Empty()) && !q.filtered() {
		return c.page(s, q, after)
	}
	rest := q
	if exact {
		rest.Namespace, rest.Field = "", "" // the scope has nothing else
	}
	matches := matcher(c.fields, rest, filters)
	entries := slices.DeleteFunc(c.all(s, q), func(e *entry) bool { return !matches(e.obj) })
	return q.cut(entries, after)
}

// read lists by the reader what the query and the filters let through, in the query's order.
func read[T client.Object](ctx context.Context, s *Store, list client.ObjectList, q Query, filters []Filter[T]) ([]*entry, error) {
	options := []client.ListOption{client.UnsafeDisableDeepCopy, client.InNamespace(q.Namespace)}
	if q.Labels != nil {
		options = append(options, client.MatchingLabelsSelector{Selector: q.Labels})
	}
	if err := s.reader.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	var matches func(client.Object) bool
	var found []*entry
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, ok := item.(T)
		if !ok {
			return fmt.Errorf("the list holds a %T", item)
		}
		if matches == nil {
			matches = matcher(index.Sorted(obj), q, filters)
		}
		if matches(obj) {
			found = append(found, newEntry(obj))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	slices.SortFunc(found, func(a, b *entry) int { return q.compare(a.position, b.position) })
	return found, nil
}

// compare gives the query's order: the newest first, or names from the end, unless it is ascending.
func (q Query) compare(a, b position) int {
	order := byCreation
	if q.SortBy == SortByName {
		order = byName
	}
	if q.Ascending {
		return order(a, b)
	}
	return order(b, a)
}

// cut takes the page out of all entries in the query's order.
func (q Query) cut(entries []*entry, after *position) (page []*entry, total int, more bool) {
	total = len(entries)
	from, to := q.bounds(total)
	if after != nil {
		from, _ = slices.BinarySearchFunc(entries, *after, func(e *entry, p position) int { return q.compare(e.position, p) })
		if from < total && entries[from].position == *after {
			from++
		}
		to = total
		if q.Limit != NoLimit {
			to = min(from+q.Limit, total)
		}
	}
	return entries[from:to], total, to < total
}
