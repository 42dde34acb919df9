// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"maps"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// stepDef is a step that the engine can run.
type stepDef struct {
	// display is the name that Blue Ocean shows.
	display string
	// logName is what the log calls it, if not by its name.
	logName string
	// only is the parameter that may be given without its name; describe the one that is shown.
	only, describe string
	// params are the other parameters.
	params []string
	// agent is set if it needs an agent.
	agent bool
	// block is set if it has a block and writes its own log lines.
	block bool
	// sync is set if Jenkins goes on with the same branch behind it.
	sync bool
	// noBody is set if it is a block step without a closure.
	noBody bool
	// symbol is set if it is no step but a value for the arguments of one.
	symbol bool
	run    func(ctx context.Context, c *stepCall) (any, error)
}

// stepCall is one call of a step.
type stepCall struct {
	b    *build
	name string
	args map[string]any
	// closure is the block; body runs it.
	closure *groovy.Closure
	body    func(context.Context) error
	pos     jenkinsfile.Pos
	// id is the flow node and w the log of a step without a block; step is its record.
	id   string
	w    *lineWriter
	step Step
	// result is the step's result if it did not fail; empty is success.
	result Result
	value  any
}

// symbolParams are the parameters of symbols.
var symbolParams = []string{"name", "defaultValue", "description", "trim", "choices", "value"}

// stepDefs are all steps by name. It is filled in init, as the steps refer to it.
var stepDefs map[string]stepDef

func init() {
	stepDefs = map[string]stepDef{
		"echo":       {display: "Print Message", sync: true, only: "message", describe: "message", run: stepEcho},
		"println":    {display: "Print Message", sync: true, logName: "echo", only: "message", describe: "message", run: stepEcho},
		"print":      {display: "Print Message", sync: true, logName: "echo", only: "message", describe: "message", run: stepEcho},
		"error":      {display: "Error signal", sync: true, only: "message", describe: "message", run: stepError},
		"unstable":   {display: "Set stage result to unstable", sync: true, only: "message", describe: "message", run: stepUnstable},
		"sleep":      {display: "Sleep", only: "time", describe: "time", params: []string{"unit"}, run: stepSleep},
		"sh":         {display: "Shell Script", only: "script", describe: "script", params: []string{"label", "returnStdout", "returnStatus", "encoding"}, agent: true, run: stepSh},
		"pwd":        {display: "Determine current directory", only: "tmp", agent: true, run: stepPwd},
		"isUnix":     {display: "Checks if running on a Unix-like node", agent: true, run: stepIsUnix},
		"fileExists": {display: "Verify if file exists in workspace", only: "file", describe: "file", agent: true, run: stepFileExists},
		"readFile":   {display: "Read file from workspace", only: "file", describe: "file", params: []string{"encoding"}, agent: true, run: stepReadFile},
		"writeFile":  {display: "Write file to workspace", describe: "file", params: []string{"file", "text", "encoding"}, agent: true, run: stepWriteFile},
		"deleteDir":  {display: "Recursively delete the current directory from the workspace", agent: true, run: stepDeleteDir},
		"cleanWs": {display: "Delete workspace when build is done", agent: true, run: stepCleanWs,
			params: []string{"cleanWhenAborted", "cleanWhenFailure", "cleanWhenNotBuilt", "cleanWhenSuccess", "cleanWhenUnstable", "skipWhenFailed", "deleteDirs", "notFailBuild", "disableDeferredWipeout", "patterns"}},
		"git":              {display: "Git", only: "url", describe: "url", params: []string{"branch", "credentialsId", "changelog", "poll"}, agent: true, run: stepGit},
		"checkout":         {display: "Check out from version control", only: "scm", params: []string{"changelog", "poll"}, agent: true, run: stepCheckout},
		"archiveArtifacts": {display: "Archive the artifacts", only: "artifacts", params: []string{"excludes", "allowEmptyArchive", "fingerprint", "onlyIfSuccessful", "caseSensitive", "defaultExcludes", "followSymlinks"}, agent: true, run: stepArchive},

		"junit": {display: "Archive JUnit-formatted test results", only: "testResults", describe: "testResults", agent: true, run: stepJunit,
			params: []string{"allowEmptyResults", "skipMarkingBuildUnstable", "keepLongStdio", "keepTestNames", "healthScaleFactor", "skipPublishingChecks", "checksName", "skipOldReports"}},
		"input": {display: "Wait for interactive input", only: "message", describe: "message", params: []string{"id", "ok", "parameters", "submitter", "submitterParameter"}, run: stepInput},

		"string":       {symbol: true, params: append(bindingParams, symbolParams...)},
		"text":         {symbol: true, params: symbolParams},
		"booleanParam": {symbol: true, params: symbolParams},
		"choice":       {symbol: true, params: symbolParams},
		"password":     {symbol: true, params: symbolParams},

		"usernamePassword":      {symbol: true, params: bindingParams},
		"usernameColonPassword": {symbol: true, params: bindingParams},
		"file":                  {symbol: true, params: bindingParams},
		"sshUserPrivateKey":     {symbol: true, params: bindingParams},
		"withCredentials":       {block: true, only: "bindings", run: stepWithCredentials},

		"script":     {block: true, run: stepPlainBlock},
		"timestamps": {block: true, run: stepTimestamps},
		"dir":        {block: true, only: "path", agent: true, run: stepDir},
		"withEnv":    {block: true, only: "overrides", run: stepWithEnv},
		"timeout":    {block: true, only: "time", params: []string{"unit", "activity"}, run: stepTimeout},
		"retry":      {block: true, only: "count", params: []string{"conditions"}, run: stepRetry},
		"catchError": {block: true, only: "message", params: []string{"buildResult", "stageResult", "catchInterruptions"}, run: stepCatchError},
		"warnError":  {block: true, only: "message", params: []string{"catchInterruptions"}, run: stepWarnError},
		"stage":      {block: true, only: "name", run: stepStage},
		"parallel":   {block: true, run: stepParallel},
	}
	maps.Copy(stepDefs, moreSteps())
	maps.Copy(stepDefs, scriptedSteps())
	maps.Copy(stepDefs, librarySteps())
	maps.Copy(stepDefs, gitSymbols())
	maps.Copy(stepDefs, utilitySteps())
	maps.Copy(stepDefs, podSteps())
}

// Step runs a step that the script calls.
func (h *host) Step(ctx context.Context, inv groovy.Invocation) (any, error) {
	b := h.b
	if err := b.stopped(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		b.noteAbort(ctx)
		return nil, interrupted(ctx)
	}
	def := stepDefs[inv.Name]
	c := &stepCall{b: b, name: inv.Name, args: map[string]any{}, closure: inv.Body, pos: inv.Pos}
	if err := c.bind(def, inv); err != nil {
		return nil, err
	}
	if def.symbol {
		return symbol(c), nil
	}
	c.body = func(ctx context.Context) error {
		v, err := b.m.Call(ctx, inv.Body)
		c.value = v
		return err
	}
	if def.agent && flowOf(ctx).agent == nil {
		return nil, b.noAgent(ctx, inv, def)
	}
	if def.block {
		return def.run(ctx, c)
	}
	return b.atomic(ctx, def, c)
}

// bind gives the arguments their names.
func (c *stepCall) bind(def stepDef, inv groovy.Invocation) error {
	if inv.Name == "parallel" {
		if inv.Named != nil {
			c.args["branches"] = inv.Named
		} else if len(inv.Args) == 1 {
			c.args["branches"] = inv.Args[0]
		}
		return nil
	}
	if _, delegates := namedClass(inv); inv.Name == "step" && delegates {
		c.args["delegate"] = inv.Named
		return nil
	}
	if inv.Named != nil {
		for _, k := range inv.Named.Keys() {
			name := groovy.ToString(k)
			if name != def.only && !contains(def.params, name) {
				return &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "Unknown parameter '" + clip(name) + "' of the step " + inv.Name, Pos: inv.Pos}
			}
			v, _ := inv.Named.Get(k)
			c.args[name] = v
		}
	}
	if len(inv.Args) > 1 || (len(inv.Args) == 1 && def.only == "") {
		return &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "Expected named arguments for the step " + inv.Name, Pos: inv.Pos}
	}
	if len(inv.Args) == 1 {
		c.args[def.only] = inv.Args[0]
	}
	if def.block && !def.noBody && inv.Body == nil {
		return &groovy.Exception{Class: "java.lang.IllegalStateException", Message: inv.Name + " step must be called with a body", Pos: inv.Pos}
	}
	return nil
}

func contains(list []string, s string) bool { return offered(list, s) }

// text returns a string argument; missing and null are empty.
func (c *stepCall) text(name string) string {
	v := c.args[name]
	if v == nil {
		return ""
	}
	return groovy.ToString(v)
}

func (c *stepCall) flag(name string) bool {
	v := c.args[name]
	if s, ok := v.(string); ok {
		return s == "true"
	}
	return groovy.Truth(v)
}

// atomic runs a step without a block.
func (b *build) atomic(ctx context.Context, def stepDef, c *stepCall) (any, error) {
	if err := b.countStep(); err != nil {
		return nil, err
	}
	c.id = b.newID()
	logName := def.logName
	if logName == "" {
		logName = c.name
	}
	b.pipelineLine(logName)
	display := def.display
	label := c.text("label")
	if labelled := c.name == "sh" && label != ""; labelled {
		display = label
	}
	if c.name == "git" {
		b.maskURL(c.text("url"))
	}
	describe := c.text(def.describe)
	if c.name == "input" && len(c.args) > 1 {
		describe = ""
	}
	step := b.newStep(ctx, c.id, display, describe)
	step.Labelled = label != "" && display == label
	b.rec.PutStep(step)
	c.step = step
	c.w = b.writer(ctx, c.id)
	ctx = withFlow(ctx, func(f *flow) { f.out = c.w })
	v, err := def.run(ctx, c)
	c.w.Close()
	if err != nil {
		b.closeStep(step, resultOf(err), err)
		b.noteAbort(ctx)
	} else {
		if c.result == "" {
			c.result = ResultSuccess
		}
		b.closeStep(step, c.result, nil)
	}
	if b.spec.Pipeline.Script == nil || !def.sync {
		b.baton.yield()
	}
	return v, err
}

// say writes a line into the step's log.
func (c *stepCall) say(text string) { _, _ = c.w.Write([]byte(text + "\n")) }

// onAgentOnly is onAgent for what gives nothing back but an error.
func (c *stepCall) onAgentOnly(ctx context.Context, live func(ctx context.Context, a *agentHandle, id string) error) error {
	_, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, id string) (struct{}, error) {
		return struct{}{}, live(ctx, a, id)
	})
	return err
}
