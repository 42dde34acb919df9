// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"fmt"
	"sort"
)

// Pipeline is a parsed Jenkinsfile: a Declarative Pipeline or, if Script is set, a Scripted one.
type Pipeline struct {
	Span
	// Source is the whole Jenkinsfile.
	Source string
	// Script is the whole file of a Scripted Pipeline (see Load), nil for a Declarative one. Of the other
	// fields only Options, ParameterDefs and Triggers may be set then: what its step properties sets, as
	// far as that is known without running it.
	Script *Script
	// SetsProperties says that a Scripted Pipeline calls the step properties somewhere.
	SetsProperties bool
	// Preamble is what stands outside of the pipeline block: functions, imports, variables.
	Preamble []Stmt
	Agent    *Agent
	Stages   []*Stage
	// Environment, Options and so on are the directives of the pipeline, in their order.
	Environment   []*EnvVar
	Options       []*Directive
	ParameterDefs []*Directive
	Triggers      []*Directive
	Tools         []*Directive
	Libraries     []*Directive
	Post          []*PostCondition
	// LibraryAnnotations are the annotations @Library.
	LibraryAnnotations []*Annotation

	// root is the pipeline step in the Groovy tree.
	root *Call
}

// Stage is a stage of a pipeline or a branch of a parallel stage. Exactly one of Steps, Stages,
// Parallel and Matrix is set.
type Stage struct {
	Span
	Name        string
	Agent       *Agent
	When        *When
	Input       *Input
	Environment []*EnvVar
	Options     []*Directive
	Tools       []*Directive
	Steps       *Steps
	Stages      []*Stage
	Parallel    []*Stage
	Matrix      *Matrix
	// FailFast is failFast true beside parallel or matrix.
	FailFast bool
	Post     []*PostCondition
}

// Steps is the body of steps {} or of a post condition.
type Steps struct {
	Span
	List []*Step
}

// Step is one step.
type Step struct {
	Span
	// Name is the step ("echo").
	Name string
	// Call is the step as a method call, which a Groovy evaluator can run.
	Call *Call
	// Body are the steps in the step's block; nil without one and for script.
	Body []*Step
	// Script is the block of a script step.
	Script *Closure
}

// Agent types.
const (
	AgentAny        = "any"
	AgentNone       = "none"
	AgentLabel      = "label"
	AgentNode       = "node"
	AgentDocker     = "docker"
	AgentDockerfile = "dockerfile"
	AgentKubernetes = "kubernetes"
)

// Agent is an agent directive.
type Agent struct {
	Span
	// Type is one of the agent types.
	Type string
	// Value is the single argument of label or docker; nil if there is a block instead.
	Value Expr
	// Fields are the entries of the block (label, customWorkspace, image, yaml, …).
	Fields []Field
}

// Field is a named value in an agent, input or library block.
type Field struct {
	Name  string
	Pos   Pos
	Value Expr
}

// Field returns the value of that name, nil if it is not set.
func (a *Agent) Field(name string) Expr { return fieldOf(a.Fields, name) }

func fieldOf(fields []Field, name string) Expr {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// LabelExpr returns the label of a label or node agent, nil if there is none.
func (a *Agent) LabelExpr() Expr {
	if a.Type == AgentLabel && a.Value != nil {
		return a.Value
	}
	return a.Field("label")
}

// EnvVar is one entry of an environment directive.
type EnvVar struct {
	Span
	Name  string
	Value Expr
}

// CredentialsCall returns the argument if the value is credentials(arg).
func (v *EnvVar) CredentialsCall() (Expr, bool) {
	c, ok := v.Value.(*Call)
	if !ok || c.Object != nil || c.Callee != nil || c.Name != "credentials" || len(c.Args) != 1 {
		return nil, false
	}
	return c.Args[0].Value, true
}

// Directive is a named entry with arguments: an option, a parameter, a trigger, a tool, a library.
type Directive struct {
	Span
	Name string
	Args []Arg
}

// Arg returns the value of the named argument; with positional it is also the only unnamed one.
func (d *Directive) Arg(name string, positional bool) Expr { return argOf(d.Args, name, positional) }

func argOf(args []Arg, name string, positional bool) Expr {
	for _, a := range args {
		if a.Named && a.Name == name {
			return a.Value
		}
	}
	if positional && len(args) > 0 && !args[0].Named {
		return args[0].Value
	}
	return nil
}

// Input is an input directive of a stage.
type Input struct {
	Span
	Fields []Field
	// Parameters are the entries of its parameters block.
	Parameters []*Directive
}

// Field returns the value of that name (message, id, ok, submitter, submitterParameter).
func (i *Input) Field(name string) Expr { return fieldOf(i.Fields, name) }

// When is a when directive. All of Conditions must hold.
type When struct {
	Span
	BeforeAgent, BeforeInput, BeforeOptions bool
	Conditions                              []*Condition
}

// Condition is one condition of a when directive.
type Condition struct {
	Span
	// Name is branch, environment, equals, expression, not, allOf, anyOf and so on.
	Name string
	Args []Arg
	// Children are the conditions inside of not, allOf and anyOf.
	Children []*Condition
	// Body is the closure of expression.
	Body *Closure
}

// Arg returns the value of the named argument; with positional also the only unnamed one.
func (c *Condition) Arg(name string, positional bool) Expr { return argOf(c.Args, name, positional) }

// PostCondition is one condition of a post section with its steps.
type PostCondition struct {
	Span
	// Name is one of PostConditions.
	Name  string
	Steps *Steps
}

// PostConditions are the conditions of post, in the order in which they are run.
var PostConditions = []string{
	"always", "changed", "fixed", "regression", "aborted", "failure", "success", "unstable", "unsuccessful", "notBuilt", "cleanup",
}

// Matrix is a matrix of a stage.
type Matrix struct {
	Span
	Axes     []*Axis
	Excludes [][]*Axis
	// Stage holds the sections that each cell has: agent, when, stages, post and so on.
	Stage *Stage
}

// Axis is one axis of a matrix. Not is set if the values are notValues of an exclude.
type Axis struct {
	Span
	Name   string
	Values []string
	Not    bool
}

// ParameterType is the kind of a parameter.
type ParameterType string

// The kinds of parameters.
const (
	ParameterString   ParameterType = "string"
	ParameterText     ParameterType = "text"
	ParameterBoolean  ParameterType = "boolean"
	ParameterChoice   ParameterType = "choice"
	ParameterPassword ParameterType = "password"
	ParameterFile     ParameterType = "file"
)

// Parameter is one entry of the parameters directive.
type Parameter struct {
	Name string
	Type ParameterType
	// Default is "true" or "false" for a boolean and the first choice for a choice. A default that
	// has to be computed is empty.
	Default     string
	Description string
	// Choices are of a choice.
	Choices []string
	// Trim is of a string.
	Trim bool
}

var parameterTypes = map[string]ParameterType{
	"string": ParameterString, "stringParam": ParameterString,
	"text": ParameterText, "textParam": ParameterText,
	"booleanParam": ParameterBoolean,
	"choice":       ParameterChoice, "choiceParam": ParameterChoice,
	"password": ParameterPassword,
	"file":     ParameterFile, "fileParam": ParameterFile,
}

// Parameters returns the entries of the parameters directive in order. Kinds that are not among
// the ParameterType constants are left out.
func (p *Pipeline) Parameters() []Parameter {
	var out []Parameter
	for _, d := range p.ParameterDefs {
		typ, ok := parameterTypes[d.Name]
		if !ok {
			continue
		}
		param := Parameter{
			Type:        typ,
			Name:        constText(d.Arg("name", false)),
			Description: constText(d.Arg("description", false)),
			Default:     constText(d.Arg("defaultValue", false)),
		}
		switch typ {
		case ParameterBoolean:
			if param.Default != "true" {
				param.Default = "false"
			}
		case ParameterChoice:
			param.Choices = choices(d.Arg("choices", false))
			param.Default = ""
			if len(param.Choices) > 0 {
				param.Default = param.Choices[0]
			}
		case ParameterString:
			param.Trim = constText(d.Arg("trim", false)) == "true"
		}
		out = append(out, param)
	}
	return out
}

// choices reads a list of strings or a string with one choice on each line.
func choices(x Expr) []string {
	if l, ok := x.(*List); ok {
		out := make([]string, 0, len(l.Items))
		for _, item := range l.Items {
			out = append(out, constText(item.Value))
		}
		return out
	}
	var out []string
	for _, line := range splitLines(constText(x)) {
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

func splitLines(s string) []string {
	var out []string
	start := 0
	for i := range len(s) {
		if s[i] == '\n' {
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// constText returns the text of a constant, "" for null and for everything that is no constant.
func constText(x Expr) string {
	text, _ := ConstantText(x)
	return text
}

// ConstantText returns the text of an expression that is known without running it: a constant, a
// concatenation of constants, or a GString without parts to evaluate.
func ConstantText(x Expr) (string, bool) {
	switch x := x.(type) {
	case *Constant:
		if x.Value == nil {
			return "", true
		}
		return fmt.Sprint(x.Value), true
	case *GString:
		out := ""
		for _, part := range x.Parts {
			s, ok := ConstantText(part)
			if !ok {
				return "", false
			}
			out += s
		}
		return out, true
	case *Binary:
		a, okA := ConstantText(x.X)
		b, okB := ConstantText(x.Y)
		return a + b, x.Op == "+" && okA && okB && (isStringExpr(x.X) || isStringExpr(x.Y))
	}
	return "", false
}

func isStringExpr(x Expr) bool {
	switch x := x.(type) {
	case *Constant:
		_, ok := x.Value.(string)
		return ok
	case *GString:
		return true
	case *Binary:
		return x.Op == "+" && (isStringExpr(x.X) || isStringExpr(x.Y))
	}
	return false
}

// Agents returns the agents of the pipeline and all its stages in order of the source.
func (p *Pipeline) Agents() []*Agent {
	var out []*Agent
	if p.Agent != nil {
		out = append(out, p.Agent)
	}
	p.WalkStages(func(s *Stage) {
		if s.Agent != nil {
			out = append(out, s.Agent)
		}
	})
	return out
}

// AgentLabels returns the label expressions of all agents that are known without running
// the pipeline, sorted and without duplicates. Empty labels are left out.
func (p *Pipeline) AgentLabels() []string {
	seen := map[string]bool{}
	var out []string
	for _, a := range p.Agents() {
		label, ok := ConstantText(a.LabelExpr())
		if ok && label != "" && !seen[label] {
			seen[label] = true
			out = append(out, label)
		}
	}
	sort.Strings(out)
	return out
}

// WalkStages calls f for every stage, outer ones first, in order of the source.
func (p *Pipeline) WalkStages(f func(*Stage)) { walkStages(p.Stages, f) }

func walkStages(stages []*Stage, f func(*Stage)) {
	for _, s := range stages {
		f(s)
		walkStages(s.Stages, f)
		walkStages(s.Parallel, f)
		if s.Matrix != nil {
			f(s.Matrix.Stage)
			walkStages(s.Matrix.Stage.Stages, f)
		}
	}
}

// Text returns the source of a node.
func (p *Pipeline) Text(n Node) string { return p.Source[n.Start().Offset:n.End().Offset] }

// Validate parses the source and returns all that is wrong with it, nil if Parse would succeed.
func Validate(src string) error {
	_, err := Parse(src)
	return err
}
