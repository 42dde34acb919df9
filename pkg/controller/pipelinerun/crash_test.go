// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	crashRuns = 50
	// crashes is how many times the process dies, or a call fails, in one cell of the matrix.
	crashes   = 25
	maxRounds = 1500
)

var errDied = errors.New("the process has died")

// faults breaks one kind of call, before or after its effect.
type faults struct {
	call, when string
	// dies: the process ends at the call, so that none of its later calls has an effect either. Else
	// only the call fails.
	dies bool
	left int
	n    int
	dead bool
	hits int
	seen map[string]bool
	// alsoStart loses the answers of some starts, so that there is something to recover.
	alsoStart bool
	starts    int
}

func (f *faults) hit(call, when string) error {
	f.seen[call] = true
	if f.dead {
		return errDied
	}
	if f.alsoStart && call == "jenkins StartBuild" && when == "after" {
		if f.starts++; f.starts%2 == 0 {
			return errTimeout
		}
	}
	if call != f.call || when != f.when || f.left == 0 {
		return nil
	}
	if f.n++; f.n%3 != 1 { // not always the same run
		return nil
	}
	f.left--
	f.hits++
	if f.dies {
		f.dead = true
		return errDied
	}
	if strings.HasPrefix(call, "jenkins") {
		return errTimeout
	}
	return errors.New("the API server does not answer")
}

// storm starts runs of one pipeline, of which many have equal parameters, and goes on until all have
// ended. It gives the runs that did not end well.
func storm(b *bench, f *faults) (unfinished int, rounds int) {
	b.fault, b.jenkins.fault = f.hit, f.hit
	open := map[string]bool{}
	for i := range crashRuns {
		open[fmt.Sprintf("run-%02d", i)] = true
	}
	for rounds = 0; rounds < maxRounds && len(open) > 0; rounds++ {
		for _, name := range slices.Sorted(maps.Keys(open)) {
			_, _ = b.reconcile(name)
			if f.dead {
				f.dead = false
				b.restart()
			}
			if ended(b.get(name)) {
				delete(open, name)
			}
		}
		b.step()
	}
	return len(open), rounds
}

func crashBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, agentPod(), syncedPipeline("build", devopsv1alpha3.ParameterDefinition{Name: "V", Type: "string", DefaultValue: "0"}))
	b.jenkins.jobs[ns+"/build"] = &fakeJob{hasParameters: true}
	for i := range crashRuns {
		pr := newRun(fmt.Sprintf("run-%02d", i), devopsv1alpha3.Parameter{Name: "V", Value: fmt.Sprint(i % 20)})
		if err := b.cluster.Create(t.Context(), pr); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// tally counts the builds of the runs.
func tally(b *bench) (lost, doubled int) {
	for i := range crashRuns {
		pr := b.get(fmt.Sprintf("run-%02d", i))
		switch n := b.jenkins.builds(CausePrefix + string(pr.UID)); {
		case n == 0:
			lost++
		case n > 1:
			doubled += n - 1
		}
		if verdict(pr) != "Succeeded/Success" {
			lost++
		}
	}
	return lost, doubled
}

func TestCrashMatrix(t *testing.T) {
	calm := &faults{seen: map[string]bool{}}
	b := crashBench(t)
	if left, _ := storm(b, calm); left > 0 {
		t.Fatalf("%d runs do not end even without faults", left)
	}
	calls := slices.Sorted(maps.Keys(calm.seen))
	// What only a recovery calls is not seen in calm weather.
	if !slices.Contains(calls, "jenkins FindByCause") {
		calls = append(calls, "jenkins FindByCause")
	}
	if testing.Short() {
		t.Skip("-short: the crash matrix takes a minute or two")
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "call\twhen\tfault\thits\truns\tbuilds\tlost\tdoubled")
	for _, call := range calls {
		for _, when := range []string{"before", "after"} {
			for _, dies := range []bool{true, false} {
				f := &faults{call: call, when: when, dies: dies, left: crashes, seen: map[string]bool{}}
				b := crashBench(t)
				if call == "jenkins FindByCause" {
					f.alsoStart = true
				}
				left, rounds := storm(b, f)
				lost, doubled := tally(b)
				what := "error"
				if dies {
					what = "crash"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", call, when, what, f.hits, crashRuns, b.jenkins.builds(""), lost, doubled)
				if left > 0 || lost > 0 || doubled > 0 || b.jenkins.builds("") != crashRuns {
					t.Errorf("%s %s %s: after %d rounds %d runs are open, %d lost, %d doubled, %d builds", what, when, call, rounds, left, lost, doubled, b.jenkins.builds(""))
				}
				if f.hits == 0 {
					t.Errorf("%s %s %s: the fault never happened, so the cell shows nothing", what, when, call)
				}
			}
		}
	}
	_ = w.Flush()
	t.Log("\n" + table.String())
}

// TestStaleCache runs all over a cache that is some writes behind most of the time.
func TestStaleCache(t *testing.T) {
	b := crashBench(t)
	history := map[string][]*devopsv1alpha3.PipelineRun{}
	dice := rand.New(rand.NewPCG(1, 2))
	b.stale = func(pr *devopsv1alpha3.PipelineRun) {
		old := history[pr.Name]
		if len(old) == 0 || old[len(old)-1].ResourceVersion != pr.ResourceVersion {
			history[pr.Name] = append(old, pr.DeepCopy())
		}
		behind := dice.IntN(4)
		old = history[pr.Name]
		old[max(0, len(old)-1-behind)].DeepCopyInto(pr)
	}
	left, _ := storm(b, &faults{seen: map[string]bool{}})
	lost, doubled := tally(b)
	if left > 0 || lost > 0 || doubled > 0 || b.jenkins.builds("") != crashRuns {
		t.Errorf("%d runs are open, %d lost, %d doubled, %d builds", left, lost, doubled, b.jenkins.builds(""))
	}
}
