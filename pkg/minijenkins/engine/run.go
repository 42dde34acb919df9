// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// Run runs a build to its end; see the list of functions in contract.go.
func Run(ctx context.Context, spec RunSpec) (result Result, err error) {
	if spec.Pipeline == nil || spec.Agents == nil || spec.Recorder == nil {
		return ResultFailure, errors.New("engine: a RunSpec needs Pipeline, Agents and Recorder")
	}
	if err := checkNew(spec); err != nil {
		_, _ = io.WriteString(spec.Recorder.Log(""), err.Error()+"\n")
		return ResultFailure, err
	}
	defer func() {
		if r := recover(); r != nil {
			// A defect of the engine must not end the server with all its other builds.
			result, err = ResultFailure, fmt.Errorf("engine: internal error: %v", r)
			_, _ = io.WriteString(spec.Recorder.Log(freeLog), "ERROR: "+err.Error()+"\n")
		}
	}()
	return newBuild(spec).run(ctx)
}

// checkNew checks a build that does not go on after a restart.
func checkNew(spec RunSpec) error {
	if spec.History != nil && len(spec.History.Events()) > 0 {
		return nil
	}
	if err := CheckWith(spec.Pipeline, spec.Agents, spec.Loaded); err != nil {
		return err
	}
	if spec.Changes == nil {
		return checkChanges(spec.Pipeline)
	}
	return nil
}

func newBuild(spec RunSpec) *build {
	if spec.Locks == nil {
		spec.Locks = (&LockTable{}).Scope("")
	}
	b := &build{spec: spec, rec: &keeper{Recorder: spec.Recorder}, vars: map[string]string{}, lastID: 1, milestone: -1}
	b.displayName = "#" + itoa(spec.Build.Number)
	b.m = groovy.New(&host{b}, groovy.Limits{})
	b.m.Cleanup, b.m.Interject = b.cleanup, b.interject
	for _, p := range spec.Params {
		if s, ok := p.Value.(string); ok && p.Sensitive {
			b.masks.add(s)
		}
	}
	b.addLibraries(spec.Loaded...)
	return b
}

// buildID is the first part of the IDs of shell steps.
func (b *build) buildID() string {
	if b.spec.Build.ID != "" {
		return b.spec.Build.ID
	}
	return strings.ReplaceAll(b.spec.Build.JobName, "/", "-") + "-" + itoa(b.spec.Build.Number)
}

func (b *build) run(ctx context.Context) (Result, error) {
	b.openJournal(ctx)
	b.baton.take()
	ctx, end := b.rootScope(ctx)
	defer func() {
		end()
		b.baton.give()
		b.watchers.Wait()
	}()
	if b.spec.Build.StartTime.IsZero() {
		b.spec.Build.StartTime = b.now(ctx)
	}
	result, err := b.runAll(ctx)
	b.baton.finish()
	why := b.journal.stop.Load()
	switch {
	case why == nil:
		return result, err
	case why.suspended:
		return ResultUnknown, ErrSuspended
	}
	b.releaseLost(ctx)
	b.rec.release()
	b.rec.abandon()
	_, _ = io.WriteString(b.spec.Recorder.Log(freeLog), "ERROR: "+why.err.Error()+"\n")
	return ResultFailure, why.err
}

// runAll runs the pipeline.
func (b *build) runAll(ctx context.Context) (Result, error) {
	b.pipelineLine("Start of Pipeline")
	b.newID()
	p := b.spec.Pipeline
	err := b.m.ExecTop(ctx, p.Preamble)
	switch {
	case err != nil:
	case p.Script != nil:
		err = b.runScript(ctx)
	default:
		err = b.runDeclarative(ctx, p)
	}
	b.noteAbort(ctx)
	b.newID()
	b.pipelineLine("End of Pipeline")
	if err != nil {
		b.result = worse(b.result, resultOf(err))
		_, _ = io.WriteString(b.rec.Log(""), b.masks.apply(errorText(err)))
	}
	if b.result == "" {
		b.result = ResultSuccess
	}
	return b.result, err
}

// runDeclarative runs a pipeline block.
func (b *build) runDeclarative(ctx context.Context, p *jenkinsfile.Pipeline) error {
	err := b.inAgent(ctx, p.Agent, "", func(ctx context.Context) error {
		return b.inEnvironment(ctx, p.Environment, func(ctx context.Context) error {
			return b.inOptions(ctx, p.Options, b.runPipeline)
		})
	})
	if err != nil && !b.postDone {
		// What failed before the stages still gets its post section.
		if postErr := b.pipelinePost(ctx, err); postErr != nil {
			err = errors.Join(err, postErr)
		}
	}
	return err
}

// runPipeline runs the stages and the post section.
func (b *build) runPipeline(ctx context.Context) error {
	err := b.runStages(ctx, b.spec.Pipeline.Stages, "")
	if postErr := b.pipelinePost(ctx, err); err == nil {
		err = postErr
	}
	return err
}

// inOptions runs body in the wrappers that options ask for, the first outermost.
func (b *build) inOptions(ctx context.Context, options []*jenkinsfile.Directive, body func(context.Context) error) error {
	for i, o := range options {
		switch o.Name {
		case "timestamps", "timeout", "retry", "lock", "ansiColor", "withEnv", "catchError", "warnError", "withCredentials":
			rest := options[i+1:]
			return b.wrapper(ctx, o, func(ctx context.Context) error { return b.inOptions(ctx, rest, body) })
		}
	}
	return body(ctx)
}

func (b *build) wrapper(ctx context.Context, o *jenkinsfile.Directive, body func(context.Context) error) error {
	args := map[string]any{}
	for _, a := range o.Args {
		v, err := b.m.Eval(ctx, a.Value)
		if err != nil {
			return err
		}
		name := a.Name
		if !a.Named {
			name = stepDefs[o.Name].only
		}
		args[name] = v
	}
	c := &stepCall{b: b, name: o.Name, args: args, body: body, pos: o.From}
	_, err := stepDefs[o.Name].run(ctx, c)
	return err
}

// option tells if the pipeline has the option, and not with false.
func (b *build) option(options []*jenkinsfile.Directive, name string) bool {
	for _, o := range options {
		if o.Name != name {
			continue
		}
		if len(o.Args) == 1 {
			text, _ := jenkinsfile.ConstantText(o.Args[0].Value)
			return text != "false"
		}
		return true
	}
	return false
}

// ResolveParams gives every defined parameter its value: the given one or its default. Given names
// without a definition are dropped, as Jenkins does. A choice that is not offered is an error.
func ResolveParams(defs []jenkinsfile.Parameter, given map[string]string) ([]ParamValue, error) {
	out := make([]ParamValue, 0, len(defs))
	for _, d := range defs {
		text, ok := given[d.Name]
		if !ok {
			text = d.Default
		}
		v := ParamValue{Name: d.Name, Value: text, Sensitive: d.Type == jenkinsfile.ParameterPassword}
		switch d.Type {
		case jenkinsfile.ParameterBoolean:
			v.Value = strings.EqualFold(strings.TrimSpace(text), "true") || text == "on"
		case jenkinsfile.ParameterString:
			if d.Trim {
				v.Value = strings.TrimSpace(text)
			}
		case jenkinsfile.ParameterChoice:
			if ok && !offered(d.Choices, text) {
				return nil, fmt.Errorf("illegal choice for parameter %s: %s", d.Name, clip(text))
			}
		}
		out = append(out, v)
	}
	return out, nil
}

func offered(choices []string, v string) bool {
	for _, c := range choices {
		if c == v {
			return true
		}
	}
	return false
}
