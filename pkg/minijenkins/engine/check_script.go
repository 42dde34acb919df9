// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// script checks a Scripted Pipeline.
func (c *checker) script(p *jenkinsfile.Pipeline) {
	for _, s := range p.Script.Stmts {
		jenkinsfile.Walk(s, c.declare)
	}
	for _, s := range p.Script.Stmts {
		c.preamble(s)
		jenkinsfile.Walk(s, c.node)
	}
	c.properties(p)
}

// properties checks what the step properties sets.
func (c *checker) properties(p *jenkinsfile.Pipeline) {
	c.options(p.Options)
	for _, d := range p.Triggers {
		c.trigger(d)
	}
	for _, d := range p.ParameterDefs {
		def, known := parameterDefs[d.Name]
		c.refuseFeature(d.From, "parameter", d.Name, def, known)
	}
}

// checkProperties checks what the step properties was given when it ran.
func checkProperties(p *jenkinsfile.Pipeline) error {
	c := &checker{declared: map[string]bool{}}
	c.properties(p)
	if len(c.problems) > 0 {
		return errors.New(c.problems[0].Message)
	}
	return nil
}

// checkLoaded checks a file that a script loads. What it calls may be defined in another one, so only
// names that are known and refused count.
func checkLoaded(s *jenkinsfile.Script) error {
	c := &checker{declared: map[string]bool{}, loaded: true}
	c.script(&jenkinsfile.Pipeline{Script: s})
	return c.found()
}

// nodeLabel refuses node('label') with a label that no agent has.
func (c *checker) nodeLabel(n *jenkinsfile.Call) {
	if n.Name != "node" || c.agents == nil || len(n.Args) == 0 {
		return
	}
	a := n.Args[0]
	if a.Named && a.Name != "label" {
		return
	}
	if label, known := jenkinsfile.ConstantText(a.Value); known {
		if label = strings.TrimSpace(label); label != "" && !c.anyLabel && !c.podLabels[label] && !c.agents.HasLabel(label) {
			c.refuse(n.From, "label", "There are no agents with the label ‘%s’", label)
		}
	}
}
