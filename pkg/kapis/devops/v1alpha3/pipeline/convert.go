// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/history"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
	"github.com/slipway-dev/slipway/pkg/store"
)

// jenkinsfileField is where the Jenkinsfile is in a Pipeline.
const jenkinsfileField = "spec.pipeline.jenkinsfile"

// maxProblems bounds how many problems of a Jenkinsfile are told at once.
const maxProblems = 20

type preparer struct {
	validate Validator
	store    *store.Store
}

// prepare fills in the type and checks the Jenkinsfile, so that its author learns of an error now and
// not from a run that fails. It notes who that author is.
func (p preparer) prepare(ctx context.Context, w crud.Write[*devopsv1alpha3.Pipeline]) error {
	edited, err := p.sign(ctx, w)
	if err != nil {
		return err
	}
	spec := &w.Object.Spec
	if spec.Type == "" {
		spec.Type = devopsv1alpha3.NoScmPipelineType
		if spec.MultiBranchPipeline != nil {
			spec.Type = devopsv1alpha3.MultiBranchPipelineType
		}
	}
	if spec.Pipeline != nil && spec.Pipeline.Source != nil && spec.Pipeline.Jenkinsfile != "" {
		return apierrors.NewInvalid(devopsv1alpha3.GroupVersion.WithKind(devopsv1alpha3.PipelineKind).GroupKind(), w.Object.Name, field.ErrorList{
			field.Forbidden(field.NewPath("spec", "pipeline", "source"), "a pipeline has either jenkinsfile or source, not both"),
		})
	}
	if !edited || spec.Pipeline == nil || strings.TrimSpace(spec.Pipeline.Jenkinsfile) == "" {
		// A pipeline can be made first and written later, in the console's editor. That takes any text, and what else
		// a pipeline has can be changed before the text is mended.
		return nil
	}
	return p.check(spec.Pipeline.Jenkinsfile)
}

// sign notes the author of the Jenkinsfile if it is new; else the note stays what it was, whatever the request says.
func (p preparer) sign(ctx context.Context, w crud.Write[*devopsv1alpha3.Pipeline]) (edited bool, err error) {
	former := &devopsv1alpha3.Pipeline{}
	if !w.Create {
		err := p.store.GetLive(ctx, w.Object.Namespace, w.Object.Name, former)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
	}
	if history.Edited(w.Object, former) {
		history.Sign(w.Object, w.User, time.Now(), 0)
		return true, nil
	}
	history.Unsign(w.Object, former)
	return false, nil
}

// check refuses a Declarative Pipeline with errors. A scripted one is for Jenkins to judge.
func (p preparer) check(source string) error {
	err := p.validate(source)
	if err == nil || errors.Is(err, jenkinsfile.ErrScripted) {
		return nil
	}
	var list *jenkinsfile.ErrorList
	if !errors.As(err, &list) {
		return fmt.Errorf("validate Jenkinsfile: %w", err)
	}
	causes, lines := make([]metav1.StatusCause, 0, len(list.Errors)), make([]string, 0, len(list.Errors))
	for i, problem := range list.Errors {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(list.Errors)-i))
			break
		}
		text := problem.Message
		if problem.Line > 0 {
			text = fmt.Sprintf("line %d, column %d: %s", problem.Line, problem.Column, problem.Message)
		}
		lines = append(lines, text)
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: jenkinsfileField, Message: text})
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusBadRequest,
		Reason:  metav1.StatusReasonBadRequest,
		Message: "the Jenkinsfile is not valid: " + strings.Join(lines, "; "),
		Details: &metav1.StatusDetails{Kind: devopsv1alpha3.PipelineKind, Causes: causes},
	}}
}
