// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/history"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Values of the annotations of an edit, as KubeSphere's console writes and reads them.
const (
	editModeJSON    = "json"
	validateSuccess = "success"
	validateFailure = "failure"
)

// jenkinsfileHashAnnotation tells of which Jenkinsfile the annotations jenkinsfile and
// jenkinsfile.validate are.
const jenkinsfileHashAnnotation = "slipway.dev/jenkinsfile-hash"

const (
	// maxJenkinsfileJSON bounds the annotation jenkinsfile, in bytes: all annotations of an object
	// together have 256 KiB. A Jenkinsfile with a longer JSON form can be edited as a text only.
	maxJenkinsfileJSON = 128 << 10
	// maxConvertMessage bounds the text of the event about a conversion that failed, in bytes.
	maxConvertMessage = 900
)

// convertJenkinsfile does what an edit of the Jenkinsfile asks for: the annotation jenkinsfile.edit.mode is json if the
// annotation jenkinsfile holds a document that is to be brought into the Jenkinsfile, and raw if the Jenkinsfile itself
// was changed. Afterwards it is empty, which is what the console waits for. Jenkins is not needed, so this comes before
// all that could fail.
func convertJenkinsfile(ctx context.Context, s *scope) error {
	annotations := s.pipeline.Annotations
	mode := annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation]
	spec := s.pipeline.Spec.Pipeline
	switch {
	case spec == nil:
		// A multi-branch pipeline has its Jenkinsfiles in its repository.
		return nil
	case mode == editModeJSON && spec.Source != nil:
		return s.refuseEdit(ctx, errors.New("the Jenkinsfile is in the repository "+spec.Source.URL+"; change it there"))
	case mode == editModeJSON:
		return s.mergeEdit(ctx)
	case mode == "" && annotations[jenkinsfileHashAnnotation] == jenkinsfileHash(spec.Jenkinsfile):
		return nil
	}
	// Who changed the Jenkinsfile by another way than the edit must find its JSON form all the same: an
	// edit of an older one would undo the change.
	return s.writeEdit(ctx, describeJenkinsfile)
}

// mergeEdit brings the document of the annotation into the Jenkinsfile. One that cannot be brought in stays in the
// annotation for who wrote it, and the Jenkinsfile stays as it is.
func (s *scope) mergeEdit(ctx context.Context) error {
	doc := s.pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation]
	merged, err := jenkinsfile.MergeJSON(s.pipeline.Spec.Pipeline.Jenkinsfile, []byte(doc))
	if err != nil {
		return s.refuseEdit(ctx, err)
	}
	err = s.writeEdit(ctx, func(p *devopsv1alpha3.Pipeline) {
		p.Spec.Pipeline.Jenkinsfile = merged
		history.Carry(p, doc)
		describeJenkinsfile(p)
	})
	if apierrors.IsInvalid(err) {
		// The Jenkinsfile is larger than Kubernetes takes.
		return s.refuseEdit(ctx, err)
	}
	return err
}

func (s *scope) refuseEdit(ctx context.Context, reason error) error {
	if err := s.writeEdit(ctx, func(p *devopsv1alpha3.Pipeline) {
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = ""
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileValidateAnnotation] = validateFailure
		p.Annotations[jenkinsfileHashAnnotation] = jenkinsfileHash(p.Spec.Pipeline.Jenkinsfile)
	}); err != nil {
		return err
	}
	text := reason.Error()
	if len(text) > maxConvertMessage {
		text = strings.ToValidUTF8(text[:maxConvertMessage], "") + "…"
	}
	s.Recorder.Eventf(s.pipeline, nil, corev1.EventTypeWarning, devopsv1alpha3.ReasonInvalidJenkinsfile, "Convert",
		"the JSON form cannot be brought into the Jenkinsfile, which stays as it is: %s", text)
	return nil
}

// describeJenkinsfile writes the annotations of the Jenkinsfile in the spec. Of one that has no JSON form, as it is
// scripted or wrong, the annotation jenkinsfile is empty.
func describeJenkinsfile(p *devopsv1alpha3.Pipeline) {
	text, result := "", validateSuccess
	if source := p.Spec.Pipeline.Jenkinsfile; source != "" {
		doc, err := jenkinsfile.ToJSON(source)
		switch {
		case err != nil:
			result = validateFailure
		case len(doc) <= maxJenkinsfileJSON:
			text = string(doc)
		}
	}
	p.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation] = text
	p.Annotations[devopsv1alpha3.PipelineJenkinsfileValidateAnnotation] = result
	p.Annotations[jenkinsfileHashAnnotation] = jenkinsfileHash(p.Spec.Pipeline.Jenkinsfile)
	if _, edited := p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation]; edited {
		p.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = ""
	}
}

func jenkinsfileHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:8])
}

// writeEdit changes the pipeline at once, and only if nobody else did: what the change was made from may have been
// replaced by another edit since it was read, which must not be lost. Such a conflict ends the pass, and the next one
// sees the other edit.
func (s *scope) writeEdit(ctx context.Context, change func(*devopsv1alpha3.Pipeline)) error {
	before := s.pipeline.DeepCopy()
	after := s.pipeline.DeepCopy()
	if after.Annotations == nil {
		after.Annotations = map[string]string{}
	}
	change(after)
	if err := s.Client.Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		if apierrors.IsNotFound(err) {
			s.gone = true
			return reconcile.ErrStop
		}
		return fmt.Errorf("write the conversion of the Jenkinsfile: %w", err)
	}
	s.pipeline = after
	s.patcher = reconcile.NewPatcher(s.Client, after)
	return nil
}
