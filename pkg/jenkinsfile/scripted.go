// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import "errors"

// Load reads a Jenkinsfile of either kind: a Declarative Pipeline as Parse does, and every other script
// as a Scripted Pipeline, whose Script is set. The error is an *ErrorList.
func Load(src string) (*Pipeline, error) {
	p, err := Parse(src)
	if !errors.Is(err, ErrScripted) {
		return p, err
	}
	script, err := ParseScript(src)
	if err != nil {
		return nil, err
	}
	p = &Pipeline{Source: src, Script: script, LibraryAnnotations: script.Libraries}
	if n := len(script.Stmts); n > 0 {
		p.Span = Span{script.Stmts[0].Start(), script.Stmts[n-1].End()}
	}
	p.properties()
	return p, nil
}

// properties reads the step properties([…]) of a Scripted Pipeline as far as it is known without running
// it: if there is one call, outside of closures that may run never or often, with constants in it.
func (p *Pipeline) properties() {
	var calls []*Call
	for _, s := range p.Script.Stmts {
		Walk(s, func(n Node) {
			if c, ok := n.(*Call); ok && c.Object == nil && c.Callee == nil && c.Name == "properties" {
				calls = append(calls, c)
			}
		})
	}
	if p.SetsProperties = len(calls) > 0; len(calls) != 1 || len(calls[0].Args) != 1 {
		return
	}
	items, ok := listItems(calls[0].Args[0].Value)
	if !ok {
		return
	}
	for _, item := range items {
		call, ok := item.(*Call)
		if !ok || call.Object != nil || call.Callee != nil {
			continue
		}
		d := &Directive{Span: call.Span, Name: call.Name, Args: call.Args}
		switch call.Name {
		case "parameters":
			p.ParameterDefs = append(p.ParameterDefs, directivesOf(call)...)
		case "pipelineTriggers":
			p.Triggers = append(p.Triggers, directivesOf(call)...)
		default:
			p.Options = append(p.Options, d)
		}
	}
}

// directivesOf reads name([a(…), b(…)]).
func directivesOf(call *Call) []*Directive {
	if len(call.Args) != 1 {
		return nil
	}
	items, _ := listItems(call.Args[0].Value)
	var out []*Directive
	for _, item := range items {
		if c, ok := item.(*Call); ok && c.Object == nil && c.Callee == nil {
			out = append(out, &Directive{Span: c.Span, Name: c.Name, Args: c.Args})
		}
	}
	return out
}

func listItems(x Expr) ([]Expr, bool) {
	l, ok := x.(*List)
	if !ok {
		return nil, false
	}
	out := make([]Expr, 0, len(l.Items))
	for _, item := range l.Items {
		if item.Spread {
			return nil, false
		}
		out = append(out, item.Value)
	}
	return out, true
}
