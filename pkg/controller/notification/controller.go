// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package notification tells other systems of runs: that they were started, wait for an input or have
// ended. A Secret that an annotation of the Pipeline or its DevOpsProject names says who is told of what.
//
// Everything is told at least once: what the receiver took is noted on the run, and what is not noted is
// sent again, with the same id. What cannot be delivered for an hour is given up with a warning.
package notification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// ControllerName is the controller's name in logs, metrics and events.
const ControllerName = "notification"

// Defaults of Options.
const (
	DefaultConcurrency = 32
	DefaultGiveUp      = time.Hour
	DefaultFirstRetry  = 2 * time.Second
	DefaultLastRetry   = 5 * time.Minute
)

const (
	// perProject is how many notifications of one project are sent at once: a slow receiver holds up the
	// project's own, not others'.
	perProject = 4
	// busyWait is about how long a run waits where its project sends as many as it may.
	busyWait = 3 * time.Second
	// dateWait is how long a run waits for the date of an annotation that was just set.
	dateWait = time.Second
)

// ReasonNotificationFailed is the reason of the event on a run of which somebody could not be told.
const ReasonNotificationFailed = "NotificationFailed"

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines;devopsprojects,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Recorder writes events.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Options are the settings of the controller. Zero values take the defaults.
type Options struct {
	// ExternalURL is the address at which users reach the API server, for links. Empty: there are none.
	ExternalURL string
	// AllowLocal lets receivers be on this machine.
	AllowLocal bool
	// Concurrency is how many notifications are sent at once.
	Concurrency int
	// GiveUp is how long after the first try a notification is given up, and how old something may be that
	// was never told.
	GiveUp time.Duration
	// FirstRetry and LastRetry bound the time between tries, which doubles.
	FirstRetry, LastRetry time.Duration
}

// Reconciler tells of runs.
type Reconciler struct {
	// Client reads runs, pipelines and projects from the cache and writes to the API server.
	Client client.Client
	// Reader reads Secrets from the API server.
	Reader client.Reader
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	sender *sender
	mu     sync.Mutex
	// runs is what the process knows and the cache may not know yet.
	runs map[types.UID]*memory
	// sending counts what is under way, by project.
	sending map[string]int
	// receivers are Secrets that were read a moment ago.
	receivers map[types.NamespacedName]readReceiver
}

// readReceiver is what was read of a Secret.
type readReceiver struct {
	receiver *receiver
	err      error
	until    time.Time
}

// memory is what the process knows of a run.
type memory struct {
	record record
	tries  map[string]tries
	// unwritten says that the run's annotation has not got the record yet.
	unwritten bool
}

// tries are those of one notification.
type tries struct {
	count int
	next  time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.Client, r.Reader = mgr.GetClient(), mgr.GetAPIReader()
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder(ControllerName)
	}
	if err := r.init(); err != nil {
		return err
	}
	pipelines := &dating[*devopsv1alpha3.Pipeline]{client: r.Client, live: r.Reader, now: r.Now,
		empty: func() *devopsv1alpha3.Pipeline { return &devopsv1alpha3.Pipeline{} }}
	projects := &dating[*devopsv1alpha3.DevOpsProject]{client: r.Client, live: r.Reader, now: r.Now,
		empty: func() *devopsv1alpha3.DevOpsProject { return &devopsv1alpha3.DevOpsProject{} }}
	return errors.Join(
		pipelines.setup(mgr, ControllerName+"-pipeline"),
		projects.setup(mgr, ControllerName+"-project"),
		ctrl.NewControllerManagedBy(mgr).
			Named(ControllerName).
			For(&devopsv1alpha3.PipelineRun{}, builder.WithPredicates(r.newsworthy())).
			WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Concurrency}).
			Complete(r))
}

func (r *Reconciler) init() error {
	o := &r.Options
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	for value, otherwise := range map[*time.Duration]time.Duration{&o.GiveUp: DefaultGiveUp, &o.FirstRetry: DefaultFirstRetry, &o.LastRetry: DefaultLastRetry} {
		if *value == 0 {
			*value = otherwise
		}
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	r.runs, r.sending, r.receivers = map[types.UID]*memory{}, map[string]int{}, map[types.NamespacedName]readReceiver{}
	var err error
	r.sender, err = newSender(o.AllowLocal)
	return err
}

// newsworthy lets through runs of which something can be told: not those that ended long ago, which are
// most at the start.
func (r *Reconciler) newsworthy() predicate.Predicate {
	fresh := func(obj client.Object) bool {
		run, ok := obj.(*devopsv1alpha3.PipelineRun)
		return ok && slices.ContainsFunc(happenings(run), func(h happening) bool { return r.wanted(readRecord(run), h) })
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return fresh(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			if run, ok := e.ObjectNew.(*devopsv1alpha3.PipelineRun); ok {
				r.settle(run)
			}
			return fresh(e.ObjectNew)
		},
		DeleteFunc: func(e event.DeleteEvent) bool {
			r.forget(e.Object.GetUID())
			return false
		},
	}
}

// wanted tells if something has to be told or given up: it is fresh, or it was tried before.
func (r *Reconciler) wanted(known record, h happening) bool {
	e := known[h.key]
	return !e.done() && (e.Since != nil || r.Now().Sub(h.time) < r.Options.GiveUp)
}

// Reconcile tells what has to be told of one run.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	run := &devopsv1alpha3.PipelineRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !run.DeletionTimestamp.IsZero() {
		r.forget(run.UID)
		return ctrl.Result{}, nil
	}
	if r.unwritten(run.UID) {
		if err := r.write(ctx, run, r.known(run)); err != nil {
			return ctrl.Result{}, err
		}
	}
	known := r.known(run)
	todo := slices.DeleteFunc(happenings(run), func(h happening) bool { return !r.wanted(known, h) })
	if len(todo) == 0 {
		return ctrl.Result{}, nil
	}
	asked, err := r.subscription(ctx, run)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case asked == nil:
		return ctrl.Result{}, nil
	case asked.since.IsZero():
		return ctrl.Result{RequeueAfter: dateWait}, nil
	}
	var next time.Duration
	for _, h := range todo {
		if h.time.Before(asked.since) {
			continue
		}
		after, err := r.tell(ctx, run, asked.secret, h)
		if err != nil {
			return ctrl.Result{}, err
		}
		if after > 0 && (next == 0 || after < next) {
			next = after
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// tell tells one thing, if it is time. It gives when to come back; 0: never.
func (r *Reconciler) tell(ctx context.Context, run *devopsv1alpha3.PipelineRun, secret string, h happening) (time.Duration, error) {
	e := r.known(run)[h.key]
	if e.Since != nil && r.Now().Sub(*e.Since) >= r.Options.GiveUp {
		return 0, r.giveUp(ctx, run, h, e)
	}
	if wait := r.tries(run.UID, h.key).next.Sub(r.Now()); wait > 0 {
		return wait, nil
	}
	to, err := r.receiver(ctx, run.Namespace, secret)
	if err == nil && !slices.Contains(to.events, h.event) {
		return 0, nil
	}
	if err == nil {
		if !r.enter(run.Namespace) {
			return busyWait + rand.N(busyWait), nil //nolint:gosec // it spreads load
		}
		err = r.send(ctx, run, to, h)
		r.leave(run.Namespace)
	}
	if err == nil {
		now := r.Now().UTC().Truncate(time.Second)
		return 0, r.note(ctx, run, h.key, entry{Sent: &now})
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("stopped: %w", ctx.Err())
	}
	return r.failed(ctx, run, h, err)
}

func (r *Reconciler) send(ctx context.Context, run *devopsv1alpha3.PipelineRun, to *receiver, h happening) error {
	body, err := cloudEvent(run, h, r.Options.ExternalURL).encode()
	if err != nil {
		return err
	}
	return r.sender.send(ctx, to, deliveryID(run, h), h.event, body)
}

// failed notes that a try failed and gives when to try again. The run is written at the first try only.
func (r *Reconciler) failed(ctx context.Context, run *devopsv1alpha3.PipelineRun, h happening, cause error) (time.Duration, error) {
	e := r.known(run)[h.key]
	first := e.Since == nil
	if first {
		now := r.Now().UTC().Truncate(time.Second)
		e.Since = &now
	}
	e.Error = clip(cause.Error())
	var refused *failure
	if errors.As(cause, &refused) && refused.final {
		return 0, r.giveUp(ctx, run, h, e)
	}
	t := r.tries(run.UID, h.key)
	delay := min(r.Options.FirstRetry<<min(t.count, 20), r.Options.LastRetry)
	if refused != nil && refused.after > delay {
		delay = refused.after
	}
	left := r.Options.GiveUp - r.Now().Sub(*e.Since)
	delay = max(min(delay, left), time.Millisecond)
	r.remember(run, h.key, e, tries{count: t.count + 1, next: r.Now().Add(delay)})
	ctrl.LoggerFrom(ctx).V(1).Info("A notification could not be delivered", "event", h.event, "error", e.Error, "again", delay.String())
	if first {
		return delay, r.note(ctx, run, h.key, e)
	}
	return delay, nil
}

// giveUp ends the tries, with a warning.
func (r *Reconciler) giveUp(ctx context.Context, run *devopsv1alpha3.PipelineRun, h happening, e entry) error {
	now := r.Now().UTC().Truncate(time.Second)
	e.GivenUp = &now
	if err := r.note(ctx, run, h.key, e); err != nil {
		return err
	}
	r.Recorder.Eventf(run, nil, corev1.EventTypeWarning, ReasonNotificationFailed, "Notify",
		"the notification %q could not be delivered and is given up: %s", h.event, e.Error)
	return nil
}

// note writes an entry on the run. What is written is known at once, however late the cache learns of it.
func (r *Reconciler) note(ctx context.Context, run *devopsv1alpha3.PipelineRun, key string, e entry) error {
	r.remember(run, key, e, r.tries(run.UID, key))
	r.mark(run.UID, true)
	return r.write(ctx, run, r.known(run).with(key, e))
}

// write writes the record. Should it fail, it is written at the next pass.
func (r *Reconciler) write(ctx context.Context, run *devopsv1alpha3.PipelineRun, known record) error {
	text, err := known.encode()
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		// Another run of the name has nothing to do with it.
		"uid":         run.UID,
		"annotations": map[string]any{devopsv1alpha3.NotifiedAnnotation: text},
	}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	err = r.Client.Patch(ctx, run.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		r.forget(run.UID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("record what was told: %w", err)
	}
	r.mark(run.UID, false)
	return nil
}
