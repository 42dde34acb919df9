// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strconv"
	"strings"
)

// postfix reads a primary expression with its selectors, calls, indexes and closures.
func (p *parser) postfix(statement bool) Expr {
	from := p.tok().pos
	return p.selectors(p.primary(), from, statement)
}

// selectors reads what follows x, which begins at from: at its parenthesis if it has one.
func (p *parser) selectors(x Expr, from Pos, statement bool) Expr {
	for n := 0; ; n++ {
		if n > maxChain {
			failAt(p.tok().pos, "Expression with more than %d parts", maxChain)
		}
		t := p.tok()
		switch {
		case t.op("("):
			x = p.callArgs(x, from)
		case t.op("["):
			p.next()
			args := p.arguments("]")
			p.expect("]")
			x = &Index{Object: x, Args: indexArgs(args, t.pos), Span: p.span(from)}
		case t.op("{") && takesClosure(x):
			x = p.appendClosure(x, from)
		case t.kind == tokNewline && statement && p.closureBelow(x):
			p.skipNewlines()
		case t.kind == tokNewline && p.selectorBelow():
			p.skipNewlines()
		case t.op(".") || t.op("?.") || t.op("*.") || t.op(".&"):
			x = p.selector(x, from)
		default:
			return x
		}
	}
}

// takesClosure tells if a closure may be appended: not to constants and lists.
func takesClosure(x Expr) bool {
	switch x := x.(type) {
	case *Ident:
		return x.Name != "this" && x.Name != "super"
	case *Property, *Call, *Closure:
		return true
	}
	return false
}

// appendedBlocks adds the closures that follow a command's arguments, as in stage 'x', { … }.
func (p *parser) appendedBlocks(x Expr) Expr { return x }

func (p *parser) closureBelow(x Expr) bool {
	return takesClosure(x) && p.at(1).op("{")
}

func (p *parser) selectorBelow() bool {
	t := p.at(1)
	return t.op(".") || t.op("?.") || t.op("*.") || t.op(".&")
}

// indexArgs refuses named arguments in an index.
func indexArgs(args []Arg, pos Pos) []Expr {
	out := make([]Expr, 0, len(args))
	for _, a := range args {
		if a.Named || a.Spread {
			failAt(pos, "unexpected token: :")
		}
		out = append(out, a.Value)
	}
	return out
}

func (p *parser) selector(x Expr, from Pos) Expr {
	op := p.next().text
	p.skipNewlines()
	t := p.tok()
	prop := &Property{Object: x, Safe: op == "?.", Spread: op == "*."}
	switch {
	case t.kind == tokIdent || t.kind == tokString:
		p.next()
		prop.Name = t.text
	case t.kind == tokGString:
		prop.NameExpr = p.primary()
	case t.op("("):
		p.next()
		prop.NameExpr = p.expression()
		p.expect(")")
	case t.op("@"):
		failAt(t.pos, "Direct field access with .@ is not supported")
	default:
		p.unexpected()
	}
	prop.Span = p.span(from)
	if op == ".&" {
		return &MethodPointer{Object: x, Name: prop.Name, Span: prop.Span}
	}
	return prop
}

// callArgs reads (args) behind x.
func (p *parser) callArgs(x Expr, from Pos) Expr {
	p.expect("(")
	call := callOf(x)
	call.Args = p.arguments(")")
	p.expect(")")
	call.Span = p.span(from)
	return call
}

func callOf(x Expr) *Call {
	if c := commandTarget(x); c != nil {
		return c
	}
	return &Call{Callee: x, NamePos: x.Start()}
}

func (p *parser) appendClosure(x Expr, from Pos) Expr {
	closure := p.closure()
	call, ok := x.(*Call)
	if !ok || call.Command {
		call = callOf(x)
	}
	call.Args = append(call.Args, Arg{Value: closure})
	call.Trailing++
	call.Span = p.span(from)
	return call
}

func (p *parser) primary() Expr {
	p.enter()
	defer p.leave()
	t := p.tok()
	switch t.kind {
	case tokNumber:
		p.next()
		return &Constant{Value: numberValue(t), Literal: t.text, Span: Span{t.pos, t.end}}
	case tokString:
		p.next()
		return &Constant{Value: t.text, Span: Span{t.pos, t.end}}
	case tokGString:
		p.next()
		return p.gstring(t)
	case tokIdent:
		return p.word()
	case tokOp:
		switch t.text {
		case "(":
			p.next()
			p.skipNewlines()
			x := p.commandExpression()
			p.skipNewlines()
			p.expect(")")
			return x
		case "[":
			return p.listOrMap()
		case "{":
			return p.closure()
		}
	}
	p.unexpected()
	return nil
}

func (p *parser) word() Expr {
	t := p.tok()
	span := Span{t.pos, t.end}
	switch t.text {
	case "true", "false":
		p.next()
		return &Constant{Value: t.text == "true", Span: span}
	case "null":
		p.next()
		return &Constant{Span: span}
	case "new":
		return p.newExpr()
	case "def", "if", "else", "for", "while", "do", "switch", "try", "catch", "finally", "return", "throw", "assert",
		"break", "continue", "import", "package", "class", "case", "default", "in", "instanceof", "as":
		p.unexpected()
	}
	p.next()
	return &Ident{Name: t.text, Span: span}
}

func (p *parser) newExpr() Expr {
	from := p.next().pos
	n := &New{Type: p.skipType()}
	if n.Type == "" {
		p.unexpected()
	}
	switch {
	case p.accept("("):
		n.Args = p.arguments(")")
		p.expect(")")
	case p.isOp("["):
		p.next()
		n.Args = p.arguments("]")
		p.expect("]")
		n.Type += "[]"
	default:
		failAt(p.tok().pos, "expecting '(', found '%s'", p.tok().shown())
	}
	n.Span = p.span(from)
	return n
}

// numberValue reads a number; Groovy's BigInteger and BigDecimal become int64 and float64.
func numberValue(t *token) any {
	s := strings.ToLower(strings.ReplaceAll(t.text, "_", ""))
	hex := strings.HasPrefix(s, "0x")
	decimal := false
	if !hex {
		decimal = strings.ContainsAny(s, ".e") || strings.HasSuffix(s, "d") || strings.HasSuffix(s, "f")
		s = strings.TrimRight(s, "df")
	}
	s = strings.TrimRight(s, "lgi")
	if decimal {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			failAt(t.pos, "Number %s is out of range", t.text)
		}
		return f
	}
	base := 10
	switch {
	case hex:
		s, base = s[2:], 16
	case strings.HasPrefix(s, "0b"):
		s, base = s[2:], 2
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		failAt(t.pos, "Number %s is out of range", t.text)
	}
	return n
}

// gstring parses the parts of an interpolated string.
func (p *parser) gstring(t *token) Expr {
	g := &GString{Span: Span{t.pos, t.end}}
	for _, part := range t.parts {
		if !part.isExpr {
			g.Parts = append(g.Parts, &Constant{Value: part.text, Span: Span{part.pos, part.pos}})
			continue
		}
		sub := &parser{src: p.src, toks: part.tokens, depth: p.depth}
		g.Parts = append(g.Parts, sub.interpolated(part.pos))
	}
	return g
}

// interpolated parses what stands in ${…}: an expression, statements, or nothing, which is null.
func (p *parser) interpolated(start Pos) Expr {
	p.skipNewlines()
	if p.tok().kind == tokEOF {
		return &Constant{Span: Span{start, p.tok().end}}
	}
	if p.isOp("->") {
		return p.lazy(start)
	}
	x := p.commandExpression()
	p.skipSeparators()
	if p.tok().kind != tokEOF {
		p.unexpected()
	}
	return x
}

// lazy parses what stands behind ${->: a closure without parameters.
func (p *parser) lazy(start Pos) Expr {
	p.next()
	c := &Closure{HasParams: true}
	for p.skipSeparators(); p.tok().kind != tokEOF; p.skipSeparators() {
		c.Body = append(c.Body, p.statement())
		if !p.atStatementEnd() {
			p.unexpected()
		}
	}
	c.Span = p.span(start)
	return c
}

func (p *parser) listOrMap() Expr {
	from := p.expect("[").pos
	p.skipNewlines()
	if p.isOp(":") && p.at(1).op("]") {
		p.next()
		p.next()
		return &Map{Span: p.span(from)}
	}
	args := p.arguments("]")
	p.expect("]")
	named := 0
	for _, a := range args {
		if a.Named {
			named++
		}
	}
	if named == 0 {
		return &List{Items: args, Span: p.span(from)}
	}
	m := &Map{Span: p.span(from)}
	for _, a := range args {
		if !a.Named {
			failAt(a.Value.Start(), "unexpected token: a list item in a map")
		}
		m.Entries = append(m.Entries, mapEntry(a))
	}
	return m
}

func mapEntry(a Arg) MapEntry {
	e := MapEntry{Value: a.Value, Spread: a.Spread}
	switch {
	case a.NameExpr != nil:
		e.Key = a.NameExpr
	case !a.Spread:
		e.Key = &Constant{Value: a.Name, Span: Span{a.NamePos, a.NamePos}}
	}
	return e
}

func (p *parser) closure() *Closure {
	p.enter()
	defer p.leave()
	from := p.expect("{").pos
	c := &Closure{}
	if p.arrowFollows() {
		p.skipNewlines()
		c.HasParams = true
		c.Params = p.params("->")
		p.skipNewlines()
		p.expect("->")
	}
	// A closure cannot leave the loops that it stands in.
	outside := p.labels
	p.labels = nil
	c.Body = p.stmtsUntil("}")
	p.labels = outside
	p.expect("}")
	c.Span = p.span(from)
	return c
}

// arrowFollows looks for the -> of a parameter list before anything that can not be in one.
func (p *parser) arrowFollows() bool {
	depth := 0
	for i := 0; ; i++ {
		t := p.at(i)
		switch {
		case t.op("->"):
			return depth == 0
		case t.op("(") || t.op("["):
			depth++
		case t.op(")") || t.op("]"):
			depth--
			if depth < 0 {
				return false
			}
		case t.kind == tokEOF, t.op("{"), t.op("}"), t.op(";"):
			return false
		case t.kind == tokNewline && depth == 0 && i > 0 && !p.at(i-1).op(",") && !p.at(i+1).op("->"):
			return false
		}
	}
}
