// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// live is a controller on a real API server.
type live struct {
	client.Client
	ns      string
	jenkins *fakeJenkins
}

func startLive(t *testing.T) *live {
	t.Helper()
	l := &live{ns: envtest.Namespace(t), Client: envtest.Client(t), jenkins: newFakeJenkins(time.Now)}
	l.jenkins.jobs[l.ns+"/build"] = &fakeJob{}
	makeProject(t, l.Client, l.ns)
	mgr := envtest.NewManager(t, l.ns)
	if err := index.Register(t.Context(), mgr.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	watcher, err := NewWatcher(l.jenkins, WatcherOptions{Fastest: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Jenkins: l.jenkins, Watcher: watcher,
		Token:   func(p *devopsv1alpha3.Pipeline) string { return pipeline.StartToken([]byte("0123456789abcdef"), p) },
		Analyze: func(string) pipeline.Analysis { return pipeline.Analysis{Complete: true} },
		Options: Options{StartSettle: time.Second}}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	if err := (&Discarder{}).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	envtest.Start(t, mgr)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				l.jenkins.tick()
			}
		}
	}()
	p := syncedPipeline("build")
	p.Namespace, p.UID = l.ns, ""
	status := p.Status
	if err := l.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status = status
	p.Status.Conditions[0].LastTransitionTime = metav1.Now()
	if err := l.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *live) create(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		pr := newRun(fmt.Sprintf("run-%02d", i))
		pr.Namespace, pr.UID = l.ns, ""
		if err := l.Create(t.Context(), pr); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *live) runs(t *testing.T) []devopsv1alpha3.PipelineRun {
	t.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	if err := l.List(t.Context(), list, client.InNamespace(l.ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestManyRunsAtOnce(t *testing.T) {
	const n = 40
	g := gomega.NewWithT(t)
	l := startLive(t)
	begin := time.Now()
	l.create(t, n)
	g.Eventually(func() int {
		done := 0
		for _, pr := range l.runs(t) {
			if verdict(&pr) == "Succeeded/Success" && pr.Status.CompletionTime != nil {
				done++
			}
		}
		return done
	}).WithTimeout(90*time.Second).WithPolling(200*time.Millisecond).Should(gomega.Equal(n), "all runs end well")
	t.Logf("%d equal runs ended after %s; calls: %v", n, time.Since(begin).Round(time.Millisecond), l.jenkins.calls)
	if got := l.jenkins.builds(""); got != n {
		t.Errorf("%d builds of %d runs", got, n)
	}
	for _, pr := range l.runs(t) {
		if got := l.jenkins.builds(CausePrefix + string(pr.UID)); got != 1 {
			t.Errorf("run %s has %d builds", pr.Name, got)
		}
	}

	if err := l.DeleteAllOf(t.Context(), &devopsv1alpha3.PipelineRun{}, client.InNamespace(l.ns)); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() int { return len(l.runs(t)) }).WithTimeout(60*time.Second).Should(gomega.BeZero(), "all runs go")
	if got := l.jenkins.builds(""); got != 0 {
		t.Errorf("%d builds are left in Jenkins", got)
	}
}

func TestStopAndDeleteLive(t *testing.T) {
	g := gomega.NewWithT(t)
	l := startLive(t)
	l.jenkins.mu.Lock()
	l.jenkins.endless = true
	l.jenkins.mu.Unlock()
	l.create(t, 2)
	phase := func(name string) func() string {
		return func() string {
			pr := &devopsv1alpha3.PipelineRun{}
			if err := l.Get(t.Context(), client.ObjectKey{Namespace: l.ns, Name: name}, pr); err != nil {
				return err.Error()
			}
			return verdict(pr)
		}
	}
	for _, name := range []string{"run-00", "run-01"} {
		g.Eventually(phase(name)).WithTimeout(30*time.Second).Should(gomega.HavePrefix("Running/"), name)
	}
	pr := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: l.ns, Name: "run-00"}}
	if err := l.Patch(t.Context(), pr, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"action":"Stop"}}`))); err != nil {
		t.Fatal(err)
	}
	g.Eventually(phase("run-00")).WithTimeout(30 * time.Second).Should(gomega.Equal("Cancelled/Aborted"))
	if err := l.Delete(t.Context(), &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: l.ns, Name: "run-01"}}); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() bool {
		return apierrors.IsNotFound(l.Get(t.Context(), client.ObjectKey{Namespace: l.ns, Name: "run-01"}, pr))
	}).WithTimeout(30*time.Second).Should(gomega.BeTrue(), "a live run goes once its build is stopped")
}

func TestDiscarderLive(t *testing.T) {
	g := gomega.NewWithT(t)
	l := startLive(t)
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: l.ns, Name: "build"}}
	l.create(t, 5)
	g.Eventually(func() int {
		done := 0
		for _, pr := range l.runs(t) {
			if ended(&pr) {
				done++
			}
		}
		return done
	}).WithTimeout(60 * time.Second).Should(gomega.Equal(5))
	if err := l.Patch(t.Context(), p, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"pipeline":{"discarder":{"num_to_keep":"2"}}}}`))); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() int { return len(l.runs(t)) }).WithTimeout(30 * time.Second).Should(gomega.Equal(2))
}

func TestAPIServerRefuses(t *testing.T) {
	c, ns := envtest.Client(t), envtest.Namespace(t)
	meta := metav1.ObjectMeta{Namespace: ns, Name: "x"}
	jump := devopsv1alpha3.RunAction("Jump")
	source := func(url, ref, jenkinsfile string) *devopsv1alpha3.Pipeline {
		return &devopsv1alpha3.Pipeline{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{
			Jenkinsfile: jenkinsfile, Source: &devopsv1alpha3.JenkinsfileSource{URL: url, Ref: ref}}}}
	}
	tests := map[string]struct {
		object client.Object
		says   string
	}{
		"NoPipeline":    {&devopsv1alpha3.Pipeline{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "pipeline"}}, "needs spec.pipeline with its jenkinsfile"},
		"NoSource":      {&devopsv1alpha3.Pipeline{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "multi-branch-pipeline"}}, "needs spec.multi_branch_pipeline with its source"},
		"UnknownType":   {&devopsv1alpha3.Pipeline{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "freestyle"}}, "Unsupported value"},
		"UnknownAction": {&devopsv1alpha3.PipelineRun{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineRunSpec{Action: &jump}}, "Unsupported value"},
		"LongName":      {&devopsv1alpha3.PipelineRun{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineRunSpec{Parameters: []devopsv1alpha3.Parameter{param(strings.Repeat("n", 300), "")}}}, "Too long"},
		"Discarder": {&devopsv1alpha3.Pipeline{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{
			Discarder: &devopsv1alpha3.DiscarderProperty{NumToKeep: "some"}}}}, "num_to_keep"},
		"TwoJenkinsfiles": {source("https://git.example/x", "main", "x"), "either jenkinsfile or source, not both"},
		"NoURL":           {source("", "main", ""), "url"},
		"URLOfADisk":      {source("file:///etc", "main", ""), "url"},
		"URLOfAProgram":   {source("ext::sh -c id", "main", ""), "url"},
		"URLOfAnOption":   {source("--upload-pack=id", "main", ""), "url"},
		"NoRef":           {source("https://git.example/x", "", ""), "ref"},
		"AnyRef":          {source("https://git.example/x", "*/main", ""), "ref"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := c.Create(t.Context(), tt.object)
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want a refusal that says %q", err, tt.says)
			}
		})
	}
	for i, p := range []*devopsv1alpha3.Pipeline{
		source("git@git.example:team/x.git", "refs/tags/v1.0", ""), source("ssh://git@git.example:2222/x.git", "feature/größe", ""),
		{ObjectMeta: meta, Spec: devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{}}}, // as consoles make it first
	} {
		p.Name = fmt.Sprint("good-", i)
		if err := c.Create(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
}
