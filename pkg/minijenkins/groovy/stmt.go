// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func (f *frame) stmts(s *scope, body []jenkinsfile.Stmt) (control, error) {
	for _, st := range body {
		flow, err := f.stmt(s, st)
		if err != nil || flow != flowNone {
			return flow, err
		}
	}
	return flowNone, nil
}

func (f *frame) stmt(s *scope, st jenkinsfile.Stmt) (control, error) {
	if err := f.tick(st.Start()); err != nil {
		return flowNone, err
	}
	f.scope = s
	switch st := st.(type) {
	case *jenkinsfile.ExprStmt:
		v, err := f.eval(s, st.X)
		f.value = v
		return flowNone, err
	case *jenkinsfile.VarDecl:
		return flowNone, f.varDecl(s, st)
	case *jenkinsfile.If:
		return f.ifStmt(s, st)
	case *jenkinsfile.Block:
		return f.stmts(newScope(s), st.Stmts)
	case *jenkinsfile.Return:
		f.value = nil
		if st.X != nil {
			v, err := f.eval(s, st.X)
			if err != nil {
				return flowNone, err
			}
			f.value = v
		}
		return flowReturn, nil
	case *jenkinsfile.Break:
		f.label = st.Label
		return flowBreak, nil
	case *jenkinsfile.Continue:
		f.label = st.Label
		return flowContinue, nil
	case *jenkinsfile.ForIn, *jenkinsfile.For, *jenkinsfile.While, *jenkinsfile.Switch:
		return f.loopStmt(s, st)
	case *jenkinsfile.Try:
		return f.tryStmt(s, st)
	case *jenkinsfile.Throw:
		return flowNone, f.throwStmt(s, st)
	case *jenkinsfile.Assert:
		return flowNone, f.assertStmt(s, st)
	case *jenkinsfile.FuncDecl:
		return flowNone, rejected(st.Start(), "a function that is declared inside of a block")
	case *jenkinsfile.Import, *jenkinsfile.Annotation:
		return flowNone, nil
	}
	return flowNone, rejected(st.Start(), "a class declaration")
}

func (f *frame) loopStmt(s *scope, st jenkinsfile.Stmt) (control, error) {
	f.value = nil
	var flow control
	var err error
	switch st := st.(type) {
	case *jenkinsfile.ForIn:
		flow, err = f.forIn(s, st)
	case *jenkinsfile.For:
		flow, err = f.forStmt(s, st)
	case *jenkinsfile.While:
		flow, err = f.while(s, st)
	case *jenkinsfile.Switch:
		return f.switchStmt(s, st)
	}
	if flow != flowReturn {
		f.value = nil // a loop has no value
	}
	return flow, err
}

func (f *frame) varDecl(s *scope, d *jenkinsfile.VarDecl) error {
	f.value = nil
	if d.Tuple {
		v, err := f.eval(s, d.Vars[0].Value)
		if err != nil {
			return err
		}
		items := itemsOf(v)
		for i, name := range d.Vars {
			var item any
			if i < len(items) {
				item = items[i]
			}
			s.declare(name.Name, item)
		}
		return nil
	}
	for _, v := range d.Vars {
		var value any
		if v.Value != nil {
			x, err := f.eval(s, v.Value)
			if err != nil {
				return err
			}
			if value, err = f.coerce(x, d.Type, v.Pos); err != nil {
				return err
			}
		}
		if _, exists := s.vars[v.Name]; exists {
			return throw(v.Pos, "org.codehaus.groovy.control.MultipleCompilationErrorsException",
				"The current scope already contains a variable of the name %s", v.Name)
		}
		s.declare(v.Name, value)
		f.value = value
	}
	return nil
}

func (f *frame) cond(s *scope, x jenkinsfile.Expr) (bool, error) {
	v, err := f.eval(s, x)
	return Truth(v), err
}

func (f *frame) ifStmt(s *scope, st *jenkinsfile.If) (control, error) {
	ok, err := f.cond(s, st.Cond)
	if err != nil {
		return flowNone, err
	}
	f.value = nil
	switch {
	case ok:
		return f.stmt(newScope(s), st.Then)
	case st.Else != nil:
		return f.stmt(newScope(s), st.Else)
	}
	return flowNone, nil
}

// body runs the body of a loop with a label and tells if the loop ends.
func (f *frame) body(s *scope, st jenkinsfile.Stmt, label string) (control, bool, error) {
	flow, err := f.stmt(s, st)
	if err != nil || flow == flowReturn {
		return flow, true, err
	}
	if flow != flowNone && f.label != "" && f.label != label {
		return flow, true, nil // it is for a loop around
	}
	f.label = ""
	return flowNone, flow == flowBreak, nil
}

func (f *frame) forIn(s *scope, st *jenkinsfile.ForIn) (control, error) {
	v, err := f.eval(s, st.X)
	if err != nil {
		return flowNone, err
	}
	items, err := f.items(v, st.From)
	if err != nil {
		return flowNone, err
	}
	all := &List{Items: items}
	defer f.release(len(f.held))
	f.hold(all)
	if err := f.settle(all, st.From); err != nil {
		return flowNone, err
	}
	// Closures of all rounds see one variable, with the last value that it got.
	inner := newScope(s)
	for _, item := range items {
		inner.declare(st.Var, item)
		if flow, done, err := f.body(newScope(inner), st.Body, st.Label); done {
			return flow, err
		}
	}
	return flowNone, nil
}

func (f *frame) forStmt(s *scope, st *jenkinsfile.For) (control, error) {
	s = newScope(s)
	if st.Init != nil {
		if _, err := f.stmt(s, st.Init); err != nil {
			return flowNone, err
		}
	}
	for {
		if err := f.tick(st.From); err != nil {
			return flowNone, err
		}
		if st.Cond != nil {
			if ok, err := f.cond(s, st.Cond); err != nil || !ok {
				return flowNone, err
			}
		}
		if flow, done, err := f.body(newScope(s), st.Body, st.Label); done {
			return flow, err
		}
		for _, post := range st.Post {
			if _, err := f.eval(s, post); err != nil {
				return flowNone, err
			}
		}
	}
}

func (f *frame) while(s *scope, st *jenkinsfile.While) (control, error) {
	for {
		if err := f.tick(st.From); err != nil {
			return flowNone, err
		}
		if ok, err := f.cond(s, st.Cond); err != nil || !ok {
			return flowNone, err
		}
		if flow, done, err := f.body(newScope(s), st.Body, st.Label); done {
			return flow, err
		}
	}
}

func (f *frame) switchStmt(s *scope, st *jenkinsfile.Switch) (control, error) {
	v, err := f.eval(s, st.X)
	if err != nil {
		return flowNone, err
	}
	start := -1
	defer f.release(len(f.held))
	f.hold(v)
	for i, c := range st.Cases {
		if c.X == nil {
			continue
		}
		x, err := f.eval(s, c.X)
		if err != nil {
			return flowNone, err
		}
		ok, err := f.isCase(x, v, c.X.Start())
		if err != nil {
			return flowNone, err
		}
		if ok {
			start = i
			break
		}
	}
	for i := 0; i < len(st.Cases) && start < 0; i++ {
		if st.Cases[i].X == nil {
			start = i
		}
	}
	if start < 0 {
		return flowNone, nil
	}
	inner := newScope(s)
	for _, c := range st.Cases[start:] {
		flow, err := f.stmts(inner, c.Body)
		if err != nil || flow == flowReturn || flow == flowContinue {
			return flow, err
		}
		if flow == flowBreak && f.label != "" {
			return flow, nil
		}
		if flow == flowBreak {
			return flowNone, nil
		}
	}
	return flowNone, nil
}

// isCase is Groovy's test of a case (and of in): equal, in the list, matching, or true.
func (f *frame) isCase(c, v any, pos jenkinsfile.Pos) (bool, error) {
	switch c := c.(type) {
	case *List:
		m := methodCall{f: f, pos: pos}
		i, err := m.indexIn(c, v)
		return i >= 0, err
	case *Map:
		x, _ := c.Get(v)
		return Truth(x), nil
	case Pattern:
		return f.matchWhole(c.Source, f.string(v), pos)
	case *Closure:
		x, err := f.call(c, []any{v})
		return Truth(x), err
	case classRef:
		return isInstance(v, c.full()), nil
	}
	return f.equal(c, v), nil
}

func (f *frame) tryStmt(s *scope, st *jenkinsfile.Try) (flow control, err error) {
	flow, err = f.stmts(newScope(s), st.Body.Stmts)
	if err != nil {
		if e := asException(err); e != nil {
			for _, c := range st.Catches {
				if !catches(e, c.Types) {
					continue
				}
				if limited := f.charge(objectBytes+len(e.Message), e.Pos); limited != nil {
					err = limited
					break
				}
				inner := newScope(s)
				inner.declare(c.Name, e)
				aborted := f.ctx.Err() != nil
				caught := err
				flow, err = f.afterwards(inner, c.Body.Stmts)
				if aborted && err == nil {
					// A script sees that it was aborted, but cannot go on as if it was not.
					flow, err = flowNone, caught
				}
				break
			}
		}
	}
	if st.Finally == nil {
		return flow, err
	}
	value, label := f.value, f.label
	defer f.release(len(f.held))
	f.hold(value)
	finalFlow, finalErr := f.afterwards(newScope(s), st.Finally.Stmts)
	if finalErr != nil || finalFlow != flowNone {
		return finalFlow, finalErr
	}
	f.value, f.label = value, label
	return flow, err
}

// afterwards runs a catch or finally block, which also runs when the build is aborted.
func (f *frame) afterwards(s *scope, stmts []jenkinsfile.Stmt) (control, error) {
	if f.ctx.Err() != nil && f.m.Cleanup != nil {
		outer := f.ctx
		ctx, cancel := f.m.Cleanup(outer)
		defer func() { cancel(); f.ctx = outer }()
		f.ctx = ctx
	}
	return f.stmts(s, stmts)
}

func (f *frame) throwStmt(s *scope, st *jenkinsfile.Throw) error {
	v, err := f.eval(s, st.X)
	if err != nil {
		return err
	}
	if e, ok := v.(*Exception); ok {
		return e
	}
	if v == nil {
		return throw(st.From, "java.lang.NullPointerException", "")
	}
	return throw(st.From, "org.codehaus.groovy.runtime.typehandling.GroovyCastException",
		"Cannot cast object '%s' with class '%s' to class 'java.lang.Throwable'", shortText(v), className(v))
}

// throwables are the classes of exceptions that a script may make, beside those of java.lang.
var throwables = map[string]string{
	"AbortException": "hudson.AbortException", "IOException": "java.io.IOException", "FileNotFoundException": "java.io.FileNotFoundException",
	"NoSuchElementException": "java.util.NoSuchElementException", "TimeoutException": "java.util.concurrent.TimeoutException",
	"FlowInterruptedException": "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException",
}

// throwable returns the full name of an exception class that a script may make.
func throwable(name string) (string, bool) {
	simple := name[strings.LastIndexByte(name, '.')+1:]
	full := throwables[simple]
	if full == "" {
		switch simple {
		case "Exception", "RuntimeException", "Throwable", "Error", "IllegalArgumentException", "IllegalStateException", "UnsupportedOperationException",
			"NullPointerException", "IndexOutOfBoundsException", "ArithmeticException", "NumberFormatException", "InterruptedException", "SecurityException",
			"ClassCastException", "AssertionError":
			full = "java.lang." + simple
		}
	}
	return full, full != "" && (name == simple || name == full)
}

func (f *frame) assertStmt(s *scope, st *jenkinsfile.Assert) error {
	ok, err := f.cond(s, st.Cond)
	if err != nil || ok {
		return err
	}
	if st.Message == nil {
		return throw(st.From, "org.codehaus.groovy.runtime.powerassert.PowerAssertionError", "assert %s", clip(st.Text))
	}
	v, err := f.eval(s, st.Message)
	if err != nil {
		return err
	}
	return throw(st.From, "java.lang.AssertionError", "%s. Expression: (%s)", f.string(v), clip(st.Text))
}
