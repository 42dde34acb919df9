// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded is what Jenkins 2.541.2 answered about runs of two pipelines.
type recorded struct {
	Jenkinsfiles map[string]string `json:"jenkinsfiles"`
	Runs         []recordedRun     `json:"runs"`
}

type recordedRun struct {
	Name        string            `json:"name"`
	Jenkinsfile string            `json:"jenkinsfile"`
	Params      map[string]string `json:"params"`
	Result      Result            `json:"result"`
	Log         string            `json:"log"`
	Nodes       []recordedNode    `json:"nodes"`
	Steps       []recordedStep    `json:"steps"`
}

type recordedNode struct {
	ID, Name, Type string
	State          State
	Result         Result
	FirstParent    string
	Edges          []string
}

type recordedStep struct {
	ID, Name, Description string
	State                 State
	Result                Result
}

func readRecorded(t *testing.T) recorded {
	t.Helper()
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	stampRE = regexp.MustCompile(`(?m)^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] `)
	nodeRE  = regexp.MustCompile(`(?m)^Running on \S+ in .*$`)
)

// normalLog removes what differs between any two runs: times, places, ids of errors, who started it.
func normalLog(log string) string {
	log = strings.ReplaceAll(log, "\r\n", "\n")
	log = stampRE.ReplaceAllString(log, "")
	log = nodeRE.ReplaceAllString(log, "Running on AGENT")
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(log), "\n") {
		switch {
		case strings.HasPrefix(line, "Started by "), strings.HasPrefix(line, "Finished: "), strings.Contains(line, "ErrorAction$ErrorId"):
			continue
		case strings.HasPrefix(line, "[Checks API]"):
			continue
		}
		out = append(out, line)
	}
	return strings.Join(sortParallel(out), "\n")
}

// sortParallel sorts the lines between the branches' beginning and the end of parallel, as branches
// interleave by chance there.
func sortParallel(lines []string) []string {
	start := -1
	for i, l := range lines {
		if strings.HasPrefix(l, "[Pipeline] { (Branch") && start < 0 {
			start = i
		}
		if l == "[Pipeline] // parallel" && start >= 0 {
			sort.Strings(lines[start:i])
			start = -1
		}
	}
	return lines
}

// inBranch tells which nodes and steps stand in parallel branches, where numbers depend on chance.
func inBranch(run recordedRun) func(id string) bool {
	lo, hi := 1<<30, 0
	for _, n := range run.Nodes {
		if n.Type == "PARALLEL" {
			id, _ := strconv.Atoi(n.ID)
			lo = min(lo, id)
		}
		if n.Name == "nested" {
			hi, _ = strconv.Atoi(n.ID)
		}
	}
	return func(id string) bool {
		n, _ := strconv.Atoi(id)
		return n > lo+1 && n < hi-1
	}
}

// keptTests keeps test results in memory.
type keptTests struct {
	mu     sync.Mutex
	suites []TestSuite
}

func (k *keptTests) AddTests(suites []TestSuite) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.suites = append(k.suites, suites...)
	return nil
}

func TestRecordedRuns(t *testing.T) {
	rec := readRecorded(t)
	same, logs, total, exactParallel, parallelRuns := 0, 0, 0, 0, 0
	for _, run := range rec.Runs {
		total++
		t.Run(run.Name, func(t *testing.T) {
			src := rec.Jenkinsfiles[run.Jenkinsfile]
			r := newRun(t, src)
			r.spec.Tests = &keptTests{}
			params, err := ResolveParams(r.spec.Pipeline.Parameters(), run.Params)
			if err != nil {
				t.Fatal(err)
			}
			r.spec.Params = params
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			if run.Result == ResultAborted {
				r.mem.onLog = func(log string) {
					if strings.Contains(log, "Sleeping for 1 min 0 sec") {
						cancel(&AbortError{User: "admin"})
					}
				}
			}
			result, _ := r.run(ctx)
			if result != run.Result {
				t.Errorf("result %s, want %s\n%s", result, run.Result, r.mem.text())
			}
			if run.Log != "" {
				logs++
				want := normalLog(run.Log)
				if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(normalLog(r.mem.text()), "\n")); d != "" {
					t.Errorf("log differs (-Jenkins +engine):\n%s", d)
				}
			}
			branchy := inBranch(run)
			if d := compareNodes(run, r.mem, branchy); d != "" {
				t.Errorf("nodes differ (-Jenkins +engine):\n%s", d)
			}
			if d := compareSteps(run, r.mem, branchy); d != "" {
				t.Errorf("steps differ (-Jenkins +engine):\n%s", d)
			}
			if run.Jenkinsfile == "big" {
				parallelRuns++
				if compareNodes(run, r.mem, func(string) bool { return false }) == "" {
					exactParallel++
				}
			}
			if r.agents.released != len(r.agents.acquired) {
				t.Errorf("%d agents acquired, %d released", len(r.agents.acquired), r.agents.released)
			}
			if !t.Failed() {
				same++
			}
		})
	}
	t.Logf("recorded runs that the engine repeats: %d of %d (logs compared: %d; numbers inside of parallel branches equal too: %d of %d)",
		same, total, logs, exactParallel, parallelRuns)
	t.Log("not among them: 'broken' (Check refuses an unknown step), 'scripted' and 'nostage' (scripted pipelines), 'kill'; the server's replay has 'gate' and 'unstable'")
}

// compareNodes compares nodes; the IDs of those for which loose holds are replaced by their names.
func compareNodes(run recordedRun, m *memory, loose func(string) bool) string {
	names := map[string]string{}
	for _, n := range run.Nodes {
		if loose(n.ID) {
			names[n.ID] = n.Name
		}
	}
	want := map[string]recordedNode{}
	for _, n := range run.Nodes {
		want[n.Name] = renamed(n, names)
	}
	names = map[string]string{}
	for _, n := range m.nodes {
		if loose(n.ID) {
			names[n.ID] = n.DisplayName
		}
	}
	got := map[string]recordedNode{}
	for _, n := range m.nodes {
		edges := n.Edges
		if edges == nil {
			edges = []string{}
		}
		got[n.DisplayName] = renamed(recordedNode{n.ID, n.DisplayName, n.Type, n.State, n.Result, n.FirstParent, edges}, names)
	}
	return cmp.Diff(want, got)
}

func renamed(n recordedNode, names map[string]string) recordedNode {
	swap := func(id string) string {
		if name, ok := names[id]; ok {
			return name
		}
		return id
	}
	n.ID, n.FirstParent = swap(n.ID), swap(n.FirstParent)
	edges := []string{}
	for _, e := range n.Edges {
		edges = append(edges, swap(e))
	}
	n.Edges = edges
	return n
}

func compareSteps(run recordedRun, m *memory, loose func(string) bool) string {
	want := map[string]recordedStep{}
	for _, s := range run.Steps {
		if loose(s.ID) {
			s.ID = s.Description
		}
		want[s.ID] = s
	}
	got := map[string]recordedStep{}
	for _, s := range m.steps {
		r := recordedStep{s.ID, s.DisplayName, s.DisplayDescription, s.State, s.Result}
		if loose(s.ID) {
			r.ID = s.DisplayDescription
		}
		got[r.ID] = r
	}
	if len(run.Steps) == 0 {
		return ""
	}
	// The recording holds the steps of nodes that were looked at; ours may have more.
	for id := range got {
		if _, ok := want[id]; !ok {
			delete(got, id)
		}
	}
	return cmp.Diff(want, got)
}
