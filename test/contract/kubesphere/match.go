// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kubesphere

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Matchers. A plain value is equal to the actual one. A map matches if each of its keys does; others may be
// there. A list matches one of equal length, each element in its place. Texts with a meaning of their own:
//
//	re:EXPR     a text in which the regular expression matches
//	$any        anything but null; the key is there
//	$absent     the key is not there
//	$null       null, or the key is not there
//	$empty      an empty list, object or text, not null
//	$text, $number, $bool, $list, $object, $time (RFC 3339)
//
// Maps with one key of these:
//
//	$json: M          a text that is JSON, which M matches
//	$contains: M      a list in which an element matches
//	$every: M         a list in which every element matches, and has one
//	$length: M        a list or text whose length matches
//	$not: M           what M does not match
//	$oneOf: [M, …]    what one of them matches
//	$atLeast, $atMost: number
//	$ordered: {by: key, descending: true}   a list of objects, sorted
const (
	matchExpression = "re:"
	matchAbsent     = "$absent"
)

// absent is the actual value of a key that is not there.
type absent struct{}

// matcher compares and counts.
type matcher struct {
	// checks counts the leaves that were compared.
	checks int
}

// match gives what does not match, "" if all does.
func (m *matcher) match(at string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		if len(want) == 1 {
			for key, value := range want {
				if f, ok := operators[key]; ok {
					return f(m, at, value, got)
				}
			}
		}
		return m.object(at, want, got)
	case []any:
		return m.list(at, want, got)
	case string:
		return m.text(at, want, got)
	}
	m.checks++
	if !reflect.DeepEqual(want, got) {
		return differs(at, want, got)
	}
	return ""
}

func differs(at string, want, got any) string {
	return fmt.Sprintf("%s: want %s, got %s", at, show(want), show(got))
}

// show prints a value in at most a few lines.
func show(value any) string {
	if _, missing := value.(absent); missing {
		return "nothing"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return clip(string(text), 600)
}

func clip(text string, limit int) string {
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

func (m *matcher) object(at string, want map[string]any, got any) string {
	m.checks++
	object, ok := got.(map[string]any)
	if !ok {
		return differs(at, want, got)
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, there := object[key]
		if !there {
			value = absent{}
		}
		if problem := m.match(at+"/"+key, want[key], value); problem != "" {
			return problem
		}
	}
	return ""
}

func (m *matcher) list(at string, want []any, got any) string {
	m.checks++
	list, ok := got.([]any)
	if !ok || len(list) != len(want) {
		return differs(at, want, got)
	}
	for i := range want {
		if problem := m.match(fmt.Sprintf("%s/%d", at, i), want[i], list[i]); problem != "" {
			return problem
		}
	}
	return ""
}

// kinds are the texts with a meaning of their own.
var kinds = map[string]func(got any) bool{
	"$any":       func(got any) bool { return got != nil && got != absent{} },
	matchAbsent:  func(got any) bool { return got == absent{} },
	"$null":      func(got any) bool { return got == nil || got == absent{} },
	"$empty":     func(got any) bool { return length(got) == 0 },
	"$text":      func(got any) bool { _, ok := got.(string); return ok },
	"$number":    func(got any) bool { _, ok := got.(float64); return ok },
	"$bool":      func(got any) bool { _, ok := got.(bool); return ok },
	"$list":      func(got any) bool { _, ok := got.([]any); return ok },
	"$object":    func(got any) bool { _, ok := got.(map[string]any); return ok },
	"$time":      isTime,
	"$timeOrNot": func(got any) bool { return got == nil || got == absent{} || isTime(got) },
}

func isTime(got any) bool {
	text, _ := got.(string)
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

func (m *matcher) text(at, want string, got any) string {
	m.checks++
	// Lists and maps cannot be compared to the marker of what is missing.
	if is, ok := kinds[want]; ok {
		if kind := reflect.TypeOf(got); kind != nil && !kind.Comparable() {
			switch want {
			case "$any":
				return ""
			case matchAbsent, "$null":
				return differs(at, want, got)
			}
		}
		if !is(got) {
			return differs(at, want, got)
		}
		return ""
	}
	text, ok := got.(string)
	if expression, is := strings.CutPrefix(want, matchExpression); is {
		compiled, err := regexp.Compile(expression)
		if err != nil {
			return fmt.Sprintf("%s: %v", at, err)
		}
		if !ok || !compiled.MatchString(text) {
			return differs(at, want, got)
		}
		return ""
	}
	if !ok || text != want {
		return differs(at, want, got)
	}
	return ""
}

// length gives the length of a list, object or text, and -1 of everything else.
func length(got any) int {
	switch got := got.(type) {
	case []any:
		return len(got)
	case map[string]any:
		return len(got)
	case string:
		return len(got)
	}
	return -1
}

var operators map[string]func(m *matcher, at string, want, got any) string

func init() { // they call each other by way of match
	operators = map[string]func(m *matcher, at string, want, got any) string{
		"$json": func(m *matcher, at string, want, got any) string {
			var value any
			text, _ := got.(string)
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return fmt.Sprintf("%s: want JSON, got %s", at, show(got))
			}
			return m.match(at, want, value)
		},
		"$contains": func(m *matcher, at string, want, got any) string {
			list, _ := got.([]any)
			closest := ""
			for i, element := range list {
				problem := m.match(fmt.Sprintf("%s/%d", at, i), want, element)
				if problem == "" {
					return ""
				}
				closest = problem
			}
			return fmt.Sprintf("%s: no element matches %s among %d; the last: %s", at, show(want), len(list), closest)
		},
		"$every": func(m *matcher, at string, want, got any) string {
			list, _ := got.([]any)
			if len(list) == 0 {
				return differs(at, "a list that is not empty", got)
			}
			for i, element := range list {
				if problem := m.match(fmt.Sprintf("%s/%d", at, i), want, element); problem != "" {
					return problem
				}
			}
			return ""
		},
		"$length": func(m *matcher, at string, want, got any) string {
			return m.match(at+" (length)", want, float64(length(got)))
		},
		"$not": func(m *matcher, at string, want, got any) string {
			m.checks++
			if new(matcher).match(at, want, got) == "" {
				return fmt.Sprintf("%s: got %s, which is not wanted", at, show(got))
			}
			return ""
		},
		"$oneOf": func(m *matcher, at string, want, got any) string {
			alternatives, _ := want.([]any)
			for _, one := range alternatives {
				if m.match(at, one, got) == "" {
					return ""
				}
			}
			return differs(at, want, got)
		},
		"$atLeast": func(m *matcher, at string, want, got any) string { return m.bound(at, want, got, 1) },
		"$atMost":  func(m *matcher, at string, want, got any) string { return m.bound(at, want, got, -1) },
		"$ordered": ordered,
	}
}

func (m *matcher) bound(at string, want, got any, sign float64) string {
	m.checks++
	limit, isLimit := want.(float64)
	number, isNumber := got.(float64)
	if !isLimit || !isNumber || sign*(number-limit) < 0 {
		return differs(at, want, got)
	}
	return ""
}

func ordered(m *matcher, at string, want, got any) string {
	m.checks++
	order, _ := want.(map[string]any)
	by, _ := order["by"].(string)
	descending, _ := order["descending"].(bool)
	list, _ := got.([]any)
	var keys []string
	for i, element := range list {
		value, err := find(element, by)
		text, ok := value.(string)
		if err != nil || !ok {
			return fmt.Sprintf("%s/%d: no text at %s", at, i, by)
		}
		keys = append(keys, text)
	}
	if descending {
		slices.Reverse(keys)
	}
	if !slices.IsSorted(keys) {
		return fmt.Sprintf("%s: not sorted by %s: %s", at, by, show(keys))
	}
	return ""
}

// find gives the value at a path of keys and indices, separated by slashes; ~1 is a slash in a key. [key] is the first
// element of a list that has something under the key, [key=text] the first that has the text there.
func find(value any, path string) (any, error) {
	if path == "" {
		return value, nil
	}
	for _, key := range strings.Split(path, "/") {
		key = strings.ReplaceAll(key, "~1", "/")
		switch container := value.(type) {
		case map[string]any:
			next, ok := container[key]
			if !ok {
				return nil, fmt.Errorf("there is no %q in %s", key, show(value))
			}
			value = next
		case []any:
			if wanted, ok := strings.CutPrefix(key, "["); ok {
				next, err := pick(container, strings.TrimSuffix(wanted, "]"))
				if err != nil {
					return nil, err
				}
				value = next
				continue
			}
			var index int
			if _, err := fmt.Sscanf(key, "%d", &index); err != nil || index < 0 || index >= len(container) {
				return nil, fmt.Errorf("there is no element %s in a list of %d", key, len(container))
			}
			value = container[index]
		default:
			return nil, fmt.Errorf("%q: %s has no parts", key, show(value))
		}
	}
	return value, nil
}

func pick(list []any, wanted string) (any, error) {
	key, text, exact := strings.Cut(wanted, "=")
	for _, element := range list {
		object, _ := element.(map[string]any)
		value, there := object[key]
		if there && (exact && value == text || !exact && value != nil && length(value) != 0) {
			return element, nil
		}
	}
	return nil, fmt.Errorf("no element of %s has %s", show(list), wanted)
}
