// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// maxMarks bounds how many branches a Pipeline has marks of; each takes some 60 bytes of its annotations.
const maxMarks = 1000

// marks say up to which build the jobs of a pipeline have been looked at. All times are Jenkins' own, in
// milliseconds.
type marks struct {
	// Since: of a job without a mark, only builds that began later count.
	Since int64 `json:"since"`
	// Jobs has the marks of branches, under "" that of a pipeline without.
	Jobs map[string]mark `json:"jobs,omitempty"`
}

// mark is the newest build that was looked at.
type mark struct {
	Number int64 `json:"n"`
	Start  int64 `json:"t"`
}

// readMarks reads the marks of a pipeline. Without any, all builds since its creation are new.
func readMarks(p *devopsv1alpha3.Pipeline) *marks {
	m := &marks{}
	if text := p.Annotations[devopsv1alpha3.PipelineAdoptedBuildsAnnotation]; text == "" || json.Unmarshal([]byte(text), m) != nil {
		m = &marks{Since: p.CreationTimestamp.Add(-maxSkew).UnixMilli()}
	}
	if m.Jobs == nil {
		m.Jobs = map[string]mark{}
	}
	return m
}

func (m *marks) clone() *marks { return &marks{Since: m.Since, Jobs: maps.Clone(m.Jobs)} }
func (m *marks) equal(other *marks) bool {
	return m.Since == other.Since && maps.Equal(m.Jobs, other.Jobs)
}

// fresh tells if a build has not been looked at. One with a lower number that began later is of a job that
// was made anew.
func (m *marks) fresh(branch string, number int64, start time.Time) bool {
	at, ok := m.Jobs[branch]
	if !ok {
		return start.UnixMilli() > m.Since
	}
	return number > at.Number || start.UnixMilli() > at.Start+maxSkew.Milliseconds()
}

func (m *marks) anyFresh(branch string, builds []jenkins.BuildStatus) bool {
	return slices.ContainsFunc(builds, func(b jenkins.BuildStatus) bool { return m.fresh(branch, b.Number, b.Start) })
}

// anyUnknown tells if there is a build that has not been looked at and that no run has.
func (m *marks) anyUnknown(jobs map[string][]jenkins.BuildStatus, runs []devopsv1alpha3.PipelineRun) bool {
	for branch, builds := range jobs {
		for _, b := range builds {
			if !m.fresh(branch, b.Number, b.Start) {
				continue
			}
			build := &jenkins.StartedBuild{Number: b.Number, QueueID: b.QueueID, Start: b.Start}
			if !slices.ContainsFunc(runs, func(r devopsv1alpha3.PipelineRun) bool { return branchOf(&r) == branch && hasBuild(&r, build) }) {
				return true
			}
		}
	}
	return false
}

func (m *marks) advance(branch string, number int64, start time.Time) {
	m.Jobs[branch] = mark{Number: number, Start: start.UnixMilli()}
}

// keep drops the marks of branches that Jenkins does not have any more. Should one come back, its builds
// until now stay looked at.
func (m *marks) keep(jobs map[string][]jenkins.BuildStatus) {
	for branch, at := range m.Jobs {
		if _, ok := jobs[branch]; !ok {
			m.drop(branch, at)
		}
	}
}

func (m *marks) drop(branch string, at mark) {
	m.Since = max(m.Since, at.Start)
	delete(m.Jobs, branch)
}

// bound drops the oldest marks of too many.
func (m *marks) bound(limit int) {
	if len(m.Jobs) <= limit {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(m.Jobs), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.Jobs[a].Start, m.Jobs[b].Start), strings.Compare(a, b))
	})
	for _, branch := range oldest[:len(oldest)-limit] {
		m.drop(branch, m.Jobs[branch])
	}
}

// covers tells if a build has been looked at.
func (m *marks) covers(branch string, build int64) bool { return m.Jobs[branch].Number >= build }

// writeMarks writes the marks, and takes back the wish that was fulfilled, if the pipeline is still as it was
// read: a wish that came since stays.
func (p *adoption) writeMarks(ctx context.Context, done bool) error {
	p.marks.bound(maxMarks)
	text, err := json.Marshal(p.marks)
	if err != nil {
		return fmt.Errorf("write the mark of the adopted builds: %w", err)
	}
	changed := p.pipeline.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[devopsv1alpha3.PipelineAdoptedBuildsAnnotation] = string(text)
	if done {
		delete(changed.Annotations, devopsv1alpha3.PipelineRequestToSyncRunsAnnotation)
	}
	patch := client.MergeFromWithOptions(p.pipeline, client.MergeFromWithOptimisticLock{})
	if err := p.Client.Patch(ctx, changed, patch); err != nil {
		return fmt.Errorf("write the mark of the adopted builds: %w", client.IgnoreNotFound(err))
	}
	return nil
}

// jobsOf gives the builds of a pipeline's jobs out of those of its folder.
func jobsOf(p *devopsv1alpha3.Pipeline, all map[string][]jenkins.BuildStatus) map[string][]jenkins.BuildStatus {
	out := map[string][]jenkins.BuildStatus{}
	if p.Spec.Type != devopsv1alpha3.MultiBranchPipelineType {
		if builds, ok := all[p.Name]; ok {
			out[""] = builds
		}
		return out
	}
	for job, builds := range all {
		if branch, ok := strings.CutPrefix(job, p.Name+"/"); ok && branch != "" {
			out[branch] = builds
		}
	}
	return out
}

// jobPathOf names the job of a branch, or of a pipeline without.
func jobPathOf(p *devopsv1alpha3.Pipeline, branch string) string {
	if branch == "" {
		return p.Name
	}
	return jenkins.BranchJob(p.Name, branch)
}

// branchOf is the branch of a run.
func branchOf(run *devopsv1alpha3.PipelineRun) string {
	if run.Spec.SCM == nil {
		return ""
	}
	return run.Spec.SCM.RefName
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// jittered spreads what several processes and folders do.
func jittered(d time.Duration) time.Duration {
	return d*9/10 + time.Duration(rand.Int64N(int64(d)/5+1)) //nolint:gosec // no secret
}
