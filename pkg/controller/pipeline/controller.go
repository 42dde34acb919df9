// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline brings Pipelines to Jenkins as jobs, and knows what others must know of such a
// job: its name, the token that starts it, and its parameters.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Defaults of Options.
const (
	DefaultConcurrency = 4
	DefaultCheck       = 6 * time.Hour
	DefaultSurvey      = 10 * time.Minute
)

// minKey is the shortest key for start tokens, in bytes: shorter ones could be found by trying.
const minKey = 16

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines/finalizers,verbs=update
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects;pipelineruns,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Jenkins is what the controller needs of Jenkins. All calls are idempotent.
type Jenkins interface {
	// GetJob returns name and class of a job.
	GetJob(ctx context.Context, folder, job string) (*jenkins.JobInfo, error)
	// GetJobConfig returns the config.xml of a job.
	GetJobConfig(ctx context.Context, folder, job string) ([]byte, error)
	// PutJob creates or replaces a job.
	PutJob(ctx context.Context, folder, job string, doc []byte) error
	// DeleteJob deletes a job; that it does not exist is a success.
	DeleteJob(ctx context.Context, folder, job string) error
	// ListTree lists a folder with the branches of its multi-branch jobs.
	ListTree(ctx context.Context, folder string) ([]jenkins.JobInfo, error)
	// GetPipeline returns the numbers of a multi-branch job.
	GetPipeline(ctx context.Context, folder, job string) (*jenkins.PipelineInfo, error)
	// BranchPage returns branches of a multi-branch job.
	BranchPage(ctx context.Context, folder, job string, page jenkins.Page) ([]jenkins.BranchInfo, error)
	// Scan makes a multi-branch job look for branches.
	Scan(ctx context.Context, folder, job string) error
	// ScanState says how the last scan went.
	ScanState(ctx context.Context, folder, job string) (*jenkins.ScanState, error)
}

// Recorder writes events.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Analysis is what a Jenkinsfile tells without being run.
type Analysis struct {
	// Parameters are those of the parameters directive.
	Parameters []devopsv1alpha3.ParameterDefinition
	// Complete: the file is a Declarative Pipeline that was understood, so it has no other parameters.
	Complete bool
	// Problem says with line and column why the file does not parse; empty if it does, and for
	// scripted pipelines, which only Jenkins can judge.
	Problem string
	// Runs is what a run of the file writes into its own job.
	Runs jobxml.Runs
}

// Analyzer reads a Jenkinsfile.
type Analyzer func(jenkinsfile string) Analysis

// Options are the settings of the controller.
type Options struct {
	// Concurrency is how many pipelines are worked on at once. 0: DefaultConcurrency.
	Concurrency int
	// Check is how often the config.xml of each job is compared with the spec, ±20 %. It costs one call
	// for each pipeline. 0: DefaultCheck.
	Check time.Duration
	// Survey is how often each project's folder is listed, so that a job that was deleted, disabled or
	// replaced in Jenkins, and branches that came or went there, are found. It costs one call for
	// each project; with more than ten projects it takes longer, as there is at most one call in a minute.
	// 0: DefaultSurvey.
	Survey time.Duration
	// Key is the secret that start tokens are derived from, at least 16 bytes, the same for all
	// processes that start builds. A new key writes all jobs anew.
	Key []byte
}

// Reconciler brings Pipelines to Jenkins. Between passes it keeps nothing but a plan of what to look
// at when: asking Jenkins about each pipeline all the time would cost more than all runs.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Jenkins holds the jobs.
	Jenkins Jenkins
	// Analyze reads Jenkinsfiles.
	Analyze Analyzer
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	memory memory
	// wake lets the survey ask for passes.
	wake chan event.GenericEvent
}

// SetupWithManager registers the controller. It fails if something that it needs is missing.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	switch {
	case r.Jenkins == nil:
		return errors.New("controller pipeline: no Jenkins client given")
	case r.Analyze == nil:
		return errors.New("controller pipeline: no Jenkinsfile analyzer given")
	case len(r.Options.Key) < minKey:
		return errors.New("controller pipeline: the key for start tokens needs at least 16 bytes")
	}
	r.Client, r.Live = mgr.GetClient(), mgr.GetAPIReader()
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder("pipeline")
	}
	r.setDefaults()
	r.wake = make(chan event.GenericEvent, wakeBuffer)
	if err := mgr.Add(newSurvey(r)); err != nil {
		return fmt.Errorf("controller pipeline: add the survey: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("pipeline").
		For(&devopsv1alpha3.Pipeline{}, builder.WithPredicates(predicates.Changed(asked))).
		Watches(&devopsv1alpha3.DevOpsProject{}, handler.EnqueueRequestsFromMapFunc(r.ofProject),
			builder.WithPredicates(predicates.Changed(projectReady))).
		Watches(&devopsv1alpha3.PipelineRun{}, handler.EnqueueRequestsFromMapFunc(r.ofRun),
			builder.WithPredicates(predicates.Changed(runState))).
		WatchesRawSource(source.Channel(r.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Options.Concurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry),
		}).
		Complete(r)
}

// firstRetry and lastRetry bound the back-off of a pass that failed: a spec that was changed while Jenkins was away is there
// soon after it is back.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
)

// wakeBuffer is how many passes the survey may ask for before it waits.
const wakeBuffer = 1024

// asked is what of a Pipeline asks for a pass when it changes.
func asked(p *devopsv1alpha3.Pipeline) [5]any {
	_, scan := p.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]
	return [5]any{
		p.Generation, p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation],
		// Who removes the hash asks for the job to be written again.
		p.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] == "",
		p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation], scan,
	}
}

func (r *Reconciler) setDefaults() {
	if r.Options.Concurrency <= 0 {
		r.Options.Concurrency = DefaultConcurrency
	}
	if r.Options.Check <= 0 {
		r.Options.Check = DefaultCheck
	}
	if r.Options.Survey <= 0 {
		r.Options.Survey = DefaultSurvey
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Live == nil {
		r.Live = r.Client
	}
}

func (r *Reconciler) ofProject(ctx context.Context, project client.Object) []ctrl.Request {
	list := &devopsv1alpha3.PipelineList{}
	if err := r.Client.List(ctx, list, client.InNamespace(project.GetName())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the pipelines of a project", "project", project.GetName())
		return nil
	}
	requests := make([]ctrl.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// runState is what of a run its pipeline has to know: how it stands, and that its job is missing.
func runState(run *devopsv1alpha3.PipelineRun) [3]any {
	return [3]any{run.Status.Phase, run.Status.CompletionTime != nil, waitsForJob(run)}
}

func waitsForJob(run *devopsv1alpha3.PipelineRun) bool {
	return slices.ContainsFunc(run.Status.Conditions, func(c devopsv1alpha3.Condition) bool {
		return c.Type == devopsv1alpha3.ConditionSucceeded && c.Reason == devopsv1alpha3.ReasonWaitingForPipeline
	})
}

// newsOfRun is how long after its end a run is news: when a process starts it sees all that ever ended.
const newsOfRun = 2 * time.Minute

// ofRun plans what a change of a run asks for. The weather of a pipeline is that of its last runs, and
// so is what its branches show.
func (r *Reconciler) ofRun(_ context.Context, obj client.Object) []ctrl.Request {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	if !ok || run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name == "" {
		return nil
	}
	key := types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.PipelineRef.Name}
	now, end := r.Now(), run.Status.CompletionTime
	switch {
	case waitsForJob(run):
		r.memory.of(key, func(p *plan) { p.look = true })
	case run.Spec.SCM != nil && (end == nil || now.Sub(end.Time) < newsOfRun):
		r.memory.of(key, func(p *plan) { p.wantRefresh(now) })
	case end == nil:
		return nil
	}
	return []ctrl.Request{{NamespacedName: key}}
}

// Reconcile is one pass over a pipeline.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := r.Client.Get(ctx, req.NamespacedName, pipeline); err != nil {
		if apierrors.IsNotFound(err) {
			r.memory.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := r.newScope(pipeline)
	defer func() { result, err = s.finish(ctx, err) }()
	if !pipeline.DeletionTimestamp.IsZero() {
		if !controllerutil.ContainsFinalizer(pipeline, devopsv1alpha3.PipelineFinalizer) {
			s.gone = true
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, reconcile.Phases(ctx, s, deleteJob, dropFinalizer)
	}
	return ctrl.Result{}, reconcile.Phases(ctx, s, convertJenkinsfile, recordJenkinsfile, requireProject, addFinalizer, render, ensureJob, scanRepository, readBranches, describe)
}
