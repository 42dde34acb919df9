// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// classRef is the name of a class in an expression. Only a few static methods exist.
type classRef string

func (f *frame) eval(s *scope, x jenkinsfile.Expr) (any, error) {
	if err := f.tick(x.Start()); err != nil {
		return nil, err
	}
	if f.nested >= maxNested {
		return nil, &LimitError{Message: fmt.Sprintf("Expressions nested deeper than %d", maxNested), Pos: x.Start()}
	}
	f.nested++
	v, err := f.expression(s, x)
	f.nested--
	return v, err
}

// maxNested bounds how many expressions may be evaluated one in the other, with those of all calls between them:
// each takes some of Go's stack, whose end would be that of the server.
const maxNested = 20_000

func (f *frame) expression(s *scope, x jenkinsfile.Expr) (any, error) {
	switch x := x.(type) {
	case *jenkinsfile.Constant:
		return literal(x), nil
	case *jenkinsfile.GString:
		return f.gstring(s, x)
	case *jenkinsfile.Ident:
		return f.ident(s, x)
	case *jenkinsfile.Property:
		return f.property(s, x)
	case *jenkinsfile.Index:
		return f.index(s, x)
	case *jenkinsfile.Call:
		return f.callExpr(s, x)
	case *jenkinsfile.Closure:
		return &Closure{params: x.Params, hasParams: x.HasParams, body: x.Body, scope: s, pos: x.From}, f.charge(closureBytes, x.From)
	case *jenkinsfile.List:
		return f.list(s, x)
	case *jenkinsfile.Map:
		return f.mapLiteral(s, x)
	case *jenkinsfile.Assign:
		return f.assign(s, x)
	}
	return f.operator(s, x)
}

func (f *frame) operator(s *scope, x jenkinsfile.Expr) (any, error) {
	switch x := x.(type) {
	case *jenkinsfile.Unary:
		return f.unary(s, x)
	case *jenkinsfile.Binary:
		return f.binary(s, x)
	case *jenkinsfile.Ternary:
		return f.ternary(s, x)
	case *jenkinsfile.Range:
		return f.rangeExpr(s, x)
	case *jenkinsfile.TypeOp:
		v, err := f.eval(s, x.X)
		if err != nil {
			return nil, err
		}
		if x.Op == "instanceof" {
			return isInstance(v, x.Type), nil
		}
		return f.cast(v, x.Type, x.From)
	case *jenkinsfile.MultiAssign:
		return f.multiAssign(s, x)
	case *jenkinsfile.MethodPointer:
		v, err := f.eval(s, x.Object)
		if err != nil {
			return nil, err
		}
		return &Closure{object: v, method: x.Name, pos: x.From}, f.charge(closureBytes, x.From)
	case *jenkinsfile.New:
		return f.construct(s, x)
	}
	return nil, rejected(x.Start(), "this expression")
}

func (f *frame) gstring(s *scope, x *jenkinsfile.GString) (any, error) {
	parts := make([]any, 0, len(x.Parts))
	lazy := false
	defer f.release(len(f.held))
	for _, part := range x.Parts {
		v, err := f.eval(s, part)
		if err != nil {
			return nil, err
		}
		switch p := v.(type) {
		case *Closure:
			if p.inner == nil && p.hasParams && len(p.params) == 0 {
				lazy = true
			} else if isClosure(part) {
				if v, err = f.call(p, nil); err != nil {
					return nil, err
				}
			}
		case *List, *Map, *textBuilder:
			// Its text is that of the time when it is needed.
			lazy = true
		}
		f.hold(v)
		parts = append(parts, v)
	}
	for i, v := range parts {
		if !lazy {
			parts[i] = f.string(v)
		}
	}
	if !lazy {
		text, err := f.joined(parts, x.From)
		return GString(text), err
	}
	return f.checked(&lazyString{f: f, parts: parts, pos: x.From}, x.From)
}

func isClosure(x jenkinsfile.Expr) bool {
	_, ok := x.(*jenkinsfile.Closure)
	return ok
}

// joined puts the parts of a string together.
func (f *frame) joined(parts []any, pos jenkinsfile.Pos) (string, error) {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(f.string(p))
		if b.Len() > f.m.limits.StringBytes {
			break
		}
	}
	text := b.String()
	_, err := f.checked(text, pos)
	return text, err
}

func (f *frame) ident(s *scope, x *jenkinsfile.Ident) (any, error) {
	if f.m.delegates {
		return f.delegatedName(s, x)
	}
	return f.scriptName(s, x)
}

// scriptName is the value of a name as a script without closures has it.
func (f *frame) scriptName(s *scope, x *jenkinsfile.Ident) (any, error) {
	if owner, ok := s.lookup(x.Name); ok {
		return owner.vars[x.Name], nil
	}
	switch x.Name {
	case "owner", "steps":
		return f.m.main, nil
	case "delegate":
		return f.delegate(s), nil
	}
	f.m.steps += globalSteps
	v, ok, err := f.m.host.Global(f.ctx, x.Name)
	if err != nil {
		return nil, withPos(err, x.From)
	}
	if ok {
		return v, nil
	}
	if full, known := f.m.class(x.Name); known {
		return classRef(full), nil
	}
	if err := hidden(x.Name, x.From); err != nil {
		return nil, err
	}
	return nil, missingProperty(x.From, x.Name, "groovy.lang.Binding")
}

// hidden refuses the properties of scripts that lead out of the sandbox.
func hidden(name string, pos jenkinsfile.Pos) error {
	switch name {
	case "metaClass":
		return rejected(pos, "method groovy.lang.GroovyObject getMetaClass")
	case "binding":
		return rejected(pos, "method groovy.lang.Script getBinding")
	}
	return nil
}

// withPos adds the place to an exception of the host that has none.
func withPos(err error, pos jenkinsfile.Pos) error {
	var e *Exception
	if errors.As(err, &e) && e.Pos.Line == 0 {
		e.Pos = pos
	}
	return err
}

func (f *frame) property(s *scope, x *jenkinsfile.Property) (any, error) {
	if path := classPath(x); path != "" {
		if _, bound := s.lookup(path[:strings.IndexByte(path, '.')]); !bound {
			return classMember(path, x.From)
		}
	}
	obj, err := f.eval(s, x.Object)
	if err != nil {
		return nil, err
	}
	name, err := f.propertyName(s, x)
	if err != nil {
		return nil, err
	}
	if obj == nil && x.Safe {
		return nil, nil
	}
	if x.Spread {
		return f.spread(obj, x.From, func(item any) (any, error) { return f.get(item, name, x.From) })
	}
	return f.get(obj, name, x.From)
}

// classPath returns the name if the expression is a qualified class name such as java.io.File.
func classPath(x *jenkinsfile.Property) string {
	var parts []string
	var e jenkinsfile.Expr = x
	for {
		switch y := e.(type) {
		case *jenkinsfile.Property:
			if y.NameExpr != nil || y.Safe || y.Spread {
				return ""
			}
			parts = append([]string{y.Name}, parts...)
			e = y.Object
			continue
		case *jenkinsfile.Ident:
			switch y.Name {
			case "java", "javax", "groovy", "hudson", "jenkins", "org", "com":
				return strings.Join(append([]string{y.Name}, parts...), ".")
			}
		}
		return ""
	}
}

// classMember is a class by its full name, or a field of one.
func classMember(path string, pos jenkinsfile.Pos) (any, error) {
	if knownClass(path) {
		return classRef(path), nil
	}
	i := strings.LastIndexByte(path, '.')
	if class := path[:i]; knownClass(class) {
		return staticField(classRef(class), path[i+1:], pos)
	}
	last := path[:i][strings.LastIndexByte(path[:i], '.')+1:]
	if last != "" && unicode.IsUpper(rune(last[0])) {
		return nil, rejected(pos, "staticField "+path[:i]+" "+path[i+1:])
	}
	if first := path[i+1:]; unicode.IsUpper(rune(first[0])) {
		return classRef(path), nil
	}
	return nil, missingProperty(pos, path[:strings.IndexByte(path, '.')], "groovy.lang.Binding")
}

func (f *frame) propertyName(s *scope, x *jenkinsfile.Property) (string, error) {
	if x.NameExpr == nil {
		return x.Name, nil
	}
	v, err := f.eval(s, x.NameExpr)
	return ToString(v), err
}

func (f *frame) spread(obj any, pos jenkinsfile.Pos, each func(any) (any, error)) (any, error) {
	if obj == nil {
		return nil, nil
	}
	out := &List{}
	items := &List{Items: itemsOf(obj)}
	defer f.release(len(f.held))
	f.hold(out)
	f.hold(items)
	for _, item := range items.Items {
		var v any
		if item != nil {
			err := f.tick(pos)
			if err == nil {
				v, err = each(item)
			}
			if err != nil {
				return nil, err
			}
		}
		out.Items = append(out.Items, v)
		if err := f.settle(out, pos); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// get reads a property of a value.
func (f *frame) get(obj any, name string, pos jenkinsfile.Pos) (any, error) {
	_, isMap := obj.(*Map)
	switch {
	case obj == nil || isMap:
	case name == "metaClass":
		return nil, rejected(pos, "method groovy.lang.GroovyObject getMetaClass")
	case name == "class":
		return classRef(className(obj)), nil
	}
	switch o := obj.(type) {
	case nil:
		return nil, throw(pos, "java.lang.NullPointerException", "Cannot get property '%s' on null object", name)
	case *Map:
		return f.fromMap(o, name, pos)
	case *List:
		return f.listProperty(o, name, pos)
	case *Exception:
		return exceptionProperty(o, name, pos)
	case string, GString, *lazyString:
		switch name {
		case "empty":
			return !Truth(o), nil
		case "bytes":
			return f.invoke(o, "getBytes", nil, pos)
		case "chars":
			return f.invoke(o, "toCharArray", nil, pos)
		}
	case *Closure:
		return f.closureProperty(o, name, pos)
	case *matcher:
		if name == "count" {
			return int64(len(o.all())), nil
		}
	case entry:
		switch name {
		case "key":
			return o.key, nil
		case "value":
			return o.value, nil
		}
	case classRef:
		return staticField(o, name, pos)
	case Object:
		v, ok, err := o.Property(f.ctx, name)
		if err != nil {
			return nil, withPos(err, pos)
		}
		if ok {
			return v, nil
		}
		if _, isScript := o.(*Script); isScript {
			if err := hidden(name, pos); err != nil {
				return nil, err
			}
		}
	}
	return nil, missingProperty(pos, name, className(obj))
}

// listProperty reads a property of a list, which is that of all items if it has none of the name.
func (f *frame) listProperty(l *List, name string, pos jenkinsfile.Pos) (any, error) {
	switch {
	case name == "empty":
		return len(l.Items) == 0, nil
	case name == "length" && !hasMaps(l):
		return int64(len(l.Items)), nil // arrays are lists here
	case l.span != "" && (name == "from" || name == "to"):
		return f.invoke(l, "get"+strings.ToUpper(name[:1])+name[1:], nil, pos)
	}
	return f.within(pos, func() (any, error) {
		return f.spread(l, pos, func(item any) (any, error) { return f.get(item, name, pos) })
	})
}

// within goes a level deeper into values: a list may hold itself, and the stack of Go has no bottom that a script may reach.
func (f *frame) within(pos jenkinsfile.Pos, into func() (any, error)) (any, error) {
	if f.nested >= maxNested {
		return nil, &LimitError{Message: fmt.Sprintf("Values nested deeper than %d", maxNested), Pos: pos}
	}
	f.nested++
	defer func() { f.nested-- }()
	return into()
}

// hasMaps tells if a property of the list may be a key of its items.
func hasMaps(l *List) bool {
	_, ok := first(l.Items).(*Map)
	return ok
}

func (f *frame) closureProperty(c *Closure, name string, pos jenkinsfile.Pos) (any, error) {
	switch name {
	case "maximumNumberOfParameters":
		return int64(c.arity()), nil
	case "owner", "thisObject":
		return f.m.main, nil
	case "delegate":
		if c.delegation != nil {
			return c.delegation.to, nil
		}
		return f.delegate(c.scope), nil
	case "resolveStrategy":
		if c.delegation != nil {
			return c.delegation.strategy, nil
		}
		return ownerFirst, nil
	case "parameterTypes":
		return &List{Items: make([]any, c.arity())}, nil
	}
	return nil, missingProperty(pos, name, className(c))
}

func exceptionProperty(e *Exception, name string, pos jenkinsfile.Pos) (any, error) {
	switch name {
	case "message", "localizedMessage":
		return e.Message, nil
	case "cause":
		if e.Cause == nil {
			return nil, nil
		}
		return e.Cause, nil
	case "stackTrace", "causes", "suppressed":
		return &List{}, nil
	}
	return nil, missingProperty(pos, name, e.Class)
}

func (f *frame) index(s *scope, x *jenkinsfile.Index) (any, error) {
	obj, err := f.eval(s, x.Object)
	if err != nil {
		return nil, err
	}
	if len(x.Args) != 1 {
		keys := &List{}
		for _, a := range x.Args {
			k, err := f.eval(s, a)
			if err != nil {
				return nil, err
			}
			keys.Items = append(keys.Items, k)
		}
		return f.at(obj, keys, x.From)
	}
	defer f.release(len(f.held))
	f.hold(obj)
	key, err := f.eval(s, x.Args[0])
	if err != nil {
		return nil, err
	}
	return f.at(obj, key, x.From)
}

// at is Groovy's getAt.
func (f *frame) at(obj, key any, pos jenkinsfile.Pos) (any, error) {
	f.weighKey(key)
	if keys, ok := key.(*List); ok {
		if _, isMap := obj.(*Map); !isMap {
			return f.slice(obj, keys, pos)
		}
	}
	switch o := obj.(type) {
	case nil:
		return nil, throw(pos, "java.lang.NullPointerException", "Cannot invoke method getAt() on null object")
	case *Map:
		return f.fromMap(o, key, pos)
	case *List:
		if i, ok := whole(key); ok {
			if i < 0 {
				i += int64(len(o.Items))
				if i < 0 {
					return nil, throw(pos, "java.lang.ArrayIndexOutOfBoundsException", "Negative array index [%d] too large for array size %d", i-int64(len(o.Items)), len(o.Items))
				}
			}
			if i >= int64(len(o.Items)) {
				return nil, nil
			}
			return o.Items[i], nil
		}
	case string, GString, *lazyString:
		if i, ok := whole(key); ok {
			str, _ := text(o)
			r := []rune(str)
			f.m.steps += len(str) / bytesPerStep
			if i < 0 {
				i += int64(len(r))
			}
			if i < 0 || i >= int64(len(r)) {
				return nil, throw(pos, "java.lang.StringIndexOutOfBoundsException", "String index out of range: %d", i)
			}
			return string(r[i]), nil
		}
	case *matcher:
		return o.index(key, pos)
	}
	if name, ok := text(key); ok {
		return f.get(obj, name, pos)
	}
	return nil, missingMethod(pos, "getAt", obj, []any{key})
}

func (f *frame) list(s *scope, x *jenkinsfile.List) (any, error) {
	out := &List{Items: make([]any, 0, len(x.Items))}
	defer f.release(len(f.held))
	f.hold(out)
	for _, a := range x.Items {
		v, err := f.eval(s, a.Value)
		if err != nil {
			return nil, err
		}
		if a.Spread {
			out.Items = append(out.Items, itemsOf(v)...)
			continue
		}
		out.Items = append(out.Items, v)
	}
	return f.checked(out, x.From)
}

func (f *frame) mapLiteral(s *scope, x *jenkinsfile.Map) (any, error) {
	out := NewMap()
	defer f.release(len(f.held))
	f.hold(out)
	for _, e := range x.Entries {
		f.m.steps++
		v, err := f.eval(s, e.Value)
		if err != nil {
			return nil, err
		}
		f.hold(v)
		if e.Spread {
			if m, ok := v.(*Map); ok {
				for _, k := range m.keys {
					out.Put(k, m.value(k))
				}
			}
			f.release(len(f.held) - 1)
			continue
		}
		k, err := f.eval(s, e.Key)
		if err != nil {
			return nil, err
		}
		f.weighKey(k)
		out.Put(k, v)
		f.release(len(f.held) - 1)
	}
	return f.checked(out, x.From)
}

func (f *frame) ternary(s *scope, x *jenkinsfile.Ternary) (any, error) {
	v, err := f.eval(s, x.Cond)
	if err != nil {
		return nil, err
	}
	switch {
	case x.Then == nil && Truth(v):
		return v, nil
	case x.Then != nil && Truth(v):
		return f.eval(s, x.Then)
	}
	return f.eval(s, x.Else)
}

func (f *frame) assign(s *scope, x *jenkinsfile.Assign) (any, error) {
	v, err := f.eval(s, x.Value)
	if err != nil {
		return nil, err
	}
	defer f.release(len(f.held))
	f.hold(v)
	if x.Op != "=" {
		old, err := f.eval(s, x.Target)
		if err != nil {
			return nil, err
		}
		if v, err = f.binaryValues(strings.TrimSuffix(x.Op, "="), old, v, x.From); err != nil {
			return nil, err
		}
		f.hold(v)
	}
	return v, f.store(s, x.Target, v)
}

// store sets a variable, property or element.
func (f *frame) store(s *scope, target jenkinsfile.Expr, v any) error {
	switch t := target.(type) {
	case *jenkinsfile.Ident:
		owner, ok := s.lookup(t.Name)
		if f.m.delegates && (!ok || owner.shared) {
			if done, err := f.delegatedStore(s, t.Name, v, t.From); done {
				return err
			}
		}
		if ok {
			owner.vars[t.Name] = v
			return nil
		}
		return f.setGlobal(t.Name, v, t.From)
	case *jenkinsfile.Property:
		obj, err := f.eval(s, t.Object)
		if err != nil {
			return err
		}
		name, err := f.propertyName(s, t)
		if err != nil {
			return err
		}
		if obj == nil && t.Safe {
			return nil
		}
		return f.set(obj, name, v, t.From)
	case *jenkinsfile.Index:
		obj, err := f.eval(s, t.Object)
		if err != nil {
			return err
		}
		if len(t.Args) != 1 {
			return rejected(t.From, "an assignment to several elements")
		}
		key, err := f.eval(s, t.Args[0])
		if err != nil {
			return err
		}
		return f.setAt(obj, key, v, t.From)
	}
	return rejected(target.Start(), "this assignment")
}

func (f *frame) set(obj any, name string, v any, pos jenkinsfile.Pos) error {
	switch o := obj.(type) {
	case nil:
		return throw(pos, "java.lang.NullPointerException", "Cannot set property '%s' on null object", name)
	case *Map:
		o.Put(name, v)
		return f.grown(o, pos)
	case *Closure:
		switch name {
		case "delegate":
			f.setDelegate(o, v)
			return nil
		case "resolveStrategy":
			return f.setStrategy(o, v, pos)
		}
		return rejected(pos, "method groovy.lang.Closure set"+strings.ToUpper(name[:1])+name[1:])
	case entry:
		if name == "value" && o.of != nil {
			o.of.Put(o.key, v)
			return f.grown(o.of, pos)
		}
	case *List:
		for _, item := range o.Items {
			if err := f.tick(pos); err != nil {
				return err
			}
			if _, nested := item.(*List); nested {
				break
			}
			if err := f.set(item, name, v, pos); err != nil {
				return err
			}
		}
		return nil
	case Object:
		if _, isScript := o.(*Script); !isScript {
			v = f.toHost(v)
		}
		ok, err := o.SetProperty(f.ctx, name, v)
		var limit *LimitError
		if errors.As(err, &limit) && limit.Pos.Line == 0 {
			limit.Pos = pos
		}
		if err != nil || ok {
			return withPos(err, pos)
		}
	}
	return missingProperty(pos, name, className(obj))
}

func (f *frame) setAt(obj, key, v any, pos jenkinsfile.Pos) error {
	f.weighKey(key)
	switch o := obj.(type) {
	case *Map:
		o.Put(key, v)
		return f.grown(o, pos)
	case *List:
		i, ok := whole(key)
		if !ok {
			break
		}
		if o.span != "" || o.set {
			return throw(pos, "java.lang.UnsupportedOperationException", "it can not be changed by an index")
		}
		if i < 0 {
			if i += int64(len(o.Items)); i < 0 {
				return throw(pos, "java.lang.ArrayIndexOutOfBoundsException", "Negative array index [%d] too large for array size %d", i-int64(len(o.Items)), len(o.Items))
			}
		}
		if i < 0 || i >= int64(f.m.limits.Items) {
			return throw(pos, "java.lang.ArrayIndexOutOfBoundsException", "%d", i)
		}
		for int64(len(o.Items)) <= i {
			o.Items = append(o.Items, nil)
		}
		o.Items[i] = v
		return f.settle(o, pos)
	}
	if name, ok := text(key); ok {
		return f.set(obj, name, v, pos)
	}
	return missingMethod(pos, "putAt", obj, []any{key, v})
}

func (f *frame) multiAssign(s *scope, x *jenkinsfile.MultiAssign) (any, error) {
	v, err := f.eval(s, x.Value)
	if err != nil {
		return nil, err
	}
	defer f.release(len(f.held))
	f.hold(v)
	items := itemsOf(v)
	for i, t := range x.Targets {
		var item any
		if i < len(items) {
			item = items[i]
		}
		if err := f.store(s, t, item); err != nil {
			return nil, err
		}
	}
	return v, nil
}
