// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/history"
)

// kept lists the history of the pipeline, the newest first.
func (b *bench) kept() string {
	b.Helper()
	list, err := history.List(b.Context(), b.cluster, b.get())
	if err != nil {
		b.Fatal(err)
	}
	var out []string
	for _, r := range list {
		out = append(out, fmt.Sprintf("%d %s", r.Number, r.Author))
	}
	return strings.Join(out, ", ")
}

func TestHistoryOfTheJenkinsfile(t *testing.T) {
	doc := jsonOf(t, commentedJenkinsfile)
	b := newBench(t, newPipeline(""), readyProject())
	b.mustPass()
	if got := b.kept(); got != "" {
		t.Errorf("what was never written is kept: %s", got)
	}
	b.change(func(p *devopsv1alpha3.Pipeline) {
		p.Spec.Pipeline.Jenkinsfile = commentedJenkinsfile
		history.Sign(p, "ann", b.now, 0)
	})
	b.mustPass()
	// The graphical editor of bob: what is kept is the Jenkinsfile that came of it.
	b.change(func(p *devopsv1alpha3.Pipeline) {
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = "json"
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation] = strings.ReplaceAll(doc, "make", "make all")
		history.Sign(p, "bob", b.now, 0)
	})
	b.mustPass()
	b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec.Pipeline.Jenkinsfile += "// by kubectl\n" })
	b.mustPass()
	b.change(func(p *devopsv1alpha3.Pipeline) { p.Spec.Pipeline.Description = "no edit of the Jenkinsfile" })
	b.mustPass()
	if got, want := b.kept(), "3 "+history.UnknownAuthor+", 2 bob, 1 ann"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, text, err := history.Get(t.Context(), b.cluster, b.get(), 2); err != nil || !strings.Contains(text, "make all") || !strings.Contains(text, "// ours") {
		t.Errorf("%v:\n%s", err, text)
	}
	obj := &appsv1.ControllerRevisionList{}
	if err := b.cluster.List(t.Context(), obj); err != nil || len(obj.Items) != 3 || !metav1.IsControlledBy(&obj.Items[0], b.get()) {
		t.Errorf("%v: %+v", err, obj.Items)
	}
}

// TestHistoryThatFails: the job is written all the same, and the revision soon after the failure is over.
func TestHistoryThatFails(t *testing.T) {
	b := newBench(t, newPipeline("x"), readyProject())
	refused := errors.New("forbidden")
	b.r.Client = interceptor.NewClient(b.cluster, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if _, ok := obj.(*appsv1.ControllerRevision); ok && refused != nil {
			return refused
		}
		return c.Create(ctx, obj, opts...)
	}})
	result, err := b.pass()
	if err != nil || result.RequeueAfter == 0 || result.RequeueAfter > time.Minute || !strings.HasPrefix(synced(b.get()), "True/Synced") || b.kept() != "" {
		t.Fatalf("%v %v, %s, %s", result, err, synced(b.get()), b.kept())
	}
	refused = nil
	if again := b.mustPass(); again < time.Hour || b.kept() != "1 "+history.UnknownAuthor {
		t.Errorf("%v, %s", again, b.kept())
	}
	lists := 0
	b.r.Live = interceptor.NewClient(b.cluster, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		lists++
		return c.List(ctx, list, opts...)
	}})
	b.mustPass()
	if lists > 0 {
		t.Errorf("%d questions about a Jenkinsfile that has not changed", lists)
	}
	// A copy of the pipeline has its annotations, and a history of its own.
	twin := b.get()
	twin.Name, twin.UID, twin.ResourceVersion = "twin", "u2", ""
	if err := b.cluster.Create(t.Context(), twin); err != nil {
		t.Fatal(err)
	}
	s := b.r.newScope(twin)
	if err := recordJenkinsfile(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if list, err := history.List(t.Context(), b.cluster, twin); err != nil || len(list) != 1 {
		t.Errorf("%v: %+v", err, list)
	}
}

// TestJenkinsfileInARepository: Slipway judges nothing that it does not read.
func TestJenkinsfileInARepository(t *testing.T) {
	p := newPipeline("")
	p.Spec.Pipeline.Source = &devopsv1alpha3.JenkinsfileSource{URL: "https://git.example/x.git", Ref: "main"}
	p.Spec.Pipeline.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "string"}}
	b := newBench(t, p, readyProject())
	b.r.Analyze = func(string) Analysis { return Analysis{Complete: true, Problem: "the pipeline has no Jenkinsfile"} }
	b.mustPass()
	if got := synced(b.get()); got != "True/Synced/successful" {
		t.Errorf("%s: %s", got, message(b.get()))
	}
	if doc := b.jobs.docs["p/build"]; !strings.Contains(doc, "CpsScmFlowDefinition") || !strings.Contains(doc, "https://git.example/x.git") {
		t.Errorf("the job:\n%s", doc)
	}
	if defined, complete := Parameters(&p.Spec, b.r.Analyze); len(defined) != 1 || complete {
		t.Errorf("parameters %v, complete %v: those of the Jenkinsfile are not known", defined, complete)
	}
	// What a run writes into its own job is no drift; another repository is.
	was := b.jobs.docs["p/build"]
	b.jobs.docs["p/build"] = strings.Replace(was, "<hudson.model.StringParameterDefinition>", "<hudson.model.BooleanParameterDefinition><name>RUN</name></hudson.model.BooleanParameterDefinition><hudson.model.StringParameterDefinition>", 1)
	b.nextCheck()
	b.mustPass()
	if !strings.Contains(b.jobs.docs["p/build"], "<name>RUN</name>") {
		t.Error("the parameters of the run are undone")
	}
	b.jobs.docs["p/build"] = strings.Replace(was, "x.git", "evil.git", 1)
	b.nextCheck()
	b.mustPass()
	if strings.Contains(b.jobs.docs["p/build"], "evil") {
		t.Error("another repository stays")
	}
	// The graphical editor has nothing to edit.
	b.editJenkinsfile("", "json", jsonOf(t, commentedJenkinsfile))
	b.mustPass()
	if got := b.editState(); got.Mode != "" || got.Validate != "failure" || got.Jenkinsfile != "" {
		t.Errorf("an edit as JSON: %+v", got)
	}
	if got := b.kept(); got != "" {
		t.Errorf("history of a Jenkinsfile that is elsewhere: %s", got)
	}
	// From the repository into the spec, and the other way round.
	b.change(func(p *devopsv1alpha3.Pipeline) {
		p.Spec.Pipeline.Source, p.Spec.Pipeline.Jenkinsfile = nil, commentedJenkinsfile
	})
	b.mustPass()
	if doc := b.jobs.docs["p/build"]; strings.Contains(doc, "CpsScm") || !strings.Contains(doc, "<script>") || b.kept() != "1 "+history.UnknownAuthor {
		t.Errorf("%s\n%s", b.kept(), doc)
	}
}
