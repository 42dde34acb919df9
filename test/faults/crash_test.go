// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
)

var errDied = errors.New("the process has died")

// cell is one moment of one kind of call at which the controllers are killed.
type cell struct{ call, when string }

// killer kills the controllers once at each cell that comes up.
type killer struct {
	mu   sync.Mutex
	seen map[cell]int
	hits map[cell]int
	// killed is signalled with the process that has died.
	killed chan *process
	// off: the storm is over.
	off bool
}

// skipped is how many calls of a cell pass before it strikes, not the same number for all, so that
// the process dies in the middle of things.
func skipped(c cell) int { return len(c.call) % 7 }

// strike tells if the process dies here.
func (k *killer) strike(p *process, c cell) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.dead.Load() {
		return true
	}
	k.seen[c]++
	if k.off || k.hits[c] > 0 || k.seen[c] <= skipped(c) {
		return false
	}
	k.hits[c]++
	p.dead.Store(true)
	k.killed <- p
	return true
}

// through is the middleware of a process's outbound calls.
func (k *killer) through(p *process, rt http.RoundTripper, kind string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		call := callOf(kind, r)
		if call == "" {
			if p.dead.Load() {
				return nil, errDied
			}
			return rt.RoundTrip(r)
		}
		if k.strike(p, cell{call, "before"}) {
			return nil, errDied
		}
		resp, err := rt.RoundTrip(r)
		if k.strike(p, cell{call, "after"}) {
			if err == nil {
				_ = resp.Body.Close()
			}
			return nil, errDied
		}
		return resp, err
	})
}

// keepAlive starts the controllers anew each time that they die, until stop is closed.
func (w *world) keepAlive(k *killer, options controller.Options, stop <-chan struct{}) (deaths func() int) {
	var wg sync.WaitGroup
	n := 0
	p := w.startControllers(k.through, options)
	wg.Go(func() {
		for {
			select {
			case dead := <-k.killed:
				n++
				dead.stop()
				p = w.startControllers(k.through, options)
			case <-stop:
				p.kill()
				return
			case <-w.Context().Done():
				p.kill()
				return
			}
		}
	})
	w.Cleanup(wg.Wait)
	return func() int { wg.Wait(); return n }
}

// crashRuns is how many runs the storm has.
const crashRuns = 200

// TestCrashMatrix kills the controllers before and after each kind of call that they make while 200
// runs of ten pipelines, many with equal parameters, start, run, end and are archived. Each must have
// one build and end well. Then all are deleted, with deaths again, and nothing may be left.
func TestCrashMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the crash matrix takes about two minutes")
	}
	w := newWorld(t, nil)
	k := &killer{seen: map[cell]int{}, hits: map[cell]int{}, killed: make(chan *process, 1), off: true}
	stop := make(chan struct{})
	deaths := w.keepAlive(k, controller.Options{Runs: pipelinerun.Options{StartSettle: 2 * time.Second, WorkerNamespace: workerNamespace}}, stop)
	w.newProject("crash")
	for i := range 10 {
		w.newPipeline(fmt.Sprintf("p%d", i), "pipeline { agent none; stages { stage('a') { steps { echo \"v ${params.V}\" } } ; stage('b') { steps { sleep 1 } } } }",
			devopsv1alpha3.ParameterDefinition{Name: "V", Type: "string", DefaultValue: "0"})
	}
	k.mu.Lock()
	k.off = false
	k.mu.Unlock()
	began := time.Now()
	for i := range crashRuns {
		w.newRun(fmt.Sprintf("p%d", i%10), fmt.Sprintf("run-%03d", i), devopsv1alpha3.Parameter{Name: "V", Value: fmt.Sprint(i % 30)})
	}
	w.wait("all runs have ended and are archived", func() (bool, string) {
		open := map[string]int{}
		var example []byte
		for _, r := range w.runs() {
			if r.Status.CompletionTime == nil || r.Annotations[devopsv1alpha3.ArchivedAnnotation] == "" {
				open[state(&r)]++
				example, _ = json.Marshal(&r)
			}
		}
		return len(open) == 0, fmt.Sprintf("%v, such as %s", open, example)
	})
	took := time.Since(began)
	lost, doubled, builds, kept := w.tally()
	w.deleteAll()
	close(stop)
	n := deaths()
	left := 0
	for _, list := range w.builds() {
		left += len(list)
	}
	k.print(t)
	t.Logf("%d runs in %s with %d deaths: %d builds, %d lost, %d doubled, 0 stuck; after their deletion %d builds are left", crashRuns, took.Round(time.Second), n, builds, lost, doubled, left)
	if lost > 0 || doubled > 0 || builds != crashRuns || kept != crashRuns || left > 0 {
		t.Errorf("%d lost, %d doubled, %d builds of %d runs, of which %d are there; %d builds left after the deletion", lost, doubled, builds, crashRuns, kept, left)
	}
	k.mustHave(t, "Jenkins POST job/buildWithParameters", "Kubernetes PATCH pipelineruns", "Kubernetes PATCH pipelineruns/status", "Jenkins GET blue/runs/N", "S3 PUT log.txt")
}

// state describes a run that has not ended.
func state(r *devopsv1alpha3.PipelineRun) string {
	text := string(r.Status.Phase)
	for _, c := range r.Status.Conditions {
		if c.Type == devopsv1alpha3.ConditionSucceeded {
			text += " " + c.Reason + ": " + c.Message
		}
	}
	return text
}

func reasonOf(r *devopsv1alpha3.PipelineRun) string {
	for _, c := range r.Status.Conditions {
		if c.Type == devopsv1alpha3.ConditionSucceeded {
			return c.Reason
		}
	}
	return ""
}

// tally compares the runs with what Jenkins has.
func (w *world) tally() (lost, doubled, builds, runs int) {
	w.Helper()
	byRun := map[string]int{}
	for _, list := range w.builds() {
		for _, b := range list {
			builds++
			byRun[b.run()]++
		}
	}
	all := w.runs()
	for i := range all {
		n := byRun[string(all[i].UID)]
		if n == 0 || all[i].Status.Phase != devopsv1alpha3.Succeeded {
			lost++
			w.Logf("%s: %d builds, %s", all[i].Name, n, state(&all[i]))
		}
		if n > 1 {
			doubled += n - 1
			w.Logf("%s has %d builds", all[i].Name, n)
		}
	}
	return lost, doubled, builds, len(all)
}

func (w *world) deleteAll() {
	w.Helper()
	all := w.runs()
	for i := range all {
		if err := w.kube.Delete(w.Context(), &all[i]); client.IgnoreNotFound(err) != nil {
			w.Fatal(err)
		}
	}
	w.wait("all runs are gone", func() (bool, string) {
		n := len(w.runs())
		return n == 0, fmt.Sprintf("%d are left", n)
	})
}

// print shows the matrix.
func (k *killer) print(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	var calls []string
	for c := range k.seen {
		if !slices.Contains(calls, c.call) {
			calls = append(calls, c.call)
		}
	}
	slices.Sort(calls)
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "call\tcalls\tdied before\tdied after")
	for _, call := range calls {
		before, after := cell{call, "before"}, cell{call, "after"}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\n", call, k.seen[before], k.hits[before], k.hits[after])
	}
	_ = out.Flush()
	t.Log("\n" + table.String())
}

// mustHave fails the test if the controllers never died at a call that it is about.
func (k *killer) mustHave(t *testing.T, calls ...string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, call := range calls {
		for _, when := range []string{"before", "after"} {
			if k.hits[cell{call, when}] == 0 {
				t.Errorf("the controllers never died %s %s", when, call)
			}
		}
	}
}
