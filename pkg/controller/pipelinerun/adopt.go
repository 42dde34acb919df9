// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns,verbs=create
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines,verbs=patch

// BuildLister is what adoption needs of Jenkins.
type BuildLister interface {
	BulkStatus
	StartedBuilds(ctx context.Context, folder, job string) ([]jenkins.StartedBuild, error)
}

// Defaults of AdopterOptions.
const (
	DefaultAdoptInterval = 10 * time.Minute
	DefaultAdoptGap      = time.Minute
)

const (
	// holdDelay is how soon a build is looked at again that may be that of a run which is just starting.
	holdDelay = 5 * time.Second
	// adoptRetry is how soon a look is repeated that Jenkins did not answer.
	adoptRetry = 30 * time.Second
	// adoptWorkers is how many pipelines are looked at at once.
	adoptWorkers = 2
)

// AdopterOptions are the settings of an Adopter.
type AdopterOptions struct {
	// Interval is how often each folder is looked at without being asked to. 0: DefaultAdoptInterval.
	// Negative: never.
	Interval time.Duration
	// Gap is the least time between two such looks, whichever folders they are at: with many folders each
	// one's turn comes less often. 0: DefaultAdoptGap.
	Gap time.Duration
}

// Adopter makes PipelineRuns of builds that were started in Jenkins: by a person, a timer, a webhook, or
// the scan of a repository. It looks at a pipeline when that is asked for by an annotation, and at each
// folder now and then, by one call for all its pipelines.
//
// A build becomes at most one run: its name follows from the pipeline and the build's number. A mark on
// the Pipeline says up to which build all have been looked at, so that those whose runs were deleted do not
// come back. Where there is no mark yet, the builds since the creation of the Pipeline count; those that a
// job had before Slipway knew it stay Jenkins' own.
type Adopter struct {
	// Client reads from the cache, with the fields of package index, and writes to the API server.
	Client client.Client
	// Reader reads from the API server itself: before a build is adopted it must be sure that no run has it.
	Reader client.Reader
	// Jenkins lists builds.
	Jenkins BuildLister
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options AdopterOptions

	events chan event.GenericEvent
	mu     sync.Mutex
	// seen are the newest answers about pipelines with builds that no run has.
	seen map[client.ObjectKey]map[string][]jenkins.BuildStatus
}

// SetupWithManager registers the controller and its regular looks.
func (a *Adopter) SetupWithManager(mgr ctrl.Manager) error {
	if a.Jenkins == nil {
		return errors.New("controller pipelinerun-adopter: no Jenkins client given")
	}
	a.Client, a.Reader = mgr.GetClient(), mgr.GetAPIReader()
	if a.Recorder == nil {
		a.Recorder = mgr.GetEventRecorder("pipelinerun-adopter")
	}
	a.setDefaults()
	if err := mgr.Add(a); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("pipelinerun-adopter").
		For(&devopsv1alpha3.Pipeline{}, builder.WithPredicates(predicates.Changed(func(p *devopsv1alpha3.Pipeline) string {
			return p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation]
		}))).
		WatchesRawSource(source.Channel(a.events, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: adoptWorkers}).
		Complete(a)
}

func (a *Adopter) setDefaults() {
	orElse(&a.Options.Interval, DefaultAdoptInterval)
	orElse(&a.Options.Gap, DefaultAdoptGap)
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.seen == nil {
		a.seen, a.events = map[client.ObjectKey]map[string][]jenkins.BuildStatus{}, make(chan event.GenericEvent)
	}
}

// NeedLeaderElection says that only the process whose controllers work looks around.
func (a *Adopter) NeedLeaderElection() bool { return true }

// put keeps the answer about a pipeline for its next pass.
func (a *Adopter) put(key client.ObjectKey, jobs map[string][]jenkins.BuildStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[key] = jobs
}

func (a *Adopter) take(key client.ObjectKey) map[string][]jenkins.BuildStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	jobs := a.seen[key]
	delete(a.seen, key)
	return jobs
}

// adoption is one pass over a pipeline.
type adoption struct {
	*Adopter
	pipeline *devopsv1alpha3.Pipeline
	marks    *marks
	// runs are the runs of the pipeline on the API server; listed when they are needed.
	runs   []devopsv1alpha3.PipelineRun
	listed bool
	// held: a build is looked at again, as it may belong to a run that is just starting.
	held bool
}

// Reconcile adopts what one pipeline has.
func (a *Adopter) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	jobs := a.take(req.NamespacedName)
	p := &devopsv1alpha3.Pipeline{}
	if err := a.Client.Get(ctx, req.NamespacedName, p); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	asked := p.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation] != ""
	if !p.DeletionTimestamp.IsZero() || jobs == nil && !asked {
		return ctrl.Result{}, nil
	}
	if owned, err := pipeline.OwnsFolder(ctx, a.Client, p.Namespace); err != nil || !owned {
		return ctrl.Result{}, err
	}
	pass := &adoption{Adopter: a, pipeline: p, marks: readMarks(p)}
	err := pass.run(ctx, jobs, asked)
	switch {
	case err == nil && !pass.held:
		return ctrl.Result{}, nil
	case jobs != nil:
		a.put(req.NamespacedName, jobs)
	}
	switch {
	case err == nil:
		return ctrl.Result{RequeueAfter: holdDelay}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: time.Second}, nil
	case away(err):
		return ctrl.Result{RequeueAfter: adoptRetry}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, err
}

func (p *adoption) run(ctx context.Context, jobs map[string][]jenkins.BuildStatus, asked bool) error {
	before := p.marks.clone()
	if asked || jobs == nil {
		var err error
		if jobs, err = p.ask(ctx); err != nil {
			return err
		}
	}
	var err error
	for _, job := range sortedKeys(jobs) {
		if err = p.job(ctx, job, jobs[job]); err != nil {
			err = fmt.Errorf("adopt builds of job %s/%s: %w", p.pipeline.Namespace, jobPathOf(p.pipeline, job), err)
			break
		}
	}
	done := asked && err == nil && !p.held
	if !done && p.marks.equal(before) {
		return err
	}
	return errors.Join(err, p.writeMarks(ctx, done))
}

// ask gives the newest builds of the pipeline's jobs. Their keys are the branches, "" for a pipeline
// without branches.
func (p *adoption) ask(ctx context.Context) (map[string][]jenkins.BuildStatus, error) {
	if p.pipeline.Spec.Type != devopsv1alpha3.MultiBranchPipelineType {
		// The call that tells what started them tells all of them.
		return map[string][]jenkins.BuildStatus{"": nil}, nil
	}
	all, err := p.Jenkins.BuildStatuses(ctx, p.pipeline.Namespace)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	jobs := jobsOf(p.pipeline, all)
	p.marks.keep(jobs)
	return jobs, nil
}

// job adopts the builds of one job, from the oldest on. The mark follows.
func (p *adoption) job(ctx context.Context, branch string, statuses []jenkins.BuildStatus) error {
	if statuses != nil && !p.marks.anyFresh(branch, statuses) {
		return nil
	}
	builds, err := p.Jenkins.StartedBuilds(ctx, p.pipeline.Namespace, jobPathOf(p.pipeline, branch))
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	for _, build := range slices.Backward(builds) {
		if !p.marks.fresh(branch, build.Number, build.Start) {
			continue
		}
		if startedHere(&build) {
			p.marks.advance(branch, build.Number, build.Start)
			continue
		}
		if err := p.list(ctx); err != nil {
			return err
		}
		switch p.decide(branch, &build) {
		case hold:
			p.held = true
			return nil
		case adopt:
			if err := p.create(ctx, branch, &build); err != nil {
				return err
			}
		}
		p.marks.advance(branch, build.Number, build.Start)
	}
	return nil
}

// list reads the pipeline's runs from the API server: the cache may not know of the newest.
func (p *adoption) list(ctx context.Context) error {
	if p.listed {
		return nil
	}
	list := &devopsv1alpha3.PipelineRunList{}
	labels := client.MatchingLabels{devopsv1alpha3.PipelineNameLabel: reconcile.LabelValue(p.pipeline.Name)}
	if err := p.Reader.List(ctx, list, client.InNamespace(p.pipeline.Namespace), labels); err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	p.runs = slices.DeleteFunc(list.Items, func(r devopsv1alpha3.PipelineRun) bool {
		return r.Spec.PipelineRef == nil || r.Spec.PipelineRef.Name != p.pipeline.Name
	})
	p.listed = true
	return nil
}

// fate is what becomes of a build.
type fate int

const (
	// known: a run has it, or had it.
	known fate = iota
	// hold: it may be that of a run that is just starting.
	hold
	// adopt: it is Jenkins' own.
	adopt
)

func (p *adoption) decide(branch string, build *jenkins.StartedBuild) fate {
	answer := adopt
	for i := range p.runs {
		run := &p.runs[i]
		if branchOf(run) != branch {
			continue
		}
		if hasBuild(run, build) {
			return known
		}
		_, intended := run.Annotations[devopsv1alpha3.StartIntentAnnotation]
		if intended && inQueue(run) && numberIn(run, devopsv1alpha3.QueueItemAnnotation) == 0 {
			answer = hold
		}
	}
	return answer
}

// hasBuild tells if a run has the build. A job that was made anew counts its builds from 1 again: the run
// may be about an older one of the same number.
func hasBuild(run *devopsv1alpha3.PipelineRun, build *jenkins.StartedBuild) bool {
	if end := run.Status.CompletionTime; end != nil && build.Start.Sub(end.Time) > maxSkew {
		return false
	}
	return numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation) == build.Number ||
		build.QueueID > 0 && numberIn(run, devopsv1alpha3.QueueItemAnnotation) == build.QueueID
}

// Start looks at one folder after the other, until the context ends.
func (a *Adopter) Start(ctx context.Context) error {
	a.setDefaults()
	if a.Options.Interval < 0 {
		return nil
	}
	last := ""
	for {
		folders, err := a.folders(ctx)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list the pipelines to look for builds of")
		}
		if !pause(ctx, jittered(max(a.Options.Gap, a.Options.Interval/time.Duration(max(1, len(folders)))))) {
			return nil
		}
		names := sortedKeys(folders)
		if len(names) == 0 {
			continue
		}
		at, found := slices.BinarySearch(names, last)
		if found {
			at++
		}
		last = names[at%len(names)]
		if err := a.look(ctx, last, folders[last]); err != nil && ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).V(1).Info("the builds of a folder cannot be read", "folder", last, "error", err.Error())
		}
	}
}

// folders gives the pipelines of each namespace.
func (a *Adopter) folders(ctx context.Context) (map[string][]devopsv1alpha3.Pipeline, error) {
	list := &devopsv1alpha3.PipelineList{}
	if err := a.Client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	out := map[string][]devopsv1alpha3.Pipeline{}
	for _, p := range list.Items {
		out[p.Namespace] = append(out[p.Namespace], p)
	}
	return out, nil
}

// look makes one call for a folder, and wakes its pipelines that have builds which no run has.
func (a *Adopter) look(ctx context.Context, folder string, pipelines []devopsv1alpha3.Pipeline) error {
	if owned, err := pipeline.OwnsFolder(ctx, a.Client, folder); err != nil || !owned {
		return err
	}
	all, err := a.Jenkins.BuildStatuses(ctx, folder)
	if err != nil {
		if errors.Is(err, jenkins.ErrNotFound) {
			return nil
		}
		return err
	}
	for i := range pipelines {
		p := &pipelines[i]
		runs, err := index.RunsOf(ctx, a.Client, client.ObjectKeyFromObject(p))
		if err != nil {
			return err
		}
		jobs := jobsOf(p, all)
		if !readMarks(p).anyUnknown(jobs, runs) {
			continue
		}
		a.put(client.ObjectKeyFromObject(p), jobs)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a.events <- event.GenericEvent{Object: p}:
		}
	}
	return nil
}

var (
	_ BuildLister = (*jenkins.Client)(nil)
)
