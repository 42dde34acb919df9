// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// graph is a build in memory that counts what is asked of it.
type graph struct {
	mu     sync.Mutex
	stages []Stage
	calls  []string
	err    error
}

func (g *graph) note(call string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, call)
	return g.err
}

func (g *graph) took() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	calls := g.calls
	g.calls = nil
	slices.Sort(calls)
	return calls
}

func (g *graph) Nodes(context.Context, string, string, int64) ([]Stage, error) {
	stages := slices.Clone(g.stages)
	for i := range stages {
		stages[i].Steps = nil
	}
	return stages, g.note("nodes")
}

func (g *graph) Steps(_ context.Context, _, _ string, _ int64, node string) ([]Step, error) {
	if err := g.note("steps of " + node); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(g.stages, func(s Stage) bool { return s.ID == node })
	return g.stages[i].Steps, nil
}

func (g *graph) RunSteps(context.Context, string, string, int64) (steps []Step, err error) {
	for _, stage := range g.stages {
		steps = append(steps, stage.Steps...)
	}
	return steps, g.note("all steps")
}

var graphStart = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// chain makes stages that follow one another, with two steps each.
func chain(n int) []Stage {
	var stages []Stage
	for i := range n {
		id, at := 10*(i+1), graphStart.Add(time.Duration(i)*time.Second)
		stage := Stage{ID: strconv.Itoa(id), Type: "STAGE", State: StateFinished, Result: ResultSuccess, StartTime: Time{at}, DurationMillis: 900, Edges: []Edge{{ID: strconv.Itoa(id + 10), Type: "STAGE"}}}
		for j := 1; j <= 2; j++ {
			stage.Steps = append(stage.Steps, Step{ID: strconv.Itoa(id + j), State: StateFinished, StartTime: Time{at.Add(time.Duration(j) * time.Millisecond)}})
		}
		stages = append(stages, stage)
	}
	stages[n-1].Edges = nil
	return stages
}

func TestKnownStages(t *testing.T) {
	build := BuildRef{Folder: "p", Job: "j", Number: 1}
	tests := map[string]struct {
		reason string
		change func([]Stage) []Stage
		live   bool
		want   []string
	}{
		"Chain": {reason: "steps of a chain are told by their numbers, two calls whatever its length", want: []string{"all steps", "nodes"}},
		"Live":  {reason: "a build that runs is read stage by stage", live: true, want: []string{"nodes", "steps of 10", "steps of 20", "steps of 30"}},
		"Skipped": {reason: "a skipped stage has no steps", change: func(s []Stage) []Stage {
			s[1].State, s[1].Result, s[1].Steps = StateSkipped, ResultNotBuilt, []Step{}
			return s
		}, want: []string{"all steps", "nodes"}},
		"Empty": {reason: "a stage without steps may hold stages whose steps count as its own", change: func(s []Stage) []Stage { s[1].Steps = []Step{}; return s }, want: []string{"all steps", "nodes", "steps of 20"}},
		"Parallel": {reason: "numbers do not tell the steps of branches apart", change: func(s []Stage) []Stage { s[1].Type = "PARALLEL"; return s },
			want: []string{"nodes", "steps of 10", "steps of 20", "steps of 30"}},
		"Fork": {reason: "", change: func(s []Stage) []Stage { s[0].Edges = append(s[0].Edges, Edge{ID: "30"}); return s },
			want: []string{"nodes", "steps of 10", "steps of 20", "steps of 30"}},
		"Failed": {reason: "after a failure Jenkins shows the last steps in all stages", change: func(s []Stage) []Stage { s[2].Result = ResultFailure; return s },
			want: []string{"nodes", "steps of 10", "steps of 20", "steps of 30"}},
		"Outside": {reason: "a step may be in no stage", change: func(s []Stage) []Stage {
			s[0].Steps[1].StartTime = Time{graphStart.Add(950 * time.Millisecond)}
			return s
		},
			want: []string{"all steps", "nodes", "steps of 10", "steps of 20", "steps of 30"}},
		"One": {reason: "one stage is one call either way", change: func(s []Stage) []Stage { s[0].Edges = nil; return s[:1] }, want: []string{"nodes", "steps of 10"}},
		"Ids": {reason: "ids that are no numbers tell nothing", change: func(s []Stage) []Stage { s[0].ID = "x"; return s }, want: []string{"nodes", "steps of 20", "steps of 30", "steps of x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := &graph{stages: chain(3)}
			if tt.change != nil {
				g.stages = tt.change(g.stages)
			}
			got, err := new(KnownStages).Read(t.Context(), g, build, !tt.live)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.stages, got); diff != "" {
				t.Errorf("%s:\n%s", tt.reason, diff)
			}
			if diff := cmp.Diff(tt.want, g.took()); diff != "" {
				t.Errorf("%s: calls:\n%s", tt.reason, diff)
			}
		})
	}
}

func TestKnownStagesAreReadOnce(t *testing.T) {
	build := BuildRef{Folder: "p", Job: "j", Number: 1}
	g, known := &graph{stages: chain(3)}, &KnownStages{}
	g.stages[1].State, g.stages[1].Result = StateRunning, ResultUnknown
	g.stages[2] = Stage{ID: "30"}
	read := func(ended bool) []string {
		t.Helper()
		if _, err := known.Read(t.Context(), g, build, ended); err != nil {
			t.Fatal(err)
		}
		return g.took()
	}
	if got := read(false); !slices.Equal(got, []string{"nodes", "steps of 10", "steps of 20"}) {
		t.Errorf("first look: %v", got)
	}
	if got := read(false); !slices.Equal(got, []string{"nodes", "steps of 20"}) {
		t.Errorf("a finished stage is read again: %v", got)
	}
	g.stages[0].DurationMillis++
	if got := read(false); !slices.Contains(got, "steps of 10") {
		t.Errorf("a stage that changed is not read: %v", got)
	}
	g.err = ErrUnavailable
	if _, err := known.Read(t.Context(), g, build, false); !errors.Is(err, ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
	g.err = nil
	g.took()
	g.stages = chain(3)
	g.stages[0].DurationMillis++
	if got := read(true); !slices.Equal(got, []string{"all steps", "nodes"}) {
		t.Errorf("last look: %v", got)
	}
}

// TestKnownStagesMatchRecording compares what is read in parts with what Jenkins says of each stage, for all
// builds of a recording. The builds have branches, failures, skipped stages and stages in stages.
func TestKnownStagesMatchRecording(t *testing.T) {
	for _, b := range []BuildRef{{"rec-05e", "big", 1}, {"rec-05e", "big", 2}, {"rec-05e", "seed", 2}, {"rec-05e", "scripted", 1}} {
		c, srv := replay(t, "05-blue-run-life.json")
		srv.Final()
		want, err := c.Stages(t.Context(), b.Folder, b.Job, b.Number)
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(KnownStages).Read(t.Context(), c, b, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v:\n%s", b, diff)
		}
	}
}

// TestManyStages has more stages, and more steps in a stage, than a page of Blue Ocean.
func TestManyStages(t *testing.T) {
	const stages, steps = 250, 130
	path := regexp.MustCompile(`/nodes/(\d+)/steps/$`)
	var mu sync.Mutex
	calls := 0
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls++
		mu.Unlock()
		var page []string
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		switch m := path.FindStringSubmatch(r.URL.Path); {
		case m != nil:
			for i := start; i < min(start+100, steps); i++ {
				page = append(page, fmt.Sprintf(`{"id":"%s%03d","state":"FINISHED"}`, m[1], i))
			}
		case strings.HasSuffix(r.URL.Path, "/nodes/"):
			limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			for i := range min(stages, max(limit, 100)) {
				page = append(page, fmt.Sprintf(`{"id":"%d","type":"PARALLEL","state":"FINISHED","result":"SUCCESS","durationInMillis":7}`, i+1))
			}
		}
		_, _ = io.WriteString(w, "["+strings.Join(page, ",")+"]")
	})
	known := &KnownStages{}
	for _, want := range []int{1 + 2*stages, 1} {
		calls = 0
		got, err := known.Read(t.Context(), c, BuildRef{"p", "j", 1}, false)
		if err != nil || len(got) != stages {
			t.Fatalf("%d stages, %v", len(got), err)
		}
		for _, stage := range got {
			if len(stage.Steps) != steps {
				t.Fatalf("stage %s has %d steps", stage.ID, len(stage.Steps))
			}
		}
		if calls != want {
			t.Errorf("%d calls, want %d", calls, want)
		}
	}
}
