// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import "strings"

func (b *builder) stages(s section) []*Stage {
	body := b.block(s)
	if body == nil {
		return nil
	}
	if len(body.Body) == 0 {
		if s.name == "parallel" {
			b.errs.addLate(s.span.From, "No stages specified for parallel")
		} else {
			b.errs.addLate(s.span.From, "No stages specified")
		}
	}
	var out []*Stage
	entries := b.sections(body.Body, func(st Stmt) {
		b.errs.add(st.Start(), "Expected a stage")
	})
	for _, e := range entries {
		if e.name != "stage" {
			b.errs.add(e.span.From, "Expected a stage")
			continue
		}
		if stage := b.stage(e); stage != nil {
			out = append(out, stage)
		}
	}
	b.checkStageNames(s.span.From, out)
	return out
}

func (b *builder) stage(s section) *Stage {
	st := &Stage{Span: s.span}
	if s.body == nil || len(s.args) != 1 || s.args[0].Named {
		b.errs.add(s.span.From, "Expected a stage with a name and a block: stage('name') { … }")
		return nil
	}
	c, ok := s.args[0].Value.(*Constant)
	name, isString := "", false
	if ok {
		name, isString = c.Value.(string)
	}
	switch {
	case !isString:
		b.errs.add(s.args[0].Value.Start(), "Expected string literal")
	case strings.TrimSpace(name) == "":
		b.errs.addLate(s.args[0].Value.Start(), "Stage name must not be empty")
	}
	st.Name = name
	b.stageBody(st, s.body, stageSections)
	return st
}

// stageSections are the sections of a stage.
var stageSections = []string{
	"agent", "environment", "failFast", "input", "matrix", "options", "parallel", "post", "stages", "steps", "tools", "when",
}

// matrixSections are the sections of a matrix that its cells have like stages.
var matrixSections = []string{
	"agent", "axes", "environment", "excludes", "input", "options", "post", "stages", "tools", "when",
}

func (b *builder) stageBody(st *Stage, body *Closure, allowed []string) {
	seen := map[string]bool{}
	entries := b.sections(body.Body, func(s Stmt) {
		b.errs.add(s.Start(), "Not a valid stage section definition: \"%s\". Some extra configuration is required.", b.text(s))
	})
	for _, e := range entries {
		if !contains(allowed, e.name) {
			b.errs.add(e.span.From, "Unknown stage section \"%s\". Starting with version 0.5, steps in a stage must be in a ‘steps’ block.", e.name)
			continue
		}
		if b.duplicate(seen, e) {
			continue
		}
		b.stageSection(st, e)
	}
	n := 0
	for _, name := range []string{"matrix", "parallel", "stages", "steps"} {
		if seen[name] {
			n++
		}
	}
	const choices = `"matrix", "parallel", "stages", or "steps"`
	switch {
	case n == 0 && st.Name == "" && seen["axes"]:
		b.errs.addLate(st.From, "Missing required section \"stages\"")
	case n == 0:
		b.errs.addLate(st.From, "Expected one of %s for stage \"%s\"", choices, st.Name)
	case n > 1:
		b.errs.addLate(st.From, "Only one of %s allowed for stage \"%s\"", choices, st.Name)
	}
	if seen["failFast"] && !seen["parallel"] && !seen["matrix"] {
		b.errs.addLate(st.From, "failFast can only be used with parallel or matrix in stage \"%s\"", st.Name)
	}
	b.nesting(st)
}

// nesting reports parallel stages and agents where Declarative Pipeline does not allow them.
func (b *builder) nesting(st *Stage) {
	if st.Parallel != nil && st.Agent != nil {
		b.errs.addLate(st.Agent.From, "\"agent\" is not allowed in stage \"%s\" as it contains parallel stages", st.Name)
	}
	for _, branch := range st.Parallel {
		if branch.Parallel != nil || branch.Matrix != nil {
			b.errs.addLate(branch.From, "Parallel stages or branches can only be included in a top-level stage.")
		}
		walkStages(branch.Stages, func(inner *Stage) {
			if inner.Parallel != nil || inner.Matrix != nil {
				b.errs.addLate(inner.From, "Parallel stages or branches can only be included in a top-level stage.")
			}
		})
	}
}

func (b *builder) stageSection(st *Stage, e section) {
	switch e.name {
	case "agent":
		st.Agent = b.agent(e)
	case "environment":
		st.Environment = b.environment(e)
	case "failFast":
		st.FailFast = b.boolean(e)
	case "input":
		st.Input = b.input(e)
	case "matrix":
		st.Matrix = b.matrix(e)
	case "options":
		st.Options = b.directives(e, "option", stageOptions)
	case "parallel":
		st.Parallel = b.stages(e)
	case "post":
		st.Post = b.post(e)
	case "stages":
		st.Stages = b.stages(e)
	case "steps":
		st.Steps = b.stepsOf(e)
	case "tools":
		st.Tools = b.directives(e, "tool", toolTypes)
	case "when":
		st.When = b.when(e)
	}
}

func (b *builder) boolean(s section) bool {
	if len(s.args) == 1 && s.body == nil && !s.args[0].Named {
		if c, ok := s.args[0].Value.(*Constant); ok {
			if v, ok := c.Value.(bool); ok {
				return v
			}
		}
	}
	b.errs.add(s.span.From, "Expected a boolean with %s", s.name)
	return false
}

var inputFields = []string{"message", "id", "ok", "parameters", "submitter", "submitterParameter"}

func (b *builder) input(s section) *Input {
	in := &Input{Span: s.span}
	if s.body == nil && len(s.args) > 0 {
		for _, a := range s.args {
			name := a.Name
			if !a.Named {
				name = "message"
			}
			in.Fields = append(in.Fields, Field{Name: name, Pos: a.Value.Start(), Value: a.Value})
		}
		return in
	}
	body := b.block(s)
	if body == nil {
		return in
	}
	seen := map[string]bool{}
	entries := b.sections(body.Body, func(st Stmt) {
		b.errs.add(st.Start(), "Expected a name and a value in input")
	})
	for _, e := range entries {
		switch {
		case !contains(inputFields, e.name):
			b.errs.add(e.span.From, "Unknown \"input\" field \"%s\". Valid fields are [%s]", e.name, strings.Join(inputFields, ", "))
		case b.duplicate(seen, e):
		case e.name == "parameters":
			in.Parameters = b.parameters(e)
		case len(e.args) == 1 && !e.args[0].Named && e.body == nil:
			in.Fields = append(in.Fields, Field{Name: e.name, Pos: e.span.From, Value: e.args[0].Value})
		default:
			b.errs.add(e.span.From, "Expected a single value for %s", e.name)
		}
	}
	if !seen["message"] {
		b.errs.addLate(s.span.From, "Missing required parameter: \"message\"")
	}
	return in
}

// conditionNames are the conditions of when, as Jenkins lists them.
var conditionNames = []string{
	"allOf", "anyOf", "branch", "buildingTag", "changeRequest", "changelog", "changeset", "environment", "equals",
	"expression", "isRestartedRun", "not", "tag", "triggeredBy",
}

func (b *builder) when(s section) *When {
	w := &When{Span: s.span}
	body := b.block(s)
	if body == nil {
		return w
	}
	var rest []Stmt
	for _, st := range body.Body {
		e, ok := sectionOf(st)
		if !ok || e.call == nil {
			b.errs.add(s.span.From, "Expected a when condition")
			continue
		}
		switch e.name {
		case "beforeAgent":
			w.BeforeAgent = b.boolean(e)
		case "beforeInput":
			w.BeforeInput = b.boolean(e)
		case "beforeOptions":
			w.BeforeOptions = b.boolean(e)
		default:
			rest = append(rest, st)
		}
	}
	if len(rest) == 0 {
		b.errs.addLate(s.span.From, "Empty when closure, remove the property or add some content.")
		return w
	}
	w.Conditions = b.conditions(rest)
	return w
}

func (b *builder) conditions(body []Stmt) []*Condition {
	var out []*Condition
	entries := b.sections(body, func(st Stmt) {
		b.errs.add(st.Start(), "Expected a when condition")
	})
	for _, e := range entries {
		if !contains(conditionNames, e.name) {
			b.errs.addLate(e.span.From, "Unknown conditional %s. Valid conditionals are: %s", e.name, strings.Join(conditionNames, ", "))
			continue
		}
		if e.call == nil {
			b.errs.add(e.span.From, "Expected a when condition")
			continue
		}
		out = append(out, b.condition(e))
	}
	return out
}

// conditionArgs are the required arguments of conditions, the first may stand without its name.
var conditionArgs = map[string][]string{
	"branch": {"pattern"}, "changelog": {"pattern"}, "changeset": {"pattern"}, "environment": {"name", "value"},
	"equals": {"expected", "actual"}, "triggeredBy": {"cause"},
}

func (b *builder) condition(e section) *Condition {
	c := &Condition{Span: e.span, Name: e.name, Args: e.args}
	switch e.name {
	case "allOf", "anyOf", "not":
		body := b.block(e)
		if body == nil {
			return c
		}
		if len(body.Body) == 0 {
			b.errs.addLate(e.span.From, "Empty when closure, remove the property or add some content.")
		}
		c.Children = b.conditions(body.Body)
		if e.name == "not" && len(c.Children) > 1 {
			b.errs.addLate(e.span.From, "not needs exactly one condition")
		}
	case "expression":
		c.Body = b.block(e)
	default:
		if e.body != nil {
			b.errs.add(e.span.From, "Expected arguments and no block for %s", e.name)
			return c
		}
		required := conditionArgs[e.name]
		for i, name := range required {
			if c.Arg(name, i == 0 && len(required) == 1) == nil {
				b.errs.addLate(e.span.From, "Missing required parameter: \"%s\"", name)
			}
		}
	}
	return c
}

func (b *builder) post(s section) []*PostCondition {
	body := b.block(s)
	if body == nil {
		return nil
	}
	if len(body.Body) == 0 {
		b.errs.addLate(s.span.From, "post can not be empty")
	}
	var out []*PostCondition
	seen := map[string]bool{}
	entries := b.sections(body.Body, func(st Stmt) {
		b.errs.add(st.Start(), "Expected a post condition")
	})
	for _, e := range entries {
		if !contains(PostConditions, e.name) {
			b.errs.addLate(e.span.From, "Invalid condition \"%s\" - valid conditions are [%s]", e.name, strings.Join(PostConditions, ", "))
			continue
		}
		if seen[e.name] {
			b.errs.addLate(e.span.From, "Duplicate build condition name: \"%s\"", e.name)
			continue
		}
		seen[e.name] = true
		if steps := b.stepsOf(e); steps != nil {
			out = append(out, &PostCondition{Span: e.span, Name: e.name, Steps: steps})
		}
	}
	return out
}

func (b *builder) matrix(s section) *Matrix {
	m := &Matrix{Span: s.span, Stage: &Stage{Span: s.span}}
	body := b.block(s)
	if body == nil {
		return m
	}
	var rest []Stmt
	for _, st := range body.Body {
		e, ok := sectionOf(st)
		switch {
		case ok && e.name == "axes":
			m.Axes = b.axes(e)
		case ok && e.name == "excludes":
			m.Excludes = b.excludes(e)
		default:
			rest = append(rest, st)
		}
	}
	if len(m.Axes) == 0 {
		b.errs.addLate(s.span.From, "Missing required section \"axes\"")
	}
	b.checkAxes(m)
	b.stageBody(m.Stage, &Closure{Span: body.Span, Body: rest}, matrixSections)
	return m
}

// checkAxes reports axes that occur twice and excludes of axes that the matrix does not have.
func (b *builder) checkAxes(m *Matrix) {
	axes := map[string]bool{}
	for _, a := range m.Axes {
		if axes[a.Name] && a.Name != "" {
			b.errs.addLate(a.From, "Duplicate axis name: \"%s\"", a.Name)
		}
		if a.Not {
			b.errs.addLate(a.From, "notValues can only be used in excludes")
		}
		axes[a.Name] = true
	}
	for _, exclude := range m.Excludes {
		for _, a := range exclude {
			if !axes[a.Name] && a.Name != "" {
				b.errs.addLate(a.From, "The axis \"%s\" of the exclude is not among those of the matrix", a.Name)
			}
		}
	}
}

func (b *builder) axes(s section) []*Axis {
	body := b.block(s)
	if body == nil {
		return nil
	}
	var out []*Axis
	entries := b.sections(body.Body, func(st Stmt) { b.errs.add(st.Start(), "Expected an axis") })
	for _, e := range entries {
		if e.name != "axis" {
			b.errs.add(e.span.From, "Expected an axis")
			continue
		}
		out = append(out, b.axis(e))
	}
	return out
}

func (b *builder) axis(s section) *Axis {
	a := &Axis{Span: s.span}
	body := b.block(s)
	if body == nil {
		return a
	}
	entries := b.sections(body.Body, func(st Stmt) { b.errs.add(st.Start(), "Expected name or values in an axis") })
	for _, e := range entries {
		var values []string
		for _, arg := range e.args {
			text, ok := ConstantText(arg.Value)
			if !ok || arg.Named {
				b.errs.add(e.span.From, "Expected string literal")
			}
			values = append(values, text)
		}
		switch e.name {
		case "name":
			a.Name = strings.Join(values, "")
		case "values":
			a.Values = values
		case "notValues":
			a.Values, a.Not = values, true
		default:
			b.errs.add(e.span.From, "Expected name or values in an axis")
		}
	}
	if a.Name == "" || len(a.Values) == 0 {
		b.errs.addLate(s.span.From, "An axis needs a name and values")
	}
	return a
}

func (b *builder) excludes(s section) [][]*Axis {
	body := b.block(s)
	if body == nil {
		return nil
	}
	var out [][]*Axis
	entries := b.sections(body.Body, func(st Stmt) { b.errs.add(st.Start(), "Expected an exclude") })
	for _, e := range entries {
		if e.name != "exclude" {
			b.errs.add(e.span.From, "Expected an exclude")
			continue
		}
		out = append(out, b.axes(e))
	}
	return out
}
