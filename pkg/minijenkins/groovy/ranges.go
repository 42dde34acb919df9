// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func (f *frame) rangeExpr(s *scope, x *jenkinsfile.Range) (any, error) {
	a, err := f.eval(s, x.From)
	if err != nil {
		return nil, err
	}
	b, err := f.eval(s, x.To)
	if err != nil {
		return nil, err
	}
	from, okA := whole(a)
	to, okB := whole(b)
	letters := false
	dots := ".."
	if x.Exclusive {
		dots = "..<"
	}
	out := &List{span: ToString(a) + dots + ToString(b), ends: [2]int64{from, to}, exclusive: x.Exclusive}
	if !okA || !okB {
		p, _ := text(a)
		q, _ := text(b)
		if len(p) != 1 || len(q) != 1 {
			return nil, throw(x.Span.From, "java.lang.IllegalArgumentException", "Incompatible range %s..%s", ToString(a), ToString(b))
		}
		from, to, letters = int64(p[0]), int64(q[0]), true
		out.ends = [2]int64{}
	}
	step := int64(1)
	if to < from {
		step = -1
	}
	if x.Exclusive {
		if from == to {
			return out, nil
		}
		to -= step
	}
	if n := (to - from) * step; n < 0 || n >= int64(f.m.limits.Items) {
		return nil, &LimitError{Message: fmt.Sprintf("Range with more than %d items", f.m.limits.Items), Pos: x.Span.From}
	}
	for i := from; ; i += step {
		if letters {
			out.Items = append(out.Items, string(rune(i)))
		} else {
			out.Items = append(out.Items, i)
		}
		if i == to {
			break
		}
	}
	return f.checked(out, x.Span.From)
}

func (f *frame) slice(obj any, keys *List, pos jenkinsfile.Pos) (any, error) {
	if str, ok := text(obj); ok {
		return f.substring(str, keys, pos)
	}
	if l, ok := obj.(*List); ok && keys.span != "" {
		at, err := keys.places(len(l.Items), "java.lang.IndexOutOfBoundsException", pos)
		if err != nil {
			return nil, err
		}
		out := &List{}
		for _, i := range at {
			out.Items = append(out.Items, l.Items[i])
		}
		return f.checked(out, pos)
	}
	out := &List{}
	for _, k := range keys.Items {
		if part, ok := k.(*List); ok {
			v, err := f.within(pos, func() (any, error) { return f.slice(obj, part, pos) })
			if err == nil {
				err = f.tick(pos)
			}
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, itemsOf(v)...)
			continue
		}
		v, err := f.at(obj, k, pos)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	return f.checked(out, pos)
}

// places are the indexes of a range in something of n items; negative ends count from behind.
func (l *List) places(n int, class string, pos jenkinsfile.Pos) ([]int, error) {
	from, to, size := l.ends[0], l.ends[1], int64(n)
	if from < 0 {
		from += size
	}
	if to < 0 {
		to += size
	}
	step := int64(1)
	if from > to {
		step = -1
	}
	switch {
	case l.exclusive && from == to, size == 0 && l.ends == [2]int64{0, -1}:
		return nil, nil
	case l.exclusive:
		to -= step
	}
	if min(from, to) < 0 || max(from, to) >= size {
		return nil, throw(pos, class, "toIndex = %d", max(from, to)+1)
	}
	var out []int
	for i := from; ; i += step {
		out = append(out, int(i))
		if i == to {
			return out, nil
		}
	}
}

// substring is the characters of a string at some places.
func (f *frame) substring(str string, keys *List, pos jenkinsfile.Pos) (any, error) {
	r := []rune(str)
	var b strings.Builder
	if keys.span != "" {
		at, err := keys.places(len(r), "java.lang.StringIndexOutOfBoundsException", pos)
		if err != nil {
			return nil, err
		}
		for _, i := range at {
			b.WriteRune(r[i])
		}
		return f.checked(b.String(), pos)
	}
	for _, k := range keys.Items {
		i, ok := whole(k)
		if !ok {
			return nil, missingMethod(pos, "getAt", str, []any{k})
		}
		if i < 0 {
			i += int64(len(r))
		}
		if i < 0 || i >= int64(len(r)) {
			return nil, throw(pos, "java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", i)
		}
		b.WriteRune(r[i])
	}
	return f.checked(b.String(), pos)
}
