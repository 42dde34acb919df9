// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pos is a place in the source.
type Pos struct {
	// Offset counts bytes from 0; Line and Column count from 1, columns in characters.
	Offset, Line, Column int
}

type tokenKind int

const (
	tokEOF tokenKind = iota
	tokNewline
	tokIdent
	tokNumber
	tokString
	tokGString
	tokOp
)

// token is one lexical element. Newlines inside of parentheses and brackets are no tokens.
type token struct {
	kind tokenKind
	text string
	pos  Pos
	end  Pos
	// parts are of a tokGString.
	parts []stringPart
	// spaceBefore tells if blanks stand before it.
	spaceBefore bool
}

// stringPart is a piece of a GString: text, or the tokens of ${…} or $name.path.
type stringPart struct {
	text   string
	tokens []token
	isExpr bool
	pos    Pos
}

// operators are tried in order, so longer ones stand first.
var operators = []string{
	">>>=", "<<=", ">>=", ">>>", "**=", "==~", "<=>", "..<", "...", "===", "!==",
	"==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
	"=~", "?.", "?:", "?[", "*.", "*:", ".&", ".@", "..", "->", "<<", ">>", "**", "::",
	"{", "}", "(", ")", "[", "]", ",", ";", ":", "?", ".", "=", "<", ">", "+", "-", "*", "/", "%",
	"!", "~", "&", "|", "^", "@",
}

type lexer struct {
	src  string
	pos  Pos
	toks []token
	// nesting is the stack of open brackets; newlines count only if the innermost is '{'.
	nesting []byte
	depth   int
}

func (l *lexer) eof() bool { return l.pos.Offset >= len(l.src) }

func (l *lexer) rest() string { return l.src[l.pos.Offset:] }

func (l *lexer) peek(n int) byte {
	if i := l.pos.Offset + n; i < len(l.src) {
		return l.src[i]
	}
	return 0
}

// advance moves over n bytes, which end at a character border.
func (l *lexer) advance(n int) {
	end := l.pos.Offset + n
	for l.pos.Offset < end {
		c := l.src[l.pos.Offset]
		if c < utf8.RuneSelf {
			l.pos.Offset++
			if c == '\n' {
				l.pos.Line++
				l.pos.Column = 1
				continue
			}
			l.pos.Column++
			continue
		}
		_, size := utf8.DecodeRuneInString(l.rest())
		l.pos.Offset += size
		l.pos.Column++
	}
}

// lex splits the whole source.
func lex(src string) []token {
	l := &lexer{src: src, pos: Pos{Line: 1, Column: 1}}
	if strings.HasPrefix(src, "#!") {
		l.skipLine()
	}
	l.run(false)
	l.emit(token{kind: tokEOF, pos: l.pos, end: l.pos})
	return l.toks
}

func (l *lexer) emit(t token) { l.toks = append(l.toks, t) }

// run lexes to the end, or to the '}' that closes a ${ if inString is set.
func (l *lexer) run(inString bool) {
	base := len(l.nesting)
	for {
		space := l.skipBlank()
		if l.eof() {
			return
		}
		start := l.pos
		n := len(l.toks)
		c := l.peek(0)
		switch {
		case c == '\n':
			l.advance(1)
			l.newline(start)
		case inString && c == '}' && len(l.nesting) == base:
			return
		case c == '\'' || c == '"' || (c == '/' && l.slashyAllowed()):
			l.lexString(start)
		case c == '$' && l.peek(1) == '/' && !l.afterOperand():
			l.lexDollarSlashy(start)
		case c >= '0' && c <= '9':
			l.lexNumber(start)
		default:
			if r, _ := utf8.DecodeRuneInString(l.rest()); isIdentStart(r) {
				l.lexIdent(start)
			} else {
				l.lexOperator(start)
			}
		}
		if len(l.toks) > n {
			l.toks[n].spaceBefore = space
		}
	}
}

func (l *lexer) newline(start Pos) {
	if k := len(l.nesting); k > 0 && l.nesting[k-1] != '{' {
		return
	}
	if n := len(l.toks); n > 0 && l.toks[n-1].kind == tokNewline {
		return
	}
	l.emit(token{kind: tokNewline, text: "\n", pos: start, end: l.pos})
}

// skipBlank moves over blanks, comments and escaped line ends.
func (l *lexer) skipBlank() bool {
	start := l.pos.Offset
	for !l.eof() {
		switch c := l.peek(0); {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			l.advance(1)
		case c == '\\' && l.peek(1) == '\n':
			l.advance(2)
		case c == '\\' && l.peek(1) == '\r' && l.peek(2) == '\n':
			l.advance(3)
		case c == '/' && l.peek(1) == '/':
			l.skipLine()
		case c == '/' && l.peek(1) == '*':
			end := strings.Index(l.rest()[2:], "*/")
			if end < 0 {
				l.advance(len(l.rest()))
				failAt(l.pos, "expecting '*', found '<EOF>'")
			}
			l.advance(end + 4)
		case strings.HasPrefix(l.rest(), "\ufeff"):
			l.advance(len("\ufeff"))
		default:
			return l.pos.Offset > start
		}
	}
	return l.pos.Offset > start
}

func (l *lexer) skipLine() {
	if i := strings.IndexByte(l.rest(), '\n'); i >= 0 {
		l.advance(i)
		return
	}
	l.advance(len(l.rest()))
}

func isIdentStart(r rune) bool {
	return r == '_' || r == '$' || (unicode.IsLetter(r) && r != utf8.RuneError)
}

func isIdentPart(r rune) bool { return isIdentStart(r) || unicode.IsDigit(r) }

func identLen(s string, part func(rune) bool) int {
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !part(r) {
			break
		}
		n += size
	}
	return n
}

func (l *lexer) lexIdent(start Pos) {
	n := identLen(l.rest(), isIdentPart)
	text := l.rest()[:n]
	l.advance(n)
	l.emit(token{kind: tokIdent, text: text, pos: start, end: l.pos})
}

func (l *lexer) lexNumber(start Pos) {
	s := l.rest()
	n := 0
	digits := func(set string) {
		for n < len(s) && (strings.IndexByte(set, s[n]) >= 0 || s[n] == '_') {
			n++
		}
	}
	const dec = "0123456789"
	switch {
	case len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		n = 2
		digits(dec + "abcdefABCDEF")
	case len(s) > 2 && s[0] == '0' && (s[1] == 'b' || s[1] == 'B'):
		n = 2
		digits("01")
	default:
		digits(dec)
		if n+1 < len(s) && s[n] == '.' && s[n+1] >= '0' && s[n+1] <= '9' {
			n++
			digits(dec)
		}
		n = exponentEnd(s, n)
	}
	if n < len(s) && strings.IndexByte("lLgGiIdDfF", s[n]) >= 0 {
		n++
	}
	l.advance(n)
	if r, _ := utf8.DecodeRuneInString(l.rest()); !l.eof() && isIdentStart(r) {
		failAt(l.pos, "unexpected char: '%c'", r)
	}
	l.emit(token{kind: tokNumber, text: s[:n], pos: start, end: l.pos})
}

// exponentEnd returns where the exponent that may begin at s[n] ends.
func exponentEnd(s string, n int) int {
	if n >= len(s) || (s[n] != 'e' && s[n] != 'E') {
		return n
	}
	k := n + 1
	if k < len(s) && (s[k] == '+' || s[k] == '-') {
		k++
	}
	first := k
	for k < len(s) && s[k] >= '0' && s[k] <= '9' {
		k++
	}
	if k == first {
		return n
	}
	return k
}

func (l *lexer) lexOperator(start Pos) {
	s := l.rest()
	for _, op := range operators {
		if !strings.HasPrefix(s, op) {
			continue
		}
		switch op {
		case "?[":
			// "a ?[1]:[2]" is a conditional; Jenkins' Groovy has no safe index.
			op = "?"
		case "{", "(", "[":
			if len(l.nesting) >= maxDepth {
				failAt(start, "Nested deeper than %d levels", maxDepth)
			}
			l.nesting = append(l.nesting, op[0])
		case "}", ")", "]":
			l.closeBracket(op[0])
		}
		l.advance(len(op))
		l.emit(token{kind: tokOp, text: op, pos: start, end: l.pos})
		return
	}
	r, _ := utf8.DecodeRuneInString(s)
	failAt(start, "unexpected char: '%c'", r)
}

// closeBracket pops the innermost bracket if it fits; the parser reports one that does not.
func (l *lexer) closeBracket(c byte) {
	k := len(l.nesting)
	if k == 0 {
		return
	}
	open := map[byte]byte{'}': '{', ')': '(', ']': '['}[c]
	if l.nesting[k-1] == open {
		l.nesting = l.nesting[:k-1]
	}
}

// afterOperand tells if the last token ends an operand, so that '/' divides.
func (l *lexer) afterOperand() bool {
	if len(l.toks) == 0 {
		return false
	}
	t := l.toks[len(l.toks)-1]
	switch t.kind {
	case tokNumber, tokString, tokGString:
		return true
	case tokIdent:
		return !operandKeyword(t.text)
	case tokOp:
		return t.text == ")" || t.text == "]" || t.text == "}" || t.text == "++" || t.text == "--"
	}
	return false
}

// operandKeyword tells if an operand follows the word.
func operandKeyword(word string) bool {
	switch word {
	case "return", "in", "case", "throw", "assert", "instanceof", "as", "else", "do":
		return true
	}
	return false
}

// slashyAllowed tells if a '/' begins a slashy string. After a name that is followed by a blank and
// not by one more ("echo /x/"), it is the argument of a command.
func (l *lexer) slashyAllowed() bool {
	if !l.afterOperand() {
		return true
	}
	t := l.toks[len(l.toks)-1]
	if t.kind != tokIdent || t.end.Offset == l.pos.Offset {
		return false
	}
	next := l.peek(1)
	if next == ' ' || next == '=' || next == '\t' {
		return false
	}
	line, _, _ := strings.Cut(l.rest()[1:], "\n")
	return strings.Contains(line, "/")
}
