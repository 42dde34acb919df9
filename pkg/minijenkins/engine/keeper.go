// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// StoredGraph is a Recorder that knows the nodes and steps from before a restart, with their times.
type StoredGraph interface {
	// StoredGraph returns what was put for the build, in any order.
	StoredGraph() ([]Node, []Step)
}

// LogAhead is a LogSkipper that knows how far a log is.
type LogAhead interface {
	// Ahead is how many bytes of a step are in the log from before a restart and were neither written again
	// nor skipped yet.
	Ahead(stepID string) int64
}

// keeper stands before the Recorder of a build. In a replay it holds back what is there already.
type keeper struct {
	Recorder
	mu      sync.Mutex
	holding bool
	// muted says that no line is written any more, silent that nothing at all is.
	muted, silent atomic.Bool
	nodes         held[Node]
	putNodes      map[string]bool
	putSteps      map[string]bool
	steps         held[Step]
	storedNodes   map[string]Node
	storedSteps   map[string]Step
	description   *string
	displayName   *string
}

// held are the last values by ID, in the order in which they came.
type held[T any] struct {
	order []string
	last  map[string]T
}

func (h *held[T]) put(id string, v T) {
	if h.last == nil {
		h.last = map[string]T{}
	}
	if _, ok := h.last[id]; !ok {
		h.order = append(h.order, id)
	}
	h.last[id] = v
}

// hold begins a replay.
func (k *keeper) hold(rec Recorder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holding = true
	if g, ok := rec.(StoredGraph); ok {
		nodes, steps := g.StoredGraph()
		k.putNodes, k.putSteps = map[string]bool{}, map[string]bool{}
		k.storedNodes, k.storedSteps = make(map[string]Node, len(nodes)), make(map[string]Step, len(steps))
		for _, n := range nodes {
			k.storedNodes[n.ID] = n
		}
		for _, s := range steps {
			k.storedSteps[s.ID] = s
		}
	}
}

// release ends a replay: what differs from what is stored is put.
func (k *keeper) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.holding {
		return
	}
	k.holding = false
	if k.silent.Load() {
		return
	}
	for _, id := range k.nodes.order {
		n := k.nodes.last[id]
		if old, ok := k.storedNodes[id]; !ok || !sameNode(n, old) {
			k.Recorder.PutNode(n)
		}
	}
	for _, id := range k.steps.order {
		s := k.steps.last[id]
		if old, ok := k.storedSteps[id]; !ok || !sameStep(s, old) {
			k.Recorder.PutStep(s)
		}
	}
	if k.displayName != nil {
		k.Recorder.SetDisplayName(*k.displayName)
	}
	if k.description != nil {
		k.Recorder.SetDescription(*k.description)
	}
	k.nodes, k.steps, k.displayName, k.description = held[Node]{}, held[Step]{}, nil, nil
}

// abandon ends what was there before the restart and did not come again. release was called.
func (k *keeper) abandon() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, n := range k.storedNodes {
		if !k.putNodes[id] && n.State != StateFinished && n.State != StateSkipped && n.State != StateNotStarted {
			n.State, n.Result, n.CauseOfBlockage = StateFinished, ResultAborted, ""
			k.Recorder.PutNode(n)
		}
	}
	for id, s := range k.storedSteps {
		if !k.putSteps[id] && s.State != StateFinished {
			s.State, s.Result = StateFinished, ResultAborted
			k.Recorder.PutStep(s)
		}
	}
}

func sameNode(a, b Node) bool {
	same := a.StartTime.Equal(b.StartTime) && len(a.Edges) == len(b.Edges)
	if len(a.Edges) == 0 {
		a.Edges, b.Edges = nil, nil
	}
	a.StartTime, b.StartTime = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

func sameStep(a, b Step) bool {
	same := a.StartTime.Equal(b.StartTime)
	a.StartTime, b.StartTime = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

// mute keeps lines from the log, and with silent everything from the Recorder.
func (k *keeper) mute(silent bool) {
	k.muted.Store(true)
	k.silent.Store(silent)
}

// nodeStart and stepStart are when something began before the restart, else now.
func (k *keeper) nodeStart(id string, now time.Time) time.Time {
	if n, ok := k.storedNodes[id]; ok && !n.StartTime.IsZero() {
		return n.StartTime
	}
	return now
}

func (k *keeper) stepStart(id string, now time.Time) time.Time {
	if s, ok := k.storedSteps[id]; ok && !s.StartTime.IsZero() {
		return s.StartTime
	}
	return now
}

// PutNode implements Recorder. What had ended like that before the restart has taken as long as then.
func (k *keeper) PutNode(n Node) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.storedNodes != nil {
		k.putNodes[n.ID] = true
	}
	if old, ok := k.storedNodes[n.ID]; ok && n.Duration > 0 && old.Duration > 0 && old.State == n.State && old.Result == n.Result {
		n.Duration = old.Duration
	}
	switch {
	case k.silent.Load():
	case k.holding:
		k.nodes.put(n.ID, n)
	default:
		k.Recorder.PutNode(n)
	}
}

// PutStep implements Recorder.
func (k *keeper) PutStep(s Step) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.storedSteps != nil {
		k.putSteps[s.ID] = true
	}
	if old, ok := k.storedSteps[s.ID]; ok && s.State == StateFinished && old.State == StateFinished && old.Result == s.Result {
		s.Duration = old.Duration
	}
	switch {
	case k.silent.Load():
	case k.holding:
		k.steps.put(s.ID, s)
	default:
		k.Recorder.PutStep(s)
	}
}

// SetDescription implements Recorder.
func (k *keeper) SetDescription(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.silent.Load():
	case k.holding:
		k.description = &text
	default:
		k.Recorder.SetDescription(text)
	}
}

// SetDisplayName implements Recorder.
func (k *keeper) SetDisplayName(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.silent.Load():
	case k.holding:
		k.displayName = &text
	default:
		k.Recorder.SetDisplayName(text)
	}
}

// Log implements Recorder.
func (k *keeper) Log(stepID string) io.Writer { return mutedWriter{k, k.Recorder.Log(stepID)} }

type mutedWriter struct {
	k *keeper
	w io.Writer
}

func (w mutedWriter) Write(p []byte) (int, error) {
	if w.k.muted.Load() {
		return len(p), nil
	}
	return w.w.Write(p)
}

// skip says that output of a step is in the log already.
func (k *keeper) skip(stepID string, n int64) {
	if s, ok := k.Recorder.(LogSkipper); ok && !k.muted.Load() {
		s.Skip(stepID, n)
	}
}

// ahead is how much of a step is in the log and was not written again.
func (k *keeper) ahead(stepID string) int64 {
	if a, ok := k.Recorder.(LogAhead); ok {
		return a.Ahead(stepID)
	}
	return 0
}

// freeLog is the pseudo step of lines that are not written again after a restart; see LogSkipper.
const freeLog = "!"

// freeStep is freeLog if the build may be restarted.
func (b *build) freeStep() string {
	if b.durable() {
		return freeLog
	}
	return ""
}
