// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrLabel says that a label expression is malformed.
var ErrLabel = errors.New("malformed label expression")

// Label is a label expression: names with !, && and || and parentheses, as in Jenkins.
type Label struct {
	// op is "" for a name, else "!", "&&" or "||".
	op   string
	name string
	args []*Label
}

// maxLabel bounds the length of an expression.
const maxLabel = 2048

// ParseLabel parses a label expression. Names may stand in double quotes.
func ParseLabel(s string) (*Label, error) {
	if len(s) > maxLabel {
		return nil, fmt.Errorf("%w: too long", ErrLabel)
	}
	p := &labelParser{s: s}
	l, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.i < len(p.s) {
		return nil, fmt.Errorf("%w: unexpected %q", ErrLabel, p.s[p.i:])
	}
	return l, nil
}

// IsAtom tells if the expression is a single name.
func (l *Label) IsAtom() bool { return l.op == "" }

// Match tells if something with these labels fits.
func (l *Label) Match(labels []string) bool {
	switch l.op {
	case "!":
		return !l.args[0].Match(labels)
	case "&&":
		return l.args[0].Match(labels) && l.args[1].Match(labels)
	case "||":
		return l.args[0].Match(labels) || l.args[1].Match(labels)
	}
	return slices.Contains(labels, l.name)
}

type labelParser struct {
	s string
	i int
}

func (p *labelParser) skip() {
	for p.i < len(p.s) && strings.ContainsRune(" \t\r\n", rune(p.s[p.i])) {
		p.i++
	}
}

func (p *labelParser) take(tok string) bool {
	p.skip()
	if strings.HasPrefix(p.s[p.i:], tok) {
		p.i += len(tok)
		return true
	}
	return false
}

func (p *labelParser) or() (*Label, error)  { return p.binary("||", p.and) }
func (p *labelParser) and() (*Label, error) { return p.binary("&&", p.unary) }

func (p *labelParser) binary(op string, operand func() (*Label, error)) (*Label, error) {
	l, err := operand()
	for err == nil && p.take(op) {
		var r *Label
		if r, err = operand(); err == nil {
			l = &Label{op: op, args: []*Label{l, r}}
		}
	}
	return l, err
}

func (p *labelParser) unary() (*Label, error) {
	if p.take("!") {
		l, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &Label{op: "!", args: []*Label{l}}, nil
	}
	if p.take("(") {
		l, err := p.or()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("%w: ) expected", ErrLabel)
		}
		return l, err
	}
	if p.take(`"`) {
		end := strings.IndexByte(p.s[p.i:], '"')
		if end < 1 {
			return nil, fmt.Errorf("%w: \" expected", ErrLabel)
		}
		name := p.s[p.i : p.i+end]
		p.i += end + 1
		return &Label{name: name}, nil
	}
	p.skip()
	n := strings.IndexAny(p.s[p.i:], " \t\r\n!&|()\"")
	if n < 0 {
		n = len(p.s) - p.i
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: a label is expected", ErrLabel)
	}
	name := p.s[p.i : p.i+n]
	p.i += n
	return &Label{name: name}, nil
}
