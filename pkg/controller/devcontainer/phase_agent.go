// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// refusedDelay is when to offer a template again that Jenkins refuses; its configuration may change.
const refusedDelay = time.Minute

// tryTimeout bounds the dry run of a pod.
const tryTimeout = 10 * time.Second

// Templates are the settings that agent templates are made with.
func (o Options) Templates() agenttemplate.Options {
	agent := o.Agent
	if agent.AgentImage == "" {
		agent.AgentImage = o.AgentImage
	}
	if agent.RunAsUser == nil {
		agent.RunAsUser = o.RunAsUser
	}
	return agent
}

// syncAgentTemplate offers the image that the pod runs, or last ran, to pipelines. It gives the time until
// the next look. That Jenkins is away is no error: the condition says so.
func (r *Reconciler) syncAgentTemplate(ctx context.Context, s *scope) (time.Duration, error) {
	patcher := reconcile.NewPatcher(r.client, s.app)
	before := s.app.Status.DeepCopy()
	template, err := agenttemplate.Build(s.app, r.options.Agent)
	var after time.Duration
	switch {
	case errors.Is(err, agenttemplate.ErrNoImage):
		setCondition(s, devcontainerv1.ConditionAgentTemplateSynced, metav1.ConditionFalse,
			devcontainerv1.ReasonWaitingForImage, "pipelines can use the image once the container has run")
	case err != nil:
		setCondition(s, devcontainerv1.ConditionAgentTemplateSynced, metav1.ConditionFalse, devcontainerv1.ReasonFailed, err.Error())
	default:
		// Before the first trace in Jenkins, so that none is left when the app is deleted.
		if err := r.setFinalizer(ctx, s.app, controllerutil.AddFinalizer); err != nil {
			return 0, err
		}
		patcher = reconcile.NewPatcher(r.client, s.app)
		after = r.offer(ctx, s, template)
	}
	if err := patcher.Patch(ctx, s.app); err != nil {
		return 0, err
	}
	r.tell(s.app, before, devcontainerv1.ConditionAgentTemplateSynced)
	return after, nil
}

// offer brings the template to Jenkins, if the cluster would take its pod. One that it would not take
// leaves Jenkins with the former template. It gives the time until the next look.
func (r *Reconciler) offer(ctx context.Context, s *scope, template agenttemplate.Template) time.Duration {
	problem := r.tryTemplate(ctx, template)
	if problem != nil && problem.Permanent {
		setCondition(s, devcontainerv1.ConditionAgentTemplateSynced, metav1.ConditionFalse, problem.Reason, problem.Message)
		return refusedDelay
	}
	after, err := r.syncer.Sync(ctx, template)
	return soonest(after, s.setTemplateCondition(template, err))
}

// tryTemplate lets the cluster try the pod of a template that Jenkins may not have yet. It gives why the
// cluster refuses it; nil if it does not, or if nothing can be told: the templates of a cluster that
// cannot be asked must not be held up.
func (r *Reconciler) tryTemplate(ctx context.Context, template agenttemplate.Template) *agentpod.Problem {
	if r.tryPod == nil || r.syncer.Has(template) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	problem, err := r.tryPod(ctx, template)
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the pod of an agent template cannot be tried", "error", err.Error())
		return nil
	}
	return problem
}

// setTemplateCondition says how it went, and when to try again if it did not go well.
func (s *scope) setTemplateCondition(template agenttemplate.Template, err error) time.Duration {
	const conditionType = devcontainerv1.ConditionAgentTemplateSynced
	var unavailable *agenttemplate.UnavailableError
	switch {
	case err == nil:
		s.app.Status.AgentLabel = agenttemplate.Alias(s.app)
		setCondition(s, conditionType, metav1.ConditionTrue, devcontainerv1.ReasonSynced,
			fmt.Sprintf("pipelines can use the image by agent { label '%s' }, or by '%s' to stay with it as it is now",
				template.Labels[0], template.Labels[1]))
		return 0
	case errors.As(err, &unavailable):
		setCondition(s, conditionType, metav1.ConditionFalse, devcontainerv1.ReasonJenkinsUnavailable, unavailable.Error())
		return unavailable.After
	default:
		setCondition(s, conditionType, metav1.ConditionFalse, devcontainerv1.ReasonFailed, err.Error())
		return refusedDelay
	}
}

// delete removes the agent template and then the finalizer. All other objects belong to the app and go
// with it. While Jenkins is away the app stays, but its pod and its port do not: the user has deleted them.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.app, devcontainerv1.Finalizer) {
		return ctrl.Result{}, nil
	}
	if err := r.deleteWorkload(ctx, s); err != nil {
		return reconcile.Result(err)
	}
	err := r.syncer.Delete(ctx, agenttemplate.Alias(s.app))
	if err == nil {
		err := r.setFinalizer(ctx, s.app, controllerutil.RemoveFinalizer)
		return reconcile.Result(client.IgnoreNotFound(err))
	}
	patcher := reconcile.NewPatcher(r.client, s.app)
	before := s.app.Status.DeepCopy()
	reason, after := devcontainerv1.ReasonFailed, refusedDelay
	var unavailable *agenttemplate.UnavailableError
	if errors.As(err, &unavailable) {
		reason, after = devcontainerv1.ReasonJenkinsUnavailable, unavailable.After
	}
	s.app.Status.Ready = false
	setCondition(s, devcontainerv1.ConditionReady, metav1.ConditionFalse, devcontainerv1.ReasonStopped, "the dev container is being deleted")
	setCondition(s, devcontainerv1.ConditionAgentTemplateSynced, metav1.ConditionFalse, reason,
		"the dev container goes when its agent template is removed from Jenkins: "+err.Error())
	if err := patcher.Patch(ctx, s.app); err != nil {
		return reconcile.Result(err)
	}
	r.tell(s.app, before, devcontainerv1.ConditionAgentTemplateSynced)
	return ctrl.Result{RequeueAfter: after}, nil
}

// deleteWorkload ends the pod and closes the port.
func (r *Reconciler) deleteWorkload(ctx context.Context, s *scope) error {
	key := client.ObjectKey{Namespace: s.app.Namespace, Name: resources.Name(s.app)}
	for _, obj := range []client.Object{&corev1.Service{}, &appsv1.StatefulSet{}} {
		found, err := r.getOwned(ctx, key, obj, s.app.UID)
		if err != nil {
			return err
		}
		if !found || obj.GetDeletionTimestamp() != nil {
			continue
		}
		uid := obj.GetUID()
		err = r.client.Delete(ctx, obj, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s: %w", describe(obj), err)
		}
	}
	return nil
}

// setFinalizer adds or removes our finalizer. The list of finalizers is sent as a whole, so it must be the
// one that was read.
func (r *Reconciler) setFinalizer(ctx context.Context, app *devcontainerv1.DevcontainerApp, change func(client.Object, string) bool) error {
	before := app.DeepCopy()
	if !change(app, devcontainerv1.Finalizer) {
		return nil
	}
	want := app.DeepCopy()
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, want, patch); err != nil {
		return fmt.Errorf("change finalizer of %s: %w", describe(app), err)
	}
	app.ResourceVersion = want.ResourceVersion
	return nil
}
