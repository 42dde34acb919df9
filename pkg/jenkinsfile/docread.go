// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"strings"
)

// docReader makes the document of a pipeline that Parse has accepted.
type docReader struct{ src string }

// statement is one statement of a block.
type statement struct {
	section
	at place
}

// block reads the statements of a block.
func (r docReader) block(body *Closure) []statement {
	if body == nil {
		return nil
	}
	return r.statements(body.Body)
}

func (r docReader) statements(list []Stmt) []statement {
	out := make([]statement, 0, len(list))
	for _, s := range list {
		sec, _ := sectionOf(s)
		st := statement{section: sec, at: place{stmt: Span{s.Start(), s.End()}}}
		if sec.body != nil {
			st.at.block = sec.body.Span
		}
		out = append(out, st)
	}
	return out
}

func (r docReader) pipeline(root *Call) *docPipeline {
	body := root.Args[0].Value.(*Closure)
	p := &docPipeline{at: place{root.Span, body.Span}, places: places{}}
	for _, s := range r.block(body) {
		p.places[s.name] = s.at
		switch s.name {
		case "agent":
			p.Agent = r.agent(s)
		case "stages":
			p.Stages = r.stages(s.body)
		case "environment":
			p.Environment = r.environment(s.body)
		case "options":
			p.Options = &docOptions{r.calls(s.body)}
		case "parameters":
			p.Parameters = &docParameters{r.calls(s.body)}
		case "triggers":
			p.Triggers = &docTriggers{r.calls(s.body)}
		case "tools":
			p.Tools = r.tools(s.body)
		case "libraries":
			p.Libraries = r.libraries(s.body)
		case "post":
			p.Post = r.post(s.body)
		}
	}
	return p
}

func (r docReader) stages(body *Closure) []*docStage {
	out := []*docStage{}
	for _, s := range r.block(body) {
		out = append(out, r.stage(s))
	}
	return out
}

func (r docReader) stage(s statement) *docStage {
	out := &docStage{docBase: docBase{at: s.at, places: places{}}}
	if name, ok := s.args[0].Value.(*Constant); ok {
		out.Name, _ = name.Value.(string)
	}
	for _, e := range r.block(s.body) {
		out.places[e.name] = e.at
		switch e.name {
		case "stages":
			out.Stages = r.stages(e.body)
		case "parallel":
			out.Parallel = r.stages(e.body)
		case "matrix":
			out.Matrix = r.matrix(e)
		case "steps":
			r.branches(out, e)
		case "failFast":
			out.FailFast = r.boolean(e)
		default:
			r.base(&out.docBase, e)
		}
	}
	return out
}

func (r docReader) base(b *docBase, e statement) {
	switch e.name {
	case "agent":
		b.Agent = r.agent(e)
	case "when":
		b.When = r.when(e)
	case "post":
		b.Post = r.post(e.body)
	case "tools":
		b.Tools = r.tools(e.body)
	case "environment":
		b.Environment = r.environment(e.body)
	case "options":
		b.Options = &docOptions{r.calls(e.body)}
	case "input":
		b.Input = r.input(e)
	}
}

func (r docReader) boolean(e statement) *bool {
	if len(e.args) == 1 {
		if c, ok := e.args[0].Value.(*Constant); ok {
			if v, ok := c.Value.(bool); ok {
				return &v
			}
		}
	}
	return nil
}

// branches reads steps, and the branches of a parallel step that is the only one.
func (r docReader) branches(stage *docStage, e statement) {
	if parallel := parallelStep(e.body); parallel != nil {
		for _, a := range parallel.args {
			if body, ok := a.Value.(*Closure); ok {
				stage.Branches = append(stage.Branches, &docBranch{Name: a.Name, Steps: r.steps(body.Body), at: place{block: body.Span}})
			} else if c, ok := a.Value.(*Constant); ok && a.Name == "failFast" {
				if v, ok := c.Value.(bool); ok {
					stage.FailFast = &v
				}
			}
		}
		return
	}
	stage.Branches = []*docBranch{{Name: "default", Steps: r.steps(e.body.Body), at: e.at}}
}

// parallelStep returns the step if the block is nothing but parallel(name: { … }).
func parallelStep(body *Closure) *section {
	if len(body.Body) != 1 {
		return nil
	}
	s, ok := sectionOf(body.Body[0])
	if !ok || s.name != "parallel" || s.body != nil || len(s.args) == 0 {
		return nil
	}
	for _, a := range s.args {
		if !a.Named || a.NameExpr != nil || a.Spread {
			return nil
		}
	}
	return &s
}

func (r docReader) steps(list []Stmt) []*docStep {
	out := []*docStep{}
	for _, s := range r.statements(list) {
		out = append(out, r.step(s))
	}
	return out
}

func (r docReader) step(s statement) *docStep {
	step := &docStep{Name: s.name, at: s.at}
	switch {
	case s.name == "script" && s.body != nil:
		r.code(step, s.body)
	case s.body != nil:
		step.tree = true
		step.Args = r.args(s.args)
		step.Children = r.steps(s.body.Body)
	default:
		step.Args = r.args(s.args)
		if sole := soleParameters[s.name]; sole != "" && step.Args.Single != nil {
			step.Args = &docArgs{Named: []*docEntry{{Key: sole, Value: step.Args.Single}}}
		}
	}
	return step
}

// code reads the body of a script or an expression: from its first statement to its last, which is
// what Jenkins gives, so comments before and behind are not in it.
func (r docReader) code(step *docStep, body *Closure) {
	if n := len(body.Body); n > 0 {
		step.code = Span{body.Body[0].Start(), body.Body[n-1].End()}
	}
	text := &docValue{IsLiteral: true, Value: r.text(step.code)}
	step.Args = &docArgs{Named: []*docEntry{{Key: scriptBlock, Value: text}}}
}

const scriptBlock = "scriptBlock"

func (r docReader) text(s Span) string {
	return strings.TrimSpace(strings.ReplaceAll(r.src[s.From.Offset:s.To.Offset], "\r\n", "\n"))
}

// args reads the arguments of a step or condition. A map is the same as named arguments, but for the
// old form of a step with the key $class.
func (r docReader) args(args []Arg) *docArgs {
	if len(args) == 0 {
		return &docArgs{}
	}
	named := true
	class := false
	for _, a := range args {
		named = named && a.Named && !a.Spread
		class = class || a.Name == "$class"
	}
	switch m, isMap := args[0].Value.(*Map); {
	case named && class:
		last := args[len(args)-1].Value
		text := r.text(Span{args[0].NamePos, last.End()})
		return &docArgs{Single: &docValue{Value: text}}
	case named:
		out := &docArgs{}
		for _, a := range args {
			out.Named = append(out.Named, &docEntry{Key: r.key(a), Value: r.value(a.Value)})
		}
		return out
	case isMap && len(args) == 1 && !args[0].Named && !hasClass(m):
		out := &docArgs{}
		for _, e := range m.Entries {
			out.Named = append(out.Named, &docEntry{Key: r.mapKey(e), Value: r.value(e.Value)})
		}
		return out
	case len(args) == 1 && !args[0].Spread:
		return &docArgs{Single: r.value(args[0].Value)}
	}
	return r.positional(args)
}

// positional reads a list of arguments; named ones among them become one, in the place of the first.
func (r docReader) positional(args []Arg) *docArgs {
	out := &docArgs{Positional: []*docValue{}}
	var pairs []string
	at := -1
	for _, a := range args {
		switch {
		case a.Spread:
			out.Positional = append(out.Positional, &docValue{Value: "${*" + r.expression(a.Value) + "}"})
		case a.Named:
			if at < 0 {
				at = len(out.Positional)
				out.Positional = append(out.Positional, nil)
			}
			pairs = append(pairs, keyText(r.key(a))+": "+r.expression(a.Value))
		default:
			out.Positional = append(out.Positional, r.value(a.Value))
		}
	}
	if at >= 0 {
		out.Positional[at] = &docValue{Value: "[" + strings.Join(pairs, ", ") + "]"}
	}
	return out
}

// hasClass tells if a map is of the form [$class: 'X', …], or has entries that are no plain pairs.
func hasClass(m *Map) bool {
	for _, e := range m.Entries {
		c, ok := e.Key.(*Constant)
		if !ok || e.Spread || c.Value == "$class" {
			return true
		}
	}
	return len(m.Entries) == 0
}

func (r docReader) key(a Arg) string {
	if a.NameExpr != nil {
		return r.expression(a.NameExpr)
	}
	return a.Name
}

func (r docReader) mapKey(e MapEntry) string {
	text, _ := ConstantText(e.Key)
	return text
}

// value reads an argument.
func (r docReader) value(x Expr) *docValue {
	switch x := x.(type) {
	case *Constant:
		return &docValue{IsLiteral: true, Value: x.Value}
	case *GString:
		return &docValue{Value: r.text(x.Span)}
	case *Map:
		return &docValue{Value: r.text(x.Span)}
	case *Ident:
		if x.Name == AgentAny || x.Name == AgentNone {
			return &docValue{IsLiteral: true, Value: x.Name}
		}
	}
	return &docValue{Value: "${" + r.expression(x) + "}"}
}

// expression is the source of an expression. Blanks around operators are lost, as in Jenkins, but
// parentheses are not, as they are there.
func (r docReader) expression(x Expr) string {
	b, ok := x.(*Binary)
	if !ok {
		return r.text(Span{x.Start(), x.End()})
	}
	op := b.OpPos.Offset
	for _, gap := range []string{
		r.src[b.From.Offset:b.X.Start().Offset], r.src[b.X.End().Offset:op],
		r.src[op+len(b.Op) : b.Y.Start().Offset], r.src[b.Y.End().Offset:b.To.Offset],
	} {
		if strings.TrimSpace(gap) != "" {
			return r.text(b.Span)
		}
	}
	if b.Op == "in" {
		return r.expression(b.X) + " in " + r.expression(b.Y)
	}
	return r.expression(b.X) + b.Op + r.expression(b.Y)
}

func (r docReader) environment(body *Closure) []*docEntry {
	out := []*docEntry{}
	for _, s := range body.Body {
		a := s.(*ExprStmt).X.(*Assign)
		e := &docEntry{Key: a.Target.(*Ident).Name, at: place{stmt: Span{s.Start(), s.End()}}}
		switch x := a.Value.(type) {
		case *Binary:
			e.Value = r.concatenation(x)
		case *Call:
			if x.Object == nil && x.Callee == nil && x.Name == "credentials" {
				e.Call = &docCall{Name: x.Name, Args: []docArg{}}
				for _, arg := range x.Args {
					e.Call.Args = append(e.Call.Args, docArg{Value: r.value(arg.Value)})
				}
				break
			}
			e.Value = r.value(x)
		default:
			e.Value = r.value(x)
		}
		out = append(out, e)
	}
	return out
}

// concatenation joins the parts of 'a' + "${b}". With a part that is no constant Jenkins gives the
// text of the strings without quotes.
func (r docReader) concatenation(x Expr) *docValue {
	switch x := x.(type) {
	case *Binary:
		left, right := r.concatenation(x.X), r.concatenation(x.Y)
		return &docValue{IsLiteral: left.IsLiteral && right.IsLiteral, Value: left.text() + right.text()}
	case *GString:
		text := r.text(x.Span)
		for len(text) > 1 && text[0] == text[len(text)-1] && (text[0] == '"' || text[0] == '\'') {
			text = text[1 : len(text)-1]
		}
		return &docValue{Value: text}
	}
	return r.value(x)
}

// calls reads options, parameters or triggers.
func (r docReader) calls(body *Closure) []*docCall {
	out := []*docCall{}
	for _, s := range r.block(body) {
		call := r.call(s.call)
		call.at = s.at
		out = append(out, call)
	}
	return out
}

func (r docReader) call(c *Call) *docCall {
	out := &docCall{Name: c.Name, Args: []docArg{}}
	for _, a := range c.Args {
		m, isMap := a.Value.(*Map)
		switch {
		case a.Named && !a.Spread:
			out.Args = append(out.Args, docArg{Entry: r.entry(r.key(a), a.Value)})
		case isMap && !a.Spread && !hasClass(m):
			for _, e := range m.Entries {
				out.Args = append(out.Args, docArg{Entry: r.entry(r.mapKey(e), e.Value)})
			}
		default:
			e := r.entry("", a.Value)
			out.Args = append(out.Args, docArg{Value: e.Value, Call: e.Call})
		}
	}
	return out
}

// entry reads a value that may be a method call.
func (r docReader) entry(key string, x Expr) *docEntry {
	if c, ok := x.(*Call); ok && c.Object == nil && c.Callee == nil && c.Trailing == 0 {
		return &docEntry{Key: key, Call: r.call(c)}
	}
	return &docEntry{Key: key, Value: r.value(x)}
}

func (r docReader) tools(body *Closure) []*docEntry {
	out := []*docEntry{}
	for _, s := range r.block(body) {
		e := &docEntry{Key: s.name, Value: &docValue{IsLiteral: true}, at: s.at}
		if len(s.call.Args) > 0 {
			e.Value = r.value(s.call.Args[0].Value)
		}
		out = append(out, e)
	}
	return out
}

func (r docReader) libraries(body *Closure) *docLibraries {
	out := &docLibraries{Libraries: []*docLibrary{}}
	for _, s := range r.block(body) {
		l := &docLibrary{at: s.at}
		if len(s.call.Args) > 0 {
			l.docValue = *r.value(s.call.Args[0].Value)
		}
		out.Libraries = append(out.Libraries, l)
	}
	return out
}

func (r docReader) agent(s statement) *docAgent {
	if s.body == nil {
		return &docAgent{Type: s.args[0].Value.(*Ident).Name}
	}
	inner := r.block(s.body)[0]
	a := &docAgent{Type: inner.name, inner: inner.at}
	switch {
	case inner.body != nil:
		if a.Args = r.entries(inner.body); a.Type == AgentLabel {
			a.Type = AgentNode
		}
	case len(inner.args) > 0:
		a.Argument = r.value(inner.args[0].Value)
	}
	if a.emptyLabel() {
		// The place goes too: the statement in the source says the same in other words.
		return &docAgent{Type: AgentAny}
	}
	return a
}

// emptyLabel tells if the agent is any node, said by a label that is empty.
func (a *docAgent) emptyLabel() bool {
	if a.Type != AgentLabel && a.Type != AgentNode {
		return false
	}
	v := a.Argument
	if len(a.Args) == 1 && a.Args[0].Key == "label" {
		v = a.Args[0].Value
	}
	return v != nil && v.IsLiteral && v.Value == ""
}

// entries reads a block of names with a value or a block.
func (r docReader) entries(body *Closure) []*docEntry {
	var out []*docEntry
	for _, s := range r.block(body) {
		e := &docEntry{Key: s.name, at: s.at}
		if s.body != nil {
			e.List = append([]*docEntry{}, r.entries(s.body)...)
		} else if len(s.args) > 0 {
			e.Value = r.value(s.args[0].Value)
		}
		out = append(out, e)
	}
	return out
}

func (r docReader) post(body *Closure) *docPost {
	out := &docPost{Conditions: []*docPostCondition{}}
	for _, s := range r.block(body) {
		branch := &docBranch{Name: "default", Steps: r.steps(s.body.Body), at: s.at}
		out.Conditions = append(out.Conditions, &docPostCondition{Condition: s.name, Branch: branch, at: s.at})
	}
	return out
}

func (r docReader) when(s statement) *docWhen {
	out := &docWhen{Conditions: []*docStep{}, places: places{}}
	for _, e := range r.block(s.body) {
		switch e.name {
		case "beforeAgent":
			out.BeforeAgent = r.boolean(e)
		case "beforeInput":
			out.BeforeInput = r.boolean(e)
		case "beforeOptions":
			out.BeforeOptions = r.boolean(e)
		default:
			out.Conditions = append(out.Conditions, r.condition(e))
			continue
		}
		out.places[e.name] = e.at
	}
	return out
}

func (r docReader) condition(s statement) *docStep {
	c := &docStep{Name: s.name, at: s.at}
	switch {
	case s.name == "expression":
		r.code(c, s.body)
	case s.body != nil:
		for _, e := range r.block(s.body) {
			c.Children = append(c.Children, r.condition(e))
		}
	default:
		c.Args = r.args(s.args)
	}
	return c
}

// input reads the directive; its old form has the fields as arguments.
func (r docReader) input(s statement) *docInput {
	out := &docInput{places: places{}}
	set := func(name string, x Expr) {
		for _, f := range out.fields() {
			if f.name == name {
				*f.value = r.value(x)
			}
		}
	}
	if s.body == nil {
		for _, a := range s.args {
			if !a.Named {
				set("message", a.Value)
			}
			set(a.Name, a.Value)
		}
		return out
	}
	for _, e := range r.block(s.body) {
		out.places[e.name] = e.at
		if e.name == "parameters" {
			out.Parameters = r.calls(e.body)
		} else if len(e.args) > 0 {
			set(e.name, e.args[0].Value)
		}
	}
	return out
}

func (r docReader) matrix(s statement) *docMatrix {
	out := &docMatrix{docBase: docBase{at: s.at, places: places{}}}
	for _, e := range r.block(s.body) {
		out.places[e.name] = e.at
		switch e.name {
		case "axes":
			out.Axes = r.axes(e.body)
		case "excludes":
			for _, x := range r.block(e.body) {
				out.Excludes = append(out.Excludes, docExclude{axes: r.axes(x.body), at: x.at})
			}
		case "stages":
			out.Stages = r.stages(e.body)
		default:
			r.base(&out.docBase, e)
		}
	}
	return out
}

func (r docReader) axes(body *Closure) []*docAxis {
	out := []*docAxis{}
	for _, s := range r.block(body) {
		a := &docAxis{Values: []*docValue{}, at: s.at, places: places{}}
		for _, e := range r.block(s.body) {
			a.places[e.name] = e.at
			if e.name == "name" {
				a.Name, _ = ConstantText(e.args[0].Value)
				continue
			}
			for _, v := range e.args {
				a.Values = append(a.Values, r.value(v.Value))
			}
			if e.name == "notValues" {
				inverse := true
				a.Inverse = &inverse
			}
		}
		out = append(out, a)
	}
	return out
}

// soleParameters are the steps without a block that have exactly one required parameter. Jenkins
// gives it its name in JSON and takes it away in the Jenkinsfile.
var soleParameters = map[string]string{
	"archiveArtifacts": "artifacts", "bat": "script", "build": "job", "checkout": "scm", "echo": "message",
	"error": "message", "fileExists": "file", "git": "url", "input": "message", "junit": "testResults", "library": "identifier",
	"load": "path", "powershell": "script", "publishHTML": "target", "pwsh": "script", "readFile": "file",
	"readTrusted": "path", "resolveScm": "source", "sh": "script", "sleep": "time", "stash": "name", "step": "delegate",
	"svn": "url", "tm": "stringWithMacro", "tool": "name", "unstable": "message", "unstash": "name", "unzip": "zipFile",
	"validateDeclarativePipeline": "path", "zip": "zipFile", "sha1": "file", "sha256": "file",
	"properties": "properties", "sshPublisher": "publishers", "slackUploadFile": "filePath", "touch": "file",
	"libraryResource": "resource", "containerLog": "name", "getContext": "type",
}
