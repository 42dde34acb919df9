// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"errors"
	"strings"
)

// formatUnit is one level of indentation of a formatted Jenkinsfile.
const formatUnit = "    "

// maxFormatted bounds the result of Format in bytes: deep nesting makes every line longer.
const maxFormatted = 4 * MaxSize

// errFormat is returned instead of a result that would mean something else.
var errFormat = errors.New("the Jenkinsfile cannot be formatted without a change of its meaning")

// Format lays a Jenkinsfile out anew: four blanks of indentation, each directive and step of a
// Declarative Pipeline on a line of its own, an empty line between two stages and at most one elsewhere.
// Of Groovy code (in script, in expression, outside of the pipeline, and in a Scripted Pipeline) only the
// blanks at the beginning and the end of lines change. Comments stay, strings are not touched, and what
// the file means is the same. What has been formatted is not changed again.
//
// The source need not be a valid pipeline, but valid Groovy; else the error is an *ErrorList.
func Format(src string) (string, error) {
	script, err := ParseScript(src)
	if err != nil {
		return "", err
	}
	f := newFormatter(src, script)
	for i := range f.toks {
		f.token(i)
	}
	f.gap(len(f.toks))
	out := f.out.String()
	if f.tooLong() {
		return "", errors.New("the Jenkinsfile is nested too deep to be formatted")
	}
	if again, err := ParseScript(out); err != nil || shapeOf(again) != shapeOf(script) {
		return "", errFormat
	}
	return out, nil
}

// gapRule says what may become of the blanks, line ends and comments before a token.
type gapRule struct {
	// code: it is in Groovy code, where only the ends of lines change.
	code bool
	// breaks: a line has to end in it. blank: an empty line has to be in it.
	breaks, blank bool
	// joins: no line need end in it.
	joins bool
	// first and last: it is behind the brace that opens a block, or before the one that closes it.
	first, last bool
}

// formatter writes the tokens of a source with other blanks between them.
type formatter struct {
	src, newline string
	toks         []token
	layout
	// open are the brackets that the tokens so far have opened.
	open []bracket
	// indent is that of the line that is written, in levels.
	indent int
	out    strings.Builder
}

// bracket is one that is open, on a line with that indentation.
type bracket struct {
	text   string
	indent int
	// cases: it is the block of a switch.
	cases bool
}

func newFormatter(src string, script *Script) *formatter {
	f := &formatter{src: src, newline: "\n"}
	if strings.Contains(src, "\r\n") {
		f.newline = "\r\n"
	}
	for _, t := range lex(src) {
		if t.kind != tokNewline && t.kind != tokEOF {
			f.toks = append(f.toks, t)
		}
	}
	f.layout = layoutOf(f.toks, script)
	return f
}

func (f *formatter) tooLong() bool { return f.out.Len() > max(maxFormatted, 2*len(f.src)) }

// token writes a token and what stands before it.
func (f *formatter) token(i int) {
	if f.dropped[i] || f.tooLong() {
		return
	}
	f.gap(i)
	t := &f.toks[i]
	f.out.WriteString(f.src[t.pos.Offset:t.end.Offset])
	if t.kind != tokOp {
		return
	}
	switch t.text {
	case "{", "(", "[":
		f.open = append(f.open, bracket{t.text, f.indent, f.switches[t.pos.Offset]})
	case "}", ")", "]":
		if f.closes(t) {
			// What follows on this line belongs to the line on which the bracket was opened.
			f.indent = min(f.indent, f.open[len(f.open)-1].indent)
			f.open = f.open[:len(f.open)-1]
		}
	}
}

// closes tells if a token closes the innermost bracket.
func (f *formatter) closes(t *token) bool {
	return len(f.open) > 0 && t.op(map[string]string{"{": "}", "(": ")", "[": "]"}[f.open[len(f.open)-1].text])
}

// inner is the indentation of what stands in the innermost bracket.
func (f *formatter) inner() int {
	if len(f.open) == 0 {
		return 0
	}
	b := f.open[len(f.open)-1]
	if b.cases {
		return b.indent + 2
	}
	return b.indent + 1
}

// indentOf is the indentation of a line that begins with a token.
func (f *formatter) indentOf(i int) int {
	if i == len(f.toks) {
		return 0
	}
	t := &f.toks[i]
	inner := f.inner()
	switch {
	case t.kind == tokOp && f.closes(t):
		return f.open[len(f.open)-1].indent
	case f.isLabel(i) && len(f.open) > 0 && f.open[len(f.open)-1].cases:
		return inner - 1
	case f.starts[t.pos.Offset]:
		return inner + f.deeper[t.pos.Offset]
	case f.goesOn(i):
		return inner + 1
	}
	return inner
}

// isLabel tells if a token begins a case of a switch.
func (f *formatter) isLabel(i int) bool {
	t := &f.toks[i]
	return t.kind == tokIdent && (t.text == "case" || t.text == "default" && i+1 < len(f.toks) && f.toks[i+1].op(":"))
}

// goesOn tells if a line that begins with a token, but with no statement, goes on with the expression of
// the line before.
func (f *formatter) goesOn(i int) bool {
	t, prev := &f.toks[i], f.before(i)
	switch {
	case prev == nil, t.op("@"), f.inClass(t.pos.Offset):
		return false
	case t.kind == tokIdent && (t.text == "else" || t.text == "catch" || t.text == "finally" || t.text == "while"):
		return false
	case prev.op("{"), prev.op("("), prev.op("["), prev.op("->"), prev.op(";"):
		return false
	case prev.op(","):
		return len(f.open) == 0 || f.open[len(f.open)-1].text == "{"
	case t.kind == tokIdent && i+1 < len(f.toks) && f.toks[i+1].op(":") && prev.op("}"):
		return false // a label
	}
	return true
}

// before is the last token before another that is written.
func (f *formatter) before(i int) *token {
	for i--; i >= 0; i-- {
		if !f.dropped[i] {
			return &f.toks[i]
		}
	}
	return nil
}

// piece is a comment with the blanks before it, or the blanks at the end of a gap.
type piece struct {
	// lines are the line ends before it; blanks are the other blanks, as they are in the source.
	lines   int
	blanks  string
	comment string
}

// gap writes what stands before a token, or at the end.
func (f *formatter) gap(i int) {
	text, prev := f.gapText(i)
	rule := f.rules[i]
	pieces, ok := piecesOf(text)
	if !ok {
		f.out.WriteString(text) // the line goes on behind a backslash
		return
	}
	if prev == nil {
		pieces[0].lines, pieces[0].blanks = 0, ""
	}
	if i == len(f.toks) {
		f.atEnd(pieces)
		return
	}
	rule.apply(pieces)
	indent := f.indentOf(i)
	for k, p := range pieces {
		at := indent
		if p.comment != "" && f.toks[i].kind == tokOp && f.closes(&f.toks[i]) {
			at = f.inner()
		}
		f.blanks(p, at, rule.code)
		f.comment(p.comment, at)
		if k == len(pieces)-1 && (p.lines > 0 || prev == nil) {
			f.indent = indent
		}
	}
}

// gapText is what stands in the source before a token, without the separators that are dropped, and the
// token before that.
func (f *formatter) gapText(i int) (string, *token) {
	end := len(f.src)
	if i < len(f.toks) {
		end = f.toks[i].pos.Offset
	}
	var parts []string
	k := i - 1
	for ; k >= 0 && f.dropped[k]; k-- {
		parts = append(parts, f.src[f.toks[k].end.Offset:end])
		end = f.toks[k].pos.Offset
	}
	from := 0
	var prev *token
	if k >= 0 {
		prev = &f.toks[k]
		from = prev.end.Offset
	}
	text := f.src[from:end]
	for n := len(parts) - 1; n >= 0; n-- {
		text += parts[n]
	}
	return text, prev
}

// apply brings the line ends of a gap into order.
func (r gapRule) apply(pieces []piece) {
	last := &pieces[len(pieces)-1]
	if r.joins && len(pieces) == 1 {
		last.lines, last.blanks = 0, " "
		return
	}
	first := -1
	for i := range pieces {
		p := &pieces[i]
		if !r.code {
			p.lines = min(p.lines, 2)
		}
		if p.lines > 0 && first < 0 {
			first = i
		}
	}
	if r.breaks && first < 0 {
		first, last.lines = len(pieces)-1, 1
	}
	if first < 0 {
		return
	}
	if r.blank {
		pieces[first].lines = 2
	}
	if r.first {
		pieces[first].lines = 1
	}
	if r.last {
		last.lines = min(last.lines, 1)
	}
}

// atEnd writes the comments at the end of the file, which ends in one line end.
func (f *formatter) atEnd(pieces []piece) {
	for _, p := range pieces {
		if p.comment != "" {
			f.blanks(p, 0, f.rules[len(f.toks)].code)
			f.comment(p.comment, 0)
		}
	}
	if f.out.Len() > 0 {
		f.out.WriteString(f.newline)
	}
}

// blanks writes line ends and indentation, or the blanks within a line.
func (f *formatter) blanks(p piece, indent int, code bool) {
	switch {
	case p.lines > 0:
		f.out.WriteString(strings.Repeat(f.newline, p.lines) + strings.Repeat(formatUnit, indent))
	case code:
		f.out.WriteString(p.blanks)
	case p.blanks != "" || strings.HasPrefix(p.comment, "//") && f.out.Len() > 0:
		f.out.WriteString(" ")
	}
}

// comment writes a comment. Of one with a star at the beginning of its lines the stars are put below each
// other.
func (f *formatter) comment(text string, indent int) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i > 0 {
			f.out.WriteString(f.newline)
			if bare := strings.TrimLeft(line, " \t"); strings.HasPrefix(bare, "*") {
				line = strings.Repeat(formatUnit, indent) + " " + bare
			}
		}
		f.out.WriteString(strings.TrimRight(line, " \t\r"))
	}
}

// piecesOf splits what stands between two tokens. It fails for an escaped line end.
func piecesOf(text string) ([]piece, bool) {
	var out []piece
	p := piece{}
	for text != "" {
		switch {
		case strings.HasPrefix(text, "//") || len(out) == 0 && p == (piece{}) && strings.HasPrefix(text, "#!"):
			line, _, _ := strings.Cut(text, "\n")
			p.comment = line
		case strings.HasPrefix(text, "/*"):
			p.comment = text[:strings.Index(text[2:], "*/")+4]
		case text[0] == '\\':
			return nil, false
		case text[0] == '\n':
			p.lines++
			p.blanks = ""
			text = text[1:]
			continue
		default:
			switch {
			case text[0] != '\r':
				p.blanks += text[:1]
			case !strings.HasPrefix(text, "\r\n"):
				p.blanks += " "
			}
			text = text[1:]
			continue
		}
		out = append(out, p)
		text = text[len(p.comment):]
		p = piece{}
	}
	return append(out, p), true
}
