// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math"
	"math/big"
	"strings"
)

// numberMethod are the methods of numbers.
func (c *methodCall) numberMethod() (any, bool, error) {
	for _, group := range []func() (any, bool, error){c.numberConvert, c.numberRound, c.numberOperator} {
		if v, ok, err := group(); ok || err != nil {
			return v, ok, err
		}
	}
	switch c.name {
	case "times", "upto", "downto", "step":
		return c.countLoop()
	}
	return nil, false, nil
}

func (c *methodCall) numberConvert() (any, bool, error) {
	var kind string
	switch c.name {
	case "toInteger", "intValue":
		kind = "Integer"
	case "toLong", "longValue":
		kind = "Long"
	case "toDouble", "doubleValue", "toFloat", "floatValue":
		kind = "Double"
	case "toBigDecimal":
		kind = "BigDecimal"
	case "toBigInteger":
		kind = "BigInteger"
	case "toString":
		if radix, ok := c.intArg(0); ok {
			return c.inRadix(c.obj, radix)
		}
		return nil, false, nil
	case "isNaN", "isInfinite":
		f, isDouble := c.obj.(float64)
		return isDouble && (c.name == "isNaN" && f != f || c.name == "isInfinite" && math.IsInf(f, 0)), true, nil
	case "signum":
		return int64(compareNumbers(c.obj, int64(0))), true, nil
	case "toPlainString", "scale", "precision", "stripTrailingZeros":
		return c.decimalMethod()
	default:
		return nil, false, nil
	}
	v, err := convertNumber(c.obj, kind, c.pos)
	return v, true, err
}

func (c *methodCall) decimalMethod() (any, bool, error) {
	d, ok := c.obj.(Decimal)
	if !ok {
		return nil, false, nil
	}
	switch c.name {
	case "scale":
		return int64(d.scale), true, nil
	case "precision":
		return int64(d.precision()), true, nil
	case "stripTrailingZeros":
		return d.stripped(-maxScale), true, nil
	}
	return d.withScale(max(d.scale, 0)).plain(), true, nil
}

// plain is the text without an exponent.
func (d Decimal) plain() string {
	digits := new(big.Int).Abs(d.unscaled).String()
	if pad := d.scale - len(digits) + 1; pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	if d.scale > 0 {
		cut := len(digits) - d.scale
		digits = digits[:cut] + "." + digits[cut:]
	}
	if d.unscaled.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

func (c *methodCall) numberRound() (any, bool, error) {
	switch c.name {
	case "abs":
		if compareNumbers(c.obj, int64(0)) < 0 {
			v, err := negative(c.obj, c.pos)
			return v, true, err
		}
		return c.obj, true, nil
	case "round", "trunc", "setScale":
	default:
		return nil, false, nil
	}
	digits, given := c.intArg(0)
	if len(c.args) > 0 && !given || digits < 0 || digits > maxScale {
		return nil, false, nil
	}
	switch x := c.obj.(type) {
	case Decimal:
		return c.roundDecimal(x, digits)
	case float64:
		if c.name == "setScale" || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, false, nil
		}
		if c.name == "round" && len(c.args) == 0 {
			return Long(truncated(math.Floor(x + 0.5))), true, nil
		}
		p := math.Pow(10, float64(digits))
		if c.name == "trunc" {
			return math.Trunc(x*p) / p, true, nil
		}
		return math.Floor(x*p+0.5) / p, true, nil
	}
	return c.obj, c.name != "setScale", nil
}

func (c *methodCall) roundDecimal(d Decimal, digits int) (any, bool, error) {
	mode := "HALF_UP"
	if len(c.args) > 1 {
		mode = c.str(1)
	}
	if c.name == "trunc" {
		mode = "DOWN"
	}
	switch mode {
	case "HALF_UP", "4":
		return d.withScale(digits), true, nil
	case "DOWN", "FLOOR", "UP", "CEILING":
		if digits >= d.scale {
			return d.withScale(digits), true, nil
		}
		q, r := new(big.Int).QuoRem(d.unscaled, pow10(d.scale-digits), new(big.Int))
		sign := int64(d.unscaled.Sign())
		if r.Sign() != 0 && (mode == "UP" || mode == "CEILING" && sign > 0 || mode == "FLOOR" && sign < 0) {
			q.Add(q, big.NewInt(sign))
		}
		return Decimal{q, digits}, true, nil
	}
	return nil, false, nil
}

// methodOperators are the operators that can be called as methods of numbers.
var methodOperators = map[string]string{
	"plus": "+", "minus": "-", "multiply": "*", "div": "/", "mod": "%", "power": "**", "leftShift": "<<", "rightShift": ">>", "and": "&", "or": "|", "xor": "^",
	"add": "+", "subtract": "-", "divide": "/", "remainder": "%", "pow": "**",
}

func (c *methodCall) numberOperator() (any, bool, error) {
	switch c.name {
	case "intdiv":
		v, err := c.intdiv()
		return v, true, err
	case "negative", "negate", "unaryMinus":
		v, err := negative(c.obj, c.pos)
		return v, true, err
	case "next", "previous":
		op := map[string]string{"next": "+", "previous": "-"}[c.name]
		v, err := calculate(op, c.obj, int64(1), c.pos)
		return v, true, err
	case "max", "min":
		if rankOf(c.arg(0)) == noNumber {
			return nil, false, nil
		}
		if n := compareNumbers(c.obj, c.arg(0)); (n >= 0) == (c.name == "max") {
			return c.obj, true, nil
		}
		return c.arg(0), true, nil
	}
	op, ok := methodOperators[c.name]
	if !ok || len(c.args) != 1 {
		return nil, false, nil
	}
	v, err := c.f.binaryValues(op, c.obj, c.args[0], c.pos)
	return v, true, err
}

func (c *methodCall) intdiv() (any, error) {
	kind := max(rankOf(c.obj), rankOf(c.arg(0)))
	if kind > rankBigInteger || rankOf(c.arg(0)) == noNumber {
		return nil, unsupported("intdiv", c.obj, c.pos)
	}
	x, y := bigOf(c.obj), bigOf(c.arg(0))
	if y.Sign() == 0 {
		return nil, throw(c.pos, "java.lang.ArithmeticException", "/ by zero")
	}
	q := new(big.Int).Quo(x, y)
	switch kind {
	case rankInteger:
		return int64(int32(low64(q))), nil
	case rankLong:
		return Long(low64(q)), nil
	}
	return q, nil
}

// countLoop is 3.times { }, 1.upto(3) { }, 3.downto(1) { } and 0.step(10, 2) { }.
func (c *methodCall) countLoop() (any, bool, error) {
	n, ok := whole(c.obj)
	fn := c.closure(len(c.args) - 1)
	if !ok || fn == nil {
		return nil, false, nil
	}
	from, to, step := int64(0), n-1, int64(1)
	if c.name != "times" {
		limit, ok := whole(c.args[0])
		if !ok {
			return nil, false, nil
		}
		from, to = n, limit
		switch c.name {
		case "downto":
			step = -1
		case "step":
			if step, ok = whole(c.arg(1)); !ok || step == 0 || len(c.args) != 3 {
				return nil, false, nil
			}
			// step ends before its limit.
			to -= step / max(step, -step)
		}
	}
	for i := from; (step > 0 && i <= to) || (step < 0 && i >= to); i += step {
		if _, err := c.f.call(fn, []any{c.counted(i)}); err != nil {
			return nil, true, err
		}
		if next := i + step; (next > i) != (step > 0) {
			break
		}
	}
	return nil, true, nil
}

// counted gives the count of a loop the kind of the number that it began with.
func (c *methodCall) counted(i int64) any {
	if _, isLong := c.obj.(Long); isLong {
		return Long(i)
	}
	return i
}
