// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Jenkins' remote API shows objects through a filter: either by depth (an exported property has a
// visibility, objects further down show only the more visible ones) or by the tree parameter, which
// names the properties. An object here is what Jenkins calls an exported bean.

// object is an exported bean. A nil *object is null.
type object struct {
	class  string
	fields []field
}

type field struct {
	name string
	// vis is the visibility: 1 shows only at the level that was asked for, 2 one level below it, …
	vis int
	// inline says that the level below does not count as deeper.
	inline bool
	val    any
	// get makes the value only if it is shown.
	get func() any
}

// list is a list of objects of which only those that are shown are made.
type list struct {
	n  int
	at func(i int) *object
}

const always = 1000

func bean(class string) *object { return &object{class: class} }

// bigBean is a bean of about 30 properties.
func bigBean(class string) *object { return &object{class: class, fields: make([]field, 0, 30)} }

// set adds a property of visibility 1.
func (o *object) set(name string, v any) *object {
	o.fields = append(o.fields, field{name: name, vis: 1, val: v})
	return o
}

// vis adds a property of a visibility.
func (o *object) vis(n int, name string, v any) *object {
	o.fields = append(o.fields, field{name: name, vis: n, val: v})
	return o
}

// in adds a property that is shown with everything in it.
func (o *object) in(name string, v any) *object {
	o.fields = append(o.fields, field{name: name, vis: always, inline: true, val: v})
	return o
}

// lazy adds a property whose value is made only if it is shown.
func (o *object) lazy(vis int, name string, get func() any) *object {
	o.fields = append(o.fields, field{name: name, vis: vis, get: get})
	return o
}

// inLazy is lazy and in.
func (o *object) inLazy(vis int, name string, get func() any) *object {
	o.fields = append(o.fields, field{name: name, vis: vis, inline: true, get: get})
	return o
}

// pruner decides what is shown of an object.
type pruner interface {
	// child returns the pruner for the value of a property, nil if it is not shown.
	child(f *field) pruner
	// bounds is the part of a list that is shown.
	bounds() (from, to int)
}

type byDepth int

func (d byDepth) child(f *field) pruner {
	switch {
	case f.vis < int(d):
		return nil
	case f.inline:
		return d
	}
	return d + 1
}

func (byDepth) bounds() (int, int) { return 0, math.MaxInt }

// treeNode is a parsed tree parameter: the names that are shown and what is shown below each.
type treeNode struct {
	names    map[string]*treeNode
	from, to int
}

func (t *treeNode) child(f *field) pruner {
	if c, ok := t.names[f.name]; ok {
		return c
	}
	if c, ok := t.names["*"]; ok {
		return c
	}
	return nil
}

func (t *treeNode) bounds() (int, int) { return t.from, t.to }

// errTree says that a tree parameter is malformed.
var errTree = errors.New("malformed tree")

// maxTreeDepth bounds the nesting of a tree parameter.
const maxTreeDepth = 64

// parseTree parses a tree parameter: names separated by commas, each with an optional list of names
// below it in brackets and an optional range {from,to}, {from,}, {,to} or {index} behind it.
func parseTree(s string) (*treeNode, error) {
	p := &treeParser{s: s}
	root := &treeNode{to: math.MaxInt}
	if err := p.list(root, 0); err != nil {
		return nil, err
	}
	if p.i < len(p.s) {
		return nil, fmt.Errorf("%w: unexpected %q at %d", errTree, p.s[p.i], p.i)
	}
	return root, nil
}

type treeParser struct {
	s string
	i int
}

func (p *treeParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *treeParser) list(into *treeNode, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("%w: too deep", errTree)
	}
	into.names = map[string]*treeNode{}
	for {
		n := strings.IndexAny(p.s[p.i:], ",[]{}")
		if n < 0 {
			n = len(p.s) - p.i
		}
		name := strings.TrimSpace(p.s[p.i : p.i+n])
		p.i += n
		if name == "" {
			return fmt.Errorf("%w: name expected at %d", errTree, p.i)
		}
		c := &treeNode{to: math.MaxInt}
		if p.peek() == '[' {
			p.i++
			if err := p.list(c, depth+1); err != nil {
				return err
			}
			if p.peek() != ']' {
				return fmt.Errorf("%w: ] expected at %d", errTree, p.i)
			}
			p.i++
		}
		if p.peek() == '{' {
			if err := p.bounds(c); err != nil {
				return err
			}
		}
		into.names[name] = c
		if p.peek() != ',' {
			return nil
		}
		p.i++
	}
}

func (p *treeParser) bounds(into *treeNode) error {
	end := strings.IndexByte(p.s[p.i:], '}')
	if end < 0 {
		return fmt.Errorf("%w: } expected", errTree)
	}
	body := p.s[p.i+1 : p.i+end]
	p.i += end + 1
	from, to, pair := strings.Cut(body, ",")
	var err error
	if from != "" || !pair {
		if into.from, err = strconv.Atoi(strings.TrimSpace(from)); err != nil {
			return fmt.Errorf("%w: range {%s}", errTree, body)
		}
	}
	switch {
	case !pair:
		into.to = into.from + 1
	case to != "":
		if into.to, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
			return fmt.Errorf("%w: range {%s}", errTree, body)
		}
	}
	return nil
}

// choosePruner reads the parameters tree and depth.
func choosePruner(tree, depth string) (pruner, error) {
	if tree != "" {
		return parseTree(tree)
	}
	d := 0
	if depth != "" {
		var err error
		if d, err = strconv.Atoi(depth); err != nil {
			return nil, fmt.Errorf("depth: %w", err)
		}
	}
	return byDepth(1 - d), nil
}

// renderJSON writes the part of a value that the pruner shows. v is an *object, a list of objects
// or something for encoding/json.
func renderJSON(w *bytes.Buffer, v any, p pruner) error {
	switch v := v.(type) {
	case *object:
		if v == nil {
			w.WriteString("null")
			return nil
		}
		return renderObject(w, v, p)
	case []*object:
		return renderList(w, list{len(v), func(i int) *object { return v[i] }}, p)
	case list:
		return renderList(w, v, p)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	w.Truncate(w.Len() - 1) // Encode ends with a newline
	return nil
}

func renderList(w *bytes.Buffer, l list, p pruner) error {
	from, to := p.bounds()
	from, to = max(0, min(from, l.n)), max(0, min(to, l.n))
	w.WriteByte('[')
	for i := from; i < to; i++ {
		if i > from {
			w.WriteByte(',')
		}
		if err := renderJSON(w, l.at(i), p); err != nil {
			return err
		}
	}
	w.WriteByte(']')
	return nil
}

// maxAnswer bounds an answer in bytes: with a great depth folders show everything below them several times, as jobs and as views.
const maxAnswer = 64 << 20

var errAnswer = errors.New("the answer is too large: use a smaller depth, or the parameter tree with ranges")

func renderObject(w *bytes.Buffer, o *object, p pruner) error {
	if w.Len() > maxAnswer {
		return errAnswer
	}
	w.WriteByte('{')
	sep := ""
	if o.class != "" {
		w.WriteString(`"_class":`)
		w.WriteString(strconv.Quote(o.class))
		sep = ","
	}
	for i := range o.fields {
		f := &o.fields[i]
		c := p.child(f)
		if c == nil {
			continue
		}
		w.WriteString(sep)
		sep = ","
		w.WriteString(strconv.Quote(f.name))
		w.WriteByte(':')
		v := f.val
		if f.get != nil {
			v = f.get()
		}
		if err := renderJSON(w, v, c); err != nil {
			return err
		}
	}
	w.WriteByte('}')
	return nil
}
