// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

// commandExpression reads an expression that may be a command: name arg, arg.
func (p *parser) commandExpression() Expr { return p.commandExpressionAt(false) }

// commandExpressionAt reads a command expression. At the beginning of a statement a closure may
// stand on the line below its call.
func (p *parser) commandExpressionAt(statement bool) Expr {
	from := p.tok().pos
	if p.isOp("(") && p.multiAssignFollows() {
		return p.multiAssign()
	}
	x := p.assignment(statement)
	for chained := 0; isPath(x) && p.commandArgFollows(); chained++ {
		if chained > maxChain {
			failAt(p.tok().pos, "Expression with more than %d parts", maxChain)
		}
		call := commandTarget(x)
		if call == nil {
			break
		}
		call.Args = p.commandArgs()
		call.Command = true
		call.Span = p.span(from)
		x = call
		if statement {
			x = p.appendedBlocks(x)
		}
		// "a b c d" is a(b).c(d); only a name may go on.
		if p.tok().kind == tokIdent && !isKeyword(p.tok().text) {
			t := p.next()
			x = &Property{Object: x, Name: t.text, Span: p.span(from)}
			x = p.selectors(x, from, false)
			continue
		}
		break
	}
	if p.isOp("=") || isAssignOp(p.tok()) {
		return p.assignTo(x, from)
	}
	return x
}

// isPath tells if a command may begin with the expression.
func isPath(x Expr) bool {
	switch x := x.(type) {
	case *Ident:
		return x.Name != "this" && x.Name != "super"
	case *Property:
		return true
	case *Call:
		// foo(x) bar → foo(x).bar
		return false
	}
	return false
}

// commandTarget makes the call that a command's arguments belong to.
func commandTarget(x Expr) *Call {
	switch x := x.(type) {
	case *Ident:
		return &Call{Name: x.Name, NamePos: x.From}
	case *Property:
		if x.NameExpr == nil {
			return &Call{Object: x.Object, Name: x.Name, NamePos: x.From, Safe: x.Safe, Spread: x.Spread}
		}
	}
	return nil
}

// commandArgFollows tells if the next token begins an argument and can not go on the expression.
func (p *parser) commandArgFollows() bool {
	t := p.tok()
	switch t.kind {
	case tokString, tokGString, tokNumber:
		return true
	case tokIdent:
		switch t.text {
		case "in", "instanceof", "as", "else", "catch", "finally", "case", "default":
			return p.at(1).op(":") && t.text != "case" && t.text != "default"
		}
		return true
	case tokOp:
		// A list as a command argument is an index in Jenkins' Groovy; "-x" subtracts.
		return t.text == "!" && t.spaceBefore || t.text == "~"
	}
	return false
}

func (p *parser) commandArgs() []Arg {
	var out []Arg
	for {
		out = append(out, p.argument())
		if !p.isOp(",") {
			return out
		}
		p.next()
		p.skipNewlines()
	}
}

// argument reads one argument: value, name: value, "name": value, (expr): value, *list or *: map.
func (p *parser) argument() Arg {
	t := p.tok()
	if p.isOp("*") {
		p.next()
		return Arg{Value: p.expression(), Spread: true}
	}
	if p.isOp("*:") {
		p.next()
		return Arg{Value: p.expression(), Spread: true, Named: true}
	}
	if (t.kind == tokIdent || t.kind == tokString || t.kind == tokNumber) && p.at(1).op(":") {
		p.next()
		p.next()
		p.skipNewlines()
		arg := Arg{Name: t.text, Named: true, NamePos: t.pos}
		if t.kind == tokNumber {
			arg.NameExpr = &Constant{Value: numberValue(t), Literal: t.text, Span: Span{t.pos, t.end}}
		}
		arg.Value = p.expression()
		return arg
	}
	x := p.expression()
	if p.isOp(":") && keyExpression(x) {
		p.next()
		p.skipNewlines()
		return Arg{NameExpr: x, Named: true, NamePos: t.pos, Value: p.expression()}
	}
	return Arg{Value: x}
}

// keyExpression tells if an expression may be the key of a map entry: (expr) or a GString.
func keyExpression(x Expr) bool {
	switch x.(type) {
	case *Ternary, *Assign:
		return false
	}
	return true
}

// arguments reads arguments up to the closing operator, which stays.
func (p *parser) arguments(closing string) []Arg {
	var out []Arg
	p.skipNewlines()
	for !p.isOp(closing) {
		out = append(out, p.argument())
		p.skipNewlines()
		if !p.accept(",") {
			break
		}
		p.skipNewlines()
	}
	if !p.isOp(closing) {
		t := p.tok()
		failAt(t.pos, "expecting '%s', found '%s'", closing, t.shown())
	}
	return out
}

// expression reads an expression without commands; an assignment is one.
func (p *parser) expression() Expr {
	p.enter()
	defer p.leave()
	return p.assignment(false)
}

func isAssignOp(t *token) bool {
	if t.kind != tokOp {
		return false
	}
	switch t.text {
	case "=", "+=", "-=", "*=", "/=", "%=", "**=", "<<=", ">>=", ">>>=", "&=", "|=", "^=":
		return true
	}
	return false
}

func (p *parser) assignment(statement bool) Expr {
	p.enter()
	defer p.leave()
	from := p.tok().pos
	x := p.ternary(statement)
	if isAssignOp(p.tok()) {
		return p.assignTo(x, from)
	}
	return x
}

func (p *parser) assignTo(target Expr, from Pos) Expr {
	switch target.(type) {
	case *Ident, *Property, *Index:
	default:
		failAt(p.tok().pos, "expression is not assignable: the left side of '%s' must be a variable, a property or an element", p.tok().text)
	}
	op := p.next().text
	p.skipNewlines()
	p.enter()
	value := p.commandExpression()
	p.leave()
	return &Assign{Op: op, Target: target, Value: value, Span: p.span(from)}
}

// multiAssignFollows looks for (a, b) = .
func (p *parser) multiAssignFollows() bool {
	i := 1
	for p.at(i).kind == tokIdent {
		i++
		if p.at(i).op(")") {
			return i > 2 && p.at(i+1).op("=")
		}
		if !p.at(i).op(",") {
			return false
		}
		i++
	}
	return false
}

func (p *parser) multiAssign() Expr {
	from := p.next().pos
	m := &MultiAssign{}
	for {
		t := p.next()
		m.Targets = append(m.Targets, &Ident{Name: t.text, Span: Span{t.pos, t.end}})
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	p.expect("=")
	p.skipNewlines()
	m.Value = p.commandExpression()
	m.Span = p.span(from)
	return m
}

func (p *parser) ternary(statement bool) Expr {
	from := p.tok().pos
	cond := p.binary(0, statement)
	if mark, prev := p.i, p.prev; p.tok().kind == tokNewline {
		// The question mark may stand on the next line.
		if p.skipNewlines(); !p.isOp("?") && !p.isOp("?:") {
			p.i, p.prev = mark, prev
		}
	}
	switch {
	case p.accept("?:"):
		p.skipNewlines()
		return &Ternary{Cond: cond, Else: p.nestedTernary(), Span: p.span(from)}
	case p.accept("?"):
		p.skipNewlines()
		then := p.expression()
		p.skipNewlines()
		p.expect(":")
		p.skipNewlines()
		return &Ternary{Cond: cond, Then: then, Else: p.nestedTernary(), Span: p.span(from)}
	}
	return cond
}

func (p *parser) nestedTernary() Expr {
	p.enter()
	defer p.leave()
	return p.ternary(false)
}

// precedence of binary operators, from loose to tight; 0 means none.
func precedence(t *token) int {
	if t.kind == tokIdent {
		switch t.text {
		case "in", "instanceof", "as":
			return 8
		}
		return 0
	}
	if t.kind != tokOp {
		return 0
	}
	switch t.text {
	case "||":
		return 1
	case "&&":
		return 2
	case "|":
		return 3
	case "^":
		return 4
	case "&":
		return 5
	case "=~", "==~":
		return 6
	case "==", "!=", "<=>":
		return 7
	case "<", "<=", ">", ">=":
		return 8
	case "<<", ">>", ">>>", "..", "..<":
		return 9
	case "+", "-":
		return 10
	case "*", "/", "%":
		return 11
	case "**":
		return 12
	}
	return 0
}

// binary reads operators of at least the given precedence; all of them bind to the left.
func (p *parser) binary(min int, statement bool) Expr {
	from := p.tok().pos
	x := p.unary(statement)
	for n := 0; ; n++ {
		t := p.tok()
		prec := precedence(t)
		if prec == 0 || prec <= min {
			return x
		}
		if n > maxChain {
			failAt(t.pos, "Expression with more than %d operators", maxChain)
		}
		op := p.next()
		if op.text == "instanceof" || op.text == "as" {
			typ := p.skipType()
			if typ == "" {
				p.unexpected()
			}
			x = &TypeOp{Op: op.text, X: x, Type: typ, Span: p.span(from)}
			continue
		}
		p.skipNewlines()
		p.enter()
		y := p.binary(prec, false)
		p.leave()
		if op.text == ".." || op.text == "..<" {
			x = &Range{From: x, To: y, Exclusive: op.text == "..<", Span: Span{from, p.prev}}
			continue
		}
		x = &Binary{Op: op.text, OpPos: op.pos, X: x, Y: y, Span: p.span(from)}
	}
}

func (p *parser) unary(statement bool) Expr {
	t := p.tok()
	from := t.pos
	if t.kind == tokOp {
		switch t.text {
		case "!", "-", "+", "~", "++", "--":
			p.next()
			p.enter()
			x := p.unary(false)
			p.leave()
			if t.text == "-" {
				if c, ok := negated(x); ok {
					c.Span = p.span(from)
					return c
				}
			}
			return &Unary{Op: t.text, X: x, Span: p.span(from)}
		case "(":
			if x := p.cast(); x != nil {
				return x
			}
		}
	}
	x := p.postfix(statement)
	if t := p.tok(); t.op("++") || t.op("--") {
		p.next()
		return &Unary{Op: t.text, X: x, Postfix: true, Span: p.span(from)}
	}
	return x
}

func negated(x Expr) (*Constant, bool) {
	c, ok := x.(*Constant)
	if !ok {
		return nil, false
	}
	switch v := c.Value.(type) {
	case int64:
		return &Constant{Value: -v, Literal: "-" + c.Literal}, true
	case float64:
		return &Constant{Value: -v, Literal: "-" + c.Literal}, true
	}
	return nil, false
}

// cast reads (Type) x if it follows; else it returns nil without moving.
func (p *parser) cast() Expr {
	mark, prev := p.i, p.prev
	from := p.next().pos
	if p.tok().kind == tokIdent {
		typ := p.skipType()
		if typ != "" && looksLikeType(typ) && typ != "def" && p.accept(")") && p.castOperandFollows() {
			p.enter()
			x := p.unary(false)
			p.leave()
			return &TypeOp{Op: "as", X: x, Type: typ, Span: p.span(from)}
		}
	}
	p.i, p.prev = mark, prev
	return nil
}

func (p *parser) castOperandFollows() bool {
	t := p.tok()
	switch t.kind {
	case tokIdent:
		return precedence(t) == 0
	case tokString, tokGString, tokNumber:
		return true
	case tokOp:
		return t.text == "(" || t.text == "["
	}
	return false
}
