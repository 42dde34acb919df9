// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// plainHistory keeps events in memory.
type plainHistory struct {
	mu     sync.Mutex
	events []Event
	// forgotten says that the events are of no use any more.
	forgotten bool
}

func (h *plainHistory) Events() []Event { return h.events }

func (h *plainHistory) Forget() { h.forgotten = true }

func (h *plainHistory) Append(_ context.Context, e Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	return nil
}

// plainRecorder counts what it gets.
type plainRecorder struct {
	mu                  sync.Mutex
	nodes, steps, bytes int
}

func (r *plainRecorder) PutNode(Node)          { r.mu.Lock(); r.nodes++; r.mu.Unlock() }
func (r *plainRecorder) PutStep(Step)          { r.mu.Lock(); r.steps++; r.mu.Unlock() }
func (r *plainRecorder) SetDescription(string) {}
func (r *plainRecorder) SetDisplayName(string) {}
func (r *plainRecorder) Log(string) io.Writer  { return r }
func (r *plainRecorder) Skip(string, int64)    {}
func (r *plainRecorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += len(p)
	return len(p), nil
}

// TestLongHistory: the time of a replay grows with the length of the history and of the script, and not faster.
func TestLongHistory(t *testing.T) {
	run := func(n int, h *plainHistory) time.Duration {
		src := "node { for (int i = 0; i < " + itoa(n) + "; i++) { sh 'x'\n echo 'one'\n echo 'two' } }"
		p, err := jenkinsfile.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		agents := resumable{&fakeAgents{t: t, shell: func(_ context.Context, _ ShellRequest, out io.Writer) (int, error) {
			_, err := io.WriteString(out, "line\n")
			return 0, err
		}}}
		begin := time.Now()
		result, err := Run(t.Context(), RunSpec{Pipeline: p, Agents: agents, Recorder: &plainRecorder{}, History: h, Build: BuildInfo{ID: "b", Number: 1}})
		if err != nil || result != ResultSuccess {
			t.Fatal(result, err)
		}
		return time.Since(begin)
	}
	took := map[int][2]time.Duration{}
	for _, n := range []int{1_000, 10_000} {
		h := &plainHistory{}
		live := run(n, h)
		h.events = h.events[:len(h.events)-1]
		again := run(n, h)
		took[n] = [2]time.Duration{live, again}
		if !h.forgotten {
			t.Error("the events are kept in memory to the end of the build")
		}
		t.Logf("%d scripts and %d echos, %d events: %v live, %v again", n, 2*n, len(h.events), live.Round(time.Millisecond), again.Round(time.Millisecond))
	}
	if took[10_000][1] > 40*took[1_000][1]+time.Second {
		t.Error("a replay takes longer the longer it is")
	}
}

// resumable agents outlive the server.
type resumable struct{ *fakeAgents }

func (r resumable) Resume(_ context.Context, _ AgentRequest, name, workspace string) (Agent, error) {
	return &localAgent{owner: r.fakeAgents, name: name, dir: workspace}, nil
}
