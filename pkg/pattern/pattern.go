// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pattern matches texts of one stranger with regular expressions of another. Go's need time in proportion to
// the text and to what an expression is when its repetitions are written out, and end for no context: .{0,1000}, written
// ninety times, takes minutes for some kilobytes. Here what would take long is refused before it is begun.
package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
)

const (
	// MaxLength bounds an expression in bytes.
	MaxLength = 4096
	// maxSize bounds an expression with its repetitions written out.
	maxSize = 10_000
	// maxWork bounds size and length of the text, multiplied: about a second on a slow machine.
	maxWork = 1 << 25
)

// ErrTooLarge says that an expression, or a text for it, would take too much time.
var ErrTooLarge = errors.New("the regular expression is too large")

// Pattern is a regular expression, in RE2's syntax. It may be used by several goroutines.
type Pattern struct {
	expression *regexp.Regexp
	size       int
}

// Compile reads an expression. Errors are of package regexp/syntax, or ErrTooLarge.
func Compile(expression string) (*Pattern, error) {
	if len(expression) > MaxLength {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, MaxLength)
	}
	// Before it is compiled, which writes the repetitions out.
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what and where
	}
	size := sizeOf(tree)
	if size > maxSize {
		return nil, fmt.Errorf("%w: it repeats too much", ErrTooLarge)
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	return &Pattern{expression: compiled, size: size}, nil
}

// sizeOf is about how many instructions an expression is compiled to; beyond maxSize it is not exact.
func sizeOf(tree *syntax.Regexp) int {
	size := 1 + len(tree.Rune)
	if tree.Op == syntax.OpCharClass {
		size = 1
	}
	for _, sub := range tree.Sub {
		size += sizeOf(sub)
	}
	if tree.Op == syntax.OpRepeat {
		size *= max(1, tree.Min, tree.Max)
	}
	return min(size, 2*maxSize)
}

// Match tells if the expression is found in each of the texts. The error is ErrTooLarge.
func (p *Pattern) Match(texts ...string) (bool, error) {
	length := 0
	for _, text := range texts {
		length += 1 + len(text)
	}
	if p.size*length > maxWork {
		return false, fmt.Errorf("%w for %d bytes", ErrTooLarge, length)
	}
	return !slices.ContainsFunc(texts, func(text string) bool { return !p.expression.MatchString(text) }), nil
}

// Remove takes out of a text what the expression finds. The error is ErrTooLarge.
func (p *Pattern) Remove(text string) (string, error) {
	// Each of what is found may have been looked for in all the rest of the text.
	if p.size*len(text)/256*len(text) > maxWork {
		return "", fmt.Errorf("%w for %d bytes", ErrTooLarge, len(text))
	}
	return p.expression.ReplaceAllLiteralString(text, ""), nil
}
