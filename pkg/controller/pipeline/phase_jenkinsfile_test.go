// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

const commentedJenkinsfile = `// ours
pipeline {
    agent any // where
    stages {
        // first
        stage('a') { steps { sh 'make' } }
    }
}
`

func jsonOf(t *testing.T, source string) string {
	t.Helper()
	doc, err := jenkinsfile.ToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// editJenkinsfile writes annotations, and the Jenkinsfile if it is not empty, as the API does.
func (b *bench) editJenkinsfile(source, mode, doc string) {
	b.Helper()
	p := b.get()
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	if source != "" {
		p.Spec.Pipeline.Jenkinsfile = source
	}
	p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = mode
	if doc != "" {
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation] = doc
	}
	if err := b.cluster.Update(b.Context(), p); err != nil {
		b.Fatal(err)
	}
}

type editState struct{ Mode, Validate, Doc, Jenkinsfile string }

func (b *bench) editState() editState {
	b.Helper()
	p := b.get()
	return editState{
		p.Annotations["pipeline.devops.kubesphere.io/jenkinsfile.edit.mode"], p.Annotations["pipeline.devops.kubesphere.io/jenkinsfile.validate"],
		p.Annotations["pipeline.devops.kubesphere.io/jenkinsfile"], p.Spec.Pipeline.Jenkinsfile,
	}
}

func TestJenkinsfileEdit(t *testing.T) {
	const scripted = "node { sh 'x' }"
	doc := jsonOf(t, commentedJenkinsfile)
	changed := strings.ReplaceAll(doc, "make", "make all")
	merged := strings.ReplaceAll(commentedJenkinsfile, "make", "make all")
	bad := strings.Replace(doc, `"any"`, `"nosuch"`, 1)
	cases := map[string]struct {
		reason, source, mode, doc string
		want                      editState
	}{
		"new":           {"the console finds the JSON form of what was created", commentedJenkinsfile, "", "", editState{"", "success", doc, commentedJenkinsfile}},
		"raw":           {"the Jenkinsfile was changed", commentedJenkinsfile, "raw", "old", editState{"", "success", doc, commentedJenkinsfile}},
		"raw scripted":  {"there is no JSON form", scripted, "raw", "old", editState{"", "failure", "", scripted}},
		"raw broken":    {"there is no JSON form", "pipeline {", "raw", "old", editState{"", "failure", "", "pipeline {"}},
		"json":          {"comments and formatting stay", commentedJenkinsfile, "json", changed, editState{"", "success", changed, merged}},
		"json the same": {"nothing is to be done", commentedJenkinsfile, "json", doc, editState{"", "success", doc, commentedJenkinsfile}},
		"json bad":      {"the Jenkinsfile is not touched, the document is kept for its author", commentedJenkinsfile, "json", bad, editState{"", "failure", bad, commentedJenkinsfile}},
		"json broken":   {"as above", commentedJenkinsfile, "json", "{", editState{"", "failure", "{", commentedJenkinsfile}},
		"json none":     {"as above", commentedJenkinsfile, "json", "", editState{"", "failure", "", commentedJenkinsfile}},
		"other mode":    {"is not waited for", commentedJenkinsfile, "xml", "", editState{"", "success", doc, commentedJenkinsfile}},
		"large": {"the JSON form would not fit in the annotations", "pipeline { agent any\n stages { stage('a') { steps { sh '" + strings.Repeat("x", maxJenkinsfileJSON) + "' } } } }", "raw", "old",
			editState{"", "success", "", "pipeline { agent any\n stages { stage('a') { steps { sh '" + strings.Repeat("x", maxJenkinsfileJSON) + "' } } } }"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, newPipeline(tc.source)) // no project: it is not needed
			if tc.mode != "" {
				b.editJenkinsfile("", tc.mode, tc.doc)
			}
			for range 3 { // what was found stays
				_, _ = b.pass()
				if d := cmp.Diff(tc.want, b.editState()); d != "" {
					t.Fatalf("%s: %s", tc.reason, d)
				}
			}
			refused := slices.Contains(b.events.list, "Warning InvalidJenkinsfile")
			if want := tc.mode == "json" && tc.want.Validate == "failure"; refused != want {
				t.Errorf("events %v, want one about the conversion: %v", b.events.list, want)
			}
		})
	}
}

// TestJenkinsfileEditReachesJenkins: what was merged is in the job, though Jenkins was away at first.
func TestJenkinsfileEditReachesJenkins(t *testing.T) {
	b := newBench(t, newPipeline(commentedJenkinsfile), readyProject())
	if _, err := b.pass(); err != nil {
		t.Fatal(err)
	}
	b.editJenkinsfile("", "json", strings.ReplaceAll(b.editState().Doc, "make", "make all"))
	b.jobs.err = jenkins.ErrUnavailable
	_, _ = b.pass()
	if got := b.editState(); got.Mode != "" || got.Validate != "success" {
		t.Errorf("with Jenkins away: %+v", got)
	}
	b.jobs.err = nil
	if _, err := b.pass(); err != nil {
		t.Fatal(err)
	}
	if got := b.jobs.docs["p/build"]; !strings.Contains(got, "make all") || !strings.Contains(got, "// first") {
		t.Errorf("the job has %s", got)
	}
}

// TestJenkinsfileOfOthers: who changes the Jenkinsfile without the edit must not have it undone by an
// edit of the old JSON form.
func TestJenkinsfileOfOthers(t *testing.T) {
	b := newBench(t, newPipeline(commentedJenkinsfile))
	_, _ = b.pass()
	b.editJenkinsfile("", "json", "{")
	_, _ = b.pass()
	other := strings.ReplaceAll(commentedJenkinsfile, "make", "other")
	b.editJenkinsfile(other, "", "")
	_, _ = b.pass()
	if d := cmp.Diff(editState{"", "success", jsonOf(t, other), other}, b.editState()); d != "" {
		t.Error(d)
	}
}

// TestJenkinsfileEditMeanwhile: an edit that comes while another is converted is not lost.
func TestJenkinsfileEditMeanwhile(t *testing.T) {
	doc := jsonOf(t, commentedJenkinsfile)
	first, second := strings.ReplaceAll(doc, "make", "first"), strings.ReplaceAll(doc, "make", "second")
	for _, mode := range []string{"json", "raw", ""} {
		b := newBench(t, newPipeline(commentedJenkinsfile))
		b.editJenkinsfile("", mode, first)
		once := false
		b.r.Client = interceptor.NewClient(b.cluster, interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				if !once {
					once = true
					b.editJenkinsfile("", "json", second)
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
		})
		for range 2 {
			_, _ = b.pass()
		}
		want := editState{"", "success", second, strings.ReplaceAll(commentedJenkinsfile, "make", "second")}
		if d := cmp.Diff(want, b.editState()); d != "" {
			t.Errorf("mode %q: %s", mode, d)
		}
	}
}

// TestJenkinsfileEditCrash: a write that fails is made again.
func TestJenkinsfileEditCrash(t *testing.T) {
	b := newBench(t, newPipeline(commentedJenkinsfile))
	b.editJenkinsfile("", "json", strings.ReplaceAll(jsonOf(t, commentedJenkinsfile), "make", "x"))
	down := true
	b.r.Client = interceptor.NewClient(b.cluster, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if down {
				return errors.New("down")
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	if _, err := b.pass(); err == nil {
		t.Error("no error, so no retry")
	}
	if got := b.editState(); got.Mode != "json" {
		t.Errorf("%+v", got)
	}
	down = false
	_, _ = b.pass()
	if got := b.editState(); got.Mode != "" || !strings.Contains(got.Jenkinsfile, "sh 'x'") {
		t.Errorf("%+v", got)
	}
}
