// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"errors"
	"sort"
	"strconv"
	"strings"
)

// MergeJSON brings a document into a Jenkinsfile. Jenkins' own way is to write the whole file anew,
// without comments and without what stands outside of the pipeline block. Here only what differs is
// written: sections, stages and steps that mean the same as before keep their text byte for byte,
// with the comments before and behind them; so do those that were moved. If the document is what
// ToJSON gives for the stored source, the source is returned as it is.
//
// A stored source that is empty, scripted or wrong is replaced. The error is a *ConvertError; the
// result is always a Declarative Pipeline that means what the document says.
func MergeJSON(stored string, doc []byte) (string, error) {
	d, err := parseDoc(doc, storedSchema)
	if err != nil {
		return "", err
	}
	b := elementBuilder{}
	fresh := b.pipeline(d.Pipeline)
	old, err := readDoc(stored)
	if err != nil {
		if problems := d.check(true); len(problems) > 0 {
			return "", &ConvertError{Problems: problems}
		}
		return replace("", fresh, Span{})
	}
	root := b.pipeline(old.Pipeline)
	if root.signature() == fresh.signature() {
		return stored, nil
	}
	if problems := d.check(true); len(problems) > 0 {
		return "", &ConvertError{Problems: problems}
	}
	m := newMerger(stored, root, fresh)
	text := m.pipeline(root, fresh)
	if means(text, fresh) == nil {
		return text, nil
	}
	return replace(stored, fresh, root.at.stmt)
}

// pipeline gives the whole source with another pipeline block.
func (m *merger) pipeline(root, fresh *element) string {
	at := root.at.stmt
	return m.src[:at.From.Offset] + m.element(root, fresh) + m.src[at.To.Offset:]
}

var errOtherMeaning = errors.New("the document has something that cannot be written as a Jenkinsfile")

// replace writes the pipeline block anew.
func replace(stored string, fresh *element, at Span) (string, error) {
	p := newPrinter("  ")
	p.element(fresh, "")
	block := strings.TrimSuffix(p.out.String(), "\n")
	if _, err := Parse(block); err != nil {
		return "", printedError(err, p)
	}
	text := stored[:at.From.Offset] + block + stored[at.To.Offset:]
	err := means(text, fresh)
	var failure *ConvertError
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, &failure):
		return "", failure
	}
	return "", convertError(err.Error(), []string{"pipeline"})
}

// means tells if a source is a pipeline that is equal to an element.
func means(source string, want *element) error {
	d, err := readDoc(source)
	if err != nil {
		return err
	}
	if (elementBuilder{}).pipeline(d.Pipeline).meaning() != want.meaning() {
		return errOtherMeaning
	}
	return nil
}

// signature is equal for two elements that mean the same, but for comments in code.
func (e *element) signature() string {
	if e.signed == "" {
		e.signed = e.sign(func(code string) string { return code })
	}
	return e.signed
}

// meaning is the signature without comments around code, which ToJSON does not give.
func (e *element) meaning() string { return e.sign(withoutComments) }

func (e *element) sign(clean func(string) string) string {
	if e.ghost {
		return ""
	}
	var b strings.Builder
	e.writeSignature(&b, clean)
	return b.String()
}

func (e *element) writeSignature(b *strings.Builder, clean func(string) string) {
	if e.ghost {
		return
	}
	b.WriteString(normalize(e.head))
	if !e.block {
		b.WriteString("\n")
		return
	}
	b.WriteString("{\n")
	for _, item := range e.items {
		item.writeSignature(b, clean)
	}
	if e.isCode {
		for _, l := range codeLines(clean(e.code)) {
			b.WriteString(l.text + "\n")
		}
	}
	b.WriteString("}\n")
}

// withoutComments cuts off what stands before the first and behind the last token.
func withoutComments(code string) string {
	tokens, ok := tryLex(code)
	first, last := -1, -1
	for i, t := range tokens {
		if t.kind != tokNewline && t.kind != tokEOF && !t.op(";") {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if !ok || first < 0 {
		return ""
	}
	return code[tokens[first].pos.Offset:tokens[last].end.Offset]
}

// normalize gives a statement without a block in a form that does not depend on blanks, on the kind of
// quotes of a plain string and on how a number is written.
func normalize(head string) string {
	tokens, ok := tryLex(head)
	if !ok {
		return head
	}
	var b strings.Builder
	for i := range tokens {
		t := &tokens[i]
		switch t.kind {
		case tokNewline, tokEOF:
			continue
		case tokString:
			b.WriteString(strconv.Quote(t.text))
		case tokGString:
			b.WriteString(head[t.pos.Offset:t.end.Offset])
		case tokNumber:
			b.WriteString(normalizeNumber(t.text))
		default:
			b.WriteString(t.text)
		}
		b.WriteByte(' ')
	}
	return b.String()
}

func normalizeNumber(text string) string {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// merger writes changes into a source.
type merger struct {
	src string
	// newline ends the lines of the source and unit is one level of its indentation.
	newline, unit string
	// slots are where the elements stand with their comments.
	slots map[*element]slot
	// stages are those of the source, by key: one that is new at its place may come from another.
	stages map[string][]*element
	// kept are the keys of the stages of the document.
	kept map[string]bool
}

// slot is the part of a block that belongs to one element: from the end of the slot before it to the
// end of its line, or to the separator. Comments above an element belong to it.
type slot struct{ lead, from, to, end int }

func newMerger(src string, root, fresh *element) *merger {
	m := &merger{
		src: src, newline: "\n", unit: "  ",
		slots: map[*element]slot{}, stages: map[string][]*element{}, kept: map[string]bool{},
	}
	fresh.walk(func(e *element) {
		if e.stage {
			m.kept[e.key] = true
		}
	})
	if strings.Contains(src, "\r\n") {
		m.newline = "\r\n"
	}
	m.survey(root)
	for _, e := range root.items {
		s, ok := m.slots[e]
		outer := m.lineIndent(root.at.stmt.From.Offset)
		if inner := m.ownIndent(s.from); ok && strings.HasPrefix(inner, outer) && len(inner) > len(outer) {
			m.unit = inner[len(outer):]
			break
		}
	}
	return m
}

// walk calls f for an element and all elements in it.
func (e *element) walk(f func(*element)) {
	f(e)
	for _, item := range e.items {
		item.walk(f)
	}
}

// survey finds the slots of all elements.
func (m *merger) survey(e *element) {
	if e.at.block.To.Offset == 0 {
		return
	}
	end := m.opened(e.at.block)
	for _, item := range m.inSource(e) {
		s := slot{lead: end, from: item.at.stmt.From.Offset, to: item.at.stmt.To.Offset}
		s.end = m.trailEnd(s.to, e.at.block.To.Offset-1)
		end = s.end
		m.slots[item] = s
		if item.stage {
			m.stages[item.key] = append(m.stages[item.key], item)
		}
		m.survey(item)
	}
}

// opened is where a block begins behind its brace and a comment on the same line.
func (m *merger) opened(block Span) int {
	from, limit := block.From.Offset+1, block.To.Offset-1
	if end := m.trailEnd(from, limit); end > from && !strings.Contains(m.src[from:end], ";") {
		return end
	}
	return from
}

// inSource gives the items of an element in the order of the source.
func (m *merger) inSource(e *element) []*element {
	out := make([]*element, 0, len(e.items))
	for _, item := range e.items {
		if item.at.known() {
			out = append(out, item)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].at.stmt.From.Offset < out[j].at.stmt.From.Offset })
	return out
}

// trailEnd is where the separator and the comment behind a statement end, on the same line.
func (m *merger) trailEnd(from, limit int) int {
	rest := m.src[from:limit]
	n := len(rest) - len(strings.TrimLeft(rest, " \t;"))
	after := rest[n:]
	switch {
	case strings.HasPrefix(after, "//"):
		line, _, _ := strings.Cut(after, "\n")
		return from + n + len(strings.TrimSuffix(line, "\r"))
	case strings.HasPrefix(after, "/*"):
		size := strings.Index(after, "*/") + 2
		line, _, more := strings.Cut(after, "\n")
		if size >= 2 && size <= len(line) && (strings.TrimSpace(line[size:]) == "" && more) {
			return from + n + size
		}
	}
	return from + strings.LastIndexByte(rest[:n], ';') + 1
}

func (m *merger) text(s Span) string { return m.src[s.From.Offset:s.To.Offset] }

// lineIndent is the blanks at the beginning of the line of an offset.
func (m *merger) lineIndent(offset int) string {
	line := m.src[strings.LastIndexByte(m.src[:offset], '\n')+1 : offset]
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

// ownIndent is the indentation of what stands first on its line, and empty for the rest.
func (m *merger) ownIndent(offset int) string {
	line := m.src[strings.LastIndexByte(m.src[:offset], '\n')+1 : offset]
	if strings.TrimLeft(line, " \t") != "" {
		return ""
	}
	return line
}

// element gives the text of an element of the source that is to be another one.
func (m *merger) element(old, fresh *element) string {
	if old.signature() == fresh.signature() && !old.ghost {
		return m.text(old.at.stmt)
	}
	block := old.at.block
	if !old.block || !fresh.block || block.To.Offset == 0 || old.isCode != fresh.isCode || old.isCode && old.codeAt.To.Offset == 0 {
		return m.printed(fresh, m.lineIndent(old.at.stmt.From.Offset))
	}
	head := m.src[old.at.stmt.From.Offset:block.From.Offset]
	tail := m.src[block.To.Offset:old.at.stmt.To.Offset]
	if normalize(old.head) != normalize(fresh.head) {
		gap := head[len(strings.TrimRight(head, " \t\r\n")):]
		if gap == "" {
			gap = " "
		}
		head, tail = m.newlines(fresh.head)+gap, ""
	}
	if old.isCode {
		return head + m.code(old, fresh) + tail
	}
	return head + m.block(old, fresh) + tail
}

// code replaces the code of a block. Its lines come from the source with their indentation, and what
// stands before the first and behind the last statement stays.
func (m *merger) code(old, fresh *element) string {
	before := m.src[old.at.block.From.Offset:old.codeAt.From.Offset]
	behind := m.src[old.codeAt.To.Offset:old.at.block.To.Offset]
	core := withoutComments(fresh.code)
	lead, trail, _ := strings.Cut(fresh.code, core)
	if core == "" {
		lead, trail = fresh.code, ""
	}
	// Comments around the code come from who wrote them into the document; a second time they are
	// there already.
	if has(before, lead) {
		lead = ""
	}
	if has(behind, trail) {
		trail = ""
	}
	code := m.newlines(lead + core + trail)
	if trail != "" && !startsLine(behind) && !strings.HasPrefix(strings.TrimLeft(behind, " \t"), "//") {
		// A comment at the end must not swallow the brace.
		behind = m.newline + m.lineIndent(old.at.stmt.From.Offset) + behind
	}
	return before + code + behind
}

// has tells if a comment stands in a text.
func has(text, comment string) bool {
	return strings.Contains(strings.ReplaceAll(text, "\r\n", "\n"), strings.TrimSpace(comment))
}

// startsLine tells if nothing but blanks stands before the first line end.
func startsLine(s string) bool {
	s = strings.TrimLeft(s, " \t")
	return strings.HasPrefix(s, "\n") || strings.HasPrefix(s, "\r\n")
}

func (m *merger) newlines(s string) string {
	if m.newline == "\n" {
		return s
	}
	return strings.ReplaceAll(s, "\n", m.newline)
}

// printed gives the text of a new element whose first line is indented already.
func (m *merger) printed(e *element, indent string) string {
	p := newPrinter(m.unit)
	p.reuse, p.compact = m.reuse, true
	p.element(e, indent)
	return m.newlines(strings.TrimRight(strings.TrimPrefix(p.out.String(), indent), "\n"))
}

// reuse gives the text of a stage that stood at another place, with its comments.
func (m *merger) reuse(e *element, indent string) (string, bool) {
	if !e.stage || len(m.stages[e.key]) == 0 {
		return "", false
	}
	old := m.stages[e.key][0]
	for _, candidate := range m.stages[e.key] {
		if candidate.signature() == e.signature() {
			old = candidate
			break
		}
	}
	s := m.slots[old]
	text := m.element(old, e) + m.src[s.to:s.end]
	if comments := strings.TrimSpace(m.src[s.lead:s.from]); comments != "" {
		text = comments + m.newline + m.lineIndent(s.from) + text
	}
	return reindent(strings.ReplaceAll(text, "\r\n", "\n"), m.lineIndent(s.from), indent), true
}

// reindent moves the lines behind the first one, but for those that begin inside of a string.
func reindent(text, from, to string) string {
	begins, _ := stringLines(text)
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		if rest, ok := strings.CutPrefix(lines[i], from); ok && !begins[i+1] {
			lines[i] = to + rest
		}
	}
	return strings.Join(lines, "\n")
}
