// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math/big"
	"slices"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// frozen is the error of changing a range.
func (c *methodCall) frozen(l *List) error {
	if l.span == "" {
		return nil
	}
	return throw(c.pos, "java.lang.UnsupportedOperationException", "a range can not be changed")
}

// indexIn finds an item; it counts its work.
func (c *methodCall) indexIn(l *List, v any) (int, error) {
	for i, x := range l.Items {
		if i%itemsPerStep == 0 {
			if err := c.f.tick(c.pos); err != nil {
				return 0, err
			}
		}
		c.f.m.steps++
		if c.f.same(x, v) {
			return i, nil
		}
	}
	return -1, nil
}

// equal is Equal, with the work of nested values counted.
func (f *frame) equal(a, b any) bool {
	left := maxWalk
	ok := equalDepth(a, b, &left, 0)
	f.m.steps += (maxWalk - left) / itemsPerStep
	return ok
}

// lookup makes a set of items to look others up in.
func (c *methodCall) lookup(v any) (*Map, error) {
	items, err := c.f.items(v, c.pos)
	if err != nil {
		return nil, err
	}
	out := NewMap()
	for i, x := range items {
		if i%itemsPerStep == 0 {
			if err := c.f.tick(c.pos); err != nil {
				return nil, err
			}
		}
		c.f.m.steps++
		out.Put(lookKey(x), true)
	}
	return out, nil
}

// lookKey makes equal integers of different kinds one key.
func lookKey(v any) any {
	switch n := v.(type) {
	case Long:
		return int64(n)
	case *big.Int:
		if n.IsInt64() {
			return n.Int64()
		}
	case Decimal:
		if i := n.integer(); i.IsInt64() && n.cmp(Decimal{unscaled: i}) == 0 {
			return i.Int64()
		}
	}
	return v
}

// items lists what a loop goes over, if that are not too many.
func (f *frame) items(v any, pos jenkinsfile.Pos) ([]any, error) {
	if s, ok := text(v); ok && len(s) > f.m.limits.Items {
		return nil, &LimitError{Message: "String of too many characters to be gone through", Pos: pos}
	}
	return itemsOf(v), nil
}

// listMore are further methods of lists without a closure.
func (c *methodCall) listMore(l *List) (any, bool, error) {
	n := len(l.Items)
	switch c.name {
	case "isEmpty", "empty":
		return n == 0, true, nil
	case "lastIndexOf":
		for i := n - 1; i >= 0; i-- {
			if c.f.same(l.Items[i], c.arg(0)) {
				return int64(i), true, c.f.tick(c.pos)
			}
		}
		return int64(-1), true, nil
	case "init":
		if n == 0 {
			return nil, true, throw(c.pos, "java.util.NoSuchElementException", "Cannot access init() for an empty List")
		}
		return &List{Items: slices.Clone(l.Items[:n-1])}, true, nil
	case "takeRight", "dropRight":
		k, ok := c.intArg(0)
		k = min(max(k, 0), n)
		if c.name == "takeRight" {
			return &List{Items: slices.Clone(l.Items[n-k:])}, ok, nil
		}
		return &List{Items: slices.Clone(l.Items[:n-k])}, ok, nil
	case "indices":
		out := &List{}
		for i := range n {
			out.Items = append(out.Items, int64(i))
		}
		return out, true, nil
	case "findAll", "any", "every", "find":
		if len(c.args) > 0 {
			return nil, false, nil
		}
		return c.truths(l)
	case "step":
		return c.steps(l)
	case "toSet":
		v, err := c.f.newSet(l.Items, c.pos)
		return v, true, err
	case "disjoint":
		seen, err := c.lookup(c.arg(0))
		if err != nil {
			return nil, true, err
		}
		for _, x := range l.Items {
			if _, ok := seen.Get(lookKey(x)); ok {
				return false, true, nil
			}
		}
		return true, true, nil
	}
	return c.listArrange(l)
}

// listArrange are the methods that compare lists or arrange their items anew.
func (c *methodCall) listArrange(l *List) (any, bool, error) {
	n := len(l.Items)
	switch c.name {
	case "intersect", "removeAll", "retainAll":
		if c.closure(0) != nil {
			return nil, false, nil
		}
		return c.against(l)
	case "collate":
		return c.collate(l)
	case "transpose":
		return c.transpose(l)
	case "combinations":
		return c.combinations(l)
	case "permutations":
		return c.permutations(l)
	case "swap":
		i, okI := c.intArg(0)
		j, okJ := c.intArg(1)
		if !okI || !okJ || i < 0 || j < 0 || i >= n || j >= n {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "Index %d out of bounds for length %d", max(i, j), n)
		}
		l.Items[i], l.Items[j] = l.Items[j], l.Items[i]
		return l, true, nil
	case "asType":
		if class, ok := c.arg(0).(classRef); ok {
			v, err := c.f.cast(l, class.simple(), c.pos)
			return v, true, err
		}
	case "equals":
		return c.f.equal(l, c.arg(0)), true, nil
	case "stream", "parallelStream":
		return nil, true, rejected(c.pos, "method java.util.List "+c.name)
	case "getFrom", "getTo":
		if n > 0 && l.span != "" {
			if c.name == "getFrom" {
				return compareMin(l.Items[0], l.Items[n-1]), true, nil
			}
			return compareMax(l.Items[0], l.Items[n-1]), true, nil
		}
	}
	return nil, false, nil
}

func compareMin(a, b any) any {
	if n, _ := compare(a, b); n <= 0 {
		return a
	}
	return b
}

func compareMax(a, b any) any {
	if n, _ := compare(a, b); n >= 0 {
		return a
	}
	return b
}

// truths are findAll, any, every and find without a closure: they ask for the truth of the items.
func (c *methodCall) truths(l *List) (any, bool, error) {
	out := &List{}
	for _, x := range l.Items {
		if Truth(x) {
			out.Items = append(out.Items, x)
		}
	}
	switch c.name {
	case "any":
		return len(out.Items) > 0, true, nil
	case "every":
		return len(out.Items) == len(l.Items), true, nil
	case "find":
		return first(out.Items), true, nil
	}
	return out, true, nil
}

// steps are every nth item of a range.
func (c *methodCall) steps(l *List) (any, bool, error) {
	n, ok := c.intArg(0)
	if !ok || n <= 0 || l.span == "" {
		return nil, false, nil
	}
	out := &List{}
	fn := c.closure(1)
	for i := 0; i < len(l.Items); i += n {
		out.Items = append(out.Items, l.Items[i])
		if fn == nil {
			continue
		}
		if _, err := c.f.call(fn, []any{l.Items[i]}); err != nil {
			return nil, true, err
		}
	}
	if fn != nil {
		return nil, true, nil
	}
	return out, true, nil
}

// against are the methods that look the items up in another list.
func (c *methodCall) against(l *List) (any, bool, error) {
	seen, err := c.lookup(c.arg(0))
	if err != nil {
		return nil, true, err
	}
	var in, out []any
	c.f.m.steps += len(l.Items)
	for _, x := range l.Items {
		if _, ok := seen.Get(lookKey(x)); ok {
			in = append(in, x)
		} else {
			out = append(out, x)
		}
	}
	switch c.name {
	case "intersect":
		return &List{Items: in}, true, nil
	case "removeAll":
		l.Items = out
		return len(in) > 0, true, c.frozen(l)
	}
	l.Items = in
	return len(out) > 0, true, c.frozen(l)
}

// collate cuts a list into pieces.
func (c *methodCall) collate(l *List) (any, bool, error) {
	size, ok := c.intArg(0)
	step, keep := size, true
	if n, given := c.intArg(1); given {
		step = n
	}
	if b, given := c.arg(len(c.args) - 1).(bool); given {
		keep = b
	}
	if !ok || size <= 0 || step <= 0 {
		return nil, false, nil
	}
	out := &List{}
	c.f.hold(out)
	for i := 0; i < len(l.Items); i += step {
		end := min(i+size, len(l.Items))
		if end-i < size && !keep {
			break
		}
		out.Items = append(out.Items, &List{Items: slices.Clone(l.Items[i:end])})
		if err := c.f.charge(listBytes+itemBytes*(end-i), c.pos); err != nil {
			return nil, true, err
		}
	}
	return out, true, nil
}

func (c *methodCall) transpose(l *List) (any, bool, error) {
	least := -1
	for _, row := range l.Items {
		r, ok := row.(*List)
		if !ok {
			return nil, false, nil
		}
		if least < 0 || len(r.Items) < least {
			least = len(r.Items)
		}
	}
	out := &List{}
	c.f.hold(out)
	for i := range max(least, 0) {
		col := &List{}
		for _, row := range l.Items {
			col.Items = append(col.Items, row.(*List).Items[i]) //nolint:forcetypeassert // it was looked at above
		}
		if _, err := c.f.checked(col, c.pos); err != nil {
			return nil, true, err
		}
		out.Items = append(out.Items, col)
		if err := c.f.tick(c.pos); err != nil {
			return nil, true, err
		}
	}
	return out, true, nil
}

// combinations are all lists with one item of each list, the first varying fastest.
func (c *methodCall) combinations(l *List) (any, bool, error) {
	rows := []any{&List{}}
	c.f.hold(nil)
	for _, part := range l.Items {
		items, err := c.f.items(part, c.pos)
		if err != nil {
			return nil, true, err
		}
		var next []any
		// What was made so far counts.
		c.f.held[len(c.f.held)-1] = &List{Items: rows}
		for _, x := range items {
			for _, row := range rows {
				r := row.(*List) //nolint:forcetypeassert // rows are lists
				longer := &List{Items: append(slices.Clone(r.Items), x)}
				if _, err := c.f.checked(longer, c.pos); err != nil {
					return nil, true, err
				}
				next = append(next, longer)
				if err := c.f.checkSize(len(next), c.pos); err != nil {
					return nil, true, err
				}
			}
		}
		rows = next
	}
	if len(l.Items) == 0 {
		rows = nil
	}
	return &List{Items: rows}, true, nil
}

func (c *methodCall) permutations(l *List) (any, bool, error) {
	out := &List{}
	c.f.hold(out)
	items := slices.Clone(l.Items)
	var walk func(k int) error
	walk = func(k int) error {
		if k == len(items) {
			row := &List{Items: slices.Clone(items)}
			if _, err := c.f.checked(row, c.pos); err != nil {
				return err
			}
			out.Items = append(out.Items, row)
			return c.f.checkSize(len(out.Items), c.pos)
		}
		for i := k; i < len(items); i++ {
			if err := c.f.tick(c.pos); err != nil {
				return err
			}
			items[k], items[i] = items[i], items[k]
			if err := walk(k + 1); err != nil {
				return err
			}
			items[k], items[i] = items[i], items[k]
		}
		return nil
	}
	if len(items) > 12 {
		return nil, true, &LimitError{Message: "Permutations of more than 12 items", Pos: c.pos}
	}
	err := walk(0)
	return out, true, err
}

// closureMore are further methods of lists with a closure.
func (c *methodCall) closureMore(items []any, fn *Closure) (any, bool, error) {
	call := func(args ...any) (any, error) { return c.f.call(fn, args) }
	switch c.name {
	case "reverseEach":
		for i := len(items) - 1; i >= 0; i-- {
			if _, err := call(items[i]); err != nil {
				return nil, true, err
			}
		}
		return c.obj, true, nil
	case "findResult", "findResults":
		out := &List{}
		c.f.hold(out)
		for _, x := range items {
			v, err := call(x)
			if err != nil {
				return nil, true, err
			}
			if v == nil {
				continue
			}
			if c.name == "findResult" {
				return v, true, nil
			}
			out.Items = append(out.Items, v)
			if err := c.f.settle(out, c.pos); err != nil {
				return nil, true, err
			}
		}
		if c.name == "findResult" {
			return nil, true, nil
		}
		return out, true, nil
	case "findLastIndexOf", "findIndexValues":
		out, last := &List{}, int64(-1)
		for i, x := range items {
			v, err := call(x)
			if err != nil {
				return nil, true, err
			}
			if Truth(v) {
				last = int64(i)
				out.Items = append(out.Items, last)
			}
		}
		if c.name == "findLastIndexOf" {
			return last, true, nil
		}
		return out, true, nil
	case "dropWhile", "retainAll", "removeIf":
		return c.filterMore(items, fn)
	}
	return c.closureGroups(items, fn)
}

// closureGroups are countBy and the closures over nested lists.
func (c *methodCall) closureGroups(items []any, fn *Closure) (any, bool, error) {
	call := func(args ...any) (any, error) { return c.f.call(fn, args) }
	switch c.name {
	case "countBy":
		out := NewMap()
		c.f.hold(out)
		for _, x := range items {
			k, err := call(x)
			if err != nil {
				return nil, true, err
			}
			n, _ := out.Get(k)
			old, _ := n.(int64)
			out.Put(k, old+1)
			if err := c.f.settleMap(out, c.pos); err != nil {
				return nil, true, err
			}
		}
		return out, true, nil
	case "collectNested":
		v, err := c.collectNested(items, fn, 0)
		return v, true, err
	case "eachCombination":
		v, ok, err := c.combinations(&List{Items: items})
		if !ok || err != nil {
			return v, ok, err
		}
		for _, row := range itemsOf(v) {
			if _, err := call(row); err != nil {
				return nil, true, err
			}
		}
		return nil, true, nil
	case "indexed", "withIndex":
		return nil, false, nil
	}
	return nil, false, nil
}

func (c *methodCall) collectNested(items []any, fn *Closure, depth int) (any, error) {
	out := &List{}
	c.f.hold(out)
	if err := c.f.tick(c.pos); err != nil {
		return nil, err
	}
	for _, x := range items {
		var v any
		var err error
		if inner, ok := x.(*List); ok && depth < maxTextDepth {
			v, err = c.collectNested(inner.Items, fn, depth+1)
		} else {
			v, err = c.f.call(fn, []any{x})
		}
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
		if err := c.f.settle(out, c.pos); err != nil {
			return nil, err
		}
	}
	return c.f.checked(out, c.pos)
}

func (c *methodCall) filterMore(items []any, fn *Closure) (any, bool, error) {
	var in, out []any
	for i, x := range items {
		v, err := c.f.call(fn, []any{x})
		if err != nil {
			return nil, true, err
		}
		if Truth(v) {
			in = append(in, x)
			continue
		}
		if c.name == "dropWhile" {
			return &List{Items: slices.Clone(items[i:])}, true, nil
		}
		out = append(out, x)
	}
	l, _ := c.obj.(*List)
	switch {
	case c.name == "dropWhile":
		return &List{}, true, nil
	case l == nil:
		return nil, false, nil
	case c.name == "retainAll":
		l.Items = in
		return len(out) > 0, true, c.frozen(l)
	}
	l.Items = out
	return len(in) > 0, true, c.frozen(l)
}
