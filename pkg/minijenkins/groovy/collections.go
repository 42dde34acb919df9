// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"slices"
	"sort"
	"strings"
)

func (c *methodCall) listMethod(l *List) (any, bool, error) {
	for _, group := range []func(*List) (any, bool, error){c.listRead, c.javaMethod, c.listChange, c.listMore, c.listDerive, c.listClosure} {
		if v, ok, err := group(l); ok || err != nil {
			return v, ok, err
		}
	}
	return nil, false, nil
}

func (c *methodCall) listRead(l *List) (any, bool, error) {
	n := len(l.Items)
	switch c.name {
	case "size":
		return int64(n), true, nil
	case "isEmpty":
		return n == 0, true, nil
	case "contains":
		i, err := c.indexIn(l, c.arg(0))
		return i >= 0, true, err
	case "containsAll":
		seen, err := c.lookup(l)
		if err != nil {
			return nil, true, err
		}
		for _, x := range itemsOf(c.arg(0)) {
			c.f.m.steps++
			if _, ok := seen.Get(lookKey(x)); !ok {
				return false, true, nil
			}
		}
		return true, true, nil
	case "indexOf":
		i, err := c.indexIn(l, c.arg(0))
		return int64(i), true, err
	case "get":
		i, ok := c.intArg(0)
		if ok && (i < 0 || i >= n) {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, n)
		}
		fallthrough
	case "getAt":
		v, err := c.f.at(l, c.arg(0), c.pos)
		return v, len(c.args) == 1, err
	case "first", "head", "last":
		if n == 0 {
			return nil, true, throw(c.pos, "java.util.NoSuchElementException", "Cannot access %s() element from an empty List", c.name)
		}
		if c.name == "last" {
			return l.Items[n-1], true, nil
		}
		return l.Items[0], true, nil
	case "join":
		sep := ""
		if len(c.args) > 0 {
			sep = c.str(0)
		}
		return c.join(l, sep)
	case "count":
		if c.closure(0) == nil {
			k := 0
			for _, x := range l.Items {
				k += boolInt(c.f.equal(x, c.arg(0)))
			}
			return int64(k), true, nil
		}
	}
	return nil, false, nil
}

func (c *methodCall) join(l *List, sep string) (any, bool, error) {
	var b strings.Builder
	for i, x := range l.Items {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(c.f.string(x))
		if b.Len() > c.f.m.limits.StringBytes {
			break
		}
	}
	return b.String(), true, nil
}

func (c *methodCall) listChange(l *List) (any, bool, error) {
	switch c.name {
	case "add", "push", "leftShift", "addAll", "remove", "removeAt", "removeElement", "pop", "removeLast", "clear", "set", "putAt", "swap":
		if err := c.frozen(l); err != nil {
			return nil, true, err
		}
	}
	switch c.name {
	case "addAll":
		return c.addAll(l)
	case "add", "push":
		if i, ok := c.intArg(0); ok && len(c.args) == 2 {
			if i < 0 || i > len(l.Items) {
				return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index: %d, Size: %d", i, len(l.Items))
			}
			l.Items = slices.Insert(l.Items, i, c.args[1])
			_, err := c.f.checked(l, c.pos)
			return nil, true, err
		}
		if len(c.args) != 1 {
			return nil, false, nil
		}
		before := len(l.Items)
		_, err := c.f.leftShift(l, c.args[0], c.pos)
		return len(l.Items) > before, true, err
	case "leftShift":
		v, err := c.f.leftShift(l, c.arg(0), c.pos)
		return v, len(c.args) == 1, err
	case "set", "putAt":
		var old any
		if i, ok := c.intArg(0); ok && i >= 0 && i < len(l.Items) {
			old = l.Items[i]
		} else if c.name == "set" {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Items))
		}
		return old, len(c.args) == 2, c.f.setAt(l, c.arg(0), c.arg(1), c.pos)
	case "removeElement":
		i, err := c.indexIn(l, c.arg(0))
		if i >= 0 {
			l.Items = slices.Delete(l.Items, i, i+1)
		}
		return i >= 0, true, err
	}
	return c.listRemove(l)
}

func (c *methodCall) addAll(l *List) (any, bool, error) {
	before := len(l.Items)
	at, add := before, c.arg(0)
	if i, ok := c.intArg(0); ok && len(c.args) == 2 {
		if i < 0 || i > before {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index: %d, Size: %d", i, before)
		}
		at, add = i, c.args[1]
	}
	items, err := c.f.items(add, c.pos)
	if err != nil {
		return nil, true, err
	}
	l.Items = slices.Insert(l.Items, at, items...)
	if l.set {
		if l.Items, err = c.f.distinct(l.Items, c.pos); err != nil {
			return nil, true, err
		}
	}
	return len(l.Items) > before, true, c.f.settle(l, c.pos)
}

// listRemove are the methods that take items out of a list.
func (c *methodCall) listRemove(l *List) (any, bool, error) {
	switch c.name {
	case "remove", "removeAt":
		if i, ok := c.intArg(0); ok && !l.set {
			if i < 0 || i >= len(l.Items) {
				return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Items))
			}
			v := l.Items[i]
			l.Items = slices.Delete(l.Items, i, i+1)
			return v, true, nil
		}
		i, err := c.indexIn(l, c.arg(0))
		if i >= 0 {
			l.Items = slices.Delete(l.Items, i, i+1)
		}
		return i >= 0, true, err
	case "pop", "removeLast":
		if len(l.Items) == 0 {
			return nil, true, throw(c.pos, "java.util.NoSuchElementException", "Cannot pop() an empty List")
		}
		v := l.Items[len(l.Items)-1]
		l.Items = l.Items[:len(l.Items)-1]
		return v, true, nil
	case "clear":
		l.Items = nil
		return nil, true, nil
	}
	return nil, false, nil
}

func (c *methodCall) listDerive(l *List) (any, bool, error) {
	n := len(l.Items)
	switch c.name {
	case "plus":
		v, err := c.f.plus(l, c.arg(0), c.pos)
		return v, true, err
	case "minus":
		v, err := c.f.minus(l, c.arg(0), c.pos)
		return v, true, err
	case "reverse":
		items := slices.Clone(l.Items)
		slices.Reverse(items)
		return &List{Items: items}, true, nil
	case "unique", "toUnique":
		if c.closure(0) == nil {
			return c.unique(l, l.Items)
		}
		return nil, false, nil
	case "flatten":
		out := &List{}
		return out, true, c.flatten(out, l, 0)
	case "take":
		k, _ := c.intArg(0)
		return &List{Items: slices.Clone(l.Items[:min(max(k, 0), n)])}, true, nil
	case "drop":
		k, _ := c.intArg(0)
		return &List{Items: slices.Clone(l.Items[min(max(k, 0), n):])}, true, nil
	case "tail":
		if n == 0 {
			return nil, true, throw(c.pos, "java.util.NoSuchElementException", "Cannot access tail() for an empty List")
		}
		return &List{Items: slices.Clone(l.Items[1:])}, true, nil
	case "toList", "asImmutable", "toArray", "collect":
		return &List{Items: slices.Clone(l.Items)}, c.name != "collect" || len(c.args) == 0, nil
	}
	return c.listPart(l)
}

// listPart are subList and the items with their indexes.
func (c *methodCall) listPart(l *List) (any, bool, error) {
	n := len(l.Items)
	switch c.name {
	case "subList":
		from, ok1 := c.intArg(0)
		to, ok2 := c.intArg(1)
		if !ok1 || !ok2 || from < 0 || to > n || from > to {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "fromIndex: %d, toIndex: %d, size: %d", from, to, n)
		}
		return &List{Items: slices.Clone(l.Items[from:to])}, true, nil
	case "withIndex", "indexed":
		if len(c.args) > 0 && c.closure(0) != nil {
			return nil, false, nil
		}
		from, _ := c.intArg(0)
		if c.name == "indexed" {
			m := NewMap()
			for i, x := range l.Items {
				m.Put(int64(i+from), x)
			}
			return m, true, nil
		}
		copied := &List{Items: make([]any, n)}
		for i, x := range l.Items {
			copied.Items[i] = NewList(x, int64(i+from))
		}
		return copied, true, c.f.charge(n*(listBytes+2*itemBytes), c.pos)
	}
	return nil, false, nil
}

// unique keeps the first of the items with equal keys.
func (c *methodCall) unique(l *List, keys []any) (any, bool, error) {
	out := &List{}
	seen := NewMap()
	for i, x := range l.Items {
		if err := c.f.tick(c.pos); err != nil {
			return nil, true, err
		}
		if _, ok := seen.Get(keys[i]); !ok {
			seen.Put(keys[i], true)
			out.Items = append(out.Items, x)
		}
	}
	if c.name == "unique" && c.arg(0) != false {
		l.Items = out.Items
		return l, true, c.frozen(l)
	}
	return out, true, nil
}

func (c *methodCall) flatten(out, l *List, depth int) error {
	for _, x := range l.Items {
		if inner, ok := x.(*List); ok && depth < maxTextDepth {
			if err := c.flatten(out, inner, depth+1); err != nil {
				return err
			}
			continue
		}
		out.Items = append(out.Items, x)
		if err := c.f.checkSize(len(out.Items), c.pos); err != nil {
			return err
		}
	}
	return c.f.tick(c.pos)
}

// listClosure are the methods of lists that take a closure.
func (c *methodCall) listClosure(l *List) (any, bool, error) {
	fn := c.closure(len(c.args) - 1)
	if fn == nil {
		return c.aggregate(l, nil)
	}
	items := slices.Clone(l.Items)
	if err := c.keep(&List{Items: items}); err != nil {
		return nil, true, err
	}
	switch c.name {
	case "each", "eachWithIndex":
		return c.each(l, items, fn)
	case "collect", "collectMany", "collectEntries":
		return c.collect(items, fn)
	case "find", "findAll", "any", "every", "findIndexOf", "removeAll", "count", "split", "takeWhile":
		return c.search(l, items, fn)
	case "unique", "toUnique":
		return c.uniqueBy(l, items, fn)
	case "inject":
		return c.inject(items, fn)
	case "groupBy":
		return c.groupBy(items, fn)
	}
	if v, ok, err := c.closureMore(items, fn); ok || err != nil {
		return v, ok, err
	}
	return c.aggregate(l, fn)
}

// keep makes a list that a method works on count until the method ends.
func (c *methodCall) keep(l *List) error {
	c.f.hold(l)
	return c.f.settle(l, c.pos)
}

func (c *methodCall) each(l *List, items []any, fn *Closure) (any, bool, error) {
	for i, x := range items {
		args := []any{x}
		if c.name == "eachWithIndex" {
			args = append(args, int64(i))
		}
		if _, err := c.f.call(fn, args); err != nil {
			return nil, true, err
		}
	}
	return l, true, nil
}

func (c *methodCall) uniqueBy(l *List, items []any, fn *Closure) (any, bool, error) {
	if len(fn.params) > 1 {
		return nil, true, rejected(c.pos, "unique with a closure of two parameters")
	}
	keys := &List{Items: make([]any, 0, len(items))}
	c.f.hold(keys)
	for _, x := range items {
		k, err := c.f.call(fn, []any{x})
		if err != nil {
			return nil, true, err
		}
		keys.Items = append(keys.Items, k)
		if err := c.f.settle(keys, c.pos); err != nil {
			return nil, true, err
		}
	}
	if len(l.Items) != len(keys.Items) {
		return nil, true, throw(c.pos, "java.util.ConcurrentModificationException", "the list was changed meanwhile")
	}
	return c.unique(l, keys.Items)
}

func (c *methodCall) inject(items []any, fn *Closure) (any, bool, error) {
	var acc any
	switch {
	case len(c.args) == 2:
		acc = c.args[0]
	case len(c.args) != 1:
		return nil, false, nil
	case len(items) == 0:
		return nil, true, throw(c.pos, "java.util.NoSuchElementException", "Cannot call inject() on an empty iterable without passing an initial value.")
	default:
		acc, items = items[0], items[1:]
	}
	for _, x := range items {
		args := []any{acc, x}
		if e, ok := x.(entry); ok && fn.arity() == 3 {
			args = []any{acc, e.key, e.value}
		}
		v, err := c.f.call(fn, args)
		if err != nil {
			return nil, true, err
		}
		acc = v
	}
	return acc, true, nil
}

func (c *methodCall) groupBy(items []any, fn *Closure) (any, bool, error) {
	out := NewMap()
	c.f.hold(out)
	for _, x := range items {
		k, err := c.f.call(fn, []any{x})
		if err != nil {
			return nil, true, err
		}
		found, _ := out.Get(k)
		group, ok := found.(*List)
		if !ok {
			group = &List{}
			out.Put(k, group)
			if err := c.f.settleMap(out, c.pos); err != nil {
				return nil, true, err
			}
		}
		group.Items = append(group.Items, x)
		if err := c.f.settle(group, c.pos); err != nil {
			return nil, true, err
		}
	}
	return out, true, nil
}

func (c *methodCall) collect(items []any, fn *Closure) (any, bool, error) {
	out := &List{}
	if given, ok := c.arg(0).(*List); ok && len(c.args) == 2 {
		out = given
	}
	entries := NewMap()
	c.f.hold(out)
	c.f.hold(entries)
	for _, x := range items {
		v, err := c.f.call(fn, []any{x})
		if err != nil {
			return nil, true, err
		}
		switch c.name {
		case "collect":
			out.Items = append(out.Items, v)
		case "collectMany":
			out.Items = append(out.Items, itemsOf(v)...)
		default:
			putEntry(entries, v)
			if err := c.f.settleMap(entries, c.pos); err != nil {
				return nil, true, err
			}
			continue
		}
		if err := c.f.settle(out, c.pos); err != nil {
			return nil, true, err
		}
	}
	if c.name == "collectEntries" {
		return entries, true, nil
	}
	return out, true, nil
}

// putEntry adds what a closure of collectEntries gave: a map or a pair.
func putEntry(m *Map, v any) {
	switch v := v.(type) {
	case *Map:
		for _, k := range v.keys {
			m.Put(k, v.value(k))
		}
	case *List:
		if len(v.Items) == 2 {
			m.Put(v.Items[0], v.Items[1])
		}
	case entry:
		m.Put(v.key, v.value)
	}
}

func (c *methodCall) search(l *List, items []any, fn *Closure) (any, bool, error) {
	var kept, rest []any
	if err := c.f.charge(2*itemBytes*len(items), c.pos); err != nil {
		return nil, true, err
	}
	for i, x := range items {
		v, err := c.f.call(fn, []any{x})
		if err != nil {
			return nil, true, err
		}
		hit := Truth(v)
		switch {
		case hit && c.name == "find":
			return x, true, nil
		case hit && c.name == "any":
			return true, true, nil
		case !hit && c.name == "every":
			return false, true, nil
		case hit && c.name == "findIndexOf":
			return int64(i), true, nil
		}
		if hit {
			kept = append(kept, x)
		} else {
			if c.name == "takeWhile" {
				break
			}
			rest = append(rest, x)
		}
	}
	switch c.name {
	case "find":
		return nil, true, nil
	case "any":
		return false, true, nil
	case "every":
		return true, true, nil
	case "findIndexOf":
		return int64(-1), true, nil
	case "count":
		return int64(len(kept)), true, nil
	case "removeAll":
		l.Items = rest
		return len(kept) > 0, true, nil
	case "split":
		return NewList(&List{Items: kept}, &List{Items: rest}), true, nil
	}
	return &List{Items: kept}, true, nil
}

// aggregate are sum, min, max and sort, with or without a closure.
func (c *methodCall) aggregate(l *List, fn *Closure) (any, bool, error) {
	switch c.name {
	case "sum", "min", "max", "sort", "toSorted":
	default:
		return nil, false, nil
	}
	l = &List{Items: slices.Clone(l.Items), set: l.set}
	keys, err := c.sortKeys(l, fn)
	if err != nil {
		return nil, true, err
	}
	if c.name == "sum" {
		return c.sum(keys)
	}
	order, err := c.sorted(l, keys, fn)
	if err != nil {
		return nil, true, err
	}
	return c.pick(order, fn)
}

// sortKeys are what the items are ordered by or added up.
func (c *methodCall) sortKeys(l *List, fn *Closure) ([]any, error) {
	keys := &List{Items: slices.Clone(l.Items)}
	for _, held := range []*List{l, keys} {
		if err := c.keep(held); err != nil {
			return nil, err
		}
	}
	if fn != nil && fn.arity() < 2 {
		for i, x := range l.Items {
			k, err := c.f.call(fn, []any{x})
			if err != nil {
				return nil, err
			}
			keys.Items[i] = k
		}
	}
	return keys.Items, nil
}

func (c *methodCall) sum(keys []any) (any, bool, error) {
	var sum any
	if len(c.args) > 0 && c.closure(0) == nil {
		keys = append([]any{c.args[0]}, keys...)
	}
	for i, k := range keys {
		if i == 0 {
			sum = k
			continue
		}
		v, err := c.f.plus(sum, k, c.pos)
		if err != nil {
			return nil, true, err
		}
		if sum, err = c.f.checked(v, c.pos); err != nil {
			return nil, true, err
		}
	}
	return sum, true, nil
}

// pick gives what a method of aggregate is to find of the sorted items.
func (c *methodCall) pick(order []any, fn *Closure) (any, bool, error) {
	switch {
	case c.name == "sort" && (len(c.args) == 0 || c.args[0] != false):
		if own, ok := c.obj.(*List); ok && !own.set && own.span == "" {
			own.Items = order
			return own, true, nil
		}
		return &List{Items: order}, true, nil
	case c.name == "sort" || c.name == "toSorted":
		return &List{Items: order}, true, nil
	case len(order) == 0:
		return nil, true, nil
	case c.name == "min":
		return order[0], true, nil
	}
	// Of equal ones the first is the greatest.
	best := order[len(order)-1]
	for i := len(order) - 2; i >= 0 && fn == nil && c.f.equal(order[i], best); i-- {
		best = order[i]
	}
	return best, true, nil
}

func (c *methodCall) sorted(l *List, keys []any, fn *Closure) ([]any, error) {
	index := make([]int, len(keys))
	for i := range index {
		index[i] = i
	}
	var failure error
	sort.SliceStable(index, func(a, b int) bool {
		if failure != nil {
			return false
		}
		if err := c.f.tick(c.pos); err != nil {
			failure = err
			return false
		}
		if fn != nil && fn.arity() >= 2 {
			v, err := c.f.call(fn, []any{l.Items[index[a]], l.Items[index[b]]})
			if err != nil {
				failure = err
			}
			if greater, isBool := v.(bool); isBool {
				return !greater && index[a] != index[b]
			}
			return rankOf(v) != noNumber && compareNumbers(v, int64(0)) < 0
		}
		x, y := keys[index[a]], keys[index[b]]
		n, ok := compare(x, y)
		if !ok {
			if rankOf(x) != noNumber || rankOf(y) != noNumber || className(x) != className(y) {
				failure = throw(c.pos, "java.lang.ClassCastException", "class %s cannot be cast to class %s", className(x), className(y))
			}
			n = strings.Compare(shortText(x), shortText(y))
		}
		return n < 0
	})
	out := make([]any, len(index))
	for i, k := range index {
		out[i] = l.Items[k]
	}
	return out, failure
}
