// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"strings"
	"unicode"
)

func (c *methodCall) stringMethod(s string) (any, bool, error) {
	for _, group := range []func(string) (any, bool, error){c.stringTest, c.stringCase, c.stringParts, c.stringReplace, c.stringConvert} {
		if v, ok, err := group(s); ok || err != nil {
			return v, ok, err
		}
	}
	return c.stringIterate(s)
}

func (c *methodCall) stringTest(s string) (any, bool, error) {
	switch c.name {
	case "size", "length":
		return int64(len([]rune(s))), true, nil
	case "isEmpty":
		return s == "", true, nil
	case "isBlank", "allWhitespace", "isAllWhitespace":
		return strings.TrimSpace(s) == "", true, nil
	case "contains":
		return strings.Contains(s, c.str(0)), true, nil
	case "startsWith":
		return strings.HasPrefix(s, c.str(0)), true, nil
	case "endsWith":
		return strings.HasSuffix(s, c.str(0)), true, nil
	case "equalsIgnoreCase":
		return strings.EqualFold(s, c.str(0)), c.arg(0) != nil, nil
	case "matches":
		v, err := matchWhole(c.str(0), s, c.pos)
		return v, true, err
	case "indexOf", "lastIndexOf":
		i := strings.Index(s, c.str(0))
		if c.name == "lastIndexOf" {
			i = strings.LastIndex(s, c.str(0))
		}
		if i > 0 {
			i = len([]rune(s[:i]))
		}
		return int64(i), true, nil
	case "isNumber", "isInteger", "isLong":
		_, err := toDecimal(s, c.pos)
		if c.name != "isNumber" {
			_, err = toInteger(s, c.pos)
		}
		return err == nil, true, nil
	case "count":
		if c.str(0) == "" {
			return int64(0), true, nil
		}
		return int64(strings.Count(s, c.str(0))), true, nil
	}
	return nil, false, nil
}

func (c *methodCall) stringCase(s string) (any, bool, error) {
	switch c.name {
	case "toUpperCase":
		return strings.ToUpper(s), true, nil
	case "toLowerCase":
		return strings.ToLower(s), true, nil
	case "capitalize", "uncapitalize":
		r := []rune(s)
		if len(r) > 0 && c.name == "capitalize" {
			r[0] = unicode.ToUpper(r[0])
		} else if len(r) > 0 {
			r[0] = unicode.ToLower(r[0])
		}
		return string(r), true, nil
	case "trim", "strip":
		return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }), true, nil
	case "stripIndent":
		return stripIndent(s), true, nil
	case "stripMargin":
		return stripMargin(s), true, nil
	case "reverse":
		r := []rune(s)
		for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
		return string(r), true, nil
	case "padLeft", "padRight", "center":
		return c.pad(s)
	case "multiply":
		return c.f.repeat(s, c.arg(0), c.pos)
	}
	return nil, false, nil
}

func (c *methodCall) pad(s string) (any, bool, error) {
	n, ok := c.intArg(0)
	fill := " "
	if len(c.args) > 1 {
		fill = c.str(1)
	}
	missing := n - len([]rune(s))
	if !ok || fill == "" {
		return nil, false, nil
	}
	if missing <= 0 {
		return s, true, nil
	}
	if missing*len(fill) > c.f.m.limits.StringBytes {
		return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", c.f.m.limits.StringBytes), Pos: c.pos}
	}
	cut := func(n int) string { return string([]rune(strings.Repeat(fill, n/len([]rune(fill))+1))[:n]) }
	switch c.name {
	case "padLeft":
		return cut(missing) + s, true, nil
	case "padRight":
		return s + cut(missing), true, nil
	}
	return cut(missing/2) + s + cut(missing-missing/2), true, nil
}

func (c *methodCall) stringParts(s string) (any, bool, error) {
	switch c.name {
	case "substring", "take", "drop":
		return c.substring(s)
	case "split":
		return c.split(s)
	case "tokenize":
		set := " \t\n\r\f"
		if len(c.args) > 0 {
			set = c.str(0)
		}
		return stringList(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(set, r) })), true, nil
	case "readLines":
		return stringList(lines(s)), true, nil
	case "eachLine":
		for i, line := range lines(s) {
			fn := c.closure(0)
			if fn == nil {
				return nil, false, nil
			}
			if _, err := c.f.call(fn, lineArgs(fn, line, i)); err != nil {
				return nil, true, err
			}
		}
		return nil, true, nil
	case "charAt":
		i, _ := c.intArg(0)
		v, err := c.f.at(s, int64(i), c.pos)
		return v, true, err
	case "toList", "collect":
		if c.name == "toList" {
			return &List{Items: itemsOf(s)}, true, nil
		}
	case "plus", "concat":
		return s + c.str(0), true, nil
	case "minus":
		v, err := c.f.minus(s, c.arg(0), c.pos)
		return v, true, err
	}
	return nil, false, nil
}

func lineArgs(fn *Closure, line string, i int) []any {
	if len(fn.params) > 1 {
		return []any{line, int64(i + 1)}
	}
	return []any{line}
}

func lines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func stringList(items []string) *List {
	out := &List{Items: make([]any, len(items))}
	for i, s := range items {
		out.Items[i] = s
	}
	return out
}

func (c *methodCall) substring(s string) (any, bool, error) {
	r := []rune(s)
	from, ok := c.intArg(0)
	if !ok {
		return nil, false, nil
	}
	to := len(r)
	switch c.name {
	case "take":
		from, to = 0, min(max(from, 0), len(r))
	case "drop":
		from = min(max(from, 0), len(r))
	default:
		if len(c.args) > 1 {
			if to, ok = c.intArg(1); !ok {
				return nil, false, nil
			}
		}
		if from < 0 || to > len(r) || from > to {
			return nil, true, throw(c.pos, "java.lang.StringIndexOutOfBoundsException", "begin %d, end %d, length %d", from, to, len(r))
		}
	}
	return string(r[from:to]), true, nil
}

// split takes a regular expression, as Java's split does; empty parts at the end are dropped.
func (c *methodCall) split(s string) (any, bool, error) {
	if len(c.args) == 0 {
		return stringList(strings.Fields(s)), true, nil
	}
	re, err := compile(c.str(0), c.pos)
	if err != nil {
		return nil, true, err
	}
	limit := -1
	if n, ok := c.intArg(1); ok && n > 0 {
		limit = n
	}
	parts := re.Split(s, limit)
	for len(parts) > 1 && limit < 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return stringList(parts), true, nil
}

func (c *methodCall) stringReplace(s string) (any, bool, error) {
	switch c.name {
	case "replace":
		if len(c.args) != 2 {
			return nil, false, nil
		}
		from, to := c.str(0), c.str(1)
		if n := len(s) + strings.Count(s, from)*len(to); n > 2*c.f.m.limits.StringBytes {
			return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", c.f.m.limits.StringBytes), Pos: c.pos}
		}
		return strings.ReplaceAll(s, from, to), true, nil
	case "replaceAll", "replaceFirst":
		return c.replaceRegex(s)
	}
	return nil, false, nil
}

func (c *methodCall) replaceRegex(s string) (any, bool, error) {
	if len(c.args) != 2 {
		return nil, false, nil
	}
	source := c.str(0)
	if p, ok := c.args[0].(Pattern); ok {
		source = p.Source
	}
	re, err := compile(source, c.pos)
	if err != nil {
		return nil, true, err
	}
	var out strings.Builder
	last := 0
	for n, loc := range re.FindAllStringSubmatchIndex(s, maxMatches) {
		if n > 0 && c.name == "replaceFirst" {
			break
		}
		out.WriteString(s[last:loc[0]])
		if fn := c.closure(1); fn != nil {
			v, err := c.f.call(fn, matchArgs(s, loc))
			if err != nil {
				return nil, true, err
			}
			out.WriteString(ToString(v))
		} else {
			out.Write(re.ExpandString(nil, javaTemplate(c.str(1)), s, loc))
		}
		last = loc[1]
		if out.Len() > c.f.m.limits.StringBytes {
			return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", c.f.m.limits.StringBytes), Pos: c.pos}
		}
	}
	out.WriteString(s[last:])
	return out.String(), true, nil
}

func matchArgs(s string, loc []int) []any {
	var out []any
	for i := 0; i+1 < len(loc); i += 2 {
		if loc[i] < 0 {
			out = append(out, nil)
			continue
		}
		out = append(out, s[loc[i]:loc[i+1]])
	}
	return out
}

// javaTemplate turns Java's $1 and \$ into the template form of package regexp.
func javaTemplate(t string) string {
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		switch {
		case t[i] == '\\' && i+1 < len(t):
			i++
			if t[i] == '$' {
				b.WriteString("$$")
			} else {
				b.WriteByte(t[i])
			}
		case t[i] == '$' && i+1 < len(t) && t[i+1] >= '0' && t[i+1] <= '9':
			b.WriteString("${" + t[i+1:i+2] + "}")
			i++
		case t[i] == '$' && (i+1 >= len(t) || t[i+1] != '{'):
			b.WriteString("$$")
		default:
			b.WriteByte(t[i])
		}
	}
	return b.String()
}

func (c *methodCall) stringConvert(s string) (any, bool, error) {
	switch c.name {
	case "toInteger", "toLong", "asInteger", "toBigInteger":
		v, err := toInteger(s, c.pos)
		return v, true, err
	case "toDouble", "toFloat", "toBigDecimal":
		v, err := toDecimal(s, c.pos)
		return v, true, err
	case "toBoolean":
		t := strings.ToLower(strings.TrimSpace(s))
		return t == "true" || t == "y" || t == "1", true, nil
	}
	return nil, false, nil
}

// stringIterate treats the string as a list of its characters.
func (c *methodCall) stringIterate(s string) (any, bool, error) {
	switch c.name {
	case "each", "eachWithIndex", "any", "every", "find", "findAll", "collect":
		l := &List{Items: itemsOf(s)}
		return c.listMethod(l)
	}
	return nil, false, nil
}

func stripIndent(s string) string {
	rows := strings.Split(s, "\n")
	indent := -1
	for _, r := range rows {
		trimmed := strings.TrimLeft(r, " \t")
		if trimmed == "" {
			continue
		}
		if n := len(r) - len(trimmed); indent < 0 || n < indent {
			indent = n
		}
	}
	for i, r := range rows {
		rows[i] = r[min(max(indent, 0), len(r)):]
	}
	return strings.Join(rows, "\n")
}

func stripMargin(s string) string {
	rows := strings.Split(s, "\n")
	for i, r := range rows {
		if t := strings.TrimLeft(r, " \t"); strings.HasPrefix(t, "|") {
			rows[i] = t[1:]
		}
	}
	return strings.Join(rows, "\n")
}
