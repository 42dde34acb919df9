// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// element is one statement of a Jenkinsfile that is made from a document: a section, a stage, a step,
// an entry. A document that was read from a source knows where its elements stand there.
type element struct {
	// key tells an element from its siblings; empty if only its text does.
	key string
	// head is the statement without its block.
	head string
	// block: it has a block, of items or of code.
	block bool
	items []*element
	// sections: the order of the items has no meaning.
	sections bool
	// isCode: the block is code, which stands at codeAt in the source.
	isCode bool
	code   string
	codeAt Span
	// blank: Jenkins prints an empty line behind it.
	blank bool
	// ghost: it is in the source but says nothing, as "failFast false".
	ghost bool
	// stage: it is a stage, which may move to any other place.
	stage bool
	// path is where it stands in the JSON document.
	path []string
	at   place

	signed string
}

// elementBuilder makes elements from documents.
type elementBuilder struct {
	// jenkins: also what Jenkins does wrong.
	jenkins bool
}

// section makes an element whose order among its siblings has no meaning.
func newSection(name string, at place, path []string) *element {
	return &element{key: name, head: name, block: true, at: at, path: path}
}

func (b elementBuilder) pipeline(p *docPipeline) *element {
	path := []string{"pipeline"}
	e := &element{key: "pipeline", head: "pipeline", block: true, sections: true, at: p.at, path: path}
	add := func(s *element) {
		if s != nil {
			e.items = append(e.items, s)
		}
	}
	add(b.agent(p.Agent, p.places["agent"], at(path, "agent")))
	add(b.libraries(p.Libraries, p.places["libraries"], at(path, "libraries")))
	add(b.stages("stages", p.Stages, p.places["stages"], at(path, "stages")))
	add(b.tools(p.Tools, p.places["tools"], at(path, "tools")))
	add(b.environment(p.Environment, p.places["environment"], at(path, "environment")))
	add(b.post(p.Post, p.places["post"], at(path, "post")))
	if p.Options != nil {
		add(b.calls("options", p.Options.Options, p.places["options"], at(path, "options", "options")))
	}
	if p.Parameters != nil {
		add(b.calls("parameters", p.Parameters.Parameters, p.places["parameters"], at(path, "parameters", "parameters")))
	}
	if p.Triggers != nil {
		add(b.calls("triggers", p.Triggers.Triggers, p.places["triggers"], at(path, "triggers", "triggers")))
	}
	return e
}

// base makes the sections that stages and matrices have, in Jenkins' order.
func (b elementBuilder) base(d *docBase, path []string) []*element {
	var out []*element
	add := func(s *element) {
		if s != nil {
			out = append(out, s)
		}
	}
	add(b.agent(d.Agent, d.places["agent"], at(path, "agent")))
	add(b.when(d.When, d.places["when"], at(path, "when")))
	add(b.tools(d.Tools, d.places["tools"], at(path, "tools")))
	add(b.environment(d.Environment, d.places["environment"], at(path, "environment")))
	if d.Options != nil {
		add(b.calls("options", d.Options.Options, d.places["options"], at(path, "options", "options")))
	}
	add(b.input(d.Input, d.places["input"], at(path, "input")))
	add(b.post(d.Post, d.places["post"], at(path, "post")))
	return out
}

func (b elementBuilder) stages(name string, list []*docStage, where place, path []string) *element {
	if len(list) == 0 {
		return nil
	}
	e := newSection(name, where, path)
	for i, s := range list {
		e.items = append(e.items, b.stage(s, at(path, strconv.Itoa(i))))
	}
	return e
}

func (b elementBuilder) stage(s *docStage, path []string) *element {
	e := &element{
		key: "stage " + s.Name, head: "stage(" + literal(s.Name) + ")", block: true, sections: true, blank: true, stage: true,
		at: s.at, path: path, items: b.base(&s.docBase, path),
	}
	add := func(inner *element) {
		if inner != nil {
			e.items = append(e.items, inner)
		}
	}
	add(b.stages("stages", s.Stages, s.places["stages"], at(path, "stages")))
	legacy := len(s.Branches) > 1 || len(s.Branches) == 1 && s.Branches[0].Name != "default"
	if s.FailFast != nil && !legacy {
		flag := b.flag("failFast", *s.FailFast && (len(s.Parallel) > 0 || s.Matrix != nil), s.places["failFast"], path)
		add(flag)
	}
	add(b.stages("parallel", s.Parallel, s.places["parallel"], at(path, "parallel")))
	if s.Matrix != nil {
		add(b.matrix(s.Matrix, s.places["matrix"], at(path, "matrix")))
	}
	if legacy {
		add(b.parallelStep(s, at(path, "branches")))
	} else if len(s.Branches) == 1 {
		steps := newSection("steps", s.places["steps"], at(path, "branches", "0"))
		steps.items = b.steps(s.Branches[0].Steps, at(steps.path, "steps"))
		add(steps)
	}
	return e
}

// flag makes "name true". A flag that is false is the same as none.
func (b elementBuilder) flag(name string, on bool, where place, path []string) *element {
	e := &element{key: name, head: name + " true", at: where, path: at(path, name), ghost: !on}
	if e.ghost && !where.known() {
		return nil
	}
	return e
}

// parallelStep makes steps { parallel(…) }, the form of parallel stages of old. It is one statement.
func (b elementBuilder) parallelStep(s *docStage, path []string) *element {
	p := newPrinter("  ")
	for i, branch := range s.Branches {
		p.out.WriteString(map[bool]string{true: "parallel(\n", false: ",\n"}[i == 0])
		p.out.WriteString("  " + literal(branch.Name) + ": {\n")
		for _, step := range b.steps(branch.Steps, at(path, strconv.Itoa(i), "steps")) {
			p.element(step, "    ")
		}
		p.out.WriteString("  }")
	}
	if s.FailFast != nil && *s.FailFast {
		p.out.WriteString(",\n  failFast: true")
	}
	p.out.WriteString("\n)")
	steps := newSection("steps", s.places["steps"], path)
	steps.items = []*element{{head: p.out.String(), path: path}}
	// The branches have no elements of their own: a change replaces the section.
	steps.at.block = Span{}
	return steps
}

func (b elementBuilder) matrix(m *docMatrix, where place, path []string) *element {
	e := newSection("matrix", where, path)
	e.sections = true
	if len(m.Axes) > 0 {
		e.items = append(e.items, b.axes("axes", m.Axes, m.places["axes"], at(path, "axes")))
	}
	if len(m.Excludes) > 0 {
		excludes := newSection("excludes", m.places["excludes"], at(path, "excludes"))
		for i, x := range m.Excludes {
			exclude := b.axes("exclude", x.axes, x.at, at(excludes.path, strconv.Itoa(i)))
			exclude.key, exclude.blank = "", true
			excludes.items = append(excludes.items, exclude)
		}
		e.items = append(e.items, excludes)
	}
	e.items = append(e.items, b.base(&m.docBase, path)...)
	if stages := b.stages("stages", m.Stages, m.places["stages"], at(path, "stages")); stages != nil {
		e.items = append(e.items, stages)
	}
	return e
}

func (b elementBuilder) axes(name string, list []*docAxis, where place, path []string) *element {
	e := newSection(name, where, path)
	for i, a := range list {
		here := at(path, strconv.Itoa(i))
		axis := &element{key: "axis " + a.Name, head: "axis", block: true, sections: true, blank: true, at: a.at, path: here}
		values, texts := "values", make([]string, len(a.Values))
		if a.Inverse != nil && *a.Inverse {
			values = "notValues"
		}
		for k, v := range a.Values {
			texts[k] = b.value(v)
		}
		axis.items = []*element{
			{key: "name", head: "name " + literal(a.Name), at: a.places["name"], path: at(here, "name")},
			{key: values, head: values + " " + strings.Join(texts, ", "), at: a.places[values], path: at(here, "values")},
		}
		e.items = append(e.items, axis)
	}
	return e
}

func (b elementBuilder) steps(list []*docStep, path []string) []*element {
	out := make([]*element, 0, len(list))
	for i, s := range list {
		here := at(path, strconv.Itoa(i))
		e := &element{at: s.at, path: here}
		switch text := s.Args.named(scriptBlock); {
		case s.tree:
			e.head, e.block, e.blank = s.Name+"("+b.args(s.Args)+")", true, true
			e.items = b.steps(s.Children, at(here, "children"))
		case s.Name == "script":
			b.asCode(e, s, text)
		default:
			e.head = b.step(s)
		}
		out = append(out, e)
	}
	return out
}

// asCode makes a block of code. Besides the named argument Jenkins takes a single one.
func (b elementBuilder) asCode(e *element, s *docStep, text *docValue) {
	e.head, e.block, e.blank, e.isCode, e.codeAt = s.Name, true, true, true, s.code
	if text == nil && s.Args != nil {
		text = s.Args.Single
	}
	if text != nil {
		e.code = strings.TrimSpace(strings.ReplaceAll(text.text(), "\r\n", "\n"))
	}
}

// step prints a step without a block. A single argument stands without parentheses if it can.
func (b elementBuilder) step(s *docStep) string {
	single := s.Args.named(soleParameters[s.Name])
	if soleParameters[s.Name] == "" {
		single = nil
	}
	if s.Args != nil && s.Args.Single != nil {
		single = s.Args.Single
	}
	if single != nil {
		if text := b.value(single); commandArgument(text) {
			return s.Name + " " + text
		} else {
			return s.Name + "(" + text + ")"
		}
	}
	return s.Name + "(" + b.args(s.Args) + ")"
}

// commandArgument tells if a text can stand behind a name as its argument: "[", "-" and so on would
// go on the expression.
func commandArgument(text string) bool {
	if text == "" {
		return false
	}
	c := text[0]
	if c == '\'' || c == '"' || c >= '0' && c <= '9' {
		return true
	}
	end := identLen(text, isIdentPart)
	return end > 0 && !operandKeyword(text[:end])
}

func (b elementBuilder) args(a *docArgs) string {
	if a == nil {
		return ""
	}
	if a.Single != nil {
		return b.value(a.Single)
	}
	texts := make([]string, 0, len(a.Named)+len(a.Positional))
	for _, e := range a.Named {
		texts = append(texts, keyText(e.Key)+": "+b.entryValue(e))
	}
	for _, v := range a.Positional {
		texts = append(texts, b.value(v))
	}
	return strings.Join(texts, ", ")
}

// keyText prints the name of an argument, which needs quotes if it is no name.
func keyText(key string) string {
	if isName(key) || strings.HasPrefix(key, `"`) || strings.HasPrefix(key, "(") {
		return key
	}
	return literal(key)
}

func (b elementBuilder) entryValue(e *docEntry) string {
	switch {
	case e.Call != nil:
		return b.call(e.Call)
	case e.Value != nil:
		return b.value(e.Value)
	}
	return "null"
}

// value prints a literal as a Groovy literal, and the source of an expression as it is.
func (b elementBuilder) value(v *docValue) string {
	if v.IsLiteral {
		return literal(v.Value)
	}
	return unwrap(v.text())
}

// literal prints a constant. A text with line breaks is put in three quotes.
func literal(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		text := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\r", `\r`).Replace(v)
		if strings.Contains(v, "\n") {
			return "'''" + text + "'''"
		}
		return "'" + text + "'"
	case json.Number:
		return v.String()
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	return fmt.Sprint(value)
}

func (b elementBuilder) call(c *docCall) string {
	texts := make([]string, len(c.Args))
	for i, a := range c.Args {
		switch {
		case a.Entry != nil:
			texts[i] = keyText(a.Entry.Key) + ": " + b.entryValue(a.Entry)
		case a.Call != nil:
			texts[i] = b.call(a.Call)
		default:
			texts[i] = b.value(a.Value)
		}
	}
	return c.Name + "(" + strings.Join(texts, ", ") + ")"
}

// calls makes options, parameters or triggers.
func (b elementBuilder) calls(name string, list []*docCall, where place, path []string) *element {
	if len(list) == 0 {
		return nil
	}
	e := newSection(name, where, path)
	for i, c := range list {
		key := c.Name
		for _, a := range c.Args {
			if name == "parameters" && a.Entry != nil && a.Entry.Key == "name" && a.Entry.Value != nil {
				key = a.Entry.Value.text()
			}
		}
		e.items = append(e.items, &element{key: key, head: b.call(c), at: c.at, path: at(path, strconv.Itoa(i))})
	}
	return e
}

func (b elementBuilder) tools(list []*docEntry, where place, path []string) *element {
	if len(list) == 0 {
		return nil
	}
	e := newSection("tools", where, path)
	for i, t := range list {
		e.items = append(e.items, &element{key: t.Key, head: t.Key + " " + b.entryValue(t), at: t.at, path: at(path, strconv.Itoa(i))})
	}
	return e
}

func (b elementBuilder) environment(list []*docEntry, where place, path []string) *element {
	if len(list) == 0 {
		return nil
	}
	e := newSection("environment", where, path)
	for i, v := range list {
		text := b.entryValue(v)
		if !b.jenkins && v.Value != nil && !v.Value.IsLiteral {
			text = variable(v.Value.text())
		}
		e.items = append(e.items, &element{key: v.Key, head: v.Key + " = " + text, at: v.at, path: at(path, strconv.Itoa(i))})
	}
	return e
}

// variable prints the value of an environment variable. The parts of a concatenation come without
// their quotes from ToJSON, so that what is no expression is the inside of a string.
func variable(text string) string {
	bare := unwrap(text)
	if x, ok := parseExpression(bare); ok && !strings.HasPrefix(bare, "${") {
		switch x.(type) {
		case *Call, *GString, *Constant:
			return bare
		}
	}
	if text != bare {
		if _, ok := parseExpression(bare); ok {
			return `"` + text + `"`
		}
	}
	text = strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text)
	if _, ok := parseExpression(`"` + text + `"`); ok {
		return `"` + text + `"`
	}
	return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
}

// parseExpression reads a text that is nothing but one expression.
func parseExpression(text string) (Expr, bool) {
	script, err := parseScript(text)
	if err != nil || len(script.Stmts) != 1 {
		return nil, false
	}
	s, ok := script.Stmts[0].(*ExprStmt)
	if !ok {
		return nil, false
	}
	return s.X, true
}

func (b elementBuilder) libraries(l *docLibraries, where place, path []string) *element {
	if l == nil || len(l.Libraries) == 0 {
		return nil
	}
	e := newSection("libraries", where, path)
	for i, lib := range l.Libraries {
		value := lib.docValue
		if b.jenkins {
			value = docValue{IsLiteral: true, Value: ""}
		}
		e.items = append(e.items, &element{head: "lib(" + b.value(&value) + ")", at: lib.at, path: at(path, "libraries", strconv.Itoa(i))})
	}
	return e
}

func (b elementBuilder) agent(a *docAgent, where place, path []string) *element {
	if a == nil {
		return nil
	}
	typ := a.Type
	if typ == AgentLabel && len(a.Args) > 0 {
		typ = AgentNode
	}
	if !b.jenkins && a.emptyLabel() || typ == AgentAny || typ == AgentNone || b.jenkins && len(a.Args) == 0 && a.Argument == nil {
		if a.emptyLabel() {
			typ = AgentAny
		}
		return &element{key: "agent", head: "agent " + typ, at: place{stmt: where.stmt}, path: path}
	}
	e := newSection("agent", where, path)
	inner := &element{key: typ, head: typ, at: a.inner, path: at(path, "type")}
	switch {
	case a.Argument != nil && len(a.Args) == 0:
		inner.head += " " + b.value(a.Argument)
		inner.at.block = Span{}
	default:
		inner.block, inner.blank = true, true
		inner.items = b.agentEntries(a.Args, at(path, "arguments"))
	}
	e.items = []*element{inner}
	return e
}

func (b elementBuilder) agentEntries(list []*docEntry, path []string) []*element {
	out := make([]*element, 0, len(list))
	for i, v := range list {
		e := &element{key: v.Key, head: v.Key, at: v.at, path: at(path, strconv.Itoa(i))}
		if v.Value != nil {
			e.head += " " + b.value(v.Value)
		} else {
			e.block, e.blank = true, true
			e.items = b.agentEntries(v.List, at(e.path, "value"))
		}
		out = append(out, e)
	}
	return out
}

func (b elementBuilder) post(p *docPost, where place, path []string) *element {
	if p == nil || len(p.Conditions) == 0 {
		return nil
	}
	e := newSection("post", where, path)
	for i, c := range p.Conditions {
		here := at(path, "conditions", strconv.Itoa(i))
		e.items = append(e.items, &element{
			key: c.Condition, head: c.Condition, block: true, blank: true, at: c.at, path: here,
			items: b.steps(c.Branch.Steps, at(here, "branch", "steps")),
		})
	}
	return e
}

func (b elementBuilder) when(w *docWhen, where place, path []string) *element {
	if w == nil {
		return nil
	}
	e := newSection("when", where, path)
	for _, f := range []struct {
		name string
		on   *bool
	}{{"beforeAgent", w.BeforeAgent}, {"beforeInput", w.BeforeInput}, {"beforeOptions", w.BeforeOptions}} {
		if f.on == nil {
			continue
		}
		if flag := b.flag(f.name, *f.on, w.places[f.name], path); flag != nil {
			e.items = append(e.items, flag)
		}
	}
	e.items = append(e.items, b.conditions(w.Conditions, at(path, "conditions"))...)
	return e
}

func (b elementBuilder) conditions(list []*docStep, path []string) []*element {
	out := make([]*element, 0, len(list))
	for i, c := range list {
		e := &element{at: c.at, path: at(path, strconv.Itoa(i))}
		switch {
		case c.Children != nil:
			e.head, e.block, e.blank = c.Name, true, true
			e.items = b.conditions(c.Children, at(e.path, "children"))
		case c.Name == "expression":
			b.asCode(e, c, c.Args.named(scriptBlock))
		default:
			e.head = b.condition(c)
		}
		out = append(out, e)
	}
	return out
}

// condition prints a condition. Jenkins prints one without arguments as a bare name, which it does
// not read again.
func (b elementBuilder) condition(c *docStep) string {
	args := b.args(c.Args)
	if commandArgument(args) || b.jenkins && args == "" {
		return c.Name + " " + args
	}
	return c.Name + "(" + args + ")"
}

func (b elementBuilder) input(i *docInput, where place, path []string) *element {
	if i == nil {
		return nil
	}
	e := newSection("input", where, path)
	e.sections = true
	for _, f := range i.fields() {
		if v := *f.value; v != nil {
			e.items = append(e.items, &element{key: f.name, head: f.name + " " + b.value(v), at: i.places[f.name], path: at(path, f.name)})
		}
	}
	if p := b.calls("parameters", i.Parameters, i.places["parameters"], at(path, "parameters")); p != nil {
		e.items = append(e.items, p)
	}
	return e
}
