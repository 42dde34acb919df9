// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"slices"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// same is Java's equals: other than with ==, a GString is no String, and numbers are equal only to those of
// their own class. contains, indexOf and in ask it of the items.
func (f *frame) same(a, b any) bool {
	if a == nil || b == nil {
		return a == b
	}
	if l, ok := a.(*List); ok {
		m, ok := b.(*List)
		return ok && l.set == m.set && f.equal(l, m)
	}
	if className(a) != className(b) {
		return false
	}
	if d, ok := a.(Decimal); ok {
		e, ok := b.(Decimal)
		return ok && d.scale == e.scale && d.cmp(e) == 0
	}
	return f.equal(a, b)
}

// nullMethod are the methods that null has: nothing is gone over.
func (f *frame) nullMethod(name string, args []any, pos jenkinsfile.Pos) (v any, ok bool, err error) {
	c := methodCall{f: f, name: name, args: args, pos: pos}
	fn := c.closure(0)
	switch name {
	case "each", "eachWithIndex", "find":
		return nil, fn != nil, nil
	case "collect", "findAll":
		return &List{}, fn != nil, nil
	case "any":
		return false, fn != nil, nil
	case "every":
		return true, fn != nil, nil
	case "with":
		if fn != nil {
			v, err = c.with(fn)
		}
		return v, fn != nil, err
	case "is":
		return c.arg(0) == nil, len(args) == 1, nil
	case "iterator":
		return &iterator{}, len(args) == 0, nil
	case "inspect":
		return "null", len(args) == 0, nil
	}
	return nil, false, nil
}

// ofScript are the methods that every script has beside steps and its own functions.
func (f *frame) ofScript(name string, args arguments, pos jenkinsfile.Pos) (any, error) {
	list := args.list()
	switch {
	case name == "sprintf" && len(list) > 0, name == "printf" && len(list) > 0 && f.m.host.HasStep("print"):
		values := list[1:]
		if l, ok := first(values).(*List); ok && len(values) == 1 {
			values = l.Items
		}
		c := methodCall{f: f, name: name, args: list, pos: pos}
		text, err := c.format(c.str(0), values)
		if err != nil || name == "sprintf" {
			return text, err
		}
		return f.step(Invocation{Name: "print", Args: []any{text}, Pos: pos})
	case name == "is" && len(list) == 1:
		return list[0] == f.m.main, nil
	}
	for _, method := range []string{name, "*"} {
		if class, ok := f.m.statics[method]; ok {
			if v, err := f.invoke(class, name, list, pos); method == name || err == nil {
				return v, err
			}
		}
	}
	return nil, f.noMethod(name, pos)
}

// iterator goes over items.
type iterator struct {
	plainObject
	items []any
}

// String implements Object.
func (i *iterator) String() string { return i.ClassName() + "@1" }

// ClassName implements Object.
func (i *iterator) ClassName() string { return "java.util.Iterator" }

// Call implements Object.
func (i *iterator) Call(_ context.Context, name string, _ []any) (any, bool, error) {
	switch name {
	case "hasNext":
		return len(i.items) > 0, true, nil
	case "next":
		if len(i.items) == 0 {
			return nil, true, &Exception{Class: "java.util.NoSuchElementException"}
		}
		v := i.items[0]
		i.items = i.items[1:]
		return v, true, nil
	}
	return nil, false, nil
}

// jsonBuilder is groovy.json.JsonBuilder around a value.
type jsonBuilder struct {
	m       *Machine
	content any
	// text is what it was when it was made.
	text string
}

func (f *frame) newJSONBuilder(content any, pos jenkinsfile.Pos) (any, error) {
	text, err := f.toJSON(content, pos)
	if err != nil {
		return nil, err
	}
	return &jsonBuilder{m: f.m, content: content, text: ToString(text)}, nil
}

// String implements Object.
func (b *jsonBuilder) String() string { return b.text }

// ClassName implements Object.
func (b *jsonBuilder) ClassName() string { return "groovy.json.JsonBuilder" }

// Property implements Object.
func (b *jsonBuilder) Property(_ context.Context, name string) (any, bool, error) {
	return b.content, name == "content", nil
}

// SetProperty implements Object.
func (b *jsonBuilder) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// Call implements Object.
func (b *jsonBuilder) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	if len(args) > 0 || name != "toString" && name != "toPrettyString" && name != "getContent" {
		return nil, false, nil
	}
	if name == "getContent" {
		return b.content, true, nil
	}
	f := b.m.frame(ctx)
	f.open()
	defer f.close()
	v, err := f.toJSON(b.content, jenkinsfile.Pos{})
	if err == nil && name == "toPrettyString" {
		v, err = f.prettyJSON(ToString(v), jenkinsfile.Pos{})
	}
	return v, true, err
}

// javaMethod are methods of lists that come from Java rather than Groovy.
func (c *methodCall) javaMethod(l *List) (any, bool, error) {
	switch c.name {
	case "iterator", "listIterator":
		return &iterator{items: slices.Clone(l.Items)}, len(c.args) == 0, c.f.charge(listBytes+itemBytes*len(l.Items), c.pos)
	case "poll", "peek":
		if len(l.Items) == 0 || l.set || l.span != "" {
			return nil, len(c.args) == 0, nil
		}
		v := l.Items[0]
		if c.name == "poll" {
			l.Items = slices.Delete(l.Items, 0, 1)
		}
		return v, len(c.args) == 0, nil
	case "clone":
		return &List{Items: slices.Clone(l.Items), set: l.set}, len(c.args) == 0, nil
	case "asList", "asCollection":
		return l, len(c.args) == 0, nil
	case "toListString", "toArrayString":
		return c.f.string(&List{Items: l.Items}), len(c.args) == 0, nil
	case "collectEntries":
		out := NewMap()
		for _, x := range l.Items {
			putEntry(out, x)
		}
		return out, len(c.args) == 0, c.f.settleMap(out, c.pos)
	case "grep":
		return c.grep(l)
	case "encodeBase64", "encodeHex":
		b, ok := byteItems(l)
		if !ok || len(c.args) > 0 {
			return nil, false, nil
		}
		return c.stringBytes(string(b))
	}
	return nil, false, nil
}

// grep keeps the items that are a case of something: a class, a pattern, a list, a closure.
func (c *methodCall) grep(l *List) (any, bool, error) {
	out := &List{}
	c.f.hold(out)
	for _, x := range l.Items {
		hit, err := Truth(x), c.f.tick(c.pos)
		if err == nil && len(c.args) == 1 {
			hit, err = c.f.isCase(c.args[0], x, c.pos)
		}
		if err != nil {
			return nil, true, err
		}
		if hit {
			out.Items = append(out.Items, x)
		}
	}
	return out, len(c.args) < 2, nil
}

// byteItems are the items of a list of bytes.
func byteItems(l *List) ([]byte, bool) {
	out := make([]byte, len(l.Items))
	for i, x := range l.Items {
		n, ok := x.(int64)
		if !ok || n < -128 || n > 127 {
			return nil, false
		}
		out[i] = byte(n)
	}
	return out, true
}
