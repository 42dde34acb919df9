// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
)

// lookUp gives the names of the runs that have a value.
func lookUp(tb testing.TB, r client.Reader, namespace, field, value string, opts ...client.ListOption) []string {
	tb.Helper()
	list := &devopsv1alpha3.PipelineRunList{}
	opts = append(opts, client.InNamespace(namespace), client.MatchingFields{field: value})
	if err := r.List(context.Background(), list, opts...); err != nil {
		tb.Fatalf("%s %s: %v", field, value, err)
	}
	found := []string{}
	for i := range list.Items {
		found = append(found, list.Items[i].Name)
	}
	slices.Sort(found)
	return found
}

func numbered(run *devopsv1alpha3.PipelineRun, build, item string) *devopsv1alpha3.PipelineRun {
	run.Annotations = map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: build, devopsv1alpha3.QueueItemAnnotation: item}
	return run
}

func TestReaderFindsByFields(t *testing.T) {
	_, s := newInformed(t,
		numbered(newRun("a", "p", "one", 1), "1", "10"), numbered(newRun("a", "p", "again", 9), "1", "11"),
		numbered(onBranch(newRun("a", "p", "feat", 2), "feat%2Fx"), "1", "12"), newRun("a", "q", "waits", 3),
		numbered(newRun("b", "p", "other", 4), "1", "10"),
	)
	cases := map[string]struct {
		reason, namespace, field, value string
		want                            []string
	}{
		"uid":            {"of one", "a", index.RunUID, "uid-a-waits", []string{"waits"}},
		"uid elsewhere":  {"another tenant's", "b", index.RunUID, "uid-a-waits", []string{}},
		"uid of none":    {"all have one", "a", index.RunUID, "", []string{}},
		"build":          {"a number may have been given twice", "a", index.RunBuild, index.BuildValue("p", "", "1"), []string{"again", "one"}},
		"build, branch":  {"of a branch", "a", index.RunBuild, index.BuildValue("p", "feat%2Fx", "1"), []string{"feat"}},
		"build, unknown": {"there is none", "a", index.RunBuild, index.BuildValue("p", "", "2"), []string{}},
		"queue item":     {"of one namespace", "b", index.RunQueueItem, "10", []string{"other"}},
		"pipeline":       {"a field of lists", "a", index.RunPipeline, "p", []string{"again", "feat", "one"}},
		"branch":         {"a field of lists", "a", index.RunBranch, index.BranchValue("p", "feat%2Fx"), []string{"feat"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, lookUp(t, s.Reader(), tc.namespace, tc.field, tc.value)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestReaderFollowsChanges: what an object is found by changes with it.
func TestReaderFollowsChanges(t *testing.T) {
	g := gomega.NewWithT(t)
	r, s := newInformed(t, numbered(newRun("a", "p", "one", 1), "1", "10"))
	find := func(field, value string) func() []string {
		return func() []string { return lookUp(t, s.Reader(), "a", field, value) }
	}
	g.Expect(find(index.RunQueueItem, "10")()).To(gomega.Equal([]string{"one"}))
	r.source.Modify(numbered(newRun("a", "p", "one", 1), "2", "10"))
	g.Eventually(find(index.RunBuild, index.BuildValue("p", "", "2"))).Should(gomega.Equal([]string{"one"}))
	g.Expect(find(index.RunBuild, index.BuildValue("p", "", "1"))()).To(gomega.BeEmpty())
	r.source.Delete(newRun("a", "p", "one", 1))
	g.Eventually(find(index.RunUID, "uid-a-one")).Should(gomega.BeEmpty())
	c, err := s.collectionOf(t.Context(), &devopsv1alpha3.PipelineRun{})
	if err != nil || c.found.Len() != 0 {
		t.Errorf("%d places of objects that are gone are kept, %v", c.found.Len(), err)
	}
}

// TestReaderCopies: whoever does not say that it only reads gets copies.
func TestReaderCopies(t *testing.T) {
	_, s := newInformed(t, newRun("a", "p", "one", 1))
	list := &devopsv1alpha3.PipelineRunList{}
	err := s.Reader().List(t.Context(), list, client.InNamespace("a"), client.MatchingFields{index.RunUID: "uid-a-one"})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d, %v", len(list.Items), err)
	}
	list.Items[0].Spec.PipelineRef.Name = "changed"
	if got := lookUp(t, s.Reader(), "a", index.RunPipeline, "p"); len(got) != 1 {
		t.Errorf("the cache's object was changed: %v", got)
	}
}

var errAsked = errors.New("asked")

// refuses notes that it was asked.
type refuses struct{ client.Reader }

func (refuses) List(context.Context, client.ObjectList, ...client.ListOption) error { return errAsked }

// TestReaderLeavesTheRest: the store answers nothing half.
func TestReaderLeavesTheRest(t *testing.T) {
	_, s := newInformed(t, newRun("a", "p", "one", 1))
	s.reader = refuses{}
	match := client.MatchingFields{index.RunPipeline: "p"}
	cases := map[string][]client.ListOption{
		"all namespaces": {match},
		"no field":       {client.InNamespace("a")},
		"another field":  {client.InNamespace("a"), client.MatchingFields{"metadata.name": "one"}},
		"two fields":     {client.InNamespace("a"), client.MatchingFields{index.RunPipeline: "p", index.RunUID: "u"}},
		"labels, too":    {client.InNamespace("a"), match, client.MatchingLabels{"a": "b"}},
	}
	for name, opts := range cases {
		if err := s.Reader().List(t.Context(), &devopsv1alpha3.PipelineRunList{}, opts...); !errors.Is(err, errAsked) {
			t.Errorf("%s: %v, want the reader to be asked", name, err)
		}
	}
}
