// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// givenUp is why a run is ended whose build could not begin.
type givenUp struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// startDeadline ends a run that has not been able to start since a time, with the reason that it could
// not; nil as long as there is time left. Reason and message are those of the condition Succeeded. A
// build that Jenkins has is stopped first, and the run ends as Failed when it has ended.
func (s *scope) startDeadline(ctx context.Context, since time.Time, reason, message string) error {
	limit := s.Options.StartTimeout
	if limit < 0 || since.IsZero() || s.Now().Sub(since) < limit {
		return nil
	}
	return s.giveUp(ctx, givenUp{Reason: reason, Message: fmt.Sprintf("given up after %s: %s", limit, message)})
}

// queueDeadline ends a run that has been in Jenkins' queue for too long.
func (s *scope) queueDeadline(ctx context.Context, since time.Time, why string) error {
	limit := s.Options.QueueTimeout
	if limit <= 0 || since.IsZero() || s.Now().Sub(since) < limit {
		return nil
	}
	return s.giveUp(ctx, givenUp{Reason: devopsv1alpha3.ReasonQueued, Message: fmt.Sprintf("given up after %s in Jenkins' queue: %s", limit, why)})
}

func (s *scope) giveUp(ctx context.Context, why givenUp) error {
	switch {
	case s.build() > 0:
		return s.stopLate(ctx, why)
	case s.queueItem() > 0:
		found, err := s.find(ctx)
		switch {
		case errors.Is(err, jenkins.ErrNotFound):
			return nil // the phase that follows the queue says so
		case err != nil:
			return s.failed(err)
		case found.BuildNumber > 0:
			s.started(found)
			return nil
		}
		if err := s.Jenkins.CancelQueueItem(ctx, found.QueueID); err != nil {
			if errors.Is(err, jenkins.ErrConflict) || errors.Is(err, jenkins.ErrNotFound) {
				return nil
			}
			return s.failed(err)
		}
		s.forget(s.key())
		s.seen = &observation{phase: devopsv1alpha3.Failed, reason: why.Reason, message: why.Message, end: s.Now(), final: true}
		return reconcile.ErrStop
	}
	return s.endUnstarted(devopsv1alpha3.Failed, why.Reason, why.Message)
}

// stopLate stops a build that could not begin. Why is noted before, so that the build's end is not taken
// for a user's stop.
func (s *scope) stopLate(ctx context.Context, why givenUp) error {
	if s.lateReason() == nil {
		text, err := json.Marshal(why)
		if err != nil {
			return fmt.Errorf("note why the run is given up: %w", err)
		}
		s.annotate(devopsv1alpha3.GivenUpAnnotation, string(text))
		if err := s.write(ctx, "note why the run is given up"); err != nil {
			return err
		}
	}
	if err := s.Jenkins.StopBuild(ctx, s.folder, s.job, s.build()); err != nil && !errors.Is(err, jenkins.ErrNotFound) {
		return s.failed(err)
	}
	return reconcile.Wait(why.Reason, why.Message, stopInterval)
}

// lateReason is why the run's build is being stopped for having taken too long to begin; nil if it is not.
func (s *scope) lateReason() *givenUp {
	text, ok := s.run.Annotations[devopsv1alpha3.GivenUpAnnotation]
	if !ok {
		return nil
	}
	why := &givenUp{}
	if json.Unmarshal([]byte(text), why) != nil || why.Reason == "" {
		return nil
	}
	return why
}

// explainEnd gives a build that was stopped because it could not begin the reason that it could not.
func (s *scope) explainEnd(seen *observation) {
	if why := s.lateReason(); why != nil && seen.reason == devopsv1alpha3.ReasonAborted && !s.stopWanted() {
		seen.phase, seen.reason, seen.message = devopsv1alpha3.Failed, why.Reason, shortenedTo(why.Message, maxMessage)
	}
}

// waitingSince is since when the run says that it waits for the reason; zero if it does not say so yet.
func (s *scope) waitingSince(reason string) time.Time {
	if c := conditionOf(s.read, devopsv1alpha3.ConditionSucceeded); c != nil && c.Reason == reason {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// waitForPipeline waits until the pipeline's job can be started, but not for ever. While Jenkins is away
// nobody is at fault, and the run waits on.
func (s *scope) waitForPipeline(ctx context.Context, message string, after time.Duration) error {
	const reason = devopsv1alpha3.ReasonWaitingForPipeline
	if c := meta.FindStatusCondition(s.pipeline.Status.Conditions, devopsv1alpha3.ConditionSynced); c != nil && c.Reason == devopsv1alpha3.ReasonJenkinsUnavailable {
		return reconcile.Wait(devopsv1alpha3.ReasonJenkinsUnavailable, message, after)
	}
	since := s.waitingSince(reason)
	if err := s.startDeadline(ctx, since, reason, message); err != nil {
		return err
	}
	if limit := s.Options.StartTimeout; limit > 0 {
		left := limit
		if !since.IsZero() {
			left = limit - s.Now().Sub(since)
		}
		// The times of a condition have whole seconds.
		left += time.Second
		if after == 0 || left < after {
			after = left
		}
	}
	return reconcile.Wait(reason, message, after)
}
