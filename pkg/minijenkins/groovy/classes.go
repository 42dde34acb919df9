// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math"
	"math/big"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// classes are the classes that a script may name, with their packages.
var classes = map[string]string{
	"Object": "java.lang.Object", "String": "java.lang.String", "CharSequence": "java.lang.CharSequence", "StringBuilder": "java.lang.StringBuilder",
	"StringBuffer": "java.lang.StringBuffer", "Integer": "java.lang.Integer", "Long": "java.lang.Long", "Boolean": "java.lang.Boolean",
	"Number": "java.lang.Number", "Double": "java.lang.Double", "Float": "java.lang.Float", "Math": "java.lang.Math", "System": "java.lang.System",
	"Character": "java.lang.Character", "Exception": "java.lang.Exception", "RuntimeException": "java.lang.RuntimeException", "Throwable": "java.lang.Throwable",
	"Error": "java.lang.Error", "Closure": "groovy.lang.Closure", "GString": "groovy.lang.GString", "BigDecimal": "java.math.BigDecimal",
	"BigInteger": "java.math.BigInteger", "List": "java.util.List", "ArrayList": "java.util.ArrayList", "LinkedList": "java.util.LinkedList",
	"Map": "java.util.Map", "HashMap": "java.util.HashMap", "LinkedHashMap": "java.util.LinkedHashMap", "TreeMap": "java.util.TreeMap",
	"Set": "java.util.Set", "HashSet": "java.util.HashSet", "LinkedHashSet": "java.util.LinkedHashSet", "TreeSet": "java.util.TreeSet",
	"Collection": "java.util.Collection", "Collections": "java.util.Collections", "Arrays": "java.util.Arrays", "Objects": "java.util.Objects",
	"Date": "java.util.Date", "UUID": "java.util.UUID", "Random": "java.util.Random", "TimeZone": "java.util.TimeZone",
	"URLEncoder": "java.net.URLEncoder", "URLDecoder": "java.net.URLDecoder", "Thread": "java.lang.Thread", "Runtime": "java.lang.Runtime", "File": "java.io.File", "Class": "java.lang.Class", "URL": "java.net.URL",
	"Eval": "groovy.util.Eval", "GroovyShell": "groovy.lang.GroovyShell", "Process": "java.lang.Process", "ProcessBuilder": "java.lang.ProcessBuilder",
}

// importable are further classes that a script may use after an import, or by their full name.
var importable = map[string]bool{
	"groovy.json.JsonSlurper": true, "groovy.json.JsonSlurperClassic": true, "groovy.json.JsonOutput": true, "groovy.json.JsonBuilder": true, "groovy.transform.Field": true,
	"java.text.SimpleDateFormat": true, "java.util.regex.Pattern": true, "java.util.regex.Matcher": true, "java.math.RoundingMode": true,
	"com.cloudbees.groovy.cps.NonCPS": true, "hudson.model.Result": true, "hudson.AbortException": true,
	"org.jenkinsci.plugins.workflow.steps.FlowInterruptedException": true, "java.util.concurrent.TimeUnit": true,
	"java.nio.charset.StandardCharsets": true, "groovy.time.TimeCategory": false,
}

// fullName gives a class its package; an unknown one stays as it is.
func fullName(class string) string {
	if full, ok := classes[class]; ok {
		return full
	}
	return class
}

// knownClass tells if an import or a full name is of a class that exists here.
func knownClass(full string) bool {
	if importable[full] {
		return true
	}
	known, ok := classes[full[strings.LastIndexByte(full, '.')+1:]]
	if ok && known == full {
		return true
	}
	_, isThrowable := throwable(full)
	return isThrowable
}

// full is the qualified name of the class.
func (c classRef) full() string { return string(c) }

func (c classRef) simple() string { return string(c)[strings.LastIndexByte(string(c), '.')+1:] }

// signature lists the classes of arguments as messages of the sandbox do.
func signature(args []any) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(" " + className(a))
	}
	return b.String()
}

// staticMethod calls a static method of a class that a script may name.
func (c *methodCall) staticMethod(class classRef) (any, bool, error) {
	var v any
	var ok bool
	var err error
	switch class.simple() {
	case "Math":
		v, ok, err = c.math()
	case "Integer", "Long", "Double", "Float", "Boolean", "BigDecimal", "BigInteger":
		v, ok, err = c.parse(class.simple())
	case "String":
		v, ok, err = c.stringStatic()
	case "Collections", "Arrays", "Objects":
		v, ok, err = c.collectionsStatic()
	case "URLEncoder", "URLDecoder", "Date", "System", "UUID", "Character", "TimeZone", "Pattern", "JsonOutput":
		v, ok, err = c.otherStatic(class.simple())
	}
	if ok || err != nil {
		return v, true, err
	}
	return nil, true, rejected(c.pos, "staticMethod "+class.full()+" "+c.name+signature(c.args))
}

// math are the methods of Math.
func (c *methodCall) math() (any, bool, error) {
	x, isX := number(c.arg(0))
	y, isY := number(c.arg(1))
	switch {
	case c.name == "random" && len(c.args) == 0:
		n, err := c.f.random(c.pos)
		return float64(n>>11) / (1 << 53), true, err
	case c.name == "PI" || !isX || len(c.args) > 2 || len(c.args) == 2 && !isY:
		return nil, false, nil
	case len(c.args) == 2:
		return c.math2(x, y)
	}
	switch c.name {
	case "abs":
		if compareNumbers(c.arg(0), int64(0)) < 0 {
			v, err := negative(c.arg(0), c.pos)
			return v, true, err
		}
		return c.arg(0), true, nil
	case "round":
		return Long(truncated(math.Floor(x + 0.5))), true, nil
	case "floor":
		return math.Floor(x), true, nil
	case "ceil":
		return math.Ceil(x), true, nil
	case "rint":
		return math.RoundToEven(x), true, nil
	case "sqrt":
		return math.Sqrt(x), true, nil
	case "log":
		return math.Log(x), true, nil
	case "log10":
		return math.Log10(x), true, nil
	case "exp":
		return math.Exp(x), true, nil
	case "signum":
		return float64(compareNumbers(x, 0.0)), true, nil
	}
	return nil, false, nil
}

func (c *methodCall) math2(x, y float64) (any, bool, error) {
	switch c.name {
	case "max", "min":
		if n := compareNumbers(c.args[0], c.args[1]); (n >= 0) == (c.name == "max") {
			return c.args[0], true, nil
		}
		return c.args[1], true, nil
	case "pow":
		return math.Pow(x, y), true, nil
	case "floorMod", "floorDiv":
		a, okA := whole(c.args[0])
		b, okB := whole(c.args[1])
		if !okA || !okB {
			return nil, false, nil
		}
		if b == 0 {
			return nil, true, throw(c.pos, "java.lang.ArithmeticException", "/ by zero")
		}
		q := new(big.Int).Div(big.NewInt(a), big.NewInt(b))
		m := new(big.Int).Mod(big.NewInt(a), big.NewInt(b))
		if b < 0 && m.Sign() != 0 {
			m.Add(m, big.NewInt(b))
			q.Sub(q, big.NewInt(1))
		}
		if c.name == "floorMod" {
			return narrowLong(m), true, nil
		}
		return narrowLong(q), true, nil
	}
	return nil, false, nil
}

// narrowLong gives a value that has 64 bits at most.
func narrowLong(n *big.Int) any { return low64(n) }

// parse are the static methods of the classes of numbers and of Boolean.
func (c *methodCall) parse(class string) (any, bool, error) {
	switch {
	case len(c.args) == 0:
		return nil, false, nil
	case class == "Boolean":
		return strings.EqualFold(c.str(0), "true"), c.name == "parseBoolean" || c.name == "valueOf", nil
	case c.name == "valueOf" || strings.HasPrefix(c.name, "parse"):
		return c.parseNumber(class)
	}
	switch c.name {
	case "decode":
		n, err := strconv.ParseInt(strings.Replace(c.str(0), "#", "0x", 1), 0, 32)
		if err != nil {
			return nil, true, throw(c.pos, "java.lang.NumberFormatException", "For input string: \"%s\"", clip(c.str(0)))
		}
		return n, class == "Integer", nil
	case "compare":
		n, ok := compare(c.arg(0), c.arg(1))
		return int64(n), ok && len(c.args) == 2, nil
	case "toString":
		if radix, ok := c.intArg(1); ok {
			return c.inRadix(c.arg(0), radix)
		}
		return c.str(0), true, nil
	case "toHexString":
		return c.inRadix(c.arg(0), 16)
	case "toBinaryString":
		return c.inRadix(c.arg(0), 2)
	case "toOctalString":
		return c.inRadix(c.arg(0), 8)
	case "max", "min", "sum":
		return c.ofTwo()
	}
	return nil, false, nil
}

// ofTwo are max, min and sum of two numbers.
func (c *methodCall) ofTwo() (any, bool, error) {
	if rankOf(c.arg(0)) == noNumber || rankOf(c.arg(1)) == noNumber {
		return nil, false, nil
	}
	if c.name == "sum" {
		v, err := calculate("+", c.args[0], c.args[1], c.pos)
		return v, true, err
	}
	return c.math2(0, 0)
}

// parseNumber reads a number, in a radix if one is given.
func (c *methodCall) parseNumber(class string) (any, bool, error) {
	radix, given := c.intArg(1)
	if !given || radix < 2 || radix > 36 || class != "Integer" && class != "Long" {
		v, err := c.f.cast(c.arg(0), class, c.pos)
		return v, true, err
	}
	bits := 32
	if class == "Long" {
		bits = 64
	}
	n, err := strconv.ParseInt(c.str(0), radix, bits)
	switch {
	case err != nil:
		return nil, true, throw(c.pos, "java.lang.NumberFormatException", "For input string: \"%s\"", clip(c.str(0)))
	case class == "Long":
		return Long(n), true, nil
	}
	return n, true, nil
}

func (c *methodCall) inRadix(v any, radix int) (any, bool, error) {
	n, ok := whole(v)
	if !ok || radix < 2 || radix > 36 {
		return nil, false, nil
	}
	if c.name == "toString" {
		return strconv.FormatInt(n, radix), true, nil
	}
	if rankOf(v) == rankInteger {
		return strconv.FormatUint(uint64(uint32(n)), radix), true, nil
	}
	return strconv.FormatUint(uint64(n), radix), true, nil
}

func (c *methodCall) stringStatic() (any, bool, error) {
	switch {
	case c.name == "valueOf" && len(c.args) == 1:
		return c.str(0), true, nil
	case c.name == "join" && len(c.args) >= 1:
		items := c.args[1:]
		if l, ok := c.arg(1).(*List); ok && len(c.args) == 2 {
			items = l.Items
		}
		return c.join(&List{Items: items}, c.str(0))
	case c.name == "format" && len(c.args) >= 1:
		v, err := c.format(c.str(0), c.args[1:])
		return v, true, err
	}
	return nil, false, nil
}

func (c *methodCall) collectionsStatic() (any, bool, error) {
	l, isList := c.arg(0).(*List)
	switch c.name {
	case "emptyList":
		return &List{}, true, nil
	case "emptyMap":
		return NewMap(), true, nil
	case "singletonList":
		return NewList(c.arg(0)), true, nil
	case "asList":
		if isList && len(c.args) == 1 {
			return l, true, nil
		}
		return NewList(c.args...), true, nil
	case "equals":
		return c.f.equal(c.arg(0), c.arg(1)), len(c.args) == 2, nil
	case "isNull", "nonNull":
		return (c.arg(0) == nil) == (c.name == "isNull"), true, nil
	case "sort", "reverse", "max", "min":
		if !isList || len(c.args) != 1 {
			return nil, false, nil
		}
		if c.name == "reverse" {
			for i, j := 0, len(l.Items)-1; i < j; i, j = i+1, j-1 {
				l.Items[i], l.Items[j] = l.Items[j], l.Items[i]
			}
			return nil, true, nil
		}
		inner := methodCall{f: c.f, obj: l, name: c.name, pos: c.pos}
		v, ok, err := inner.aggregate(l, nil)
		if c.name == "sort" {
			v = nil
		}
		return v, ok, err
	case "unmodifiableList", "unmodifiableMap", "unmodifiableCollection", "synchronizedList", "synchronizedMap":
		return c.arg(0), true, nil
	}
	return nil, false, nil
}

func (c *methodCall) otherStatic(class string) (any, bool, error) {
	switch class + "." + c.name {
	case "System.currentTimeMillis":
		at, err := c.f.clock(c.pos)
		return Long(at.UnixMilli()), true, err
	case "System.nanoTime":
		at, err := c.f.clock(c.pos)
		return Long(at.UnixNano()), true, err
	case "System.lineSeparator":
		return "\n", true, nil
	case "Date.parse":
		at, err := parseDate(c.str(1), c.str(0), time.UTC)
		return &Date{at.UnixMilli()}, len(c.args) == 2, err
	case "UUID.randomUUID":
		v, err := c.f.uuid(c.pos)
		return v, true, err
	case "Character.isDigit", "Character.isLetter", "Character.isUpperCase", "Character.isLowerCase", "Character.isLetterOrDigit", "Character.isWhitespace":
		return characterTest(c.name, c.str(0)), true, nil
	case "URLEncoder.encode":
		return urlEncoded(c.str(0)), len(c.args) > 0, nil
	case "URLDecoder.decode":
		s, err := url.QueryUnescape(c.str(0))
		if err != nil {
			return nil, true, throw(c.pos, "java.lang.IllegalArgumentException", "URLDecoder: %v", err)
		}
		return s, len(c.args) > 0, nil
	case "TimeZone.getTimeZone":
		return &zone{location(c.str(0))}, true, nil
	case "Pattern.compile":
		return Pattern{Source: c.str(0)}, len(c.args) == 1, nil
	case "Pattern.quote":
		return quotePattern(c.str(0)), true, nil
	case "Pattern.matches":
		v, err := c.f.matchWhole(c.str(0), c.str(1), c.pos)
		return v, len(c.args) == 2, err
	case "JsonOutput.toJson":
		v, err := c.f.toJSON(c.arg(0), c.pos)
		return v, true, err
	case "JsonOutput.prettyPrint":
		v, err := c.f.prettyJSON(c.str(0), c.pos)
		return v, true, err
	}
	return nil, false, nil
}

// urlEncoded writes a text as URLEncoder does.
func urlEncoded(s string) string {
	return strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(s))
}

// staticFields are the fields of classes that a script may read.
var staticFields = map[string]any{
	"Integer.MAX_VALUE": int64(math.MaxInt32), "Integer.MIN_VALUE": int64(math.MinInt32), "Long.MAX_VALUE": Long(math.MaxInt64), "Long.MIN_VALUE": Long(math.MinInt64),
	"Double.MAX_VALUE": math.MaxFloat64, "Math.PI": math.Pi, "Math.E": math.E, "Boolean.TRUE": true, "Boolean.FALSE": false,
	"BigDecimal.ZERO": Decimal{unscaled: big.NewInt(0)}, "BigDecimal.ONE": Decimal{unscaled: big.NewInt(1)},
	"BigDecimal.ROUND_HALF_UP": int64(4), "BigInteger.ZERO": big.NewInt(0), "BigInteger.ONE": big.NewInt(1),
	"Result.SUCCESS": "SUCCESS", "Result.UNSTABLE": "UNSTABLE", "Result.FAILURE": "FAILURE", "Result.ABORTED": "ABORTED", "Result.NOT_BUILT": "NOT_BUILT",
	"Closure.OWNER_FIRST": ownerFirst, "Closure.DELEGATE_FIRST": delegateFirst, "Closure.OWNER_ONLY": ownerOnly, "Closure.DELEGATE_ONLY": delegateOnly,
	"Closure.TO_SELF": toSelf, "TimeUnit.SECONDS": "SECONDS", "TimeUnit.MINUTES": "MINUTES", "TimeUnit.HOURS": "HOURS", "TimeUnit.DAYS": "DAYS", "TimeUnit.MILLISECONDS": "MILLISECONDS",
	"RoundingMode.HALF_UP": "HALF_UP", "RoundingMode.HALF_EVEN": "HALF_EVEN", "RoundingMode.HALF_DOWN": "HALF_DOWN", "RoundingMode.UP": "UP", "RoundingMode.DOWN": "DOWN",
	"RoundingMode.CEILING": "CEILING", "RoundingMode.FLOOR": "FLOOR",
	"String.CASE_INSENSITIVE_ORDER": nil, "StandardCharsets.UTF_8": "UTF-8", "Pattern.CASE_INSENSITIVE": int64(2), "Pattern.MULTILINE": int64(8), "Pattern.DOTALL": int64(32),
}

// staticField reads a field of a class.
func staticField(class classRef, name string, pos jenkinsfile.Pos) (any, error) {
	if v := staticFields[class.simple()+"."+name]; v != nil {
		return v, nil
	}
	switch name {
	case "name", "canonicalName":
		return class.full(), nil
	case "simpleName":
		return class.simple(), nil
	}
	switch name {
	case "classLoader", "methods", "declaredMethods", "declaredFields", "protectionDomain":
		return nil, rejected(pos, "method java.lang.Class get"+strings.ToUpper(name[:1])+name[1:])
	}
	return nil, rejected(pos, "staticField "+class.full()+" "+name)
}

// Constructible tells if a script may say new of the class.
func Constructible(class string) bool {
	simple := class[strings.LastIndexByte(class, '.')+1:]
	if _, ok := throwable(class); ok {
		return true
	}
	i := sort.SearchStrings(constructors, simple)
	if i == len(constructors) || constructors[i] != simple {
		return false
	}
	full, known := classes[simple]
	if !known {
		for name, ok := range importable {
			if ok && strings.HasSuffix(name, "."+simple) {
				full = name
			}
		}
	}
	return class == simple || class == full
}

// constructors are the classes of which scripts can make objects, sorted.
var constructors = []string{
	"ArrayList", "BigDecimal", "BigInteger", "Date", "Double", "HashMap", "HashSet", "Integer", "JsonBuilder", "JsonSlurper", "JsonSlurperClassic", "LinkedHashMap", "LinkedHashSet",
	"LinkedList", "Long", "Object", "Random", "SimpleDateFormat", "String", "StringBuffer", "StringBuilder", "TreeMap", "TreeSet",
}

// construct is new Type(args).
func (f *frame) construct(s *scope, x *jenkinsfile.New) (any, error) {
	args, err := f.arguments(s, x.Args)
	if err != nil {
		return nil, err
	}
	list := args.list()
	if full, known := f.m.class(x.Type); known {
		renamed := *x
		renamed.Type = full
		x = &renamed
	}
	if class, ok := throwable(x.Type); ok {
		return f.checked(newException(class, list, x.From), x.From)
	}
	if strings.HasSuffix(x.Type, "[]") {
		if n, ok := whole(first(list)); ok && len(list) == 1 {
			if n < 0 || n > int64(f.m.limits.Items) {
				return nil, &LimitError{Message: "Array with too many items", Pos: x.From}
			}
			l := &List{Items: make([]any, n)}
			for i := range l.Items {
				l.Items[i] = zeroOf(strings.TrimSuffix(x.Type, "[]"))
			}
			return f.checked(l, x.From)
		}
	}
	if !Constructible(x.Type) {
		return nil, rejected(x.From, "new "+fullName(x.Type)+signature(list))
	}
	v, ok, err := f.newObject(x.Type[strings.LastIndexByte(x.Type, '.')+1:], list, x.From)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, throw(x.From, "groovy.lang.GroovyRuntimeException", "Could not find matching constructor for: %s(%s)", fullName(x.Type), strings.TrimSpace(signature(list)))
	}
	return f.checked(v, x.From)
}

// zeroOf is what a new array of a type is filled with.
func zeroOf(typ string) any {
	switch typ {
	case "int", "short", "byte":
		return int64(0)
	case "long":
		return Long(0)
	case "double", "float":
		return 0.0
	case "boolean":
		return false
	}
	return nil
}

func first(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func newException(class string, args []any, pos jenkinsfile.Pos) *Exception {
	e := &Exception{Class: class, Pos: pos}
	for _, a := range args {
		if cause, ok := a.(*Exception); ok {
			e.Cause = cause
			if len(args) == 1 {
				e.Message = cause.Error()
			}
			continue
		}
		if a != nil {
			e.Message = ToString(a)
		}
	}
	return e
}

func (f *frame) newObject(class string, args []any, pos jenkinsfile.Pos) (any, bool, error) {
	arg := first(args)
	if len(args) > 1 && class != "SimpleDateFormat" && class != "String" {
		return nil, false, nil
	}
	switch class {
	case "ArrayList", "LinkedList":
		if _, capacity := whole(arg); capacity || arg == nil {
			return &List{}, true, nil
		}
		return &List{Items: itemsOf(arg)}, true, nil
	case "HashSet", "LinkedHashSet", "TreeSet":
		if _, capacity := whole(arg); capacity || arg == nil {
			return &List{set: true}, true, nil
		}
		v, err := f.asCollection(arg, class, pos)
		return v, true, err
	case "HashMap", "LinkedHashMap", "TreeMap":
		m := NewMap()
		m.sorted = class == "TreeMap"
		putEntry(m, arg)
		return m, true, nil
	case "String":
		if arg == nil {
			return "", true, nil
		}
		if l, ok := arg.(*List); ok {
			if b, ok := byteItems(l); ok {
				return strings.ToValidUTF8(string(b), "\ufffd"), true, nil
			}
		}
		return ToString(arg), true, nil
	case "StringBuilder", "StringBuffer":
		b := &textBuilder{class: class}
		if _, capacity := whole(arg); arg != nil && !capacity {
			b.text = []byte(ToString(arg))
		}
		return b, true, nil
	case "BigDecimal", "BigInteger", "Integer", "Long", "Double":
		v, err := f.cast(arg, class, pos)
		return v, arg != nil, err
	case "Object":
		return &bareObject{}, len(args) == 0, nil
	case "Random":
		return &randomObject{f.m}, true, nil
	}
	return f.newTimeOrJSON(class, args, pos)
}

func (f *frame) newTimeOrJSON(class string, args []any, pos jenkinsfile.Pos) (any, bool, error) {
	switch class {
	case "Date":
		if n, ok := whole(first(args)); ok {
			return &Date{n}, true, nil
		}
		at, err := f.clock(pos)
		return &Date{at.UnixMilli()}, len(args) == 0, err
	case "SimpleDateFormat":
		return &dateFormat{pattern: ToString(first(args)), zone: time.UTC}, len(args) > 0, nil
	case "JsonBuilder":
		v, err := f.newJSONBuilder(first(args), pos)
		return v, len(args) == 1, err
	case "JsonSlurper", "JsonSlurperClassic":
		return &jsonSlurper{m: f.m, class: "groovy.json." + class}, len(args) == 0, nil
	}
	return nil, false, nil
}
