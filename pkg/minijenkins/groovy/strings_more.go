// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func (c *methodCall) stringContains(s string) (any, bool, error) {
	t := c.str(0)
	switch c.name {
	case "contains":
		return strings.Contains(s, t), true, nil
	case "endsWith":
		return strings.HasSuffix(s, t), true, nil
	case "concat":
		return s + t, true, nil
	}
	if from, ok := c.intArg(1); ok && len(c.args) == 2 {
		r := []rune(s)
		if from < 0 || from > len(r) {
			return false, true, nil
		}
		s = string(r[from:])
	}
	return strings.HasPrefix(s, t), true, nil
}

// tooManyFields tells if a text has more parts between the characters of a set than allowed.
func tooManyFields(s, set string, most int) bool {
	n, inside := 0, false
	for _, r := range s {
		if strings.ContainsRune(set, r) {
			inside = false
			continue
		}
		if !inside {
			n++
		}
		inside = true
		if n > most {
			return true
		}
	}
	return false
}

// stringMore are further methods of strings.
func (c *methodCall) stringMore(s string) (any, bool, error) {
	switch c.name {
	case "compareToIgnoreCase":
		return int64(strings.Compare(strings.ToLower(s), strings.ToLower(c.str(0)))), true, nil
	case "containsIgnoreCase", "startsWithIgnoreCase", "endsWithIgnoreCase":
		inner := methodCall{f: c.f, name: strings.TrimSuffix(c.name, "IgnoreCase"), args: []any{strings.ToLower(c.str(0))}, pos: c.pos}
		return inner.stringContains(strings.ToLower(s))
	case "stripLeading":
		return strings.TrimLeftFunc(s, unicode.IsSpace), true, nil
	case "strip":
		return strings.TrimFunc(s, unicode.IsSpace), true, nil
	case "stripTrailing":
		return strings.TrimRightFunc(s, unicode.IsSpace), true, nil
	case "normalize", "denormalize":
		return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), true, nil
	case "expand":
		return strings.ReplaceAll(s, "\t", "        "), true, nil
	case "tr":
		return c.translate(s)
	case "isEmpty":
		return s == "", true, nil
	case "intern", "toString":
		return s, true, nil
	case "next", "previous":
		r := []rune(s)
		if len(r) == 0 {
			return nil, false, nil
		}
		r[len(r)-1] += map[string]rune{"next": 1, "previous": -1}[c.name]
		return string(r), true, nil
	case "lines":
		return nil, true, rejected(c.pos, "method java.lang.String lines")
	case "getAt":
		v, err := c.f.at(s, c.arg(0), c.pos)
		return v, len(c.args) == 1, err
	case "leftShift":
		v, err := c.f.leftShift(s, c.arg(0), c.pos)
		return v, len(c.args) == 1, err
	case "format", "sprintf", "formatted":
		v, err := c.format(s, c.args)
		return v, true, err
	}
	for _, group := range []func(string) (any, bool, error){c.stringEnds, c.stringBytes} {
		if v, ok, err := group(s); ok || err != nil {
			return v, ok, err
		}
	}
	return c.stringFind(s)
}

// stringEnds cut characters off.
func (c *methodCall) stringEnds(s string) (any, bool, error) {
	switch c.name {
	case "takeRight", "dropRight":
		r := []rune(s)
		n, ok := c.intArg(0)
		n = min(max(n, 0), len(r))
		if c.name == "takeRight" {
			return string(r[len(r)-n:]), ok, nil
		}
		return string(r[:len(r)-n]), ok, nil
	case "takeBefore", "takeAfter":
		before, after, found := strings.Cut(s, c.str(0))
		if !found {
			return "", true, nil
		}
		if c.name == "takeBefore" {
			return before, true, nil
		}
		return after, true, nil
	case "removeStart", "removeEnd":
		if c.name == "removeStart" {
			return strings.TrimPrefix(s, c.str(0)), true, nil
		}
		return strings.TrimSuffix(s, c.str(0)), true, nil
	case "subSequence":
		c.name = "substring"
		return c.substring(s)
	case "splitEachLine":
		fn := c.closure(1)
		if fn == nil {
			return nil, false, nil
		}
		for _, line := range lines(s) {
			inner := methodCall{f: c.f, name: "split", args: c.args[:1], pos: c.pos}
			parts, _, err := inner.split(line)
			if err == nil {
				_, err = c.f.call(fn, []any{parts})
			}
			if err != nil {
				return nil, true, err
			}
		}
		return nil, true, nil
	case "eachMatch":
		return c.eachMatch(s)
	}
	return nil, false, nil
}

func (c *methodCall) eachMatch(s string) (any, bool, error) {
	fn := c.closure(1)
	if fn == nil {
		return nil, false, nil
	}
	v, err := c.f.matcher(patternOf(c.args[0]), s, c.pos)
	if err != nil {
		return nil, true, err
	}
	m, _ := v.(*matcher)
	for i := range m.all() {
		if _, err := c.f.call(fn, []any{m.item(i)}); err != nil {
			return nil, true, err
		}
	}
	return s, true, nil
}

func (c *methodCall) stringBytes(s string) (any, bool, error) {
	switch c.name {
	case "getBytes":
		if len(s) > c.f.m.limits.Items {
			return nil, true, c.f.checkSize(len(s), c.pos)
		}
		out := &List{Items: make([]any, len(s))}
		for i := range len(s) {
			out.Items[i] = int64(int8(s[i]))
		}
		return out, true, nil
	case "encodeBase64":
		return base64.StdEncoding.EncodeToString([]byte(s)), true, nil
	case "decodeBase64":
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err != nil || !utf8.Valid(b) {
			return nil, true, throw(c.pos, "java.lang.RuntimeException", "bad character in base64 value")
		}
		return string(b), true, nil
	case "encodeHex":
		return hex.EncodeToString([]byte(s)), true, nil
	case "codePointAt":
		i, ok := c.intArg(0)
		r := []rune(s)
		if !ok || i < 0 || i >= len(r) {
			return nil, true, throw(c.pos, "java.lang.StringIndexOutOfBoundsException", "index %d, length %d", i, len(r))
		}
		return int64(r[i]), true, nil
	case "toURL", "toURI", "eachFile", "toFile", "encodeAsMD5":
		return nil, true, rejected(c.pos, "staticMethod org.codehaus.groovy.runtime.StringGroovyMethods "+c.name+" java.lang.String")
	}
	return nil, false, nil
}

// stringFind are find and findAll with a pattern.
func (c *methodCall) stringFind(s string) (any, bool, error) {
	if c.name != "find" && c.name != "findAll" || len(c.args) == 0 {
		return nil, false, nil
	}
	if _, isClosure := c.args[0].(*Closure); isClosure {
		return nil, false, nil
	}
	v, err := c.f.matcher(patternOf(c.args[0]), s, c.pos)
	if err != nil {
		return nil, true, err
	}
	m, _ := v.(*matcher)
	fn := c.closure(1)
	out := &List{}
	for i, loc := range m.all() {
		groups := m.groups(loc)
		item := groups[0]
		if fn != nil {
			args := groups
			if fn.arity() <= 1 && len(groups) > 1 {
				args = []any{m.item(i)}
			}
			if item, err = c.f.call(fn, args); err != nil {
				return nil, true, err
			}
		}
		if c.name == "find" {
			return item, true, nil
		}
		out.Items = append(out.Items, item)
	}
	if c.name == "find" {
		return nil, true, nil
	}
	return out, true, nil
}

// translate is tr: it replaces characters of one set by those of another.
func (c *methodCall) translate(s string) (any, bool, error) {
	if len(c.args) != 2 {
		return nil, false, nil
	}
	from, to := spread(c.str(0)), spread(c.str(1))
	if len(to) == 0 || len(from) > maxPattern {
		return nil, false, nil
	}
	return strings.Map(func(r rune) rune {
		i := slices.Index(from, r)
		if i < 0 {
			return r
		}
		return to[min(i, len(to)-1)]
	}, s), true, nil
}

// spread writes out the ranges of a set such as a-z.
func spread(set string) []rune {
	r := []rune(set)
	var out []rune
	for i := 0; i < len(r); i++ {
		if i+2 < len(r) && r[i+1] == '-' && r[i] <= r[i+2] && r[i+2]-r[i] < 1<<12 {
			for x := r[i]; x <= r[i+2]; x++ {
				out = append(out, x)
			}
			i += 2
			continue
		}
		out = append(out, r[i])
	}
	return out
}
