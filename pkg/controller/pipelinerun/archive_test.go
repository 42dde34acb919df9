// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// files is a build's log and artifacts.
type files struct {
	log       string
	artifacts map[string]string
	logErr    error
	// gone is an artifact that Jenkins lists and does not have. endless: the log does not end.
	gone    string
	endless bool
	opened  int
	asked   jenkins.BuildRef
}

func (f *files) StreamLog(ctx context.Context, build jenkins.BuildRef, _ int64, w io.Writer) (int64, error) {
	f.asked = build
	n, err := io.WriteString(w, f.log)
	if f.endless {
		<-ctx.Done()
		return int64(n), ctx.Err()
	}
	if err == nil {
		err = f.logErr
	}
	return int64(n), err
}

func (f *files) ListArtifacts(context.Context, string, string, int64) ([]jenkins.Artifact, error) {
	var list []jenkins.Artifact
	for path, text := range f.artifacts {
		list = append(list, jenkins.Artifact{Path: path, Size: int64(len(text))})
	}
	return list, nil
}

func (f *files) OpenArtifact(_ context.Context, _, _ string, _ int64, path string) (*jenkins.ArtifactContent, error) {
	f.opened++
	if path == f.gone {
		return nil, answer(http.StatusNotFound, jenkins.ErrNotFound, "no such file")
	}
	text := f.artifacts[path]
	return &jenkins.ArtifactContent{ReadCloser: io.NopCloser(strings.NewReader(text)), Size: int64(len(text))}, nil
}

// bucket is an object store in memory, for several users at once.
type bucket struct {
	mu      sync.Mutex
	objects map[string]string
	err     error
	// refuses is an error of each artifact.
	refuses error
}

func (s *bucket) Put(ctx context.Context, key string, r io.Reader, _ int64, _ string) error {
	if err := errors.Join(ctx.Err(), objectstore.ValidateKey(key)); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if strings.Contains(key, "/artifacts/") {
		err = errors.Join(err, s.refuses)
	}
	if err = errors.Join(err, s.err); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = string(text)
	return nil
}

func (s *bucket) Stat(_ context.Context, key string) (objectstore.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.objects[key]
	if !ok {
		return objectstore.Info{}, objectstore.ErrNotFound
	}
	return objectstore.Info{Key: key, Size: int64(len(text))}, nil
}

func (s *bucket) DeletePrefix(_ context.Context, prefix string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) {
			delete(s.objects, key)
		}
	}
	return s.err
}

func TestArchive(t *testing.T) {
	b := newBench(t, syncedPipeline("build"), newRun("r1"))
	source := &files{log: "hello\n", artifacts: map[string]string{"a/ü.txt": "1", "../../other/x": "evil"}, logErr: errTimeout}
	store := &bucket{objects: map[string]string{"runs/p/r1-uid-r10/log.txt": "another run's"}}
	a := &Archive{Client: b.cluster, Jenkins: source, Store: store, Now: b.clock.Now}
	a.setDefaults()
	b.archive, b.r.Archive = a, a
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: "r1"}}
	if _, err := a.Reconcile(t.Context(), request); err != nil || len(store.objects) != 1 {
		t.Fatalf("a live run is not archived: %v, %v", err, store.objects)
	}
	b.until("r1", ended)

	if _, err := a.Reconcile(t.Context(), request); err == nil {
		t.Error("a log that broke off counts as kept")
	}
	got := b.get("r1")
	if c := conditionOf(got, ConditionArchived); c == nil || c.Reason != ReasonArchiveFailed || !ended(got) || verdict(got) != "Succeeded/Success" {
		t.Errorf("the failure must show and change nothing else: %+v", got.Status)
	}
	source.logErr = nil
	for range 2 {
		if _, err := a.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"runs/p/r1-uid-r1/log.txt": "hello\n", "runs/p/r1-uid-r1/artifacts/a/ü.txt": "1", "runs/p/r1-uid-r10/log.txt": "another run's"}
	if diff := cmp.Diff(want, store.objects); diff != "" {
		t.Errorf("objects:\n%s", diff)
	}
	got = b.get("r1")
	if c := conditionOf(got, ConditionArchived); c.Status != metav1.ConditionTrue || got.Annotations[devopsv1alpha3.ArchivedAnnotation] == "" {
		t.Errorf("archived is not noted: %+v", got.Status)
	}
	if opened := source.opened; opened > 2 {
		t.Errorf("artifacts were read %d times", opened)
	}

	if err := b.cluster.Delete(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	store.err = objectstore.ErrUnavailable
	if _, err := b.reconcile("r1"); err == nil {
		t.Error("the run went while the store was away")
	}
	b.get("r1")
	store.err = nil
	b.pass("r1")
	if len(store.objects) != 1 {
		t.Errorf("objects after deletion: %v", store.objects)
	}
}

// archiving has a run that has ended, and an archive for it.
func archiving(t *testing.T, source *files, pr *devopsv1alpha3.PipelineRun) (*bench, *Archive, *bucket, func() (*devopsv1alpha3.Condition, error)) {
	t.Helper()
	b := newBench(t, syncedPipeline("build"), pr)
	store := &bucket{objects: map[string]string{}}
	a := &Archive{Client: b.client(), Jenkins: source, Store: store, Now: b.clock.Now, runs: b.r}
	a.setDefaults()
	b.archive = a
	b.until(pr.Name, ended)
	return b, a, store, func() (*devopsv1alpha3.Condition, error) {
		_, err := a.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pr)})
		return conditionOf(b.get(pr.Name), ConditionArchived), err
	}
}

// TestArchiveSaysWhatItLacks: that a run is archived does not hide what is not there.
func TestArchiveSaysWhatItLacks(t *testing.T) {
	source := &files{log: "hello\n", artifacts: map[string]string{"a": "1", "gone.bin": "2", "../up": "3", strings.Repeat("n", 1200): "4"}, gone: "gone.bin"}
	_, _, store, pass := archiving(t, source, newRun("r1"))
	c, err := pass()
	if err != nil || c.Status != metav1.ConditionTrue || len(store.objects) != 2 {
		t.Fatalf("%v, %+v, %d objects", err, c, len(store.objects))
	}
	for _, want := range []string{`"gone.bin"`, `"../up"`, `"nnn`} {
		if !strings.Contains(c.Message, want) {
			t.Errorf("%s is not named in %q", want, c.Message)
		}
	}
	source = &files{logErr: answer(http.StatusNotFound, jenkins.ErrNotFound, "no such build")}
	_, _, _, pass = archiving(t, source, newRun("r1"))
	if c, err := pass(); err != nil || !strings.Contains(c.Message, "does not have any more: the log") {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestArchiveBeyondAQuota: a store answers 400 to who is beyond its quota. That is no reason to leave a file out for good.
func TestArchiveBeyondAQuota(t *testing.T) {
	source := &files{log: "Running on dc-p-agent-x1 in /home\n", artifacts: map[string]string{"a": "1"}}
	pr := newRun("r1")
	b, _, store, pass := archiving(t, source, pr)
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) { delete(pr.Annotations, devopsv1alpha3.AgentPodNameAnnotation) })
	if err := b.cluster.Create(t.Context(), agentPod()); err != nil {
		t.Fatal(err)
	}
	store.refuses = fmt.Errorf("bucket quota exceeded: %w", objectstore.ErrInvalid)
	if c, err := pass(); err == nil || c.Reason != ReasonArchiveFailed || !strings.Contains(c.Message, "quota") {
		t.Fatalf("%v, %+v", err, c)
	}
	store.refuses = nil
	if c, err := pass(); err != nil || c.Status != metav1.ConditionTrue || len(store.objects) != 2 {
		t.Errorf("%v, %+v, %v", err, c, store.objects)
	}
	if got := b.get("r1").Annotations[devopsv1alpha3.AgentPodNameAnnotation]; got != "dc-p-agent-x1" {
		t.Errorf("the agent %q that the log named in the pass that failed is not noted", got)
	}
}

// TestArchiveThatTakesTooLong: the condition says so, though the time of the pass is over.
func TestArchiveThatTakesTooLong(t *testing.T) {
	b, a, _, pass := archiving(t, &files{log: "x", endless: true}, newRun("r1"))
	a.Options.Timeout = 20 * time.Millisecond
	// The client in memory takes calls whose time is over.
	a.Client = interceptor.NewClient(b.cluster, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
	if c, err := pass(); err == nil || c == nil || c.Reason != ReasonArchiveFailed {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestArchiveOfAPlainPipelineWithABranch: only the pipeline tells that the run's job is not that of a branch.
func TestArchiveOfAPlainPipelineWithABranch(t *testing.T) {
	pr := newRun("r1")
	pr.Annotations = map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "1"}
	pr.Spec.SCM = &devopsv1alpha3.SCM{RefName: "main"}
	source := &files{log: "x"}
	b := newBench(t, syncedPipeline("build"), pr)
	b.set("r1", func(pr *devopsv1alpha3.PipelineRun) { pr.Finalizers = []string{devopsv1alpha3.PipelineRunFinalizer} })
	pr = b.get("r1")
	pr.Status.CompletionTime = &metav1.Time{Time: b.clock.Now().Add(-time.Hour)}
	if err := b.cluster.Status().Update(t.Context(), pr); err != nil {
		t.Fatal(err)
	}
	a := &Archive{Client: b.cluster, Jenkins: source, Store: &bucket{objects: map[string]string{}}, Now: b.clock.Now}
	a.setDefaults()
	if _, err := a.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(pr)}); err != nil || source.asked.Job != "build" {
		t.Errorf("%v, the log of job %q was asked for", err, source.asked.Job)
	}
}

// TestArchiveBeginsBeforeItReads: a deletion that comes right after the run was read ends the pass.
func TestArchiveBeginsBeforeItReads(t *testing.T) {
	b, a, store, pass := archiving(t, &files{log: "x", artifacts: map[string]string{"a": "1"}}, newRun("r1"))
	cancelled := false
	b.fault = func(call, when string) error {
		if call == "kube get PipelineRun" && when == "after" {
			cancelled = a.cancel(types.NamespacedName{Namespace: ns, Name: "r1"})
		}
		return nil
	}
	if _, err := pass(); err != nil || !cancelled {
		t.Errorf("%v, ended: %t", err, cancelled)
	}
	if len(store.objects) > 0 {
		t.Errorf("stored for a run that is gone: %v", store.objects)
	}
}

func TestArchiveLetsGoOfDeletedRuns(t *testing.T) {
	a := &Archive{}
	a.setDefaults()
	key := types.NamespacedName{Namespace: ns, Name: "r1"}
	ctx, done := a.begin(t.Context(), key)
	if !a.cancel(key) || ctx.Err() == nil {
		t.Error("the pass over a deleted run goes on")
	}
	done()
	if a.cancel(key) {
		t.Error("a pass that ended is still busy")
	}
}
