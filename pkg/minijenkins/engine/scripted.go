// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// scriptedSteps are the steps of Scripted Pipelines, which scripts in Declarative ones may use as well.
func scriptedSteps() map[string]stepDef {
	symbolDef := func(only string, params ...string) stepDef {
		return stepDef{symbol: true, only: only, params: params}
	}
	return map[string]stepDef{
		"node": {block: true, only: "label", run: stepNode},
		"ws":   {block: true, only: "dir", agent: true, run: stepWs},
		"load": {block: true, noBody: true, only: "path", agent: true, run: stepLoad},

		"properties":              {display: "Set job properties", only: "properties", run: stepProperties},
		"parameters":              symbolDef("parameterDefinitions"),
		"pipelineTriggers":        symbolDef("triggers"),
		"cron":                    symbolDef("spec"),
		"pollSCM":                 symbolDef("scmpoll_spec", "ignorePostCommitHooks"),
		"upstream":                symbolDef("upstreamProjects", "threshold"),
		"buildDiscarder":          symbolDef("strategy"),
		"logRotator":              symbolDef("", "numToKeepStr", "daysToKeepStr", "artifactNumToKeepStr", "artifactDaysToKeepStr"),
		"disableConcurrentBuilds": symbolDef("", "abortPrevious"),
		"disableResume":           symbolDef(""),
		"durabilityHint":          symbolDef("hint"),
		"preserveStashes":         symbolDef("buildCount"),
		"overrideIndexTriggers":   symbolDef("enableTriggers"),
		"quietPeriod":             symbolDef("quietPeriod"),
		"githubProjectProperty":   symbolDef("", "displayName", "projectUrlStr"),
	}
}

// runScript runs a Scripted Pipeline.
func (b *build) runScript(ctx context.Context) error {
	return b.m.ExecTop(ctx, b.spec.Pipeline.Script.Stmts)
}

// noAgent is the error of a step that needs an agent and has none.
func (b *build) noAgent(ctx context.Context, inv groovy.Invocation, def stepDef) error {
	if b.spec.Pipeline.Script == nil {
		return failed("Attempted to execute a step that requires a node context while ‘agent none’ was specified. "+
			"Be sure to specify your own ‘agent’ in the stage when using ‘agent none’ (step %s).", inv.Name)
	}
	err := &groovy.Exception{Class: "org.jenkinsci.plugins.workflow.steps.MissingContextVariableException", Pos: inv.Pos,
		Message: "Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the " + inv.Name +
			" step with a step that provides this, such as: node"}
	id := b.newID()
	b.pipelineLine(inv.Name)
	if !def.block {
		b.closeStep(b.openStep(ctx, id, def.display, ""), ResultFailure, err)
	}
	return err
}

// stepNode is node('label') { … }: it runs its block on an agent of its own.
func stepNode(ctx context.Context, c *stepCall) (any, error) {
	b := c.b
	req := AgentRequest{Label: strings.TrimSpace(c.text("label"))}
	if n := flowOf(ctx).node; n != nil {
		req.Node = n.DisplayName
	}
	req.Pod = flowOf(ctx).podFor(req.Label)
	var handle *agentHandle
	defer func() {
		if handle != nil {
			b.release(ctx, handle)
		}
	}()
	return c.runBlock(ctx, blockStep{before: func(ctx context.Context) (context.Context, error) {
		var err error
		if handle, err = b.acquire(ctx, req); err != nil {
			return ctx, err
		}
		b.stamped(ctx, "Running on "+handle.Name()+" in "+handle.Workspace())
		return withFlow(ctx, func(f *flow) { f.agent, f.dir = handle, handle.Workspace() }), nil
	}})
}

// inWorkspace is the flow with another workspace on the same agent. A relative path is beside the usual one.
func inWorkspace(ctx context.Context, dir string) context.Context {
	return withFlow(ctx, func(f *flow) {
		if !path.IsAbs(dir) {
			dir = path.Join(path.Dir(f.agent.Workspace()), dir)
		}
		a := f.agent
		f.agent = &agentHandle{lease: a.lease, workspace: path.Clean(dir), env: a.env, scm: a.scm}
		f.dir = f.agent.workspace
	})
}

// stepWs is ws('dir') { … }.
func stepWs(ctx context.Context, c *stepCall) (any, error) {
	dir := strings.TrimSpace(c.text("dir"))
	if dir == "" {
		return nil, failed("ws: a folder is needed")
	}
	return c.runBlock(ctx, blockStep{before: func(ctx context.Context) (context.Context, error) {
		ctx = inWorkspace(ctx, dir)
		c.b.stamped(ctx, "Running in "+flowOf(ctx).dir)
		return ctx, nil
	}})
}

// inCustomWorkspace runs body in the workspace that customWorkspace of an agent names, as Jenkins does with
// the step ws.
func (b *build) inCustomWorkspace(ctx context.Context, a *jenkinsfile.Agent, body func(context.Context) error) error {
	x := a.Field("customWorkspace")
	if x == nil {
		return body(ctx)
	}
	v, err := b.m.Eval(ctx, x)
	if err != nil {
		return err
	}
	dir := strings.TrimSpace(groovy.ToString(v))
	if v == nil || dir == "" {
		return body(ctx)
	}
	return b.runBlock(ctx, blockStep{
		name: "ws",
		before: func(ctx context.Context) (context.Context, error) {
			ctx = inWorkspace(ctx, dir)
			b.stamped(ctx, "Running in "+flowOf(ctx).dir)
			return ctx, nil
		},
		body: func(ctx context.Context, _ string) error { return body(ctx) },
	})
}

// stepLoad is load 'file.groovy': the file's functions become methods of what it returns with "return this".
func stepLoad(ctx context.Context, c *stepCall) (any, error) {
	file := c.text("path")
	if file == "" {
		return nil, failed("load: a path is needed")
	}
	var script *jenkinsfile.Script
	var value any
	err := c.b.runBlock(ctx, blockStep{
		name: c.name, label: file,
		before: func(ctx context.Context) (context.Context, error) {
			full := flowOf(ctx).resolve(file)
			source, err := c.readAgentFile(ctx, full)
			if err != nil {
				return ctx, err
			}
			if script, err = jenkinsfile.ParseScript(string(source)); err == nil {
				err = checkLoaded(script)
			}
			if err != nil {
				return ctx, &groovy.Exception{Class: "org.codehaus.groovy.control.MultipleCompilationErrorsException",
					Message: "startup failed in " + file + ":\n" + err.Error(), Pos: c.pos}
			}
			return ctx, nil
		},
		body: func(ctx context.Context, _ string) (err error) {
			c.b.loaded++
			value, _, err = c.b.m.Load(ctx, "Script"+itoa(c.b.loaded), script)
			return err
		},
	})
	return value, err
}

// stepProperties is properties([…]): it sets the parameters, triggers and options of the job.
func stepProperties(ctx context.Context, c *stepCall) (any, error) {
	list, ok := c.args["properties"].(*groovy.List)
	if !ok {
		return nil, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "properties needs a list", Pos: c.pos}
	}
	p := &jenkinsfile.Pipeline{Source: c.b.spec.Pipeline.Source, Script: c.b.spec.Pipeline.Script, SetsProperties: true}
	for _, item := range list.Items {
		if item == nil {
			continue
		}
		call, ok := valueExpr(item).(*jenkinsfile.Call)
		if !ok {
			return nil, failed("properties: %s is no property of a job", clip(groovy.ToString(item)))
		}
		d := directiveOf(call)
		switch d.Name {
		case "parameters":
			p.ParameterDefs = append(p.ParameterDefs, directiveList(d, "parameterDefinitions")...)
		case "pipelineTriggers":
			p.Triggers = append(p.Triggers, directiveList(d, "triggers")...)
		default:
			p.Options = append(p.Options, d)
		}
	}
	if err := checkProperties(p); err != nil {
		return nil, failed("properties: %v", err)
	}
	if set := c.b.spec.SetProperties; set != nil {
		if _, err := effect(ctx, c.b, "properties", func(ctx context.Context, _ string) (bool, error) { return true, set(ctx, p) }); err != nil {
			return nil, err
		}
	}
	// The build has the defaults of its new parameters from now on.
	have := map[string]bool{}
	for _, v := range c.b.spec.Params {
		have[v.Name] = true
	}
	var missing []jenkinsfile.Parameter
	for _, d := range p.Parameters() {
		if !have[d.Name] {
			missing = append(missing, d)
		}
	}
	values, err := ResolveParams(missing, nil)
	if err != nil {
		return nil, failed("properties: %v", err)
	}
	c.b.spec.Params = append(c.b.spec.Params, values...)
	return nil, nil
}

// propertyClasses are the symbols of classes that scripts name with $class.
var propertyClasses = map[string]string{
	"ParametersDefinitionProperty": "parameters", "PipelineTriggersJobProperty": "pipelineTriggers", "BuildDiscarderProperty": "buildDiscarder",
	"LogRotator": "logRotator", "DisableConcurrentBuildsJobProperty": "disableConcurrentBuilds", "TimerTrigger": "cron", "SCMTrigger": "pollSCM",
	"StringParameterDefinition": "string", "TextParameterDefinition": "text", "BooleanParameterDefinition": "booleanParam",
	"ChoiceParameterDefinition": "choice", "PasswordParameterDefinition": "password", "GithubProjectProperty": "githubProjectProperty",
}

// maxValueDepth and maxValues bound the values that valueExpr writes: a list of the script may hold itself.
const (
	maxValueDepth = 32
	maxValues     = 20_000
)

// valueExpr writes a value of the script as an expression of constants. What is nested too deep is null.
func valueExpr(v any) jenkinsfile.Expr {
	left := maxValues
	return valueExprDepth(v, &left, 0)
}

func valueExprDepth(v any, left *int, depth int) jenkinsfile.Expr {
	if *left--; *left < 0 || depth > maxValueDepth {
		return &jenkinsfile.Constant{}
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return &jenkinsfile.Constant{Value: v}
	case *groovy.List:
		out := &jenkinsfile.List{}
		for _, item := range v.Items {
			out.Items = append(out.Items, jenkinsfile.Arg{Value: valueExprDepth(item, left, depth+1)})
		}
		return out
	case *groovy.Map:
		call := &jenkinsfile.Call{}
		for _, k := range v.Keys() {
			item, _ := v.Get(k)
			name := groovy.ToString(k)
			if name != symbolKey {
				call.Args = append(call.Args, jenkinsfile.Arg{Name: name, Named: true, Value: valueExprDepth(item, left, depth+1)})
				continue
			}
			text := groovy.ToString(item)
			if call.Name = propertyClasses[text[strings.LastIndexByte(text, '.')+1:]]; call.Name == "" {
				call.Name = text
			}
		}
		return call
	}
	return &jenkinsfile.Constant{Value: groovy.ToString(v)}
}

// directiveOf gives an argument that a symbol may have without its name back that place.
func directiveOf(call *jenkinsfile.Call) *jenkinsfile.Directive {
	d := &jenkinsfile.Directive{Name: call.Name, Args: call.Args}
	if only := stepDefs[call.Name].only; only != "" && len(d.Args) == 1 && d.Args[0].Name == only {
		d.Args = []jenkinsfile.Arg{{Value: d.Args[0].Value}}
	}
	return d
}

func directiveList(d *jenkinsfile.Directive, name string) []*jenkinsfile.Directive {
	list, ok := d.Arg(name, true).(*jenkinsfile.List)
	if !ok {
		return nil
	}
	var out []*jenkinsfile.Directive
	for _, item := range list.Items {
		if call, ok := item.Value.(*jenkinsfile.Call); ok {
			out = append(out, directiveOf(call))
		}
	}
	return out
}
