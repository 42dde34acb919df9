// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// stopInterval is how often a stop is repeated until Jenkins says that the build has ended.
	stopInterval = 3 * time.Second
	// missingInterval is how often a build is asked for that Jenkins denies.
	missingInterval = 2 * time.Second
)

// followQueue waits until the queue item has become a build.
func followQueue(ctx context.Context, s *scope) error {
	if s.build() > 0 {
		return nil
	}
	item, err := s.Jenkins.GetQueueItem(ctx, s.queueItem())
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.searchBuild(ctx)
	case err != nil:
		return s.failed(err)
	}
	s.Watcher.Answered()
	switch {
	case item.BuildNumber > 0:
		s.started(&jenkins.Found{BuildNumber: item.BuildNumber})
		return nil
	case item.Cancelled:
		return s.endQueued(devopsv1alpha3.ReasonCancelledInQueue, "the run was cancelled in Jenkins' queue")
	case s.stopWanted():
		return s.cancelQueued(ctx)
	}
	message := item.Why
	if message == "" {
		message = "in Jenkins' queue"
	}
	if err := s.queueDeadline(ctx, item.Since, message); err != nil {
		return err
	}
	s.seen = &observation{phase: devopsv1alpha3.Pending, reason: devopsv1alpha3.ReasonQueued, message: message}
	s.track()
	return reconcile.Wait(devopsv1alpha3.ReasonQueued, message, s.Options.QueueInterval)
}

// searchBuild looks for a build whose queue item Jenkins has forgotten, some five minutes after it
// left the queue.
func (s *scope) searchBuild(ctx context.Context) error {
	found, err := s.find(ctx)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.missing(fmt.Sprintf("Jenkins has neither the queue item %d nor a build of it", s.queueItem()))
	case err != nil:
		return s.failed(err)
	}
	s.started(found)
	if found.BuildNumber == 0 {
		return reconcile.Wait(devopsv1alpha3.ReasonQueued, "in Jenkins' queue", missingInterval)
	}
	return nil
}

// cancelQueued takes the run out of the queue. The number of the item stands in an annotation that a
// user can write, and numbers of items are the same for all tenants: only an item that carries the
// run's own cause is cancelled.
func (s *scope) cancelQueued(ctx context.Context) error {
	found, err := s.find(ctx)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.missing(fmt.Sprintf("the queue item %d does not belong to the run", s.queueItem()))
	case err != nil:
		return s.failed(err)
	case found.BuildNumber > 0:
		s.started(found)
		return nil
	}
	err = s.Jenkins.CancelQueueItem(ctx, found.QueueID)
	switch {
	case err == nil:
		return s.endQueued(devopsv1alpha3.ReasonCancelledInQueue, "the run was stopped while it waited in Jenkins' queue")
	case errors.Is(err, jenkins.ErrConflict), errors.Is(err, jenkins.ErrNotFound):
		return reconcile.Wait(devopsv1alpha3.ReasonQueued, "the run has just left Jenkins' queue", missingInterval)
	}
	return s.failed(err)
}

func (s *scope) endQueued(reason, message string) error {
	s.forget(s.key())
	s.seen = &observation{phase: devopsv1alpha3.Cancelled, reason: reason, message: message, end: s.Now(), final: true}
	return reconcile.ErrStop
}

// followBuild looks at the build.
func followBuild(ctx context.Context, s *scope) error {
	build, err := s.Jenkins.GetRun(ctx, s.folder, s.job, s.build())
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.missing(fmt.Sprintf("Jenkins does not have build %d of %s/%s any more", s.build(), s.folder, s.job))
	case err != nil:
		return s.failed(err)
	}
	s.Watcher.Answered()
	seen := observe(build)
	s.track()
	if seen.final {
		return s.endBuild(ctx, build, seen)
	}
	message, err := s.act(ctx, build)
	if err != nil {
		return err
	}
	if message != "" {
		seen.message = message
	}
	if err := s.keepRunJSON(build, false); err != nil {
		return err
	}
	waits, err := s.refresh(ctx, build)
	if waits != "" && (seen.reason == devopsv1alpha3.ReasonRunning || seen.reason == devopsv1alpha3.ReasonWaitingForAgent) {
		seen.reason, seen.message = devopsv1alpha3.ReasonWaitingForAgent, waits
	}
	s.seen = seen
	if err != nil {
		return err
	}
	delay := s.Watcher.Spread(s.Options.StageInterval, s.Options.RefreshRate)
	if s.stopWanted() {
		delay = stopInterval
	}
	return reconcile.Wait(seen.reason, seen.message, delay)
}

// refresh brings stages and agent up to date. That they cannot be had is no failure of the run: only
// a Jenkins that is away, or a cluster that takes no ConfigMap, makes the pass be repeated.
func (s *scope) refresh(ctx context.Context, build *jenkins.Run) (waits string, err error) {
	s.blocked = ""
	if build.State == jenkins.StateQueued {
		if build.StartTime.IsZero() {
			return "", nil
		}
		s.blocked = build.CauseOfBlockage
		return s.findAgent(ctx)
	}
	if err := s.keepStages(ctx, build.State == jenkins.StateFinished); err != nil {
		return "", err
	}
	return s.findAgent(ctx)
}

// endBuild takes the last look at a build that has ended.
func (s *scope) endBuild(ctx context.Context, build *jenkins.Run, seen *observation) error {
	if _, err := s.refresh(ctx, build); err != nil {
		return err
	}
	if err := s.keepRunJSON(build, true); err != nil {
		return err
	}
	if seen.reason == devopsv1alpha3.ReasonAborted && !s.stopWanted() && s.interrupted(ctx) {
		seen.phase, seen.reason = devopsv1alpha3.Failed, devopsv1alpha3.ReasonInterrupted
		seen.message = "the build engine was restarted while the build ran; start the run again"
	}
	s.explainAgentEnd(ctx, seen)
	s.explainEnd(seen)
	if seen.end.IsZero() {
		seen.end = s.Now()
	}
	s.seen = seen
	s.forget(s.key())
	return nil
}

// missing waits while Jenkins denies what it had, and gives the run up in the end. Right after a
// build has got its number, and while Jenkins loads its builds, the denial means nothing.
func (s *scope) missing(message string) error {
	since := s.Now()
	if c := conditionOf(s.run, devopsv1alpha3.ConditionRunReady); c != nil && c.Reason == devopsv1alpha3.ReasonBuildLost {
		since = c.LastTransitionTime.Time
	}
	if seen := s.lastSight(); seen != nil && s.Now().Sub(since) >= vanishedAfter {
		s.endVanished(seen)
		return reconcile.ErrStop
	}
	if s.Now().Sub(since) < s.Options.LostAfter {
		phase := s.run.Status.Phase
		if phase == "" {
			phase = devopsv1alpha3.Pending
		}
		s.seen = &observation{phase: phase, reason: currentReason(s.run), message: message, missing: true}
		return reconcile.Wait(devopsv1alpha3.ReasonBuildLost, message, min(missingInterval, s.Options.LostAfter))
	}
	s.forget(s.key())
	s.seen = &observation{phase: devopsv1alpha3.Failed, reason: devopsv1alpha3.ReasonBuildLost, message: message, end: s.Now(), final: true, missing: true}
	if s.run.Labels == nil {
		s.run.Labels = map[string]string{}
	}
	s.run.Labels[devopsv1alpha3.PipelineRunOrphanLabel] = "true"
	return reconcile.ErrStop
}

// track lets the watcher wake the run when its build changes.
func (s *scope) track() {
	s.Watcher.Track(s.key(), Target{Folder: s.folder, Job: s.job, QueueItem: s.queueItem(), Build: s.build()})
}
