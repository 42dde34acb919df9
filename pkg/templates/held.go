// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// heldValues puts marks into a text instead of values, so that it can be parsed before they are in it:
// a value then has no way to end the string that it stands in.
type heldValues struct {
	prefix string
	marks  *regexp.Regexp
	values []held
}

func newHeldValues() *heldValues {
	random := make([]byte, 12)
	_, _ = rand.Read(random) // never fails
	prefix := "held" + hex.EncodeToString(random) + "x"
	return &heldValues{prefix: prefix, marks: regexp.MustCompile(prefix + "([0-9]+)x")}
}

// hold keeps a value and gives its mark.
func (h *heldValues) hold(value held) string {
	h.values = append(h.values, value)
	return h.prefix + strconv.Itoa(len(h.values)-1) + "x"
}

// code puts in the values that are meant as code.
func (h *heldValues) code(text string) string {
	return h.marks.ReplaceAllStringFunc(text, func(mark string) string {
		if value := h.value(mark); value.verbatim {
			return value.text
		}
		return mark
	})
}

func (h *heldValues) value(mark string) held {
	number, err := strconv.Atoi(h.marks.FindStringSubmatch(mark)[1])
	if err != nil || number >= len(h.values) {
		return held{}
	}
	return h.values[number]
}

// harmless is what a value may be that stands in code outside of a string: a name or a number.
var harmless = regexp.MustCompile(`^[\p{L}\p{N}_.]*$`)

// scriptArgument is the key of the code of the step script.
const scriptArgument = "scriptBlock"

// fill puts all values into a parsed step. isCode says that texts are Groovy code: in its strings values
// are written with what escapes they need.
func (h *heldValues) fill(v any, isCode bool) (any, error) {
	switch v := v.(type) {
	case string:
		return h.fillText(v, isCode)
	case []any:
		for i := range v {
			filled, err := h.fill(v[i], isCode)
			if err != nil {
				return nil, err
			}
			v[i] = filled
		}
	case map[string]any:
		isLiteral, known := v["isLiteral"].(bool)
		isCode = isCode || known && !isLiteral || v["key"] == scriptArgument
		for key := range v {
			if h.marks.MatchString(key) {
				return nil, problem("the template puts a value where the JSON has the name of a field")
			}
			// The name of a step or argument is code wherever it stands.
			filled, err := h.fill(v[key], isCode || key == "name" || key == "key")
			if err != nil {
				return nil, err
			}
			v[key] = filled
		}
	}
	return v, nil
}

func (h *heldValues) fillText(text string, isCode bool) (string, error) {
	var quoted map[string]bool
	if isCode {
		text = h.code(text)
		quoted = h.quoted(text)
	}
	var bad *held
	out := h.marks.ReplaceAllStringFunc(text, func(mark string) string {
		value := h.value(mark)
		switch {
		case !isCode:
		case quoted[mark]:
			return escape(value.text)
		case !harmless.MatchString(value.text):
			bad = &value
		}
		return value.text
	})
	if bad != nil {
		return "", problem("the value %q cannot be used: the template makes it a part of Groovy code, where only a name or a number fits", clip(bad.text))
	}
	if len(out) > MaxOutput {
		return "", problem("the result is longer than %d bytes", MaxOutput)
	}
	return out, nil
}

// escape writes a text as it has to be inside of a Groovy string in single or double quotes.
func escape(text string) string {
	inner := GroovyQuote(text)
	return strings.NewReplacer(`"`, `\"`, "$", `\$`).Replace(inner[1 : len(inner)-1])
}

// quoted finds the marks in code that stand in strings in quotes, and nowhere else.
func (h *heldValues) quoted(code string) map[string]bool {
	if !h.marks.MatchString(code) {
		return nil
	}
	source := code
	if strings.HasPrefix(code, "${") && strings.HasSuffix(code, "}") {
		source = code[2 : len(code)-1] // as Jenkins' converter writes an expression
	}
	script, err := jenkinsfile.ParseScript(source)
	if err != nil {
		return nil
	}
	counts := map[string]int{}
	for _, mark := range h.marks.FindAllString(source, -1) {
		counts[mark]++
	}
	note := func(n jenkinsfile.Node, parts ...jenkinsfile.Expr) {
		if at := n.Start().Offset; at >= len(source) || source[at] != '\'' && source[at] != '"' {
			return
		}
		for _, part := range parts {
			constant, ok := part.(*jenkinsfile.Constant)
			if !ok {
				continue
			}
			text, _ := constant.Value.(string)
			for _, mark := range h.marks.FindAllString(text, -1) {
				counts[mark]--
			}
		}
	}
	inGString := map[jenkinsfile.Node]bool{}
	for _, statement := range script.Stmts {
		jenkinsfile.Walk(statement, func(n jenkinsfile.Node) {
			switch n := n.(type) {
			case *jenkinsfile.GString:
				note(n, n.Parts...)
				for _, part := range n.Parts {
					inGString[part] = true
				}
			case *jenkinsfile.Constant:
				if !inGString[n] {
					note(n, n)
				}
			}
		})
	}
	quoted := map[string]bool{}
	for mark, count := range counts {
		quoted[mark] = count == 0
	}
	return quoted
}

func clip(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("… (%d bytes)", len(text))
	}
	return text
}
