// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"errors"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// The strategies of groovy.lang.Closure: where a name is looked for that no local variable has.
const (
	ownerFirst int64 = iota
	delegateFirst
	ownerOnly
	delegateOnly
	toSelf
)

// delegation is the delegate of a closure. The owner is what stands around the closure.
type delegation struct {
	to       any
	strategy int64
}

// copy is a closure with a delegation of its own.
func (c *Closure) copy() *Closure {
	out := *c
	if c.delegation != nil {
		d := *c.delegation
		out.delegation = &d
	}
	return &out
}

// setDelegate sets the delegate; that of a closure which was made of another one is that one's.
func (f *frame) setDelegate(c *Closure, to any) {
	for c.inner != nil {
		c = c.inner
	}
	f.m.delegates = true
	if c.delegation == nil {
		c.delegation = &delegation{}
	}
	c.delegation.to = to
}

func (f *frame) setStrategy(c *Closure, v any, pos jenkinsfile.Pos) error {
	n, ok := whole(v)
	if !ok || n < ownerFirst || n > toSelf {
		return cannotCast(v, "int", pos)
	}
	for c.inner != nil {
		c = c.inner
	}
	if c.delegation == nil {
		c.delegation = &delegation{to: f.m.main}
	}
	c.delegation.strategy = n
	return nil
}

// delegates are those of the closures around that come before and after the script itself. only says that the
// script does not count.
func (s *scope) delegates() (before, after []any, only bool) {
	for ; s != nil && !only; s = s.parent {
		if s.delegation == nil {
			continue
		}
		switch s.delegation.strategy {
		case delegateFirst:
			before = append(before, s.delegation.to)
		case delegateOnly:
			before, only = append(before, s.delegation.to), true
		case ownerFirst:
			after = append([]any{s.delegation.to}, after...)
		}
	}
	return before, after, only
}

// delegate is what a closure sees under that name.
func (f *frame) delegate(s *scope) any {
	for ; s != nil; s = s.parent {
		if s.delegation != nil {
			return s.delegation.to
		}
	}
	return f.m.main
}

// local finds a variable that is neither a field nor one that all scripts share: these are properties, which
// delegates may have as well.
func (s *scope) local(name string) (*scope, bool) {
	owner, ok := s.lookup(name)
	return owner, ok && (!owner.shared || name == "this")
}

// missing tells if an error says that there is no property or method of a name.
func missing(err error) bool {
	var e *Exception
	if !errors.As(err, &e) {
		return false
	}
	switch e.Class {
	case "groovy.lang.MissingPropertyException", "groovy.lang.MissingMethodException", "java.lang.NoSuchMethodError":
		return true
	}
	return false
}

// delegatedName is the value of a name where closures have delegates.
func (f *frame) delegatedName(s *scope, x *jenkinsfile.Ident) (any, error) {
	if owner, ok := s.local(x.Name); ok {
		return owner.vars[x.Name], nil
	}
	_, isClass := f.m.class(x.Name)
	if x.Name == "owner" || x.Name == "delegate" || isClass {
		return f.scriptName(s, x)
	}
	before, after, only := s.delegates()
	for _, d := range before {
		if v, err := f.get(d, x.Name, x.From); err == nil || !missing(err) {
			return v, err
		}
	}
	if only {
		return nil, missingProperty(x.From, x.Name, className(before[len(before)-1]))
	}
	v, err := f.scriptName(s, x)
	for i := 0; i < len(after) && missing(err); i++ {
		if w, other := f.get(after[i], x.Name, x.From); other == nil || !missing(other) {
			return w, other
		}
	}
	return v, err
}

// delegatedStore sets a variable that no scope has; done is false if it is the script's.
func (f *frame) delegatedStore(s *scope, name string, v any, pos jenkinsfile.Pos) (done bool, err error) {
	before, _, only := s.delegates()
	for _, d := range before {
		if _, isScript := d.(*Script); isScript {
			break
		}
		if err = f.set(d, name, v, pos); err == nil || !missing(err) {
			return true, err
		}
	}
	return only, err
}

// delegatedCall calls a method of delegates; done is false if there is none. Steps are not hidden by methods
// that all values have, as println.
func (f *frame) delegatedCall(list []any, name string, args arguments, pos jenkinsfile.Pos) (v any, done bool, err error) {
	for _, d := range list {
		if script, ok := d.(*Script); ok {
			if !script.Has(name) {
				continue
			}
			v, err = f.callFunction(script.funcs, name, args, pos)
			return v, true, err
		}
		if d == nil || f.m.host.HasStep(name) || forbidden[name] {
			continue
		}
		v, err = f.invoke(d, name, args.list(), pos)
		var e *Exception
		if errors.As(err, &e) && e.Class == "groovy.lang.MissingMethodException" && e.Pos == pos {
			continue
		}
		return v, true, err
	}
	return nil, false, nil
}

// delegatedFunction calls a function by its name alone where closures have delegates; done is false if it is the
// script's.
func (f *frame) delegatedFunction(s *scope, name string, args arguments, pos jenkinsfile.Pos) (v any, done bool, err error) {
	owner, ok := s.local(name)
	if _, isClosure := f.variable(owner, ok, name).(*Closure); isClosure {
		return nil, false, nil
	}
	before, after, only := s.delegates()
	v, done, err = f.delegatedCall(before, name, args, pos)
	switch {
	case done:
		return v, true, err
	case only:
		return nil, true, missingMethod(pos, name, before[len(before)-1], args.list())
	case len(after) == 0 || f.known(s, name):
		return nil, false, nil
	}
	return f.delegatedCall(after, name, args, pos)
}

// with calls a closure whose names are those of a value first.
func (c *methodCall) with(fn *Closure) (any, error) {
	own := fn.copy()
	c.f.hold(own)
	c.f.setDelegate(own, c.obj)
	if err := c.f.setStrategy(own, delegateFirst, c.pos); err != nil {
		return nil, err
	}
	return c.f.call(own, []any{c.obj})
}

// variable is the value that a scope has of a name.
func (f *frame) variable(owner *scope, ok bool, name string) any {
	if !ok {
		return nil
	}
	return owner.vars[name]
}

// known tells if the script can call something of that name: a function, a step or what the host has.
func (f *frame) known(s *scope, name string) bool {
	if owner, ok := s.lookup(name); ok {
		if _, isClosure := owner.vars[name].(*Closure); isClosure {
			return true
		}
	}
	if f.m.host.HasStep(name) {
		return true
	}
	_, ok, err := f.m.host.Global(f.ctx, name)
	return ok || err != nil
}
