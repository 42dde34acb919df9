// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"strconv"
	"time"
)

// Flow nodes are numbered as in Jenkins: a block takes one number for its step, one for its body and
// one for the end of each; a step without a block takes one; parallel takes one more for each branch
// but the first, between its own and those of the branches.

func itoa(n int) string { return strconv.Itoa(n) }

// newID takes the next number of a flow node. The caller holds the baton.
func (b *build) newID() string {
	b.lastID++
	return itoa(b.lastID)
}

// graphNode is a stage or branch while the build runs.
type graphNode struct {
	Node
	parent *graphNode
	// worst is the worst result that a step set for it without failing.
	worst Result
	// fans is set if it holds parallel branches, whose results Blue Ocean does not pass up.
	fans bool
	done bool
	// asking counts the inputs that wait in it.
	asking int
	// fanned is how long it took until its branches began.
	fanned time.Duration
}

// cursor is where a sequence of stages has come to: the nodes that lead to the next one.
type cursor struct {
	tails []*graphNode
	// joined is set behind parallel branches.
	joined bool
}

// since is what has passed; in a replay it may be less than nothing.
func (b *build) since(t time.Time) time.Duration { return max(b.clock().Sub(t), 0) }

// startNode adds a node behind the cursor.
func (b *build) startNode(ctx context.Context, id, name, kind string) *graphNode {
	f := flowOf(ctx)
	n := &graphNode{Node: Node{ID: id, DisplayName: name, Type: kind, State: StateRunning, Result: ResultUnknown, StartTime: b.rec.nodeStart(id, b.clock())},
		parent: f.node}
	if f.node != nil {
		n.Parent = f.node.ID
	}
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	if len(f.cursor.tails) == 1 && !f.cursor.joined {
		n.FirstParent = f.cursor.tails[0].ID
	}
	for _, t := range f.cursor.tails {
		t.Edges = append(t.Edges, id)
		b.put(t)
	}
	f.cursor.tails, f.cursor.joined = []*graphNode{n}, false
	b.put(n)
	return n
}

func (b *build) put(n *graphNode) {
	c := n.Node
	c.Edges = append([]string(nil), n.Edges...)
	b.rec.PutNode(c)
}

// endNode sets the end of a node.
func (b *build) endNode(n *graphNode, state State, result Result) {
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	if n.done {
		return
	}
	n.done = true
	if state == StateFinished && result == ResultSuccess && n.worst != "" {
		result = n.worst
	}
	n.State, n.Result, n.CauseOfBlockage = state, result, ""
	n.Duration = b.since(n.StartTime)
	if state == StateNotStarted {
		n.StartTime, n.Duration = time.Time{}, 0
	}
	if n.fanned > 0 && result == ResultSuccess {
		n.Duration = n.fanned
	}
	if state == StateFinished && result == ResultNotBuilt {
		n.State = StateNotStarted // so Blue Ocean has it, also of a stage that ran until its build was superseded
	}
	b.put(n)
}

// setBlocked says or clears why a node waits.
func (b *build) setBlocked(n *graphNode, reason string) {
	if n == nil {
		return
	}
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	if n.done {
		return
	}
	n.CauseOfBlockage = reason
	n.State = StateRunning
	if reason != "" {
		n.State = StateQueued
	}
	b.put(n)
}

// mark sets the least result of the stages around a step.
func (b *build) mark(n *graphNode, r Result) {
	b.graphMu.Lock()
	defer b.graphMu.Unlock()
	for ; n != nil && !n.fans; n = n.parent {
		n.worst = worse(n.worst, r)
	}
}

// severity orders results as Jenkins does.
func severity(r Result) int {
	switch r {
	case ResultUnstable:
		return 1
	case ResultFailure:
		return 2
	case ResultNotBuilt:
		return 3
	case ResultAborted:
		return 4
	}
	return 0
}

// worse returns the worse of two results; empty counts as success.
func worse(a, b Result) Result {
	if severity(b) > severity(a) || a == "" {
		return b
	}
	return a
}

// openStep adds a running step.
func (b *build) openStep(ctx context.Context, id, name, description string) Step {
	s := b.newStep(ctx, id, name, description)
	b.rec.PutStep(s)
	return s
}

func (b *build) newStep(ctx context.Context, id, name, description string) Step {
	s := Step{ID: id, DisplayName: name, DisplayDescription: clip(b.masks.apply(description)), State: StateRunning,
		Result: ResultUnknown, StartTime: b.rec.stepStart(id, b.clock())}
	if n := flowOf(ctx).stepNode(); n != nil {
		s.NodeID = n.ID
	}
	s.Post = flowOf(ctx).post
	return s
}

// maxDescription bounds descriptions and errors of steps in bytes.
const maxDescription = 4096

func clip(s string) string {
	if len(s) <= maxDescription {
		return s
	}
	end := maxDescription
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + "…"
}

func (b *build) closeStep(s Step, result Result, err error) {
	s.State, s.Result = StateFinished, result
	s.Duration = b.since(s.StartTime)
	if err != nil {
		s.Error = clip(b.masks.apply(messageOf(err)))
	}
	b.rec.PutStep(s)
}
