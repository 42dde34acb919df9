// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// turnDelay is how often a run looks if the one before it has left the queue, should nobody wake it.
	turnDelay = 5 * time.Second
	// jobDelay is how often a run looks for a job that is missing or disabled.
	jobDelay = 10 * time.Second
)

const reasonStartRefused = "StartRefused"

// start makes sure that the run has its one start.
func start(ctx context.Context, s *scope) error {
	if s.build() > 0 || s.queueItem() > 0 {
		return nil
	}
	if intent := s.intent(); !intent.IsZero() {
		found, err := s.recover(ctx, intent)
		if found || err != nil {
			return err
		}
	}
	if s.stopWanted() {
		return s.endUnstarted(devopsv1alpha3.Cancelled, devopsv1alpha3.ReasonStopped, "the run was stopped before it was started")
	}
	if err := s.heldBack(); err != nil {
		return err
	}
	send, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if s.wants(devopsv1alpha3.Resume) {
		s.run.Spec.Action = nil // it has been done, and must not answer an input of the build
	}
	noAgent := s.checkAgents(ctx)
	s.annotate(devopsv1alpha3.StartIntentAnnotation, s.Now().UTC().Format(time.RFC3339Nano))
	if err := s.write(ctx, "write the intent to start"); err != nil {
		// Not written, or written by a call that brought no answer: then the next pass looks for a build
		// that was never started, and starts it.
		return err
	}
	item, err := send(ctx)
	if err != nil {
		return s.notStarted(ctx, err)
	}
	if noAgent != nil {
		s.setAgentReady(metav1.ConditionFalse, noAgent.Reason, noAgent.Message)
	}
	if holder, ok := s.owner(ctx, item); !ok {
		s.takeBack()
		return s.otherTurn(holder)
	}
	s.started(&jenkins.Found{QueueID: item})
	return nil
}

// recover looks for the start that a former pass intended, and waits as long as it may still come.
func (s *scope) recover(ctx context.Context, intent time.Time) (bool, error) {
	found, err := s.find(ctx)
	switch {
	case err == nil:
		if _, mine := s.owner(ctx, found.QueueID); mine {
			s.started(found)
			return true, nil
		}
	case !errors.Is(err, jenkins.ErrNotFound):
		return false, s.failed(err)
	}
	// A call that got no answer may still be under way to Jenkins, or in its hands.
	if left := s.Options.StartSettle - s.Now().Sub(intent); left > 0 {
		return false, reconcile.Wait(devopsv1alpha3.ReasonStarting, "waiting for a sign of the start, which got no answer", left)
	}
	return false, nil
}

// prepare checks all that must be right before the start, takes the run's turn, and gives the call that
// starts it.
func (s *scope) prepare(ctx context.Context) (send func(context.Context) (int64, error), err error) {
	if s.pipeline == nil {
		return nil, s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonPipelineMissing, "the pipeline was deleted before the run was started")
	}
	if s.run.Spec.ReplayOf != "" {
		return s.replayStart, s.prepareReplay(ctx)
	}
	request, err := s.request(ctx)
	return func(ctx context.Context) (int64, error) { return s.startBuild(ctx, request) }, err
}

// request makes the request that starts the build.
func (s *scope) request(ctx context.Context) (jenkins.StartRequest, error) {
	request := jenkins.StartRequest{Cause: s.cause()}
	if ok, message := pipeline.InJenkins(s.pipeline); !ok {
		return request, s.waitForPipeline(ctx, message, 0)
	}
	defined, complete := pipeline.Parameters(&s.pipeline.Spec, s.Analyze)
	problem := checkParameters(s.run.Spec.Parameters, defined, complete)
	if problem == "" {
		request.Parameters, problem = s.openParameters()
	}
	if problem != "" {
		return request, s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonInvalidParameters, problem)
	}
	request.Token = s.Token(s.pipeline)
	request.HasParameters = len(defined) > 0 || len(s.run.Spec.Parameters) > 0
	if err := s.takeTurn(ctx, turnOf(s.run, defined), defined); err != nil {
		return request, err
	}
	return request, s.noteFormer(ctx)
}

// takeTurn reserves the place in the queue.
func (s *scope) takeTurn(ctx context.Context, mine string, defined []devopsv1alpha3.ParameterDefinition) error {
	holder, ok := s.starts.reserve(s.key(), turn{job: s.folder + "/" + s.job, fingerprint: mine})
	if !ok {
		return s.otherTurn(holder)
	}
	siblings, err := s.siblings(ctx)
	if err != nil {
		s.starts.release(s.key())
		return err
	}
	for i := range siblings {
		other := &siblings[i]
		if other.UID != s.run.UID && inQueue(other) && !s.starts.hasLeft(client.ObjectKeyFromObject(other)) && sameRef(other, s.run) && turnOf(other, defined) == mine {
			s.starts.release(s.key())
			return s.otherTurn(other.Name)
		}
	}
	return nil
}

func (s *scope) siblings(ctx context.Context) ([]devopsv1alpha3.PipelineRun, error) {
	return index.RunsOf(ctx, s.Client, client.ObjectKey{Namespace: s.run.Namespace, Name: s.run.Spec.PipelineRef.Name})
}

func sameRef(a, b *devopsv1alpha3.PipelineRun) bool { return branchOf(a) == branchOf(b) }

func (s *scope) otherTurn(holder string) error {
	return reconcile.Wait(devopsv1alpha3.ReasonStarting,
		fmt.Sprintf("waiting until the run %s, which has the same parameters, has left Jenkins' queue", holder), turnDelay)
}

// owner tells if a queue item is the run's own. One that another run has was merged by Jenkins.
func (s *scope) owner(ctx context.Context, item int64) (holder string, mine bool) {
	if item == 0 {
		return "", true
	}
	if holder, ok := s.starts.took(s.key(), item); !ok {
		return holder, false
	}
	siblings, err := s.siblings(ctx)
	if err != nil {
		return "", true // the table of this process had nothing against it
	}
	for i := range siblings {
		if siblings[i].UID != s.run.UID && numberIn(&siblings[i], devopsv1alpha3.QueueItemAnnotation) == item {
			return siblings[i].Name, false
		}
	}
	return "", true
}

// startBuild sends the start. A job has parameters or not, and Jenkins refuses the wrong call of the
// two; where the parameters are not known it tells which one is right.
func (s *scope) startBuild(ctx context.Context, request jenkins.StartRequest) (int64, error) {
	item, err := s.Jenkins.StartBuild(ctx, s.folder, s.job, request)
	if statusOf(err) != http.StatusBadRequest || len(request.Parameters) > 0 {
		return item, err
	}
	request.HasParameters = !request.HasParameters
	return s.Jenkins.StartBuild(ctx, s.folder, s.job, request)
}

// statusOf gives the HTTP status of Jenkins' refusal, 0 if it gave none.
func statusOf(err error) int {
	var answer *jenkins.Error
	if errors.As(err, &answer) {
		return answer.Status
	}
	return 0
}

// notStarted gives a failed start its outcome. What Jenkins clearly refused was not started; all else
// may have been, and is looked for before the next try.
func (s *scope) notStarted(ctx context.Context, err error) error {
	if end := s.replayRefused(err); end != nil {
		return end
	}
	status := statusOf(err)
	switch {
	case status == 0 && errors.Is(err, jenkins.ErrInvalid):
		// The client did not even send it.
		return s.endUnstarted(devopsv1alpha3.Failed, devopsv1alpha3.ReasonInvalidParameters, err.Error())
	case status == http.StatusBadRequest:
		message := err.Error()
		if s.run.Spec.SCM != nil && len(s.run.Spec.Parameters) > 0 {
			message += "; a branch whose Jenkinsfile was not run yet has no parameters in Jenkins: start it once without any"
		}
		return s.endUnstarted(devopsv1alpha3.Failed, reasonStartRefused, message)
	case status == http.StatusUnauthorized:
		s.takeBack()
		return s.failed(err)
	case status == http.StatusNotFound:
		s.takeBack()
		return s.waitForPipeline(ctx, "the job is missing in Jenkins", jobDelay)
	case status == http.StatusConflict:
		s.takeBack()
		return s.waitForPipeline(ctx, "Jenkins does not start the job now: "+err.Error(), jobDelay)
	case status == http.StatusForbidden:
		s.takeBack()
		return reconcile.Retry(devopsv1alpha3.ReasonFailed, err)
	}
	if away(err) {
		return s.failed(err)
	}
	return reconcile.Wait(devopsv1alpha3.ReasonStarting, "Jenkins gave no clear answer to the start: "+err.Error(), s.Options.StartSettle)
}

// takeBack undoes the intent of a start that did not happen.
func (s *scope) takeBack() {
	delete(s.run.Annotations, devopsv1alpha3.StartIntentAnnotation)
	delete(s.run.Annotations, devopsv1alpha3.StartsBeforeAnnotation)
	s.starts.release(s.key())
}
