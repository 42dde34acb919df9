// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"strings"
	"unicode"
)

func (c *methodCall) stringMethod(s string) (any, bool, error) {
	for _, group := range []func(string) (any, bool, error){c.stringTest, c.stringCase, c.stringParts, c.stringReplace, c.stringConvert, c.stringMore} {
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
	case "contains", "startsWith", "endsWith", "concat":
		if c.arg(0) == nil {
			return nil, true, throw(c.pos, "java.lang.NullPointerException", "%s(null)", c.name)
		}
		return c.stringContains(s)
	case "contentEquals":
		return s == c.str(0), true, nil
	case "equalsIgnoreCase":
		return strings.EqualFold(s, c.str(0)), c.arg(0) != nil, nil
	case "matches":
		v, err := c.f.matchWhole(patternOf(c.arg(0)), s, c.pos)
		return v, true, err
	case "indexOf", "lastIndexOf":
		if from, ok := c.intArg(1); ok && len(c.args) == 2 && c.name == "indexOf" {
			r := []rune(s)
			from = min(max(from, 0), len(r))
			i := strings.Index(string(r[from:]), c.str(0))
			if i < 0 {
				return int64(-1), true, nil
			}
			return int64(from + runeCount(string(r[from:]), i)), true, nil
		}
		i := strings.Index(s, c.str(0))
		if c.name == "lastIndexOf" {
			i = strings.LastIndex(s, c.str(0))
		}
		if i > 0 {
			i = len([]rune(s[:i]))
		}
		return int64(i), true, nil
	case "isNumber", "isBigDecimal":
		_, ok := parseDecimal(strings.TrimSpace(s))
		return ok, true, nil
	case "isInteger", "isLong", "isDouble", "isFloat", "isBigInteger":
		_, err := parseNumber(s, strings.TrimPrefix(c.name, "is"), c.pos)
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
	case "trim":
		return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }), true, nil
	case "stripIndent":
		_, isString := c.obj.(string)
		if n, ok := c.intArg(0); ok {
			return stripBlanks(s, n), len(c.args) == 1, nil
		}
		return stripIndent(s, isString), len(c.args) == 0, nil
	case "stripMargin":
		margin := "|"
		if m := c.str(0); len(c.args) == 1 && m != "" {
			margin = m[:1]
		}
		return stripMargin(s, margin), true, nil
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
		if strings.Count(s, "") > c.f.m.limits.Items && tooManyFields(s, set, c.f.m.limits.Items) {
			return nil, true, c.f.checkSize(c.f.m.limits.Items+1, c.pos)
		}
		return stringList(s, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(set, r) })), true, nil
	case "readLines":
		if n := strings.Count(s, "\n"); n >= c.f.m.limits.Items {
			return nil, true, c.f.checkSize(n+1, c.pos)
		}
		return stringList(s, lines(s)), true, nil
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
		if i < 0 {
			return nil, true, throw(c.pos, "java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", i)
		}
		v, err := c.f.at(s, int64(i), c.pos)
		return v, true, err
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
		return []any{line, int64(i)}
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

// stringList makes a list of the parts of a text.
func stringList(whole string, items []string) *List {
	out := &List{Items: make([]any, len(items))}
	for i, s := range items {
		out.Items[i] = part(s, whole)
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
		return stringList(s, strings.Fields(s)), true, nil
	}
	re, err := c.f.compile(patternOf(c.arg(0)), c.pos)
	if err == nil {
		err = c.f.weighRegex(re, s, c.pos)
	}
	if err != nil {
		return nil, true, err
	}
	limit := -1
	if n, ok := c.intArg(1); ok && n > 0 {
		limit = n
	}
	n := limit
	if n < 0 {
		n = c.f.m.limits.Items + 1
	}
	parts := re.Split(s, n)
	// Java has no empty part in front of a match without width.
	if len(parts) > 1 && parts[0] == "" && re.MatchString("") && s != "" {
		if loc := re.FindStringIndex(s); loc != nil && loc[1] == 0 {
			parts = parts[1:]
		}
	}
	for len(parts) > 1 && limit < 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return stringList(s, parts), true, nil
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
	re, err := c.f.compile(patternOf(c.args[0]), c.pos)
	if err == nil {
		err = c.f.weighRegex(re, s, c.pos)
	}
	if err != nil {
		return nil, true, err
	}
	var out strings.Builder
	last := 0
	most := maxMatches + 1
	if c.name == "replaceFirst" {
		most = 1
	}
	matches := re.FindAllStringSubmatchIndex(s, most)
	if len(matches) > maxMatches {
		return nil, true, &LimitError{Message: fmt.Sprintf("More than %d places to replace", maxMatches), Pos: c.pos}
	}
	for n, loc := range matches {
		if n%itemsPerStep == 0 {
			if err := c.f.tick(c.pos); err != nil {
				return nil, true, err
			}
		}
		out.WriteString(s[last:loc[0]])
		if fn := c.closure(1); fn != nil {
			args := matchArgs(s, loc)
			if fn.arity() <= 1 && len(args) > 1 {
				args = []any{&List{Items: args}}
			}
			v, err := c.f.call(fn, args)
			if err != nil {
				return nil, true, err
			}
			out.WriteString(ToString(v))
		} else {
			if err := c.expand(&out, re, s, loc); err != nil {
				return nil, true, err
			}
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
		out = append(out, part(s[loc[i]:loc[i+1]], s))
	}
	return out
}

// expand writes a replacement in which $1, ${name} and \$ have a meaning.
func (c *methodCall) expand(out *strings.Builder, re *expression, s string, loc []int) error {
	t := c.str(1)
	group := func(n int) {
		if loc[2*n] >= 0 {
			out.WriteString(s[loc[2*n]:loc[2*n+1]])
		}
	}
	for i := 0; i < len(t); i++ {
		switch {
		case t[i] == '\\':
			if i++; i == len(t) {
				return throw(c.pos, "java.lang.IllegalArgumentException", "character to be escaped is missing")
			}
			out.WriteByte(t[i])
		case t[i] != '$':
			out.WriteByte(t[i])
		case i+1 < len(t) && t[i+1] >= '0' && t[i+1] <= '9':
			n := int(t[i+1] - '0')
			if 2*n >= len(loc) {
				return throw(c.pos, "java.lang.IndexOutOfBoundsException", "No group %d", n)
			}
			i++
			for i+1 < len(t) && t[i+1] >= '0' && t[i+1] <= '9' && 2*(10*n+int(t[i+1]-'0')) < len(loc) {
				n = 10*n + int(t[i+1]-'0')
				i++
			}
			group(n)
		case i+1 < len(t) && t[i+1] == '{' && strings.Contains(t[i:], "}"):
			end := i + strings.IndexByte(t[i:], '}')
			n := re.SubexpIndex(t[i+2 : end])
			if n < 0 {
				return throw(c.pos, "java.lang.IllegalArgumentException", "No group with name {%s}", clip(t[i+2:end]))
			}
			group(n)
			i = end
		default:
			return throw(c.pos, "java.lang.IllegalArgumentException", "Illegal group reference")
		}
	}
	return nil
}

func (c *methodCall) stringConvert(s string) (any, bool, error) {
	switch c.name {
	case "toInteger", "toLong", "toBigInteger", "toDouble", "toFloat", "toBigDecimal", "toShort":
		kind := strings.TrimPrefix(c.name, "to")
		if kind == "Short" {
			kind = "Integer"
		}
		v, err := parseNumber(s, kind, c.pos)
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
	case "each", "eachWithIndex", "any", "every", "find", "findAll", "collect", "toList", "inject", "findIndexOf", "collectEntries", "groupBy", "countBy",
		"sort", "unique", "toSet", "indexed", "withIndex", "reverseEach", "sum", "max", "min", "collectMany", "takeWhile", "dropWhile", "first", "last", "head", "getChars", "toCharArray", "iterator":
		items, err := c.f.items(s, c.pos)
		if err != nil {
			return nil, true, err
		}
		l := &List{Items: items}
		if c.name == "toList" || c.name == "getChars" || c.name == "toCharArray" {
			v, err := c.f.checked(l, c.pos)
			return v, true, err
		}
		v, ok, err := c.listMethod(l)
		if c.name == "each" || c.name == "eachWithIndex" {
			v = s
		}
		return v, ok, err
	}
	return nil, false, nil
}

// stripIndent takes the same indent from all lines. That of a String is Java's: what ends in a newline has a last
// line without any, and blanks at the ends of lines go. That of a GString is Groovy's: blank lines do not count.
func stripIndent(s string, isString bool) string {
	rows := strings.Split(s, "\n")
	indent := -1
	for i, r := range rows {
		trimmed := strings.TrimLeft(r, " \t")
		if trimmed == "" && (!isString || i < len(rows)-1) {
			continue
		}
		if n := len(r) - len(trimmed); indent < 0 || n < indent {
			indent = n
		}
	}
	for i, r := range rows {
		switch {
		case strings.TrimLeft(r, " \t") == "":
			rows[i] = ""
		case isString:
			rows[i] = strings.TrimRight(r[max(indent, 0):], " \t")
		default:
			rows[i] = r[max(indent, 0):]
		}
	}
	return strings.Join(rows, "\n")
}

func stripMargin(s, margin string) string {
	rows := strings.Split(s, "\n")
	for i, r := range rows {
		if t, ok := strings.CutPrefix(strings.TrimLeft(r, " \t"), margin); ok {
			rows[i] = t
		}
	}
	return strings.Join(rows, "\n")
}

// stripBlanks takes n characters from the beginning of each line.
func stripBlanks(s string, n int) string {
	rows := strings.Split(s, "\n")
	for i, r := range rows {
		rows[i] = r[min(max(n, 0), len(r)):]
	}
	return strings.Join(rows, "\n")
}
