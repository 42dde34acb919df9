// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devcontainer turns a DevcontainerApp into a Secret with SSH keys, a volume, a StatefulSet of one
// pod and a NodePort Service, says in its status what is waited for and why, and offers the image that
// the pod runs to pipelines as a Jenkins agent.
//
// A pass makes sure of all objects at once, then looks at what the cluster made of them (status.go,
// cause.go), writes the status, and then brings the agent template in step (phase_agent.go): a Jenkins
// that is slow or away never delays a dev container.
package devcontainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// +kubebuilder:rbac:groups=devcontainer.devstar.cn,resources=devcontainerapps,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=devcontainer.devstar.cn,resources=devcontainerapps/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=devcontainer.devstar.cn,resources=devcontainerapps/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services;secrets;persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=get;list;watch

// DefaultStorage is the size of volumes if neither the app nor the options name one.
const DefaultStorage = "10Gi"

// DefaultWorkers is how many apps are worked on at once.
const DefaultWorkers = 8

// Options are the settings of the controller.
type Options struct {
	// AgentImage is the image of slipway-agent. Required.
	AgentImage string
	// DefaultStorage is the size of the volume of an app that names none. Zero means 10Gi.
	DefaultStorage resource.Quantity
	// RunAsUser is the user of the containers. Nil leaves it to the image. DevStar's clients log in
	// as root, which needs 0.
	RunAsUser *int64
	// Workers is how many apps are worked on at once. 0 means DefaultWorkers.
	Workers int
	// Agent are the settings of agent templates. AgentImage and RunAsUser are taken from above where
	// they are not set.
	Agent agenttemplate.Options
}

// Deps are what the controller works with. All but Clock and TryPod are required.
type Deps struct {
	// Client reads from a cache and writes.
	Client client.Client
	// Reader reads without a cache.
	Reader client.Reader
	// Recorder takes events.
	Recorder events.EventRecorder
	// Templates is Jenkins.
	Templates agenttemplate.Store
	// TryPod tries the pod of an agent template, as agentpod.TryPod does. Nil: none is tried.
	TryPod func(context.Context, agenttemplate.Template) (*agentpod.Problem, error)
	// Clock is the time; the real one if nil.
	Clock clock.PassiveClock
}

// Reconciler works on one DevcontainerApp at a time.
type Reconciler struct {
	client       client.Client
	reader       client.Reader
	recorder     events.EventRecorder
	clock        clock.PassiveClock
	syncer       *agenttemplate.Syncer
	tryPod       func(context.Context, agenttemplate.Template) (*agentpod.Problem, error)
	makeHostKeys func() ([]sshkeys.HostKey, error)
	options      Options
}

// New makes a Reconciler. It gives an error that names everything that is missing.
func New(deps Deps, options Options) (*Reconciler, error) {
	var errs []error
	missing := func(is bool, what string) {
		if is {
			errs = append(errs, fmt.Errorf("the dev container controller needs %s", what))
		}
	}
	missing(deps.Client == nil, "a client")
	missing(deps.Reader == nil, "a reader without a cache")
	missing(deps.Recorder == nil, "an event recorder")
	missing(deps.Templates == nil, "a store of agent templates")
	missing(options.AgentImage == "", "the image of slipway-agent")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = clock.RealClock{}
	}
	if options.DefaultStorage.IsZero() {
		options.DefaultStorage = resource.MustParse(DefaultStorage)
	}
	if options.Workers <= 0 {
		options.Workers = DefaultWorkers
	}
	options.Agent = options.Templates()
	return &Reconciler{
		client:       deps.Client,
		reader:       deps.Reader,
		recorder:     deps.Recorder,
		clock:        deps.Clock,
		syncer:       agenttemplate.NewSyncer(deps.Templates, deps.Clock),
		tryPod:       deps.TryPod,
		makeHostKeys: sshkeys.GenerateHostKeys,
		options:      options,
	}, nil
}

// Reconcile brings the objects of one DevcontainerApp in step with its spec, and its status in step with
// the objects.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	app := &devcontainerv1.DevcontainerApp{}
	if err := r.client.Get(ctx, req.NamespacedName, app); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := &scope{app: app}
	if !app.DeletionTimestamp.IsZero() {
		return r.delete(ctx, s)
	}
	patcher := reconcile.NewPatcher(r.client, app)
	err := reconcile.Phases(ctx, s, r.ensureKeys, r.ensureStorage, r.ensureService, r.ensureStatefulSet)
	if apierrors.IsConflict(err) {
		// What was read is out of date, so that a status of it would be, too.
		return reconcile.Result(err)
	}
	s.failure = reconcile.AsOutcome(err)
	if err := r.publish(ctx, s, patcher); err != nil {
		return reconcile.Result(err)
	}
	if err := r.refreshKeys(ctx, s); err != nil {
		return reconcile.Result(err)
	}
	template, err := r.syncAgentTemplate(ctx, s)
	if err != nil {
		return reconcile.Result(err)
	}
	result, err := reconcile.Result(asError(s.failure))
	if err != nil {
		return ctrl.Result{}, err
	}
	result.RequeueAfter = soonest(result.RequeueAfter, s.lookAgain, template)
	return result, nil
}

// publish looks at the cluster, writes the status and tells of what changed.
func (r *Reconciler) publish(ctx context.Context, s *scope, patcher *reconcile.Patcher) error {
	if err := r.observe(ctx, s); err != nil {
		return err
	}
	before := s.app.Status.DeepCopy()
	setStatus(s)
	if err := patcher.Patch(ctx, s.app); err != nil {
		return err
	}
	r.tell(s.app, before, devcontainerv1.ConditionReady)
	return nil
}

// quiet are reasons of waits that are a part of each start; they make no events.
var quiet = map[string]bool{
	devcontainerv1.ReasonPodPending: true, devcontainerv1.ReasonStarting: true, devcontainerv1.ReasonPullingImage: true,
	devcontainerv1.ReasonCloning: true, devcontainerv1.ReasonPortPending: true, devcontainerv1.ReasonWaitingForImage: true,
}

// tell makes an event if the reason of a condition changed.
func (r *Reconciler) tell(app *devcontainerv1.DevcontainerApp, before *devcontainerv1.DevcontainerAppStatus, conditionType string) {
	now := meta.FindStatusCondition(app.Status.Conditions, conditionType)
	was := meta.FindStatusCondition(before.Conditions, conditionType)
	if now == nil || quiet[now.Reason] || was != nil && was.Reason == now.Reason && was.Status == now.Status {
		return
	}
	kind := corev1.EventTypeWarning
	if now.Status == metav1.ConditionTrue || now.Reason == devcontainerv1.ReasonStopped {
		kind = corev1.EventTypeNormal
	}
	r.recorder.Eventf(app, nil, kind, now.Reason, "Reconcile", "%s", now.Message)
}

func asError(outcome *reconcile.Outcome) error {
	if outcome == nil {
		return nil
	}
	return outcome
}

// soonest gives the shortest of the delays that are not 0.
func soonest(delays ...time.Duration) time.Duration {
	var first time.Duration
	for _, d := range delays {
		if d > 0 && (first == 0 || d < first) {
			first = d
		}
	}
	return first
}
