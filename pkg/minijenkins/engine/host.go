// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"sort"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// host gives the script of a build its steps and globals.
type host struct{ b *build }

// HasStep implements groovy.Host. A variable of a library goes before a step of its name, as in Jenkins.
func (h *host) HasStep(name string) bool {
	_, ok := stepDefs[name]
	return ok && h.b.libVars[name] == nil
}

func (h *host) StepNames() []string {
	out := make([]string, 0, len(stepDefs))
	for name := range stepDefs {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func (h *host) GlobalNames() []string { return []string{"currentBuild", "env", "params", "scm"} }

// Global finds params, env, currentBuild and scm, else a variable of the environment.
func (h *host) Global(ctx context.Context, name string) (any, bool, error) {
	b := h.b
	switch name {
	case "params":
		m := groovy.NewMap()
		for _, p := range b.spec.Params {
			m.Put(p.Name, p.Value)
		}
		return m, true, nil
	case "env":
		return &envObject{b}, true, nil
	case "currentBuild":
		return &buildObject{b}, true, nil
	case "scm":
		if b.spec.SCM == nil {
			return nil, false, failed("‘checkout scm’ is only available when the Jenkinsfile comes from a repository")
		}
		return b.scmObject(), true, nil
	}
	if v, ok, err := b.libraryObject(ctx, name); ok || err != nil {
		return v, ok, err
	}
	v, ok := b.lookupEnv(ctx, name)
	return v, ok, nil
}

// maxEnv bounds the bytes and maxVars the number of the variables that a script sets. A process gets less than that.
const (
	maxEnv  = 4 << 20
	maxVars = 2000
)

// envObject is env.
type envObject struct{ b *build }

func (o *envObject) Property(ctx context.Context, name string) (any, bool, error) {
	v, ok := o.b.lookupEnv(ctx, name)
	if !ok {
		return nil, true, nil
	}
	return v, true, nil
}

func (o *envObject) SetProperty(_ context.Context, name string, v any) (bool, error) {
	if !envName(name) {
		return false, failed("%s is no name of an environment variable", name)
	}
	if v == nil {
		delete(o.b.vars, name)
		return true, nil
	}
	text := groovy.ToString(v)
	size := len(name) + len(text)
	for k, old := range o.b.vars {
		if k != name {
			size += len(k) + len(old)
		}
	}
	if size > maxEnv || len(o.b.vars) >= maxVars {
		return false, failed("env.%s: the environment would have more than %d bytes or %d variables", name, maxEnv, maxVars)
	}
	o.b.vars[name] = text
	return true, nil
}

func (o *envObject) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch name {
	case "getEnvironment":
		env := o.b.env(ctx)
		names := make([]string, 0, len(env))
		for k := range env {
			names = append(names, k)
		}
		sort.Strings(names)
		m := groovy.NewMap()
		for _, k := range names {
			m.Put(k, env[k])
		}
		return m, true, nil
	case "getProperty", "get", "getAt":
		if len(args) == 1 {
			return o.Property(ctx, groovy.ToString(args[0]))
		}
	}
	return nil, false, nil
}

func (o *envObject) String() string    { return "org.jenkinsci.plugins.workflow.cps.EnvActionImpl" }
func (o *envObject) ClassName() string { return "org.jenkinsci.plugins.workflow.cps.EnvActionImpl" }

// buildObject is currentBuild.
type buildObject struct{ b *build }

func (o *buildObject) String() string { return o.fullName() + " " + o.b.displayName }

func (o *buildObject) fullName() string {
	return strings.ReplaceAll(o.b.spec.Build.JobName, "/", " » ")
}

func (o *buildObject) ClassName() string {
	return "org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper"
}

func (o *buildObject) Property(ctx context.Context, name string) (any, bool, error) {
	b := o.b
	i := b.spec.Build
	switch name {
	case "result":
		result := worse(b.result, flowOf(ctx).failing)
		if result == "" {
			return nil, true, nil
		}
		return string(result), true, nil
	case "currentResult":
		return string(worse(worse(b.result, flowOf(ctx).failing), ResultSuccess)), true, nil
	case "number":
		return int64(i.Number), true, nil
	case "id":
		return itoa(i.Number), true, nil
	case "displayName":
		return b.displayName, true, nil
	case "fullDisplayName":
		return o.String(), true, nil
	case "description":
		if b.description == "" {
			return nil, true, nil
		}
		return b.description, true, nil
	case "projectName":
		return i.JobName[strings.LastIndexByte(i.JobName, '/')+1:], true, nil
	case "fullProjectName":
		return i.JobName, true, nil
	case "absoluteUrl":
		return i.BuildURL, true, nil
	case "startTimeInMillis", "timeInMillis":
		return i.StartTime.UnixMilli(), true, nil
	case "duration":
		return b.now(ctx).Sub(i.StartTime).Milliseconds(), true, nil
	case "durationString":
		return spanText(b.now(ctx).Sub(i.StartTime)) + " and counting", true, nil
	case "changeSets":
		sets, err := b.changeSets(ctx)
		return sets, true, err
	case "previousBuild":
		if i.PreviousResult == "" {
			return nil, true, nil
		}
		m := groovy.NewMap()
		m.Put("result", string(i.PreviousResult))
		m.Put("currentResult", string(i.PreviousResult))
		m.Put("number", int64(i.Number-1))
		return m, true, nil
	}
	return nil, false, nil
}

func (o *buildObject) SetProperty(_ context.Context, name string, v any) (bool, error) {
	b := o.b
	text := groovy.ToString(v)
	if v == nil {
		text = ""
	}
	switch name {
	case "result":
		r, err := parseResult(text)
		if err != nil {
			return false, err
		}
		// A result only gets worse.
		b.result = worse(b.result, r)
	case "displayName":
		b.displayName = b.masks.apply(text)
		b.rec.SetDisplayName(b.displayName)
	case "description":
		b.description = b.masks.apply(text)
		b.rec.SetDescription(b.description)
	default:
		return false, nil
	}
	return true, nil
}

func parseResult(s string) (Result, error) {
	switch r := Result(strings.ToUpper(s)); r {
	case ResultSuccess, ResultUnstable, ResultFailure, ResultNotBuilt, ResultAborted:
		return r, nil
	}
	return "", failed("%s is no result; use SUCCESS, UNSTABLE, FAILURE, NOT_BUILT or ABORTED", clip(s))
}

func (o *buildObject) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch name {
	case "resultIsBetterOrEqualTo", "resultIsWorseOrEqualTo":
		if len(args) != 1 {
			return nil, false, nil
		}
		r, err := parseResult(groovy.ToString(args[0]))
		if err != nil {
			return nil, true, err
		}
		d := severity(o.b.result) - severity(r)
		if name == "resultIsWorseOrEqualTo" {
			return d >= 0, true, nil
		}
		return d <= 0, true, nil
	case "getResult", "getCurrentResult", "getNumber", "getDisplayName", "getDescription", "getPreviousBuild", "getDuration", "getDurationString", "getAbsoluteUrl":
		return o.Property(ctx, strings.ToLower(name[3:4])+name[4:])
	case "getBuildCauses":
		return o.b.causeList(args), true, nil
	}
	return nil, false, nil
}
