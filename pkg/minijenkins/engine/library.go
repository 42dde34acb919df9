// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// Library is a shared library as a build uses it.
type Library struct {
	LibraryPin
	// Vars are the files vars/NAME.groovy by name.
	Vars map[string]string `json:"vars,omitempty"`
	// Resources are the files below resources/ by their path there.
	Resources map[string][]byte `json:"resources,omitempty"`
	// Classes are the full names of the classes below src/, which only Jenkins has.
	Classes []string `json:"classes,omitempty"`
}

// LibraryPin says which library a build has: the same after a restart of the server.
type LibraryPin struct {
	// ID is the server's own name of what it keeps.
	ID string `json:"id"`
	// Name and Version are as the script names them, Commit is where the version was.
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// LibraryRequest asks for a library.
type LibraryRequest struct {
	// Name is that of the configuration, Version a branch, tag or commit; empty for the default one.
	Name, Version string
	// Remote is the repository of a library that is not configured, CredentialsID its credential.
	Remote, CredentialsID string
}

// Libraries finds shared libraries.
type Libraries interface {
	// Resolve finds a version and keeps it for the build; the second time it gives the same. say writes a line into the log.
	Resolve(ctx context.Context, req LibraryRequest, say func(line string)) (LibraryPin, error)
	// Open reads what Resolve kept.
	Open(pin LibraryPin) (*Library, error)
}

// libraryRef reads name@version.
func libraryRef(text string) LibraryRequest {
	name, version, _ := strings.Cut(strings.TrimSpace(text), "@")
	return LibraryRequest{Name: strings.TrimSpace(name), Version: strings.TrimSpace(version)}
}

// LibrariesOf gives the libraries that a Jenkinsfile names with @Library and in libraries {}, in their order. The error is a *CheckError for
// what is not a constant there.
func LibrariesOf(p *jenkinsfile.Pipeline) ([]LibraryRequest, error) {
	var out []LibraryRequest
	c := &checker{}
	add := func(pos jenkinsfile.Pos, x jenkinsfile.Expr) {
		text, known := jenkinsfile.ConstantText(x)
		if req := libraryRef(text); known && req.Name != "" {
			out = append(out, req)
			return
		}
		c.refuse(pos, "library", "a library whose name is not a constant: %s", adviceWith("use the step library"))
	}
	for _, a := range p.LibraryAnnotations {
		for _, arg := range a.Args {
			if arg.Named && arg.Name != "value" {
				continue // changelog
			}
			if list, ok := arg.Value.(*jenkinsfile.List); ok {
				for _, item := range list.Items {
					add(a.From, item.Value)
				}
				continue
			}
			add(a.From, arg.Value)
		}
	}
	for _, d := range p.Libraries {
		for _, arg := range d.Args {
			add(d.From, arg.Value)
		}
	}
	return out, c.found()
}

// libraryVar is a file of vars.
type libraryVar struct {
	name, file string
	library    *Library
	script     *jenkinsfile.Script
	// pipelines are its pipeline blocks, by the places of their calls.
	pipelines map[jenkinsfile.Pos]*jenkinsfile.Pipeline
	// err is why it cannot be used.
	err error
	// object is its only instance, nil before its first use.
	object *groovy.Script
}

// varsOf are the variables of libraries; the first library that has a name counts.
func varsOf(libs []*Library) map[string]*libraryVar {
	out := map[string]*libraryVar{}
	for _, l := range libs {
		for name, source := range l.Vars {
			if out[name] != nil {
				continue
			}
			v := &libraryVar{name: name, library: l, file: l.Name + "@" + l.Version + ": vars/" + name + ".groovy"}
			v.parse(source)
			out[name] = v
		}
	}
	return out
}

func (v *libraryVar) parse(source string) {
	if v.script, v.err = jenkinsfile.ParseScript(source); v.err != nil {
		return
	}
	var blocks map[*jenkinsfile.Call]*jenkinsfile.Pipeline
	blocks, v.err = jenkinsfile.TakePipelines(source, v.script)
	v.pipelines = map[jenkinsfile.Pos]*jenkinsfile.Pipeline{}
	for call, p := range blocks {
		v.pipelines[call.From] = p
	}
}

// CheckWith is Check for a Jenkinsfile with libraries. What they define is known, and the parts of them that it uses are checked, too.
func CheckWith(p *jenkinsfile.Pipeline, agents AgentProvider, libs []*Library) error {
	c := &checker{agents: agents, declared: map[string]bool{}, vars: varsOf(libs), libs: libs, loaded: callsLibrary(p)}
	for _, a := range p.LibraryAnnotations {
		if !c.hasLibraries(nil, []*jenkinsfile.Annotation{a}) {
			c.unsupported(a.From, "annotation", "@"+a.Name)
		}
	}
	c.pipeline(p)
	c.imports(p.Preamble)
	if p.Script != nil {
		c.imports(p.Script.Stmts)
	}
	c.usedVars(usesOf(p))
	return c.found()
}

// hasLibraries tells if the libraries of directives and annotations are there.
func (c *checker) hasLibraries(directives []*jenkinsfile.Directive, annotations []*jenkinsfile.Annotation) bool {
	list, err := LibrariesOf(&jenkinsfile.Pipeline{Libraries: directives, LibraryAnnotations: annotations})
	missing := func(req LibraryRequest) bool {
		return !slices.ContainsFunc(c.libs, func(l *Library) bool { return l.Name == req.Name })
	}
	return err == nil && !slices.ContainsFunc(list, missing)
}

// callsLibrary tells if the step library may bring more names during the run.
func callsLibrary(p *jenkinsfile.Pipeline) bool { return slices.Contains(usesOf(p), "library") }

// usesOf are the names that a Jenkinsfile uses, in their order.
func usesOf(p *jenkinsfile.Pipeline) []string {
	var out []string
	collect := func(n jenkinsfile.Node) { out = appendUse(out, n) }
	for _, s := range p.Preamble {
		jenkinsfile.Walk(s, collect)
	}
	if p.Script != nil {
		for _, s := range p.Script.Stmts {
			jenkinsfile.Walk(s, collect)
		}
		return out
	}
	(&checker{}).walkPipeline(p, collect)
	for _, d := range slices.Concat(p.Options, p.Triggers, p.ParameterDefs) {
		for _, a := range d.Args {
			jenkinsfile.Walk(a.Value, collect)
		}
	}
	return out
}

func appendUse(list []string, n jenkinsfile.Node) []string {
	switch n := n.(type) {
	case *jenkinsfile.Call:
		if n.Object == nil && n.Callee == nil {
			return append(list, n.Name)
		}
	case *jenkinsfile.Ident:
		return append(list, n.Name)
	}
	return list
}

// imports refuses classes of libraries.
func (c *checker) imports(stmts []jenkinsfile.Stmt) {
	for _, s := range stmts {
		if i, ok := s.(*jenkinsfile.Import); ok {
			c.class(i.From, strings.TrimSuffix(i.Path, ".*"))
		}
	}
}

func (c *checker) class(pos jenkinsfile.Pos, path string) {
	for _, l := range c.libs {
		if slices.ContainsFunc(l.Classes, func(class string) bool { return class == path || strings.HasPrefix(class, path+".") }) {
			c.refuse(pos, path, "class \"%s\" of the library %s: %s", path, l.Name, adviceWith("put it into vars/"))
		}
	}
}

// usedVars checks the variables of libraries that are used, and those that they use in turn.
func (c *checker) usedVars(names []string) {
	seen := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		v := c.vars[name]
		if v == nil || seen[name] || c.declared[name] {
			continue
		}
		seen[name] = true
		if v.err != nil {
			c.problems = append(c.problems, parseProblems(v)...)
			continue
		}
		inner := &checker{agents: c.agents, declared: map[string]bool{}, vars: c.vars, libs: c.libs, loaded: c.loaded, library: true}
		p := &jenkinsfile.Pipeline{Script: v.script}
		inner.script(p)
		inner.imports(v.script.Stmts)
		names = append(names, usesOf(p)...)
		for _, block := range v.pipelines {
			inner.pipeline(block)
			names = append(names, usesOf(block)...)
		}
		for _, problem := range inner.problems {
			problem.File = v.file
			c.problems = append(c.problems, problem)
		}
	}
}

// parseProblems are the problems of a file that cannot be read.
func parseProblems(v *libraryVar) []*UnsupportedError {
	list, ok := v.err.(*jenkinsfile.ErrorList) //nolint:errorlint // ParseScript returns nothing else
	if !ok {
		return []*UnsupportedError{{File: v.file, Line: 1, Column: 1, Name: v.name, Message: v.err.Error()}}
	}
	var out []*UnsupportedError
	for _, e := range list.Errors {
		out = append(out, &UnsupportedError{File: v.file, Line: e.Line, Column: e.Column, Name: v.name, Message: e.Message})
	}
	return out
}

// addLibraries makes what libraries define known to the script.
func (b *build) addLibraries(libs ...*Library) {
	b.libs = append(b.libs, libs...)
	b.libVars = keepObjects(b.libVars, varsOf(b.libs))
}

// keepObjects keeps the instances that are in use.
func keepObjects(old, vars map[string]*libraryVar) map[string]*libraryVar {
	for name, v := range old {
		vars[name] = v
	}
	return vars
}

// stepPipeline is pipeline { … } in a function of a library.
func stepPipeline(ctx context.Context, c *stepCall) (any, error) {
	b, file := c.b, c.closure.File()
	var p *jenkinsfile.Pipeline
	for _, v := range b.libVars {
		if v.file == file {
			p = v.pipelines[c.pos]
		}
	}
	switch {
	case p == nil:
		return nil, failed("pipeline: a pipeline block is only at the top of a Jenkinsfile or in a function of a library's vars")
	case b.spec.Pipeline.Script == nil:
		return nil, failed("pipeline: only one pipeline block can run in a build")
	case b.spec.Changes == nil:
		if err := checkChanges(p); err != nil {
			return nil, failed("%v", err)
		}
	}
	if set := b.spec.SetProperties; set != nil {
		if _, err := effect(ctx, b, "properties", func(ctx context.Context, _ string) (bool, error) { return true, set(ctx, p) }); err != nil {
			return nil, err
		}
	}
	values, err := ResolveParams(missingParams(p.Parameters(), b.spec.Params), nil)
	if err != nil {
		return nil, failed("pipeline: %v", err)
	}
	b.spec.Params = append(b.spec.Params, values...)
	b.spec.Pipeline = p
	return nil, b.runDeclarative(b.m.Within(ctx, c.closure), p)
}

// missingParams are the parameters that a build has no value for.
func missingParams(defs []jenkinsfile.Parameter, have []ParamValue) []jenkinsfile.Parameter {
	return slices.DeleteFunc(defs, func(d jenkinsfile.Parameter) bool {
		return slices.ContainsFunc(have, func(v ParamValue) bool { return v.Name == d.Name })
	})
}

// libraryObject is the object of a variable of a library, made at its first use.
func (b *build) libraryObject(ctx context.Context, name string) (any, bool, error) {
	v := b.libVars[name]
	switch {
	case v == nil:
		return nil, false, nil
	case v.err != nil:
		return nil, false, &groovy.Exception{Class: "org.codehaus.groovy.control.MultipleCompilationErrorsException", Message: "startup failed in " + v.file + ":\n" + v.err.Error()}
	case v.object == nil:
		object, err := b.m.Instance(ctx, v.name, v.file, v.script)
		if err != nil {
			return nil, false, err
		}
		v.object = object
	}
	return v.object, true, nil
}

// libraryText is how the log names a library.
func (r LibraryRequest) String() string {
	if r.Version == "" {
		return r.Name
	}
	return fmt.Sprintf("%s@%s", r.Name, r.Version)
}
