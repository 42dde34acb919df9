// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// surveyGap is the least time between two listings, so that any number of projects costs at most a call a minute.
	surveyGap = time.Minute
	// troubledSurvey is how often the folder of a pipeline is listed that waits for somebody to act in Jenkins.
	troubledSurvey = 2 * time.Minute
	// idleSurvey is how often to look for new projects.
	idleSurvey = time.Minute
)

// survey lists the folders of all projects in turn, one call for each, and wakes the pipelines whose jobs are not as their
// conditions say. So hundreds of idle pipelines cost as little as one. It runs on the elected leader only.
type survey struct {
	r *Reconciler
	// next is when a folder is to be listed.
	next map[string]time.Time
}

func newSurvey(r *Reconciler) *survey { return &survey{r: r, next: map[string]time.Time{}} }

// Start implements manager.Runnable.
func (v *survey) Start(ctx context.Context) error {
	for {
		timer := time.NewTimer(v.step(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// step lists the folder that is due for the longest time, if any, and says when the next step is.
func (v *survey) step(ctx context.Context) time.Duration {
	list := &devopsv1alpha3.PipelineList{}
	if err := v.r.Client.List(ctx, list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list pipelines")
		return idleSurvey
	}
	folders := map[string][]*devopsv1alpha3.Pipeline{}
	for i := range list.Items {
		p := &list.Items[i]
		if p.DeletionTimestamp.IsZero() && (p.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] != "" || conflicted(p)) {
			folders[p.Namespace] = append(folders[p.Namespace], p)
		}
	}
	now := v.r.Now()
	due := v.plan(folders, now)
	if due == "" {
		return v.wait(now)
	}
	interval := jitter(v.r.Options.Survey)
	if slices.ContainsFunc(folders[due], troubled) {
		interval = min(interval, jitter(troubledSurvey))
	}
	v.next[due] = now.Add(interval)
	jobs, err := v.r.Jenkins.ListTree(ctx, due)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		// The folder is gone: one pipeline is enough to bring it back, and the next listing shows what else is missing.
		first := folders[due][0]
		v.r.memory.of(client.ObjectKeyFromObject(first), func(p *plan) { p.look = true })
		v.wake(ctx, folders[due][:1])
		v.next[due] = now.Add(jitter(troubledSurvey))
	case err == nil:
		v.wake(ctx, v.compare(folders[due], jobs))
	case !jenkins.Away(err):
		ctrl.LoggerFrom(ctx).Error(err, "list jobs", "folder", due)
	}
	return max(surveyGap, v.wait(v.r.Now()))
}

// plan gives each folder its time and returns the one that is due for the longest.
func (v *survey) plan(folders map[string][]*devopsv1alpha3.Pipeline, now time.Time) (due string) {
	for folder := range v.next {
		if folders[folder] == nil {
			delete(v.next, folder)
		}
	}
	for folder, pipelines := range folders {
		at, known := v.next[folder]
		if !known {
			at = now.Add(upTo(v.r.Options.Survey))
		}
		if limit := now.Add(troubledSurvey); at.After(limit) && slices.ContainsFunc(pipelines, troubled) {
			at = limit
		}
		v.next[folder] = at
		if !at.After(now) && (due == "" || at.Before(v.next[due])) {
			due = folder
		}
	}
	return due
}

// wait is how long no folder is due.
func (v *survey) wait(now time.Time) time.Duration {
	wait := idleSurvey
	for _, at := range v.next {
		wait = min(wait, at.Sub(now))
	}
	return max(wait, time.Second)
}

// conflicted tells if another job has the pipeline's name.
func conflicted(p *devopsv1alpha3.Pipeline) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced)
	return c != nil && (c.Reason == devopsv1alpha3.ReasonJobClassConflict || c.Reason == devopsv1alpha3.ReasonJobNameConflict)
}

func disabled(p *devopsv1alpha3.Pipeline) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced)
	return c != nil && c.Reason == devopsv1alpha3.ReasonJobDisabled
}

func troubled(p *devopsv1alpha3.Pipeline) bool { return conflicted(p) || disabled(p) }

// compare returns the pipelines whose jobs are not as their conditions say.
func (v *survey) compare(pipelines []*devopsv1alpha3.Pipeline, jobs []jenkins.JobInfo) (wake []*devopsv1alpha3.Pipeline) {
	byName, byFold := map[string]*jenkins.JobInfo{}, map[string]bool{}
	for i := range jobs {
		byName[jobs[i].Name], byFold[strings.ToLower(jobs[i].Name)] = &jobs[i], true
	}
	for _, p := range pipelines {
		job, key := byName[JobName(p)], client.ObjectKeyFromObject(p)
		class := jenkins.PipelineClass
		if p.Spec.MultiBranchPipeline != nil {
			class = jenkins.MultiBranchClass
		}
		var look bool
		switch {
		case job == nil:
			// What only looks like the name is in the way as long as it is there.
			look = !conflicted(p) || !byFold[strings.ToLower(JobName(p))]
		case job.Class != class:
			look = !conflicted(p)
		case conflicted(p):
			look = true
		case class == jenkins.PipelineClass:
			look = job.Disabled() != disabled(p)
		default:
			// Of a multi-branch job the list does not say whether it is disabled.
			look = disabled(p)
		}
		if look {
			v.r.memory.of(key, func(plan *plan) { plan.look = true })
		}
		if v.branchesChanged(p, job) || look {
			wake = append(wake, p)
		}
	}
	return wake
}

// branchesChanged tells if a multi-branch job has other branches than its pipeline shows, and plans to read them.
func (v *survey) branchesChanged(p *devopsv1alpha3.Pipeline, job *jenkins.JobInfo) (changed bool) {
	if job == nil || job.Class != jenkins.MultiBranchClass || p.Spec.MultiBranchPipeline == nil {
		return false
	}
	slices.Sort(job.Branches)
	sum := sha256.Sum256([]byte(strings.Join(job.Branches, "\n")))
	now, listed := v.r.Now(), hex.EncodeToString(sum[:])
	v.r.memory.of(client.ObjectKeyFromObject(p), func(plan *plan) {
		// The two lists may differ for ever: only a change counts, and what this process sees first.
		changed = plan.listed != listed && (plan.listed != "" || differs(p, job.Branches))
		plan.listed = listed
		if changed {
			plan.wantRefresh(now)
		}
		if changed && scanFailed(p) && plan.scan == nil {
			plan.scan = newScan(now)
		}
	})
	return changed
}

// differs compares the names of branches with those that the pipeline shows; of very many it shows some only.
func differs(p *devopsv1alpha3.Pipeline, names []string) bool {
	var shown []struct {
		Name string `json:"name"`
	}
	var total struct {
		Branches     int `json:"totalNumberOfBranches"`
		PullRequests int `json:"totalNumberOfPullRequests"`
	}
	if json.Unmarshal([]byte(p.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]), &shown) != nil ||
		json.Unmarshal([]byte(p.Annotations[devopsv1alpha3.PipelineJenkinsMetadataAnnotation]), &total) != nil {
		return true
	}
	if total.Branches+total.PullRequests != len(names) {
		return true
	}
	for _, b := range shown {
		if _, ok := slices.BinarySearch(names, b.Name); !ok {
			return true
		}
	}
	return false
}

// wake asks for a pass over each pipeline.
func (v *survey) wake(ctx context.Context, pipelines []*devopsv1alpha3.Pipeline) {
	for _, p := range pipelines {
		select {
		case v.r.wake <- event.GenericEvent{Object: p}:
		case <-ctx.Done():
			return
		}
	}
}
