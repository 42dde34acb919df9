// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package groovy evaluates the Groovy subset of package jenkinsfile in a sandbox. A script reaches
// nothing but the values and steps that its Host gives it: no files, processes, network or classes.
// Its work and its memory are limited, and it ends with its context.
package groovy

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Values are nil, bool, numbers (see Long), string, GString, *List, *Map, *Closure, *Exception, Pattern
// and Object, and some more that hosts do not see.

// GString is a string that was written with parts to evaluate. It equals a string with that text.
type GString string

// lazyString is a string with parts that are evaluated each time that its text is needed ("${-> x}").
type lazyString struct {
	f     *frame
	parts []any
	pos   jenkinsfile.Pos
}

// maxTexts bounds how deep lazy strings may stand in one another; one may hold itself.
const maxTexts = 32

// maxTextsWithin bounds how many lazy strings are evaluated for the text of one: those that hold each other twice
// would double with each level.
const maxTextsWithin = 1000

// String evaluates the parts. The text is needed where no error can be told: one leaves a part out, and one of
// a limit comes again with the next step of evaluation.
func (l *lazyString) String() string {
	f := l.f
	if f.m.texts == 0 {
		f.m.textsLeft, f.m.textBytesLeft = maxTextsWithin, 2*f.m.limits.StringBytes
	}
	f.m.steps++
	f.m.textsLeft--
	if f.m.texts >= maxTexts || f.m.textsLeft < 0 || f.m.textBytesLeft < 0 {
		return "(…)"
	}
	f.m.texts++
	defer func() { f.m.texts-- }()
	values := slices.Clone(l.parts)
	for i, v := range values {
		if c, ok := v.(*Closure); ok {
			values[i], _ = f.call(c, nil)
		}
	}
	text, _ := f.joined(values, l.pos)
	f.m.textBytesLeft -= len(text)
	f.m.steps += len(text) / bytesPerStep
	return text
}

// List is a mutable list. It may be a set or a range; hosts need not tell them apart.
type List struct {
	Items []any
	// set keeps equal items out; span is the text of a range, which can not be changed.
	set  bool
	span string
	// ends are those of a range of numbers; the last is not in it if exclusive.
	ends      [2]int64
	exclusive bool
	// paid is what was charged for it, mark the number of the measure that saw it.
	paid int
	mark uint32
}

// NewList makes a list of the items.
func NewList(items ...any) *List { return &List{Items: items} }

// Map keeps the order of its keys.
type Map struct {
	keys   []any
	values map[any]any
	// ids are what stands for the keys in values. It is not asked for again: a map may be, or be in, a key of its own.
	ids []any
	// fallback makes the values of missing keys; see withDefault.
	fallback *Closure
	// sorted keeps the keys in their natural order.
	sorted bool
	// keyBytes is the size of the texts that stand for keys, most the number of keys that it had at most.
	keyBytes, most int
	// paid is what was charged for it, mark the number of the measure that saw it.
	paid int
	mark uint32
}

// NewMap makes an empty map.
func NewMap() *Map { return &Map{values: map[any]any{}} }

// Get returns the value of a key.
func (m *Map) Get(key any) (any, bool) {
	v, ok := m.values[mapKey(key)]
	return v, ok
}

// value is Get for a key that exists.
func (m *Map) value(key any) any { return m.values[mapKey(key)] }

// Put sets the value of a key.
func (m *Map) Put(key, value any) {
	k := mapKey(key)
	if _, ok := m.values[k]; !ok {
		switch text := key.(type) {
		case GString:
			key = string(text)
		case *lazyString:
			key = text.String()
		}
		if m.sorted {
			i := sort.Search(len(m.keys), func(i int) bool { n, _ := compare(m.keys[i], key); return n > 0 })
			m.keys, m.ids = slices.Insert(m.keys, i, key), slices.Insert(m.ids, i, k)
		} else {
			m.keys, m.ids = append(m.keys, key), append(m.ids, k)
		}
	}
	if _, ok := m.values[k]; !ok {
		m.keyBytes += keySize(k)
	}
	m.values[k] = value
	m.most = max(m.most, len(m.keys))
}

// shrink gives memory back that removed entries took.
func (m *Map) shrink() {
	values := make(map[any]any, len(m.values))
	for _, id := range m.ids {
		values[id] = m.values[id]
	}
	m.keys, m.ids, m.values, m.most = slices.Clone(m.keys), slices.Clone(m.ids), values, len(m.keys)
}

// keySize is the length of the text that stands for a key.
func keySize(k any) int {
	if t, ok := k.(textKey); ok {
		return len(t.text)
	}
	return 0
}

// Remove deletes a key and returns its value.
func (m *Map) Remove(key any) any {
	k := mapKey(key)
	v, ok := m.values[k]
	if !ok {
		return nil
	}
	delete(m.values, k)
	m.keyBytes -= keySize(k)
	if i := slices.Index(m.ids, k); i >= 0 {
		m.keys, m.ids = append(m.keys[:i:i], m.keys[i+1:]...), append(m.ids[:i:i], m.ids[i+1:]...)
	}
	return v
}

// Keys returns the keys in order.
func (m *Map) Keys() []any { return append([]any(nil), m.keys...) }

// Len is the number of keys.
func (m *Map) Len() int { return len(m.keys) }

// textKey is the key of a value that counts by its kind and text.
type textKey struct{ kind, text string }

// mapKey makes a comparable key; lists and other objects count by their text.
func mapKey(k any) any {
	switch k := k.(type) {
	case nil, string, int64, Long, bool, float64, classRef:
		return k
	case GString:
		return string(k)
	case *lazyString:
		return k.String()
	case *Closure, *Script:
		return k
	case entry, Pattern:
		return textKey{className(k), shortText(k)}
	}
	var b strings.Builder
	if writeText(&b, k, 0, textOptions{inspect: true, limit: maxKey}); b.Len() <= maxKey {
		return textKey{className(k), b.String()}
	}
	// Too long to be compared each time.
	return k
}

// maxKey bounds the text of lists and other objects that are keys.
const maxKey = 8 << 10

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
	// inner is what it was made of by curry (bound are the arguments, boundAt their place, -1 at the end)
	// or by composition (then is called with its result).
	inner, then *Closure
	bound       []any
	boundAt     int
	// delegation is nil for a closure without a delegate of its own.
	delegation *delegation
	// mark is the number of the measure that saw it.
	mark uint32
}

// Pos is where the closure stands in the source.
func (c *Closure) Pos() jenkinsfile.Pos { return c.pos }

// Pattern is a regular expression (~/x/).
type Pattern struct{ Source string }

// entry is an entry of a map as closures get it.
type entry struct {
	key, value any
	// of is the map.
	of *Map
}

// Exception is an error of a script, as catch sees it.
type Exception struct {
	// Class is the full name of the Java class.
	Class   string
	Message string
	// Pos is where it was thrown; zero if unknown.
	Pos jenkinsfile.Pos
	// Trace are the functions of the script that it left, the innermost first.
	Trace []string
	// Cause is the exception that it was made of, nil without one.
	Cause *Exception
	// Err is the host's error behind it.
	Err error
	// File and Script are the file and the name of the script of a library that it was thrown in, empty for other scripts.
	File, Script string
	// placed says that File and Script are decided.
	placed bool
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
	case *lazyString:
		return v.String() != ""
	case int64, Long, *big.Int, Decimal, float64:
		return compareNumbers(v, int64(0)) != 0
	case *List:
		return len(v.Items) > 0
	case *Map:
		return v.Len() > 0
	case *matcher:
		v.whole = nil
		v.at++
		return v.at < len(v.all())
	}
	return true
}

// maxTextDepth bounds the text of lists in lists; a list may hold itself.
const maxTextDepth = 32

// ToString is the text of a value as string concatenation gives it.
func ToString(v any) string {
	var b strings.Builder
	writeText(&b, v, 0, textOptions{limit: textLimit})
	return b.String()
}

// textLimit stops building texts of nested values.
const textLimit = 5 << 20

// textOptions say how values are written: strings in quotes, and how long the text may be about.
type textOptions struct {
	inspect bool
	limit   int
}

func writeText(b *strings.Builder, v any, depth int, o textOptions) {
	if depth > maxTextDepth || b.Len() > o.limit {
		b.WriteString("(…)")
		return
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		writeQuoted(b, v, o)
	case GString:
		writeQuoted(b, string(v), o)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatFloat(v))
	case *List:
		if v.span != "" && depth > 0 {
			b.WriteString(v.span)
			return
		}
		b.WriteByte('[')
		for i, x := range v.Items {
			if b.Len() > o.limit {
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			writeMember(b, v, x, depth, o)
		}
		b.WriteByte(']')
	case *Map:
		writeMap(b, v, depth, o)
	case entry:
		writeText(b, v.key, depth+1, o)
		b.WriteByte('=')
		writeText(b, v.value, depth+1, o)
	case Pattern:
		b.WriteString(v.Source)
	case *Exception:
		b.WriteString(v.Error())
	case *Closure:
		b.WriteString("org.jenkinsci.plugins.workflow.cps.CpsClosure2@1")
	case *matcher:
		b.WriteString("java.util.regex.Matcher[pattern=" + v.source + "]")
	case classRef:
		b.WriteString("class " + v.full())
	case fmt.Stringer:
		b.WriteString(v.String())
	default:
		fmt.Fprint(b, v)
	}
}

func writeQuoted(b *strings.Builder, s string, o textOptions) {
	if o.inspect {
		b.WriteString("'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'")
		return
	}
	b.WriteString(s)
}

func writeMap(b *strings.Builder, m *Map, depth int, o textOptions) {
	if m.Len() == 0 {
		b.WriteString("[:]")
		return
	}
	b.WriteByte('[')
	for i, k := range m.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > o.limit {
			break
		}
		writeMember(b, m, k, depth, o)
		b.WriteByte(':')
		writeMember(b, m, m.values[m.ids[i]], depth, o)
	}
	b.WriteByte(']')
}

// writeMember writes an item of a collection, which may be the collection itself.
func writeMember(b *strings.Builder, owner, item any, depth int, o textOptions) {
	if owner == item {
		if _, isMap := owner.(*Map); isMap {
			b.WriteString("(this Map)")
		} else {
			b.WriteString("(this Collection)")
		}
		return
	}
	writeText(b, item, depth+1, o)
}

// formatFloat prints a Double as Java does.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a >= 1e7 || a < 1e-3) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := ""
		if exponent[0] == '-' {
			sign = "-"
		}
		return mantissa + "E" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
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
	case *lazyString:
		return v.String(), true
	}
	return "", false
}

// Equal is Groovy's ==.
func Equal(a, b any) bool {
	left := maxWalk
	return equalDepth(a, b, &left, 0)
}

func equalDepth(a, b any, left *int, depth int) bool {
	if *left--; *left < 0 || depth > maxTextDepth {
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
	if rankOf(a) != noNumber {
		return rankOf(b) != noNumber && compareNumbers(a, b) == 0
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case *List:
		y, ok := b.(*List)
		return ok && equalLists(x, y, left, depth)
	case *Map:
		return equalMaps(x, b, left, depth)
	case *Closure, *Exception, Pattern, classRef:
		return a == b
	case *Date:
		y, ok := b.(*Date)
		return ok && x.ms == y.ms
	case Object:
		return a == b
	case entry:
		y, ok := b.(entry)
		return ok && equalDepth(x.key, y.key, left, depth+1) && equalDepth(x.value, y.value, left, depth+1)
	}
	return false
}

func equalLists(x, y *List, left *int, depth int) bool {
	switch {
	case len(x.Items) != len(y.Items):
		return false
	case x == y:
		return true
	case x.set:
		return y.set && sameItems(x, y)
	}
	for i := range x.Items {
		if !equalDepth(x.Items[i], y.Items[i], left, depth+1) {
			return false
		}
	}
	return true
}

func equalMaps(x *Map, b any, left *int, depth int) bool {
	y, ok := b.(*Map)
	if !ok || x.Len() != y.Len() {
		return false
	}
	for _, k := range x.keys {
		v, ok := y.Get(k)
		if !ok || !equalDepth(x.value(k), v, left, depth+1) {
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
	if rankOf(a) != noNumber {
		if rankOf(b) == noNumber {
			return 0, false
		}
		return compareNumbers(a, b), true
	}
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return boolInt(x) - boolInt(y), ok
	}
	if x, ok := a.(*Date); ok {
		if y, ok := b.(*Date); ok {
			return cmp.Compare(x.ms, y.ms), true
		}
	}
	return 0, false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
