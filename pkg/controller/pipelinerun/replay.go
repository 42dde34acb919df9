// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Some starts carry no note of their run: Jenkins notes a cause only where the job has a token, which the
// jobs of branches cannot have, and of a replay it says only which build is replayed. So the starts of that kind
// that there are before are written down with the intent, the runs of one kind are started one after the other,
// and a start that is neither among the former ones nor another run's is the run's own.

// oldStart is how long before the intent a build may have begun, by Jenkins' clock, that is taken for the run's.
// It only has to tell it from builds that come into sight when a hundred younger ones are deleted.
const oldStart = 10 * time.Minute

// unmarked tells if the run's start carries no note.
func unmarked(run *devopsv1alpha3.PipelineRun) bool {
	return run.Spec.ReplayOf != "" || branchOf(run) != ""
}

// replayed is the number of the build that the run replays, 0 if it is no replay or has not been started.
func (s *scope) replayed() int64 {
	if s.run.Spec.ReplayOf == "" {
		return 0
	}
	return numberIn(s.run, devopsv1alpha3.ReplayedBuildAnnotation)
}

// find looks for the run's start in Jenkins.
func (s *scope) find(ctx context.Context) (*jenkins.Found, error) {
	if !unmarked(s.run) {
		return s.Jenkins.FindByCause(ctx, s.folder, s.job, s.cause())
	}
	match := jenkins.StartMatch{Replay: s.replayed()}
	if s.run.Spec.ReplayOf != "" && match.Replay == 0 {
		return nil, fmt.Errorf("a replay that was not sent: %w", jenkins.ErrNotFound)
	}
	if item := s.queueItem(); item > 0 {
		starts, err := s.Jenkins.UnmarkedStarts(ctx, s.folder, s.job, match)
		if err != nil {
			return nil, err
		}
		for i := range starts {
			if starts[i].QueueID == item {
				return &starts[i], nil
			}
		}
		return nil, fmt.Errorf("queue item %d: %w", item, jenkins.ErrNotFound)
	}
	siblings, err := s.siblings(ctx)
	if err != nil {
		return nil, err
	}
	match.Except, match.Since = parseItems(s.run.Annotations[devopsv1alpha3.StartsBeforeAnnotation]), s.intent().Add(-oldStart)
	for i := range siblings {
		if other := numberIn(&siblings[i], devopsv1alpha3.QueueItemAnnotation); other > 0 && siblings[i].UID != s.run.UID {
			match.Except = append(match.Except, other)
		}
	}
	return s.Jenkins.FindUnmarkedStart(ctx, s.folder, s.job, match)
}

// noteFormer writes down the starts of the run's kind that there are before its own.
func (s *scope) noteFormer(ctx context.Context) error {
	if !unmarked(s.run) {
		return nil
	}
	if _, known := s.run.Annotations[devopsv1alpha3.StartsBeforeAnnotation]; known {
		return nil // from a start that got no answer, and may have had an effect since
	}
	former, err := s.Jenkins.UnmarkedStarts(ctx, s.folder, s.job, jenkins.StartMatch{Replay: s.replayed()})
	if err != nil {
		s.starts.release(s.key())
		if errors.Is(err, jenkins.ErrNotFound) {
			return s.waitForPipeline(ctx, "the job is missing in Jenkins", jobDelay)
		}
		return s.failed(err)
	}
	s.annotate(devopsv1alpha3.StartsBeforeAnnotation, formatItems(former))
	return nil
}

func formatItems(found []jenkins.Found) string {
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = strconv.FormatInt(f.QueueID, 10)
	}
	return strings.Join(ids, ",")
}

func parseItems(text string) (out []int64) {
	for part := range strings.SplitSeq(text, ",") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// prepareReplay checks all that must be right before a replay, and takes the run's turn.
func (s *scope) prepareReplay(ctx context.Context) error {
	if ok, message := pipeline.InJenkins(s.pipeline); !ok {
		return s.waitForPipeline(ctx, message, 0)
	}
	original, err := s.original(ctx)
	if err != nil {
		return err
	}
	number := strconv.FormatInt(original, 10)
	s.annotate(devopsv1alpha3.ReplayedBuildAnnotation, number)
	if err := s.takeTurn(ctx, replayTurn(number), nil); err != nil {
		return err
	}
	return s.noteFormer(ctx)
}

// replayTurn is the turn of the replays of a build.
func replayTurn(build string) string { return "replay of " + build }

// original gives the number of the build to replay.
func (s *scope) original(ctx context.Context) (int64, error) {
	name := s.run.Spec.ReplayOf
	end := func(format string, args ...any) error {
		return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonReplayMissing, fmt.Sprintf(format, args...))
	}
	run := &devopsv1alpha3.PipelineRun{}
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.run.Namespace, Name: name}, run)
	switch {
	case apierrors.IsNotFound(err):
		return 0, end("there is no run %s to replay", strconv.Quote(name))
	case err != nil:
		return 0, fmt.Errorf("get the run to replay: %w", err)
	case run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name != s.run.Spec.PipelineRef.Name || !sameRef(run, s.run):
		return 0, end("the run %s is of another pipeline or branch", strconv.Quote(name))
	}
	build := numberIn(run, devopsv1alpha3.JenkinsPipelineRunIDAnnotation)
	if build == 0 {
		return 0, end("the run %s has had no build that could be replayed", strconv.Quote(name))
	}
	return build, nil
}

// replayStart sends the replay.
func (s *scope) replayStart(ctx context.Context) (int64, error) {
	return s.Jenkins.ReplayRun(ctx, s.folder, s.job, s.replayed())
}

// replayRefused ends a run whose original Jenkins does not have any more; nil for other errors.
func (s *scope) replayRefused(err error) error {
	if s.run.Spec.ReplayOf == "" || !errors.Is(err, jenkins.ErrNotFound) || statusOf(err) != http.StatusNotFound {
		return nil
	}
	s.takeBack()
	return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonReplayMissing,
		fmt.Sprintf("Jenkins does not have build %d of %s/%s any more, so that it cannot be replayed", s.replayed(), s.folder, s.job))
}

// turnOf is what a run of the same pipeline would take its turn for.
func turnOf(run *devopsv1alpha3.PipelineRun, defined []devopsv1alpha3.ParameterDefinition) string {
	if run.Spec.ReplayOf != "" {
		return replayTurn(run.Annotations[devopsv1alpha3.ReplayedBuildAnnotation])
	}
	if unmarked(run) {
		return "start without a note"
	}
	return fingerprint(run.Spec.Parameters, defined)
}

// heldBack says that the user wants the run to wait before it is started.
func (s *scope) heldBack() error {
	if !s.wants(devopsv1alpha3.Pause) {
		return nil
	}
	return reconcile.Wait(devopsv1alpha3.ReasonPaused, "the run is held before its start; resume it to start it", 0)
}
