// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/md5" //nolint:gosec // Jenkins makes the ID of an input of it, nothing is protected
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// Input is a question that a build waits for an answer to.
type Input struct {
	// StepID is the step that waits.
	StepID string `json:"stepID"`
	// ID names the input within the build, its first letter a capital, as Jenkins makes it.
	ID string `json:"id"`
	// Message is the question, OK the word on the button that goes on.
	Message string `json:"message"`
	OK      string `json:"ok"`
	// Submitter lists with commas who may answer; empty for anyone who may build.
	Submitter  string                  `json:"submitter,omitempty"`
	Parameters []jenkinsfile.Parameter `json:"parameters,omitempty"`
}

// Answer is the answer to an input.
type Answer struct {
	// User gave it.
	User string
	// Abort ends the build.
	Abort bool
	// Values are those of the parameters.
	Values []ParamValue
}

// Inputs asks people.
type Inputs interface {
	// Ask waits for the answer. It returns an error only if ctx ends.
	Ask(ctx context.Context, in Input) (Answer, error)
}

// inputArgs are what the step and the directive input have in common.
type inputArgs struct {
	id, message, ok, submitter, submitterParameter string
	parameters                                     []jenkinsfile.Parameter
}

func (a inputArgs) input(stepID string) Input {
	in := Input{StepID: stepID, ID: a.id, Message: a.message, OK: a.ok, Submitter: a.submitter, Parameters: a.parameters}
	if in.ID == "" {
		sum := md5.Sum([]byte(a.message)) //nolint:gosec // see above
		in.ID = hex.EncodeToString(sum[:])
	}
	if first, n := utf8.DecodeRuneInString(in.ID); n > 0 {
		in.ID = string(unicode.ToUpper(first)) + in.ID[n:]
	}
	if in.OK == "" {
		in.OK = "Proceed"
	}
	return in
}

// ask waits for an answer in a step of its own and returns the values by name, in order.
func (b *build) ask(ctx context.Context, step Step, w *lineWriter, a inputArgs) (*groovy.Map, error) {
	in := a.input(step.ID)
	if len(in.Parameters) > 0 {
		_, _ = w.Write([]byte("Input requested\n"))
	} else {
		_, _ = w.Write([]byte(in.Message + "\n" + in.OK + " or Abort\n"))
	}
	if b.spec.Inputs == nil {
		return nil, failed("This server cannot ask for input")
	}
	node := flowOf(ctx).node
	step.State, step.Input = StatePaused, &in
	b.rec.PutStep(step)
	b.setPaused(node, true)
	answer, err := effect(ctx, b, "input", func(ctx context.Context, _ string) (Answer, error) { return b.spec.Inputs.Ask(ctx, in) })
	b.setPaused(node, false)
	if stop := b.stopped(); stop != nil {
		return nil, stop
	}
	if err != nil || ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	if answer.Abort {
		rejected := &stopError{line: "Rejected by " + answer.User}
		return nil, &groovy.Exception{Class: classInterrupt, Message: rejected.line, Err: &interruptError{rejected}}
	}
	_, _ = w.Write([]byte("Approved by " + answer.User + "\n"))
	values := groovy.NewMap()
	for _, v := range answer.Values {
		if s, ok := v.Value.(string); ok && v.Sensitive {
			b.masks.add(s)
		}
		values.Put(v.Name, v.Value)
	}
	if a.submitterParameter != "" {
		values.Put(a.submitterParameter, answer.User)
	}
	return values, nil
}

// setPaused shows or ends that a node waits for an answer.
func (b *build) setPaused(n *graphNode, paused bool) {
	if n == nil {
		return
	}
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	if paused {
		n.asking++
	} else {
		n.asking--
	}
	if n.done {
		return
	}
	n.State = StateRunning
	if n.asking > 0 {
		n.State = StatePaused
	}
	b.put(n)
}

// stepInput is input in a script: it returns nothing, the one value or a map of the values.
func stepInput(ctx context.Context, c *stepCall) (any, error) {
	a := inputArgs{id: c.text("id"), message: c.text("message"), ok: c.text("ok"), submitter: c.text("submitter"), submitterParameter: c.text("submitterParameter")}
	if a.message == "" {
		a.message = "Pipeline has paused and needs your input before proceeding"
	}
	switch list := c.args["parameters"].(type) {
	case nil:
	case *groovy.List:
		for _, item := range list.Items {
			m, ok := item.(*groovy.Map)
			if !ok {
				return nil, failed("input: parameters must be a list of parameters such as string(name: 'X')")
			}
			p, err := inputParameter(m)
			if err != nil {
				return nil, err
			}
			a.parameters = append(a.parameters, p)
		}
	default:
		return nil, failed("input: parameters must be a list")
	}
	values, err := c.b.ask(ctx, c.step, c.w, a)
	if err != nil {
		return nil, err
	}
	switch values.Len() {
	case 0:
		return nil, nil
	case 1:
		v, _ := values.Get(values.Keys()[0])
		return v, nil
	}
	return values, nil
}

// symbolKey holds the name of a symbol such as string(…) in its map.
const symbolKey = "$class"

// symbol is the value of string(name: 'X') and the like in the arguments of a step.
func symbol(c *stepCall) *groovy.Map {
	m := groovy.NewMap()
	m.Put(symbolKey, c.name)
	for _, k := range slices.Sorted(maps.Keys(c.args)) {
		m.Put(k, c.args[k])
	}
	return m
}

// inputParameter makes a parameter of its symbol.
func inputParameter(m *groovy.Map) (jenkinsfile.Parameter, error) {
	get := func(name string) any { v, _ := m.Get(name); return v }
	text := func(name string) string {
		if v := get(name); v != nil {
			return groovy.ToString(v)
		}
		return ""
	}
	p := jenkinsfile.Parameter{Name: text("name"), Default: text("defaultValue"), Description: text("description"), Trim: groovy.Truth(get("trim"))}
	if p.Name == "" {
		return p, failed("input: a parameter needs a name")
	}
	switch kind := strings.TrimSuffix(text(symbolKey), "Param"); kind {
	case "string":
		p.Type = jenkinsfile.ParameterString
	case "text":
		p.Type = jenkinsfile.ParameterText
	case "boolean":
		p.Type, p.Default = jenkinsfile.ParameterBoolean, "false"
		if v := get("defaultValue"); v != nil && groovy.ToString(v) == "true" {
			p.Default = "true"
		}
	case "choice":
		p.Type = jenkinsfile.ParameterChoice
		if list, ok := get("choices").(*groovy.List); ok {
			for _, v := range list.Items {
				p.Choices = append(p.Choices, groovy.ToString(v))
			}
		} else {
			p.Choices = strings.Split(text("choices"), "\n")
		}
		if p.Default = ""; len(p.Choices) > 0 {
			p.Default = p.Choices[0]
		}
	case "password":
		p.Type = jenkinsfile.ParameterPassword
	default:
		return p, failed("input: parameters of the kind %s are not supported by the built-in runner", clip(kind))
	}
	return p, nil
}

// inInput asks what the input directive of a stage says and runs body with the values as variables.
func (b *build) inInput(ctx context.Context, in *jenkinsfile.Input, stage string, body func(context.Context) error) error {
	if in == nil {
		return body(ctx)
	}
	a, err := b.directiveInput(ctx, in, stage)
	if err != nil {
		return err
	}
	if err := b.countStep(); err != nil {
		return err
	}
	id := b.newID()
	b.pipelineLine("input")
	step := b.openStep(ctx, id, stepDefs["input"].display, "")
	w := b.writer(ctx, id)
	values, err := b.ask(withFlow(ctx, func(f *flow) { f.out = w }), step, w, a)
	w.Close()
	b.closeStep(step, resultOf(err), err)
	if err != nil {
		b.noteAbort(ctx)
		return err
	}
	b.baton.yield()
	if values.Len() == 0 {
		return body(ctx)
	}
	var add [][2]string
	for _, k := range values.Keys() {
		v, _ := values.Get(k)
		add = append(add, [2]string{groovy.ToString(k), groovy.ToString(v)})
	}
	return b.runBlock(ctx, blockStep{name: "withEnv", before: func(ctx context.Context) (context.Context, error) {
		return b.overlay(ctx, add), nil
	}, body: func(ctx context.Context, _ string) error { return body(ctx) }})
}

func (b *build) directiveInput(ctx context.Context, in *jenkinsfile.Input, stage string) (inputArgs, error) {
	a := inputArgs{id: stage}
	fields := map[string]*string{"id": &a.id, "message": &a.message, "ok": &a.ok, "submitter": &a.submitter, "submitterParameter": &a.submitterParameter}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		x, to := in.Field(name), fields[name]
		if x == nil {
			continue
		}
		v, err := b.m.Eval(ctx, x)
		if err != nil {
			return a, err
		}
		*to = groovy.ToString(v)
	}
	for _, d := range in.Parameters {
		m := groovy.NewMap()
		m.Put(symbolKey, d.Name)
		for _, arg := range d.Args {
			v, err := b.m.Eval(ctx, arg.Value)
			if err != nil {
				return a, err
			}
			name := arg.Name
			if !arg.Named {
				name = "name"
			}
			m.Put(name, v)
		}
		p, err := inputParameter(m)
		if err != nil {
			return a, err
		}
		a.parameters = append(a.parameters, p)
	}
	return a, nil
}
