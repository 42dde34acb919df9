// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/predicates"
)

const day = 24 * time.Hour

// Discarder deletes the ended runs that a pipeline's discarder does not keep; it is the only thing
// that deletes runs. Jenkins discards the builds by itself.
type Discarder struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
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
		Watches(&devopsv1alpha3.PipelineRun{}, handler.EnqueueRequestsFromMapFunc(endedRun),
			builder.WithPredicates(predicates.Changed(func(run *devopsv1alpha3.PipelineRun) bool { return run.Status.CompletionTime != nil }))).
		Complete(d)
}

func endedRun(_ context.Context, obj client.Object) []ctrl.Request {
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
	discard, next := toDiscard(runs, keep, d.Now())
	for i := range discard {
		err := d.Client.Delete(ctx, &discard[i], client.Preconditions{UID: &discard[i].UID})
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("discard run %s: %w", discard[i].Name, err)
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
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

// toDiscard gives the ended runs beyond the discarder's bounds, and the time until the next one gets
// too old, 0 if none will. Live runs neither count nor go. The number counts for each branch by itself.
func toDiscard(runs []devopsv1alpha3.PipelineRun, keep *devopsv1alpha3.DiscarderProperty, now time.Time) (discard []devopsv1alpha3.PipelineRun, next time.Duration) {
	number, days := bound(keep.NumToKeep), bound(keep.DaysToKeep)
	done := slices.DeleteFunc(slices.Clone(runs), func(r devopsv1alpha3.PipelineRun) bool {
		return r.Status.CompletionTime == nil || !r.DeletionTimestamp.IsZero()
	})
	slices.SortFunc(done, newestFirst)
	kept := map[string]int{}
	for _, run := range done {
		branch := branchOf(&run)
		kept[branch]++
		age := now.Sub(run.Status.CompletionTime.Time)
		limit := time.Duration(days) * day
		switch {
		case number > 0 && kept[branch] > number, days > 0 && age >= limit:
			discard = append(discard, run)
		case days > 0 && (next == 0 || limit-age < next):
			next = limit - age
		}
	}
	return discard, next
}

// newestFirst orders runs by when they began. That of an adopted run is older than the run.
func newestFirst(a, b devopsv1alpha3.PipelineRun) int {
	number := func(r *devopsv1alpha3.PipelineRun) int64 {
		return numberIn(r, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	}
	return cmp.Or(startOf(&b).Compare(startOf(&a)), cmp.Compare(number(&b), number(&a)), strings.Compare(b.Name, a.Name))
}

func startOf(run *devopsv1alpha3.PipelineRun) time.Time {
	if run.Status.StartTime != nil {
		return run.Status.StartTime.Time
	}
	return run.CreationTimestamp.Time
}

// bound reads a number of days or runs; 0 means without bound. So does 0 itself, as Jenkins would
// otherwise have to forget a run the moment that it ends.
func bound(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
