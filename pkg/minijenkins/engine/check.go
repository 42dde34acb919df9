// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// advice ends every message about something that only Jenkins can do.
const advice = "the built-in pipeline runner does not support it; connect a Jenkins server and run this pipeline there"

// Check refuses what the engine cannot run, before anything starts. The error is a *CheckError. If
// agents is nil, labels are not looked up.
func Check(p *jenkinsfile.Pipeline, agents AgentProvider) error { return CheckWith(p, agents, nil) }

// found gives the problems in the order of their places.
func (c *checker) found() error {
	if len(c.problems) == 0 {
		return nil
	}
	sort.SliceStable(c.problems, func(i, j int) bool {
		a, b := c.problems[i], c.problems[j]
		return a.Line < b.Line || (a.Line == b.Line && a.Column < b.Column)
	})
	c.problems = slices.CompactFunc(c.problems, func(a, b *UnsupportedError) bool { return *a == *b })
	return &CheckError{Problems: c.problems}
}

type checker struct {
	agents AgentProvider
	// declared are the names that the Jenkinsfile itself defines: functions, variables, parameters.
	declared map[string]bool
	// loaded is set for a file that a script loads: it may call what another file defines.
	loaded bool
	// delegates is set if closures have delegates: what they call may be methods of these.
	delegates bool
	// podLabels are the labels of the script's own pod templates; anyLabel says that more come when it runs.
	podLabels map[string]bool
	anyLabel  bool
	// library is set for a file of a library, which may have pipeline blocks in its functions.
	library bool
	// vars are the variables of the libraries.
	vars     map[string]*libraryVar
	libs     []*Library
	problems []*UnsupportedError
}

func (c *checker) refuse(pos jenkinsfile.Pos, name, format string, args ...any) {
	c.problems = append(c.problems, &UnsupportedError{Line: pos.Line, Column: pos.Column, Name: name, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) unsupported(pos jenkinsfile.Pos, kind, name string) {
	c.refuse(pos, name, "%s \"%s\": %s", kind, name, advice)
}

func (c *checker) pipeline(p *jenkinsfile.Pipeline) {
	if p.Script != nil {
		c.script(p)
		return
	}
	for _, s := range p.Preamble {
		c.preamble(s)
		jenkinsfile.Walk(s, c.declare)
	}
	c.walkPipeline(p, c.declare)
	for _, s := range p.Preamble {
		jenkinsfile.Walk(s, c.node)
	}
	c.walkPipeline(p, c.node)
	c.agent(p.Agent)
	c.options(p.Options)
	c.environment(p.Environment)
	c.tools(p.Tools)
	for _, d := range p.Triggers {
		c.trigger(d)
	}
	for _, d := range p.Libraries {
		if !c.hasLibraries([]*jenkinsfile.Directive{d}, nil) {
			c.unsupported(d.From, "directive", "libraries")
		}
	}
	for _, d := range p.ParameterDefs {
		def, known := parameterDefs[d.Name]
		c.refuseFeature(d.From, "parameter", d.Name, def, known)
	}
	p.WalkStages(c.stage)
}

// preamble refuses what stands outside of the pipeline block and is no function, variable or import
// without effect.
func (c *checker) preamble(s jenkinsfile.Stmt) {
	switch s := s.(type) {
	case *jenkinsfile.Annotation:
		if s.Name == "Library" {
			return // annotations before other things count as well: see annotations
		}
		c.unsupported(s.From, "annotation", "@"+s.Name)
	case *jenkinsfile.ClassDecl:
		c.classDecl(s)
	}
}

func (c *checker) classDecl(d *jenkinsfile.ClassDecl) {
	c.refuse(d.From, d.Name, "class \"%s\": %s", d.Name, adviceWith("use functions and maps"))
}

// walkPipeline visits every expression and statement of the pipeline.
func (c *checker) walkPipeline(p *jenkinsfile.Pipeline, f func(jenkinsfile.Node)) {
	steps := func(list []*jenkinsfile.Step) {
		for _, s := range list {
			jenkinsfile.Walk(s.Call, f)
		}
	}
	post := func(list []*jenkinsfile.PostCondition) {
		for _, pc := range list {
			steps(pc.Steps.List)
		}
	}
	env := func(list []*jenkinsfile.EnvVar) {
		for _, v := range list {
			if _, ok := v.CredentialsCall(); !ok {
				jenkinsfile.Walk(v.Value, f)
			}
		}
	}
	env(p.Environment)
	post(p.Post)
	p.WalkStages(func(s *jenkinsfile.Stage) {
		env(s.Environment)
		post(s.Post)
		if s.Steps != nil {
			steps(s.Steps.List)
		}
		if s.When != nil {
			walkConditions(s.When.Conditions, f)
		}
		if s.Input != nil {
			for _, field := range s.Input.Fields {
				jenkinsfile.Walk(field.Value, f)
			}
		}
	})
}

func walkConditions(list []*jenkinsfile.Condition, f func(jenkinsfile.Node)) {
	for _, w := range list {
		walkConditions(w.Children, f)
		for _, a := range w.Args {
			jenkinsfile.Walk(a.Value, f)
		}
		if w.Body != nil {
			jenkinsfile.Walk(w.Body, f)
		}
	}
}

func (c *checker) declare(n jenkinsfile.Node) {
	switch n := n.(type) {
	case *jenkinsfile.FuncDecl:
		c.declared[n.Name] = true
		c.declareParams(n.Params)
	case *jenkinsfile.Closure:
		c.declareParams(n.Params)
		c.declared["it"] = true
	case *jenkinsfile.VarDecl:
		for _, v := range n.Vars {
			c.declared[v.Name] = true
		}
	case *jenkinsfile.ForIn:
		c.declared[n.Var] = true
	case *jenkinsfile.Assign:
		switch target := n.Target.(type) {
		case *jenkinsfile.Ident:
			c.declared[target.Name] = true
		case *jenkinsfile.Property:
			c.delegates = c.delegates || target.Name == "delegate"
		}
	case *jenkinsfile.Import:
		if path, ok := strings.CutPrefix(n.Path, "static "); ok {
			c.declared[path[strings.LastIndexAny(path, " .")+1:]] = true
		}
	case *jenkinsfile.Call:
		switch n.Name {
		case "with", "tap", "setDelegate", "rehydrate":
			c.delegates = c.delegates || n.Object != nil
		}
		c.declarePod(n)
	}
}

// scriptMethods are what scripts can call beside steps.
var scriptMethods = map[string]bool{"sprintf": true, "printf": true}

func (c *checker) declareParams(params []jenkinsfile.Param) {
	for _, p := range params {
		c.declared[p.Name] = true
	}
}

// node refuses steps and Groovy that the engine does not know.
func (c *checker) node(n jenkinsfile.Node) {
	switch n := n.(type) {
	case *jenkinsfile.Property:
		c.global(n.Object)
	case *jenkinsfile.Call:
		c.global(n.Object)
		if n.Object != nil || n.Callee != nil || c.declared[n.Name] || c.vars[n.Name] != nil {
			return
		}
		def, ok := stepDefs[n.Name]
		instead, refused := refusedSteps[n.Name]
		if !ok && !refused && (c.loaded || c.delegates || scriptMethods[n.Name]) {
			return
		}
		if !ok && !refused && c.mistyped(n) {
			return
		}
		if !ok || n.Name == "pipeline" && !c.library {
			c.refuseFeature(n.NamePos, "step", n.Name, refusedFor(instead), false)
			return
		}
		c.stageBlock(n)
		c.stepArgs(n, def)
		c.nodeLabel(n)
		c.podStep(n)
	case *jenkinsfile.New:
		if !groovy.Constructible(n.Type) && !strings.HasSuffix(n.Type, "[]") {
			c.refuse(n.From, "new "+n.Type, "\"new %s\": %s", n.Type, advice)
		}
	case *jenkinsfile.Import:
		if !groovy.Importable(n.Path) {
			c.refuse(n.From, "import", "\"import %s\": %s", n.Path, advice)
		}
	case *jenkinsfile.ClassDecl:
		c.classDecl(n)
	case *jenkinsfile.Throw:
		// new is understood there.
	}
}

// stepArgs refuses named arguments that the step does not have here.
func (c *checker) stepArgs(n *jenkinsfile.Call, def stepDef) {
	if n.Name == "parallel" || n.Name == "step" {
		return
	}
	c.argNames(n.Name, n.Args, def)
}

func (c *checker) argNames(step string, args []jenkinsfile.Arg, def stepDef) {
	for _, a := range args {
		if !a.Named || a.Spread || a.NameExpr != nil || c.refusedArgument(step, a) || a.Name == def.only || contains(def.params, a.Name) {
			continue
		}
		c.refuse(a.NamePos, step, "parameter \"%s\" of step \"%s\": %s", a.Name, step, advice)
	}
}

func (c *checker) stage(s *jenkinsfile.Stage) {
	c.agent(s.Agent)
	c.options(s.Options)
	c.environment(s.Environment)
	if s.Input != nil {
		for _, d := range s.Input.Parameters {
			if !stepDefs[d.Name].symbol {
				c.unsupported(d.From, "parameter", d.Name)
			}
		}
	}
	if s.Matrix != nil && matrixSize(s.Matrix) > maxCells {
		c.refuse(s.Matrix.From, "matrix", "a matrix of more than %d cells: %s", maxCells, advice)
	}
	c.tools(s.Tools)
}

func (c *checker) tools(list []*jenkinsfile.Directive) {
	for _, d := range list {
		c.refuse(d.From, d.Name, "tool \"%s\": %s", d.Name, adviceWith(insteadImage))
	}
}

func (c *checker) options(list []*jenkinsfile.Directive) {
	for _, o := range list {
		c.option(o)
	}
}

func (c *checker) environment(list []*jenkinsfile.EnvVar) {
	for _, v := range list {
		if arg, ok := v.CredentialsCall(); ok {
			jenkinsfile.Walk(arg, c.node)
		}
	}
}

func (c *checker) agent(a *jenkinsfile.Agent) {
	if a == nil {
		return
	}
	def, supported := agentDefs[a.Type]
	if c.refuseFeature(a.From, "agent", a.Type, def, supported) || a.Type == jenkinsfile.AgentAny || a.Type == jenkinsfile.AgentNone {
		return
	}
	if a.Type == jenkinsfile.AgentKubernetes {
		c.podAgent(a)
		return
	}
	for _, f := range a.Fields {
		if f.Name != "label" && f.Name != "customWorkspace" {
			c.unsupported(f.Pos, "agent option", f.Name)
		}
	}
	label, known := jenkinsfile.ConstantText(a.LabelExpr())
	label = strings.TrimSpace(label)
	if known && label != "" && c.agents != nil && !c.agents.HasLabel(label) {
		c.refuse(a.From, "label", "There are no agents with the label ‘%s’", label)
	}
}
