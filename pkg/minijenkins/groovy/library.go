// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Instance makes the object of a file of a shared library: its functions and fields, without running its other statements. class is its name
// in messages, file where it is from.
func (m *Machine) Instance(ctx context.Context, class, file string, script *jenkinsfile.Script) (*Script, error) {
	s := newScript(m, class)
	s.file = file
	m.memory.objects = append(m.memory.objects, s)
	f := m.begin(ctx, s.local)
	defer f.close()
	for _, st := range script.Stmts {
		if d, ok := st.(*jenkinsfile.FuncDecl); ok {
			s.declare(d)
		}
	}
	for _, st := range script.Stmts {
		if d, ok := st.(*jenkinsfile.VarDecl); ok && hasAnnotation(d.Annotations, "Field") {
			if _, err := f.stmt(s.funcs, st); err != nil {
				return nil, inFile(err, s.funcs)
			}
		}
	}
	return s, nil
}

// inFile notes the file of the script that an exception is from, the first time that it leaves a function or closure of one.
func inFile(err error, s *scope) error {
	e := asException(err)
	if e == nil || e.placed {
		return err
	}
	e.placed = true
	if owner, ok := s.lookup("this"); ok {
		if script, ok := owner.vars["this"].(*Script); ok && script.file != "" {
			e.File, e.Script = script.file, script.class
		}
	}
	return err
}

type baseKey struct{}

// Within has Eval and Exec work where a closure stands instead of at the Jenkinsfile's top level.
func (m *Machine) Within(ctx context.Context, c *Closure) context.Context {
	return context.WithValue(ctx, baseKey{}, c.scope)
}

// base is the scope for Eval and Exec.
func (m *Machine) base(ctx context.Context) *scope {
	if s, ok := ctx.Value(baseKey{}).(*scope); ok {
		return s
	}
	return m.main.local
}

// File is the file of the library that a closure is from; empty for the Jenkinsfile.
func (c *Closure) File() string {
	if owner, ok := c.scope.lookup("this"); ok {
		if script, ok := owner.vars["this"].(*Script); ok {
			return script.file
		}
	}
	return ""
}
