// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"sort"
	"strings"
)

func (c *methodCall) listMethod(l *List) (any, bool, error) {
	for _, group := range []func(*List) (any, bool, error){c.listRead, c.listChange, c.listDerive, c.listClosure} {
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
		return indexOf(l, c.arg(0)) >= 0, true, nil
	case "containsAll":
		for _, x := range itemsOf(c.arg(0)) {
			if indexOf(l, x) < 0 {
				return false, true, nil
			}
		}
		return true, true, nil
	case "indexOf":
		return int64(indexOf(l, c.arg(0))), true, nil
	case "get", "getAt":
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
				k += boolInt(Equal(x, c.arg(0)))
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
		b.WriteString(ToString(x))
		if b.Len() > c.f.m.limits.StringBytes {
			break
		}
	}
	return b.String(), true, nil
}

func indexOf(l *List, v any) int {
	for i, x := range l.Items {
		if Equal(x, v) {
			return i
		}
	}
	return -1
}

func (c *methodCall) listChange(l *List) (any, bool, error) {
	switch c.name {
	case "add", "push", "leftShift":
		if len(c.args) != 1 {
			return nil, false, nil
		}
		_, err := c.f.leftShift(l, c.args[0], c.pos)
		return true, true, err
	case "addAll":
		l.Items = append(l.Items, itemsOf(c.arg(0))...)
		_, err := c.f.checked(l, c.pos)
		return true, true, err
	case "remove", "removeAt":
		if i, ok := c.intArg(0); ok {
			if i < 0 || i >= len(l.Items) {
				return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", i, len(l.Items))
			}
			v := l.Items[i]
			l.Items = append(l.Items[:i:i], l.Items[i+1:]...)
			return v, true, nil
		}
		i := indexOf(l, c.arg(0))
		if i >= 0 {
			l.Items = append(l.Items[:i:i], l.Items[i+1:]...)
		}
		return i >= 0, true, nil
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
	copied := &List{Items: append([]any(nil), l.Items...)}
	switch c.name {
	case "plus":
		v, err := c.f.plus(l, c.arg(0), c.pos)
		return v, true, err
	case "minus":
		v, err := c.f.minus(l, c.arg(0), c.pos)
		return v, true, err
	case "reverse":
		for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
			copied.Items[i], copied.Items[j] = copied.Items[j], copied.Items[i]
		}
		return copied, true, nil
	case "unique", "toUnique", "toSet":
		return c.unique(l)
	case "flatten":
		out := &List{}
		flatten(out, l, 0)
		return out, true, nil
	case "take":
		k, _ := c.intArg(0)
		return &List{Items: copied.Items[:min(max(k, 0), n)]}, true, nil
	case "drop":
		k, _ := c.intArg(0)
		return &List{Items: copied.Items[min(max(k, 0), n):]}, true, nil
	case "tail":
		return &List{Items: copied.Items[min(1, n):]}, true, nil
	case "toList", "asImmutable", "toArray", "collect":
		return copied, c.name != "collect" || len(c.args) == 0, nil
	case "intersect":
		out := &List{}
		for _, x := range l.Items {
			if indexOf(&List{Items: itemsOf(c.arg(0))}, x) >= 0 {
				out.Items = append(out.Items, x)
			}
		}
		return out, true, nil
	case "subList":
		from, ok1 := c.intArg(0)
		to, ok2 := c.intArg(1)
		if !ok1 || !ok2 || from < 0 || to > n || from > to {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "fromIndex: %d, toIndex: %d, size: %d", from, to, n)
		}
		return &List{Items: copied.Items[from:to]}, true, nil
	case "withIndex":
		for i, x := range copied.Items {
			copied.Items[i] = NewList(x, int64(i))
		}
		return copied, true, nil
	}
	return nil, false, nil
}

func (c *methodCall) unique(l *List) (any, bool, error) {
	out := &List{}
	seen := NewMap()
	for _, x := range l.Items {
		if err := c.f.tick(c.pos); err != nil {
			return nil, true, err
		}
		if _, ok := seen.Get(x); !ok {
			seen.Put(x, true)
			out.Items = append(out.Items, x)
		}
	}
	if c.name == "unique" {
		l.Items = out.Items
		return l, true, nil
	}
	return out, true, nil
}

func flatten(out, l *List, depth int) {
	for _, x := range l.Items {
		if inner, ok := x.(*List); ok && depth < maxTextDepth {
			flatten(out, inner, depth+1)
			continue
		}
		out.Items = append(out.Items, x)
	}
}

// listClosure are the methods of lists that take a closure.
func (c *methodCall) listClosure(l *List) (any, bool, error) {
	fn := c.closure(len(c.args) - 1)
	if fn == nil {
		return c.aggregate(l, nil)
	}
	items := append([]any(nil), l.Items...)
	switch c.name {
	case "each", "eachWithIndex":
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
	case "collect", "collectMany", "collectEntries":
		return c.collect(items, fn)
	case "find", "findAll", "any", "every", "findIndexOf", "removeAll", "count", "split", "takeWhile":
		return c.search(l, items, fn)
	case "inject":
		if len(c.args) != 2 {
			return nil, false, nil
		}
		acc := c.args[0]
		for _, x := range items {
			v, err := c.f.call(fn, []any{acc, x})
			if err != nil {
				return nil, true, err
			}
			acc = v
		}
		return acc, true, nil
	case "groupBy":
		out := NewMap()
		for _, x := range items {
			k, err := c.f.call(fn, []any{x})
			if err != nil {
				return nil, true, err
			}
			group, _ := out.Get(k)
			if group == nil {
				group = &List{}
				out.Put(k, group)
			}
			group.(*List).Items = append(group.(*List).Items, x)
		}
		return out, true, nil
	}
	return c.aggregate(l, fn)
}

func (c *methodCall) collect(items []any, fn *Closure) (any, bool, error) {
	out := &List{}
	entries := NewMap()
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
		}
		if err := c.f.checkSize(len(out.Items), c.pos); err != nil {
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
			m.Put(k, v.values[k])
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
	keys := append([]any(nil), l.Items...)
	if fn != nil && len(fn.params) < 2 {
		for i, x := range l.Items {
			k, err := c.f.call(fn, []any{x})
			if err != nil {
				return nil, true, err
			}
			keys[i] = k
		}
	}
	if c.name == "sum" {
		var sum any
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
	order, err := c.sorted(l, keys, fn)
	if err != nil {
		return nil, true, err
	}
	switch {
	case c.name == "sort" && (len(c.args) == 0 || c.args[0] != false):
		l.Items = order
		return l, true, nil
	case c.name == "sort" || c.name == "toSorted":
		return &List{Items: order}, true, nil
	case len(order) == 0:
		return nil, true, nil
	case c.name == "min":
		return order[0], true, nil
	}
	return order[len(order)-1], true, nil
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
		if fn != nil && len(fn.params) >= 2 {
			v, err := c.f.call(fn, []any{l.Items[index[a]], l.Items[index[b]]})
			if err != nil {
				failure = err
			}
			n, _ := number(v)
			return n < 0
		}
		n, ok := compare(keys[index[a]], keys[index[b]])
		if !ok {
			n = strings.Compare(ToString(keys[index[a]]), ToString(keys[index[b]]))
		}
		return n < 0
	})
	out := make([]any, len(index))
	for i, k := range index {
		out[i] = l.Items[k]
	}
	return out, failure
}

func (c *methodCall) mapMethod(m *Map) (any, bool, error) {
	if v, ok, err := c.mapRead(m); ok || err != nil {
		return v, ok, err
	}
	switch c.name {
	case "put", "putAt":
		old, _ := m.Get(c.arg(0))
		m.Put(c.arg(0), c.arg(1))
		return old, true, c.f.checkSize(m.Len(), c.pos)
	case "putAll", "leftShift", "plus":
		target := m
		if c.name == "plus" {
			target = NewMap()
			putEntry(target, m)
		}
		putEntry(target, c.arg(0))
		return target, true, c.f.checkSize(target.Len(), c.pos)
	case "remove":
		return m.Remove(c.arg(0)), true, nil
	case "clear":
		m.keys, m.values = nil, map[any]any{}
		return nil, true, nil
	}
	return c.mapClosure(m)
}

func (c *methodCall) mapRead(m *Map) (any, bool, error) {
	switch c.name {
	case "size":
		return int64(m.Len()), true, nil
	case "isEmpty":
		return m.Len() == 0, true, nil
	case "get", "getAt", "getOrDefault":
		v, ok := m.Get(c.arg(0))
		if !ok && len(c.args) > 1 {
			v = c.args[1]
			if c.name == "get" {
				m.Put(c.args[0], v)
				return v, true, c.f.checkSize(m.Len(), c.pos)
			}
		}
		return v, true, nil
	case "containsKey":
		_, ok := m.Get(c.arg(0))
		return ok, true, nil
	case "containsValue":
		for _, v := range m.values {
			if Equal(v, c.arg(0)) {
				return true, true, nil
			}
		}
		return false, true, nil
	case "keySet":
		return &List{Items: m.Keys()}, true, nil
	case "values":
		out := &List{}
		for _, k := range m.keys {
			out.Items = append(out.Items, m.values[k])
		}
		return out, true, nil
	case "entrySet":
		return &List{Items: itemsOf(m)}, true, nil
	case "subMap":
		out := NewMap()
		for _, k := range itemsOf(c.arg(0)) {
			if v, ok := m.Get(k); ok {
				out.Put(k, v)
			}
		}
		return out, true, nil
	}
	return nil, false, nil
}

// mapClosure are the methods of maps that take a closure: it gets an entry, or key and value.
func (c *methodCall) mapClosure(m *Map) (any, bool, error) {
	fn := c.closure(len(c.args) - 1)
	if fn == nil {
		// A closure under that key can be called like a method.
		if v, _ := m.Get(c.name); v != nil {
			if stored, ok := v.(*Closure); ok {
				x, err := c.f.call(stored, c.args)
				return x, true, err
			}
		}
		return nil, false, nil
	}
	list := methodCall{f: c.f, obj: nil, name: c.name, args: c.args, pos: c.pos}
	l := &List{Items: itemsOf(m)}
	v, ok, err := list.listClosure(l)
	if err != nil || !ok {
		return v, ok, err
	}
	switch c.name {
	case "each", "eachWithIndex":
		return m, true, nil
	case "findAll", "sort", "toSorted":
		out := NewMap()
		for _, e := range itemsOf(v) {
			putEntry(out, e)
		}
		return out, true, nil
	}
	return v, true, nil
}
