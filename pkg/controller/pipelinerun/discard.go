// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/predicates"
)

const (
	// maxDiscards is how many runs of a pipeline are being deleted at once. Each costs calls to Jenkins and to the object
	// store, and those of live runs go first.
	maxDiscards = 100
	// discardGap is how long a pipeline waits for more runs to end before it is looked at: many that end together cost one
	// pass.
	discardGap = time.Second
	// discardWait is when a pipeline is looked at again that has more to discard than may go at once, discardStuck if of those
	// that go already none is gone.
	discardWait  = 2 * time.Second
	discardStuck = 10 * time.Second
)

var (
	discarded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "slipway", Subsystem: "pipelinerun", Name: "discarded_total",
		Help: "Runs that were deleted by the discarder of their pipeline, by its type and the bound that they were beyond: number, age or gone_branches.",
	}, []string{"type", "bound"})
	discardable = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "slipway", Subsystem: "pipelinerun", Name: "discardable",
		Help:    "Runs beyond the bounds of the discarder of their pipeline, at each look at one that has some; only so many of them are deleted at once.",
		Buckets: []float64{1, 2, 5, 10, 100, 1000, 10_000, 100_000},
	})
)

func init() { metrics.Registry.MustRegister(discarded, discardable) } //nolint:gochecknoinits // controller-runtime's registry is global

// Discarder deletes the ended runs that a pipeline's discarder does not keep; it is the only thing
// that deletes runs. Jenkins discards the builds by itself. It keeps nothing between passes: what one
// did not get to do the next one finds.
type Discarder struct {
	// Client reads from the cache, with the fields of package index, and writes to the API server.
	Client client.Client
	// Archived says that log and artifacts of ended runs are stored. No run goes before that is done.
	Archived bool
	// Now tells the time.
	Now func() time.Time
}

// SetupWithManager registers the controller.
func (d *Discarder) SetupWithManager(mgr ctrl.Manager) error {
	d.Client = mgr.GetClient()
	if d.Now == nil {
		d.Now = time.Now
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("pipelinerun-discarder").
		For(&devopsv1alpha3.Pipeline{}, builder.WithPredicates(predicates.SpecChanged())).
		Watches(&devopsv1alpha3.PipelineRun{}, gathered(discardGap), builder.WithPredicates(predicates.Changed(discardState))).
		Complete(d)
}

// discardState is what of a run decides whether it may go.
func discardState(run *devopsv1alpha3.PipelineRun) [2]bool {
	return [2]bool{run.Status.CompletionTime != nil, run.Annotations[devopsv1alpha3.ArchivedAnnotation] != ""}
}

// gathered asks for a pass over the pipeline of a run that has ended, or has gone, some time later: until then others are
// gathered.
func gathered(gap time.Duration) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	add := func(obj client.Object, q queue) {
		for _, request := range endedRun(obj) {
			q.AddAfter(request, gap)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { add(e.ObjectNew, q) },
	}
}

func endedRun(obj client.Object) []ctrl.Request {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	if !ok || run.Spec.PipelineRef == nil || run.Status.CompletionTime == nil {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: run.Namespace, Name: run.Spec.PipelineRef.Name}}}
}

// Reconcile deletes what one pipeline does not keep, and comes back when the next run gets too old.
func (d *Discarder) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	pipeline := &devopsv1alpha3.Pipeline{}
	if err := d.Client.Get(ctx, req.NamespacedName, pipeline); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	keep := discarderOf(&pipeline.Spec)
	if keep == nil || !pipeline.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	runs, err := index.RunsOf(ctx, d.Client, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	found := selection{keep: keep, now: d.Now(), archived: d.Archived, branches: branchesOf(pipeline)}
	found.choose(runs)
	if len(found.discard) > 0 {
		discardable.Observe(float64(len(found.discard)))
	}
	room := max(0, maxDiscards-found.going)
	more := len(found.discard) > room
	for _, chosen := range found.discard[:min(room, len(found.discard))] {
		run := &devopsv1alpha3.PipelineRun{}
		run.Namespace, run.Name = chosen.run.Namespace, chosen.run.Name
		uid, version := chosen.run.UID, chosen.run.ResourceVersion
		// A run that has changed is looked at anew.
		err := d.Client.Delete(ctx, run, client.Preconditions{UID: &uid, ResourceVersion: &version})
		switch {
		case err == nil:
			discarded.WithLabelValues(typeOf(pipeline), chosen.bound).Inc()
		case apierrors.IsConflict(err):
			more = true
		case !apierrors.IsNotFound(err):
			return ctrl.Result{}, fmt.Errorf("discard run %s: %w", run.Name, err)
		}
	}
	switch {
	case more && room == 0:
		return ctrl.Result{RequeueAfter: discardStuck}, nil
	case more:
		return ctrl.Result{RequeueAfter: discardWait}, nil
	}
	return ctrl.Result{RequeueAfter: found.next}, nil
}

// typeOf is the type of a pipeline for a metric, whatever the object says.
func typeOf(pipeline *devopsv1alpha3.Pipeline) string {
	if pipeline.Spec.Type == devopsv1alpha3.MultiBranchPipelineType {
		return string(devopsv1alpha3.MultiBranchPipelineType)
	}
	return string(devopsv1alpha3.NoScmPipelineType)
}

// discarderOf gives the discarder that counts for a pipeline's runs; nil keeps them all. KubeSphere applies
// that of a multi-branch pipeline to branches that are gone only, so that their runs pile up.
func discarderOf(spec *devopsv1alpha3.PipelineSpec) *devopsv1alpha3.DiscarderProperty {
	switch {
	case spec.Type == devopsv1alpha3.MultiBranchPipelineType && spec.MultiBranchPipeline != nil:
		return spec.MultiBranchPipeline.Discarder
	case spec.Type != devopsv1alpha3.MultiBranchPipelineType && spec.Pipeline != nil:
		return spec.Pipeline.Discarder
	}
	return nil
}
