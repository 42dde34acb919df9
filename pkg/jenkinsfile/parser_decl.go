// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strings"
	"unicode"
)

// classDecl skips a class by its brackets.
func (p *parser) classDecl() Stmt {
	from := p.next().pos
	c := &ClassDecl{Name: p.next().text}
	for !p.isOp("{") {
		if p.tok().kind == tokEOF {
			p.unexpected()
		}
		p.next()
	}
	depth := 0
	for {
		t := p.next()
		switch {
		case t.kind == tokEOF:
			failAt(t.pos, "expecting '}', found ''")
		case t.op("{"):
			depth++
		case t.op("}"):
			depth--
		}
		if depth == 0 {
			c.Span = p.span(from)
			return c
		}
	}
}

func (p *parser) annotated() Stmt {
	from := p.tok().pos
	var names []string
	var last *Annotation
	for p.isOp("@") {
		start := p.next().pos
		if p.tok().kind != tokIdent {
			p.unexpected()
		}
		last = &Annotation{Name: p.qualifiedName()}
		if p.isOp("(") {
			p.next()
			last.Args = p.arguments(")")
			p.expect(")")
		}
		last.Span = p.span(start)
		names = append(names, last.Name)
		if last.Name == "Library" {
			p.libraries = append(p.libraries, last)
		}
		p.skipNewlines()
	}
	switch {
	case p.isWord("_"):
		p.next()
		last.Span = p.span(from)
		return last
	case p.isWord("import"), p.isWord("class"):
		return p.keywordStatement()
	}
	if s := p.declaration(names); s != nil {
		return s
	}
	return last
}

func (p *parser) qualifiedName() string {
	parts := []string{p.next().text}
	for p.isOp(".") && p.at(1).kind == tokIdent {
		p.next()
		parts = append(parts, p.next().text)
	}
	return strings.Join(parts, ".")
}

// skipType moves over a type with its generics and brackets and returns it; "" if none stands here.
func (p *parser) skipType() string {
	t := p.tok()
	if t.kind != tokIdent {
		return ""
	}
	if (isKeyword(t.text) && t.text != "def") || t.text == "_" {
		return ""
	}
	name := p.qualifiedName()
	if p.isOp("<") && !p.skipGenerics() {
		return ""
	}
	for p.isOp("[") && p.at(1).op("]") {
		p.next()
		p.next()
		name += "[]"
	}
	return name
}

func (p *parser) skipGenerics() bool {
	depth := 0
	for range 64 {
		t := p.next()
		switch {
		case t.op("<"):
			depth++
		case t.op(">"):
			depth--
		case t.op(">>"):
			depth -= 2
		case t.op(">>>"):
			depth -= 3
		case t.kind == tokIdent, t.op(","), t.op("."), t.op("?"), t.op("["), t.op("]"):
		default:
			return false
		}
		if depth <= 0 {
			return depth == 0
		}
	}
	return false
}

func primitiveType(name string) bool {
	switch name {
	case "def", "var", "int", "long", "boolean", "double", "float", "byte", "char", "short", "void", "final":
		return true
	}
	return false
}

// looksLikeType applies Groovy's rule that tells "Type name" from the command "name argument".
func looksLikeType(name string) bool {
	if primitiveType(strings.TrimRight(name, "[]")) {
		return true
	}
	last := name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			last = name[i+1:]
			break
		}
	}
	for _, r := range last {
		return unicode.IsUpper(r)
	}
	return false
}

// declaration reads a variable or function declaration, or returns nil without moving.
func (p *parser) declaration(annotations []string) Stmt {
	mark, prev := p.i, p.prev
	from := p.tok().pos
	for modifier(p.tok().text) && p.at(1).kind == tokIdent {
		p.next()
	}
	if p.tok().text == "def" && p.at(1).op("(") {
		p.next()
		return p.tupleDecl(from, annotations)
	}
	typ := "def"
	if p.i == mark || !p.at(1).op("=") {
		typ = p.skipType()
	}
	named := p.tok().kind == tokIdent || typ == "def" && p.tok().kind == tokString
	if typ == "" || !looksLikeType(typ) || !named {
		if typ != "def" || p.i == mark {
			p.i, p.prev = mark, prev
			return nil
		}
		p.unexpected()
	}
	if isKeyword(p.tok().text) && p.tok().kind == tokIdent {
		// "X in y", "X instanceof Y", "X as Y"
		p.i, p.prev = mark, prev
		return nil
	}
	if p.at(1).op("(") {
		return p.funcDecl(from, typ, annotations)
	}
	d := &VarDecl{Type: typ, Annotations: annotations}
	for {
		v := Var{Name: p.tok().text, Pos: p.tok().pos}
		if p.tok().kind != tokIdent {
			p.unexpected()
		}
		p.next()
		if p.accept("=") {
			p.skipNewlines()
			v.Value = p.commandExpression()
		}
		d.Vars = append(d.Vars, v)
		if !p.accept(",") {
			break
		}
		p.skipNewlines()
	}
	d.Span = p.span(from)
	return d
}

func modifier(word string) bool {
	switch word {
	case "private", "public", "protected", "static", "final":
		return true
	}
	return false
}

func (p *parser) tupleDecl(from Pos, annotations []string) Stmt {
	p.expect("(")
	d := &VarDecl{Type: "def", Tuple: true, Annotations: annotations}
	for {
		if p.at(1).kind == tokIdent {
			p.skipType()
		}
		if p.tok().kind != tokIdent {
			p.unexpected()
		}
		t := p.next()
		d.Vars = append(d.Vars, Var{Name: t.text, Pos: t.pos})
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	p.expect("=")
	p.skipNewlines()
	d.Vars[0].Value = p.commandExpression()
	d.Span = p.span(from)
	return d
}

func (p *parser) funcDecl(from Pos, typ string, annotations []string) Stmt {
	f := &FuncDecl{Name: p.next().text, Type: typ, Annotations: annotations}
	p.expect("(")
	f.Params = p.params(")")
	p.expect(")")
	p.skipNewlines()
	if p.isWord("throws") {
		p.next()
		p.qualifiedName()
		p.skipNewlines()
	}
	f.Body = p.block()
	f.Span = p.span(from)
	return f
}

// params reads a parameter list up to the closing operator, which stays.
func (p *parser) params(closing string) []Param {
	var out []Param
	for !p.isOp(closing) {
		var param Param
		for modifier(p.tok().text) && p.at(1).kind == tokIdent {
			p.next()
		}
		if p.tok().kind != tokIdent {
			p.unexpected()
		}
		mark := p.i
		param.Type = p.skipType()
		param.Variadic = p.accept("...")
		if p.tok().kind != tokIdent {
			p.i = mark
			param.Type = ""
		}
		param.Name = p.next().text
		if p.accept("=") {
			param.Default = p.expression()
		}
		out = append(out, param)
		if !p.accept(",") {
			break
		}
		p.skipNewlines()
	}
	return out
}
