// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const reasonCannotPause = "CannotPause"

// cannotPause is what a user is told who wants a running build to be held.
const cannotPause = "the build runs on: Jenkins cannot hold a build that runs, it waits only at an input step; stop it, or add an input to the Jenkinsfile"

func (s *scope) wants(action devopsv1alpha3.RunAction) bool {
	return s.run.Spec.Action != nil && *s.run.Spec.Action == action
}

// act does to a live build what the user asked for. It gives a message if the build is about to
// change for it, or cannot.
func (s *scope) act(ctx context.Context, build *jenkins.Run) (message string, err error) {
	switch why := s.lateReason(); {
	case s.stopWanted(), why != nil:
		if err := s.Jenkins.StopBuild(ctx, s.folder, s.job, s.build()); err != nil && !errors.Is(err, jenkins.ErrNotFound) {
			return "", s.failed(err)
		}
		if why != nil && !s.stopWanted() {
			return why.Message, nil
		}
		return "waiting until Jenkins has stopped the build", nil
	case s.wants(devopsv1alpha3.Resume):
		if err := s.noteInputs(ctx, build); err != nil {
			return "", err
		}
	case s.wants(devopsv1alpha3.Pause) && build.State == jenkins.StateRunning:
		if !s.pauseTold() {
			s.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, reasonCannotPause, "Pause", "%s", cannotPause)
		}
		s.past.pauseTold = true
		return cannotPause, nil
	}
	return s.answerInputs(ctx)
}

// pauseTold tells if the user has been told that the build cannot be held. The run may say something else since, such as what its
// agent waits for.
func (s *scope) pauseTold() bool { return s.past.pauseTold || s.told(cannotPause) }

// openInput is an input that a build waits at.
type openInput struct {
	Node string `json:"node"`
	Step string `json:"step"`
	ID   string `json:"id"`
}

// openInputs gives the inputs that the build waits at, and the ids of those that only certain people may
// answer.
func (s *scope) openInputs(ctx context.Context) (free []openInput, reserved []string, err error) {
	stages, err := s.Jenkins.Stages(ctx, s.folder, s.job, s.build())
	if err != nil {
		return nil, nil, err
	}
	for _, stage := range stages {
		for _, step := range stage.Steps {
			switch {
			case step.Input == nil || step.State != jenkins.StatePaused:
			case step.Input.Submitter != "":
				reserved = append(reserved, fmt.Sprintf("%s (%s)", strconv.Quote(step.Input.ID), step.Input.Submitter))
			default:
				free = append(free, openInput{Node: stage.ID, Step: step.ID, ID: step.Input.ID})
			}
		}
	}
	return free, reserved, nil
}

// noteInputs turns the wish to resume into the list of the inputs that wait now, before any of them is
// answered: a wish that stayed would answer the next input, too, which its user has not seen.
func (s *scope) noteInputs(ctx context.Context, build *jenkins.Run) error {
	var free []openInput
	var reserved []string
	if build.State == jenkins.StatePaused {
		var err error
		if free, reserved, err = s.openInputs(ctx); err != nil {
			return s.failed(err)
		}
	}
	if len(free) > 0 {
		text, err := json.Marshal(free)
		if err != nil {
			return fmt.Errorf("note the inputs to answer: %w", err)
		}
		s.annotate(devopsv1alpha3.ResumeAnnotation, string(text))
	}
	s.run.Spec.Action = nil
	if err := s.write(ctx, "note the inputs to answer"); err != nil {
		return err
	}
	switch {
	case len(reserved) > 0:
		s.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "InputReserved", "Resume",
			"not resumed: who may answer is named by the input %s; one of them has to answer it", shortenedTo(strings.Join(reserved, ", "), maxMessage/2))
	case len(free) == 0:
		s.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "NothingToResume", "Resume", "the build does not wait for an input")
	}
	return nil
}

// answerInputs answers the noted inputs with their defaults. One that Jenkins refuses has been answered
// by somebody else, or the build has ended.
func (s *scope) answerInputs(ctx context.Context) (message string, err error) {
	text, ok := s.run.Annotations[devopsv1alpha3.ResumeAnnotation]
	if !ok {
		return "", nil
	}
	var inputs []openInput
	if json.Unmarshal([]byte(text), &inputs) == nil && len(inputs) > 0 {
		// A user can write the annotation: only what is free to answer is answered.
		free, _, err := s.openInputs(ctx)
		if err != nil {
			return "", s.failed(err)
		}
		for _, input := range free {
			if !slices.Contains(inputs, input) {
				continue
			}
			err := s.Jenkins.SubmitInput(ctx, s.folder, s.job, s.build(), jenkins.Answer{Node: input.Node, Step: input.Step, InputID: input.ID})
			if err != nil && !errors.Is(err, jenkins.ErrInvalid) && !errors.Is(err, jenkins.ErrNotFound) {
				return "", s.failed(err)
			}
		}
	}
	delete(s.run.Annotations, devopsv1alpha3.ResumeAnnotation)
	return "resumed: the input was answered with its defaults", nil
}
