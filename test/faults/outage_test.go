// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
)

// endings are pipelines by how their runs end while Jenkins is away, and the phase and reason that
// the run must have.
var endings = map[string]struct{ stage, want string }{
	"good":     {"sleep 12", "Succeeded Success"},
	"unstable": {"sleep 12\nunstable 'shaky'", "Succeeded Unstable"},
	"bad":      {"sleep 12\nerror 'broken'", "Failed Failure"},
	"long":     {"sleep 40", "Succeeded Success"},
}

func jenkinsfileOf(steps string) string {
	return "pipeline { agent none; stages { stage('a') { steps {\n" + steps + "\n} } } }"
}

// TestJenkinsAway takes Jenkins away from 100 live runs for half a minute, in which most of their
// builds end. When it is back all runs must end as the builds did. The ten minutes of the same in
// simulated time are a test of the package pipelinerun.
func TestJenkinsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: Jenkins is away for half a minute")
	}
	const runs, away = 100, 30 * time.Second
	w := newWorld(t, nil)
	var mu sync.Mutex
	var tries []time.Time // network calls while Jenkins was away
	p := w.startControllers(func(_ *process, rt http.RoundTripper, kind string) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if kind == "jenkins" && w.gate.away.Load() {
				mu.Lock()
				tries = append(tries, time.Now())
				mu.Unlock()
			}
			return rt.RoundTrip(r)
		})
	}, controller.Options{Runs: pipelinerun.Options{WorkerNamespace: workerNamespace}})
	defer p.stop()
	w.newProject("away")
	var names []string
	for name, e := range endings {
		names = append(names, name)
		w.newPipeline(name, jenkinsfileOf(e.stage))
	}
	for i := range runs {
		name := names[i%len(names)]
		w.newRun(name, fmt.Sprintf("%s-%03d", name, i))
	}
	w.wait("all runs are live", func() (bool, string) {
		n := 0
		for _, r := range w.runs() {
			if r.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != "" {
				n++
			}
		}
		return n == runs, fmt.Sprintf("%d are", n)
	})
	gone := time.Now()
	w.gate.away.Store(true)
	w.wait("the runs say that Jenkins is away", func() (bool, string) {
		for _, r := range w.runs() {
			if r.Status.CompletionTime == nil && len(r.Status.Conditions) > 0 && time.Since(gone) < away/2 {
				if s := state(&r); !strings.Contains(s, "Jenkins does not answer since") {
					return false, s
				}
			}
		}
		return true, ""
	})
	w.wait("the time is over", func() (bool, string) { return time.Since(gone) >= away, "" })
	w.gate.away.Store(false)
	back := time.Now()
	w.wait("all runs have ended", func() (bool, string) {
		open := 0
		for _, r := range w.runs() {
			if r.Status.CompletionTime == nil {
				open++
			}
		}
		return open == 0, fmt.Sprintf("%d have not", open)
	})
	ended := time.Since(back)
	wrong := 0
	for _, r := range w.runs() {
		want := endings[r.Spec.PipelineRef.Name].want
		if got := string(r.Status.Phase) + " " + reasonOf(&r); got != want {
			wrong++
			t.Errorf("%s ended as %s, want %s", r.Name, got, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	most := busiest(tries)
	t.Logf("away %s with %d live runs: %d calls, %.1f a second, at most %d within one second; all ended %s after it was back, %d wrongly",
		away, runs, len(tries), float64(len(tries))/away.Seconds(), most, ended.Round(100*time.Millisecond), wrong)
	if float64(len(tries)) > 2*away.Seconds() {
		t.Errorf("%d calls in %s are more than two a second", len(tries), away)
	}
}

// busiest gives the greatest number of times within one second.
func busiest(times []time.Time) (most int) {
	from := 0
	for i, t := range times {
		for t.Sub(times[from]) > time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}
