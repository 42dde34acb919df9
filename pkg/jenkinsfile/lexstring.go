// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// stringForm says how a kind of string literal is read.
type stringForm struct {
	delimiter    string
	multiline    bool
	interpolates bool
	// slashy strings know only the escape of their delimiter and \uXXXX.
	slashy bool
	// dollar is the escape character of dollar-slashy strings.
	dollar bool
}

func (l *lexer) lexString(start Pos) {
	s := l.rest()
	form := stringForm{delimiter: s[:1]}
	switch {
	case strings.HasPrefix(s, "'''"):
		form = stringForm{delimiter: "'''", multiline: true}
	case strings.HasPrefix(s, `"""`):
		form = stringForm{delimiter: `"""`, multiline: true, interpolates: true}
	case s[0] == '"':
		form.interpolates = true
	case s[0] == '/':
		form = stringForm{delimiter: "/", multiline: true, interpolates: true, slashy: true}
	}
	l.advance(len(form.delimiter))
	l.lexStringBody(start, form)
}

func (l *lexer) lexDollarSlashy(start Pos) {
	l.advance(2)
	l.lexStringBody(start, stringForm{delimiter: "/$", multiline: true, interpolates: true, slashy: true, dollar: true})
}

func (l *lexer) lexStringBody(start Pos, form stringForm) {
	var text strings.Builder
	var parts []stringPart
	partPos := l.pos
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, stringPart{text: text.String(), pos: partPos})
			text.Reset()
		}
	}
	for {
		if l.eof() {
			failAt(l.pos, "expecting '%s', found '<EOF>'", form.delimiter[:1])
		}
		if l.atDelimiter(form) {
			l.advance(len(form.delimiter))
			break
		}
		c := l.peek(0)
		switch {
		case c == '\n' && !form.multiline:
			failAt(l.pos, "expecting '%s', found '\\n'", form.delimiter)
		case c == '\\' && (!form.dollar || l.peek(1) == 'u'):
			l.lexEscape(&text, form)
		case c == '$' && form.dollar && (l.peek(1) == '$' || l.peek(1) == '/'):
			text.WriteByte(l.peek(1))
			l.advance(2)
		case c == '$' && form.interpolates && l.interpolationFollows(form):
			flush()
			parts = append(parts, l.lexInterpolation())
			partPos = l.pos
		default:
			_, size := utf8.DecodeRuneInString(l.rest())
			// Groovy reads CRLF as one line end.
			if c != '\r' || l.peek(1) != '\n' {
				text.WriteString(l.rest()[:size])
			}
			l.advance(size)
		}
	}
	t := token{kind: tokString, text: text.String(), pos: start, end: l.pos}
	if len(parts) > 0 {
		flush()
		t = token{kind: tokGString, parts: parts, pos: start, end: l.pos}
	}
	l.emit(t)
}

// atDelimiter tells if the string ends here. Of more than three quotes the last three end it.
func (l *lexer) atDelimiter(form stringForm) bool {
	s := l.rest()
	if !strings.HasPrefix(s, form.delimiter) {
		return false
	}
	d := form.delimiter
	return len(d) != 3 || len(s) == 3 || s[3] != d[0]
}

func (l *lexer) interpolationFollows(form stringForm) bool {
	if l.peek(1) == '{' {
		return true
	}
	r, _ := utf8.DecodeRuneInString(l.rest()[1:])
	if r != '$' && isIdentStart(r) && l.pos.Offset+1 < len(l.src) {
		return true
	}
	if !form.slashy {
		failAt(Pos{l.pos.Offset + 1, l.pos.Line, l.pos.Column + 1},
			"illegal string body character after dollar sign;\n   solution: either escape a literal dollar sign \"\\$5\" or bracket the value expression \"${5}\"")
	}
	return false
}

// lexInterpolation reads ${…} or $name.path.
func (l *lexer) lexInterpolation() stringPart {
	start := l.pos
	l.advance(1)
	outer := l.toks
	l.toks = nil
	if l.peek(0) == '{' {
		l.depth++
		if l.depth > maxDepth/4 {
			failAt(start, "Nested deeper than %d levels", maxDepth/4)
		}
		l.advance(1)
		l.nesting = append(l.nesting, '{')
		l.run(true)
		l.nesting = l.nesting[:len(l.nesting)-1]
		l.depth--
		if l.eof() {
			failAt(l.pos, "expecting '}', found ''")
		}
		end := l.pos
		l.advance(1)
		l.emit(token{kind: tokEOF, text: "}", pos: end, end: l.pos})
	} else {
		l.lexDollarPath()
	}
	part := stringPart{tokens: l.toks, isExpr: true, pos: start}
	l.toks = outer
	return part
}

// lexDollarPath reads name.path; a dot belongs to it only if a name follows. A '$' is no part.
func (l *lexer) lexDollarPath() {
	part := func(r rune) bool { return r != '$' && isIdentPart(r) }
	for {
		start := l.pos
		n := identLen(l.rest(), part)
		text := l.rest()[:n]
		l.advance(n)
		l.emit(token{kind: tokIdent, text: text, pos: start, end: l.pos})
		if l.peek(0) != '.' {
			break
		}
		r, _ := utf8.DecodeRuneInString(l.rest()[1:])
		if r == '$' || !isIdentStart(r) || l.pos.Offset+1 >= len(l.src) {
			break
		}
		dot := l.pos
		l.advance(1)
		l.emit(token{kind: tokOp, text: ".", pos: dot, end: l.pos})
	}
	l.emit(token{kind: tokEOF, pos: l.pos, end: l.pos})
}

// simpleEscapes are the one-letter escapes of quoted strings.
var simpleEscapes = map[byte]byte{
	'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '\\': '\\', '\'': '\'', '"': '"', '$': '$',
}

func (l *lexer) lexEscape(text *strings.Builder, form stringForm) {
	next := l.peek(1)
	switch {
	case next == 'u':
		l.lexUnicodeEscape(text)
	case form.slashy:
		if next == '/' {
			l.advance(1)
		} else {
			text.WriteByte('\\')
			l.advance(1)
			return
		}
		text.WriteByte('/')
		l.advance(1)
	case next == '\n':
		l.advance(2)
	case next == '\r' && l.peek(2) == '\n':
		l.advance(3)
	case next >= '0' && next <= '7':
		n := 2
		for n < 4 && l.peek(n) >= '0' && l.peek(n) <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(l.rest()[1:n], 8, 16)
		text.WriteRune(rune(v))
		l.advance(n)
	default:
		c, ok := simpleEscapes[next]
		if !ok {
			failAt(l.pos, "unexpected char: '\\'")
		}
		text.WriteByte(c)
		l.advance(2)
	}
}

func (l *lexer) lexUnicodeEscape(text *strings.Builder) {
	s := l.rest()[2:]
	if len(s) < 4 {
		failAt(l.pos, "unexpected char: '\\'")
	}
	v, err := strconv.ParseUint(s[:4], 16, 32)
	if err != nil {
		failAt(l.pos, "unexpected char: '\\'")
	}
	l.advance(6)
	// A character beyond 16 bits is written as two escapes.
	if v >= 0xD800 && v < 0xDC00 && strings.HasPrefix(l.rest(), `\u`) && len(l.rest()) >= 6 {
		if low, err := strconv.ParseUint(l.rest()[2:6], 16, 32); err == nil && low >= 0xDC00 && low < 0xE000 {
			l.advance(6)
			v = 0x10000 + (v-0xD800)<<10 + (low - 0xDC00)
		}
	}
	text.WriteRune(rune(v))
}
