// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// files is a build's log and artifacts.
type files struct {
	log       string
	artifacts map[string]string
	logErr    error
	opened    int
}

func (f *files) StreamLog(_ context.Context, _ jenkins.BuildRef, _ int64, w io.Writer) (int64, error) {
	n, err := io.WriteString(w, f.log)
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
	text := f.artifacts[path]
	return &jenkins.ArtifactContent{ReadCloser: io.NopCloser(strings.NewReader(text)), Size: int64(len(text))}, nil
}

// bucket is an object store in memory, for several users at once.
type bucket struct {
	mu      sync.Mutex
	objects map[string]string
	err     error
}

func (s *bucket) Put(_ context.Context, key string, r io.Reader, _ int64, _ string) error {
	if err := objectstore.ValidateKey(key); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
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
