// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"fmt"
	"reflect"
	"strings"
)

// layout is what the syntax tree says about the places of the tokens.
type layout struct {
	// rules are those of the gaps before the tokens, and at the end.
	rules []gapRule
	// dropped are the separators that a line end replaces.
	dropped []bool
	// starts are the offsets at which statements begin; deeper is the indentation that they have beyond that
	// of their block.
	starts map[int]bool
	deeper map[int]int
	// switches are the offsets of the braces of switches.
	switches map[int]bool
	// classes are where the bodies of classes stand, which are not parsed.
	classes []Span

	toks []token
	// at is the index of the token at an offset.
	at map[int]int
}

func layoutOf(toks []token, script *Script) layout {
	l := layout{
		rules: make([]gapRule, len(toks)+1), dropped: make([]bool, len(toks)),
		starts: map[int]bool{}, deeper: map[int]int{}, switches: map[int]bool{}, toks: toks, at: map[int]int{},
	}
	for i := range toks {
		l.at[toks[i].pos.Offset] = i
	}
	for i := range l.rules {
		l.rules[i].code = true
	}
	for _, s := range script.Stmts {
		Walk(s, l.node)
		if call := pipelineCall(s); call != nil {
			body := call.Args[0].Value.(*Closure)
			for i := l.at[call.From.Offset] + 1; i <= l.at[body.To.Offset-1]; i++ {
				l.rules[i].code = false
			}
			l.block(body)
		}
	}
	return l
}

// node notes where statements begin.
func (l *layout) node(n Node) {
	if _, ok := n.(Stmt); ok {
		l.starts[n.Start().Offset] = true
	}
	switch n := n.(type) {
	case *If:
		l.governed(n.Then)
		if _, elseIf := n.Else.(*If); !elseIf {
			l.governed(n.Else)
		}
	case *For:
		l.governed(n.Body)
	case *ForIn:
		l.governed(n.Body)
	case *While:
		l.governed(n.Body)
	case *Switch:
		for _, t := range l.within(n.Span) {
			if t.op("{") && t.pos.Offset >= n.X.End().Offset {
				l.switches[t.pos.Offset] = true
				break
			}
		}
	case *ClassDecl:
		l.classes = append(l.classes, n.Span)
	}
}

// governed moves a statement without braces to the right of its condition.
func (l *layout) governed(s Stmt) {
	if s == nil {
		return
	}
	if _, block := s.(*Block); block {
		return
	}
	for _, t := range l.within(Span{s.Start(), s.End()}) {
		if t.op("{") {
			return // what is in a block is indented by it
		}
		l.deeper[t.pos.Offset]++
	}
}

// within gives the tokens of a node; none for one in a GString, which is one token.
func (l *layout) within(s Span) []token {
	from, ok := l.at[s.From.Offset]
	if !ok {
		return nil
	}
	to := from
	for to < len(l.toks) && l.toks[to].pos.Offset < s.To.Offset {
		to++
	}
	return l.toks[from:to]
}

func (l *layout) inClass(offset int) bool {
	for _, c := range l.classes {
		if c.From.Offset < offset && offset < c.To.Offset {
			return true
		}
	}
	return false
}

// block lays out the statements of a section, each on lines of its own.
func (l *layout) block(body *Closure) {
	if len(body.Body) == 0 {
		return
	}
	for i, s := range body.Body {
		start := l.at[s.Start().Offset]
		r := &l.rules[start]
		r.breaks, r.first = true, i == 0
		r.blank = i > 0 && isStage(s) && isStage(body.Body[i-1])
		if !l.toks[start].op("{") {
			l.dropBefore(start)
		}
		l.statement(s)
	}
	end := l.at[body.To.Offset-1]
	l.rules[end].breaks, l.rules[end].last = true, true
	l.dropBefore(end)
}

// dropBefore drops the separators before a token.
func (l *layout) dropBefore(i int) {
	for i--; i >= 0 && l.toks[i].op(";"); i-- {
		l.dropped[i] = true
	}
}

func isStage(s Stmt) bool {
	sec, ok := sectionOf(s)
	return ok && sec.name == "stage" && sec.body != nil
}

// statement lays out a section or step that has a block; the block of script and expression is code.
func (l *layout) statement(s Stmt) {
	sec, ok := sectionOf(s)
	if !ok || sec.body == nil || sec.call.Trailing != 1 || sec.body.To != sec.call.To {
		return
	}
	brace := l.at[sec.body.From.Offset]
	l.rules[brace].joins = true
	if sec.name == "script" || sec.name == "expression" || sec.body.HasParams {
		for i := brace + 1; i <= l.at[sec.body.To.Offset-1]; i++ {
			l.rules[i].code = true
		}
		return
	}
	l.block(sec.body)
}

// shapeOf writes a script without the places of its parts. Two scripts with the same shape mean the same.
func shapeOf(s *Script) string {
	var b strings.Builder
	writeShape(&b, reflect.ValueOf(s))
	return b.String()
}

var placeTypes = map[reflect.Type]bool{reflect.TypeFor[Pos](): true, reflect.TypeFor[Span](): true}

func writeShape(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil ")
			return
		}
		writeShape(b, v.Elem())
	case reflect.Struct:
		if placeTypes[v.Type()] {
			return
		}
		b.WriteString(v.Type().Name() + "{")
		for i := range v.NumField() {
			writeShape(b, v.Field(i))
		}
		b.WriteString("}")
	case reflect.Slice:
		fmt.Fprintf(b, "[%d ", v.Len())
		for i := range v.Len() {
			writeShape(b, v.Index(i))
		}
		b.WriteString("]")
	default:
		fmt.Fprintf(b, "%#v ", v.Interface())
	}
}
