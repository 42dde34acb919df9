// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// RefAnnotation on a pipeline without branches is a JSON list of regular expressions: only pushes to
	// a branch or tag that one of them finds start it. It is KubeSphere's.
	RefAnnotation = index.SCMAnnotation + "/ref"
	// DeliveryAnnotation on a run identifies the delivery that started it.
	DeliveryAnnotation = "slipway.dev/scm-delivery"
	// triggerWebhook is the value of the annotation that tells what started a run.
	triggerWebhook = "webhook"
	// sameEvent is for how long two deliveries about the same commits are taken for one event that was
	// told twice, as when both the repository and its organization have a webhook.
	sameEvent = 5 * time.Minute
	// maxExpressions and maxExpression bound the annotation.
	maxExpressions = 100
	maxExpression  = 1024
)

// apply does what an event calls for. All of it may be done again.
func (r *Receiver) apply(ctx context.Context, e *Event, g grant) error {
	pipelines, err := r.pipelines(ctx, e.Keys)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range pipelines {
		if !g.reaches(p) {
			continue
		}
		if p.Spec.Type == devopsv1alpha3.MultiBranchPipelineType {
			errs = append(errs, r.scan(ctx, p))
			continue
		}
		for _, c := range e.Changes {
			if c.After == "" || !wantsRef(ctx, p, c.Ref) {
				continue
			}
			errs = append(errs, r.start(ctx, p, start{
				what: []string{c.Ref, c.Before, c.After}, delivery: string(e.Provider) + "/" + e.Delivery,
			}))
		}
	}
	return errors.Join(errs...)
}

// scan asks for a look at the branches. What else changes in the pipeline does not matter.
func (r *Receiver) scan(ctx context.Context, p *devopsv1alpha3.Pipeline) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		devopsv1alpha3.PipelineRequestToScanAnnotation: r.opts.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return fmt.Errorf("write annotation: %w", err)
	}
	target := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
	if err := r.opts.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("ask for a scan of pipeline %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// wantsRef tells if a push to a branch or tag is to start a pipeline. The expressions are tried on the full
// name and on the short one; without any, all pushes do.
func wantsRef(ctx context.Context, p *devopsv1alpha3.Pipeline, ref string) bool {
	text := p.Annotations[RefAnnotation]
	if strings.TrimSpace(text) == "" {
		return true
	}
	log := logr.FromContextOrDiscard(ctx).WithValues("namespace", p.Namespace, "pipeline", p.Name)
	var expressions []string
	if err := json.Unmarshal([]byte(text), &expressions); err != nil || len(expressions) > maxExpressions {
		log.Info("the annotation " + RefAnnotation + " is no JSON list of regular expressions; pushes do not start the pipeline")
		return false
	}
	short := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	for _, expression := range expressions {
		if len(expression) > maxExpression {
			continue
		}
		compiled, err := regexp.Compile(expression)
		if err != nil {
			log.Info("the annotation "+RefAnnotation+" has what is no regular expression", "error", err.Error())
			continue
		}
		if compiled.MatchString(ref) || compiled.MatchString(short) {
			return true
		}
	}
	return len(expressions) == 0
}

// start describes a run to start.
type start struct {
	// what is the event that the run is for: two runs of a pipeline for the same are one.
	what []string
	// delivery identifies how it was told.
	delivery   string
	parameters []devopsv1alpha3.Parameter
}

// start starts a run, once for one event: its name is made of the event.
func (r *Receiver) start(ctx context.Context, cached *devopsv1alpha3.Pipeline, s start) error {
	// A run copies the pipeline's spec: an old state would run what the user has just replaced.
	p := &devopsv1alpha3.Pipeline{}
	if err := r.opts.Client.Get(ctx, client.ObjectKeyFromObject(cached), p); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !p.DeletionTimestamp.IsZero() || p.UID != cached.UID {
		return nil
	}
	run := newRun(p, s)
	run.Name = runName(p, s.what...)
	err := r.opts.Client.Create(ctx, run)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	before := &devopsv1alpha3.PipelineRun{}
	if err := r.opts.Client.Get(ctx, client.ObjectKeyFromObject(run), before); err != nil {
		return client.IgnoreNotFound(err)
	}
	told := before.Annotations[DeliveryAnnotation]
	if told == s.delivery || strings.HasSuffix(s.delivery, "/") || r.opts.Now().Sub(before.CreationTimestamp.Time) < sameEvent {
		return nil
	}
	// The branch went back and came here again: this is news, and gets a run of its own.
	run = newRun(p, s)
	run.Name = runName(p, append(s.what, s.delivery)...)
	if err := r.opts.Client.Create(ctx, run); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// runName makes a name of a run from what it is for.
func runName(p *devopsv1alpha3.Pipeline, what ...string) string {
	hash := sha256.New()
	for _, part := range append([]string{string(p.UID)}, what...) {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	suffix := "-" + hex.EncodeToString(hash.Sum(nil))[:10]
	return strings.TrimRight(p.Name[:min(len(p.Name), validation.DNS1123SubdomainMaxLength-len(suffix))], "-.") + suffix
}

// newRun makes a run as a user's request does, without a creator.
func newRun(p *devopsv1alpha3.Pipeline, s start) *devopsv1alpha3.PipelineRun {
	controller := true
	spec := p.Spec.DeepCopy()
	if spec.Pipeline != nil {
		for i := range spec.Pipeline.Parameters {
			// The defaults of passwords are for who may read the pipeline.
			if d := &spec.Pipeline.Parameters[i]; d.Type == string(jenkinsfile.ParameterPassword) {
				d.DefaultValue = ""
			}
		}
	}
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace,
			Labels:    map[string]string{devopsv1alpha3.PipelineNameLabel: reconcile.LabelValue(p.Name)},
			Annotations: map[string]string{
				devopsv1alpha3.PipelineRunTriggerAnnotation: triggerWebhook,
				DeliveryAnnotation:                          s.delivery,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind, Name: p.Name, UID: p.UID, Controller: &controller,
			}},
		},
		Spec: devopsv1alpha3.PipelineRunSpec{
			PipelineRef: &corev1.ObjectReference{
				APIVersion: devopsv1alpha3.GroupVersion.String(), Kind: devopsv1alpha3.PipelineKind, Namespace: p.Namespace, Name: p.Name, UID: p.UID,
			},
			PipelineSpec: spec,
			Parameters:   s.parameters,
		},
	}
}
