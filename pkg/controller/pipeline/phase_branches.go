// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// maxBranches bounds the annotation jenkins-branches, in bytes.
	maxBranches = 96 << 10
	// maxAnnotations is what all annotations together may have. Kubernetes allows 256 KiB; the rest is for those of others.
	maxAnnotations = 224 << 10
	// branchPage is how many branches Jenkins is asked for at once, and maxPages how often. Of more branches only the
	// names are known.
	branchPage = 100
	maxPages   = 5
	// refreshGap is the least time between two reads of the branches of a pipeline, if it has up to branchPage of them;
	// manyGap if it has more.
	refreshGap = 10 * time.Second
	manyGap    = time.Minute
)

// wantRefresh plans a read of the branches, soon, but not more often than the gap.
func (p *plan) wantRefresh(now time.Time) {
	gap := refreshGap
	if p.branches > branchPage {
		gap = manyGap
	}
	at := now
	if !p.refreshed.IsZero() && p.refreshed.Add(gap).After(now) {
		at = p.refreshed.Add(gap)
	}
	if p.refresh.IsZero() || at.Before(p.refresh) {
		p.refresh = at
	}
}

// readBranches reads the branches of a multi-branch job where something happened to them: a scan ended, a run changed,
// somebody asked, the survey saw others. A pipeline that nothing happens to costs nothing.
func readBranches(ctx context.Context, s *scope) error {
	if !s.isMultiBranch() || !s.written {
		delete(s.pipeline.Annotations, devopsv1alpha3.PipelineJenkinsBranchesAnnotation)
		return nil
	}
	now := s.Now()
	request := s.pipeline.Annotations[devopsv1alpha3.PipelineRequestToSyncRunsAnnotation]
	_, have := s.pipeline.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]
	due := false
	s.plan(func(p *plan) {
		if !have || p.seen && p.request != request {
			p.wantRefresh(now)
		}
		p.request, p.seen = request, true
		due = !p.refresh.IsZero() && !p.refresh.After(now)
	})
	if !due {
		return nil
	}
	folder, job := s.jobPath()
	info, err := s.Jenkins.GetPipeline(ctx, folder, job)
	if err != nil {
		return s.notRead(ctx, err)
	}
	var list []jenkins.BranchInfo
	for page := range maxPages {
		part, err := s.Jenkins.BranchPage(ctx, folder, job, jenkins.Page{Start: page * branchPage, Limit: branchPage})
		if err != nil {
			return s.notRead(ctx, err)
		}
		if list = append(list, part...); len(part) < branchPage {
			break
		}
	}
	s.info, s.branches = info, withNames(list, info.BranchNames)
	s.plan(func(p *plan) { p.refresh, p.refreshed, p.branches = time.Time{}, now, len(s.branches) })
	return nil
}

// notRead plans another try: the pipeline works without what could not be read.
func (s *scope) notRead(ctx context.Context, err error) error {
	s.plan(func(p *plan) { p.refresh = s.Now().Add(jitter(manyGap)) })
	if !jenkins.Away(err) && !errors.Is(err, jenkins.ErrNotFound) {
		ctrl.LoggerFrom(ctx).Error(err, "read the branches")
	}
	return nil
}

// withNames appends the branches that were not read, of which only the names are known, and brings the branches into the order in
// which they are kept when there are too many: the primary one, then those that ran last.
func withNames(list []jenkins.BranchInfo, names []string) []jenkins.BranchInfo {
	read := make(map[string]bool, len(list))
	for i := range list {
		read[list[i].Name] = true
	}
	slices.SortStableFunc(list, func(a, b jenkins.BranchInfo) int {
		return cmp.Or(cmp.Compare(primary(b), primary(a)), lastStart(b).Compare(lastStart(a)), cmp.Compare(a.Name, b.Name))
	})
	for _, name := range names {
		if read[name] {
			continue
		}
		raw, err := url.PathUnescape(name)
		if err != nil {
			raw = name
		}
		list = append(list, jenkins.BranchInfo{Name: name, RawName: raw})
	}
	return list
}

func primary(b jenkins.BranchInfo) int {
	if b.Branch != nil && b.Branch.IsPrimary {
		return 1
	}
	return 0
}

func lastStart(b jenkins.BranchInfo) time.Time {
	if b.LatestRun == nil {
		return time.Time{}
	}
	return b.LatestRun.StartTime.Time
}

// describeBranches writes the annotation jenkins-branches, within its bound, and says in a condition what it lacks.
func (s *scope) describeBranches() error {
	text, lacks, err := encodeBranches(s.branches, min(maxBranches, s.room()))
	if err != nil {
		return err
	}
	condition := metav1.Condition{
		Type: devopsv1alpha3.ConditionBranchesComplete, Status: metav1.ConditionTrue, ObservedGeneration: s.pipeline.Generation,
		Reason: devopsv1alpha3.ReasonComplete, Message: "all branches are listed",
	}
	if lacks != "" {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, devopsv1alpha3.ReasonTooManyBranches, lacks
	}
	reconcile.SetCondition(&s.pipeline.Status.Conditions, condition)
	s.annotate(devopsv1alpha3.PipelineJenkinsBranchesAnnotation, text)
	return nil
}

// room is how much the annotations of others leave.
func (s *scope) room() int {
	left := maxAnnotations
	for k, v := range s.pipeline.Annotations {
		if k != devopsv1alpha3.PipelineJenkinsBranchesAnnotation {
			left -= len(k) + len(v)
		}
	}
	return max(0, left)
}

// brief has what a list of branches shows of a branch.
func brief(b jenkins.BranchInfo) jenkins.BranchInfo {
	out := jenkins.BranchInfo{Name: b.Name, RawName: b.RawName, WeatherScore: b.WeatherScore, Disabled: b.Disabled}
	if r := b.LatestRun; r != nil {
		out.LatestRun = &jenkins.LatestRun{ID: r.ID, Result: r.Result, State: r.State, StartTime: r.StartTime, EndTime: r.EndTime, DurationMillis: r.DurationMillis}
	}
	if p := b.PullRequest; p != nil {
		// Whether it is one decides in which of the two lists of the console the branch is.
		out.PullRequest = &jenkins.PullRequest{ID: p.ID, URL: p.URL}
	}
	return out
}

// encodeBranches writes branches as JSON of at most limit bytes, and says what was left out. First the parameters, causes and titles of all branches
// go, then whole branches from the end.
func encodeBranches(list []jenkins.BranchInfo, limit int) (text, lacks string, err error) {
	if list == nil {
		list = []jenkins.BranchInfo{}
	}
	whole, err := json.Marshal(list)
	if err != nil {
		return "", "", fmt.Errorf("write branches: %w", err)
	}
	if len(whole) <= limit {
		return string(whole), "", nil
	}
	out, kept := []byte{'['}, 0
	for i := range list {
		entry, err := json.Marshal(brief(list[i]))
		if err != nil {
			return "", "", fmt.Errorf("write branches: %w", err)
		}
		if len(out)+len(entry)+2 > limit {
			break
		}
		if kept > 0 {
			out = append(out, ',')
		}
		out, kept = append(out, entry...), kept+1
	}
	text = string(append(out, ']'))
	if kept == len(list) {
		return text, fmt.Sprintf("all %d branches are listed, without their parameters, causes and titles: that would be more than an annotation holds", kept), nil
	}
	return text, fmt.Sprintf("%d of %d branches are listed, those that ran last: more than an annotation holds; let the source leave out branches (regex_filter), or remove old ones", kept, len(list)), nil
}
