// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	// soonInterval is when a build is read again to which something was done.
	soonInterval = time.Second
	// unheardInterval is when a run asks for itself of which neither events nor bulk queries tell anything.
	unheardInterval = time.Minute
	// settlingInterval is how long a build that has its result may take to be final.
	settlingInterval = 500 * time.Millisecond
)

// followQueue waits until the queue item has become a build. What becomes of it is told by events and
// by questions about all runs; the item itself is asked for only if neither knows of it.
func followQueue(ctx context.Context, s *scope) error {
	if s.build() > 0 {
		return nil
	}
	if s.queueItem() != numberIn(s.read, devopsv1alpha3.QueueItemAnnotation) {
		s.Watcher.Answered() // it has just been started
	}
	s.track()
	known := s.readNews()
	switch {
	case s.build() > 0:
		return nil
	case s.Watcher.Silent():
		return s.silent()
	}
	now := s.Now()
	if s.past.item.IsZero() {
		s.past.item = now
	}
	if s.stopWanted() || known.Missing || now.Sub(s.past.item) > unheardInterval {
		s.past.item = now
		return s.askQueue(ctx)
	}
	return s.waitQueued(ctx, s.intent(), known.Why)
}

// askQueue asks for the queue item.
func (s *scope) askQueue(ctx context.Context) error {
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
	return s.waitQueued(ctx, item.Since, item.Why)
}

func (s *scope) waitQueued(ctx context.Context, since time.Time, why string) error {
	if why == "" {
		why = "in Jenkins' queue"
	}
	if err := s.queueDeadline(ctx, since, why); err != nil {
		return err
	}
	s.seen = &observation{phase: devopsv1alpha3.Pending, reason: devopsv1alpha3.ReasonQueued, message: why}
	return reconcile.Wait(devopsv1alpha3.ReasonQueued, why, s.queueCheck())
}

// queueCheck is when a run in the queue looks for itself, should nobody wake it.
func (s *scope) queueCheck() time.Duration {
	if limit := s.Options.QueueTimeout; limit > 0 {
		return min(unheardInterval, limit)
	}
	return unheardInterval
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
	s.release(s.key())
	s.seen = &observation{phase: devopsv1alpha3.Cancelled, reason: reason, message: message, end: s.Now(), final: true}
	return reconcile.ErrStop
}

// followBuild follows the build: it is read when it is said to have ended, and now and then while it runs.
func followBuild(ctx context.Context, s *scope) error {
	s.track()
	s.past.pauseTold = s.past.pauseTold && s.wants(devopsv1alpha3.Pause)
	known := s.readNews()
	if s.Watcher.Silent() {
		return s.silent()
	}
	if !s.lookDue(known) {
		return s.goOn(ctx, known)
	}
	build, err := s.readBuild(ctx, known)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.missing(fmt.Sprintf("Jenkins does not have build %d of %s/%s any more", s.build(), s.folder, s.job))
	case err != nil:
		return s.failed(err)
	}
	s.Watcher.Answered()
	s.past.looked, s.past.soon = s.Now(), false
	seen := observe(build)
	if seen.final {
		s.past.final = build
		return s.endBuild(ctx, build, seen)
	}
	message, err := s.act(ctx, build)
	if err != nil {
		return err
	}
	if message != "" {
		seen.message, s.past.soon = message, message != cannotPause
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
	message, err = s.limitInputs(ctx)
	if message != "" {
		seen.message = message
	}
	if err != nil {
		return err
	}
	s.adapt(build)
	if known.ended || known.settling {
		s.past.early++
	}
	return reconcile.Wait(seen.reason, seen.message, s.nextLook(known))
}

// lookDue tells if the build is to be read now.
func (s *scope) lookDue(known news) bool {
	now := s.Now()
	switch {
	case s.past.final != nil, s.actWanted(), s.lost():
		return true
	case known.ended && s.past.early == 0:
		return s.gatherWait() == 0
	case known.ended:
		return now.Sub(s.past.looked) >= s.nextLook(known)
	case s.past.soon:
		return now.Sub(s.past.looked) >= soonInterval
	case s.inputOverdue():
		return true
	case known.Missing:
		return now.Sub(s.past.looked) >= missingInterval
	case s.past.looked.IsZero():
		// A build that is not known to have begun begins soon; while there are few, it is read at once.
		s.past.looked = now
		return s.spread() <= s.Options.StageInterval
	case s.stillUnknown(known):
		return now.Sub(s.past.looked) >= unheardInterval
	}
	return now.Sub(s.past.looked) >= s.lookInterval()
}

// gatherWait is how long a build that has ended waits for others of its job, so that they are read
// together.
func (s *scope) gatherWait() time.Duration {
	job := jobKey{s.folder, s.job}
	wait := s.endings.gather(job, s.build())
	if wait > 0 && (s.Watcher.Live() < gatherLive || s.Watcher.liveOf(job) < 2) {
		return 0
	}
	return wait
}

// actWanted tells if the user, or a deadline, wants something of the build.
func (s *scope) actWanted() bool {
	_, resumes := s.run.Annotations[devopsv1alpha3.ResumeAnnotation]
	pause := s.wants(devopsv1alpha3.Pause) && !s.pauseTold()
	return s.stopWanted() || s.wants(devopsv1alpha3.Resume) || pause || resumes || s.lateReason() != nil
}

// told tells if the run says a message.
func (s *scope) told(message string) bool {
	c := conditionOf(s.run, devopsv1alpha3.ConditionSucceeded)
	return c != nil && c.Message == message
}

// lost tells if Jenkins denied the build when it was last read.
func (s *scope) lost() bool {
	c := conditionOf(s.run, devopsv1alpha3.ConditionRunReady)
	return c != nil && c.Reason == devopsv1alpha3.ReasonBuildLost
}

// stillUnknown tells that nobody has said yet that the build has begun.
func (s *scope) stillUnknown(known news) bool {
	return !known.running && !known.settling && s.run.Status.Phase != devopsv1alpha3.Running && s.past.state == ""
}

// mayPause tells if the build may stop at an input. Of Jenkinsfiles in repositories that is not known.
func (s *scope) mayPause() bool {
	if s.past.state == jenkins.StatePaused {
		return true
	}
	return s.pipeline != nil && s.pipeline.Spec.Pipeline != nil && strings.Contains(s.pipeline.Spec.Pipeline.Jenkinsfile, "input")
}

// spread is how often a build may be read so that all live ones together are not read too often.
func (s *scope) spread() time.Duration {
	return s.Watcher.Spread(s.Options.StageInterval, s.Options.RefreshRate, s.mayPause())
}

// lookInterval is how often the build is read.
func (s *scope) lookInterval() time.Duration { return max(s.spread(), s.past.interval) }

// nextLook is when the next pass is due, should nobody wake the run.
func (s *scope) nextLook(known news) time.Duration {
	switch {
	case s.stopWanted(), s.lateReason() != nil:
		return stopInterval
	case s.past.soon:
		return soonInterval
	case known.ended, known.settling:
		// What is said is ahead of what is shown. It may also be wrong.
		return min(settlingInterval<<min(s.past.early, 6), maxLookInterval)
	case known.Missing:
		return missingInterval
	}
	next := s.lookInterval() - s.Now().Sub(s.past.looked)
	if left, ok := s.untilGivenUp(); ok {
		next = min(next, left)
	}
	if due := s.past.inputDue; !due.IsZero() {
		next = min(next, due.Sub(s.Now()))
	}
	return max(next, time.Second)
}

// adapt makes looks at a build rarer that does not change.
func (s *scope) adapt(build *jenkins.Run) {
	stages, most := s.run.Annotations[stagesHashAnnotation], maxLookInterval
	changed := s.past.state != build.State || s.past.stages != stages
	s.past.state, s.past.stages = build.State, stages
	if s.mayPause() {
		most = maxPauseInterval
	}
	s.past.interval = min(max(s.past.interval+s.past.interval/2, s.Options.StageInterval), most)
	if changed {
		s.past.interval = s.Options.StageInterval
	}
}

// readBuild reads the build, with others of its job if it is said to have ended.
func (s *scope) readBuild(ctx context.Context, known news) (*jenkins.Run, error) {
	switch {
	case s.past.final != nil:
		return s.past.final, nil // of a pass whose end was not written
	case known.ended && s.past.early == 0:
		return s.readEnded(ctx)
	}
	return s.Jenkins.GetRun(ctx, s.folder, s.job, s.build())
}

// goOn notes what is known of a build that is not read now.
func (s *scope) goOn(ctx context.Context, known news) error {
	delay := s.nextLook(known)
	if known.ended && s.past.early == 0 {
		delay = s.gatherWait()
	}
	if known.settling && s.past.early == 0 {
		// The event that the build is final comes at once, or not at all.
		s.past.looked = s.Now().Add(settlingInterval - s.lookInterval())
	}
	phase, reason := s.run.Status.Phase, currentReason(s.run)
	begun := known.running || known.ended || known.settling || phase == devopsv1alpha3.Running || reason == devopsv1alpha3.ReasonPaused
	if !begun {
		s.seen = &observation{phase: devopsv1alpha3.Pending, reason: devopsv1alpha3.ReasonQueued, message: "the build is about to begin"}
		return reconcile.Wait(s.seen.reason, s.seen.message, min(delay, unheardInterval))
	}
	seen := observe(&jenkins.Run{State: jenkins.StateRunning})
	if reason == devopsv1alpha3.ReasonPaused {
		seen = observe(&jenkins.Run{State: jenkins.StatePaused})
		if told := conditionOf(s.run, devopsv1alpha3.ConditionSucceeded).Message; strings.HasPrefix(told, seen.message) {
			seen.message = told // with the time until which it waits
		}
	}
	seen.start = known.start
	if s.wants(devopsv1alpha3.Pause) && s.told(cannotPause) {
		seen.message = cannotPause
	}
	if err := s.keepKnownJSON(known); err != nil {
		return err
	}
	if s.blocked = known.Why; s.blocked != "" || s.noAgentYet() {
		waits, err := s.findAgent(ctx)
		if err != nil {
			return err
		}
		if waits != "" {
			seen.reason, seen.message = devopsv1alpha3.ReasonWaitingForAgent, waits
		}
	}
	s.seen = seen
	return reconcile.Wait(seen.reason, seen.message, delay)
}

// silent waits until Jenkins answers again; whoever notices that wakes the run.
func (s *scope) silent() error {
	return s.failed(fmt.Errorf("follow the build: %w", s.Watcher.Cause()))
}

// refresh brings stages and agent up to date. That they cannot be had is no failure of the run: only
// a Jenkins that is away, or a cluster that takes no ConfigMap, makes the pass be repeated.
func (s *scope) refresh(ctx context.Context, build *jenkins.Run) (waits string, err error) {
	s.blocked, s.over = "", build.State == jenkins.StateFinished || build.State == jenkins.StateNotBuilt || build.State == jenkins.StateSkipped
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
	if s.agentIsKnownLater(build) {
		return "", nil
	}
	return s.findAgent(ctx)
}

// agentIsKnownLater tells if the agent need not be looked for now: there is none, or the build ended well
// and the archive, which reads the log anyway, looks for it there.
func (s *scope) agentIsKnownLater(build *jenkins.Run) bool {
	if labels, all := s.agentLabels(); all && len(labels) == 0 {
		return true
	}
	return s.Archive != nil && build.State == jenkins.StateFinished && (build.Result == jenkins.ResultSuccess || build.Result == jenkins.ResultUnstable)
}

// endBuild takes the last look at a build that has ended.
func (s *scope) endBuild(ctx context.Context, build *jenkins.Run, seen *observation) error {
	if _, err := s.refresh(ctx, build); err != nil {
		return err
	}
	if err := s.keepRunJSON(build, true); err != nil {
		return err
	}
	if seen.reason == devopsv1alpha3.ReasonAborted && !s.stopWanted() {
		interrupted, err := s.interrupted(ctx)
		if err != nil {
			return s.failed(err)
		}
		if interrupted {
			seen.phase, seen.reason = devopsv1alpha3.Failed, devopsv1alpha3.ReasonInterrupted
			seen.message = "the build engine was restarted while the build ran; start the run again"
		}
	}
	if err := s.explainAgentEnd(ctx, seen); err != nil {
		return s.failed(err)
	}
	s.explainRefusal(seen)
	s.explainEnd(seen)
	if seen.end.IsZero() {
		seen.end = s.Now()
	}
	s.seen = seen
	s.release(s.key())
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
	s.release(s.key())
	s.seen = &observation{phase: devopsv1alpha3.Failed, reason: devopsv1alpha3.ReasonBuildLost, message: message, end: s.Now(), final: true, missing: true}
	if s.run.Labels == nil {
		s.run.Labels = map[string]string{}
	}
	s.run.Labels[devopsv1alpha3.PipelineRunOrphanLabel] = "true"
	return reconcile.ErrStop
}

// track lets the watcher wake the run when its build changes.
func (s *scope) track() {
	target := Target{Folder: s.folder, Job: s.job, QueueItem: s.queueItem(), Build: s.build(), MayPause: s.mayPause()}
	if labels, all := s.agentLabels(); !all || len(labels) > 0 {
		target.NoAgent = target.Build > 0 && s.run.Annotations[devopsv1alpha3.AgentPodNameAnnotation] == "" && !s.hasAgent()
	}
	s.Watcher.Track(s.key(), target)
}
