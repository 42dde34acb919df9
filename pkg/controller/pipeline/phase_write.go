// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// awayRecheck is when a comparison that Jenkins did not answer is made again, of all pipelines that are due; lookRecheck
	// if something says that this job is not as it should be.
	awayRecheck = time.Hour
	lookRecheck = 2 * time.Minute
	// conflictRecheck is how often a job that is in the way is looked at.
	conflictRecheck = 5 * time.Minute
)

// ensureJob brings the job to Jenkins if its content changed, and looks at it if that is due. Between the two it asks
// Jenkins nothing.
func ensureJob(ctx context.Context, s *scope) error {
	now := s.Now()
	due := false
	s.plan(func(p *plan) {
		if p.check.IsZero() {
			// The first pass of this process. That the job exists is found by the survey.
			p.check = now.Add(upTo(s.Options.Check))
		}
		due = p.look || !p.check.After(now)
	})
	var err error
	switch {
	case s.pipeline.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] != s.hash:
		err = s.writeJob(ctx)
	case due || !settled(s.reason()):
		err = s.checkJob(ctx)
	default:
		s.written = true
		return nil
	}
	s.looked = true
	if err == nil && s.written {
		s.plan(func(p *plan) {
			p.look, p.check = false, now.Add(jitter(s.Options.Check))
			if p.scan == nil && s.isMultiBranch() && scanFailed(s.pipeline) {
				p.scan = newScan(now)
			}
		})
	}
	return err
}

// settled tells if the condition can stay without a look at the job.
func settled(reason string) bool {
	return reason == devopsv1alpha3.ReasonSynced || reason == devopsv1alpha3.ReasonInvalidJenkinsfile
}

// class is the Java class that the pipeline's job must have.
func (s *scope) class() string {
	if s.isMultiBranch() {
		return jenkins.MultiBranchClass
	}
	return jenkins.PipelineClass
}

// writeJob makes the job, or brings the spec into the job that exists and keeps what people and plugins added to it.
func (s *scope) writeJob(ctx context.Context) error {
	folder, job := s.jobPath()
	if s.pipeline.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] == "" {
		// What has the name may be anybody's.
		info, err := s.Jenkins.GetJob(ctx, folder, job)
		switch {
		case errors.Is(err, jenkins.ErrNotFound):
			return s.put(ctx, s.doc)
		case err != nil:
			return jenkinsError(err)
		case info.Name != job:
			return s.conflict(devopsv1alpha3.ReasonJobNameConflict, fmt.Sprintf(
				"Jenkins has a job %q in the folder and does not tell upper from lower case there; rename that job in Jenkins, or make a pipeline with another name", info.Name))
		case info.Class != s.class():
			return s.classConflict(info.Class)
		}
	}
	existing, err := s.Jenkins.GetJobConfig(ctx, folder, job)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.put(ctx, s.doc)
	case err != nil:
		return jenkinsError(err)
	}
	merged, err := jobxml.Merge(existing, &s.pipeline.Spec, s.options)
	if err != nil {
		return s.unreadable(err)
	}
	s.noteDisabled(existing)
	s.expectScan(ctx)
	return s.put(ctx, merged)
}

// checkJob compares the job with the spec and puts right what somebody changed in Jenkins.
func (s *scope) checkJob(ctx context.Context) error {
	folder, job := s.jobPath()
	existing, err := s.Jenkins.GetJobConfig(ctx, folder, job)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		ctrl.LoggerFrom(ctx).Info("the job is missing in Jenkins and is made again")
		return s.put(ctx, s.doc)
	case jenkins.Away(err) && settled(s.reason()):
		// As far as anybody knows the job is there.
		s.written = true
		s.plan(func(p *plan) {
			wait := awayRecheck
			if p.look {
				wait = lookRecheck
			}
			p.check = s.Now().Add(jitter(wait))
		})
		return reconcile.ErrStop
	case err != nil:
		return jenkinsError(err)
	}
	fields, repaired, err := jobxml.Drift(existing, &s.pipeline.Spec, s.options)
	if err != nil {
		return s.unreadable(err)
	}
	s.noteDisabled(existing)
	s.written = true
	if len(fields) == 0 {
		return nil
	}
	if err := s.put(ctx, repaired); err != nil {
		return err
	}
	s.repaired = fields
	return nil
}

// put writes the job.
func (s *scope) put(ctx context.Context, doc []byte) error {
	folder, job := s.jobPath()
	s.written = false
	err := s.Jenkins.PutJob(ctx, folder, job, doc)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return reconcile.Retry(devopsv1alpha3.ReasonFolderMissing, fmt.Errorf("the project's Jenkins folder is missing: %w", err))
	case errors.Is(err, jenkins.ErrInvalid):
		return reconcile.Stall(devopsv1alpha3.ReasonInvalidSpec, err.Error())
	case err != nil:
		return jenkinsError(err)
	}
	s.written = true
	s.plan(func(p *plan) {
		if s.isMultiBranch() && p.scan == nil {
			// Jenkins scans by itself when a multi-branch job is made or changed.
			p.scan = newScan(s.Now())
		}
	})
	return nil
}

// noteDisabled remembers what the job says of itself.
func (s *scope) noteDisabled(doc []byte) {
	if parsed, err := jobxml.Parse(doc); err == nil {
		s.disabled = parsed.Disabled
	}
}

// unreadable says why a job cannot be merged with.
func (s *scope) unreadable(err error) error {
	var class *jobxml.ClassError
	if errors.As(err, &class) {
		return s.classConflict(class.Class)
	}
	return s.conflict(devopsv1alpha3.ReasonInvalidSpec,
		"the config.xml of the job in Jenkins cannot be read; delete the job there to have it made again: "+err.Error())
}

func (s *scope) classConflict(class string) error {
	_, job := s.jobPath()
	return s.conflict(devopsv1alpha3.ReasonJobClassConflict, fmt.Sprintf(
		"Jenkins has a job %q of the class %s, which is not that of the pipeline, and is left alone; rename or delete it in Jenkins, or make a pipeline with another name", job, class))
}

// conflict stops until somebody acts in Jenkins, which nothing but another look tells.
func (s *scope) conflict(reason, message string) error {
	s.recheck = jitter(conflictRecheck)
	return reconcile.Stall(reason, message)
}

// deleteJob deletes the job with its builds. A Jenkins that is away keeps the finalizer, or the job would come to
// nobody's attention again. A job that is not the pipeline's stays, and so does all in a folder that is not the project's:
// finalizer and annotations may be the user's own.
func deleteJob(ctx context.Context, s *scope) error {
	if owned, err := OwnsFolder(ctx, s.Client, s.pipeline.Namespace); err != nil || !owned {
		return err
	}
	folder, job := s.jobPath()
	doc, err := s.Jenkins.GetJobConfig(ctx, folder, job)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil
	case errors.Is(err, jenkins.ErrTooLarge):
	case err != nil:
		return jenkinsError(err)
	case !s.owns(doc):
		ctrl.LoggerFrom(ctx).Info("the job in Jenkins is not the pipeline's and stays")
		return nil
	}
	if err := s.Jenkins.DeleteJob(ctx, folder, job); err != nil {
		return jenkinsError(err)
	}
	return nil
}

// owns tells if a job is the pipeline's: it has its class, and it was written by a pass that could save so, or has the
// mark or the token of one that could not.
func (s *scope) owns(doc []byte) bool {
	parsed, err := jobxml.Parse(doc)
	if err != nil {
		// What has our class and cannot be read, such as with a foreign kind of source, was ours if we wrote it once.
		return errors.Is(err, jobxml.ErrUnsupportedSource) && s.isMultiBranch() && s.pipeline.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] != ""
	}
	if (parsed.Spec.MultiBranchPipeline != nil) != s.isMultiBranch() {
		return false
	}
	token := deriveToken(s.Options.Key, s.pipeline)
	return s.pipeline.Annotations[devopsv1alpha3.PipelineSpecHashAnnotation] != "" || parsed.Managed || parsed.AuthToken == token
}

// repairMessage tells what was put right.
func (s *scope) repairMessage() string {
	return "somebody changed in Jenkins what the pipeline says, and it was put right: " + strings.Join(s.repaired, ", ")
}
