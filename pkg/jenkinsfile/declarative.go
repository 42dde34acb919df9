// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"sort"
	"strings"
)

// Parse reads a Declarative Pipeline. The error is an *ErrorList with everything that was found;
// errors.Is(err, ErrScripted) tells that there is no pipeline block at the top level; see Load.
func Parse(src string) (*Pipeline, error) {
	script, err := ParseScript(src)
	if err != nil {
		return nil, err
	}
	b := &builder{src: src}
	var pipeline *Pipeline
	for _, s := range script.Stmts {
		if call := pipelineCall(s); call != nil {
			if pipeline == nil {
				pipeline = b.pipeline(call)
			}
			continue
		}
		b.preamble = append(b.preamble, s)
	}
	if pipeline == nil {
		l := &ErrorList{cause: ErrScripted}
		l.add(Pos{}, "Jenkinsfile content '%s' did not contain the 'pipeline' step", shorten(src))
		return nil, l
	}
	pipeline.Preamble, pipeline.LibraryAnnotations = b.preamble, script.Libraries
	if err := b.errs.orNil(); err != nil {
		return nil, err
	}
	return pipeline, nil
}

// TakePipelines takes the pipeline blocks out of a script, as the functions of shared libraries have them: each call keeps an empty block. src
// is the text of the script. The error is an *ErrorList.
func TakePipelines(src string, script *Script) (map[*Call]*Pipeline, error) {
	out := map[*Call]*Pipeline{}
	b := &builder{src: src}
	for _, s := range script.Stmts {
		Walk(s, func(n Node) {
			call, ok := n.(*Call)
			if !ok || pipelineCall(&ExprStmt{X: call}) == nil {
				return
			}
			out[call] = b.pipeline(call)
			body := *call.Args[0].Value.(*Closure) //nolint:forcetypeassert // pipelineCall has seen it
			body.Body = nil
			call.Args = []Arg{{Value: &body}}
		})
	}
	return out, b.errs.orNil()
}

// shorten keeps messages readable for big sources.
func shorten(s string) string {
	const limit = 200
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit]) + "…"
}

// pipelineCall returns the call if the statement is pipeline { … }.
func pipelineCall(s Stmt) *Call {
	e, ok := s.(*ExprStmt)
	if !ok {
		return nil
	}
	c, ok := e.X.(*Call)
	if !ok || c.Object != nil || c.Callee != nil || c.Name != "pipeline" || len(c.Args) != 1 {
		return nil
	}
	if _, ok := c.Args[0].Value.(*Closure); !ok {
		return nil
	}
	return c
}

// builder reads the pipeline from the Groovy tree and collects errors.
type builder struct {
	src      string
	preamble []Stmt
	errs     ErrorList
}

// section is one entry of a block: a method call without an object.
type section struct {
	name string
	call *Call
	span Span
	// body is the closure if it is the last argument.
	body *Closure
	args []Arg
}

// sections reads the statements of a block, calling what for those that are no method calls.
func (b *builder) sections(body []Stmt, other func(Stmt)) []section {
	var out []section
	for _, s := range body {
		sec, ok := sectionOf(s)
		if !ok {
			other(s)
			continue
		}
		out = append(out, sec)
	}
	return out
}

func sectionOf(s Stmt) (section, bool) {
	e, ok := s.(*ExprStmt)
	if !ok {
		return section{}, false
	}
	switch x := e.X.(type) {
	case *Call:
		if x.Object != nil || x.Callee != nil {
			return section{}, false
		}
		sec := section{name: x.Name, call: x, span: x.Span, args: x.Args}
		if n := len(x.Args); n > 0 {
			if c, ok := x.Args[n-1].Value.(*Closure); ok && !x.Args[n-1].Named {
				sec.body = c
				sec.args = x.Args[:n-1]
			}
		}
		return sec, true
	case *Ident:
		return section{name: x.Name, span: x.Span}, true
	}
	return section{}, false
}

// block returns the closure of a section that has nothing else; it reports one that has no block.
func (b *builder) block(s section) *Closure {
	if s.body == nil || len(s.args) > 0 {
		b.errs.add(s.span.From, "Expected a block for %s", s.name)
		return nil
	}
	return s.body
}

func (b *builder) duplicate(seen map[string]bool, s section) bool {
	if seen[s.name] {
		b.errs.add(s.span.From, "Multiple occurrences of the %s section", s.name)
		return true
	}
	seen[s.name] = true
	return false
}

func (b *builder) pipeline(call *Call) *Pipeline {
	p := &Pipeline{Span: call.Span, Source: b.src, root: call}
	body := call.Args[0].Value.(*Closure)
	seen := map[string]bool{}
	secs := b.sections(body.Body, func(s Stmt) {
		b.errs.add(s.Start(), "Not a valid section definition: \"%s\". Some extra configuration is required.", b.text(s))
	})
	for _, s := range secs {
		if b.duplicate(seen, s) {
			continue
		}
		b.pipelineSection(p, s)
	}
	if p.Stages == nil && !seen["stages"] {
		b.errs.addLate(p.From, "Missing required section \"stages\"")
	}
	if p.Agent == nil && !seen["agent"] {
		b.errs.addLate(p.From, "Missing required section \"agent\"")
	}
	return p
}

func (b *builder) pipelineSection(p *Pipeline, s section) {
	switch s.name {
	case "agent":
		p.Agent = b.agent(s)
	case "stages":
		p.Stages = b.stages(s)
	case "environment":
		p.Environment = b.environment(s)
	case "options":
		p.Options = b.directives(s, "option", pipelineOptions)
	case "parameters":
		p.ParameterDefs = b.parameters(s)
	case "triggers":
		p.Triggers = b.directives(s, "trigger", triggerTypes)
	case "tools":
		p.Tools = b.directives(s, "tool", toolTypes)
	case "libraries":
		p.Libraries = b.libraries(s)
	case "post":
		p.Post = b.post(s)
	default:
		b.errs.add(s.span.From, "Undefined section \"%s\"", s.name)
	}
}

func (b *builder) text(n Node) string {
	return shorten(strings.TrimSpace(b.src[n.Start().Offset:n.End().Offset]))
}

// checkStageNames reports names that occur twice in one list of stages. Stages of different lists may
// have the same name.
func (b *builder) checkStageNames(at Pos, stages []*Stage) {
	count := map[string]int{}
	for _, s := range stages {
		if count[s.Name]++; s.Name != "" && count[s.Name] == 2 {
			b.errs.addLate(at, "Duplicate stage name: \"%s\"", s.Name)
		}
	}
}

// agentFields are the fields of each agent type with a block; nil takes every field.
var agentFields = map[string][]string{
	AgentLabel: {"label", "customWorkspace", "retries"},
	AgentNode:  {"label", "customWorkspace", "retries"},
	AgentDocker: {"additionalBuildArgs", "alwaysPull", "args", "containerPerStageRoot", "customWorkspace", "image", "label",
		"registryCredentialsId", "registryUrl", "reuseNode", "retries"},
	AgentDockerfile: {"additionalBuildArgs", "args", "containerPerStageRoot", "customWorkspace", "dir", "filename", "label",
		"registryCredentialsId", "registryUrl", "reuseNode", "retries"},
	AgentKubernetes: nil,
}

// agentTypeList is how Jenkins lists the types. It knows node, too, but does not tell.
const agentTypeList = "[any, docker, dockerfile, kubernetes, label, none]"

func (b *builder) agent(s section) *Agent {
	a := &Agent{Span: s.span}
	switch {
	case s.body == nil && len(s.args) == 1 && !s.args[0].Named:
		id, ok := s.args[0].Value.(*Ident)
		if !ok || (id.Name != AgentAny && id.Name != AgentNone) {
			if ok {
				b.errs.add(id.From, "Invalid argument for agent - '%s' - must be map of config options or bare [any, none].", id.Name)
				return a
			}
			b.errs.add(s.args[0].Value.Start(), "Only 'agent none', 'agent any' or 'agent {...}' are allowed.")
			return a
		}
		a.Type = id.Name
	case s.body != nil && len(s.args) == 0:
		b.agentBlock(a, s.body)
	default:
		b.errs.add(s.span.From, "No agent type specified. Must be one of %s", agentTypeList)
	}
	return a
}

func (b *builder) agentBlock(a *Agent, body *Closure) {
	entries := b.sections(body.Body, func(s Stmt) {
		b.errs.add(s.Start(), "Invalid agent type \"%s\" specified. Must be one of %s", b.text(s), agentTypeList)
	})
	if len(entries) == 0 {
		if len(body.Body) == 0 {
			b.errs.add(body.From, "No agent type specified. Must be one of %s", agentTypeList)
		}
		return
	}
	if len(entries) > 1 {
		b.errs.add(entries[1].span.From, "Only one agent type is allowed per agent section")
	}
	e := entries[0]
	if e.name == AgentAny || e.name == AgentNone {
		a.Type = e.name
		return
	}
	fields, known := agentFields[e.name]
	if !known {
		b.errs.addLate(e.span.From, "Invalid agent type \"%s\" specified. Must be one of %s", e.name, agentTypeList)
		return
	}
	a.Type = e.name
	switch {
	case e.body != nil && len(e.args) == 0:
		a.Fields = b.fields(e.body, e.name, fields)
	case e.body == nil && len(e.args) == 1 && !e.args[0].Named && (e.name == AgentLabel || e.name == AgentDocker):
		a.Value = e.args[0].Value
	case e.body == nil && len(e.args) == 1 && !e.args[0].Named && e.name == AgentDockerfile:
		a.Value = e.args[0].Value
	case e.body == nil && len(e.args) == 0 && e.name == AgentKubernetes:
	default:
		b.errs.add(e.span.From, "Expected a block or a single value for agent type %s", e.name)
	}
}

// fields reads a block of "name value" entries.
func (b *builder) fields(body *Closure, owner string, allowed []string) []Field {
	var out []Field
	seen := map[string]bool{}
	entries := b.sections(body.Body, func(s Stmt) {
		b.errs.add(s.Start(), "Expected a name and a value in %s", owner)
	})
	for _, e := range entries {
		if allowed != nil && !contains(allowed, e.name) {
			b.errs.addLate(e.span.From, "Invalid config option \"%s\" for agent type \"%s\". Valid config options are [%s]",
				e.name, owner, strings.Join(allowed, ", "))
			continue
		}
		if b.duplicate(seen, e) {
			continue
		}
		if e.body != nil && len(e.args) == 0 {
			out = append(out, Field{Name: e.name, Pos: e.span.From, Value: e.body})
			continue
		}
		if len(e.args) != 1 || e.args[0].Named || e.body != nil {
			b.errs.add(e.span.From, "Expected a single value for %s", e.name)
			continue
		}
		out = append(out, Field{Name: e.name, Pos: e.span.From, Value: e.args[0].Value})
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (b *builder) environment(s section) []*EnvVar {
	body := b.block(s)
	if body == nil {
		return nil
	}
	if len(body.Body) == 0 {
		b.errs.addLate(s.span.From, "No variables specified for environment")
	}
	var out []*EnvVar
	seen := map[string]bool{}
	for _, st := range body.Body {
		e, ok := st.(*ExprStmt)
		if !ok {
			b.errs.add(st.Start(), "Expected name=value pairs")
			continue
		}
		a, ok := e.X.(*Assign)
		if !ok || a.Op != "=" {
			b.errs.add(st.Start(), "Expected name=value pairs")
			continue
		}
		id, ok := a.Target.(*Ident)
		if !ok || !validEnvName(id.Name) {
			b.errs.add(st.Start(), "Invalid environment variable name \"%s\"", b.text(a.Target))
			continue
		}
		if seen[id.Name] {
			b.errs.add(st.Start(), "Duplicate environment variable name: \"%s\"", id.Name)
			continue
		}
		seen[id.Name] = true
		b.envValue(a.Value)
		out = append(out, &EnvVar{Span: a.Span, Name: id.Name, Value: a.Value})
	}
	return out
}

func validEnvName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func (b *builder) envValue(x Expr) {
	switch x := x.(type) {
	case *Constant, *GString, *Call:
	case *Binary:
		if x.Op != "+" || !quotedParts(x) {
			b.errs.add(x.Start(), "Environment variable values to be concatenated together must be single or double quoted.")
		}
	default:
		b.errs.add(x.Start(), "Environment variable values must either be single quoted, double quoted, or function calls.")
	}
}

func quotedParts(x Expr) bool {
	switch x := x.(type) {
	case *Constant:
		_, ok := x.Value.(string)
		return ok
	case *GString:
		return true
	case *Binary:
		return x.Op == "+" && quotedParts(x.X) && quotedParts(x.Y)
	}
	return false
}

// directives reads a block of typed entries such as options or triggers.
func (b *builder) directives(s section, kind string, valid []string) []*Directive {
	body := b.block(s)
	if body == nil {
		return nil
	}
	if len(body.Body) == 0 {
		b.errs.addLate(s.span.From, "Cannot have empty %s section", s.name)
	}
	var out []*Directive
	seen := map[string]bool{}
	entries := b.sections(body.Body, func(st Stmt) {
		b.errs.add(st.Start(), "Expected a %s definition", kind)
	})
	for _, e := range entries {
		if valid != nil && !contains(valid, e.name) && (kind != "option" || !contains(pluginOptions, e.name)) {
			b.errs.addLate(e.span.From, "Invalid %s type \"%s\". Valid %s types: [%s]", kind, e.name, kind, strings.Join(valid, ", "))
			continue
		}
		if kind != "parameter" && kind != "library entry" && seen[e.name] {
			b.errs.addLate(e.span.From, "Duplicate %s name: \"%s\"", kind, e.name)
			continue
		}
		seen[e.name] = true
		if e.call == nil {
			b.errs.add(e.span.From, "Expected a %s definition", kind)
			continue
		}
		out = append(out, &Directive{Span: e.span, Name: e.name, Args: e.call.Args})
	}
	return out
}

func (b *builder) parameters(s section) []*Directive {
	out := b.directives(s, "parameter", validParameterTypes)
	seen := map[string]bool{}
	for _, d := range out {
		nameArg := d.Arg("name", false)
		name, ok := ConstantText(nameArg)
		switch {
		case nameArg == nil:
			b.errs.addLate(d.From, "Missing required parameter: \"name\"")
		case ok && name == "":
			b.errs.addLate(d.From, "The name of a parameter must not be empty")
		case ok && seen[name]:
			b.errs.addLate(d.From, "Duplicate parameter name: \"%s\"", name)
		}
		seen[name] = true
		if parameterTypes[d.Name] == ParameterChoice && d.Arg("choices", false) == nil {
			b.errs.addLate(d.From, "Missing required parameter: \"choices\"")
		}
	}
	return out
}

func (b *builder) libraries(s section) []*Directive {
	out := b.directives(section{name: s.name, call: s.call, span: s.span, body: s.body, args: s.args}, "library entry", nil)
	for _, d := range out {
		if d.Name != "lib" {
			b.errs.add(d.From, "Expected lib('name@version'), found \"%s\"", d.Name)
		}
	}
	return out
}

// sortedKeys returns the keys of a set in order.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
