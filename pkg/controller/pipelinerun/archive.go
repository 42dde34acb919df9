// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
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

	// runs finds the agent that the log of a run names; nil if nobody wants to know.
	runs *Reconciler

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
		For(&devopsv1alpha3.PipelineRun{}, builder.WithPredicates(predicates.Changed(func(run *devopsv1alpha3.PipelineRun) [2]bool {
			// A run may be seen to have ended a moment before the number of its build is written.
			return [2]bool{run.Status.CompletionTime != nil, numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation) > 0}
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
	// It begins before the run is read: a deletion that the copy does not know of yet finds it, and ends it.
	work, done := a.begin(ctx, req.NamespacedName)
	defer done()
	run := &devopsv1alpha3.PipelineRun{}
	if err := a.Client.Get(work, req.NamespacedName, run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	build := numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	s := a.newScope(run)
	if err := s.readPipeline(work); err != nil { // it tells if the run's job is that of a branch
		return ctrl.Result{}, err
	}
	switch {
	case run.Status.CompletionTime == nil, !run.DeletionTimestamp.IsZero(), run.Annotations[devopsv1alpha3.ArchivedAnnotation] != "",
		build == 0, !controllerutil.ContainsFinalizer(run, devopsv1alpha3.PipelineRunFinalizer), !s.locate():
		return ctrl.Result{}, nil
	}
	files, known := artifactsOf(run)
	if age := a.Now().Sub(run.Status.CompletionTime.Time); !known && age < runJSONTime {
		// The end of the run is written before its JSON.
		return ctrl.Result{RequeueAfter: runJSONDelay}, nil
	}
	kept, err := a.archive(work, s, files)
	if errors.Is(err, context.Canceled) {
		return ctrl.Result{}, nil // the run is being deleted, or the process ends
	}
	return reconcile.Result(errors.Join(err, a.note(ctx, s, kept, err)))
}

// newScope makes a scope for a run, with what the controller of runs knows of agents.
func (a *Archive) newScope(run *devopsv1alpha3.PipelineRun) *scope {
	r := &Reconciler{Client: a.Client, Now: a.Now}
	if a.runs != nil {
		r.Agents, r.Pods, r.Options = a.runs.Agents, a.runs.Pods, a.runs.Options
	}
	return r.newScope(run)
}

const (
	// runJSONTime is how long the JSON of an ended run may take to say so, runJSONDelay how soon it is
	// looked at again.
	runJSONTime  = 15 * time.Second
	runJSONDelay = 500 * time.Millisecond
)

// artifactsOf tells by the JSON of an ended run if it has artifacts. It is not known if the JSON does not
// say so, or is from before the end.
func artifactsOf(run *devopsv1alpha3.PipelineRun) (some, known bool) {
	var shown struct {
		State     string          `json:"state"`
		Artifacts json.RawMessage `json:"artifactsZipFile"`
	}
	if json.Unmarshal([]byte(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &shown) != nil {
		return true, false
	}
	switch shown.State {
	case "", jenkins.StateQueued, jenkins.StateRunning, jenkins.StatePaused:
		return true, false
	}
	return string(shown.Artifacts) != "null", true
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

// missed are the files of a build that cannot be kept, whatever is tried.
type missed struct {
	// gone are not in Jenkins any more, unfit have names that the store cannot hold or that lead elsewhere.
	gone, unfit []string
}

// String says what is kept.
func (m *missed) String() string {
	var but []string
	if len(m.gone) > 0 {
		but = append(but, "what Jenkins does not have any more: "+listed(m.gone))
	}
	if len(m.unfit) > 0 {
		but = append(but, "files whose names cannot be kept: "+listed(m.unfit))
	}
	if len(but) == 0 {
		return "log and artifacts are kept"
	}
	return "log and artifacts are kept, but for " + strings.Join(but, ", and for ")
}

// archive copies what the store does not have. The build may be gone, or lose a file meanwhile.
func (a *Archive) archive(ctx context.Context, s *scope, files bool) (*missed, error) {
	prefix, build := ArchivePrefix(s.run), jenkins.BuildRef{Folder: s.folder, Job: s.job, Number: s.build()}
	head, but := &beginning{limit: maxLogHead}, &missed{}
	switch err := a.copyLog(ctx, prefix+"log.txt", build, head); {
	case errors.Is(err, jenkins.ErrNotFound):
		but.gone = append(but.gone, "the log")
	case err != nil:
		return but, fmt.Errorf("archive the log: %w", err)
	}
	a.noteAgent(ctx, s, head.text)
	if !files {
		return but, nil
	}
	artifacts, err := a.Jenkins.ListArtifacts(ctx, build.Folder, build.Job, build.Number)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		but.gone = append(but.gone, "the artifacts")
	case err != nil:
		return but, fmt.Errorf("list artifacts: %w", err)
	}
	for _, artifact := range artifacts {
		key := prefix + "artifacts/" + artifact.Path
		if objectstore.ValidateKey(key) != nil {
			but.unfit = append(but.unfit, strconv.Quote(artifact.Path))
			continue
		}
		// That the store refuses a file, as beyond a quota, is not for good.
		switch err := a.copyArtifact(ctx, key, build, artifact); {
		case errors.Is(err, jenkins.ErrNotFound):
			but.gone = append(but.gone, strconv.Quote(artifact.Path))
		case errors.Is(err, jenkins.ErrInvalid):
			but.unfit = append(but.unfit, strconv.Quote(artifact.Path))
		case err != nil:
			return but, fmt.Errorf("archive artifact %q: %w", artifact.Path, err)
		}
	}
	return but, nil
}

// noteAgent notes the agent that the beginning of a log names, if nobody has found it while the build ran.
func (a *Archive) noteAgent(ctx context.Context, s *scope, head []byte) {
	if a.runs == nil || s.run.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != "" {
		return
	}
	if found := runningOn.FindSubmatch(head); found != nil {
		s.readPod(ctx, string(found[1]))
		s.agentFound(string(found[1]))
	}
}

// beginning keeps the beginning of what is written to it.
type beginning struct {
	text  []byte
	limit int
}

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.limit-len(b.text))]...)
	return len(p), nil
}

// copyLog stores the log, and writes it to also, too.
func (a *Archive) copyLog(ctx context.Context, key string, build jenkins.BuildRef, also io.Writer) error {
	if _, err := a.Store.Stat(ctx, key); err == nil {
		return nil // an object appears as a whole or not at all, and an ended log does not grow
	} else if !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }() // ends the stream if the store does not read to its end
	go func() {
		_, err := a.Jenkins.StreamLog(ctx, build, 0, io.MultiWriter(also, writer))
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
func (a *Archive) note(ctx context.Context, s *scope, kept *missed, err error) error {
	run := s.run
	c := devopsv1alpha3.Condition{Type: ConditionArchived, Status: metav1.ConditionTrue, Reason: ReasonArchived, Message: shortenedTo(kept.String(), maxMessage)}
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
	run.ResourceVersion, s.read.ResourceVersion = copied.ResourceVersion, copied.ResourceVersion
	run.Status, s.read.Status = copied.Status, copied.Status
	if c.Status == metav1.ConditionTrue {
		s.annotate(devopsv1alpha3.ArchivedAnnotation, a.Now().UTC().Format(time.RFC3339))
	}
	if maps.Equal(run.Annotations, s.read.Annotations) {
		return nil
	}
	// The agent that the log names is noted also where the artifacts failed: the next pass does not read the log again.
	return client.IgnoreNotFound(a.Client.Patch(ctx, run, client.MergeFrom(s.read)))
}

// remove deletes the run's files.
func (a *Archive) remove(ctx context.Context, run *devopsv1alpha3.PipelineRun) error {
	if err := a.Store.DeletePrefix(ctx, ArchivePrefix(run)); err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return reconcile.Retry(ReasonArchiveFailed, fmt.Errorf("delete log and artifacts: %w", err))
	}
	return nil
}
