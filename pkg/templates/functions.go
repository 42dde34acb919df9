// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"
)

// The kinds of text that functions and parameters give, besides plain strings.
type (
	// rawText is right where it stands, as a Groovy string that quote made.
	rawText string
	// jsonText is a JSON value.
	jsonText string
	// codeText is a script that the user wrote.
	codeText string
)

// held is a value on its way into the result.
type held struct {
	text string
	// verbatim says that the value is meant to be read as code where code stands.
	verbatim bool
}

// plainBuiltins are the functions of text/template that take no more than time in proportion to the
// template.
var plainBuiltins = map[string]bool{"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true,
	"ge": true, "len": true, "index": true, "slice": true}

// budget is what functions may use up in one rendering.
type budget struct {
	ctx  context.Context //nolint:containedctx // text/template hands no context to functions; a budget lives for one rendering
	work int
}

var errWork = errors.New("its functions handle too much text")

// spend takes the bytes of texts off the budget.
func (b *budget) spend(texts ...string) error {
	if err := b.ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	b.work-- // a call costs something, too
	for _, text := range texts {
		b.work -= len(text)
	}
	if b.work < 0 {
		return errWork
	}
	return nil
}

// functions gives what templates can call besides plainBuiltins.
func (b *budget) functions() template.FuncMap {
	return template.FuncMap{
		"quote":      func(v any) (rawText, error) { return b.quote(v) },
		"shellquote": func(v any) (string, error) { return b.each(v, shellQuote) },
		"json":       b.json,
		"default":    func(otherwise, v any) any { return fallback(otherwise, v) },
		"join":       b.join,
		"lower":      func(v any) (string, error) { return b.each(v, strings.ToLower) },
		"upper":      func(v any) (string, error) { return b.each(v, strings.ToUpper) },
		"trim":       func(v any) (string, error) { return b.each(v, strings.TrimSpace) },
		"print":      func(args ...any) (string, error) { return b.print("", args) },
		"println":    func(args ...any) (string, error) { return b.print("\n", args) },
		"printf":     b.printf,
	}
}

// emit gives what is written of a value.
func (e engine) emit(b *budget, v any) (string, error) {
	text := Text(v)
	if err := b.spend(text); err != nil {
		return "", err
	}
	if e.hold == nil {
		return text, nil
	}
	switch v.(type) {
	case jsonText, bool, int, int64, float64:
		return text, nil
	case rawText, codeText:
		return e.hold(held{text: text, verbatim: true}), nil
	}
	return e.hold(held{text: text}), nil
}

// Text gives a value as text: nothing of null, and JSON of lists and objects.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case rawText:
		return string(v)
	case jsonText:
		return string(v)
	case codeText:
		return string(v)
	case fmt.Stringer:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool, int, int64:
		return fmt.Sprint(v)
	}
	out, err := encode(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return out
}

func encode(v any) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err //nolint:wrapcheck // the caller says what it was
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func (b *budget) json(v any) (jsonText, error) {
	text, err := encode(v)
	if err != nil {
		return "", fmt.Errorf("json: %w", err)
	}
	return jsonText(text), b.spend(text)
}

// quote gives a value as Groovy: a string, a number, true or false, or a list of such.
func (b *budget) quote(v any) (rawText, error) {
	switch v := v.(type) {
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			part, err := b.quote(item)
			if err != nil {
				return "", err
			}
			parts = append(parts, string(part))
		}
		return rawText("[" + strings.Join(parts, ", ") + "]"), nil
	case bool, int, int64, float64:
		return rawText(Text(v)), b.spend("")
	case map[string]any:
		return "", errors.New("quote: an object cannot be written as a string")
	}
	text := Text(v)
	if err := b.spend(text); err != nil {
		return "", err
	}
	return rawText(GroovyQuote(text)), nil
}

// GroovyQuote writes a text as a Groovy string literal that has exactly this value: in single quotes, in
// which nothing is interpolated.
func GroovyQuote(text string) string {
	var out strings.Builder
	out.Grow(len(text) + 2)
	out.WriteByte('\'')
	for _, r := range text {
		switch {
		case r == '\'' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&out, `\u%04x`, r)
		case r == utf8.RuneError:
			out.WriteRune(utf8.RuneError)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('\'')
	return out.String()
}

// shellQuote writes a text as one word of a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func (b *budget) each(v any, change func(string) string) (string, error) {
	text := Text(v)
	if err := b.spend(text); err != nil {
		return "", err
	}
	return change(text), nil
}

// fallback gives v unless it is nothing: null, an empty text or an empty list.
func fallback(otherwise, v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return v
	}
	if text := Text(v); text == "" || text == "[]" {
		return otherwise
	}
	return v
}

func (b *budget) join(separator string, v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		return Text(v), b.spend(Text(v))
	}
	parts := make([]string, 0, len(list))
	for _, item := range list {
		part := Text(item)
		if err := b.spend(part, separator); err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, separator), nil
}

func (b *budget) print(end string, args []any) (string, error) {
	parts, err := b.texts(args)
	if err != nil {
		return "", err
	}
	if end != "" {
		return strings.Join(parts, " ") + end, nil
	}
	return strings.Join(parts, ""), nil
}

// texts gives arguments as text; it fails before much is copied.
func (b *budget) texts(args []any) ([]string, error) {
	parts := make([]string, 0, len(args))
	length := 0
	for _, arg := range args {
		part := Text(arg)
		if err := b.spend(part); err != nil {
			return nil, err
		}
		if length += len(part); length > MaxOutput {
			return nil, fmt.Errorf("the result is longer than %d bytes", MaxOutput)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// verb is a part of a format: no argument may be named by its number and no width by an argument, and
// none is wide, as either makes long texts of short ones.
var verb = regexp.MustCompile(`%[-+# 0]{0,4}[0-9]{0,3}(\.[0-9]{1,3})?[a-zA-Z%]`)

// printf is fmt.Sprintf with short formats.
func (b *budget) printf(format string, args ...any) (string, error) {
	rest := verb.ReplaceAllString(format, "")
	if strings.Contains(rest, "%") {
		return "", errors.New("printf: the format must have simple verbs, as %s, %d or %-10s")
	}
	if err := b.spend(format); err != nil {
		return "", err
	}
	if _, err := b.texts(args); err != nil {
		return "", err
	}
	plain := make([]any, 0, len(args))
	for _, arg := range args {
		switch arg.(type) {
		case bool, int, int64, float64:
			plain = append(plain, arg)
		default:
			plain = append(plain, Text(arg))
		}
	}
	out := fmt.Sprintf(format, plain...)
	if len(out) > MaxOutput {
		return "", fmt.Errorf("the result is longer than %d bytes", MaxOutput)
	}
	return out, b.spend(out)
}
