// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
)

// The keys of a list's query. Every other key is a filter.
const (
	KeyPage          = "page"
	KeyLimit         = "limit"
	KeySortBy        = "sortBy"
	KeyAscending     = "ascending"
	KeyLabelSelector = "labelSelector"
	// KeyContinue goes on behind an earlier page, whatever was made or deleted since.
	KeyContinue = "continue"
)

// The fields by which a list can be sorted.
const (
	SortByCreation = "creationTimestamp"
	SortByName     = "name"
)

// NoLimit as a limit asks for all objects on one page.
const NoLimit = -1

// maxNumber bounds page and limit, so that their product cannot overflow.
const maxNumber = 1_000_000

// Query says which objects of a collection are wanted, in which order.
type Query struct {
	// Namespace is the namespace; "" lists all of them, and cluster-scoped objects.
	Namespace string
	// Labels selects objects; nil selects all.
	Labels labels.Selector
	// Field and Value select objects of a namespace by a field that lists are kept apart by, see
	// index.Sorted; Field "" selects all. This costs nothing, other than a selection by labels.
	Field, Value string
	// Page counts from 1.
	Page int
	// Continue is a Page's Continue; the list goes on behind it. Page must be 1 then.
	Continue string
	// Limit is the size of a page; NoLimit puts all on one.
	Limit int
	// SortBy is SortByCreation or SortByName; consoles send their columns, and what is none of these is the first, as
	// with KubeSphere's servers. Objects of equal age are sorted by name.
	SortBy string
	// Ascending turns the order around: oldest or least first.
	Ascending bool
	// Filters are the remaining keys. Those that the store does not know are ignored, as clients
	// send keys against caches and keys of other servers.
	Filters map[string]string
}

// All is the query for everything in a namespace.
func All(namespace string) Query {
	return Query{Namespace: namespace, Page: 1, Limit: NoLimit, SortBy: SortByCreation}
}

// ParseQuery reads a list's query. The error is an API status that names the key.
func ParseQuery(values url.Values) (Query, error) {
	q := All("")
	var err error
	if q.Page, err = number(values, KeyPage, 1, 1); err != nil {
		return q, err
	}
	if q.Limit, err = number(values, KeyLimit, NoLimit, NoLimit); err != nil {
		return q, err
	}
	if q.Limit == 0 {
		return q, bad("limit must be -1 for all objects, or at least 1; got 0")
	}
	if values.Get(KeySortBy) == SortByName {
		q.SortBy = SortByName
	}
	switch ascending := values.Get(KeyAscending); ascending {
	case "", "false", "0":
	case "true", "1":
		q.Ascending = true
	default:
		return q, bad("ascending must be true or false; got %q", clip(ascending))
	}
	if selector := values.Get(KeyLabelSelector); selector != "" {
		if q.Labels, err = labels.Parse(selector); err != nil {
			return q, bad("labelSelector is not valid: %s", clip(err.Error()))
		}
	}
	q.Continue = values.Get(KeyContinue)
	for key := range values {
		if value := values.Get(key); value != "" && !slices.Contains(ownKeys, key) {
			if q.Filters == nil {
				q.Filters = make(map[string]string, len(values))
			}
			q.Filters[key] = value
		}
	}
	// The console of version 3 encodes the name twice. No name has a percent sign.
	if plain, err := url.PathUnescape(q.Filters[filterName]); err == nil && strings.Contains(q.Filters[filterName], "%") {
		q.Filters[filterName] = plain
	}
	return q, nil
}

// ownKeys are the keys that are no filters.
var ownKeys = []string{KeyPage, KeyLimit, KeySortBy, KeyAscending, KeyLabelSelector, KeyContinue}

// number reads a whole number of at least least.
func number(values url.Values, key string, absent, least int) (int, error) {
	text := values.Get(key)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > maxNumber {
		return 0, bad("%s must be a whole number from %d to %d; got %q", key, least, maxNumber, clip(text))
	}
	return n, nil
}

func bad(format string, args ...any) error {
	return apierrors.NewBadRequest(fmt.Sprintf(format, args...))
}

// clip bounds what of a query is repeated in an answer.
func clip(text string) string {
	if len(text) > 100 {
		return strings.ToValidUTF8(text[:100], "") + "…"
	}
	return text
}

// bounds gives the half-open range of a page in a list of total objects. A page beyond the end is
// empty.
func (q Query) bounds(total int) (from, to int) {
	if q.Limit == NoLimit {
		if q.Page > 1 {
			return total, total
		}
		return 0, total
	}
	from = min((q.Page-1)*q.Limit, total)
	return from, min(from+q.Limit, total)
}
