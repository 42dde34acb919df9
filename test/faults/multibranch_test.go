// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

// branchRepository makes a repository whose branches say their name; it returns how to add one.
func branchRepository(t *testing.T, branches ...string) (dir string, add func(branch string)) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(t.TempDir(), "r")
	repo, err := git.PlainInit(dir, false)
	check(err)
	check(repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	wt, err := repo.Worktree()
	check(err)
	check(os.WriteFile(filepath.Join(dir, "Jenkinsfile"), []byte("pipeline { agent none\n stages { stage('where') { steps { echo \"on ${env.BRANCH_NAME}\" } } } }\n"), 0o600))
	_, err = wt.Add("Jenkinsfile")
	check(err)
	first, err := wt.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600, 0)}})
	check(err)
	add = func(branch string) {
		t.Helper()
		check(repo.Storer.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), first)))
	}
	for _, b := range branches {
		add(b)
	}
	return dir, add
}

// TestMultiBranch has a multi-branch pipeline found, scanned and run by branch.
func TestMultiBranch(t *testing.T) {
	dir, add := branchRepository(t, "feature/x", "größe")
	w := newWorld(t, func(c *minijenkins.Config) { c.AllowFileSCM = true })
	p := w.startControllers(nil, controller.Options{})
	defer p.stop()
	w.newProject("branches")
	pipeline := &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: "mb"},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{
			Name: "mb", SourceType: "git", ScriptPath: "Jenkinsfile", GitSource: &devopsv1alpha3.GitSource{URL: "file://" + dir, DiscoverBranches: true},
		}},
	}
	if err := w.kube.Create(t.Context(), pipeline); err != nil {
		t.Fatal(err)
	}
	w.listed(pipeline, "feature/x", "größe", "main")

	add("late#1")
	// The controllers write to it, too.
	scan := fmt.Sprintf(`{"metadata":{"annotations":{%q:"true"}}}`, devopsv1alpha3.PipelineRequestToScanAnnotation)
	if err := w.kube.Patch(t.Context(), pipeline, client.RawPatch(types.MergePatchType, []byte(scan))); err != nil {
		t.Fatal(err)
	}
	w.listed(pipeline, "feature/x", "größe", "late#1", "main")

	for i, ref := range []string{"main", "feature%2Fx", "größe", "late%231"} {
		run := &devopsv1alpha3.PipelineRun{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: fmt.Sprint("by-hand-", i)},
			Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "mb"}, SCM: &devopsv1alpha3.SCM{RefName: ref}},
		}
		if err := w.kube.Create(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		w.wait("the run of "+ref+" succeeds", func() (bool, string) {
			w.get(run)
			return run.Status.Phase == devopsv1alpha3.Succeeded, fmt.Sprintf("%s %v", run.Status.Phase, run.Status.Conditions)
		})
		var seen jenkins.Run
		if err := json.Unmarshal([]byte(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &seen); err != nil || seen.Pipeline != ref {
			t.Errorf("%s: the run is one of %q, %v", ref, seen.Pipeline, err)
		}
	}

	none := &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: "nowhere"},
		Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "mb"}, SCM: &devopsv1alpha3.SCM{RefName: "none"}},
	}
	if err := w.kube.Create(t.Context(), none); err != nil {
		t.Fatal(err)
	}
	w.wait("the run of a branch that is not there says so", func() (bool, string) {
		w.get(none)
		return len(none.Status.Conditions) > 0 && none.Status.Phase != devopsv1alpha3.Succeeded, fmt.Sprintf("%s %v", none.Status.Phase, none.Status.Conditions)
	})
}

// listed waits until the annotation with the branches names these.
func (w *world) listed(p *devopsv1alpha3.Pipeline, names ...string) {
	w.Helper()
	w.wait(fmt.Sprint("the branches are ", names), func() (bool, string) {
		w.get(p)
		text := p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]
		var list []jenkins.BranchInfo
		if text != "" {
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				w.Fatal(err)
			}
		}
		var got []string
		for _, b := range list {
			got = append(got, b.RawName)
		}
		slices.Sort(got)
		return slices.Equal(got, names), fmt.Sprint(text, p.Status.Conditions)
	})
}
