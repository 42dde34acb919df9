// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// podAgent checks agent { kubernetes { … } }.
func (c *checker) podAgent(a *jenkinsfile.Agent) {
	known := true
	for _, f := range a.Fields {
		def, listed := podFields[f.Name]
		if c.refuseFeature(f.Pos, "agent option", f.Name, def, listed) {
			known = false
			continue
		}
		if f.Name == "yamlMergeStrategy" {
			known = c.mergeStrategy(f.Pos, f.Value) && known
			continue
		}
		jenkinsfile.Walk(f.Value, c.declare)
		jenkinsfile.Walk(f.Value, c.node)
	}
	pos := a.From
	for _, f := range a.Fields {
		if f.Name == "yaml" {
			pos = f.Pos
		}
	}
	if known {
		c.pod(pos, "agent \"kubernetes\"", a.Field)
	}
}

func (c *checker) mergeStrategy(pos jenkinsfile.Pos, x jenkinsfile.Expr) bool {
	call, ok := x.(*jenkinsfile.Call)
	ok = ok && call.Object == nil && len(call.Args) == 0 && (call.Name == "merge" || call.Name == "override")
	if !ok {
		c.refuse(pos, "yamlMergeStrategy", "yamlMergeStrategy must be merge() or override()")
	}
	return ok
}

// podStep checks podTemplate(…) { … } and container('…') { … }.
func (c *checker) podStep(n *jenkinsfile.Call) {
	if n.Name == "container" && c.agents != nil && errors.Is(CheckPod(c.agents, nil), ErrNoPods) {
		c.refuse(n.NamePos, n.Name, "step \"container\": %v", ErrNoPods)
	}
	if n.Name != "podTemplate" {
		return
	}
	field := func(name string) jenkinsfile.Expr {
		for _, a := range n.Args {
			if a.Named && a.Name == name {
				return a.Value
			}
		}
		return nil
	}
	c.pod(n.NamePos, "step \"podTemplate\"", field)
}

// pod asks the provider about a pod. Without its constant texts nothing but whether there are pods is known.
func (c *checker) pod(pos jenkinsfile.Pos, what string, field func(string) jenkinsfile.Expr) {
	if c.agents == nil {
		return
	}
	constant := true
	text := func(name string) string {
		x := field(name)
		if x == nil {
			return ""
		}
		s, ok := jenkinsfile.ConstantText(x)
		constant = constant && ok
		return s
	}
	layer := PodLayer{InheritFrom: strings.TrimSpace(text("inheritFrom")), YAML: text("yaml"), Merge: merges(field("yamlMergeStrategy"))}
	req := &PodRequest{Layers: []PodLayer{layer}, AgentContainer: strings.TrimSpace(text("agentContainer")),
		DefaultContainer: strings.TrimSpace(text("defaultContainer")), Cloud: strings.TrimSpace(text("cloud"))}
	// A podTemplate may be in another one, and its containers are known when it runs.
	if req.AgentContainer != "" && strings.HasPrefix(what, "step") || field("containers") != nil {
		req.AgentContainer = ""
	}
	if !constant {
		req = nil
	}
	if err := CheckPod(c.agents, req); err != nil {
		name := strings.Trim(what[strings.IndexByte(what, ' '):], " \"")
		c.refuse(pos, name, "%s: %v", what, err)
	}
}

// declarePod notes the labels of pod templates of the script: no other agent needs to have them.
func (c *checker) declarePod(n *jenkinsfile.Call) {
	if n.Name != "podTemplate" || n.Object != nil {
		return
	}
	for _, a := range n.Args {
		if !a.Named || a.Name != "label" {
			continue
		}
		label, known := jenkinsfile.ConstantText(a.Value)
		if c.podLabels == nil {
			c.podLabels = map[string]bool{}
		}
		c.podLabels[strings.TrimSpace(label)] = true
		c.anyLabel = c.anyLabel || !known
	}
}
