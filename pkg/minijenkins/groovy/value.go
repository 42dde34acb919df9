// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package groovy evaluates the Groovy subset of package jenkinsfile in a sandbox. A script reaches
// nothing but the values and steps that its Host gives it: no files, processes, network or classes.
// Its work and its memory are limited, and it ends with its context.
package groovy

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Values are nil, bool, int64, float64, string, GString, *List, *Map, *Closure, *Exception, Pattern
// and Object. Groovy's Integer, Long and BigInteger are int64; BigDecimal and Double are float64.

// GString is a string that was written with parts to evaluate. It equals a string with that text.
type GString string

// List is a mutable list.
type List struct{ Items []any }

// NewList makes a list of the items.
func NewList(items ...any) *List { return &List{Items: items} }

// Map keeps the order of its keys. Keys are strings, int64, bool or float64.
type Map struct {
	keys   []any
	values map[any]any
}

// NewMap makes an empty map.
func NewMap() *Map { return &Map{values: map[any]any{}} }

// Get returns the value of a key.
func (m *Map) Get(key any) (any, bool) {
	v, ok := m.values[mapKey(key)]
	return v, ok
}

// Put sets the value of a key.
func (m *Map) Put(key, value any) {
	k := mapKey(key)
	if _, ok := m.values[k]; !ok {
		m.keys = append(m.keys, k)
	}
	m.values[k] = value
}

// Remove deletes a key and returns its value.
func (m *Map) Remove(key any) any {
	k := mapKey(key)
	v, ok := m.values[k]
	if !ok {
		return nil
	}
	delete(m.values, k)
	for i, x := range m.keys {
		if x == k {
			m.keys = append(m.keys[:i:i], m.keys[i+1:]...)
			break
		}
	}
	return v
}

// Keys returns the keys in order.
func (m *Map) Keys() []any { return append([]any(nil), m.keys...) }

// Len is the number of keys.
func (m *Map) Len() int { return len(m.keys) }

// mapKey makes a comparable key; lists and other objects count by their text.
func mapKey(k any) any {
	switch k := k.(type) {
	case nil, string, int64, bool, float64:
		return k
	case GString:
		return string(k)
	}
	return ToString(k)
}

// Object is a value that the host gives to scripts.
type Object interface {
	// Property returns a property; ok is false if there is none of that name.
	Property(ctx context.Context, name string) (value any, ok bool, err error)
	// SetProperty sets a property; ok is false if it can not be set.
	SetProperty(ctx context.Context, name string, value any) (ok bool, err error)
	// Call calls a method; ok is false if there is none of that name.
	Call(ctx context.Context, name string, args []any) (value any, ok bool, err error)
	// String is the text of the value.
	String() string
	// ClassName is the name that messages call it by.
	ClassName() string
}

// Closure is a function value.
type Closure struct {
	params    []jenkinsfile.Param
	hasParams bool
	body      []jenkinsfile.Stmt
	scope     *scope
	pos       jenkinsfile.Pos
	// object and method are of a method pointer.
	object any
	method string
	// function is the name if it is a function of a script, returns its type, and other is the one of the
	// same name that was declared before it.
	function, returns string
	other             *Closure
}

// Pos is where the closure stands in the source.
func (c *Closure) Pos() jenkinsfile.Pos { return c.pos }

// Pattern is a regular expression (~/x/).
type Pattern struct{ Source string }

// entry is an entry of a map as closures get it.
type entry struct{ key, value any }

// Exception is an error of a script, as catch sees it.
type Exception struct {
	// Class is the full name of the Java class.
	Class   string
	Message string
	// Pos is where it was thrown; zero if unknown.
	Pos jenkinsfile.Pos
	// Err is the host's error behind it.
	Err error
}

// Error gives class and message as Java's toString does.
func (e *Exception) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// Unwrap returns the host's error.
func (e *Exception) Unwrap() error { return e.Err }

// LimitError ends a script that works too long or holds too much. Scripts can not catch it.
type LimitError struct {
	Message string
	Pos     jenkinsfile.Pos
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s @ line %d, column %d", e.Message, e.Pos.Line, e.Pos.Column)
}

// Truth is Groovy's truth of a value.
func Truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case GString:
		return v != ""
	case int64:
		return v != 0
	case float64:
		return v != 0
	case *List:
		return len(v.Items) > 0
	case *Map:
		return v.Len() > 0
	case matcher:
		return len(v.found) > 0
	}
	return true
}

// maxTextDepth bounds the text of lists in lists; a list may hold itself.
const maxTextDepth = 32

// ToString is the text of a value as string concatenation gives it.
func ToString(v any) string {
	var b strings.Builder
	writeText(&b, v, 0, false)
	return b.String()
}

// textLimit stops building texts of nested values.
const textLimit = 8 << 20

func writeText(b *strings.Builder, v any, depth int, inspect bool) {
	if depth > maxTextDepth || b.Len() > textLimit {
		b.WriteString("(…)")
		return
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		writeQuoted(b, v, inspect)
	case GString:
		writeQuoted(b, string(v), inspect)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatFloat(v))
	case *List:
		b.WriteByte('[')
		for i, x := range v.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			writeText(b, x, depth+1, inspect)
		}
		b.WriteByte(']')
	case *Map:
		writeMap(b, v, depth, inspect)
	case entry:
		writeText(b, v.key, depth+1, inspect)
		b.WriteByte('=')
		writeText(b, v.value, depth+1, inspect)
	case Pattern:
		b.WriteString(v.Source)
	case *Exception:
		b.WriteString(v.Error())
	case *Closure:
		b.WriteString("WorkflowScript$_closure")
	case fmt.Stringer:
		b.WriteString(v.String())
	default:
		fmt.Fprint(b, v)
	}
}

func writeQuoted(b *strings.Builder, s string, inspect bool) {
	if inspect {
		b.WriteString("'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'")
		return
	}
	b.WriteString(s)
}

func writeMap(b *strings.Builder, m *Map, depth int, inspect bool) {
	if m.Len() == 0 {
		b.WriteString("[:]")
		return
	}
	b.WriteByte('[')
	for i, k := range m.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		writeText(b, k, depth+1, inspect)
		b.WriteByte(':')
		writeText(b, m.values[k], depth+1, inspect)
	}
	b.WriteByte(']')
}

// formatFloat prints 15 significant digits, which hides the binary form of decimals.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a >= 1e16 || a < 1e-6) {
		return strconv.FormatFloat(f, 'E', -1, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 15, 64), 64)
	if err != nil {
		rounded = f
	}
	s := strconv.FormatFloat(rounded, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// text returns the string of a string value.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case GString:
		return string(v), true
	}
	return "", false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Equal is Groovy's ==.
func Equal(a, b any) bool { return equalDepth(a, b, 0) }

func equalDepth(a, b any, depth int) bool {
	if depth > maxTextDepth {
		return false
	}
	if s, ok := text(a); ok {
		t, ok := text(b)
		return ok && s == t
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return x == y
		}
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case *List:
		y, ok := b.(*List)
		if !ok || len(x.Items) != len(y.Items) {
			return false
		}
		for i := range x.Items {
			if !equalDepth(x.Items[i], y.Items[i], depth+1) {
				return false
			}
		}
		return true
	case *Map:
		return equalMaps(x, b, depth)
	case *Closure, *Exception, Object:
		return a == b
	case Pattern:
		return a == b
	case entry:
		y, ok := b.(entry)
		return ok && equalDepth(x.key, y.key, depth+1) && equalDepth(x.value, y.value, depth+1)
	}
	return false
}

func equalMaps(x *Map, b any, depth int) bool {
	y, ok := b.(*Map)
	if !ok || x.Len() != y.Len() {
		return false
	}
	for _, k := range x.keys {
		v, ok := y.values[k]
		if !ok || !equalDepth(x.values[k], v, depth+1) {
			return false
		}
	}
	return true
}

// compare orders two values; ok is false if they have no order.
func compare(a, b any) (int, bool) {
	if a == nil || b == nil {
		switch {
		case a == nil && b == nil:
			return 0, true
		case a == nil:
			return -1, true
		}
		return 1, true
	}
	if s, ok := text(a); ok {
		t, ok := text(b)
		return strings.Compare(s, t), ok
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		switch {
		case !ok:
			return 0, false
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return boolInt(x) - boolInt(y), ok
	}
	return 0, false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// className is the Java class of a value for messages.
func className(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "java.lang.String"
	case GString:
		return "org.codehaus.groovy.runtime.GStringImpl"
	case bool:
		return "java.lang.Boolean"
	case int64:
		return "java.lang.Integer"
	case float64:
		return "java.math.BigDecimal"
	case *List:
		return "java.util.ArrayList"
	case *Map:
		return "java.util.LinkedHashMap"
	case *Closure:
		return "org.jenkinsci.plugins.workflow.cps.CpsClosure2"
	case *Exception:
		return v.Class
	case Pattern:
		return "java.util.regex.Pattern"
	case Object:
		return v.ClassName()
	}
	return "java.lang.Object"
}

// isInstance tells if a value is of a type that a script names.
func isInstance(v any, typ string) bool {
	simple := typ[strings.LastIndexByte(typ, '.')+1:]
	if simple == "Object" {
		return v != nil
	}
	var names []string
	switch v := v.(type) {
	case string:
		names = []string{"String", "CharSequence", "Comparable"}
	case GString:
		names = []string{"GString", "CharSequence", "Comparable"}
	case bool:
		names = []string{"Boolean", "boolean"}
	case int64:
		names = []string{"Integer", "Long", "Number", "int", "long"}
	case float64:
		names = []string{"BigDecimal", "Double", "Number", "double"}
	case *List:
		names = []string{"List", "ArrayList", "Collection", "Iterable"}
	case *Map:
		names = []string{"Map", "LinkedHashMap", "HashMap"}
	case *Closure:
		names = []string{"Closure"}
	case *Exception:
		return catches(v, []string{typ})
	}
	sort.Strings(names)
	i := sort.SearchStrings(names, simple)
	return i < len(names) && names[i] == simple
}
