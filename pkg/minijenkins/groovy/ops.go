// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"math"
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
		switch n := v.(type) {
		case int64:
			return -n, nil
		case float64:
			return -n, nil
		}
		return nil, missingMethod(x.From, "negative", v, nil)
	case "+":
		return v, nil
	case "~":
		if str, ok := text(v); ok {
			return Pattern{Source: str}, nil
		}
		if n, ok := v.(int64); ok {
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
		return Equal(a, b), nil
	case "!=":
		return !Equal(a, b), nil
	case "<", "<=", ">", ">=", "<=>":
		return f.order(op, a, b, pos)
	case "in":
		return f.isCase(b, a, pos)
	case "==~":
		return matchWhole(ToString(b), ToString(a), pos)
	case "=~":
		return find(ToString(b), ToString(a), pos)
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
		return nil, throw(pos, "java.lang.IllegalArgumentException", "Cannot compare %s with value '%s' and %s with value '%s'",
			className(a), ToString(a), className(b), ToString(b))
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
	return int64(c), nil
}

func (f *frame) plus(a, b any, pos jenkinsfile.Pos) (any, error) {
	switch x := a.(type) {
	case string:
		return x + ToString(b), nil
	case GString:
		return GString(string(x) + ToString(b)), nil
	case *List:
		out := &List{Items: append([]any(nil), x.Items...)}
		if y, ok := b.(*List); ok {
			out.Items = append(out.Items, y.Items...)
		} else {
			out.Items = append(out.Items, b)
		}
		return out, nil
	case *Map:
		if y, ok := b.(*Map); ok {
			out := NewMap()
			for _, m := range []*Map{x, y} {
				for _, k := range m.keys {
					out.Put(k, m.values[k])
				}
			}
			return out, f.charge(32*out.Len(), pos)
		}
	}
	if str, ok := text(b); ok {
		if a == nil {
			return "null" + str, nil
		}
		return ToString(a) + str, nil
	}
	return f.arithmetic("+", a, b, pos)
}

func (f *frame) leftShift(a, b any, pos jenkinsfile.Pos) (any, error) {
	switch x := a.(type) {
	case *List:
		x.Items = append(x.Items, b)
		if len(x.Items) > f.m.limits.Items {
			return f.checked(x, pos)
		}
		return x, f.charge(16, pos)
	case *Map:
		if y, ok := b.(*Map); ok {
			for _, k := range y.keys {
				x.Put(k, y.values[k])
			}
			return f.checked(x, pos)
		}
	case string, GString:
		return f.checked(ToString(a)+ToString(b), pos)
	}
	return f.arithmetic("<<", a, b, pos)
}

func (f *frame) minus(a, b any, pos jenkinsfile.Pos) (any, error) {
	if s, ok := text(a); ok {
		if sub := ToString(b); sub != "" {
			return strings.Replace(s, sub, "", 1), nil
		}
		return s, nil
	}
	if l, ok := a.(*List); ok {
		remove := []any{b}
		if r, ok := b.(*List); ok {
			remove = r.Items
		}
		out := &List{}
		for _, item := range l.Items {
			keep := true
			for _, r := range remove {
				if err := f.tick(pos); err != nil {
					return nil, err
				}
				if Equal(item, r) {
					keep = false
					break
				}
			}
			if keep {
				out.Items = append(out.Items, item)
			}
		}
		return f.checked(out, pos)
	}
	return f.arithmetic("-", a, b, pos)
}

// repeat is "ab" * 3 and [x] * 3.
func (f *frame) repeat(a, b any, pos jenkinsfile.Pos) (any, bool, error) {
	n, ok := b.(int64)
	if !ok || n < 0 {
		return nil, false, nil
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
	x, okX := number(a)
	y, okY := number(b)
	if !okX || !okY {
		if a == nil {
			return nil, throw(pos, "java.lang.NullPointerException", "Cannot invoke method %s() on null object", operatorMethods[op])
		}
		return nil, missingMethod(pos, operatorMethods[op], a, []any{b})
	}
	i, intX := a.(int64)
	j, intY := b.(int64)
	if intX && intY {
		return intArithmetic(op, i, j, pos)
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		if y == 0 {
			return nil, throw(pos, "java.lang.ArithmeticException", "Division by zero")
		}
		return decimal(x / y), nil
	case "%":
		if y == 0 {
			return nil, throw(pos, "java.lang.ArithmeticException", "Division by zero")
		}
		return math.Mod(x, y), nil
	case "**":
		return math.Pow(x, y), nil
	}
	return nil, missingMethod(pos, operatorMethods[op], a, []any{b})
}

// decimal keeps ten digits behind the point, as Groovy's division does.
func decimal(f float64) float64 { return math.Round(f*1e10) / 1e10 }

func intArithmetic(op string, x, y int64, pos jenkinsfile.Pos) (any, error) {
	overflow := func() error {
		return throw(pos, "java.lang.ArithmeticException", "Number out of range")
	}
	switch op {
	case "+":
		if s := x + y; (s > x) == (y > 0) {
			return s, nil
		}
		return nil, overflow()
	case "-":
		if d := x - y; (d < x) == (y > 0) {
			return d, nil
		}
		return nil, overflow()
	case "*":
		if x == 0 || y == 0 {
			return int64(0), nil
		}
		p := x * y
		if p/y != x || (x == -1 && y == math.MinInt64) || (y == -1 && x == math.MinInt64) {
			return nil, overflow()
		}
		return p, nil
	case "/", "%":
		if y == 0 {
			return nil, throw(pos, "java.lang.ArithmeticException", "Division by zero")
		}
		if y == -1 && x == math.MinInt64 {
			return nil, overflow()
		}
		return divide(op, x, y), nil
	case "**":
		p := math.Pow(float64(x), float64(y))
		if y >= 0 && math.Abs(p) < 1<<53 {
			return int64(p), nil
		}
		return p, nil
	case "<<", ">>", ">>>":
		if y < 0 || y > 63 {
			return nil, overflow()
		}
		return shift(op, x, y), nil
	case "&":
		return x & y, nil
	case "|":
		return x | y, nil
	}
	return x ^ y, nil
}

// divide is the quotient, which is an integer only if nothing remains, or the remainder for "%".
func divide(op string, x, y int64) any {
	switch {
	case op == "%":
		return x % y
	case x%y == 0:
		return x / y
	}
	return decimal(float64(x) / float64(y))
}

// shift shifts by 0 to 63 bits.
func shift(op string, x, y int64) int64 {
	switch op {
	case "<<":
		return x << uint(y)
	case ">>":
		return x >> uint(y)
	}
	return int64(uint64(x) >> uint(y))
}

// coerce is a cast or a typed declaration. Types without a rule leave the value alone.
func coerce(v any, typ string, pos jenkinsfile.Pos) (any, error) {
	switch typ[strings.LastIndexByte(typ, '.')+1:] {
	case "String":
		if v == nil {
			return nil, nil
		}
		return ToString(v), nil
	case "boolean", "Boolean":
		return Truth(v), nil
	case "int", "Integer", "long", "Long", "BigInteger":
		return toInteger(v, pos)
	case "double", "Double", "float", "Float", "BigDecimal":
		return toDecimal(v, pos)
	case "List", "ArrayList", "Collection":
		if v == nil {
			return nil, nil
		}
		if _, ok := v.(*List); !ok {
			return &List{Items: itemsOf(v)}, nil
		}
	}
	return v, nil
}

func toInteger(v any, pos jenkinsfile.Pos) (any, error) {
	switch v := v.(type) {
	case nil, int64:
		return v, nil
	case float64:
		if math.Abs(v) > 1<<62 {
			return nil, throw(pos, "java.lang.ArithmeticException", "Number out of range")
		}
		return int64(v), nil
	case string, GString:
		s, _ := text(v)
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return nil, throw(pos, "java.lang.NumberFormatException", "For input string: \"%s\"", clip(s))
		}
		return n, nil
	}
	return nil, throw(pos, "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
		"Cannot cast object '%s' with class '%s' to class 'java.lang.Integer'", clip(ToString(v)), className(v))
}

func toDecimal(v any, pos jenkinsfile.Pos) (any, error) {
	switch v := v.(type) {
	case nil, float64:
		return v, nil
	case int64:
		return float64(v), nil
	case string, GString:
		s, _ := text(v)
		n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return nil, throw(pos, "java.lang.NumberFormatException", "For input string: \"%s\"", clip(s))
		}
		return n, nil
	}
	return nil, throw(pos, "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
		"Cannot cast object '%s' with class '%s' to class 'java.math.BigDecimal'", clip(ToString(v)), className(v))
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
			out = append(out, entry{k, v.values[k]})
		}
		return out
	case string, GString:
		s, _ := text(v)
		out := make([]any, 0, len(s))
		for _, r := range s {
			out = append(out, string(r))
		}
		return out
	case matcher:
		return append([]any(nil), v.items()...)
	}
	return []any{v}
}
