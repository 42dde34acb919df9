// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"slices"
	"strings"
)

// parser builds the Groovy tree from tokens. It stops at the first syntax error (see failAt).
type parser struct {
	src   string
	toks  []token
	i     int
	depth int
	// prev is where the last taken token ended.
	prev      Pos
	libraries []*Annotation
	// labels are those of the loops around.
	labels []string
}

// Script is a parsed Groovy file.
type Script struct {
	Stmts []Stmt
	// Libraries are the annotations @Library, whatever they stand before.
	Libraries []*Annotation
}

// ParseScript parses a file as Groovy without the rules of Declarative Pipeline. The error is an
// *ErrorList with one *Error.
func ParseScript(src string) (*Script, error) {
	if len(src) > MaxSize {
		l := &ErrorList{}
		l.add(Pos{}, "The Jenkinsfile has %d bytes, more than the %d that are allowed", len(src), MaxSize)
		return nil, l
	}
	s, err := parseScript(src)
	if err != nil {
		return nil, &ErrorList{Errors: []*Error{err}}
	}
	return s, nil
}

func parseScript(src string) (s *Script, err *Error) {
	defer catchSyntax(&err)
	p := &parser{src: src, toks: lex(src)}
	stmts := p.stmtsUntil("")
	roots := make([]Node, 0, len(stmts)+len(p.libraries))
	for _, s := range stmts {
		roots = append(roots, s)
	}
	for _, l := range p.libraries {
		roots = append(roots, l)
	}
	checkDepth(roots)
	return &Script{Stmts: stmts, Libraries: p.libraries}, nil
}

func (p *parser) tok() *token { return &p.toks[p.i] }

func (p *parser) at(n int) *token {
	if p.i+n < len(p.toks) {
		return &p.toks[p.i+n]
	}
	return &p.toks[len(p.toks)-1]
}

func (p *parser) next() *token {
	t := &p.toks[p.i]
	if p.i < len(p.toks)-1 {
		p.i++
	}
	p.prev = t.end
	return t
}

func (p *parser) isOp(text string) bool { return p.tok().kind == tokOp && p.tok().text == text }

func (p *parser) isWord(text string) bool { return p.tok().kind == tokIdent && p.tok().text == text }

func (t *token) op(text string) bool { return t.kind == tokOp && t.text == text }

func (p *parser) accept(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(op string) *token {
	if !p.isOp(op) {
		t := p.tok()
		failAt(t.pos, "expecting '%s', found '%s'", op, t.shown())
	}
	return p.next()
}

func (t *token) shown() string {
	switch t.kind {
	case tokEOF:
		return ""
	case tokNewline:
		return "\\n"
	case tokGString:
		return "\"…\""
	}
	return t.text
}

func (p *parser) unexpected() { failAt(p.tok().pos, "unexpected token: %s", p.tok().shown()) }

func (p *parser) skipNewlines() {
	for p.tok().kind == tokNewline {
		p.next()
	}
}

func (p *parser) skipSeparators() {
	for p.tok().kind == tokNewline || p.isOp(";") {
		p.next()
	}
}

func (p *parser) enter() {
	p.depth++
	if p.depth > maxParseDepth {
		failAt(p.tok().pos, "Nested too deep")
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) span(from Pos) Span { return Span{From: from, To: p.prev} }

// stmtsUntil reads statements to the closing operator, which stays, or to the end if it is empty.
func (p *parser) stmtsUntil(closing string) []Stmt {
	var out []Stmt
	for {
		p.skipSeparators()
		t := p.tok()
		if t.kind == tokEOF {
			if closing != "" && len(out) > 0 {
				failAt(t.pos, "expecting '%s', found ''", closing)
			}
			if closing != "" {
				p.unexpected()
			}
			return out
		}
		if closing != "" && p.isOp(closing) {
			return out
		}
		out = append(out, p.statement())
		t = p.tok()
		if t.kind == tokNewline || t.kind == tokEOF || p.isOp(";") || (closing != "" && p.isOp(closing)) {
			continue
		}
		if endsInBlock(out[len(out)-1]) {
			continue
		}
		p.unexpected()
	}
}

// endsInBlock tells if a statement needs no separator behind it.
func endsInBlock(s Stmt) bool {
	switch s.(type) {
	case *If, *For, *ForIn, *While, *Switch, *Try, *Block, *FuncDecl, *ClassDecl:
		return true
	}
	return false
}

func (p *parser) statement() Stmt {
	p.enter()
	defer p.leave()
	t := p.tok()
	switch t.kind {
	case tokOp:
		switch t.text {
		case "{":
			// With an arrow it is a closure, which is the value of the block around it.
			p.i++
			arrow := p.arrowFollows()
			p.i--
			if !arrow {
				return p.block()
			}
		case "@":
			return p.annotated()
		}
	case tokIdent:
		if p.at(1).op(":") && !p.at(2).op(":") && !isKeyword(t.text) {
			return p.labelled()
		}
		if s := p.keywordStatement(); s != nil {
			return s
		}
		if s := p.declaration(nil); s != nil {
			return s
		}
	}
	return p.expressionStatement()
}

func isKeyword(word string) bool {
	switch word {
	case "default", "case", "true", "false", "null", "this", "super", "new", "if", "else", "for", "while", "do",
		"switch", "try", "catch", "finally", "return", "throw", "assert", "break", "continue", "import", "package",
		"class", "interface", "trait", "enum", "def", "in", "instanceof", "as":
		return true
	}
	return false
}

func (p *parser) keywordStatement() Stmt {
	from := p.tok().pos
	switch p.tok().text {
	case "if":
		return p.ifStatement()
	case "for":
		return p.forStatement()
	case "while":
		p.next()
		cond := p.condition()
		return &While{Cond: cond, Body: p.body(), Span: p.span(from)}
	case "do":
		// The Groovy of Jenkins has no do-while.
		p.unexpected()
	case "switch":
		return p.switchStatement()
	case "try":
		return p.tryStatement()
	case "return":
		p.next()
		var x Expr
		if !p.atStatementEnd() {
			x = p.commandExpression()
		}
		return &Return{X: x, Span: p.span(from)}
	case "throw":
		p.next()
		return &Throw{X: p.expression(), Span: p.span(from)}
	case "assert":
		return p.assertStatement()
	case "break":
		label := p.leaves()
		return &Break{Label: label, Span: p.span(from)}
	case "continue":
		label := p.leaves()
		return &Continue{Label: label, Span: p.span(from)}
	case "import", "package":
		return p.importStatement()
	case "class", "interface", "trait", "enum":
		if p.at(1).kind == tokIdent {
			return p.classDecl()
		}
	}
	return nil
}

// labelled reads "name: statement". The label counts for loops.
func (p *parser) labelled() Stmt {
	label := p.next().text
	p.next()
	p.skipNewlines()
	p.labels = append(p.labels, label)
	s := p.statement()
	p.labels = p.labels[:len(p.labels)-1]
	switch s := s.(type) {
	case *For:
		s.Label = label
	case *ForIn:
		s.Label = label
	case *While:
		s.Label = label
	}
	return s
}

// leaves reads break or continue and the label behind it, which is that of a loop around.
func (p *parser) leaves() string {
	word := p.next().text
	t := p.tok()
	if t.kind != tokIdent {
		return ""
	}
	if !slices.Contains(p.labels, t.text) {
		failAt(t.pos, "%s to missing label", word)
	}
	return p.next().text
}

func (p *parser) atStatementEnd() bool {
	t := p.tok()
	return t.kind == tokNewline || t.kind == tokEOF || p.isOp(";") || p.isOp("}")
}

// condition reads (expr).
func (p *parser) condition() Expr {
	p.expect("(")
	x := p.expression()
	p.expect(")")
	return x
}

// body reads the statement that a condition or loop governs.
func (p *parser) body() Stmt {
	p.skipNewlines()
	if p.isOp(";") {
		from := p.next().pos
		return &Block{Span: p.span(from)}
	}
	return p.statement()
}

func (p *parser) block() *Block {
	from := p.expect("{").pos
	stmts := p.stmtsUntil("}")
	p.expect("}")
	return &Block{Stmts: stmts, Span: p.span(from)}
}

func (p *parser) ifStatement() Stmt {
	from := p.next().pos
	s := &If{Cond: p.condition()}
	s.Then = p.body()
	mark := p.i
	prev := p.prev
	p.skipSeparators()
	if p.isWord("else") {
		p.next()
		s.Else = p.body()
	} else {
		p.i, p.prev = mark, prev
	}
	s.Span = p.span(from)
	return s
}

func (p *parser) forStatement() Stmt {
	from := p.next().pos
	p.expect("(")
	if name, ok := p.forInHead(); ok {
		x := p.expression()
		p.expect(")")
		return &ForIn{Var: name, X: x, Body: p.body(), Span: p.span(from)}
	}
	s := &For{}
	if !p.isOp(";") {
		s.Init = p.simpleStatement()
	}
	p.expect(";")
	if !p.isOp(";") {
		s.Cond = p.expression()
	}
	p.expect(";")
	for !p.isOp(")") {
		s.Post = append(s.Post, p.expression())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	s.Body = p.body()
	s.Span = p.span(from)
	return s
}

func (p *parser) simpleStatement() Stmt {
	if p.tok().kind == tokIdent {
		if s := p.declaration(nil); s != nil {
			return s
		}
	}
	from := p.tok().pos
	return &ExprStmt{X: p.expression(), Span: p.span(from)}
}

// forInHead reads "x in" or "def x in" or "Type x :" if that follows.
func (p *parser) forInHead() (string, bool) {
	mark := p.i
	p.skipType()
	if p.tok().kind == tokIdent && (p.at(1).op(":") || (p.at(1).kind == tokIdent && p.at(1).text == "in")) {
		name := p.next().text
		p.next()
		return name, true
	}
	p.i = mark
	if p.tok().kind == tokIdent && (p.at(1).op(":") || (p.at(1).kind == tokIdent && p.at(1).text == "in")) {
		name := p.next().text
		p.next()
		return name, true
	}
	return "", false
}

func (p *parser) switchStatement() Stmt {
	from := p.next().pos
	s := &Switch{X: p.condition()}
	p.skipNewlines()
	p.expect("{")
	for {
		p.skipSeparators()
		switch {
		case p.accept("}"):
			s.Span = p.span(from)
			return s
		case p.isWord("case"):
			p.next()
			c := Case{X: p.expression()}
			p.expect(":")
			c.Body = p.caseBody()
			s.Cases = append(s.Cases, c)
		case p.isWord("default"):
			p.next()
			p.expect(":")
			s.Cases = append(s.Cases, Case{Body: p.caseBody()})
		default:
			p.unexpected()
		}
	}
}

func (p *parser) caseBody() []Stmt {
	var out []Stmt
	for {
		p.skipSeparators()
		if p.isOp("}") || p.isWord("case") || (p.isWord("default") && p.at(1).op(":")) {
			return out
		}
		if p.tok().kind == tokEOF {
			p.unexpected()
		}
		out = append(out, p.statement())
		if !p.atStatementEnd() && !endsInBlock(out[len(out)-1]) {
			p.unexpected()
		}
	}
}

func (p *parser) tryStatement() Stmt {
	from := p.next().pos
	p.skipNewlines()
	s := &Try{Body: p.block()}
	for {
		mark, prev := p.i, p.prev
		p.skipNewlines()
		switch {
		case p.isWord("catch"):
			p.next()
			s.Catches = append(s.Catches, p.catchClause())
			continue
		case p.isWord("finally"):
			p.next()
			p.skipNewlines()
			s.Finally = p.block()
		default:
			p.i, p.prev = mark, prev
		}
		break
	}
	if len(s.Catches) == 0 && s.Finally == nil {
		failAt(p.tok().pos, "expecting 'finally', found '%s'", p.tok().shown())
	}
	s.Span = p.span(from)
	return s
}

func (p *parser) catchClause() Catch {
	var c Catch
	p.expect("(")
	for {
		mark := p.i
		typ := p.skipType()
		if typ != "" && p.tok().kind == tokIdent {
			c.Types = append(c.Types, typ)
			break
		}
		if typ != "" && p.accept("|") {
			c.Types = append(c.Types, typ)
			continue
		}
		p.i = mark
		break
	}
	if p.tok().kind != tokIdent {
		p.unexpected()
	}
	c.Name = p.next().text
	p.expect(")")
	p.skipNewlines()
	c.Body = p.block()
	return c
}

func (p *parser) assertStatement() Stmt {
	from := p.next().pos
	s := &Assert{Cond: p.expression()}
	if start := from.Offset + len("assert"); start <= p.prev.Offset && p.prev.Offset <= len(p.src) {
		s.Text = strings.TrimSpace(p.src[start:p.prev.Offset])
	}
	if p.accept(":") || p.accept(",") {
		s.Message = p.expression()
	}
	s.Span = p.span(from)
	return s
}

func (p *parser) importStatement() Stmt {
	from := p.next().pos
	path := ""
	for !p.atStatementEnd() {
		t := p.next()
		if path != "" && t.kind == tokIdent && !p.prevIsDot() {
			path += " "
		}
		path += t.text
	}
	return &Import{Path: path, Span: p.span(from)}
}

func (p *parser) prevIsDot() bool { return p.i >= 2 && p.toks[p.i-2].op(".") }

// expressionStatement reads an expression, an assignment or a command like echo 'x'.
func (p *parser) expressionStatement() Stmt {
	from := p.tok().pos
	x := p.commandExpressionAt(true)
	return &ExprStmt{X: x, Span: p.span(from)}
}
