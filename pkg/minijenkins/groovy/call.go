// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// arguments are the evaluated arguments of a call.
type arguments struct {
	positional []any
	named      *Map
}

// list gives the arguments as a method takes them: the named ones as a map in front.
func (a arguments) list() []any {
	if a.named == nil {
		return a.positional
	}
	return append([]any{a.named}, a.positional...)
}

func (f *frame) arguments(s *scope, args []jenkinsfile.Arg) (arguments, error) {
	var out arguments
	for _, a := range args {
		v, err := f.eval(s, a.Value)
		if err != nil {
			return out, err
		}
		switch {
		case a.Named && a.Spread:
			if m, ok := v.(*Map); ok {
				for _, k := range m.keys {
					out.putNamed(k, m.values[k])
				}
			}
		case a.Named:
			var key any = a.Name
			if a.NameExpr != nil {
				if key, err = f.eval(s, a.NameExpr); err != nil {
					return out, err
				}
			}
			out.putNamed(key, v)
		case a.Spread:
			out.positional = append(out.positional, itemsOf(v)...)
		default:
			out.positional = append(out.positional, v)
		}
	}
	return out, nil
}

func (a *arguments) putNamed(k, v any) {
	if a.named == nil {
		a.named = NewMap()
	}
	a.named.Put(k, v)
}

func (f *frame) callExpr(s *scope, x *jenkinsfile.Call) (any, error) {
	if x.Callee != nil {
		return f.callCallee(s, x)
	}
	if x.Object == nil {
		return f.callName(s, x)
	}
	var obj any
	if p, ok := x.Object.(*jenkinsfile.Property); ok && classPath(p) != "" {
		obj = classRef(classPath(p))
	} else {
		v, err := f.eval(s, x.Object)
		if err != nil {
			return nil, err
		}
		obj = v
	}
	if obj == nil && x.Safe {
		return nil, nil
	}
	args, err := f.arguments(s, x.Args)
	if err != nil {
		return nil, err
	}
	if x.Spread {
		return f.spread(obj, func(item any) (any, error) { return f.invoke(item, x.Name, args.list(), x.From) })
	}
	if script, ok := obj.(*Script); ok && !forbidden[x.Name] {
		return f.callFunction(script.funcs, x.Name, args, x.From)
	}
	return f.invoke(obj, x.Name, args.list(), x.From)
}

func (f *frame) callCallee(s *scope, x *jenkinsfile.Call) (any, error) {
	// "$name"(…) and object."$name"(…) call the method of that name.
	if p, ok := x.Callee.(*jenkinsfile.Property); ok && p.NameExpr != nil {
		name, err := f.propertyName(s, p)
		if err != nil {
			return nil, err
		}
		named := *x
		named.Callee, named.Object, named.Name, named.Safe, named.Spread = nil, p.Object, name, p.Safe, p.Spread
		return f.callExpr(s, &named)
	}
	callee, err := f.eval(s, x.Callee)
	if err != nil {
		return nil, err
	}
	args, err := f.arguments(s, x.Args)
	if err != nil {
		return nil, err
	}
	switch x.Callee.(type) {
	case *jenkinsfile.GString, *jenkinsfile.Constant:
		if name, ok := text(callee); ok {
			return f.callFunction(s, name, args, x.From)
		}
	}
	return f.invoke(callee, "call", args.list(), x.From)
}

func (f *frame) callName(s *scope, x *jenkinsfile.Call) (any, error) {
	args, err := f.arguments(s, x.Args)
	if err != nil {
		return nil, err
	}
	return f.callFunction(s, x.Name, args, x.From)
}

// callFunction calls a variable that holds a closure, a function of the script, or a step.
func (f *frame) callFunction(s *scope, name string, args arguments, pos jenkinsfile.Pos) (any, error) {
	if owner, ok := s.lookup(name); ok {
		if c, ok := owner.vars[name].(*Closure); ok {
			return f.call(c, args.list())
		}
	}
	if !f.m.host.HasStep(name) {
		v, ok, err := f.m.host.Global(f.ctx, name)
		if err != nil {
			return nil, withPos(err, pos)
		}
		if _, isText := text(v); ok && !isText {
			return f.invoke(v, "call", args.list(), pos)
		}
		return nil, throw(pos, "java.lang.NoSuchMethodError", "No such DSL method '%s' found among steps [%s] or globals [%s]",
			name, strings.Join(f.m.host.StepNames(), ", "), strings.Join(f.m.host.GlobalNames(), ", "))
	}
	inv := Invocation{Name: name, Args: args.positional, Named: args.named, Pos: pos}
	if n := len(inv.Args); n > 0 {
		if c, ok := inv.Args[n-1].(*Closure); ok {
			inv.Body = c
			inv.Args = inv.Args[:n-1]
		}
	}
	// A step may be given one map with its parameters.
	if inv.Named == nil && len(inv.Args) == 1 {
		if m, ok := inv.Args[0].(*Map); ok && name != "parallel" {
			if _, isClass := m.Get("$class"); !isClass {
				inv.Named, inv.Args = m, nil
			}
		}
	}
	v, err := f.m.host.Step(f.ctx, inv)
	if err != nil {
		return nil, withPos(err, pos)
	}
	return f.checked(v, pos)
}

func missingMethod(pos jenkinsfile.Pos, name string, obj any, args []any) error {
	types := make([]string, len(args))
	values := make([]string, len(args))
	for i, a := range args {
		types[i] = className(a)
		values[i] = clip(ToString(a))
	}
	return throw(pos, "groovy.lang.MissingMethodException", "No signature of method: %s.%s() is applicable for argument types: (%s) values: [%s]",
		className(obj), name, strings.Join(types, ", "), strings.Join(values, ", "))
}

// forbidden are methods that lead out of the sandbox in Groovy.
var forbidden = map[string]bool{
	"getClass": true, "execute": true, "evaluate": true, "getMetaClass": true, "setMetaClass": true, "invokeMethod": true,
	"newInstance": true, "exec": true, "getBinding": true, "use": true, "mixin": true, "asType": true, "bytes": true,
	"wait": true, "notify": true, "notifyAll": true, "finalize": true, "clone": true,
}

// invoke calls a method of a value.
func (f *frame) invoke(obj any, name string, args []any, pos jenkinsfile.Pos) (any, error) {
	f.weigh(obj)
	if err := f.tick(pos); err != nil {
		return nil, err
	}
	if o, ok := obj.(Object); ok {
		v, ok, err := o.Call(f.ctx, name, args)
		if err != nil {
			return nil, withPos(err, pos)
		}
		if ok {
			return f.checked(v, pos)
		}
	}
	if forbidden[name] {
		return nil, rejected(pos, "method "+className(obj)+" "+name)
	}
	if obj == nil && name != "toString" && name != "equals" {
		return nil, throw(pos, "java.lang.NullPointerException", "Cannot invoke method %s() on null object", name)
	}
	c := methodCall{f: f, obj: obj, name: name, args: args, pos: pos}
	v, ok, err := c.dispatch()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, missingMethod(pos, name, obj, args)
	}
	return f.checked(v, pos)
}

// methodCall is one call of a built-in method.
type methodCall struct {
	f    *frame
	obj  any
	name string
	args []any
	pos  jenkinsfile.Pos
}

func (c *methodCall) dispatch() (any, bool, error) {
	if v, ok, err := c.common(); ok || err != nil {
		return v, ok, err
	}
	switch o := c.obj.(type) {
	case string:
		return c.stringMethod(o)
	case GString:
		return c.stringMethod(string(o))
	case *List:
		return c.listMethod(o)
	case *Map:
		return c.mapMethod(o)
	case int64, float64:
		return c.numberMethod()
	case *Closure:
		if c.name == "call" || c.name == "doCall" {
			v, err := c.f.call(o, c.args)
			return v, true, err
		}
	case *Exception:
		switch c.name {
		case "getMessage", "getLocalizedMessage":
			return o.Message, true, nil
		case "getCause":
			return nil, true, nil
		case "printStackTrace":
			return nil, true, nil
		}
	case entry:
		switch c.name {
		case "getKey":
			return o.key, true, nil
		case "getValue":
			return o.value, true, nil
		}
	case matcher:
		return c.matcherMethod(o)
	case Pattern:
		return c.patternMethod(o)
	case classRef:
		return c.staticMethod(string(o))
	}
	return nil, false, nil
}

// common are methods that every value has.
func (c *methodCall) common() (any, bool, error) {
	switch c.name {
	case "toString":
		return ToString(c.obj), len(c.args) == 0, nil
	case "equals":
		if len(c.args) == 1 {
			return Equal(c.obj, c.args[0]), true, nil
		}
	case "asBoolean":
		return Truth(c.obj), true, nil
	case "inspect":
		var b strings.Builder
		writeText(&b, c.obj, 0, true)
		return b.String(), true, nil
	case "with", "tap":
		if fn := c.closure(0); fn != nil {
			v, err := c.f.call(fn, []any{c.obj})
			if c.name == "tap" {
				v = c.obj
			}
			return v, true, err
		}
	case "compareTo":
		if len(c.args) == 1 {
			n, ok := compare(c.obj, c.args[0])
			return int64(n), ok, nil
		}
	case "hashCode":
		return int64(0), false, nil
	}
	return nil, false, nil
}

func (c *methodCall) matcherMethod(m matcher) (any, bool, error) {
	switch c.name {
	case "matches", "find":
		return len(m.found) > 0, true, nil
	case "size", "getCount":
		return int64(len(m.found)), true, nil
	case "group":
		if len(m.found) == 0 {
			return nil, true, throw(c.pos, "java.lang.IllegalStateException", "No match found")
		}
		i, _ := c.intArg(0)
		if i < 0 || i >= len(m.found[0]) {
			return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "No group %d", i)
		}
		return m.found[0][i], true, nil
	}
	list := methodCall{f: c.f, obj: &List{Items: m.items()}, name: c.name, args: c.args, pos: c.pos}
	return list.listMethod(list.obj.(*List))
}

func (c *methodCall) patternMethod(p Pattern) (any, bool, error) {
	switch c.name {
	case "matcher":
		v, err := find(p.Source, c.str(0), c.pos)
		return v, true, err
	case "pattern":
		return p.Source, true, nil
	}
	return nil, false, nil
}

func (c *methodCall) numberMethod() (any, bool, error) {
	n, _ := number(c.obj)
	switch c.name {
	case "toInteger", "intValue", "toLong", "longValue":
		v, err := toInteger(c.obj, c.pos)
		return v, true, err
	case "toDouble", "doubleValue", "toBigDecimal", "toFloat", "floatValue":
		return n, true, nil
	case "abs":
		if i, ok := c.obj.(int64); ok {
			if i < 0 {
				i = -i
			}
			return i, true, nil
		}
		return math.Abs(n), true, nil
	case "round":
		digits, _ := c.intArg(0)
		if digits <= 0 || digits > 15 {
			v, err := toInteger(math.Round(n), c.pos)
			return v, true, err
		}
		p := math.Pow(10, float64(digits))
		return math.Round(n*p) / p, true, nil
	case "intdiv":
		a, okA := c.obj.(int64)
		b, okB := c.intArg(0)
		if !okA || !okB || b == 0 {
			return nil, true, throw(c.pos, "java.lang.ArithmeticException", "Division by zero")
		}
		return a / int64(b), true, nil
	case "mod":
		v, err := c.f.arithmetic("%", c.obj, c.arg(0), c.pos)
		return v, true, err
	case "times", "upto", "downto":
		return c.countLoop()
	}
	return nil, false, nil
}

// countLoop is 3.times { }, 1.upto(3) { } and 3.downto(1) { }.
func (c *methodCall) countLoop() (any, bool, error) {
	n, ok := c.obj.(int64)
	if !ok || len(c.args) == 0 {
		return nil, false, nil
	}
	fn := c.closure(len(c.args) - 1)
	if fn == nil {
		return nil, false, nil
	}
	from, to, step := int64(0), n-1, int64(1)
	if c.name != "times" {
		limit, ok := c.args[0].(int64)
		if !ok {
			return nil, false, nil
		}
		from, to = n, limit
		if c.name == "downto" {
			step = -1
		}
	}
	for i := from; (to-i)*step >= 0; i += step {
		if _, err := c.f.call(fn, []any{i}); err != nil {
			return nil, true, err
		}
	}
	return nil, true, nil
}

// staticMethods are the classes with the static methods that a script may call.
var staticMethods = map[string]bool{"Math": true, "Integer": true, "Long": true, "Boolean": true, "String": true, "Double": true}

func (c *methodCall) staticMethod(class string) (any, bool, error) {
	switch strings.TrimPrefix(class, "java.lang.") + "." + c.name {
	case "Integer.parseInt", "Integer.valueOf", "Long.parseLong", "Long.valueOf":
		if len(c.args) == 1 {
			v, err := toInteger(c.args[0], c.pos)
			return v, true, err
		}
	case "Double.parseDouble", "Double.valueOf":
		if len(c.args) == 1 {
			v, err := toDecimal(c.args[0], c.pos)
			return v, true, err
		}
	case "Boolean.parseBoolean", "Boolean.valueOf":
		return strings.EqualFold(c.str(0), "true"), true, nil
	case "String.valueOf":
		return c.str(0), true, nil
	case "Math.max", "Math.min":
		if len(c.args) == 2 {
			n, ok := compare(c.args[0], c.args[1])
			if ok && (n >= 0) == (c.name == "max") {
				return c.args[0], true, nil
			}
			return c.args[1], ok, nil
		}
	case "Math.abs", "Math.round":
		if len(c.args) == 1 {
			n := methodCall{f: c.f, obj: c.args[0], name: c.name, pos: c.pos}
			return n.numberMethod()
		}
	case "Math.floor", "Math.ceil":
		if n, ok := number(c.arg(0)); ok {
			if c.name == "floor" {
				return math.Floor(n), true, nil
			}
			return math.Ceil(n), true, nil
		}
	}
	return nil, true, rejected(c.pos, "staticMethod "+class+" "+c.name)
}

func (c *methodCall) arg(i int) any {
	if i >= 0 && i < len(c.args) {
		return c.args[i]
	}
	return nil
}

func (c *methodCall) str(i int) string { return ToString(c.arg(i)) }

func (c *methodCall) intArg(i int) (int, bool) {
	n, ok := c.arg(i).(int64)
	if n > math.MaxInt32 || n < math.MinInt32 {
		return 0, false
	}
	return int(n), ok
}

func (c *methodCall) closure(i int) *Closure {
	fn, _ := c.arg(i).(*Closure)
	return fn
}
