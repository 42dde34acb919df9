// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// scope is what the phases of one pass share.
type scope struct {
	*Reconciler
	run *devopsv1alpha3.PipelineRun
	// read is the run as it was last read from or written to the API server.
	read    *devopsv1alpha3.PipelineRun
	patcher *reconcile.Patcher
	// pipeline is the run's pipeline; nil if it was not needed or does not exist.
	pipeline *devopsv1alpha3.Pipeline
	// folder and job name the job in Jenkins.
	folder, job string
	// seen is what the pass found out about the run; nil if it found nothing new.
	seen *observation
	// past is what is remembered of the run's earlier passes.
	past *progress
	// gone: there is nothing left to write to.
	gone bool
	// blocked is why the build waits for an agent, in Jenkins' words; empty if it does not.
	blocked string
	// over: the build has ended.
	over bool
	// inputs are those that the build waits at, as this pass has seen them.
	inputs []waitingInput
}

func (r *Reconciler) newScope(run *devopsv1alpha3.PipelineRun) *scope {
	s := &scope{Reconciler: r, run: run, past: &progress{}}
	s.synced()
	return s
}

// synced notes that run is what the API server has.
func (s *scope) synced() {
	s.read = s.run.DeepCopy()
	s.patcher = reconcile.NewPatcher(s.Client, s.run)
}

func (s *scope) key() client.ObjectKey { return client.ObjectKeyFromObject(s.run) }

func (s *scope) cause() string { return CausePrefix + string(s.run.UID) }

func (s *scope) stopWanted() bool { return s.wants(devopsv1alpha3.Stop) }

// numberIn reads a number from an annotation; 0 if there is none.
func numberIn(run *devopsv1alpha3.PipelineRun, annotation string) int64 {
	n, err := strconv.ParseInt(run.Annotations[annotation], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (s *scope) build() int64 {
	return numberIn(s.run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
}

func (s *scope) queueItem() int64 { return numberIn(s.run, devopsv1alpha3.QueueItemAnnotation) }

// maxSkew is how far the clocks of two processes may be apart.
const maxSkew = time.Minute

// intent is when the build was last about to be started; zero if never. What this controller cannot
// have written counts from the run's creation, so that it is looked into and then put right.
func (s *scope) intent() time.Time {
	text, ok := s.run.Annotations[devopsv1alpha3.StartIntentAnnotation]
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.After(s.Now().Add(maxSkew)) {
		return s.run.CreationTimestamp.Time
	}
	return t
}

func (s *scope) annotate(key, value string) {
	if s.run.Annotations == nil {
		s.run.Annotations = map[string]string{}
	}
	s.run.Annotations[key] = value
}

// started notes the queue item, and the build if it has its number already. Passwords have done their
// service.
func (s *scope) started(found *jenkins.Found) {
	s.maskPasswords()
	if found.QueueID > 0 {
		s.annotate(devopsv1alpha3.QueueItemAnnotation, strconv.FormatInt(found.QueueID, 10))
	}
	if found.BuildNumber > 0 {
		s.annotate(devopsv1alpha3.JenkinsPipelineRunIDAnnotation, strconv.FormatInt(found.BuildNumber, 10))
		delete(s.run.Annotations, devopsv1alpha3.StartsBeforeAnnotation)
		s.starts.leave(s.key())
	}
}

// write changes the run's metadata under the condition that the run is still as it was read: the
// cache may be behind, and what the run says decides over what is done outside.
func (s *scope) write(ctx context.Context, what string) error {
	patch := client.MergeFromWithOptions(s.read, client.MergeFromWithOptimisticLock{})
	if err := s.Client.Patch(ctx, s.run, patch); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.synced()
	return nil
}

// finish writes what the pass found and turns its error into what controller-runtime expects.
func (s *scope) finish(ctx context.Context, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || s.gone {
		// The run was read from a cache that is behind: what was found may be, too.
		return reconcile.Result(err)
	}
	if perr := s.dropSecrets(ctx); perr != nil {
		return reconcile.Result(perr)
	}
	s.summarize(err)
	if perr := s.writeVerdict(ctx); perr != nil {
		return reconcile.Result(perr)
	}
	s.remember()
	if perr := s.patcher.Patch(ctx, s.run); perr != nil {
		return reconcile.Result(errors.Join(perr, err))
	}
	if s.seen != nil && s.seen.final {
		s.memory.end(s.key(), s.run.UID, s.Now())
	}
	s.announce()
	return reconcile.Result(err)
}

// writeVerdict writes the end of a run that was never started. A pass over a stale copy may not know
// of the start, so it must not have the last word.
func (s *scope) writeVerdict(ctx context.Context) error {
	if s.seen == nil || !s.seen.unstarted {
		return nil
	}
	copied := s.run.DeepCopy()
	patch := client.MergeFromWithOptions(s.read, client.MergeFromWithOptimisticLock{})
	if err := s.Client.Status().Patch(ctx, copied, patch); err != nil {
		return fmt.Errorf("write the end of the run: %w", client.IgnoreNotFound(err))
	}
	s.run.ResourceVersion = copied.ResourceVersion
	return nil
}

func away(err error) bool { return jenkins.Away(err) }

// awayDelay is how long a run waits that nothing else would wake when Jenkins is back, if the client
// does not say when it tries to reach Jenkins again.
const awayDelay = 10 * time.Second

// untilTry gives the time until a call may reach Jenkins again, not the same for all runs.
func untilTry(err error) time.Duration {
	if after := jenkins.RetryAfter(err); after > 0 {
		return wait.Jitter(min(after, awayDelay), 0.5)
	}
	return awayDelay
}

// failed gives an error of Jenkins its outcome. A Jenkins that is away fails nothing: the run keeps
// its state and says since when there is no news.
func (s *scope) failed(err error) error {
	if !away(err) {
		return reconcile.Retry(devopsv1alpha3.ReasonFailed, err)
	}
	what := "Jenkins does not answer"
	if errors.Is(err, jenkins.ErrUnauthorized) {
		// It does so for some seconds while it starts; else somebody has to look at the token.
		what = "Jenkins refuses Slipway's own user and token"
	}
	since := s.Watcher.NoAnswer()
	return reconcile.Wait(devopsv1alpha3.ReasonJenkinsUnavailable,
		what+" since "+since.UTC().Format(time.RFC3339)+"; the run goes on when that is over", untilTry(err))
}
