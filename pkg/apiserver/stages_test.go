// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

// fakeStages are those of builds in Jenkins.
type fakeStages struct {
	mu     sync.Mutex
	stages []jenkins.Stage
	err    error
	calls  int
	builds map[pipelinerun.Build]bool
	// slow is how long an answer takes.
	slow time.Duration
}

func (f *fakeStages) ReadStages(_ context.Context, build pipelinerun.Build, known *jenkins.KnownStages) ([]jenkins.Stage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	time.Sleep(f.slow)
	f.calls++
	if f.builds == nil {
		f.builds = map[pipelinerun.Build]bool{}
	}
	f.builds[build] = known != nil
	return f.stages, f.err
}

func TestLiveStages(t *testing.T) {
	paused := []jenkins.Stage{{ID: "4", DisplayName: "gate", State: jenkins.StatePaused, Steps: []jenkins.Step{
		{ID: "5", State: jenkins.StatePaused, Input: &jenkins.Input{ID: "Free"}}, {ID: "6", State: jenkins.StatePaused, Input: &jenkins.Input{ID: "Others", Submitter: "bob,team"}},
	}}}
	tests := map[string]struct {
		reason string
		source *fakeStages
		run    func(*devopsv1alpha3.PipelineRun)
		calls  int
		want   []string
		not    []string
		warns  bool
	}{
		"live":     {reason: "who looks at a build that runs sees it as it is", source: &fakeStages{stages: paused}, calls: 1, want: []string{`"id":"4"`, `"displayName":"gate"`}, not: []string{"kept"}},
		"may":      {reason: "who may answer is told so", source: &fakeStages{stages: paused}, calls: 1, want: []string{`"id":"Free"},"approvable":true`, `"submitter":"bob,team"}}`}},
		"away":     {reason: "what was known is shown, with its age", source: &fakeStages{err: jenkins.ErrUnavailable}, calls: 1, want: []string{"kept"}, warns: true},
		"gone":     {reason: "Jenkins may have lost the build", source: &fakeStages{err: jenkins.ErrNotFound}, calls: 1, want: []string{"kept"}, warns: true},
		"refused":  {reason: "", source: &fakeStages{err: jenkins.ErrForbidden}, calls: 1, want: []string{"kept"}, warns: true},
		"ended":    {reason: "a run that has ended changes no more", source: &fakeStages{stages: paused}, run: endedRun, want: []string{"kept"}, not: []string{"gate"}},
		"no build": {reason: "there is nothing to ask for", source: &fakeStages{stages: paused}, run: func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }, want: []string{"kept"}, warns: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "live"}, Data: map[string]string{"stage": `[{"id":"1","displayName":"kept","steps":[]}]`}}
			w := newWorld(t, func(c *Config) { c.Sources.Stages, c.Clients = tt.source, asUser{c.Clients} }, kept, sampleRun("live", func(run *devopsv1alpha3.PipelineRun) {
				run.Status.UpdateTime = &metav1.Time{Time: time.Now().Add(-90 * time.Second)}
				if tt.run != nil {
					tt.run(run)
				}
			}))
			got := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live/nodedetails"})
			if got.Code != 200 || tt.source.calls != tt.calls {
				t.Fatalf("%s: %d %s after %d calls, want %d", tt.reason, got.Code, got.Body, tt.source.calls, tt.calls)
			}
			for _, part := range tt.want {
				if !strings.Contains(got.Body.String(), part) {
					t.Errorf("%s: %s lacks %s", tt.reason, got.Body, part)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(got.Body.String(), part) {
					t.Errorf("%s: %s holds %s", tt.reason, got.Body, part)
				}
			}
			age := got.Header().Get("Age")
			if warns := strings.HasPrefix(got.Header().Get("Warning"), "110 "); warns != tt.warns || (age == "90" || age == "91") != tt.warns {
				t.Errorf("%s: Warning %q, Age %q", tt.reason, got.Header().Get("Warning"), age)
			}
		})
	}
}

// TestLiveStagesAreShared: a hundred people who look at a build cost Jenkins as much as one.
func TestLiveStagesAreShared(t *testing.T) {
	source := &fakeStages{stages: []jenkins.Stage{{ID: "1"}}, slow: 20 * time.Millisecond}
	w := newWorld(t, func(c *Config) { c.Sources.Stages = source }, sampleRun("one", nil),
		sampleRun("two", func(run *devopsv1alpha3.PipelineRun) { run.UID = "u2" }))
	look := func(name string) {
		if got := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/" + name + "/nodedetails"}); got.Code != 200 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	var wg sync.WaitGroup
	began := time.Now()
	for range 50 {
		wg.Go(func() { look("one") })
	}
	wg.Wait()
	// What was read is shown for a second; a slow machine takes longer for all of them.
	if first := source.calls; first < 1 || first > 1+int(time.Since(began)/time.Second) {
		t.Errorf("%d calls for 50 looks at once in %s", first, time.Since(began))
	}
	known := source.calls
	look("two")
	if source.calls != known+1 {
		t.Error("another run was shown the stages of the first")
	}
	time.Sleep(1100 * time.Millisecond)
	look("one")
	if source.calls != known+2 {
		t.Error("old stages are shown")
	}
}
