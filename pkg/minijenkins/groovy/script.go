// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Script is a script as a value: this in the Jenkinsfile, and what a file that was loaded beside it
// returns. Its functions are its methods, and so are the steps. All scripts of a build share the
// variables that were set without def.
type Script struct {
	m *Machine
	// funcs holds the functions and fields; its parent has those of all scripts.
	funcs *scope
	// local holds the variables that def makes at the top level; functions do not see them.
	local *scope
	class string
	// file is where a script of a library is from.
	file string
	// size is what its code takes in memory, if it was loaded.
	size int
}

// nodeBytes is what a part of the code takes, about.
const nodeBytes = 192

func newScript(m *Machine, class string) *Script {
	s := &Script{m: m, funcs: newScope(m.globals), class: class}
	s.funcs.shared = true
	s.funcs.declare("this", s)
	s.local = newScope(s.funcs)
	return s
}

// Load runs a file beside the Jenkinsfile and returns what it returned (usually this) and the script
// itself. class is its name in messages.
func (m *Machine) Load(ctx context.Context, class string, script *jenkinsfile.Script) (any, *Script, error) {
	s := newScript(m, class)
	for _, st := range script.Stmts {
		jenkinsfile.Walk(st, func(jenkinsfile.Node) { s.size += nodeBytes })
	}
	if err := m.frame(ctx).charge(s.size, jenkinsfile.Pos{Line: 1, Column: 1}); err != nil {
		return nil, nil, err
	}
	v, err := s.run(ctx, script.Stmts)
	return v, s, err
}

// Has tells if the script has a function of that name.
func (s *Script) Has(function string) bool {
	_, ok := s.funcs.vars[function].(*Closure)
	return ok
}

// run declares the functions and fields and runs the other statements.
func (s *Script) run(ctx context.Context, body []jenkinsfile.Stmt) (any, error) {
	f := s.m.begin(ctx, s.local)
	defer f.close()
	for _, st := range body {
		switch d := st.(type) {
		case *jenkinsfile.FuncDecl:
			s.declare(d)
		case *jenkinsfile.Import:
			s.m.importClass(d.Path)
		}
	}
	for _, st := range body {
		target := s.local
		switch st := st.(type) {
		case *jenkinsfile.FuncDecl, *jenkinsfile.Import, *jenkinsfile.Annotation:
			continue
		case *jenkinsfile.VarDecl:
			if hasAnnotation(st.Annotations, "Field") {
				target = s.funcs
			}
		}
		flow, err := f.stmt(target, st)
		if err != nil || flow == flowReturn {
			return f.value, err
		}
	}
	return f.value, nil
}

// importClass notes the name of "import full.Name", with "as Other" behind it or not.
func (m *Machine) importClass(path string) {
	path = strings.TrimSpace(strings.TrimPrefix(path, "import"))
	if method, ok := strings.CutPrefix(path, "static "); ok {
		m.importStatic(strings.TrimSpace(method))
		return
	}
	if pkg, ok := strings.CutSuffix(path, ".*"); ok {
		m.packages = append(m.packages, pkg)
		return
	}
	full, alias, renamed := strings.Cut(path, " as ")
	if !renamed {
		alias = full[strings.LastIndexByte(full, '.')+1:]
	}
	if m.imports == nil {
		m.imports = map[string]string{}
	}
	if knownClass(full) {
		m.imports[strings.TrimSpace(alias)] = full
	}
}

// importStatic notes the method of "import static a.Class.method", or of all methods ("a.Class.*").
func (m *Machine) importStatic(path string) {
	path, alias, renamed := strings.Cut(path, " as ")
	i := strings.LastIndexByte(path, '.')
	if i < 0 || !knownClass(path[:i]) {
		return
	}
	if !renamed {
		alias = path[i+1:]
	}
	if m.statics == nil {
		m.statics = map[string]classRef{}
	}
	m.statics[strings.TrimSpace(alias)] = classRef(path[:i])
}

// class finds a class by the name that a script calls it.
func (m *Machine) class(name string) (string, bool) {
	if full, ok := classes[name]; ok {
		return full, true
	}
	if full, ok := m.imports[name]; ok {
		return full, true
	}
	for _, pkg := range m.packages {
		if full := pkg + "." + name; knownClass(full) {
			return full, true
		}
	}
	return "", false
}

// Importable tells if a script may import a class, or all of a package ("java.util.*").
func Importable(path string) bool {
	full, _, _ := strings.Cut(strings.TrimPrefix(path, "static "), " as ")
	full = strings.TrimSpace(full)
	if knownClass(full) {
		return true
	}
	i := strings.LastIndexByte(full, '.')
	if i < 0 {
		return false
	}
	pkg := full[:i]
	if strings.HasPrefix(path, "static ") {
		return knownClass(pkg)
	}
	switch pkg {
	case "java.util", "java.lang", "java.math", "java.text", "groovy.json", "groovy.transform", "java.util.regex", "com.cloudbees.groovy.cps":
		return full[i+1:] == "*"
	}
	return false
}

// declare adds a function; those of the same name are told apart by their parameters.
func (s *Script) declare(d *jenkinsfile.FuncDecl) {
	c := &Closure{params: d.Params, hasParams: true, body: d.Body.Stmts, scope: s.funcs, pos: d.From, function: d.Name, returns: d.Type}
	if old, ok := s.funcs.vars[d.Name].(*Closure); ok && old.function != "" {
		c.other = old
	}
	s.funcs.declare(d.Name, c)
}

func hasAnnotation(list []string, name string) bool {
	for _, a := range list {
		if a == name || a == "groovy.transform."+name {
			return true
		}
	}
	return false
}

// Property implements Object: the fields, the variables of all scripts, and what the host has.
func (s *Script) Property(ctx context.Context, name string) (any, bool, error) {
	for scope := s.funcs; scope != nil; scope = scope.parent {
		if v, ok := scope.vars[name]; ok {
			if c, isFunc := v.(*Closure); isFunc && c.function != "" {
				continue
			}
			return v, true, nil
		}
	}
	return s.m.host.Global(ctx, name)
}

// SetProperty implements Object.
func (s *Script) SetProperty(ctx context.Context, name string, value any) (bool, error) {
	if _, ok := s.funcs.vars[name]; ok {
		s.funcs.vars[name] = value
		return true, nil
	}
	return true, s.m.frame(ctx).setGlobal(name, value, jenkinsfile.Pos{})
}

// maxGlobals bounds the variables that all scripts of a build share.
const maxGlobals = 20_000

// setGlobal sets a variable that all scripts see.
func (f *frame) setGlobal(name string, value any, pos jenkinsfile.Pos) error {
	f.m.globals.declare(name, value)
	if len(f.m.globals.vars) > maxGlobals {
		return &LimitError{Message: fmt.Sprintf("More than %d variables", maxGlobals), Pos: pos}
	}
	return nil
}

// Call implements Object: a function of the script, a closure in a field, or a step.
func (s *Script) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch name {
	case "getBinding", "evaluate", "getClass", "invokeMethod", "run":
		if !s.Has(name) {
			return nil, false, nil
		}
	case "getProperty":
		if len(args) == 1 {
			return s.Property(ctx, ToString(args[0]))
		}
	}
	f := s.m.frame(ctx)
	v, err := f.callFunction(s.funcs, name, arguments{positional: args}, jenkinsfile.Pos{})
	return v, true, err
}

// String implements Object.
func (s *Script) String() string { return s.class + "@1" }

// ClassName implements Object.
func (s *Script) ClassName() string { return s.class }
