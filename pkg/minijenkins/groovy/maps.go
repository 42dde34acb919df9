// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import "github.com/slipway-dev/slipway/pkg/jenkinsfile"

func (c *methodCall) mapMethod(m *Map) (any, bool, error) {
	if v, ok, err := c.mapRead(m); ok || err != nil {
		return v, ok, err
	}
	switch c.name {
	case "put", "putAt":
		old, _ := m.Get(c.arg(0))
		m.Put(c.arg(0), c.arg(1))
		return old, len(c.args) == 2, c.f.grown(m, c.pos)
	case "putIfAbsent":
		old, ok := m.Get(c.arg(0))
		if !ok {
			m.Put(c.arg(0), c.arg(1))
		}
		return old, len(c.args) == 2, c.f.grown(m, c.pos)
	case "withDefault":
		if fn := c.closure(0); fn != nil {
			m.fallback = fn
			return m, true, nil
		}
	case "clone":
		out := &Map{values: map[any]any{}, sorted: m.sorted, fallback: m.fallback}
		putEntry(out, m)
		return out, len(c.args) == 0, c.f.settleMap(out, c.pos)
	case "toMapString":
		return c.f.string(m), len(c.args) == 0, nil
	case "computeIfAbsent", "computeIfPresent", "compute", "merge":
		return c.compute(m)
	case "asImmutable", "asUnmodifiable", "toMap":
		return m, true, nil
	case "toSorted", "sort":
		if len(c.args) == 0 {
			out := sortedMap(m)
			out.sorted = false
			return out, true, nil
		}
	case "intersect", "minus":
		other, ok := c.arg(0).(*Map)
		if !ok {
			return nil, false, nil
		}
		out := NewMap()
		for _, k := range m.keys {
			v, found := other.Get(k)
			if (found && c.f.equal(v, m.value(k))) == (c.name == "intersect") {
				out.Put(k, m.value(k))
			}
		}
		return out, true, nil
	case "putAll", "leftShift", "plus":
		target := m
		if c.name == "plus" {
			target = NewMap()
			putEntry(target, m)
		}
		putEntry(target, c.arg(0))
		if c.name == "putAll" {
			return nil, true, c.f.settleMap(target, c.pos)
		}
		return target, true, c.f.settleMap(target, c.pos)
	case "remove":
		return m.Remove(c.arg(0)), true, nil
	case "clear":
		m.keys, m.ids, m.values, m.keyBytes, m.most = nil, nil, map[any]any{}, 0, 0
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
				return v, true, c.f.grown(m, c.pos)
			}
		}
		if !ok && m.fallback != nil {
			x, err := c.f.fromMap(m, c.arg(0), c.pos)
			return x, true, err
		}
		return v, true, nil
	case "containsKey":
		_, ok := m.Get(c.arg(0))
		return ok, true, nil
	case "containsValue":
		for _, k := range m.keys {
			if c.f.same(m.value(k), c.arg(0)) {
				return true, true, nil
			}
		}
		return false, true, nil
	case "keySet":
		return &List{Items: m.Keys(), set: true}, true, nil
	case "values":
		out := &List{}
		for _, k := range m.keys {
			out.Items = append(out.Items, m.value(k))
		}
		return out, true, nil
	case "entrySet":
		return &List{Items: itemsOf(m), set: true}, true, c.f.charge(listBytes+48*m.Len(), c.pos)
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
	l := &List{Items: itemsOf(m)}
	if err := c.f.charge(listBytes+48*m.Len(), c.pos); err != nil {
		return nil, true, err
	}
	list := methodCall{f: c.f, obj: nil, name: c.name, args: c.args, pos: c.pos}
	v, ok, err := list.listClosure(l)
	if err != nil || !ok {
		return v, ok, err
	}
	switch c.name {
	case "each", "eachWithIndex":
		return m, true, nil
	case "findAll", "sort", "toSorted", "takeWhile", "dropWhile":
		out := NewMap()
		for _, e := range itemsOf(v) {
			putEntry(out, e)
		}
		return out, true, nil
	case "groupBy":
		groups, _ := v.(*Map)
		for _, k := range groups.Keys() {
			part := NewMap()
			for _, e := range itemsOf(groups.value(k)) {
				putEntry(part, e)
			}
			groups.Put(k, part)
		}
	}
	return v, true, nil
}

// compute are Java's methods that make the value of a key by a closure.
func (c *methodCall) compute(m *Map) (any, bool, error) {
	fn := c.closure(len(c.args) - 1)
	key := c.arg(0)
	old, has := m.Get(key)
	has = has && old != nil
	args := []any{key, old}
	switch c.name {
	case "computeIfAbsent":
		if has {
			return old, fn != nil, nil
		}
		args = args[:1]
	case "computeIfPresent":
		if !has {
			return nil, fn != nil, nil
		}
	case "merge":
		if !has && len(c.args) == 3 {
			m.Put(key, c.args[1])
			return c.args[1], true, c.f.grown(m, c.pos)
		}
		args = []any{old, c.arg(1)}
	}
	if fn == nil || len(c.args) != 2 && (c.name != "merge" || len(c.args) != 3) {
		return nil, false, nil
	}
	v, err := c.f.call(fn, args)
	if err != nil {
		return nil, true, err
	}
	if v == nil {
		m.Remove(key)
		return nil, true, nil
	}
	m.Put(key, v)
	return v, true, c.f.grown(m, c.pos)
}

// grown counts a new entry of a map and refuses too many.
func (f *frame) grown(m *Map, pos jenkinsfile.Pos) error {
	return f.settleMap(m, pos)
}

// fromMap is the value of a key, or what withDefault makes for it.
func (f *frame) fromMap(m *Map, key any, pos jenkinsfile.Pos) (any, error) {
	v, ok := m.Get(key)
	if ok || m.fallback == nil {
		return v, nil
	}
	v, err := f.call(m.fallback, []any{key})
	if err != nil {
		return nil, err
	}
	m.Put(key, v)
	return v, f.grown(m, pos)
}
