// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is a kind of token. The numbers are the order in which messages list them.
type kind int

const (
	number kind = iota
	blank
	minus
	star
	slash
	comma
	atSign
	hashSign
	open
	closing
	alias
	end
)

// shown are the kinds as messages name them.
var shown = [...]string{"TOKEN", "WS", "'-'", "'*'", "'/'", "','", "'@'", "'H'", "'('", "')'", "", "<EOF>"}

// token is one element of a line; column counts characters from 0.
type token struct {
	kind   kind
	text   string
	column int
}

// schedules are what the names after @ stand for, in the order in which messages list them.
var schedules = []struct{ name, spec string }{
	{"yearly", "H H H H *"}, {"annually", "H H H H *"}, {"monthly", "H H H * *"}, {"weekly", "H H * * H"},
	{"daily", "H H * * *"}, {"midnight", "H H(0-2) * * *"}, {"hourly", "H * * * *"},
}

// Bounds of the fields. Jenkins hashes the day of month to 28 at most and the day of week to 6.
var (
	lower     = [5]int{0, 0, 1, 1, 0}
	upper     = [5]int{59, 23, 31, 12, 7}
	hashUpper = [5]int{59, 23, 28, 12, 6}
)

// parser reads a line as the parser of Jenkins does, whose messages tell which token it looked at. It
// looks one token ahead, so what cannot be a token is found only there. It stops at the first error.
type parser struct {
	spec string
	line int
	toks []token
	// bad is what cannot be a token, behind the last of toks.
	bad error
	i   int
	h   *hash
	// options are what could stand at this place besides what must.
	options []kind
	bits    [5]uint64
}

// stop carries an error out of the parser.
type stop struct{ err error }

// parseLine reads a line. An alias gives another line.
func parseLine(spec string, line int, h *hash) (t Tab, err error) {
	p := &parser{spec: spec, line: line, h: h}
	p.lex()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			err = r.err
		default:
			panic(r)
		}
	}()
	if p.la(0).kind == atSign {
		p.next()
		return parseLine(p.alias(), 1, h)
	}
	if first := p.la(0); first.kind != number && first.kind != star && first.kind != hashSign {
		p.unexpected(first, number, star, atSign, hashSign)
	}
	for field := range p.bits {
		if field > 0 {
			p.expect(blank)
		}
		p.bits[field] = p.list(field)
	}
	p.expect(end)
	// Both 0 and 7 are Sunday.
	if p.bits[4]&(1<<7) != 0 {
		p.bits[4] = p.bits[4]&^(1<<7) | 1
	}
	return Tab{spec: spec, bits: p.bits}, nil
}

func (p *parser) lex() {
	text := []rune(p.spec)
	for i := 0; i < len(text); {
		n, k := tokenAt(text[i:])
		if k < 0 {
			p.bad = p.errorAt(i, "token recognition error at: '%s'", string(text[i:i+n]))
			return
		}
		p.toks = append(p.toks, token{k, string(text[i : i+n]), i})
		i += n
	}
	p.toks = append(p.toks, token{end, "<EOF>", len(text)})
}

// tokenAt gives the length and the kind of the token at the beginning of a text; -1 with the length
// of what could have become one, and the character behind that.
func tokenAt(text []rune) (int, kind) {
	run := func(set string) int {
		n := 0
		for n < len(text) && strings.ContainsRune(set, text[n]) {
			n++
		}
		return n
	}
	if n := run("0123456789"); n > 0 {
		return n, number
	}
	if n := run(" \t"); n > 0 {
		return n, blank
	}
	if i := strings.IndexRune("-*/,@H()", text[0]); i >= 0 {
		return 1, []kind{minus, star, slash, comma, atSign, hashSign, open, closing}[i]
	}
	longest := 0
	for _, s := range schedules {
		n := 0
		for n < len(s.name) && n < len(text) && text[n] == rune(s.name[n]) {
			n++
		}
		if n == len(s.name) {
			return n, alias
		}
		longest = max(longest, n)
	}
	return min(longest+1, len(text)), -1
}

// la is the token n places ahead.
func (p *parser) la(n int) token {
	if p.i+n < len(p.toks) {
		return p.toks[p.i+n]
	}
	if p.bad != nil {
		panic(stop{p.bad})
	}
	return p.toks[len(p.toks)-1]
}

// next takes a token and looks at the one behind it.
func (p *parser) next() token {
	t := p.la(0)
	p.i++
	p.options = nil
	p.la(0)
	return t
}

func (p *parser) errorAt(column int, format string, args ...any) error {
	return &SyntaxError{Spec: p.spec, Line: p.line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// fail tells what is wrong with the values that were read; Jenkins points to the token behind them.
func (p *parser) fail(format string, args ...any) {
	panic(stop{p.errorAt(p.la(0).column, format, args...)})
}

// listed names kinds of tokens as messages list them.
func listed(kinds []kind) string {
	slices.Sort(kinds)
	if slices.Contains(kinds, end) { // it has the least number there
		kinds = append([]kind{end}, kinds[:len(kinds)-1]...)
	}
	if len(kinds) == 1 {
		return shown[kinds[0]]
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = shown[k]
	}
	return "{" + strings.Join(names, ", ") + "}"
}

func (t token) shown() string { return strings.ReplaceAll(t.text, "\t", `\t`) }

func (p *parser) mismatch(t token, want []kind) {
	panic(stop{p.errorAt(t.column, "mismatched input '%s' expecting %s", t.shown(), listed(want))})
}

// unexpected tells that a token is none of those that can stand there. It is too much if the next one
// can.
func (p *parser) unexpected(t token, want ...kind) {
	if t.kind != end && slices.Contains(want, p.la(1).kind) {
		panic(stop{p.errorAt(t.column, "extraneous input '%s' expecting %s", t.shown(), listed(want))})
	}
	p.mismatch(t, want)
}

// option takes a token if it is there, and remembers that it could have been.
func (p *parser) option(k kind) bool {
	if p.la(0).kind == k {
		p.next()
		return true
	}
	p.options = append(p.options, k)
	return false
}

func (p *parser) expect(k kind) token {
	t := p.la(0)
	if t.kind == k {
		return p.next()
	}
	follows := map[kind][]kind{
		blank: {number, star, hashSign}, minus: {number}, closing: {slash, comma, blank, end}, number: {blank, comma, minus, slash, closing, end},
	}
	switch {
	case t.kind != end && p.la(1).kind == k:
		panic(stop{p.errorAt(t.column, "extraneous input '%s' expecting %s", t.shown(), shown[k])})
	case slices.Contains(follows[k], t.kind):
		panic(stop{p.errorAt(t.column, "missing %s at '%s'", shown[k], t.shown())})
	}
	p.mismatch(t, append(p.options, k))
	return t
}

// alias reads the name behind @ and gives its schedule. What stands behind it is not looked at.
func (p *parser) alias() string {
	t := p.la(0)
	for _, s := range schedules {
		if t.kind == alias && t.text == s.name {
			p.next()
			return s.spec
		}
	}
	names := make([]string, len(schedules))
	for i, s := range schedules {
		names[i] = "'" + s.name + "'"
	}
	panic(stop{p.errorAt(t.column, "mismatched input '%s' expecting {%s}", t.shown(), strings.Join(names, ", "))})
}

// list reads the terms of a field.
func (p *parser) list(field int) uint64 {
	bits := p.term(field)
	for p.option(comma) {
		bits |= p.term(field)
	}
	return bits
}

func (p *parser) term(field int) uint64 {
	switch t := p.la(0); t.kind {
	case star:
		p.next()
		return p.span(lower[field], upper[field], p.step(), field)
	case hashSign:
		p.next()
		from, to := lower[field], hashUpper[field]
		if p.la(0).kind == open {
			p.next()
			from = p.number()
			p.expect(minus)
			to = p.number()
			p.expect(closing)
		}
		return p.hashed(from, to, p.step(), field)
	case number:
		from := p.number()
		if p.la(0).kind == minus {
			p.next()
			to := p.number()
			return p.span(from, to, p.step(), field)
		}
		p.check(from, field)
		return 1 << from
	default:
		p.unexpected(t, number, star, hashSign)
		return 0
	}
}

// number reads a number that Java's int holds.
func (p *parser) number() int {
	t := p.expect(number)
	n, err := strconv.ParseInt(t.text, 10, 32)
	if err != nil {
		panic(stop{&SyntaxError{Message: fmt.Sprintf("Invalid input: %q: For input string: %q", p.spec, t.text)}})
	}
	return int(n)
}

// step reads an optional step; without one it is 1.
func (p *parser) step() int {
	if p.option(slash) {
		return p.number()
	}
	return 1
}

func (p *parser) check(value, field int) {
	if value < lower[field] || value > upper[field] {
		p.fail("%d is an invalid value. Must be within %d and %d", value, lower[field], upper[field])
	}
}

// span gives the values from one to another.
func (p *parser) span(from, to, step, field int) uint64 {
	p.check(from, field)
	p.check(to, field)
	if step <= 0 {
		p.fail("step must be positive, but found %d", step)
	}
	if from > to {
		p.fail("You mean %d-%d?", to, from)
	}
	var bits uint64
	for i := from; i <= to; i += step {
		bits |= 1 << i
	}
	return bits
}

// hashed gives values that the hash chooses: one, or with a step all that are as far apart.
func (p *parser) hashed(from, to, step, field int) uint64 {
	p.check(from, field)
	p.check(to, field)
	if step > to-from+1 {
		p.fail("%d is an invalid value. Must be within 1 and %d", step, to-from+1)
	}
	if step <= 0 {
		p.fail("step must be positive, but found %d", step)
	}
	if step == 1 {
		return 1 << (from + p.h.next(to+1-from))
	}
	var bits uint64
	for i := p.h.next(step) + from; i <= to; i += step {
		bits |= 1 << i
	}
	return bits
}
