// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strings"
	"unicode/utf8"
)

// printer writes elements with Jenkins' indentation and empty lines.
type printer struct {
	out strings.Builder
	// unit is one level of indentation.
	unit string
	// compact: no empty line before the end of a block.
	compact bool
	// reuse gives the text of an element that is in the source already.
	reuse func(e *element, indent string) (string, bool)

	marks []mark
}

// mark tells which element of the document begins at a place of the output.
type mark struct {
	offset int
	path   []string
}

func newPrinter(unit string) *printer { return &printer{unit: unit} }

// element prints an element and the line end behind it.
func (p *printer) element(e *element, indent string) {
	if e.ghost {
		return
	}
	p.out.WriteString(indent)
	p.marks = append(p.marks, mark{p.out.Len(), e.path})
	if p.reuse != nil {
		if text, ok := p.reuse(e, indent); ok {
			p.out.WriteString(text + "\n")
			return
		}
	}
	p.out.WriteString(e.head)
	if e.block {
		p.out.WriteString(" {\n")
		for i, item := range e.items {
			p.element(item, indent+p.unit)
			if item.blank && !item.ghost && (!p.compact || i < len(e.items)-1) {
				p.out.WriteString("\n")
			}
		}
		if e.isCode {
			p.code(e.code, indent+p.unit)
		}
		p.out.WriteString(indent + "}")
	}
	p.out.WriteString("\n")
}

// code prints the lines of a script, indented by the brackets at their ends as Jenkins does it. It
// leaves the inside of strings alone, which Jenkins does not.
func (p *printer) code(text, indent string) {
	depth := 0
	for _, l := range codeLines(text) {
		if !l.raw {
			if strings.HasPrefix(l.text, "}") || strings.HasPrefix(l.text, ")") || strings.HasPrefix(l.text, "]") {
				depth--
			}
			if l.text != "" {
				p.out.WriteString(indent + strings.Repeat(p.unit, max(depth, 0)))
			}
		}
		p.out.WriteString(l.text + "\n")
		if l.open {
			continue
		}
		if strings.HasSuffix(l.text, "{") || strings.HasSuffix(l.text, "(") || strings.HasSuffix(l.text, "[") {
			depth++
		}
	}
}

// codeLine is one line of code, without the blanks around it.
type codeLine struct {
	text string
	// raw: the line begins inside of a string, and has the blanks at its beginning; open: it ends
	// inside of one, and has those at its end.
	raw, open bool
}

func codeLines(text string) []codeLine {
	lines := strings.Split(text, "\n")
	begins, ends := stringLines(text)
	out := make([]codeLine, len(lines))
	for i, l := range lines {
		l = strings.TrimSuffix(l, "\r")
		out[i] = codeLine{raw: begins[i+1], open: ends[i+1]}
		if !out[i].raw {
			l = strings.TrimLeft(l, " \t\f")
		}
		if !out[i].open {
			l = strings.TrimRight(l, " \t\f")
		}
		out[i].text = l
	}
	return out
}

// stringLines tells of each line, counted from 1, if it begins, and if it ends, inside of a string.
func stringLines(text string) (begins, ends map[int]bool) {
	begins, ends = map[int]bool{}, map[int]bool{}
	tokens, _ := tryLex(text)
	for _, t := range tokens {
		if t.kind != tokString && t.kind != tokGString {
			continue
		}
		for line := t.pos.Line; line < t.end.Line; line++ {
			ends[line], begins[line+1] = true, true
		}
	}
	return begins, ends
}

// tryLex splits a source that may have errors.
func tryLex(src string) (tokens []token, ok bool) {
	var err *Error
	func() {
		defer catchSyntax(&err)
		tokens = lex(src)
	}()
	return tokens, err == nil
}

// locate finds the element of the document that was printed where an error is.
func (p *printer) locate(e *Error) []string {
	source := p.out.String()
	offset := 0
	for line := 1; line < e.Line; line++ {
		next := strings.IndexByte(source[offset:], '\n')
		if next < 0 {
			break
		}
		offset += next + 1
	}
	for column := 1; column < e.Column && offset < len(source); column++ {
		_, size := utf8.DecodeRuneInString(source[offset:])
		offset += size
	}
	path := []string{}
	for _, m := range p.marks {
		if m.offset > offset {
			break
		}
		path = m.path
	}
	if path == nil {
		return []string{}
	}
	return path
}
