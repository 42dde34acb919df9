// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"cmp"
	"html"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The stage view API (plugin pipeline-rest-api) of a build.

// renderAll renders an object with everything in it.
func renderAll(v any) ([]byte, error) {
	var b bytes.Buffer
	err := renderJSON(&b, v, byDepth(-always))
	return b.Bytes(), err
}

// hrefs makes _links of names and addresses in turn.
func hrefs(pairs ...string) *object {
	o := bean("")
	for i := 0; i+1 < len(pairs); i += 2 {
		o.in(pairs[i], bean("").in("href", pairs[i+1]))
	}
	return o
}

// wfView is a build in the stage view API.
type wfView struct {
	// self is the path of the build with a slash at the end.
	self  string
	nodes []engine.Node
	steps []engine.Step
	now   time.Time
	// paused says that the build waits for an answer.
	paused bool
	// full shows the steps of each stage as well.
	full bool
}

func (w wfView) describe(b *store.Build, hasArtifacts bool, now time.Time) *object {
	links := hrefs("self", w.self+"wfapi/describe")
	if hasArtifacts {
		links.in("artifacts", bean("").in("href", w.self+"wfapi/artifacts"))
	}
	status, d := "IN_PROGRESS", now.Sub(b.Started)
	if w.paused {
		status = "PAUSED_PENDING_INPUT"
		for _, name := range []string{"pendingInputActions", "nextPendingInputAction"} {
			links.in(name, bean("").in("href", w.self+"wfapi/"+name))
		}
	}
	if !b.Building {
		status, d = wfStatus(engine.StateFinished, b.Result), b.Duration
	}
	start := b.Started.UnixMilli()
	stages := []*object{}
	for _, n := range w.nodes {
		stages = append(stages, w.stage(n, w.full))
	}
	if post := w.post(); post != nil {
		stages = append(stages, w.stage(*post, w.full))
	}
	return bean("").in("_links", links).in("id", strconv.Itoa(b.Number)).in("name", buildName(b)).in("status", status).
		in("startTimeMillis", start).in("endTimeMillis", start+d.Milliseconds()).in("durationMillis", d.Milliseconds()).
		in("queueDurationMillis", max(0, b.Started.Sub(b.Queued).Milliseconds())).in("pauseDurationMillis", 0).in("stages", stages)
}

// elapsed is how long a node or step has taken so far.
func elapsed(now, begin time.Time, d time.Duration, state engine.State) int64 {
	if d == 0 && !begin.IsZero() && (state == engine.StateRunning || state == engine.StatePaused) {
		d = now.Sub(begin)
	}
	return max(0, d.Milliseconds())
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (w wfView) stage(n engine.Node, withSteps bool) *object {
	o := bean("").in("_links", hrefs("self", w.self+"execution/node/"+n.ID+"/wfapi/describe")).in("id", n.ID).
		in("name", n.DisplayName).in("execNode", "").in("status", wfStatus(n.State, n.Result))
	if n.State == engine.StateFinished && (n.Result == engine.ResultFailure || n.Result == engine.ResultAborted) {
		if st := w.failed(n); st != nil {
			o.in("error", errorBean(st))
		}
	}
	o.in("startTimeMillis", millis(n.StartTime)).in("durationMillis", elapsed(w.now, n.StartTime, n.Duration, n.State)).
		in("pauseDurationMillis", 0)
	if !withSteps {
		return o
	}
	list := []*object{}
	parent := n.ID
	for _, st := range w.steps {
		if stageOf(st) == n.ID {
			list = append(list, w.step(st, parent))
			parent = st.ID
		}
	}
	return o.in("stageFlowNodes", list)
}

// failed is the step that a stage failed with, or, for a stage that another one kept from running, the first that failed; nil if none did.
func (w wfView) failed(n engine.Node) *engine.Step {
	var first *engine.Step
	for i, st := range w.steps {
		switch {
		case st.Error == "":
		case stageOf(st) == n.ID:
			return &w.steps[i]
		case first == nil:
			first = &w.steps[i]
		}
	}
	return first
}

func errorBean(st *engine.Step) *object {
	class := "hudson.AbortException"
	if st.Result == engine.ResultAborted {
		class = "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException"
	}
	return bean("").in("message", st.Error).in("type", class)
}

func (w wfView) step(st engine.Step, parent string) *object {
	p := w.self + "execution/node/" + st.ID + "/"
	o := bean("").in("_links", hrefs("self", p+"wfapi/describe", "log", p+"wfapi/log", "console", p+"log")).in("id", st.ID).
		in("name", st.DisplayName).in("execNode", "").in("status", wfStatus(st.State, st.Result))
	if st.Error != "" {
		o.in("error", errorBean(&st))
	}
	if st.DisplayDescription != "" {
		o.in("parameterDescription", st.DisplayDescription)
	}
	return o.in("startTimeMillis", millis(st.StartTime)).in("durationMillis", elapsed(w.now, st.StartTime, st.Duration, st.State)).
		in("pauseDurationMillis", 0).in("parentNodes", []string{parent})
}

// stageOf is the stage of a step in the stage view.
func stageOf(st engine.Step) string { return cmp.Or(st.Post, st.NodeID) }

// post is the stage that the stage view makes of the pipeline's post section; nil if it has not begun.
func (w wfView) post() *engine.Node {
	var n *engine.Node
	for _, st := range w.steps {
		if st.Post == "" {
			continue
		}
		if n == nil {
			n = &engine.Node{ID: st.Post, DisplayName: "Declarative: Post Actions", State: engine.StateFinished, Result: engine.ResultSuccess, StartTime: st.StartTime}
		}
		if st.State != engine.StateFinished {
			n.State = st.State
		} else if st.Result != engine.ResultSuccess && n.Result == engine.ResultSuccess {
			n.Result = st.Result
		}
		n.Duration = max(n.Duration, st.StartTime.Add(st.Duration).Sub(n.StartTime))
	}
	if n != nil && n.State != engine.StateFinished {
		n.Duration = 0
	}
	return n
}

// node is a stage with its steps, or a step; nil if there is none.
func (w wfView) node(id string) *object {
	for _, n := range w.nodes {
		if n.ID == id {
			return w.stage(n, true)
		}
	}
	if post := w.post(); post != nil && post.ID == id {
		return w.stage(*post, true)
	}
	for _, st := range w.steps {
		if st.ID == id {
			return w.step(st, stageOf(st))
		}
	}
	return nil
}

// maxWfLog is how much of the end of a step's log the stage view API shows.
const maxWfLog = 150 << 10

// wfLog is the end of a step's log; nil if there is no such step.
func (s *Server) wfLog(w wfView, k store.BuildKey, id string) *object {
	var found *engine.Step
	for i := range w.steps {
		if w.steps[i].ID == id {
			found = &w.steps[i]
		}
	}
	if found == nil {
		return nil
	}
	t, err := s.stepText(k, func(step string) bool { return step == id })
	if err != nil {
		return nil
	}
	defer func() { _ = t.Close() }()
	from := max(0, t.Size()-maxWfLog)
	data, err := io.ReadAll(t.From(from))
	if err != nil {
		return nil
	}
	text := html.EscapeString(strings.ToValidUTF8(string(data), "\uFFFD"))
	return bean("").in("nodeId", id).in("nodeStatus", wfStatus(found.State, found.Result)).in("length", t.Size()).
		in("hasMore", from > 0).in("text", text).in("consoleUrl", w.self+"execution/node/"+id+"/log")
}

func (s *Server) wfArtifacts(self string, k store.BuildKey) []*object {
	out := []*object{}
	list, err := s.store.Artifacts(k)
	if err != nil {
		return out
	}
	for i, a := range list {
		enc := strings.TrimSuffix(encodeSegments("", strings.Split(a.Path, "/")), "/")
		out = append(out, bean("").in("id", "n"+strconv.Itoa(i+2)).in("name", a.Path[strings.LastIndexByte(a.Path, '/')+1:]).
			in("path", enc).in("url", self+"artifact/"+enc).in("size", a.Size))
	}
	return out
}
