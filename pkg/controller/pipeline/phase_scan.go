// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// scanFirst is how soon after its start a scan is looked at; each next look comes after half as long again, up to
	// scanSlowest.
	scanFirst   = 3 * time.Second
	scanSlowest = time.Minute
	// scanStart is how long to wait for a scan that Jenkins was expected to begin by itself.
	scanStart = 2 * time.Minute
	// scanTimeout is how long a scan is followed. A scan that takes longer is found by the survey.
	scanTimeout = time.Hour
)

func newScan(now time.Time) *scan {
	return &scan{since: now, next: now.Add(scanFirst)}
}

// later plans the next look.
func (c *scan) later(now time.Time) {
	wait := scanFirst
	for range c.tries {
		if wait = wait * 3 / 2; wait >= scanSlowest {
			wait = scanSlowest
			break
		}
	}
	c.tries++
	c.next = now.Add(wait)
}

// expectScan notes which scan the log is about before the job changes, which makes Jenkins scan anew.
func (s *scope) expectScan(ctx context.Context) {
	if !s.isMultiBranch() {
		return
	}
	folder, job := s.jobPath()
	state, err := s.Jenkins.ScanState(ctx, folder, job)
	if err != nil {
		// The scan is then taken for the new one when it has ended.
		return
	}
	s.plan(func(p *plan) { p.scan = newScan(s.Now()); p.scan.before, p.scan.known = *state, true })
}

// scanRepository asks Jenkins to look for branches if somebody wants it, and follows the scan to its end. The
// annotation of the request goes in the same write that tells of the scan: should it not happen, Jenkins is asked
// twice, which does no harm.
func scanRepository(ctx context.Context, s *scope) error {
	_, wanted := s.pipeline.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]
	switch {
	case !s.isMultiBranch():
		delete(s.pipeline.Annotations, devopsv1alpha3.PipelineRequestToScanAnnotation)
		return nil
	case wanted:
		return s.startScan(ctx)
	}
	p := s.memory.get(s.key())
	if p.scan == nil {
		c := meta.FindStatusCondition(s.pipeline.Status.Conditions, devopsv1alpha3.ConditionScanned)
		if c == nil || c.Reason != devopsv1alpha3.ReasonScanning {
			return nil
		}
		// Another process began to follow it.
		p.scan = newScan(s.Now())
		p.scan.next = s.Now()
	}
	followed := *p.scan
	err := s.followScan(ctx, &followed)
	s.plan(func(p *plan) {
		if p.scan = &followed; followed.next.IsZero() {
			p.scan = nil
		}
	})
	return err
}

// scanFailed tells if the last scan that was followed failed. Jenkins also scans by itself, and may have succeeded since.
func scanFailed(p *devopsv1alpha3.Pipeline) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionScanned)
	return c != nil && c.Status == metav1.ConditionFalse
}

func (s *scope) startScan(ctx context.Context) error {
	folder, job := s.jobPath()
	s.plan(func(p *plan) { p.scan = nil })
	s.expectScan(ctx)
	err := s.Jenkins.Scan(ctx, folder, job)
	if jenkins.Away(err) {
		return jenkinsError(err)
	}
	delete(s.pipeline.Annotations, devopsv1alpha3.PipelineRequestToScanAnnotation)
	s.plan(func(p *plan) {
		switch {
		case err != nil:
			p.scan = nil
		case p.scan == nil:
			p.scan = newScan(s.Now())
		}
	})
	if err == nil {
		s.scanned(metav1.ConditionUnknown, devopsv1alpha3.ReasonScanning, "Jenkins looks for branches")
	} else {
		// Jenkins' refusal is the answer: to ask again would bring the same.
		s.scanned(metav1.ConditionFalse, devopsv1alpha3.ReasonScanFailed, "Jenkins did not begin the scan, as it does if the job is disabled: "+err.Error())
	}
	return nil
}

// followScan looks at a scan if it is time. A scan that is to be followed no more has no next look.
func (s *scope) followScan(ctx context.Context, c *scan) error {
	now := s.Now()
	if c.next.After(now) {
		return nil
	}
	folder, job := s.jobPath()
	state, err := s.Jenkins.ScanState(ctx, folder, job)
	switch {
	case jenkins.Away(err):
		c.later(now)
		return nil
	case errors.Is(err, jenkins.ErrNotFound):
		state = &jenkins.ScanState{}
	case err != nil:
		return jenkinsError(err)
	}
	begun := state.Ran && (!c.known || state.Started != c.before.Started)
	age := now.Sub(c.since)
	switch {
	case begun && state.Result != "":
		c.next = time.Time{}
		s.plan(func(p *plan) { p.refresh = now })
		s.scanEnded(state)
	case !begun && age > scanStart, age > scanTimeout:
		// Nothing to follow: the condition says what the log says.
		c.next = time.Time{}
		s.plan(func(p *plan) { p.refresh = now })
		if state.Result != "" {
			s.scanEnded(state)
			return nil
		}
		s.scanned(metav1.ConditionUnknown, devopsv1alpha3.ReasonFailed, "Jenkins has not begun or not ended the scan; see its log")
	default:
		c.later(now)
		if begun {
			s.scanned(metav1.ConditionUnknown, devopsv1alpha3.ReasonScanning, "Jenkins looks for branches")
		}
	}
	return nil
}

func (s *scope) scanEnded(state *jenkins.ScanState) {
	if state.Result == "SUCCESS" {
		s.scanned(metav1.ConditionTrue, devopsv1alpha3.ReasonSynced, "Jenkins has looked for branches")
		return
	}
	message := "the scan ended with " + state.Result
	if state.Problem != "" {
		message += ": " + state.Problem
	}
	s.scanned(metav1.ConditionFalse, devopsv1alpha3.ReasonScanFailed, message+"; check address and credential of the source, and the log of the scan")
}

func (s *scope) scanned(status metav1.ConditionStatus, reason, message string) {
	reconcile.SetCondition(&s.pipeline.Status.Conditions, metav1.Condition{
		Type: devopsv1alpha3.ConditionScanned, Status: status, ObservedGeneration: s.pipeline.Generation, Reason: reason, Message: message,
	})
}
