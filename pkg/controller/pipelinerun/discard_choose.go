// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	day = 24 * time.Hour
	// maxDays is the longest age that a time.Duration holds with room to spare, some 270 years.
	maxDays = 100_000
)

// goneAfter is how long a run must have ended before its branch can count as gone: of a new branch the pipeline may not know
// yet.
const goneAfter = day

// goneCheck is how often a pipeline is looked at whose branches may have gone.
const goneCheck = 6 * time.Hour

// The bounds beyond which a run goes, as the metric names them.
const (
	boundNumber = "number"
	boundAge    = "age"
	boundGone   = "gone_branches"
)

// selection finds the runs of a pipeline that its discarder does not keep.
type selection struct {
	keep *devopsv1alpha3.DiscarderProperty
	now  time.Time
	// archived: runs are archived, and stay until they are.
	archived bool
	// branches are those that a multi-branch pipeline has; nil if that is not known.
	branches map[string]bool

	// discard are the runs that go, the oldest first, next the time until another one may have to, 0 if none will.
	discard []choice
	next    time.Duration
	// going is how many runs are being deleted already.
	going int
}

// choice is a run that goes, and why.
type choice struct {
	run   *devopsv1alpha3.PipelineRun
	bound string
}

// choose looks at the runs. Live runs neither count nor go. The number counts for each branch by itself; branches that Jenkins
// has removed count as one together, or the last runs of each branch that there ever was would stay for ever. As with Jenkins'
// own discarder the last success stays whatever the bounds say, and so does the last that was not unstable: a run takes its
// build along, and with it what lastSuccessfulBuild leads to.
func (s *selection) choose(runs []devopsv1alpha3.PipelineRun) {
	done := make([]*devopsv1alpha3.PipelineRun, 0, len(runs))
	for i := range runs {
		switch run := &runs[i]; {
		case !run.DeletionTimestamp.IsZero():
			s.going++
		case run.Status.CompletionTime != nil:
			done = append(done, run)
		}
	}
	slices.SortFunc(done, newestFirst)
	number, limit := bound(s.keep.NumToKeep), time.Duration(min(bound(s.keep.DaysToKeep), maxDays))*day
	kept, gone := map[string]int{}, 0
	last := lasts{}
	for _, run := range done {
		branch := branchOf(run)
		kept[branch]++
		age := s.now.Sub(run.Status.CompletionTime.Time)
		isGone := s.branches != nil && !s.branches[branch] && age >= goneAfter
		if isGone {
			gone++
		}
		why := ""
		switch {
		case last.is(run, branch) && !isGone:
		case number > 0 && kept[branch] > number:
			why = boundNumber
		case limit > 0 && age >= limit:
			why = boundAge
		case number > 0 && isGone && gone > number:
			why = boundGone
		}
		if why != "" && !s.pending(run) {
			s.discard = append(s.discard, choice{run, why})
			continue
		}
		if why == "" && age < limit {
			s.lookIn(limit - age)
		}
	}
	if number > 0 && s.branches != nil {
		s.lookIn(goneCheck)
	}
	// The oldest go first, should not all go at once.
	slices.Reverse(s.discard)
}

// lasts are the branches whose last successful run was seen, and whose last stable one, in runs from the newest on.
type lasts map[lastOf]bool

type lastOf struct {
	branch string
	stable bool
}

// is tells if a run is one of the two, and notes it.
func (l lasts) is(run *devopsv1alpha3.PipelineRun, branch string) (found bool) {
	if run.Status.Phase != devopsv1alpha3.Succeeded {
		return false
	}
	for _, stable := range []bool{false, true} {
		key := lastOf{branch, stable}
		if !l[key] && (!stable || currentReason(run) != devopsv1alpha3.ReasonUnstable) {
			l[key], found = true, true
		}
	}
	return found
}

// lookIn lets the pipeline be looked at again after d at the latest.
func (s *selection) lookIn(d time.Duration) {
	if s.next == 0 || d < s.next {
		s.next = d
	}
}

// pending tells if log and artifacts of an ended run are still to be stored; when they are, the run is looked at again.
func (s *selection) pending(run *devopsv1alpha3.PipelineRun) bool {
	return s.archived && run.Annotations[devopsv1alpha3.ArchivedAnnotation] == "" &&
		numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation) > 0 && controllerutil.ContainsFinalizer(run, devopsv1alpha3.PipelineRunFinalizer)
}

// branchesOf gives the branches that a multi-branch pipeline has in Jenkins; nil if it has none or not all of them are known.
func branchesOf(pipeline *devopsv1alpha3.Pipeline) map[string]bool {
	if pipeline.Spec.Type != devopsv1alpha3.MultiBranchPipelineType || !meta.IsStatusConditionTrue(pipeline.Status.Conditions, devopsv1alpha3.ConditionBranchesComplete) {
		return nil
	}
	var list []struct {
		Name string `json:"name"`
	}
	if json.Unmarshal([]byte(pipeline.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation]), &list) != nil || len(list) == 0 {
		// A repository without any branch is rather one that could not be read.
		return nil
	}
	out := make(map[string]bool, len(list))
	for _, b := range list {
		out[b.Name] = true
	}
	return out
}

// newestFirst orders runs by when they began. That of an adopted run is older than the run.
func newestFirst(a, b *devopsv1alpha3.PipelineRun) int {
	if order := startOf(b).Compare(startOf(a)); order != 0 {
		return order
	}
	number := func(r *devopsv1alpha3.PipelineRun) int64 {
		return numberIn(r, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	}
	return cmp.Or(cmp.Compare(number(b), number(a)), strings.Compare(b.Name, a.Name))
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
