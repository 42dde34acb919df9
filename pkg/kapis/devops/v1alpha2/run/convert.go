// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

// Run describes what show makes; only the description of the API uses it.
type Run struct {
	jenkins.Run
	// PipelineRun is the name of the run in v1alpha3.
	PipelineRun string `json:"pipelineRun"`
}

// Artifact is a file that a run has kept.
type Artifact struct {
	// ID is the path.
	ID string `json:"id"`
	pipelinerun.Artifact
	// Downloadable is always true.
	Downloadable bool `json:"downloadable"`
}

// Node is a stage without its steps.
type Node struct {
	jenkins.Stage
	// Steps hides those of the stage.
	Steps []Step `json:"steps,omitempty"`
}

// NodeDetail is a stage with its steps.
type NodeDetail struct {
	jenkins.Stage
	// Steps are those of the stage.
	Steps []Step `json:"steps"`
}

// Step is a step of a stage.
type Step struct {
	pipelinerun.Step
	// Aprovable, in the spelling that clients of this version know, tells if the user who asks may answer
	// the input of the step.
	Aprovable bool `json:"aprovable"`
}

// Verdict is the answer to the answer of an input.
type Verdict struct {
	// Allow is "true" or, if the input names others who may answer, "false".
	Allow string `json:"allow"`
	// Message says who may.
	Message string `json:"message"`
}

func stepsOf(stage pipelinerun.Stage) []Step {
	steps := make([]Step, 0, len(stage.Steps))
	for _, step := range stage.Steps {
		own := Step{Step: step, Aprovable: step.Approvable}
		own.Approvable = false
		steps = append(steps, own)
	}
	return steps
}

func numberOf(run *devopsv1alpha3.PipelineRun) int64 {
	number, err := strconv.ParseInt(run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation], 10, 64)
	if err != nil || number < 1 {
		return 0
	}
	return number
}

// why says what a run waits for, or why it ended.
func why(run *devopsv1alpha3.PipelineRun) (reason, message string) {
	for _, c := range run.Status.Conditions {
		if c.Type == devopsv1alpha3.ConditionSucceeded {
			return c.Reason, c.Message
		}
	}
	return devopsv1alpha3.ReasonStarting, "the controller of runs has not taken it up yet"
}

// sorted gives the runs of a list, or those of one branch: those without a build first, then the newest
// build. Runs that ended without a build are Slipway's alone and left out. A branch may be written as it is
// or as Jenkins' job is called.
func sorted(all []devopsv1alpha3.PipelineRun, branch string) []*devopsv1alpha3.PipelineRun {
	job := jenkins.BranchJobName(branch)
	// What they are compared by is read once of each, as there may be thousands.
	type listed struct {
		run    *devopsv1alpha3.PipelineRun
		number int64
		began  int64
	}
	runs := make([]listed, 0, len(all))
	branches := false
	for i := range all {
		run := &all[i]
		own, number := "", numberOf(run)
		if run.Spec.SCM != nil {
			own = run.Spec.SCM.RefName
		}
		if branch != "" && own != branch && own != job || number == 0 && pipelinerun.Ended(run) {
			continue
		}
		branches = branches || own != ""
		runs = append(runs, listed{run, number, began(run).UnixNano()})
	}
	byNumber := branch != "" || !branches
	slices.SortFunc(runs, func(a, b listed) int {
		switch {
		case (a.number == 0) != (b.number == 0):
			return cmp.Compare(a.number, b.number)
		case byNumber && a.number != b.number:
			return cmp.Compare(b.number, a.number)
		}
		return cmp.Or(cmp.Compare(b.began, a.began), cmp.Compare(b.number, a.number), cmp.Compare(a.run.Name, b.run.Name))
	})
	sorted := make([]*devopsv1alpha3.PipelineRun, len(runs))
	for i := range runs {
		sorted[i] = runs[i].run
	}
	return sorted
}

func began(run *devopsv1alpha3.PipelineRun) time.Time {
	if run.Status.StartTime != nil {
		return run.Status.StartTime.Time
	}
	return run.CreationTimestamp.Time
}

// show gives a run in the form of Blue Ocean that the controller keeps, with what that leaves out: the
// duration of a run that goes on, and the end of one whose build Jenkins has lost.
func show(run *devopsv1alpha3.PipelineRun, now time.Time) (map[string]any, error) {
	shown, err := kept(run)
	if err != nil {
		return nil, err
	}
	shown["pipelineRun"] = run.Name
	number := numberOf(run)
	if number > 0 {
		shown["id"] = strconv.FormatInt(number, 10)
	}
	state, _ := shown["state"].(string)
	switch {
	case pipelinerun.Ended(run) && live[state]:
		shown["state"], shown["result"] = jenkins.StateFinished, results[run.Status.Phase]
		if reason, _ := why(run); reason == devopsv1alpha3.ReasonUnstable {
			shown["result"] = jenkins.ResultUnstable
		}
		if end := run.Status.CompletionTime; end != nil {
			shown["endTime"] = end.UTC().Format(time.RFC3339)
		}
	case !pipelinerun.Ended(run) && number > 0 && run.Status.StartTime != nil:
		shown["durationInMillis"] = max(0, now.Sub(run.Status.StartTime.Time).Milliseconds())
	case number == 0:
		reason, message := why(run)
		shown["causeOfBlockage"] = reason + ": " + message
	}
	return shown, nil
}

var (
	// live are the states of runs that have not ended.
	live = map[string]bool{jenkins.StateQueued: true, jenkins.StateRunning: true, jenkins.StatePaused: true}
	// results are what the phases of ended runs are in Jenkins.
	results = map[devopsv1alpha3.RunPhase]string{
		devopsv1alpha3.Succeeded: jenkins.ResultSuccess, devopsv1alpha3.Failed: jenkins.ResultFailure,
		devopsv1alpha3.Cancelled: jenkins.ResultAborted, devopsv1alpha3.Unknown: jenkins.ResultUnknown,
	}
)

// kept is the JSON that the controller wrote, or what can be said without it.
func kept(run *devopsv1alpha3.PipelineRun) (map[string]any, error) {
	if shown, err := fields([]byte(run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation])); err == nil && numberOf(run) > 0 {
		return shown, nil
	}
	blank := jenkins.Run{
		Organization: "jenkins", State: jenkins.StateQueued, Result: jenkins.ResultUnknown, Type: "WorkflowRun",
		QueueID: run.Annotations[devopsv1alpha3.QueueItemAnnotation], EnQueueTime: jenkins.Time{Time: run.CreationTimestamp.Time},
	}
	if ref := run.Spec.PipelineRef; ref != nil {
		blank.Pipeline = ref.Name
	}
	if run.Spec.SCM != nil && run.Spec.SCM.RefName != "" {
		blank.Pipeline = run.Spec.SCM.RefName
	}
	text, err := json.Marshal(blank)
	if err != nil {
		return nil, fmt.Errorf("show run %s: %w", run.Name, err)
	}
	return fields(text)
}

// fields reads an object; its numbers stay as they are.
func fields(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("read the run's JSON: %w", err)
	}
	if object == nil {
		return nil, fmt.Errorf("read the run's JSON: it is null")
	}
	return object, nil
}

// page is a part of a list.
type page struct{ start, limit int }

// pageOf reads start and limit. A negative limit means all.
func pageOf(req *restful.Request) (page, error) {
	p := page{limit: defaultLimit}
	for name, into := range map[string]*int{"start": &p.start, "limit": &p.limit} {
		text := req.QueryParameter(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 && name == "start" {
			return p, apierrors.NewBadRequest(fmt.Sprintf("%s must be a whole number, got %.40q", name, text))
		}
		*into = n
	}
	return p, nil
}

// of gives the half-open range of the page in a list. Behind the end of the list it is empty.
func (p page) of(total int) (from, to int) {
	from = min(p.start, total)
	if p.limit < 0 || p.limit > total-from {
		return from, total
	}
	return from, from + p.limit
}
