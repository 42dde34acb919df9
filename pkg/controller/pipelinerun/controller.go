// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipelinerun makes exactly one Jenkins build of each PipelineRun and follows it to its end.
//
// # One build
//
// Three things together keep a run from having two builds or none, whatever crashes in between.
// Every build carries the UID of its run as its cause. Before the start is sent, the intent is
// written to the run, under the condition that the run is as this process read it; so a pass over a
// stale copy starts nothing. And a run with an intent is first looked for in Jenkins by its cause.
// Jenkins merges a start into a waiting one with equal parameters; runs with equal parameters
// therefore take turns in the queue, see starts.
//
// # Following
//
// A run is looked at when it changed. Jenkins' events tell that, which the API server notes on the run,
// and a Watcher sees it: one bulk query for each Jenkins folder with live runs, seldom while events come.
// What both say is that something began or ended; how a build ended is read from Jenkins. Stage details of
// a running build, which neither shows, are refreshed at a rate that is bounded for all runs together. So a
// run costs a call to start and four or five when it has ended, however long it lives.
package pipelinerun

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// CausePrefix followed by the run's UID is the note of the build's cause.
const CausePrefix = "slipway-run:"

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns,verbs=get;list;watch;update;patch;delete
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns/finalizers,verbs=update
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Jenkins is what the controller needs of Jenkins to start, follow and end a build. The meaning of
// the calls is that of jenkins.Client.
type Jenkins interface {
	StartBuild(ctx context.Context, folder, job string, req jenkins.StartRequest) (int64, error)
	FindByCause(ctx context.Context, folder, job, cause string) (*jenkins.Found, error)
	QueueJenkins
	GetRun(ctx context.Context, folder, job string, build int64) (*jenkins.Run, error)
	RunLister
	jenkins.StageReader
	Stages(ctx context.Context, folder, job string, build int64) ([]jenkins.Stage, error)
	Log(ctx context.Context, folder, job string, build, start int64) (text io.ReadCloser, next int64, more bool, err error)
	StopBuild(ctx context.Context, folder, job string, build int64) error
	DeleteBuild(ctx context.Context, folder, job string, build int64) error
	UnmarkedJenkins
	SubmitInput(ctx context.Context, folder, job string, build int64, answer jenkins.Answer) error
}

// QueueJenkins is what the controller needs for starts that wait in the queue.
type QueueJenkins interface {
	GetQueueItem(ctx context.Context, id int64) (*jenkins.QueueItem, error)
	CancelQueueItem(ctx context.Context, id int64) error
}

// UnmarkedJenkins is what the controller needs for starts that carry no note of their run.
type UnmarkedJenkins interface {
	ReplayRun(ctx context.Context, folder, job string, build int64) (int64, error)
	UnmarkedStarts(ctx context.Context, folder, job string, match jenkins.StartMatch) ([]jenkins.Found, error)
	FindUnmarkedStart(ctx context.Context, folder, job string, match jenkins.StartMatch) (*jenkins.Found, error)
}

// PodReader reads agent pods. It should not be a cache: one pod in a build's life is not worth a
// watch of all.
type PodReader interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// Recorder writes events.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Defaults of Options.
const (
	DefaultConcurrency     = 16
	DefaultStartSettle     = 10 * time.Second
	DefaultLostAfter       = 30 * time.Second
	DefaultStartTimeout    = 30 * time.Minute
	DefaultStageInterval   = 3 * time.Second
	DefaultRefreshRate     = 2.0
	DefaultWorkerNamespace = "kubesphere-devops-worker"
)

// Options are the settings of the controller.
type Options struct {
	// Concurrency is how many runs are worked on at once. 0: DefaultConcurrency.
	Concurrency int
	// StartSettle is how long after a start without a clear answer the build may still appear in
	// Jenkins; before that it is not started again. 0: DefaultStartSettle.
	StartSettle time.Duration
	// LostAfter is how long Jenkins must deny a build that it had before the run is given up. 0:
	// DefaultLostAfter.
	LostAfter time.Duration
	// StartTimeout is how long a run may be unable to start (its pipeline is not in Jenkins, the job is
	// disabled, its agent cannot be had) before it ends as Failed. Negative: for ever. 0:
	// DefaultStartTimeout.
	StartTimeout time.Duration
	// QueueTimeout is how long a run may wait in Jenkins' queue, for whatever reason, before it is taken
	// out and ends as Failed. 0: for ever, as busy executors are no fault.
	QueueTimeout time.Duration
	// StageInterval is how often a running build and its stages are read while there are few runs and
	// something changes. 0: DefaultStageInterval.
	StageInterval time.Duration
	// RefreshRate bounds that for all running builds together, per second: with many the stages that the
	// cluster holds are those of a while ago, and those that Jenkins holds are read when somebody asks.
	// Builds that may wait for an input have as much again for themselves. 0: DefaultRefreshRate.
	RefreshRate float64
	// WorkerNamespace is where agent pods run. Empty: DefaultWorkerNamespace.
	WorkerNamespace string
}

func (o *Options) setDefaults() {
	orElse(&o.Concurrency, DefaultConcurrency)
	orElse(&o.StartSettle, DefaultStartSettle)
	orElse(&o.LostAfter, DefaultLostAfter)
	orElse(&o.StartTimeout, DefaultStartTimeout)
	orElse(&o.StageInterval, DefaultStageInterval)
	orElse(&o.RefreshRate, DefaultRefreshRate)
	orElse(&o.WorkerNamespace, DefaultWorkerNamespace)
}

func orElse[T comparable](value *T, def T) {
	var zero T
	if *value == zero {
		*value = def
	}
}

// Reconciler makes one build of each run. What it keeps between passes is in the components that it
// shares with its siblings, which are safe for many workers.
type Reconciler struct {
	// Client reads from the cache, with the fields of package index, and writes to the API server.
	Client client.Client
	// Jenkins runs the builds.
	Jenkins Jenkins
	// Watcher tells which builds changed.
	Watcher *Watcher
	// Archive keeps logs and artifacts; nil keeps none.
	Archive *Archive
	// Pods reads agent pods.
	Pods PodReader
	// Agents knows agent pods and their problems; nil: a run that waits for an agent shows Jenkins' reason
	// only.
	Agents Agents
	// Token gives the token that starts the job of a pipeline.
	Token func(*devopsv1alpha3.Pipeline) string
	// Analyze reads Jenkinsfiles, for their parameters.
	Analyze pipeline.Analyzer
	// Sealer hides the values of passwords before the start. Nil: they stand in the run until then.
	Sealer Sealer
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	starts  *starts
	memory  *memory
	endings *endings
	labels  labelCache
}

// SetupWithManager registers the controller. It fails if something that it needs is missing.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	switch {
	case r.Jenkins == nil:
		return errors.New("controller pipelinerun: no Jenkins client given")
	case r.Watcher == nil:
		return errors.New("controller pipelinerun: no watcher of builds given")
	case r.Token == nil:
		return errors.New("controller pipelinerun: no function for start tokens given")
	case r.Analyze == nil:
		return errors.New("controller pipelinerun: no Jenkinsfile analyzer given")
	}
	r.Client = mgr.GetClient()
	if r.Pods == nil {
		r.Pods = mgr.GetAPIReader()
	}
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder("pipelinerun")
	}
	r.setDefaults()
	if err := mgr.Add(r.Watcher); err != nil {
		return err
	}
	return r.watchAgents(ctrl.NewControllerManagedBy(mgr)).
		Named("pipelinerun").
		For(&devopsv1alpha3.PipelineRun{}, builder.WithPredicates(predicate.Or(predicates.SpecChanged(), r.heard()))).
		Watches(&devopsv1alpha3.Pipeline{}, handler.EnqueueRequestsFromMapFunc(r.waitingFor),
			builder.WithPredicates(predicates.Changed(func(p *devopsv1alpha3.Pipeline) bool {
				ok, _ := pipeline.InJenkins(p)
				return ok
			}))).
		WatchesRawSource(source.Channel(r.Watcher.Events(), &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Concurrency}).
		Complete(r)
}

func (r *Reconciler) setDefaults() {
	r.Options.setDefaults()
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.starts == nil {
		r.starts = newStarts(r.Watcher.Wake)
	}
	if r.memory == nil {
		r.memory = newMemory()
	}
	r.endings = newEndings(r.Now)
	r.Watcher.OnEnd(r.endings.note)
	if r.Archive != nil {
		r.Archive.runs = r
	}
}

// waitingFor gives the runs of a pipeline that have not been started.
func (r *Reconciler) waitingFor(ctx context.Context, obj client.Object) []ctrl.Request {
	runs, err := index.RunsOf(ctx, r.Client, client.ObjectKeyFromObject(obj))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the runs of a pipeline")
		return nil
	}
	var requests []ctrl.Request
	for i := range runs {
		if runs[i].Status.CompletionTime == nil && numberIn(&runs[i], devopsv1alpha3.JenkinsPipelineRunIDAnnotation) == 0 {
			requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&runs[i])})
		}
	}
	return requests
}

// Reconcile is one pass over a run.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	run := &devopsv1alpha3.PipelineRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := r.newScope(run)
	defer func() { result, err = s.finish(ctx, err) }()
	if !run.DeletionTimestamp.IsZero() {
		if !controllerutil.ContainsFinalizer(run, devopsv1alpha3.PipelineRunFinalizer) {
			s.gone = true
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, reconcile.Phases(ctx, s, endArchiving, endBuild, deleteBuild, deleteArchive, dropFinalizer)
	}
	if run.Status.CompletionTime != nil {
		r.forget(req.NamespacedName)
		s.gone = true
		return ctrl.Result{}, nil
	}
	if r.memory.justEnded(run.UID, r.Now()) {
		// The copy in the cache does not know it yet.
		s.gone = true
		return ctrl.Result{RequeueAfter: endedTime}, nil
	}
	s.recall()
	return ctrl.Result{}, reconcile.Phases(ctx, s, claim, resolve, start, followQueue, followBuild)
}

// forget drops what is kept in memory about a run that needs it no more.
func (r *Reconciler) forget(key client.ObjectKey) {
	r.memory.forget(key)
	r.release(key)
}

// release ends what others do for a run whose end is about to be written.
func (r *Reconciler) release(key client.ObjectKey) {
	r.Watcher.Forget(key)
	r.starts.forget(key)
}

// eventType is Warning for a run that failed.
func eventType(phase devopsv1alpha3.RunPhase) string {
	if phase == devopsv1alpha3.Failed || phase == devopsv1alpha3.Unknown {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
