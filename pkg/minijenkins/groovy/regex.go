// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"regexp"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Patterns are those of Go's regexp package, which run in linear time. Java's backreferences,
// look-around and possessive quantifiers do not exist there and end with a clear error.

// maxPattern is the greatest length of a pattern in bytes.
const maxPattern = 4096

func compile(source string, pos jenkinsfile.Pos) (*regexp.Regexp, error) {
	if len(source) > maxPattern {
		return nil, throw(pos, "java.util.regex.PatternSyntaxException", "pattern with more than %d bytes", maxPattern)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, throw(pos, "java.util.regex.PatternSyntaxException",
			"%s is no regular expression that is supported here (%v); look-around and backreferences need Jenkins", clip(source), err)
	}
	return re, nil
}

func matchWhole(source, s string, pos jenkinsfile.Pos) (bool, error) {
	re, err := compile(`\A(?:`+source+`)\z`, pos)
	if err != nil {
		return false, err
	}
	return re.MatchString(s), nil
}

// matcher is the result of =~.
type matcher struct{ found [][]string }

// maxMatches bounds how many matches are kept.
const maxMatches = 100_000

func find(source, s string, pos jenkinsfile.Pos) (any, error) {
	re, err := compile(source, pos)
	if err != nil {
		return nil, err
	}
	return matcher{found: re.FindAllStringSubmatch(s, maxMatches)}, nil
}

// item is what a matcher gives for one match: the text, or a list with the groups.
func (m matcher) item(i int) any {
	groups := m.found[i]
	if len(groups) == 1 {
		return groups[0]
	}
	out := &List{}
	for _, g := range groups {
		out.Items = append(out.Items, g)
	}
	return out
}

func (m matcher) items() []any {
	out := make([]any, len(m.found))
	for i := range m.found {
		out[i] = m.item(i)
	}
	return out
}

func (m matcher) at(key any, pos jenkinsfile.Pos) (any, error) {
	i, ok := key.(int64)
	if !ok {
		return nil, missingMethod(pos, "getAt", m, []any{key})
	}
	if i < 0 {
		i += int64(len(m.found))
	}
	if i < 0 || i >= int64(len(m.found)) {
		return nil, throw(pos, "java.lang.IndexOutOfBoundsException", "index is out of range %d..%d (index = %d)", -len(m.found), len(m.found)-1, i)
	}
	return m.item(int(i)), nil
}
