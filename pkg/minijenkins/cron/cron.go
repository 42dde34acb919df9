// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cron reads Jenkins' schedules: five fields as in cron, H for a value that a hash of the
// job's name chooses, and names such as @daily. All fields must match; days are not alternatives.
package cron

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Tab is one line of a schedule.
type Tab struct {
	spec string
	// bits are the values of minute, hour, day of month, month and day of week.
	bits [5]uint64
}

// Schedule is a list of lines, in a time zone.
type Schedule struct {
	Tabs []Tab
	loc  *time.Location
}

// SyntaxError is a schedule that cannot be read, in the words of Jenkins.
type SyntaxError struct {
	// Spec is the line and Line its number, from 1; both are empty if the line is not at fault.
	Spec string
	Line int
	// Column counts from 0.
	Column  int
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("Invalid input: %q: line %d:%d: %s", e.Spec, e.Line, e.Column, e.Message)
}

// Parse reads a schedule: lines, comments that begin with # and, in the first line, TZ=zone. seed is
// the full name of the job that H depends on; with an empty one H is the least value.
func Parse(text, seed string) (*Schedule, error) {
	s := &Schedule{loc: time.UTC}
	h := newHash(seed)
	for i, line := range regexp.MustCompile("\r\n|\r|\n").Split(text, -1) {
		line = strings.TrimSpace(line)
		if zone, ok := strings.CutPrefix(line, "TZ="); ok && i == 0 {
			loc, err := time.LoadLocation(zone)
			if err != nil || zone == "" || zone == "Local" {
				return nil, &SyntaxError{Message: "Invalid or unsupported timezone '" + zone + "'"}
			}
			s.loc = loc
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseLine(line, i+1, h)
		if err != nil {
			return nil, err
		}
		s.Tabs = append(s.Tabs, t)
	}
	return s, nil
}

// aliases are the schedules with names.
var aliases = map[string]string{
	"yearly": "H H H H *", "annually": "H H H H *", "monthly": "H H H * *", "weekly": "H H * * H",
	"daily": "H H * * *", "midnight": "H H(0-2) * * *", "hourly": "H * * * *",
}

// Bounds of the fields. Jenkins hashes the day of month to 28 at most and the day of week to 6.
var (
	lower     = [5]int{0, 0, 1, 1, 0}
	upper     = [5]int{59, 23, 31, 12, 7}
	hashUpper = [5]int{59, 23, 28, 12, 6}
)

// parser reads a line.
type parser struct {
	spec string
	line int
	pos  int
	h    *hash
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &SyntaxError{Spec: p.spec, Line: p.line, Column: at, Message: fmt.Sprintf(format, args...)}
}

func parseLine(spec string, line int, h *hash) (Tab, error) {
	t := Tab{spec: spec}
	p := &parser{spec: spec, line: line, h: h}
	if err := p.tokens(); err != nil {
		return t, err
	}
	if name, ok := strings.CutPrefix(spec, "@"); ok {
		full, ok := aliases[name]
		if !ok {
			return t, p.fail(1, "mismatched input '%s' expecting {'yearly', 'annually', 'monthly', 'weekly', 'daily', 'midnight', 'hourly'}", name)
		}
		p.spec = full
	}
	for field := range t.bits {
		if field > 0 {
			if err := p.space(field); err != nil {
				return t, err
			}
		}
		bits, err := p.field(field)
		if err != nil {
			return t, err
		}
		t.bits[field] = bits
	}
	if p.pos < len(p.spec) {
		return t, p.fail(p.pos, "mismatched input '%s' expecting {<EOF>, '/', ','}", p.spec[p.pos:p.pos+1])
	}
	// Both 0 and 7 are Sunday.
	if t.bits[4]&(1<<7) != 0 {
		t.bits[4] = t.bits[4]&^(1<<7) | 1
	}
	return t, nil
}

// tokens refuses characters that no schedule has.
func (p *parser) tokens() error {
	for i := 0; i < len(p.spec); i++ {
		c := p.spec[i]
		if c >= '0' && c <= '9' || strings.IndexByte(" \t*-/,H()@?", c) >= 0 {
			continue
		}
		n := 1
		for name := range aliases {
			// As far as it could have become a name, and the character after that.
			for k := min(len(name), len(p.spec)-i); k > 0; k-- {
				if strings.HasPrefix(p.spec[i:], name[:k]) {
					if k == len(name) {
						n = -len(name)
					} else if n >= 0 {
						n = max(n, min(k+1, len(p.spec)-i))
					}
					break
				}
			}
		}
		if n < 0 {
			i += -n - 1
			continue
		}
		return p.fail(i, "token recognition error at: '%s'", p.spec[i:i+n])
	}
	return nil
}

func (p *parser) peek() byte {
	if p.pos < len(p.spec) {
		return p.spec[p.pos]
	}
	return 0
}

func (p *parser) space(int) error {
	start := p.pos
	for p.peek() == ' ' || p.peek() == '\t' {
		p.pos++
	}
	switch {
	case p.pos > start:
		return nil
	case p.pos == len(p.spec):
		return p.fail(p.pos, "mismatched input '<EOF>' expecting {WS, '/', ','}")
	}
	return p.fail(p.pos, "mismatched input '%c' expecting {WS, '/', ','}", p.peek())
}

// field reads a list of terms.
func (p *parser) field(f int) (uint64, error) {
	var bits uint64
	for {
		b, err := p.term(f)
		if err != nil {
			return 0, err
		}
		bits |= b
		if p.peek() != ',' {
			return bits, nil
		}
		p.pos++
	}
}

func (p *parser) term(f int) (uint64, error) {
	switch c := p.peek(); {
	case c == '*':
		p.pos++
		return p.steps(lower[f], upper[f], f)
	case c == 'H':
		p.pos++
		return p.hashed(f)
	case c >= '0' && c <= '9':
		from, err := p.number(f)
		if err != nil {
			return 0, err
		}
		if p.peek() != '-' {
			return 1 << from, nil
		}
		p.pos++
		to, err := p.number(f)
		if err != nil {
			return 0, err
		}
		return p.steps(from, to, f)
	case c == 0:
		return 0, p.fail(p.pos, "mismatched input '<EOF>' expecting {'*', 'H', NUMBER}")
	default:
		return 0, p.fail(p.pos, "mismatched input '%c' expecting {'*', 'H', NUMBER}", c)
	}
}

// hashed reads what follows an H.
func (p *parser) hashed(f int) (uint64, error) {
	from, to := lower[f], hashUpper[f]
	if p.peek() == '(' {
		p.pos++
		var err error
		if from, err = p.number(f); err != nil {
			return 0, err
		}
		if p.peek() != '-' {
			return 0, p.fail(p.pos, "mismatched input '%c' expecting '-'", p.peek())
		}
		p.pos++
		if to, err = p.number(f); err != nil {
			return 0, err
		}
		if p.peek() != ')' {
			return 0, p.fail(p.pos, "mismatched input '%c' expecting ')'", p.peek())
		}
		p.pos++
		if from > to {
			return 0, p.fail(p.pos, "You mean %d-%d?", to, from)
		}
	}
	step, given, err := p.step()
	switch {
	case err != nil:
		return 0, err
	case given && step <= 0:
		return 0, p.fail(p.pos, "step must be positive, but found %d", step)
	case given && step > to-from+1:
		return 0, p.fail(p.pos, "%d is an invalid value. Must be within 1 and %d", step, to-from+1)
	case given && step > 1:
		var bits uint64
		for i := p.h.next(step) + from; i <= to; i += step {
			bits |= 1 << i
		}
		return bits, nil
	}
	return 1 << (from + p.h.next(to+1-from)), nil
}

// steps reads an optional step behind a range.
func (p *parser) steps(from, to, _ int) (uint64, error) {
	step, given, err := p.step()
	switch {
	case err != nil:
		return 0, err
	case from > to:
		return 0, p.fail(p.pos, "You mean %d-%d?", to, from)
	case given && step <= 0:
		return 0, p.fail(p.pos, "step must be positive, but found %d", step)
	case !given:
		step = 1
	}
	var bits uint64
	for i := from; i <= to; i += step {
		bits |= 1 << i
	}
	return bits, nil
}

func (p *parser) step() (n int, given bool, err error) {
	if p.peek() != '/' {
		return 0, false, nil
	}
	p.pos++
	n, err = p.digits()
	return n, true, err
}

func (p *parser) digits() (int, error) {
	start := p.pos
	for p.peek() >= '0' && p.peek() <= '9' {
		p.pos++
	}
	n, err := strconv.Atoi(p.spec[start:p.pos])
	if err != nil {
		return 0, p.fail(start, "mismatched input '%s' expecting NUMBER", p.spec[start:min(len(p.spec), start+1)])
	}
	return n, nil
}

func (p *parser) number(f int) (int, error) {
	n, err := p.digits()
	if err == nil && (n < lower[f] || n > upper[f]) {
		err = p.fail(p.pos, "%d is an invalid value. Must be within %d and %d", n, lower[f], upper[f])
	}
	return n, err
}

// horizon is how far a time is looked for, as in Jenkins: what is rarer counts as never.
const horizon = 2 * 366

// Next is the first time that is not before t; false if there is none within two years.
func (s *Schedule) Next(t time.Time) (time.Time, bool) { return s.search(t, 1) }

// Previous is the last time that is not behind t; false if there is none within two years.
func (s *Schedule) Previous(t time.Time) (time.Time, bool) { return s.search(t, -1) }

func (s *Schedule) search(t time.Time, dir int) (best time.Time, found bool) {
	for _, tab := range s.Tabs {
		at, ok := tab.search(t.In(s.loc), dir)
		if ok && (!found || dir > 0 && at.Before(best) || dir < 0 && at.After(best)) {
			best, found = at, true
		}
	}
	return best, found
}

func (tab Tab) has(field, v int) bool { return tab.bits[field]&(1<<v) != 0 }

func (tab Tab) search(t time.Time, dir int) (time.Time, bool) {
	y, m, d := t.Date()
	for i := range horizon {
		day := time.Date(y, m, d+dir*i, 0, 0, 0, 0, t.Location())
		if !tab.has(2, day.Day()) || !tab.has(3, int(day.Month())) || !tab.has(4, int(day.Weekday())) {
			continue
		}
		for j := range 24 * 60 {
			at := j
			if dir < 0 {
				at = 24*60 - 1 - j
			}
			if !tab.has(1, at/60) || !tab.has(0, at%60) {
				continue
			}
			c := time.Date(day.Year(), day.Month(), day.Day(), at/60, at%60, 0, 0, t.Location())
			if dir > 0 && !c.Before(t) || dir < 0 && !c.After(t) {
				return c, true
			}
		}
	}
	return time.Time{}, false
}

// Warning is what Jenkins says about a schedule that is allowed but not wise; empty for nothing.
func (s *Schedule) Warning() string {
	for _, t := range s.Tabs {
		if w := t.warning(); w != "" {
			return w
		}
	}
	return ""
}

var (
	fixedMinute = regexp.MustCompile(`^\d+ .+$`)
	everyMinute = regexp.MustCompile(`^0(,(\d+)(?:,\d+)*)( .+)$`)
)

func (tab Tab) warning() string {
	const everyBit = 1<<60 - 1
	if tab.bits[0] == everyBit {
		_, rest, _ := strings.Cut(tab.spec, " ")
		return `Do you really mean "every minute" when you say "` + tab.spec + `"? Perhaps you meant "H ` + rest + `" to poll once per hour`
	}
	if h := hashify(tab.spec); h != "" {
		return "Spread load evenly by using ‘" + h + "’ rather than ‘" + tab.spec + "’"
	}
	return ""
}

// hashify puts an H into a schedule that should have one; it is empty if there is nothing to improve.
func hashify(spec string) string {
	switch {
	case strings.Contains(spec, "H"):
		return ""
	case strings.HasPrefix(spec, "*/"):
		return "H" + spec[1:]
	case fixedMinute.MatchString(spec):
		_, rest, _ := strings.Cut(spec, " ")
		return "H " + rest
	}
	m := everyMinute.FindStringSubmatch(spec)
	if m == nil {
		return ""
	}
	period, err := strconv.Atoi(m[2])
	if err != nil || period <= 0 {
		return ""
	}
	var all strings.Builder
	for i := period; i < 60; i += period {
		all.WriteString("," + strconv.Itoa(i))
	}
	if all.String() != m[1] {
		return ""
	}
	return "H/" + strconv.Itoa(period) + m[3]
}
