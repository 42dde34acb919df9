// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// takeBackTimeout bounds the write that takes back a record whose answer Jenkins refused.
const takeBackTimeout = 10 * time.Second

// judge tells of the inputs of a run what Jenkins does not know. It asks once for all of them.
type judge struct {
	h   *Handler
	run *devopsv1alpha3.PipelineRun
	who *submitter
	// limit is how long an input waits, once it is known.
	limit *time.Duration
}

func (h *Handler) judge(run *devopsv1alpha3.PipelineRun) *judge { return &judge{h: h, run: run} }

// of tells if the user may answer the input of a step, and until when it waits; nil: for ever.
func (j *judge) of(ctx context.Context, step jenkins.Step) (may bool, deadline *metav1.Time, err error) {
	if j.who == nil {
		if j.who, err = j.h.submitter(ctx, j.run); err != nil {
			return false, nil, err
		}
	}
	if may, err = j.who.may(ctx, step.Input.Submitter); err != nil {
		return false, nil, err
	}
	if j.limit == nil {
		limit := j.h.inputDeadline(ctx, j.run)
		j.limit = &limit
	}
	if *j.limit > 0 && !step.StartTime.IsZero() {
		deadline = &metav1.Time{Time: step.StartTime.Add(*j.limit)}
	}
	return may, deadline, nil
}

// inputDeadline is how long an input of the run waits; zero: for ever.
func (h *Handler) inputDeadline(ctx context.Context, run *devopsv1alpha3.PipelineRun) time.Duration {
	var pipeline *devopsv1alpha3.Pipeline
	if ref := run.Spec.PipelineRef; ref != nil && ref.Name != "" {
		pipeline = &devopsv1alpha3.Pipeline{}
		if h.deps.Store.Get(ctx, run.Namespace, ref.Name, pipeline) != nil {
			pipeline = nil
		}
	}
	limit, err := devopsv1alpha3.InputDeadline(run, pipeline)
	if err != nil {
		return 0 // the controller says so in the run's condition
	}
	return limit
}

func checkComment(text string) error {
	switch {
	case len(text) > devopsv1alpha3.MaxApprovalComment:
		return apierrors.NewBadRequest(fmt.Sprintf("comment is longer than %d bytes", devopsv1alpha3.MaxApprovalComment))
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return apierrors.NewBadRequest("comment must be text without control characters")
	}
	return nil
}

// submit answers an input for the user and keeps who did. The record is written first: an answer that
// nobody knows of would be worse than a record of one that Jenkins did not take, which is taken back.
func (h *Handler) submit(ctx context.Context, run *devopsv1alpha3.PipelineRun, input PendingInput, answer jenkins.Answer, comment string) error {
	build, known := h.buildOf(ctx, run)
	if !known {
		return conflict("pipelinerun %q has no build", run.Name)
	}
	user, _ := request.UserFrom(ctx)
	record := devopsv1alpha3.Approval{
		Node: input.Node, Step: input.Step, ID: input.ID, Stage: input.Stage, By: user.GetName(),
		At: metav1.NewMicroTime(time.Now().UTC()), Decision: devopsv1alpha3.Proceeded, Comment: comment,
	}
	if answer.Abort {
		record.Decision = devopsv1alpha3.Refused
	}
	if err := h.record(ctx, run, record, devopsv1alpha3.PutApproval); err != nil {
		return err
	}
	answer.Node, answer.Step, answer.InputID = input.Node, input.Step, input.ID
	err := h.sources.Inputs.SubmitInput(ctx, build, answer)
	if err == nil {
		return nil
	}
	// Who asked may be gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTimeout)
	defer cancel()
	correct := devopsv1alpha3.DropApproval
	if !refused(err) {
		record.Unconfirmed, correct = true, devopsv1alpha3.PutApproval
	}
	if rerr := h.record(ctx, run, record, correct); rerr != nil && !apierrors.IsNotFound(rerr) {
		log.FromContext(ctx).Error(rerr, "take back the record of an answer that Jenkins did not take", "namespace", run.Namespace, "pipelineRun", run.Name)
	}
	return err
}

// refused tells if an error says for sure that Jenkins did not take an answer.
func refused(err error) bool {
	for _, kind := range []error{jenkins.ErrInvalid, jenkins.ErrNotFound, jenkins.ErrConflict, jenkins.ErrForbidden, jenkins.ErrUnauthorized} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// record writes an answer to the run, or takes it back.
func (h *Handler) record(ctx context.Context, run *devopsv1alpha3.PipelineRun, record devopsv1alpha3.Approval, write func(*devopsv1alpha3.PipelineRun, devopsv1alpha3.Approval) error) error {
	changed, err := h.update(ctx, run.Namespace, run.Name, func(run *devopsv1alpha3.PipelineRun) error { return write(run, record) })
	if err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	*run = *changed
	return nil
}
