// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"time"

	"github.com/tidwall/btree"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/index"
)

// collection keeps the objects of a kind in the orders in which lists want them. It is fed by the
// events of an informer and shares its objects. A page costs as much as it is long, wherever it is.
type collection struct {
	encoder *encoder
	// fields are those by whose values the lists of a namespace are kept apart, sought those by whose values
	// single objects of a namespace are found.
	fields, sought map[string]client.IndexerFunc
	// informed gives the resourceVersion up to which the informer knows everything, if that can be told.
	informed func() (uint64, bool)
	// ready is closed when all objects that were there at the beginning are in.
	ready <-chan struct{}

	mu      sync.RWMutex
	objects map[objectKey]*entry
	scopes  map[scope]*orders
	// found has each object once for each value of the sought fields.
	found   *btree.BTreeG[finding]
	journal journal
}

type objectKey struct{ namespace, name string }

// scope is a part of a collection: everything, a namespace, or what has a value of a field there.
type scope struct{ namespace, field, value string }

// orders are the objects of a scope in both orders.
type orders struct{ created, named *btree.BTreeG[*entry] }

// inTree are the options of the trees: the collection's lock guards them.
var inTree = btree.Options{NoLocks: true, Degree: 16}

func newOrders() *orders {
	tree := func(order func(a, b position) int) *btree.BTreeG[*entry] {
		return btree.NewBTreeGOptions(func(a, b *entry) bool { return order(a.position, b.position) < 0 }, inTree)
	}
	return &orders{created: tree(byCreation), named: tree(byName)}
}

func newCollection(encoder *encoder, kind client.Object) *collection {
	return &collection{
		encoder: encoder, fields: index.Sorted(kind), sought: index.Found(kind), journal: newJournal(),
		objects: map[objectKey]*entry{}, scopes: map[scope]*orders{{}: newOrders()}, found: btree.NewBTreeGOptions(finding.less, inTree),
	}
}

// OnAdd implements ResourceEventHandler.
func (c *collection) OnAdd(obj any, initial bool) {
	if own, ok := obj.(client.Object); ok {
		c.put(own, initial)
	}
}

// OnUpdate implements ResourceEventHandler.
func (c *collection) OnUpdate(_, obj any) {
	if own, ok := obj.(client.Object); ok {
		c.put(own, false)
	}
}

// OnDelete implements ResourceEventHandler.
func (c *collection) OnDelete(obj any) {
	missed, unseen := obj.(toolscache.DeletedFinalStateUnknown)
	if unseen {
		obj = missed.Obj
	}
	if own, ok := obj.(client.Object); ok {
		c.remove(own, unseen)
	}
}

// put takes a new object, or a new version of a known one.
func (c *collection) put(obj client.Object, initial bool) {
	e := newEntry(obj)
	key := objectKey{e.namespace, e.name}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.objects[key]
	if old != nil && old.obj == obj {
		return
	}
	c.objects[key] = e
	if old != nil {
		c.unlink(old)
	}
	c.link(e)
	if old != nil {
		c.encoder.forget(old)
	}
	if old != nil && old.version == e.version && e.version != 0 {
		// The informer tells now and then what it knows. Nothing has changed.
		return
	}
	// Another object of the same name: the informer was told neither of the end of the one nor of the beginning
	// of the other, and a watch would tell that the first has changed into the second.
	replaced := old != nil && old.obj.GetUID() != obj.GetUID()
	c.journal.add(event{old: old, now: e, version: e.version, unseen: replaced}, initial)
}

// remove takes an object away. unseen says that the informer did not see its end.
func (c *collection) remove(obj client.Object, unseen bool) {
	last := newEntry(obj)
	key := objectKey{last.namespace, last.name}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.objects[key]
	if old == nil {
		return
	}
	delete(c.objects, key)
	c.unlink(old)
	c.journal.add(event{old: old, last: last, version: last.version, unseen: unseen}, false)
	c.encoder.forget(old)
}

// link puts an entry into the scopes that it belongs to.
func (c *collection) link(e *entry) {
	for _, s := range c.scopesOf(e) {
		o := c.scopes[s]
		if o == nil {
			o = newOrders()
			c.scopes[s] = o
		}
		o.created.Set(e)
		o.named.Set(e)
	}
	for f := range c.findings(e) {
		c.found.Set(f)
	}
}

// unlink takes an entry out of its scopes; those that are empty then go away.
func (c *collection) unlink(e *entry) {
	for _, s := range c.scopesOf(e) {
		o := c.scopes[s]
		if o == nil {
			continue
		}
		o.created.Delete(e)
		o.named.Delete(e)
		if o.named.Len() == 0 && s != (scope{}) {
			delete(c.scopes, s)
		}
	}
	for f := range c.findings(e) {
		c.found.Delete(f)
	}
}

func (c *collection) scopesOf(e *entry) []scope {
	scopes := make([]scope, 1, 4)
	if e.namespace != "" {
		scopes = append(scopes, scope{namespace: e.namespace})
	}
	for field, values := range c.fields {
		for _, value := range values(e.obj) {
			scopes = append(scopes, scope{namespace: e.namespace, field: field, value: value})
		}
	}
	return scopes
}

// scopeOf gives the smallest scope that holds all that a query wants, and tells if it holds nothing
// besides, as far as namespace and field go.
func (c *collection) scopeOf(q Query) (s scope, exact bool) {
	s.namespace = q.Namespace
	if q.Field == "" {
		return s, true
	}
	if c.fields[q.Field] == nil || q.Namespace == "" {
		return s, false
	}
	s.field, s.value = q.Field, q.Value
	return s, true
}

// page gives a page of a scope in the query's order, how many objects are in the scope, and whether
// there are more behind the page.
func (c *collection) page(s scope, q Query, after *position) (page []*entry, total int, more bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	o := c.scopes[s]
	if o == nil {
		return nil, 0, false
	}
	tree := o.tree(q)
	total = tree.Len()
	from, to := q.bounds(total)
	var start *entry
	if after != nil {
		start, to = &entry{position: *after}, total
		from = 0
		if q.Limit != NoLimit {
			to = min(q.Limit, total)
		}
	} else if from < to {
		at := from
		if !q.Ascending {
			at = total - 1 - from
		}
		start, _ = tree.GetAt(at)
	}
	if from == to {
		return nil, total, false
	}
	page = make([]*entry, 0, to-from)
	walk(tree, q, start, func(e *entry) bool {
		if after != nil && e.position == *after {
			return true
		}
		if len(page) == to-from {
			more = true
			return false
		}
		page = append(page, e)
		return true
	})
	return page, total, more
}

// all gives the entries of a scope in the query's order.
func (c *collection) all(s scope, q Query) []*entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.allLocked(s, q)
}

func (c *collection) allLocked(s scope, q Query) []*entry {
	o := c.scopes[s]
	if o == nil {
		return nil
	}
	tree := o.tree(q)
	entries := make([]*entry, 0, tree.Len())
	collect := func(e *entry) bool { entries = append(entries, e); return true }
	if q.Ascending {
		tree.Scan(collect)
	} else {
		tree.Reverse(collect)
	}
	return entries
}

func (o *orders) tree(q Query) *btree.BTreeG[*entry] {
	if q.SortBy == SortByName {
		return o.named
	}
	return o.created
}

// walk visits entries in the query's order, from start on.
func walk(tree *btree.BTreeG[*entry], q Query, start *entry, visit func(*entry) bool) {
	if q.Ascending {
		tree.Ascend(start, visit)
		return
	}
	tree.Descend(start, visit)
}

// settle is how long the informer has to be silent until what it says of its own state counts for the
// collection, too, which hears of events a moment later.
const settle = 2 * time.Second

// version gives the resourceVersion that a list is from: a watch that begins after it misses nothing.
// It is 0 if that is not known.
func (c *collection) version() uint64 {
	known, ok := c.informed()
	c.mu.RLock()
	version, due := c.journal.version, ok && known > c.journal.version
	c.mu.RUnlock()
	if !due {
		return version
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.journal.observe(known, time.Now())
	return c.journal.version
}
