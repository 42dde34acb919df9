// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// maxMessage bounds a condition's message, in bytes.
const maxMessage = 2000

// maxRunJSON bounds the run's JSON, in bytes: all annotations of an object together have 256 KiB.
const maxRunJSON = 128 << 10

// maxLongField bounds a field of a run's JSON that is too long as a whole, in bytes.
const maxLongField = 2 << 10

// observation is what a pass found out about a run.
type observation struct {
	phase           devopsv1alpha3.RunPhase
	reason, message string
	start, end      time.Time
	// final: the run changes no more.
	final bool
	// unstarted: it ended without a start, so far as the copy of the run that was read knows.
	unstarted bool
	// missing: Jenkins denies the build.
	missing bool
}

// observe maps a build to a run's phase. It differs from KubeSphere's map in two places, where users
// asked for it: an unstable build has not failed (its phase is Succeeded, the reason says Unstable),
// and one that was stopped is Cancelled, a phase that KubeSphere declares and never sets. The console
// shows a run by state and result of the JSON, which are Jenkins' own, and takes the phase only to
// tell live runs from ended ones; so both stay compatible. NOT_BUILT, which a newer build of the same
// job causes, is a cancellation, too. PAUSED is Pending, as in KubeSphere.
func observe(build *jenkins.Run) *observation {
	o := &observation{start: build.StartTime.Time, phase: devopsv1alpha3.Running, reason: devopsv1alpha3.ReasonRunning, message: "the build runs"}
	switch build.State {
	case jenkins.StateQueued:
		o.message = "in Jenkins' queue"
		if build.CauseOfBlockage != "" {
			o.message = build.CauseOfBlockage
		}
		if !o.start.IsZero() {
			// The build has begun and waits for its agent. It may say RUNNING before and after: its phase
			// must not go back and forth.
			o.reason = devopsv1alpha3.ReasonWaitingForAgent
			return o
		}
		// The build has its number but has not begun.
		o.phase, o.reason = devopsv1alpha3.Pending, devopsv1alpha3.ReasonQueued
		return o
	case jenkins.StatePaused:
		o.phase, o.reason, o.message = devopsv1alpha3.Pending, devopsv1alpha3.ReasonPaused, "the build waits for an input"
		return o
	case jenkins.StateSkipped:
		return o.ended(build, devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonSuccess, "the build was skipped")
	case jenkins.StateNotBuilt:
		return o.ended(build, devopsv1alpha3.Cancelled, devopsv1alpha3.ReasonNotBuilt, "the build ended before it did anything")
	case jenkins.StateFinished:
		return o.finished(build)
	}
	return o
}

func (o *observation) finished(build *jenkins.Run) *observation {
	switch build.Result {
	case jenkins.ResultSuccess:
		return o.ended(build, devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonSuccess, "the build succeeded")
	case jenkins.ResultUnstable:
		return o.ended(build, devopsv1alpha3.Succeeded, devopsv1alpha3.ReasonUnstable, "the build ended with test failures or warnings")
	case jenkins.ResultFailure:
		return o.ended(build, devopsv1alpha3.Failed, devopsv1alpha3.ReasonFailure, "the build failed; its log says why")
	case jenkins.ResultAborted:
		return o.ended(build, devopsv1alpha3.Cancelled, devopsv1alpha3.ReasonAborted, "the build was stopped")
	case jenkins.ResultNotBuilt:
		return o.ended(build, devopsv1alpha3.Cancelled, devopsv1alpha3.ReasonNotBuilt, "the build ended before it did anything")
	}
	return o.ended(build, devopsv1alpha3.Unknown, "Unknown", "Jenkins does not say how the build ended")
}

func (o *observation) ended(build *jenkins.Run, phase devopsv1alpha3.RunPhase, reason, message string) *observation {
	o.phase, o.reason, o.message, o.final, o.end = phase, reason, message, true, build.EndTime.Time
	return o
}

// summarize computes the status from what the pass found and how it ended.
func (s *scope) summarize(err error) {
	before := s.run.Status.DeepCopy()
	seen := s.seen
	outcome := reconcile.AsOutcome(err)
	if seen == nil {
		if outcome == nil {
			return
		}
		// Nothing new is known of the build: only the message says what is the matter.
		seen = &observation{phase: s.run.Status.Phase, reason: currentReason(s.run), message: outcome.Message}
		if s.build() == 0 && s.queueItem() == 0 && s.run.DeletionTimestamp.IsZero() {
			seen.reason = outcome.Reason
		}
		if seen.phase == "" {
			seen.phase = devopsv1alpha3.Pending
		}
		if seen.reason == "" {
			seen.reason = outcome.Reason
		}
	} else if outcome != nil && outcome.Kind == reconcile.Retrying {
		seen.message = outcome.Message
	}
	status := &s.run.Status
	status.Phase = seen.phase
	if !seen.start.IsZero() && (status.StartTime == nil || seen.final) {
		status.StartTime = &metav1.Time{Time: seen.start.UTC().Truncate(time.Second)}
	}
	if seen.final && status.CompletionTime == nil {
		status.CompletionTime = &metav1.Time{Time: seen.end.UTC().Truncate(time.Second)}
	}
	s.setCondition(s.readiness(seen))
	s.setCondition(devopsv1alpha3.Condition{
		Type: devopsv1alpha3.ConditionSucceeded, Status: succeeded(seen), Reason: seen.reason, Message: shortenedTo(seen.message, maxMessage),
	})
	if !equality.Semantic.DeepEqual(before, status) {
		status.UpdateTime = &metav1.Time{Time: s.Now().UTC().Truncate(time.Second)}
	}
}

func succeeded(seen *observation) metav1.ConditionStatus {
	switch {
	case !seen.final || seen.phase == devopsv1alpha3.Unknown:
		return metav1.ConditionUnknown
	case seen.phase == devopsv1alpha3.Succeeded:
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// readiness tells if Jenkins has the build.
func (s *scope) readiness(seen *observation) devopsv1alpha3.Condition {
	c := devopsv1alpha3.Condition{Type: devopsv1alpha3.ConditionRunReady, Status: metav1.ConditionFalse, Reason: seen.reason, Message: shortenedTo(seen.message, maxMessage)}
	switch {
	case seen.missing:
		c.Reason = devopsv1alpha3.ReasonBuildLost
	case s.build() > 0:
		c.Status, c.Reason = metav1.ConditionTrue, devopsv1alpha3.ReasonStarted
		c.Message = fmt.Sprintf("build %d of %s/%s", s.build(), s.folder, s.job)
		if old := conditionOf(s.run, c.Type); s.folder == "" && old != nil {
			c.Message = old.Message
		}
	}
	return c
}

// setCondition sets a condition; its times change only if it does, so that a pass that finds nothing
// new writes nothing.
func (s *scope) setCondition(c devopsv1alpha3.Condition) {
	now := metav1.Time{Time: s.Now().UTC().Truncate(time.Second)}
	old := conditionOf(s.run, c.Type)
	if old == nil {
		c.LastProbeTime, c.LastTransitionTime = now, now
		s.run.Status.Conditions = append(s.run.Status.Conditions, c)
		return
	}
	if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
		return
	}
	c.LastProbeTime, c.LastTransitionTime = now, old.LastTransitionTime
	if old.Status != c.Status || old.Reason != c.Reason {
		c.LastTransitionTime = now
	}
	*old = c
}

func conditionOf(run *devopsv1alpha3.PipelineRun, conditionType devopsv1alpha3.ConditionType) *devopsv1alpha3.Condition {
	for i := range run.Status.Conditions {
		if run.Status.Conditions[i].Type == conditionType {
			return &run.Status.Conditions[i]
		}
	}
	return nil
}

// currentReason is why the run was in its phase before this pass.
func currentReason(run *devopsv1alpha3.PipelineRun) string {
	if c := conditionOf(run, devopsv1alpha3.ConditionSucceeded); c != nil {
		return c.Reason
	}
	return ""
}

// announce writes an event for a change that a person wants to know of.
func (s *scope) announce() {
	if s.read.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] == "" && s.build() > 0 {
		s.Recorder.Eventf(s.run, nil, eventType(devopsv1alpha3.Running), devopsv1alpha3.ReasonStarted, "Start", "Jenkins started build %d of %s/%s", s.build(), s.folder, s.job)
	}
	if s.read.Status.CompletionTime == nil && s.run.Status.CompletionTime != nil {
		c := conditionOf(s.run, devopsv1alpha3.ConditionSucceeded)
		countEnd(s.run.Status.Phase, c.Reason)
		kind, reason := eventType(s.run.Status.Phase), string(s.run.Status.Phase)
		if c.Reason == devopsv1alpha3.ReasonUnstable {
			// It has not failed, but somebody should look at it.
			kind, reason = corev1.EventTypeWarning, c.Reason
		}
		s.Recorder.Eventf(s.run, nil, kind, reason, "Finish", "%s: %s", c.Reason, c.Message)
	}
}

// keepRunJSON writes the run's JSON for the console. While the build runs its duration is left out:
// the console counts from startTime, and the annotation would change with every look.
func (s *scope) keepRunJSON(build *jenkins.Run, final bool) error {
	text := []byte(build.RawJSON)
	if !final || len(text) > maxRunJSON || len(text) == 0 {
		var fields map[string]json.RawMessage
		if len(text) > 0 {
			if err := json.Unmarshal(text, &fields); err != nil {
				return fmt.Errorf("read the run's JSON: %w", err)
			}
		} else {
			encoded, err := json.Marshal(build)
			if err != nil {
				return fmt.Errorf("write the run's JSON: %w", err)
			}
			if err := json.Unmarshal(encoded, &fields); err != nil {
				return fmt.Errorf("read the run's JSON: %w", err)
			}
		}
		if !final {
			delete(fields, "durationInMillis")
		}
		long := len(text) > maxRunJSON
		if long {
			delete(fields, "changeSet")
		}
		var err error
		if text, err = json.Marshal(fields); err != nil {
			return fmt.Errorf("write the run's JSON: %w", err)
		}
		if long && len(text) > maxRunJSON {
			// Somebody wrote a book into the description, or thousands of builds caused this one. All that the console needs is short.
			maps.DeleteFunc(fields, func(_ string, value json.RawMessage) bool { return len(value) > maxLongField })
			if text, err = json.Marshal(fields); err != nil {
				return fmt.Errorf("write the run's JSON: %w", err)
			}
		}
	}
	s.annotate(devopsv1alpha3.JenkinsPipelineRunStatusAnnotation, string(text))
	return nil
}

// keepKnownJSON writes what is known of a build that has not been read: consoles show nothing of a run
// without a JSON.
func (s *scope) keepKnownJSON(known news) error {
	number := strconv.FormatInt(s.build(), 10)
	var shown struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(s.run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]), &shown) == nil && shown.ID == number {
		return nil
	}
	names := strings.Split(s.job, "/")
	build := &jenkins.Run{ID: number, Organization: "jenkins", Pipeline: names[len(names)-1], State: jenkins.StateRunning, Result: jenkins.ResultUnknown, Type: "WorkflowRun"}
	build.StartTime.Time, build.EnQueueTime.Time = known.start, known.start
	return s.keepRunJSON(build, false)
}

func shortenedTo(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
