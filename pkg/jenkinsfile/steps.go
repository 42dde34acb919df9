// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"fmt"
	"strings"
)

// stepsOf reads the steps in the block of a section (steps, or a post condition).
func (b *builder) stepsOf(s section) *Steps {
	body := b.block(s)
	if body == nil {
		return nil
	}
	if len(body.Body) == 0 {
		b.errs.addLate(body.From, "No steps specified for branch")
	}
	return &Steps{Span: s.span, List: b.stepList(body.Body)}
}

func (b *builder) stepList(body []Stmt) []*Step {
	out := []*Step{}
	for _, s := range body {
		if step := b.step(s); step != nil {
			out = append(out, step)
		}
	}
	return out
}

func (b *builder) step(s Stmt) *Step {
	e, ok := s.(*ExprStmt)
	if !ok {
		b.errs.add(s.Start(), "Expected a step")
		return nil
	}
	call, ok := e.X.(*Call)
	if !ok || call.Callee != nil {
		b.errs.add(s.Start(), "Expected a step")
		return nil
	}
	if call.Object != nil {
		b.errs.add(s.Start(), "Method calls on objects not allowed outside \"script\" blocks.")
		return nil
	}
	step := &Step{Span: call.Span, Name: call.Name, Call: call}
	args := call.Args
	if n := len(args); n > 0 && !args[n-1].Named {
		if c, ok := args[n-1].Value.(*Closure); ok {
			if call.Name == "script" {
				step.Script = c
			} else {
				step.Body = b.stepList(c.Body)
			}
			args = args[:n-1]
		}
	}
	if call.Name == "script" && step.Script == nil {
		b.errs.add(call.From, "Expected a block for script")
	}
	b.stepArgs(step, args)
	return step
}

// stepSpec describes the parameters of a step: their kinds, which are required, and which one may
// be given without its name.
type stepSpec struct {
	only     string
	required []string
	params   map[string]paramKind
}

type paramKind int

const (
	kindAny paramKind = iota
	kindString
	kindInt
	kindBool
)

// javaName is the kind as Jenkins prints it.
func (k paramKind) javaName() string {
	switch k {
	case kindString:
		return "class java.lang.String"
	case kindInt:
		return "int"
	case kindBool:
		return "boolean"
	}
	return "class java.lang.Object"
}

// stepSpecs are the steps whose literal arguments are checked. Other steps take everything, as
// steps that Jenkins does not know do.
var stepSpecs = map[string]stepSpec{
	"echo":     {"message", []string{"message"}, map[string]paramKind{"message": kindString}},
	"error":    {"message", nil, map[string]paramKind{"message": kindString}},
	"unstable": {"message", []string{"message"}, map[string]paramKind{"message": kindString}},
	"sh": {"script", []string{"script"}, map[string]paramKind{"script": kindString, "label": kindString,
		"encoding": kindString, "returnStdout": kindBool, "returnStatus": kindBool}},
	"sleep":      {"time", []string{"time"}, map[string]paramKind{"time": kindInt, "unit": kindString}},
	"dir":        {"path", []string{"path"}, map[string]paramKind{"path": kindString}},
	"retry":      {"count", []string{"count"}, map[string]paramKind{"count": kindInt, "conditions": kindAny}},
	"timeout":    {"time", []string{"time"}, map[string]paramKind{"time": kindInt, "unit": kindString, "activity": kindBool}},
	"fileExists": {"file", []string{"file"}, map[string]paramKind{"file": kindString}},
	"readFile":   {"file", []string{"file"}, map[string]paramKind{"file": kindString, "encoding": kindString}},
	"writeFile": {"", []string{"file", "text"}, map[string]paramKind{"file": kindString, "text": kindString,
		"encoding": kindString}},
	"withEnv": {"overrides", []string{"overrides"}, map[string]paramKind{"overrides": kindAny}},
	"stash": {"name", []string{"name"}, map[string]paramKind{"name": kindString, "includes": kindString,
		"excludes": kindString, "allowEmpty": kindBool, "useDefaultExcludes": kindBool}},
	"unstash":   {"name", []string{"name"}, map[string]paramKind{"name": kindString}},
	"milestone": {"ordinal", nil, map[string]paramKind{"ordinal": kindInt, "label": kindString, "unsafe": kindBool}},
	"waitUntil": {"", nil, map[string]paramKind{"initialRecurrencePeriod": kindInt, "quiet": kindBool}},
	"catchError": {"message", nil, map[string]paramKind{"message": kindString, "buildResult": kindString, "stageResult": kindString,
		"catchInterruptions": kindBool}},
	"warnError": {"message", []string{"message"}, map[string]paramKind{"message": kindString, "catchInterruptions": kindBool}},
	"lock": {"resource", nil, map[string]paramKind{"resource": kindString, "label": kindString, "quantity": kindInt, "variable": kindString,
		"inversePrecedence": kindBool, "skipIfLocked": kindBool, "priority": kindInt, "reason": kindString, "extra": kindAny, "resourceSelectStrategy": kindString}},
	"build": {"job", []string{"job"}, map[string]paramKind{"job": kindString, "parameters": kindAny, "wait": kindBool, "propagate": kindBool,
		"quietPeriod": kindInt, "waitForStart": kindBool}},
	"readJSON":  {"", nil, map[string]paramKind{"file": kindString, "text": kindString, "returnPojo": kindBool}},
	"writeJSON": {"", []string{"json"}, map[string]paramKind{"file": kindString, "json": kindAny, "pretty": kindInt, "returnText": kindBool}},
	"readYaml":  {"", nil, map[string]paramKind{"file": kindString, "text": kindString, "codePointLimit": kindInt}},
}

func (b *builder) stepArgs(step *Step, args []Arg) {
	spec, ok := stepSpecs[step.Name]
	if !ok {
		return
	}
	given := map[string]bool{}
	for i, a := range args {
		name := a.Name
		switch {
		case a.Spread || a.NameExpr != nil:
			return
		case !a.Named:
			if _, isMap := a.Value.(*Map); isMap || i > 0 || spec.only == "" {
				return
			}
			name = spec.only
		}
		kind, known := spec.params[name]
		if !known {
			b.errs.addLate(argPos(a), "Invalid parameter \"%s\", did you mean \"%s\"?", name, closest(name, sortedKeys(spec.params)))
			continue
		}
		given[name] = true
		b.checkKind(kind, a.Value)
	}
	for _, name := range spec.required {
		if !given[name] {
			b.errs.addLate(step.From, "Missing required parameter: \"%s\"", name)
		}
	}
}

func argPos(a Arg) Pos {
	if a.Named && a.NameExpr == nil {
		return a.NamePos
	}
	return a.Value.Start()
}

func (b *builder) checkKind(kind paramKind, x Expr) {
	c, ok := x.(*Constant)
	if !ok || c.Value == nil {
		return
	}
	got := ""
	switch c.Value.(type) {
	case string:
		got = "class java.lang.String"
		ok = kind == kindString || kind == kindAny
	case int64:
		got = "class java.lang.Integer"
		ok = kind == kindInt || kind == kindAny
	case float64:
		got = "class java.math.BigDecimal"
		ok = kind == kindAny
	case bool:
		got = "class java.lang.Boolean"
		ok = kind == kindBool || kind == kindAny
	}
	if !ok {
		b.errs.addLate(c.From, "Expecting \"%s\" but got \"%s\" of type %s instead", kind.javaName(), shorten(fmt.Sprint(c.Value)), got)
	}
}

// closest returns the candidate with the smallest edit distance.
func closest(name string, candidates []string) string {
	best, bestDistance := "", 1<<30
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short texts.
func distance(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// pipelineOptions are the options of a pipeline that Jenkins with its usual plugins knows.
var pipelineOptions = []string{
	"authorizationMatrix", "buildDiscarder", "catchError", "checkoutToSubdirectory", "disableConcurrentBuilds",
	"disableRestartFromStage", "disableResume", "durabilityHint", "gitLabConnection", "githubProjectProperty",
	"gitlabBuilds", "gitlabCommitStatus", "newContainerPerStage", "overrideIndexTriggers", "parallelsAlwaysFailFast",
	"podTemplate", "preserveStashes", "quietPeriod", "rateLimitBuilds", "retry", "script", "skipDefaultCheckout",
	"skipStagesAfterUnstable", "timeout", "timestamps", "waitUntil", "warnError", "withChecks", "withContext",
	"withCredentials", "withEnv", "wrap", "ws",
}

// stageOptions are those that a stage may have.
var stageOptions = []string{
	"catchError", "checkoutToSubdirectory", "gitlabBuilds", "gitlabCommitStatus", "podTemplate", "retry", "script",
	"skipDefaultCheckout", "timeout", "timestamps", "waitUntil", "warnError", "withChecks", "withContext",
	"withCredentials", "withEnv", "wrap", "ws",
}

// pluginOptions are options of further plugins that many have. Messages do not list them.
var pluginOptions = []string{"ansiColor", "lock"}

var validParameterTypes = []string{
	"booleanParam", "choice", "choiceParam", "credentials", "file", "fileParam", "password", "run", "runParam", "string",
	"stringParam", "text", "textParam",
}

var triggerTypes = []string{
	"GenericTrigger", "bitbucketPush", "cron", "githubPullRequests", "githubPush", "gitlab", "issueCommentTrigger",
	"pollSCM", "upstream",
}

var toolTypes = []string{"ant", "dockerTool", "git", "go", "gradle", "jdk", "jgit", "jgitapache", "maven", "nodejs"}
