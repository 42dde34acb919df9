// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// formatSpec is one %… of java.util.Formatter: an index, flags, a width, a precision and the kind.
var formatSpec = regexp.MustCompile(`%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])`)

// maxWidth bounds the width and the precision of a field.
const maxWidth = 10_000

// format is String.format.
func (c *methodCall) format(template string, args []any) (any, error) {
	var out strings.Builder
	next, last := 0, 0
	for _, m := range formatSpec.FindAllStringSubmatchIndex(template, -1) {
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return template[m[2*i]:m[2*i+1]]
		}
		if plain := template[last:m[0]]; strings.Contains(plain, "%") {
			return nil, c.badFormat(plain)
		}
		out.WriteString(template[last:m[0]])
		last = m[1]
		kind := group(5)
		if kind == "n" || kind == "%" {
			out.WriteString(map[string]string{"n": "\n", "%": "%"}[kind])
			continue
		}
		i := next
		if index := group(1); index != "" {
			n, err := strconv.Atoi(index)
			if err != nil || n < 1 {
				return nil, c.badFormat(group(0))
			}
			i = n - 1
		} else {
			next++
		}
		if i >= len(args) {
			return nil, throw(c.pos, "java.util.MissingFormatArgumentException", "Format specifier '%s'", group(0))
		}
		text, err := c.formatField(group(0), group(2), group(4), kind, args[i])
		if err != nil {
			return nil, err
		}
		width, err := strconv.Atoi("0" + group(3))
		if err != nil || width > maxWidth {
			return nil, c.badFormat(group(0))
		}
		out.WriteString(padField(text, group(2), width))
		if out.Len() > c.f.m.limits.StringBytes {
			break
		}
	}
	if strings.Contains(template[last:], "%") {
		return nil, c.badFormat(template[last:])
	}
	out.WriteString(template[last:])
	return c.f.checked(out.String(), c.pos)
}

func (c *methodCall) badFormat(spec string) error {
	if i := strings.IndexByte(spec, '%'); i >= 0 {
		spec = spec[i:]
	}
	return throw(c.pos, "java.util.UnknownFormatConversionException", "Conversion = '%s'", clip(strings.TrimPrefix(spec, "%")))
}

func padField(s, flags string, width int) string {
	missing := width - utf8.RuneCountInString(s)
	switch {
	case missing <= 0:
		return s
	case strings.Contains(flags, "-"):
		return s + strings.Repeat(" ", missing)
	case strings.Contains(flags, "0"):
		sign := ""
		if s != "" && (s[0] == '-' || s[0] == '+') {
			sign, s = s[:1], s[1:]
		}
		return sign + strings.Repeat("0", missing) + s
	}
	return strings.Repeat(" ", missing) + s
}

func (c *methodCall) formatField(spec, flags, precision, kind string, v any) (string, error) {
	digits, err := strconv.Atoi("0" + precision)
	if err != nil || digits > maxWidth {
		return "", c.badFormat(spec)
	}
	mismatch := throw(c.pos, "java.util.IllegalFormatConversionException", "%s != %s", kind, className(v))
	switch kind {
	case "s", "S":
		s := ToString(v)
		if precision != "" {
			s = string([]rune(s)[:min(digits, utf8.RuneCountInString(s))])
		}
		if kind == "S" {
			s = strings.ToUpper(s)
		}
		return s, nil
	case "b":
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return strconv.FormatBool(v != nil), nil
	case "c":
		return ToString(v), nil
	case "d":
		n := bigOf(v)
		if n == nil {
			return "", mismatch
		}
		return signed(grouped(n.String(), flags), flags), nil
	case "x", "X", "o":
		n, ok := whole(v)
		if !ok {
			return "", mismatch
		}
		if rankOf(v) == rankInteger {
			n = int64(uint32(n))
		}
		return fmt.Sprintf("%"+kind, uint64(n)), nil
	case "f", "e", "E", "g":
		if precision == "" {
			digits = 6
		}
		return c.formatDecimal(flags, kind, min(digits, maxScale), v, mismatch)
	}
	return "", c.badFormat(spec)
}

func (c *methodCall) formatDecimal(flags, kind string, digits int, v any, mismatch error) (string, error) {
	switch x := v.(type) {
	case Decimal:
		if kind == "f" {
			return signed(grouped(x.withScale(digits).plain(), flags), flags), nil
		}
	case float64:
	default:
		return "", mismatch
	}
	n, _ := number(v)
	verb := map[string]byte{"f": 'f', "e": 'e', "E": 'E', "g": 'g'}[kind]
	return signed(grouped(strconv.FormatFloat(n, verb, digits, 64), flags), flags), nil
}

func signed(s, flags string) string {
	switch {
	case strings.HasPrefix(s, "-"):
		return s
	case strings.Contains(flags, "+"):
		return "+" + s
	case strings.Contains(flags, " "):
		return " " + s
	}
	return s
}

// grouped puts a comma between each three digits in front of the point, if asked.
func grouped(s, flags string) string {
	if !strings.Contains(flags, ",") {
		return s
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	front, rest, hasRest := strings.Cut(s, ".")
	var b strings.Builder
	for i, r := range front {
		if i > 0 && (len(front)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if hasRest {
		return sign + b.String() + "." + rest
	}
	return sign + b.String()
}
