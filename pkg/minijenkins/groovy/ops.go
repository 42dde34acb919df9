// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func (f *frame) unary(s *scope, x *jenkinsfile.Unary) (any, error) {
	v, err := f.eval(s, x.X)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "!":
		return !Truth(v), nil
	case "-":
		n, err := negative(v, x.From)
		if err != nil {
			return nil, err
		}
		return f.checked(n, x.From)
	case "+":
		return v, nil
	case "~":
		if str, ok := text(v); ok {
			return Pattern{Source: str}, nil
		}
		switch n := v.(type) {
		case int64:
			return ^n, nil
		case Long:
			return ^n, nil
		}
		return nil, missingMethod(x.From, "bitwiseNegate", v, nil)
	}
	next, err := f.binaryValues(x.Op[:1], v, int64(1), x.From)
	if err != nil {
		return nil, err
	}
	if err := f.store(s, x.X, next); err != nil {
		return nil, err
	}
	if x.Postfix {
		return v, nil
	}
	return next, nil
}

func (f *frame) binary(s *scope, x *jenkinsfile.Binary) (any, error) {
	a, err := f.eval(s, x.X)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "&&":
		if !Truth(a) {
			return false, nil
		}
		b, err := f.eval(s, x.Y)
		return Truth(b), err
	case "||":
		if Truth(a) {
			return true, nil
		}
		b, err := f.eval(s, x.Y)
		return Truth(b), err
	}
	defer f.release(len(f.held))
	f.hold(a)
	b, err := f.eval(s, x.Y)
	if err != nil {
		return nil, err
	}
	return f.binaryValues(x.Op, a, b, x.OpPos)
}

func (f *frame) binaryValues(op string, a, b any, pos jenkinsfile.Pos) (any, error) {
	f.weigh(a)
	f.weigh(b)
	switch op {
	case "==":
		return f.equal(a, b), nil
	case "!=":
		return !f.equal(a, b), nil
	case "<", "<=", ">", ">=", "<=>":
		return f.order(op, a, b, pos)
	case "in":
		return f.isCase(b, a, pos)
	case "==~":
		return f.matchWhole(patternOf(b), f.string(a), pos)
	case "=~":
		return f.matcher(patternOf(b), f.string(a), pos)
	case "+":
		v, err := f.plus(a, b, pos)
		if err != nil {
			return nil, err
		}
		return f.checked(v, pos)
	case "<<":
		return f.leftShift(a, b, pos)
	case "-":
		return f.minus(a, b, pos)
	case "*":
		if v, ok, err := f.repeat(a, b, pos); ok || err != nil {
			return v, err
		}
	}
	return f.arithmetic(op, a, b, pos)
}

func (f *frame) order(op string, a, b any, pos jenkinsfile.Pos) (any, error) {
	c, ok := compare(a, b)
	if !ok {
		return nil, throw(pos, "groovy.lang.GroovyRuntimeException", "Cannot compare %s with value '%s' and %s with value '%s'",
			className(a), shortText(a), className(b), shortText(b))
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	case ">=":
		return c >= 0, nil
	}
	return int64(cmp.Compare(c, 0)), nil
}

func (f *frame) plus(a, b any, pos jenkinsfile.Pos) (any, error) {
	switch x := a.(type) {
	case *lazyString:
		return GString(x.String() + f.string(b)), nil
	case string:
		return x + f.string(b), nil
	case GString:
		return GString(string(x) + f.string(b)), nil
	case *List:
		out := &List{Items: append([]any(nil), x.Items...), set: x.set}
		if y, ok := b.(*List); ok {
			out.Items = append(out.Items, y.Items...)
		} else {
			out.Items = append(out.Items, b)
		}
		if !x.set {
			return out, nil
		}
		return f.newSet(out.Items, pos)
	case *Map:
		if y, ok := b.(*Map); ok {
			out := NewMap()
			for _, m := range []*Map{x, y} {
				for _, k := range m.keys {
					out.Put(k, m.value(k))
				}
			}
			return out, nil
		}
	}
	if d, ok := a.(*Date); ok {
		return f.invoke(d, "plus", []any{b}, pos)
	}
	if str, ok := text(b); ok {
		if a == nil {
			return "null" + str, nil
		}
		return f.string(a) + str, nil
	}
	return f.arithmetic("+", a, b, pos)
}

func (f *frame) leftShift(a, b any, pos jenkinsfile.Pos) (any, error) {
	switch x := a.(type) {
	case *List:
		if x.span != "" {
			return nil, throw(pos, "java.lang.UnsupportedOperationException", "a range can not be changed")
		}
		if x.set {
			c := methodCall{f: f, pos: pos}
			if i, err := c.indexIn(x, b); err != nil || i >= 0 {
				return x, err
			}
		}
		x.Items = append(x.Items, b)
		return f.checked(x, pos)
	case *Map:
		if y, ok := b.(*Map); ok {
			for _, k := range y.keys {
				x.Put(k, y.value(k))
			}
			return f.checked(x, pos)
		}
	case string, GString, *lazyString:
		return f.checked(f.string(a)+f.string(b), pos)
	case *textBuilder:
		c := methodCall{f: f, obj: x, name: "append", args: []any{b}, pos: pos}
		v, _, err := c.builderMethod(x)
		return v, err
	case *Closure:
		c := methodCall{f: f, obj: x, name: "leftShift", args: []any{b}, pos: pos}
		if v, ok, err := c.closureMethod(x); ok || err != nil {
			return v, err
		}
	}
	return f.arithmetic("<<", a, b, pos)
}

func (f *frame) minus(a, b any, pos jenkinsfile.Pos) (any, error) {
	if s, ok := text(a); ok {
		if p, isPattern := b.(Pattern); isPattern {
			c := methodCall{f: f, obj: s, name: "replaceFirst", args: []any{p, ""}, pos: pos}
			v, _, err := c.replaceRegex(s)
			return v, err
		}
		if sub := f.string(b); sub != "" {
			return f.checked(strings.Replace(s, sub, "", 1), pos)
		}
		return s, nil
	}
	if l, ok := a.(*List); ok {
		remove := []any{b}
		if r, ok := b.(*List); ok {
			remove = r.Items
		}
		c := methodCall{f: f, pos: pos}
		seen, err := c.lookup(&List{Items: remove})
		if err != nil {
			return nil, err
		}
		out := &List{set: l.set}
		f.m.steps += len(l.Items)
		for _, item := range l.Items {
			if _, drop := seen.Get(lookKey(item)); !drop {
				out.Items = append(out.Items, item)
			}
		}
		return f.checked(out, pos)
	}
	switch a.(type) {
	case *Map:
		c := methodCall{f: f, obj: a, name: "minus", args: []any{b}, pos: pos}
		if v, ok, err := c.dispatch(); ok || err != nil {
			return v, err
		}
	case *Date:
		return f.invoke(a, "minus", []any{b}, pos)
	}
	return f.arithmetic("-", a, b, pos)
}

// repeat is "ab" * 3 and [x] * 3.
func (f *frame) repeat(a, b any, pos jenkinsfile.Pos) (any, bool, error) {
	n, ok := whole(b)
	if !ok {
		return nil, false, nil
	}
	switch a.(type) {
	case string, GString, *lazyString, *List:
		if n < 0 {
			return nil, true, throw(pos, "java.lang.IllegalArgumentException", "multiply() should be called with a number of 0 or greater not: %d", n)
		}
	}
	if s, ok := text(a); ok {
		if len(s) > 0 && n > int64(f.m.limits.StringBytes/len(s)) {
			return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", f.m.limits.StringBytes), Pos: pos}
		}
		v, err := f.checked(strings.Repeat(s, int(n)), pos)
		return v, true, err
	}
	if l, ok := a.(*List); ok {
		if len(l.Items) > 0 && n > int64(f.m.limits.Items/len(l.Items)) {
			return nil, true, &LimitError{Message: fmt.Sprintf("List with more than %d items", f.m.limits.Items), Pos: pos}
		}
		out := &List{}
		for range n {
			out.Items = append(out.Items, l.Items...)
		}
		v, err := f.checked(out, pos)
		return v, true, err
	}
	return nil, false, nil
}

// operatorMethods are the method names behind operators, for messages.
var operatorMethods = map[string]string{
	"+": "plus", "-": "minus", "*": "multiply", "/": "div", "%": "mod", "**": "power", "<<": "leftShift", ">>": "rightShift",
	">>>": "rightShiftUnsigned", "&": "and", "|": "or", "^": "xor",
}

func (f *frame) arithmetic(op string, a, b any, pos jenkinsfile.Pos) (any, error) {
	if x, ok := a.(bool); ok {
		if y, ok := b.(bool); ok {
			switch op {
			case "&":
				return x && y, nil
			case "|":
				return x || y, nil
			case "^":
				return x != y, nil
			}
		}
	}
	if c, ok := a.(*Closure); ok && op == ">>" {
		m := methodCall{f: f, obj: c, name: "rightShift", args: []any{b}, pos: pos}
		if v, ok, err := m.closureMethod(c); ok || err != nil {
			return v, err
		}
	}
	if x, ok := a.(*List); ok && op == "&" {
		if y, isList := b.(*List); isList {
			m := methodCall{f: f, obj: x, name: "intersect", args: []any{y}, pos: pos}
			v, _, err := m.against(x)
			return v, err
		}
	}
	if rankOf(a) == noNumber || rankOf(b) == noNumber {
		if a == nil {
			return nil, throw(pos, "java.lang.NullPointerException", "Cannot invoke method %s() on null object", operatorMethods[op])
		}
		return nil, missingMethod(pos, operatorMethods[op], a, []any{b})
	}
	if op == "/" || op == "%" {
		f.m.steps += divisionSteps + digitsOf(a) + digitsOf(b)
	}
	v, err := calculate(op, a, b, pos)
	if err != nil {
		return nil, err
	}
	return f.checked(v, pos)
}

// divisionSteps is what a division costs beside its operands.
const divisionSteps = 4

// digitsOf is the length of a long number in bits.
func digitsOf(v any) int {
	switch n := v.(type) {
	case *big.Int:
		return n.BitLen()
	case Decimal:
		return n.unscaled.BitLen()
	}
	return 0
}

// parseNumber reads a text as a number of a kind.
func parseNumber(s, kind string, pos jenkinsfile.Pos) (any, error) {
	t := strings.TrimSpace(s)
	var bits int
	switch kind {
	case "int", "Integer", "short", "byte":
		bits = 32
	case "long", "Long":
		bits = 64
	case "BigInteger":
		if n, ok := new(big.Int).SetString(t, 10); ok && len(t) <= maxScale {
			return n, nil
		}
	case "BigDecimal":
		if d, ok := parseDecimal(t); ok {
			return d, nil
		}
	default:
		if n, err := strconv.ParseFloat(strings.TrimRight(t, "dDfF"), 64); err == nil || errors.Is(err, strconv.ErrRange) {
			return n, nil
		}
	}
	if bits > 0 {
		if n, err := strconv.ParseInt(t, 10, bits); err == nil {
			if bits == 64 {
				return Long(n), nil
			}
			return n, nil
		}
	}
	return nil, throw(pos, "java.lang.NumberFormatException", "For input string: \"%s\"", clip(s))
}

// clip keeps values in messages short.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// itemsOf lists what a loop goes over.
func itemsOf(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case *List:
		return append([]any(nil), v.Items...)
	case *Map:
		out := make([]any, 0, v.Len())
		for _, k := range v.keys {
			out = append(out, entry{k, v.value(k), v})
		}
		return out
	case string, GString, *lazyString:
		s, _ := text(v)
		out := make([]any, 0, len(s))
		for _, r := range s {
			out = append(out, string(r))
		}
		return out
	case *matcher:
		return append([]any(nil), v.items()...)
	}
	return []any{v}
}
