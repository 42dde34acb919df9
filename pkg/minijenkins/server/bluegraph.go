// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// blueGraph is what Blue Ocean shows of a build: its nodes in their order, and while it runs those
// of the last successful build that have not begun.
type blueGraph struct {
	nodes []engine.Node
	steps []engine.Step
	// up are the IDs of the nodes around the own nodes of the build.
	up map[string]string
	// building says that the build runs.
	building bool
	// scripted says that it runs a Scripted Pipeline.
	scripted bool
}

// blueGraphOf reads the graph of a build.
func (s *Server) blueGraphOf(it *item, b *store.Build) (*blueGraph, error) {
	s.mu.RLock()
	live := s.runs[b.Key()]
	var last *store.Build
	if live != nil {
		last = it.build("lastSuccessfulBuild")
	}
	s.mu.RUnlock()
	nodes, steps, err := s.graph(b.Key(), live)
	if err != nil {
		return nil, err
	}
	g := &blueGraph{steps: steps, up: map[string]string{}, building: live != nil, scripted: b.Scripted}
	for _, n := range nodes {
		g.up[n.ID] = n.Parent
	}
	if g.nodes = inOrder(nodes); last != nil {
		old, _, err := s.store.Graph(last.Key())
		if err != nil {
			return nil, err
		}
		g.nodes = withFuture(g.nodes, inOrder(old))
	}
	return g, nil
}

// split tells how many nodes of an ordered list are not in a parallel branch.
func split(nodes []engine.Node) int {
	inBranch := branchTest(nodes)
	return slices.IndexFunc(append(slices.Clone(nodes), engine.Node{}), func(n engine.Node) bool { return n.ID == "" || inBranch(n) })
}

// branchTest returns a function that tells if a node stands in a parallel branch.
func branchTest(nodes []engine.Node) func(engine.Node) bool {
	byID := map[string]engine.Node{}
	for _, n := range nodes {
		byID[n.ID] = n
	}
	return func(n engine.Node) bool {
		for p := n.Parent; p != ""; p = byID[p].Parent {
			if byID[p].Type == "PARALLEL" {
				return true
			}
		}
		return false
	}
}

// inOrder puts the stages in parallel branches behind all others, those of one branch together, however the
// branches took turns.
func inOrder(nodes []engine.Node) []engine.Node {
	inBranch := branchTest(nodes)
	places, up := map[string]int{}, map[string]string{}
	var main, nested []engine.Node
	for i, n := range nodes {
		places[n.ID], up[n.ID] = i, n.Parent
		if inBranch(n) {
			nested = append(nested, n)
		} else {
			main = append(main, n)
		}
	}
	// top is the place of the outermost stage or branch around a node that is not in a branch itself.
	isNested := map[string]bool{}
	for _, n := range nested {
		isNested[n.ID] = true
	}
	top := func(n engine.Node) int {
		id := n.ID
		for isNested[id] {
			id = up[id]
		}
		return places[id]
	}
	slices.SortStableFunc(nested, func(a, b engine.Node) int { return top(a) - top(b) })
	return append(main, nested...)
}

// withFuture adds the nodes of an older build from the place on that the running one has come to.
// They have the IDs of the older build.
func withFuture(cur, old []engine.Node) []engine.Node {
	c, o := split(cur), split(old)
	if c > o {
		return cur
	}
	out := slices.Concat(cur[:c], blank(old[c:o]), cur[c:])
	if n := len(cur) - c; n < len(old)-o {
		out = append(out, blank(old[o+n:])...)
	}
	if len(out) != len(old) {
		return out
	}
	// Where the running build knows no edge yet, the one of the older build counts.
	places := map[string]int{}
	for i, n := range old {
		places[n.ID] = i
	}
	for i := range out {
		if len(out[i].Edges) > 0 || out[i].ID == old[i].ID && out[i].State == "" {
			continue
		}
		var edges []string
		for _, e := range old[i].Edges {
			if at, ok := places[e]; ok {
				edges = append(edges, out[at].ID)
			}
		}
		out[i].Edges = edges
	}
	return out
}

func blank(nodes []engine.Node) []engine.Node {
	out := slices.Clone(nodes)
	for i, n := range out {
		out[i] = engine.Node{ID: n.ID, DisplayName: n.DisplayName, Type: n.Type, Parent: n.Parent, FirstParent: n.FirstParent, Edges: slices.Clone(n.Edges)}
	}
	return out
}

// stepsOf are the steps of a node and of the stages in it. A stage around branches shows none until
// they have ended.
func (g *blueGraph) stepsOf(id string) []engine.Step {
	if slices.ContainsFunc(g.nodes, func(n engine.Node) bool {
		return n.Type == "PARALLEL" && g.up[n.ID] == id && going(n.State)
	}) {
		return nil
	}
	var out []engine.Step
	for _, st := range g.steps {
		for n := st.NodeID; n != ""; n = g.up[n] {
			if n == id {
				out = append(out, st)
				break
			}
		}
	}
	return out
}

// restartable tells if a build can be run again from a stage on.
func (g *blueGraph) restartable(n engine.Node) bool {
	return !g.building && !g.scripted && n.Type == "STAGE" && n.Parent == "" && n.State == engine.StateFinished
}
