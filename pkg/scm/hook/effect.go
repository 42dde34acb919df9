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
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/pattern"
	"github.com/slipway-dev/slipway/pkg/runs"
)

const (
	// RefAnnotation on a pipeline without branches is a JSON list of regular expressions: only pushes to
	// a branch or tag that one of them finds start it. It is KubeSphere's.
	RefAnnotation = index.SCMAnnotation + "/ref"
	// DeliveryAnnotation on a run identifies what it was started by: the kind of server, and a digest of what was signed or
	// the name of the delivery.
	DeliveryAnnotation = "slipway.dev/scm-delivery"
	// triggerWebhook is the value of the annotation that tells what started a run.
	triggerWebhook = "webhook"
	// sameEvent is for how long two deliveries about the same commits are taken for one event that was
	// told twice, as when both the repository and its organization have a webhook.
	sameEvent = 5 * time.Minute
	// maxExpressions bounds the annotation.
	maxExpressions = 100
)

// errNothing says that an event called for nothing.
var errNothing = errors.New("no pipeline wants the event")

// apply does what an event calls for. All of it may be done again. The error is errNothing if there was nothing to do.
func (r *Receiver) apply(ctx context.Context, e *Event, g grant) error {
	pipelines, err := r.pipelines(ctx, e.Keys)
	if err != nil {
		return err
	}
	pipelines = inTurn(slices.DeleteFunc(pipelines, func(p *devopsv1alpha3.Pipeline) bool { return !g.reaches(p) }),
		func(p *devopsv1alpha3.Pipeline) string { return p.Namespace })
	var errs []error
	for _, p := range pipelines {
		if ctx.Err() != nil {
			break
		}
		if p.Spec.Type == devopsv1alpha3.MultiBranchPipelineType {
			errs = append(errs, r.scan(ctx, p))
			continue
		}
		for _, c := range e.Changes {
			if c.After == "" || ctx.Err() != nil || !wantsRef(ctx, p, c.Ref) {
				continue
			}
			errs = append(errs, r.start(ctx, p, start{
				what: []string{c.Ref, c.Before, c.After}, delivery: string(e.Provider) + "/" + e.Said,
			}))
		}
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(append(errs, ctx.Err())...)
	case len(errs) == 0:
		return errNothing
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
		if ctx.Err() != nil {
			return false
		}
		found, err := finds(expression, ref, short)
		if err != nil {
			log.Info("the annotation "+RefAnnotation+" has what is no regular expression, or a too large one", "error", err.Error())
		}
		if found {
			return true
		}
	}
	return len(expressions) == 0
}

// finds tells if an expression is found in one of two texts.
func finds(expression, one, other string) (bool, error) {
	compiled, err := pattern.Compile(expression)
	if err != nil {
		return false, err //nolint:wrapcheck // the caller says where it is
	}
	found, err := compiled.Match(one)
	if err == nil && !found {
		found, err = compiled.Match(other)
	}
	return found, err //nolint:wrapcheck // as above
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

// newRun makes a run, without a creator.
func newRun(p *devopsv1alpha3.Pipeline, s start) *devopsv1alpha3.PipelineRun {
	run := runs.New(p)
	run.Annotations[devopsv1alpha3.PipelineRunTriggerAnnotation] = triggerWebhook
	run.Annotations[DeliveryAnnotation] = s.delivery
	run.Spec.Parameters = s.parameters
	return run
}
