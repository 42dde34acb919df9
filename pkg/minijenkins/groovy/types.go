// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math/big"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// className is the Java class of a value for messages.
func className(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "java.lang.String"
	case GString, *lazyString:
		return "org.codehaus.groovy.runtime.GStringImpl"
	case bool:
		return "java.lang.Boolean"
	case int64:
		if !isInteger(v) {
			return "java.lang.Long"
		}
		return "java.lang.Integer"
	case Long:
		return "java.lang.Long"
	case *big.Int:
		return "java.math.BigInteger"
	case Decimal:
		return "java.math.BigDecimal"
	case float64:
		return "java.lang.Double"
	case *List:
		switch {
		case v.set:
			return "java.util.LinkedHashSet"
		case v.span != "":
			return "groovy.lang.IntRange"
		}
		return "java.util.ArrayList"
	case *Map:
		if v.sorted {
			return "java.util.TreeMap"
		}
		return "java.util.LinkedHashMap"
	case *Closure:
		return "org.jenkinsci.plugins.workflow.cps.CpsClosure2"
	case *Exception:
		return v.Class
	case Pattern:
		return "java.util.regex.Pattern"
	case *matcher:
		return "java.util.regex.Matcher"
	case entry:
		return "java.util.LinkedHashMap$Entry"
	case classRef:
		return "java.lang.Class"
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
		names = []string{"String", "CharSequence", "Comparable", "Serializable"}
	case GString, *lazyString:
		names = []string{"GString", "CharSequence", "Comparable", "Serializable"}
	case bool:
		names = []string{"Boolean", "boolean", "Comparable", "Serializable"}
	case int64, Long, *big.Int, Decimal, float64:
		class := className(v)
		class = class[strings.LastIndexByte(class, '.')+1:]
		names = []string{class, strings.ToLower(class), "Number", "Comparable", "Serializable"}
		if class == "Integer" {
			names = append(names, "int")
		}
	case *List:
		names = []string{"Collection", "Iterable", "Serializable"}
		if v.set {
			names = append(names, "Set", "LinkedHashSet", "HashSet")
		} else {
			names = append(names, "List", "ArrayList", "AbstractList")
		}
		if v.span != "" {
			names = append(names, "Range", "IntRange")
		}
	case *Map:
		names = []string{"Map", "LinkedHashMap", "HashMap", "Serializable"}
		if v.sorted {
			names = []string{"Map", "TreeMap", "SortedMap", "Serializable"}
		}
	case *Closure:
		names = []string{"Closure", "Runnable", "Serializable"}
	case *Exception:
		return catches(v, []string{typ})
	case Pattern:
		names = []string{"Pattern"}
	case *matcher:
		names = []string{"Matcher"}
	case entry:
		names = []string{"Entry", "Map.Entry"}
	case Object:
		class := v.ClassName()
		return class == typ || class[strings.LastIndexByte(class, '.')+1:] == simple
	}
	return slices.Contains(names, simple)
}

// sameItems compares sets of one size.
func sameItems(a, b *List) bool {
	seen := NewMap()
	for _, x := range a.Items {
		seen.Put(x, true)
	}
	for _, x := range b.Items {
		if _, ok := seen.Get(x); !ok {
			return false
		}
	}
	return true
}

// coerce is a typed declaration or parameter: as a cast, but only among kinds that Groovy converts
// by itself.
func (f *frame) coerce(v any, typ string, pos jenkinsfile.Pos) (any, error) {
	simple := typ[strings.LastIndexByte(typ, '.')+1:]
	if v == nil {
		switch simple {
		case "boolean":
			return false, nil
		case "int", "long", "double", "float", "short", "byte", "char":
			return nil, cannotCast(v, simple, pos)
		}
		return nil, nil
	}
	switch simple {
	case "void":
		return nil, nil
	case "File", "URL", "Runtime", "Thread", "Class", "Process", "ProcessBuilder", "GroovyShell":
		if !isInstance(v, typ) {
			return nil, rejected(pos, "new "+fullName(simple)+signature([]any{v}))
		}
	case "String":
		return ToString(v), nil
	case "boolean", "Boolean":
		return Truth(v), nil
	case "int", "Integer", "short", "byte", "long", "Long", "double", "Double", "float", "Float", "BigDecimal", "BigInteger":
		if rankOf(v) == noNumber {
			return nil, cannotCast(v, boxed(simple), pos)
		}
		return convertNumber(v, simple, pos)
	case "List", "ArrayList", "LinkedList":
		if l, ok := v.(*List); ok && !l.set {
			return v, nil
		}
		if l, ok := v.(*List); ok {
			return &List{Items: slices.Clone(l.Items)}, nil
		}
		return nil, cannotCast(v, "java.util."+simple, pos)
	case "Set", "HashSet", "LinkedHashSet":
		if l, ok := v.(*List); ok {
			return f.newSet(l.Items, pos)
		}
		return nil, cannotCast(v, "java.util."+simple, pos)
	case "Map", "HashMap", "LinkedHashMap":
		if _, ok := v.(*Map); !ok {
			if _, ok := v.(Object); !ok {
				return nil, cannotCast(v, "java.util."+simple, pos)
			}
		}
	case "Closure":
		if _, ok := v.(*Closure); !ok {
			return nil, cannotCast(v, "groovy.lang.Closure", pos)
		}
	}
	return v, nil
}

func boxed(simple string) string {
	switch simple {
	case "int", "Integer":
		return "java.lang.Integer"
	case "BigDecimal", "BigInteger":
		return "java.math." + simple
	}
	return "java.lang." + strings.ToUpper(simple[:1]) + simple[1:]
}

func cannotCast(v any, class string, pos jenkinsfile.Pos) error {
	if v == nil {
		return throw(pos, "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
			"Cannot cast object 'null' with class 'null' to class '%s'. Try '%s' instead", class, boxed(class))
	}
	return throw(pos, "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
		"Cannot cast object '%s' with class '%s' to class '%s'", shortText(v), className(v), class)
}

// convertNumber gives a number as another kind.
func convertNumber(v any, simple string, pos jenkinsfile.Pos) (any, error) {
	switch simple {
	case "int", "Integer", "short", "Short", "byte", "Byte":
		n := truncated(v)
		return int64(int32(n)), nil
	case "long", "Long":
		return Long(truncated(v)), nil
	case "BigInteger":
		if b := bigOf(v); b != nil {
			return b, nil
		}
		return checkedNumber(decimalOf(v).integer(), pos)
	case "BigDecimal":
		return decimalOf(v), nil
	}
	n, _ := number(v)
	return n, nil
}

// truncated is longValue.
func truncated(v any) int64 {
	switch v := v.(type) {
	case float64:
		switch {
		case v != v:
			return 0
		case v >= 1<<63:
			return 1<<63 - 1
		case v < -(1 << 63):
			return -1 << 63
		}
		return int64(v)
	case Decimal:
		if v.scale < -64 {
			return 0
		}
		return low64(v.integer())
	case *big.Int:
		return low64(v)
	}
	n, _ := whole(v)
	return n
}

// low64 keeps the lowest 64 bits.
func low64(n *big.Int) int64 {
	mask := new(big.Int).SetUint64(1<<64 - 1)
	return int64(new(big.Int).And(n, mask).Uint64())
}

// cast is "x as Type" and "(Type) x".
func (f *frame) cast(v any, typ string, pos jenkinsfile.Pos) (any, error) {
	simple := typ[strings.LastIndexByte(typ, '.')+1:]
	s, isText := text(v)
	switch simple {
	case "int", "Integer", "short", "byte", "long", "Long", "double", "Double", "float", "Float", "BigDecimal", "BigInteger":
		if isText {
			return parseNumber(s, simple, pos)
		}
	case "List", "ArrayList", "LinkedList", "Collection", "Set", "HashSet", "LinkedHashSet", "TreeSet", "SortedSet":
		return f.asCollection(v, simple, pos)
	case "String[]", "Object[]", "int[]":
		return &List{Items: itemsOf(v)}, nil
	case "TreeMap", "SortedMap":
		if m, ok := v.(*Map); ok {
			return sortedMap(m), nil
		}
	case "Pattern":
		if isText {
			return Pattern{Source: s}, nil
		}
	case "Map":
		if m, ok := v.(*Map); ok {
			return m, nil
		}
	}
	return f.coerce(v, typ, pos)
}

func (f *frame) asCollection(v any, simple string, pos jenkinsfile.Pos) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v.(type) {
	case *List, *Map, string, GString, *lazyString, *matcher:
	default:
		return nil, cannotCast(v, "java.util."+simple, pos)
	}
	items := itemsOf(v)
	if strings.HasSuffix(simple, "Set") {
		if simple == "TreeSet" || simple == "SortedSet" {
			c := methodCall{f: f, pos: pos}
			var err error
			if items, err = c.sorted(&List{Items: items}, items, nil); err != nil {
				return nil, err
			}
		}
		return f.newSet(items, pos)
	}
	if l, ok := v.(*List); ok && !l.set && l.span == "" {
		return l, nil
	}
	return f.checked(&List{Items: items}, pos)
}

// newSet makes a set of the items.
func (f *frame) newSet(items []any, pos jenkinsfile.Pos) (any, error) {
	items, err := f.distinct(items, pos)
	if err != nil {
		return nil, err
	}
	return f.checked(&List{Items: items, set: true}, pos)
}

// distinct leaves out items that are equal to one before.
func (f *frame) distinct(items []any, pos jenkinsfile.Pos) ([]any, error) {
	seen := NewMap()
	out := make([]any, 0, len(items))
	for _, x := range items {
		if err := f.tick(pos); err != nil {
			return nil, err
		}
		if _, ok := seen.Get(x); !ok {
			seen.Put(x, true)
			out = append(out, x)
		}
	}
	return out, nil
}

func sortedMap(m *Map) *Map {
	out := NewMap()
	out.sorted = true
	for _, k := range m.keys {
		out.Put(k, m.value(k))
	}
	return out
}
