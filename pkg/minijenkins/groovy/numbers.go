// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Numbers are those of Groovy: int64 is an Integer if it has 32 bits, else a Long; Long is a Long of any
// size; *big.Int is a BigInteger, Decimal a BigDecimal and float64 a Double. An operation has the kind
// of its widest operand. A host sees only int64 and float64.

// Long is a Long that may be small enough for an Integer.
type Long int64

// Decimal is a BigDecimal: unscaled × 10^-scale.
type Decimal struct {
	unscaled *big.Int
	scale    int
}

// rank orders the kinds of numbers.
type rank int

const (
	noNumber rank = iota
	rankInteger
	rankLong
	rankBigInteger
	rankDecimal
	rankDouble
)

// maxBits bounds BigIntegers and BigDecimals; maxScale the digits behind the point.
const (
	maxBits  = 1 << 12
	maxScale = 1024
)

func isInteger(n int64) bool { return n >= math.MinInt32 && n <= math.MaxInt32 }

func rankOf(v any) rank {
	switch v := v.(type) {
	case int64:
		if isInteger(v) {
			return rankInteger
		}
		return rankLong
	case Long:
		return rankLong
	case *big.Int:
		return rankBigInteger
	case Decimal:
		return rankDecimal
	case float64:
		return rankDouble
	}
	return noNumber
}

// whole returns the value of an Integer or Long.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case Long:
		return int64(v), true
	}
	return 0, false
}

// bigOf returns the value of an integral number.
func bigOf(v any) *big.Int {
	if n, ok := whole(v); ok {
		return big.NewInt(n)
	}
	n, _ := v.(*big.Int)
	return n
}

// decimalOf returns the value of every number but a Double that is none.
func decimalOf(v any) Decimal {
	switch v := v.(type) {
	case Decimal:
		return v
	case float64:
		d, _ := parseDecimal(strconv.FormatFloat(v, 'g', -1, 64))
		return d
	}
	return Decimal{unscaled: bigOf(v)}
}

// number returns a number as a Double.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case Long:
		return float64(v), true
	case float64:
		return v, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case Decimal:
		f, _ := strconv.ParseFloat(v.String(), 64)
		return f, true
	}
	return 0, false
}

// parseDecimal reads a BigDecimal.
func parseDecimal(s string) (Decimal, bool) {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.Atoi(s[i+1:])
		if err != nil || n > maxScale || n < -maxScale {
			return Decimal{}, false
		}
		mantissa, exponent = s[:i], n
	}
	digits, fraction, _ := strings.Cut(mantissa, ".")
	text := digits + fraction
	if text == "" || len(text) > maxScale || strings.ContainsAny(text[1:], "+-_") || text == "+" || text == "-" {
		return Decimal{}, false
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return Decimal{}, false
	}
	return Decimal{unscaled: n, scale: len(fraction) - exponent}, true
}

// String writes a BigDecimal as Java's toString does.
func (d Decimal) String() string {
	digits := new(big.Int).Abs(d.unscaled).String()
	sign := ""
	if d.unscaled.Sign() < 0 {
		sign = "-"
	}
	adjusted := len(digits) - 1 - d.scale
	switch {
	case d.scale == 0:
		return sign + digits
	case d.scale > 0 && adjusted >= -6:
		if pad := d.scale - len(digits) + 1; pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		cut := len(digits) - d.scale
		return sign + digits[:cut] + "." + digits[cut:]
	}
	if len(digits) > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	if adjusted == 0 {
		return sign + digits
	}
	return sign + digits + fmt.Sprintf("E%+d", adjusted)
}

func (d Decimal) precision() int { return len(new(big.Int).Abs(d.unscaled).String()) }

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// aligned gives both unscaled values at the greater scale.
func aligned(a, b Decimal) (x, y *big.Int, scale int) {
	x, y = a.unscaled, b.unscaled
	switch {
	case a.scale < b.scale:
		return new(big.Int).Mul(x, pow10(b.scale-a.scale)), y, b.scale
	case a.scale > b.scale:
		return x, new(big.Int).Mul(y, pow10(a.scale-b.scale)), a.scale
	}
	return x, y, a.scale
}

func (d Decimal) cmp(o Decimal) int {
	x, y, _ := aligned(d, o)
	return x.Cmp(y)
}

// integer cuts off what is behind the point.
func (d Decimal) integer() *big.Int {
	if d.scale <= 0 {
		return new(big.Int).Mul(d.unscaled, pow10(-d.scale))
	}
	return new(big.Int).Quo(d.unscaled, pow10(d.scale))
}

// withScale rounds half up to a number of digits behind the point.
func (d Decimal) withScale(scale int) Decimal {
	if scale >= d.scale {
		return Decimal{new(big.Int).Mul(d.unscaled, pow10(scale-d.scale)), scale}
	}
	return Decimal{halfUp(d.unscaled, pow10(d.scale-scale)), scale}
}

// halfUp divides and rounds half up, away from zero.
func halfUp(x, y *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Abs(r).Lsh(r, 1).CmpAbs(y) >= 0 {
		if x.Sign()*y.Sign() < 0 {
			return q.Sub(q, big.NewInt(1))
		}
		return q.Add(q, big.NewInt(1))
	}
	return q
}

// divExtra is how many digits Groovy adds to a quotient that does not end, minDivScale how many it has
// behind the point at least.
const (
	divExtra    = 10
	minDivScale = 10
)

// quotient divides as Groovy does: exactly if the quotient ends, else with some more digits.
func quotient(a, b Decimal) Decimal {
	preferred := a.scale - b.scale
	if a.unscaled.Sign() == 0 {
		return Decimal{big.NewInt(0), max(preferred, 0)}
	}
	// The quotient ends if the reduced divisor has no other factors than 2 and 5.
	gcd := new(big.Int).GCD(nil, nil, new(big.Int).Abs(a.unscaled), new(big.Int).Abs(b.unscaled))
	num, den := new(big.Int).Quo(a.unscaled, gcd), new(big.Int).Quo(b.unscaled, gcd)
	twos := int(den.TrailingZeroBits())
	den.Rsh(den, uint(twos))
	fives := strip(den, 5)
	if den.CmpAbs(big.NewInt(1)) == 0 {
		extra := max(twos, fives)
		n := new(big.Int).Mul(num, pow10(extra))
		n.Quo(n, new(big.Int).Mul(den, new(big.Int).Mul(power(2, twos), power(5, fives))))
		return Decimal{n, preferred + extra}.stripped(preferred)
	}
	precision := max(a.precision(), b.precision()) + divExtra
	// Enough digits first, then rounded to the precision.
	shift := max(precision+b.precision()-a.precision()+1, 0)
	q := Decimal{new(big.Int).Quo(new(big.Int).Mul(a.unscaled, pow10(shift)), b.unscaled), preferred + shift}
	q = q.withScale(q.scale - (q.precision() - precision))
	if limit := max(a.scale, b.scale, minDivScale); q.scale > limit {
		q = q.withScale(limit)
	}
	return q
}

func power(base int64, n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(n)), nil)
}

// strip takes all factors out of n and counts them.
func strip(n *big.Int, factor int64) int {
	f, count := big.NewInt(factor), 0
	for {
		q, r := new(big.Int).QuoRem(n, f, new(big.Int))
		if r.Sign() != 0 {
			return count
		}
		n.Set(q)
		count++
	}
}

// stripped removes zeros at the end as long as the scale stays above a least one.
func (d Decimal) stripped(least int) Decimal {
	ten, n := big.NewInt(10), new(big.Int).Set(d.unscaled)
	scale := d.scale
	for scale > least {
		q, r := new(big.Int).QuoRem(n, ten, new(big.Int))
		if r.Sign() != 0 {
			break
		}
		n, scale = q, scale-1
	}
	return Decimal{n, scale}
}

// literal gives the number that a literal stands for.
func literal(c *jenkinsfile.Constant) any {
	switch v := c.Value.(type) {
	case int64:
		s := strings.ToLower(c.Literal)
		switch {
		case strings.HasSuffix(s, "l"):
			return Long(v)
		case strings.HasSuffix(s, "g"):
			return big.NewInt(v)
		}
		return v
	case float64:
		s := strings.ToLower(strings.ReplaceAll(c.Literal, "_", ""))
		if strings.HasSuffix(s, "d") || strings.HasSuffix(s, "f") {
			return v
		}
		if d, ok := parseDecimal(strings.TrimRight(s, "g")); ok {
			return d
		}
		return v
	}
	return c.Value
}

// narrow gives a BigInteger as an Integer if it has 32 bits.
func narrow(n *big.Int) any {
	if n.IsInt64() && isInteger(n.Int64()) {
		return n.Int64()
	}
	return n
}

// checkedNumber refuses numbers of too many digits.
func checkedNumber(v any, pos jenkinsfile.Pos) (any, error) {
	var n *big.Int
	var scale int
	switch v := v.(type) {
	case *big.Int:
		n = v
	case Decimal:
		n, scale = v.unscaled, v.scale
	default:
		return v, nil
	}
	if n.BitLen() > maxBits || scale > maxScale || scale < -maxScale {
		return nil, &LimitError{Message: fmt.Sprintf("Number of more than %d bits", maxBits), Pos: pos}
	}
	return v, nil
}

// unsupported is the error of an operation that a kind of number does not have.
func unsupported(op string, v any, pos jenkinsfile.Pos) error {
	return throw(pos, "java.lang.UnsupportedOperationException", "Cannot use %s() on this number type: %s with value: %s", op, className(v), ToString(v))
}

// calculate applies an operator to two numbers.
func calculate(op string, a, b any, pos jenkinsfile.Pos) (any, error) {
	kind := max(rankOf(a), rankOf(b))
	switch op {
	case "+", "-", "*":
		return checkedResult(addOrMultiply(op, kind, a, b), pos)
	case "/":
		return divide(kind, a, b, pos)
	case "%":
		return modulo(kind, a, b, pos)
	case "**":
		return powerOf(a, b, pos)
	case "<<", ">>", ">>>":
		return shifted(op, a, b, pos)
	}
	return bitwise(op, kind, a, b, pos)
}

func checkedResult(v any, pos jenkinsfile.Pos) (any, error) { return checkedNumber(v, pos) }

func addOrMultiply(op string, kind rank, a, b any) any {
	switch kind {
	case rankInteger, rankLong:
		x, _ := whole(a)
		y, _ := whole(b)
		n := x * y
		switch op {
		case "+":
			n = x + y
		case "-":
			n = x - y
		}
		if kind == rankInteger {
			return int64(int32(n))
		}
		return Long(n)
	case rankBigInteger:
		x, y, n := bigOf(a), bigOf(b), new(big.Int)
		switch op {
		case "+":
			return n.Add(x, y)
		case "-":
			return n.Sub(x, y)
		}
		return n.Mul(x, y)
	case rankDecimal:
		x, y := decimalOf(a), decimalOf(b)
		if op == "*" {
			return Decimal{new(big.Int).Mul(x.unscaled, y.unscaled), x.scale + y.scale}
		}
		m, n, scale := aligned(x, y)
		if op == "+" {
			return Decimal{new(big.Int).Add(m, n), scale}
		}
		return Decimal{new(big.Int).Sub(m, n), scale}
	}
	x, _ := number(a)
	y, _ := number(b)
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	}
	return x * y
}

func divide(kind rank, a, b any, pos jenkinsfile.Pos) (any, error) {
	if kind == rankDouble {
		x, _ := number(a)
		y, _ := number(b)
		return x / y, nil
	}
	y := decimalOf(b)
	if y.unscaled.Sign() == 0 {
		return nil, throw(pos, "java.lang.ArithmeticException", "Division by zero")
	}
	return checkedNumber(quotient(decimalOf(a), y), pos)
}

func modulo(kind rank, a, b any, pos jenkinsfile.Pos) (any, error) {
	switch kind {
	case rankInteger, rankLong:
		x, _ := whole(a)
		y, _ := whole(b)
		if y == 0 {
			return nil, throw(pos, "java.lang.ArithmeticException", "/ by zero")
		}
		// The remainder by -1 is 0, and the least Long has none in Go.
		n := int64(0)
		if y != -1 {
			n = x % y
		}
		if kind == rankInteger {
			return n, nil
		}
		return Long(n), nil
	case rankBigInteger:
		if bigOf(b).Sign() <= 0 {
			return nil, throw(pos, "java.lang.ArithmeticException", "BigInteger: modulus not positive")
		}
		return new(big.Int).Mod(bigOf(a), bigOf(b)), nil
	case rankDecimal:
		return nil, unsupported("mod", a, pos)
	}
	x, _ := number(a)
	y, _ := number(b)
	return math.Mod(x, y), nil
}

// powerOf is a ** b.
func powerOf(a, b any, pos jenkinsfile.Pos) (any, error) {
	n, integral := whole(b)
	if integral && n >= 0 && n <= maxBits {
		switch rankOf(a) {
		case rankInteger, rankLong, rankBigInteger:
			base := bigOf(a)
			if int64(base.BitLen())*n > maxBits*2 {
				return nil, &LimitError{Message: fmt.Sprintf("Number of more than %d bits", maxBits), Pos: pos}
			}
			return checkedNumber(narrow(new(big.Int).Exp(base, big.NewInt(n), nil)), pos)
		case rankDecimal:
			d := decimalOf(a)
			if int64(d.unscaled.BitLen()+1)*n > maxBits || int64(d.scale)*n > maxScale {
				return nil, &LimitError{Message: fmt.Sprintf("Number of more than %d bits", maxBits), Pos: pos}
			}
			return Decimal{new(big.Int).Exp(d.unscaled, big.NewInt(n), nil), d.scale * int(n)}, nil
		}
	}
	x, _ := number(a)
	y, _ := number(b)
	p := math.Pow(x, y)
	if p == math.Trunc(p) && math.Abs(p) <= math.MaxInt32 {
		return int64(p), nil
	}
	return p, nil
}

func shifted(op string, a, b any, pos jenkinsfile.Pos) (any, error) {
	n, ok := whole(b)
	if !ok {
		return nil, throw(pos, "java.lang.UnsupportedOperationException", "Shift distance must be an integral type, but %s (%s) was supplied", ToString(b), className(b))
	}
	name := operatorMethods[op]
	switch rankOf(a) {
	case rankInteger:
		x, s := int32(a.(int64)), uint(n&31) //nolint:forcetypeassert // an Integer has 32 bits
		switch op {
		case "<<":
			return int64(x << s), nil
		case ">>":
			return int64(x >> s), nil
		}
		return int64(int32(uint32(x) >> s)), nil
	case rankLong:
		x, _ := whole(a)
		s := uint(n & 63)
		switch op {
		case "<<":
			return Long(x << s), nil
		case ">>":
			return Long(x >> s), nil
		}
		return Long(uint64(x) >> s), nil
	case rankBigInteger:
		if n < 0 || n > maxBits || op == ">>>" {
			return nil, unsupported(name, a, pos)
		}
		if op == ">>" {
			return new(big.Int).Rsh(bigOf(a), uint(n)), nil
		}
		return checkedNumber(new(big.Int).Lsh(bigOf(a), uint(n)), pos)
	}
	return nil, unsupported(name, a, pos)
}

func bitwise(op string, kind rank, a, b any, pos jenkinsfile.Pos) (any, error) {
	if kind > rankBigInteger {
		return nil, unsupported(operatorMethods[op], a, pos)
	}
	if kind == rankBigInteger {
		x, y, n := bigOf(a), bigOf(b), new(big.Int)
		switch op {
		case "&":
			return n.And(x, y), nil
		case "|":
			return n.Or(x, y), nil
		}
		return n.Xor(x, y), nil
	}
	x, _ := whole(a)
	y, _ := whole(b)
	n := x ^ y
	switch op {
	case "&":
		n = x & y
	case "|":
		n = x | y
	}
	if kind == rankInteger {
		return n, nil
	}
	return Long(n), nil
}

// negative is -v.
func negative(v any, pos jenkinsfile.Pos) (any, error) {
	switch n := v.(type) {
	case int64:
		if isInteger(n) {
			return int64(int32(-n)), nil
		}
		return Long(-n), nil
	case Long:
		return -n, nil
	case *big.Int:
		return new(big.Int).Neg(n), nil
	case Decimal:
		return Decimal{new(big.Int).Neg(n.unscaled), n.scale}, nil
	case float64:
		return -n, nil
	}
	return nil, missingMethod(pos, "negative", v, nil)
}

// compareNumbers orders two numbers.
func compareNumbers(a, b any) int {
	if max(rankOf(a), rankOf(b)) == rankDouble {
		x, _ := number(a)
		y, _ := number(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return decimalOf(a).cmp(decimalOf(b))
}

// maxWalk bounds how many items of nested values are compared or written; a list may hold itself many times.
const maxWalk = 1 << 20

// toHost gives a value as a host knows it: its numbers are int64 and float64.
func (f *frame) toHost(v any) any {
	c := converter{seen: map[any]bool{}, made: map[any]any{}}
	found := c.foreign(v)
	if found {
		v = c.hostValue(v)
		f.m.memory.bytes += c.visits * itemBytes
	}
	f.m.steps += c.visits
	return v
}

// converter looks at each list and each map once, however often it is in the value, so one may hold itself.
type converter struct {
	seen   map[any]bool
	made   map[any]any
	visits int
}

func (c *converter) hostValue(v any) any {
	c.visits++
	switch v := v.(type) {
	case Long:
		return int64(v)
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return v.String()
	case Decimal:
		f, _ := number(v)
		return f
	case *lazyString:
		return v.String()
	case *List:
		if done, ok := c.made[v]; ok {
			return done
		}
		out := &List{Items: make([]any, 0, len(v.Items)), set: v.set, span: v.span, ends: v.ends, exclusive: v.exclusive}
		c.made[v] = out
		for _, x := range v.Items {
			out.Items = append(out.Items, c.hostValue(x))
		}
		return out
	case *Map:
		if done, ok := c.made[v]; ok {
			return done
		}
		out := NewMap()
		c.made[v] = out
		for _, k := range v.keys {
			out.Put(k, c.hostValue(v.value(k)))
		}
		return out
	}
	return v
}

// foreign tells if a value holds one that a host does not know.
func (c *converter) foreign(v any) bool {
	c.visits++
	switch v := v.(type) {
	case Long, *big.Int, Decimal, *lazyString:
		return true
	case *List:
		if c.seen[v] {
			return false
		}
		c.seen[v] = true
		return slices.ContainsFunc(v.Items, c.foreign)
	case *Map:
		if c.seen[v] {
			return false
		}
		c.seen[v] = true
		return slices.ContainsFunc(v.keys, func(k any) bool { return c.foreign(v.value(k)) })
	}
	return false
}

func (f *frame) hostArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = f.toHost(a)
	}
	return out
}
