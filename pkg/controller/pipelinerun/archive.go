// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// ConditionArchived is true once log and artifacts of an ended run are in the object store.
const ConditionArchived devopsv1alpha3.ConditionType = "Archived"

// Reasons of the condition Archived.
const (
	ReasonArchived      = "Archived"
	ReasonArchiveFailed = "ArchiveFailed"
)

// Defaults of ArchiveOptions.
const (
	DefaultArchiveConcurrency = 2
	DefaultArchiveTimeout     = 30 * time.Minute
)

// ArchiveSource gives log and artifacts of a build.
type ArchiveSource interface {
	StreamLog(ctx context.Context, build jenkins.BuildRef, from int64, w io.Writer) (int64, error)
	ListArtifacts(ctx context.Context, folder, job string, build int64) ([]jenkins.Artifact, error)
	OpenArtifact(ctx context.Context, folder, job string, build int64, path string) (*jenkins.ArtifactContent, error)
}

// ObjectStore keeps files.
type ObjectStore interface {
	Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error
	Stat(ctx context.Context, key string) (objectstore.Info, error)
	DeletePrefix(ctx context.Context, prefix string) error
}

// ArchiveOptions are the settings of an Archive.
type ArchiveOptions struct {
	// Concurrency is how many runs are archived at once. 0: DefaultArchiveConcurrency.
	Concurrency int
	// Timeout bounds the work on one run. 0: DefaultArchiveTimeout.
	Timeout time.Duration
}

// Archive copies log and artifacts of ended runs to the object store, so that they outlive Jenkins'
// discarder. It is a controller of its own: large files must not hold up the runs that are live. What
// was copied by a pass that failed later is not copied again.
type Archive struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Jenkins has the files.
	Jenkins ArchiveSource
	// Store gets them.
	Store ObjectStore
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options ArchiveOptions

	mu sync.Mutex
	// busy are the runs that are being archived; a run that is deleted cancels its pass.
	busy map[client.ObjectKey]context.CancelFunc
}

// SetupWithManager registers the controller. It fails if something that it needs is missing.
func (a *Archive) SetupWithManager(mgr ctrl.Manager) error {
	if a.Jenkins == nil || a.Store == nil {
		return errors.New("controller pipelinerun-archive: needs a Jenkins client and an object store")
	}
	a.Client = mgr.GetClient()
	a.setDefaults()
	return ctrl.NewControllerManagedBy(mgr).
		Named("pipelinerun-archive").
		For(&devopsv1alpha3.PipelineRun{}, builder.WithPredicates(predicates.Changed(func(run *devopsv1alpha3.PipelineRun) bool {
			return run.Status.CompletionTime != nil
		}))).
		WithOptions(controller.Options{MaxConcurrentReconciles: a.Options.Concurrency}).
		Complete(a)
}

func (a *Archive) setDefaults() {
	orElse(&a.Options.Concurrency, DefaultArchiveConcurrency)
	orElse(&a.Options.Timeout, DefaultArchiveTimeout)
	if a.Now == nil {
		a.Now = time.Now
	}
}

// ArchivePrefix gives the folder of a run in the object store, with a slash at its end. Its log is
// log.txt in it, its artifacts are below artifacts/.
func ArchivePrefix(run *devopsv1alpha3.PipelineRun) string {
	return fmt.Sprintf("runs/%s/%s-%s/", run.Namespace, run.Name, run.UID)
}

// Reconcile archives one run.
func (a *Archive) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	run := &devopsv1alpha3.PipelineRun{}
	if err := a.Client.Get(ctx, req.NamespacedName, run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	build := numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	s := &scope{run: run}
	switch {
	case run.Status.CompletionTime == nil, !run.DeletionTimestamp.IsZero(), run.Annotations[devopsv1alpha3.ArchivedAnnotation] != "",
		build == 0, !controllerutil.ContainsFinalizer(run, devopsv1alpha3.PipelineRunFinalizer), !s.locate():
		return ctrl.Result{}, nil
	}
	ctx, done := a.begin(ctx, req.NamespacedName)
	defer done()
	err := a.archive(ctx, run, jenkins.BuildRef{Folder: s.folder, Job: s.job, Number: build})
	if errors.Is(err, context.Canceled) {
		return ctrl.Result{}, nil // the run is being deleted, or the process ends
	}
	return reconcile.Result(errors.Join(err, a.note(ctx, run, err)))
}

func (a *Archive) begin(ctx context.Context, key client.ObjectKey) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, a.Options.Timeout)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy == nil {
		a.busy = map[client.ObjectKey]context.CancelFunc{}
	}
	a.busy[key] = cancel
	return ctx, func() {
		cancel()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.busy, key)
	}
}

// cancel ends the pass over a run and tells if there was one.
func (a *Archive) cancel(key client.ObjectKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	end, busy := a.busy[key]
	if busy {
		end()
	}
	return busy
}

// archive copies what the store does not have. The build may be gone, or lose a file meanwhile: what
// Jenkins no longer has cannot be kept.
func (a *Archive) archive(ctx context.Context, run *devopsv1alpha3.PipelineRun, build jenkins.BuildRef) error {
	prefix := ArchivePrefix(run)
	if err := a.copyLog(ctx, prefix+"log.txt", build); err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return fmt.Errorf("archive the log: %w", err)
	}
	artifacts, err := a.Jenkins.ListArtifacts(ctx, build.Folder, build.Job, build.Number)
	if err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return fmt.Errorf("list artifacts: %w", err)
	}
	for _, artifact := range artifacts {
		err := a.copyArtifact(ctx, prefix+"artifacts/"+artifact.Path, build, artifact)
		// A name that the store cannot hold, or that leads elsewhere, is left out for good.
		if err != nil && !errors.Is(err, jenkins.ErrNotFound) && !errors.Is(err, objectstore.ErrInvalid) && !errors.Is(err, jenkins.ErrInvalid) {
			return fmt.Errorf("archive artifact %q: %w", artifact.Path, err)
		}
	}
	return nil
}

func (a *Archive) copyLog(ctx context.Context, key string, build jenkins.BuildRef) error {
	if _, err := a.Store.Stat(ctx, key); err == nil {
		return nil // an object appears as a whole or not at all, and an ended log does not grow
	} else if !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }() // ends the stream if the store does not read to its end
	go func() {
		_, err := a.Jenkins.StreamLog(ctx, build, 0, writer)
		_ = writer.CloseWithError(err)
	}()
	return a.Store.Put(ctx, key, reader, -1, "text/plain; charset=utf-8")
}

func (a *Archive) copyArtifact(ctx context.Context, key string, build jenkins.BuildRef, artifact jenkins.Artifact) error {
	if info, err := a.Store.Stat(ctx, key); err == nil && info.Size == artifact.Size {
		return nil
	} else if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	content, err := a.Jenkins.OpenArtifact(ctx, build.Folder, build.Job, build.Number, artifact.Path)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	// Jenkins guesses a type from the name; as a browser may follow it, none is kept.
	return a.Store.Put(ctx, key, content, content.Size, "application/octet-stream")
}

// note writes what became of the run. The conditions are one list that is written as a whole, so the
// write needs the run as it was read.
func (a *Archive) note(ctx context.Context, run *devopsv1alpha3.PipelineRun, err error) error {
	s := &scope{Reconciler: &Reconciler{Client: a.Client, Now: a.Now}, run: run}
	s.synced()
	c := devopsv1alpha3.Condition{Type: ConditionArchived, Status: metav1.ConditionTrue, Reason: ReasonArchived, Message: "log and artifacts are kept"}
	if err != nil {
		c.Status, c.Reason = metav1.ConditionFalse, ReasonArchiveFailed
		c.Message = shortenedTo("log and artifacts are not kept yet, it is tried again: "+err.Error(), maxMessage)
	}
	s.setCondition(c)
	patch := client.MergeFromWithOptions(s.read, client.MergeFromWithOptimisticLock{})
	copied := run.DeepCopy()
	if perr := a.Client.Status().Patch(ctx, copied, patch); perr != nil {
		return client.IgnoreNotFound(perr)
	}
	if c.Status != metav1.ConditionTrue {
		return nil
	}
	run.ResourceVersion = copied.ResourceVersion
	s.synced()
	s.annotate(devopsv1alpha3.ArchivedAnnotation, a.Now().UTC().Format(time.RFC3339))
	return client.IgnoreNotFound(a.Client.Patch(ctx, run, client.MergeFrom(s.read)))
}

// remove deletes the run's files.
func (a *Archive) remove(ctx context.Context, run *devopsv1alpha3.PipelineRun) error {
	if err := a.Store.DeletePrefix(ctx, ArchivePrefix(run)); err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return reconcile.Retry(ReasonArchiveFailed, fmt.Errorf("delete log and artifacts: %w", err))
	}
	return nil
}
