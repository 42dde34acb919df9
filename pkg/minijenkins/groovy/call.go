// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"math"
	"math/big"
	"strings"
	"unicode/utf16"

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
	defer f.release(len(f.held))
	for _, a := range args {
		v, err := f.eval(s, a.Value)
		if err != nil {
			return out, err
		}
		f.hold(v)
		switch {
		case a.Named && a.Spread:
			if m, ok := v.(*Map); ok {
				for _, k := range m.keys {
					out.putNamed(k, m.value(k))
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
			items := itemsOf(v)
			if err := f.charge(2*wordBytes*len(items), a.Value.Start()); err != nil {
				return out, err
			}
			out.positional = append(out.positional, items...)
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
	defer f.release(len(f.held))
	f.hold(obj)
	args, err := f.arguments(s, x.Args)
	if err != nil {
		return nil, err
	}
	if x.Spread {
		return f.spread(obj, x.From, func(item any) (any, error) { return f.invoke(item, x.Name, args.list(), x.From) })
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
	if f.m.delegates {
		if v, done, err := f.delegatedFunction(s, name, args, pos); done {
			return v, err
		}
	}
	if owner, ok := s.lookup(name); ok {
		if c, ok := owner.vars[name].(*Closure); ok {
			if c.function == "" {
				return f.call(c, args.list())
			}
			if fn := choose(c, args.list()); fn != nil {
				return f.call(fn, args.list())
			}
			return nil, f.noMethod(name, pos)
		}
	}
	if !f.m.host.HasStep(name) {
		f.m.steps += globalSteps
		v, ok, err := f.m.host.Global(f.ctx, name)
		if err != nil {
			return nil, withPos(err, pos)
		}
		if _, isText := text(v); ok && !isText {
			return f.invoke(v, "call", args.list(), pos)
		}
		if forbidden[name] {
			return nil, rejected(pos, forbiddenText(f.m.main, name, args.list()))
		}
		return f.ofScript(name, args, pos)
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
	inv.Args = f.hostArgs(inv.Args)
	if inv.Named != nil {
		inv.Named, _ = f.toHost(inv.Named).(*Map)
	}
	return f.step(inv)
}

// step runs a step of the host.
func (f *frame) step(inv Invocation) (any, error) {
	defer f.release(len(f.held))
	for _, a := range inv.Args {
		f.hold(a)
		f.weighArgument(a)
	}
	if inv.Named != nil {
		f.hold(inv.Named)
		f.weighArgument(inv.Named)
	}
	if inv.Body != nil {
		f.hold(inv.Body)
	}
	f.m.since = f.m.steps
	v, err := f.m.host.Step(f.ctx, inv)
	f.m.since = f.m.steps
	if err != nil {
		return nil, withPos(err, inv.Pos)
	}
	if err := f.chargeTree(v, inv.Pos); err != nil {
		return nil, err
	}
	return f.checked(v, inv.Pos)
}

func (f *frame) noMethod(name string, pos jenkinsfile.Pos) error {
	return throw(pos, "java.lang.NoSuchMethodError", "No such DSL method '%s' found among steps [%s] or globals [%s]",
		name, strings.Join(f.m.host.StepNames(), ", "), strings.Join(f.m.host.GlobalNames(), ", "))
}

// choose finds the function of a name that takes the arguments.
func choose(c *Closure, args []any) *Closure {
	var loose *Closure
	for fn := c; fn != nil; fn = fn.other {
		least, most := 0, len(fn.params)
		for _, p := range fn.params {
			switch {
			case p.Variadic:
				most = len(args)
			case p.Default == nil:
				least++
			}
		}
		typed := fitsParams(fn.params, args)
		// f() calls f(x) with null.
		if len(args) == 0 && len(fn.params) == 1 && least == 1 && fn.other == nil && c == fn {
			loose = fn
		}
		if len(args) < least || len(args) > most || !typed {
			continue
		}
		return fn
	}
	return loose
}

// fitsParams tells if arguments have the types of the parameters that they are for: of those with a default the
// last ones take it first.
func fitsParams(params []jenkinsfile.Param, args []any) bool {
	missing, i := len(params)-len(args), 0
	for n, p := range params {
		switch {
		case p.Variadic || i >= len(args):
			return true
		case p.Default != nil && missing > 0 && optionalAfter(params, n) < missing:
			missing--
			continue
		case !fitsType(args[i], p.Type):
			return false
		}
		i++
	}
	return true
}

// fitsType tells if a value may be given for a parameter of a type.
func fitsType(v any, typ string) bool {
	simple := typ[strings.LastIndexByte(typ, '.')+1:]
	if v == nil || typ == "" || simple == "def" || simple == "var" || isInstance(v, typ) {
		return true
	}
	switch simple {
	case "String":
		_, ok := text(v)
		return ok
	case "long", "Long", "double", "Double", "float", "Float", "BigDecimal", "BigInteger", "Number":
		return rankOf(v) != noNumber
	case "int", "Integer", "short", "byte":
		return rankOf(v) == rankInteger
	case "boolean", "Boolean", "List", "Map", "Set", "Closure", "Collection", "ArrayList", "HashMap", "LinkedHashMap", "GString", "Pattern", "Date":
		return false
	}
	_, known := classes[simple]
	return !known
}

// coerceParam gives an argument the type of its parameter.
func (f *frame) coerceParam(v any, typ string, pos jenkinsfile.Pos) (any, error) {
	switch typ[strings.LastIndexByte(typ, '.')+1:] {
	case "def", "var", "Object", "":
		return v, nil
	case "boolean", "Boolean":
		if _, ok := v.(bool); ok {
			return v, nil
		}
		return nil, cannotCast(v, "java.lang.Boolean", pos)
	case "String":
		if _, ok := text(v); !ok {
			return nil, cannotCast(v, "java.lang.String", pos)
		}
	}
	return f.coerce(v, typ, pos)
}

func missingMethod(pos jenkinsfile.Pos, name string, obj any, args []any) error {
	const most = 16
	args = args[:min(len(args), most)]
	types := make([]string, len(args))
	values := make([]string, len(args))
	for i, a := range args {
		types[i] = className(a)
		values[i] = shortText(a)
	}
	return throw(pos, "groovy.lang.MissingMethodException", "No signature of method: %s.%s() is applicable for argument types: (%s) values: [%s]",
		className(obj), name, strings.Join(types, ", "), strings.Join(values, ", "))
}

// forbidden are methods that lead out of the sandbox in Groovy.
var forbidden = map[string]bool{
	"execute": true, "evaluate": true, "getMetaClass": true, "setMetaClass": true, "invokeMethod": true,
	"newInstance": true, "exec": true, "getBinding": true, "use": true, "mixin": true, "asType": true, "wait": true, "notify": true, "notifyAll": true, "finalize": true,
}

// forbiddenText names a method as the sandbox of Jenkins does.
func forbiddenText(obj any, name string, args []any) string {
	switch name {
	case "execute":
		return "staticMethod org.codehaus.groovy.runtime.ProcessGroovyMethods execute " + className(obj)
	case "getMetaClass", "setMetaClass", "invokeMethod":
		return "method groovy.lang.GroovyObject " + name + signature(args)
	case "evaluate":
		return "method groovy.lang.Script evaluate" + signature(args)
	case "getBinding":
		return "method groovy.lang.Script getBinding"
	case "newInstance":
		return "method java.lang.Class newInstance"
	}
	return "method " + className(obj) + " " + name + signature(args)
}

// invoke calls a method of a value.
func (f *frame) invoke(obj any, name string, args []any, pos jenkinsfile.Pos) (any, error) {
	defer f.release(len(f.held))
	f.hold(obj)
	f.weigh(obj)
	for _, a := range args {
		f.weighKey(a)
		f.hold(a)
	}
	if err := f.tick(pos); err != nil {
		return nil, err
	}
	if o, ok := obj.(Object); ok {
		given := args
		if _, isScript := o.(*Script); !isScript {
			given = f.hostArgs(args)
		}
		v, ok, err := o.Call(f.ctx, name, given)
		if err != nil {
			return nil, withPos(err, pos)
		}
		if ok {
			return f.checked(v, pos)
		}
	}
	if forbidden[name] && obj != nil {
		return nil, rejected(pos, forbiddenText(obj, name, args))
	}
	if obj == nil {
		if v, ok, err := f.nullMethod(name, args, pos); ok {
			return v, err
		}
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
	case string, GString, *lazyString:
		s, _ := text(o)
		v, ok, err := c.stringMethod(s)
		if piece, isText := v.(string); isText {
			v = part(piece, s)
		}
		return v, ok, err
	case *List:
		return c.listMethod(o)
	case *Map:
		return c.mapMethod(o)
	case int64, Long, *big.Int, Decimal, float64:
		return c.numberMethod()
	case *Closure:
		return c.closureMethod(o)
	case *Exception:
		switch c.name {
		case "getMessage", "getLocalizedMessage":
			return o.Message, true, nil
		case "getCause":
			if o.Cause == nil {
				return nil, true, nil
			}
			return o.Cause, true, nil
		case "printStackTrace":
			return nil, true, nil
		}
	case entry:
		switch c.name {
		case "getKey":
			return o.key, true, nil
		case "getValue":
			return o.value, true, nil
		case "setValue":
			return o.value, len(c.args) == 1, c.f.set(o, "value", c.arg(0), c.pos)
		}
	case *textBuilder:
		return c.builderMethod(o)
	case *matcher:
		return c.matcherMethod(o)
	case Pattern:
		return c.patternMethod(o)
	case classRef:
		return c.classMethod(o)
	case bool:
		return c.boolMethod(o)
	}
	return nil, false, nil
}

// common are methods that every value has.
func (c *methodCall) common() (any, bool, error) {
	switch c.name {
	case "toString":
		if l, ok := c.obj.(*List); ok && l.span != "" {
			return l.span, len(c.args) == 0, nil
		}
		return c.f.string(c.obj), len(c.args) == 0, nil
	case "equals":
		if len(c.args) == 1 {
			return c.f.same(c.obj, c.args[0]), true, nil
		}
	case "asBoolean":
		return Truth(c.obj), true, nil
	case "getClass":
		return classRef(className(c.obj)), len(c.args) == 0, nil
	case "is":
		return c.obj == c.arg(0), len(c.args) == 1, nil
	case "isCase":
		ok, err := c.f.isCase(c.obj, c.arg(0), c.pos)
		return ok, len(c.args) == 1, err
	case "dump":
		return "<" + className(c.obj) + "@1>", true, nil
	case "inspect":
		var b strings.Builder
		writeText(&b, c.obj, 0, textOptions{inspect: true, limit: textLimit})
		c.f.m.steps += b.Len() / itemsPerStep
		return b.String(), true, nil
	case "with", "tap":
		if fn := c.closure(0); fn != nil {
			v, err := c.with(fn)
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
		return c.hashCode()
	}
	return nil, false, nil
}

// closureMethod are the methods of closures.
func (c *methodCall) closureMethod(o *Closure) (any, bool, error) {
	adapted := &Closure{inner: o, bound: c.args, pos: c.pos}
	switch c.name {
	case "call", "doCall":
		v, err := c.f.call(o, c.args)
		return v, true, err
	case "curry":
		return adapted, true, nil
	case "rcurry":
		adapted.boundAt = -1
		return adapted, true, nil
	case "ncurry":
		n, ok := c.intArg(0)
		if !ok || n < 0 {
			return nil, false, nil
		}
		adapted.bound, adapted.boundAt = c.args[1:], n
		return adapted, true, nil
	case "rightShift", "leftShift":
		if next := c.closure(0); next != nil {
			if c.name == "rightShift" {
				return &Closure{inner: o, then: next, pos: c.pos}, true, nil
			}
			return &Closure{inner: next, then: o, pos: c.pos}, true, nil
		}
	case "getMaximumNumberOfParameters":
		return int64(o.arity()), true, nil
	case "memoize", "trampoline", "asWritable":
		return nil, true, rejected(c.pos, "method groovy.lang.Closure "+c.name)
	case "setDelegate", "setResolveStrategy":
		if len(c.args) == 1 && c.name == "setDelegate" {
			c.f.setDelegate(o, c.args[0])
			return nil, true, nil
		}
		return nil, len(c.args) == 1, c.f.setStrategy(o, c.arg(0), c.pos)
	case "getDelegate", "getOwner", "getThisObject", "getResolveStrategy":
		v, err := c.f.closureProperty(o, strings.ToLower(c.name[3:4])+c.name[4:], c.pos)
		return v, len(c.args) == 0, err
	case "rehydrate", "dehydrate", "clone":
		out := o.copy()
		if c.name == "rehydrate" && len(c.args) == 3 {
			c.f.setDelegate(out, c.args[0])
		}
		return out, len(c.args) == 0 || c.name == "rehydrate", nil
	}
	return nil, false, nil
}

// arity is how many parameters a closure has at most.
func (c *Closure) arity() int {
	switch {
	case c.inner != nil && c.then == nil:
		return max(c.inner.arity()-len(c.bound), 0)
	case c.inner != nil:
		return c.inner.arity()
	case !c.hasParams:
		return 1
	}
	return len(c.params)
}

// classMethod are the methods of a class object and the static methods of the class.
func (c *methodCall) classMethod(o classRef) (any, bool, error) {
	switch c.name {
	case "getName", "getCanonicalName", "getTypeName":
		return o.full(), true, nil
	case "getSimpleName":
		return o.simple(), true, nil
	case "isInstance":
		return isInstance(c.arg(0), o.full()), len(c.args) == 1, nil
	case "isAssignableFrom":
		other, ok := c.arg(0).(classRef)
		return ok && other == o, ok, nil
	case "getClassLoader", "getResource", "getResourceAsStream", "forName", "getMethods", "getDeclaredMethods", "getDeclaredFields":
		kind := "method"
		if c.name == "forName" {
			kind = "staticMethod"
		}
		return nil, true, rejected(c.pos, kind+" java.lang.Class "+c.name+signature(c.args))
	}
	return c.staticMethod(o)
}

func (c *methodCall) boolMethod(b bool) (any, bool, error) {
	switch c.name {
	case "booleanValue":
		return b, true, nil
	case "and", "or", "xor", "implies":
		other := Truth(c.arg(0))
		v := map[string]bool{"and": b && other, "or": b || other, "xor": b != other, "implies": !b || other}[c.name]
		return v, len(c.args) == 1, nil
	}
	return nil, false, nil
}

// hashCode is Java's for strings, numbers and booleans.
func (c *methodCall) hashCode() (any, bool, error) {
	switch v := c.obj.(type) {
	case string, GString, *lazyString:
		s, _ := text(v)
		var h int32
		for _, u := range utf16.Encode([]rune(s)) {
			h = 31*h + int32(u)
		}
		return int64(h), true, nil
	case int64:
		if isInteger(v) {
			return v, true, nil
		}
		return int64(int32(v ^ v>>32)), true, nil
	case Long:
		return int64(int32(v ^ v>>32)), true, nil
	case bool:
		return map[bool]any{true: int64(1231), false: int64(1237)}[v], true, nil
	}
	return nil, false, nil
}

func (c *methodCall) arg(i int) any {
	if i >= 0 && i < len(c.args) {
		return c.args[i]
	}
	return nil
}

func (c *methodCall) str(i int) string { return c.f.string(c.arg(i)) }

func (c *methodCall) intArg(i int) (int, bool) {
	n, ok := whole(c.arg(i))
	if n > math.MaxInt32 || n < math.MinInt32 {
		return 0, false
	}
	return int(n), ok
}

func (c *methodCall) closure(i int) *Closure {
	fn, _ := c.arg(i).(*Closure)
	return fn
}
