// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline brings Pipelines to Jenkins as jobs, and knows what others must know of such a
// job: its name, the token that starts it, and its parameters.
package pipeline

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Defaults of Options.
const (
	DefaultConcurrency = 4
	DefaultResync      = 10 * time.Minute
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
	// GetJobConfig returns the config.xml of a job.
	GetJobConfig(ctx context.Context, folder, job string) ([]byte, error)
	// PutJob creates or replaces a job.
	PutJob(ctx context.Context, folder, job string, doc []byte) error
	// DeleteJob deletes a job; that it does not exist is a success.
	DeleteJob(ctx context.Context, folder, job string) error
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
}

// Analyzer reads a Jenkinsfile.
type Analyzer func(jenkinsfile string) Analysis

// Options are the settings of the controller.
type Options struct {
	// Concurrency is how many pipelines are worked on at once. 0: DefaultConcurrency.
	Concurrency int
	// Resync is how often each job is looked for in Jenkins, ±20 %, so that one that was deleted there
	// comes back. 0: DefaultResync.
	Resync time.Duration
	// Key is the secret that start tokens are derived from, at least 16 bytes, the same for all
	// processes that start builds. A new key writes all jobs anew.
	Key []byte
}

// Reconciler brings Pipelines to Jenkins. It keeps nothing between passes.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
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
	r.Client = mgr.GetClient()
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder("pipeline")
	}
	r.setDefaults()
	return ctrl.NewControllerManagedBy(mgr).
		Named("pipeline").
		For(&devopsv1alpha3.Pipeline{}, builder.WithPredicates(predicates.Changed(func(p *devopsv1alpha3.Pipeline) [2]any {
			// Who removes the hash asks for the job to be written again.
			return [2]any{p.Generation, p.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] == ""}
		}))).
		Watches(&devopsv1alpha3.DevOpsProject{}, handler.EnqueueRequestsFromMapFunc(r.ofProject),
			builder.WithPredicates(predicates.Changed(projectReady))).
		// The weather of a pipeline is that of its last runs.
		Watches(&devopsv1alpha3.PipelineRun{}, handler.EnqueueRequestsFromMapFunc(ofRun),
			builder.WithPredicates(predicates.Changed(func(run *devopsv1alpha3.PipelineRun) bool { return run.Status.CompletionTime != nil }))).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Concurrency}).
		Complete(r)
}

func (r *Reconciler) setDefaults() {
	if r.Options.Concurrency <= 0 {
		r.Options.Concurrency = DefaultConcurrency
	}
	if r.Options.Resync <= 0 {
		r.Options.Resync = DefaultResync
	}
	if r.Now == nil {
		r.Now = time.Now
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

func ofRun(_ context.Context, obj client.Object) []ctrl.Request {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	if !ok || run.Spec.PipelineRef == nil || run.Status.CompletionTime == nil {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.PipelineRef.Name}}}
}

// Reconcile is one pass over a pipeline.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := r.Client.Get(ctx, req.NamespacedName, pipeline); err != nil {
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
	return ctrl.Result{}, reconcile.Phases(ctx, s, requireProject, addFinalizer, render, ensureJob, describe)
}
