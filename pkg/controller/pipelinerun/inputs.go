// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// waitingInput is an input that a build waits at.
type waitingInput struct {
	openInput
	stage string
	since time.Time
}

func waitingInputs(stages []jenkins.Stage) []waitingInput {
	var inputs []waitingInput
	for _, stage := range stages {
		for _, step := range stage.Steps {
			if step.Input != nil && step.State == jenkins.StatePaused {
				inputs = append(inputs, waitingInput{
					openInput: openInput{Node: stage.ID, Step: step.ID, ID: step.Input.ID}, stage: stage.DisplayName, since: step.StartTime.Time,
				})
			}
		}
	}
	return inputs
}

// inputOverdue tells if an input has waited for as long as it may.
func (s *scope) inputOverdue() bool {
	return !s.past.inputDue.IsZero() && !s.Now().Before(s.past.inputDue)
}

// limitInputs aborts the inputs that nobody answered in time. The time counts from when Jenkins began to
// wait, so a controller that was away does not give anybody more of it. The message is for the run.
func (s *scope) limitInputs(ctx context.Context) (message string, err error) {
	s.past.inputDue = time.Time{}
	if len(s.inputs) == 0 {
		return "", nil
	}
	limit, err := devopsv1alpha3.InputDeadline(s.run, s.pipeline)
	if err != nil {
		return "the build waits for an input, and goes on waiting: " + err.Error(), nil //nolint:nilerr // the run says it, and trying again would not help
	}
	if limit == 0 {
		return "", nil
	}
	for _, input := range s.inputs {
		since := input.since
		if since.IsZero() {
			since = s.waitingSince(devopsv1alpha3.ReasonPaused)
		}
		if since.IsZero() {
			continue // the next look knows
		}
		due := since.Add(limit)
		if s.Now().Before(due) {
			if s.past.inputDue.IsZero() || due.Before(s.past.inputDue) {
				s.past.inputDue = due
			}
			continue
		}
		if message, err = s.expire(ctx, input, limit); err != nil {
			return message, err
		}
	}
	if message == "" && !s.past.inputDue.IsZero() {
		message = "the build waits for an input, until " + s.past.inputDue.UTC().Format(time.RFC3339)
	}
	return message, nil
}

// expire aborts an input. Why is noted before, as a build that is aborted does not say for what reason.
func (s *scope) expire(ctx context.Context, input waitingInput, limit time.Duration) (message string, err error) {
	record := devopsv1alpha3.Approval{
		Node: input.Node, Step: input.Step, ID: input.ID, Stage: input.stage, At: metav1.NewMicroTime(s.Now().UTC()),
		Decision: devopsv1alpha3.Refused, Expired: true, Comment: fmt.Sprintf("nobody answered within %s", limit),
	}
	noted := false
	for _, a := range devopsv1alpha3.Approvals(s.run) {
		if a.Expired && a.Node == record.Node && a.Step == record.Step && a.ID == record.ID {
			record, noted = a, true
		}
	}
	if !noted {
		if err := devopsv1alpha3.PutApproval(s.run, record); err != nil {
			return "", err
		}
		if err := s.write(ctx, "note that an input has expired"); err != nil {
			return "", err
		}
	}
	err = s.Jenkins.SubmitInput(ctx, s.folder, s.job, s.build(), jenkins.Answer{Node: input.Node, Step: input.Step, InputID: input.ID, Abort: true})
	switch {
	case errors.Is(err, jenkins.ErrInvalid), errors.Is(err, jenkins.ErrNotFound):
		// Somebody has answered it in the meantime, or the build has ended.
		s.past.soon = true
		return "", devopsv1alpha3.DropApproval(s.run, record)
	case err != nil:
		return "", s.failed(err)
	}
	s.past.soon = true
	message = fmt.Sprintf("the input %s was aborted: %s", strconv.Quote(input.ID), record.Comment)
	if !noted {
		s.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, devopsv1alpha3.ReasonInputExpired, "Abort", "%s", message)
	}
	return message, nil
}

// explainRefusal says of a build that was aborted at an input who did that, and why.
func (s *scope) explainRefusal(seen *observation) {
	if seen.reason != devopsv1alpha3.ReasonAborted || s.stopWanted() {
		return
	}
	answers := devopsv1alpha3.Approvals(s.run)
	if len(answers) == 0 {
		return
	}
	last := answers[len(answers)-1]
	if last.Decision != devopsv1alpha3.Refused || last.Unconfirmed {
		return
	}
	switch {
	case last.Expired:
		seen.reason = devopsv1alpha3.ReasonInputExpired
		seen.message = fmt.Sprintf("the input %s was aborted: %s", strconv.Quote(last.ID), last.Comment)
	case last.Comment != "":
		seen.message = fmt.Sprintf("%s refused the input %s: %s", last.By, strconv.Quote(last.ID), last.Comment)
	default:
		seen.message = fmt.Sprintf("%s refused the input %s", last.By, strconv.Quote(last.ID))
	}
}
