// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

// ControllerName is the controller's name in logs, metrics and events.
const ControllerName = "devcontainer"

const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
)

// CacheOptions say what the manager's cache should hold of kinds that only this controller reads: pods
// and Secrets of dev containers, and events without what nobody reads. Without them the cache holds every
// pod and every Secret of the cluster.
func CacheOptions() map[client.Object]cache.ByObject {
	ours, err := labels.NewRequirement(devcontainerv1.AppLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // the label is a constant
	}
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}:    {Label: labels.NewSelector().Add(*ours), Transform: cache.TransformStripManagedFields()},
		&corev1.Secret{}: {Label: labels.NewSelector().Add(*ours), Transform: cache.TransformStripManagedFields()},
		&corev1.Event{}:  {Transform: trimEvent},
	}
}

func trimEvent(obj any) (any, error) {
	if event, ok := obj.(*corev1.Event); ok {
		event.ManagedFields, event.Labels, event.Annotations = nil, nil, nil
		event.Source, event.Related = corev1.EventSource{}, nil
	}
	return obj, nil
}

// Setup makes the controller and adds it to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, templates agenttemplate.Store, options Options) error {
	deps := Deps{
		Client:    mgr.GetClient(),
		Reader:    mgr.GetAPIReader(),
		Recorder:  mgr.GetEventRecorder(ControllerName),
		Templates: templates,
	}
	if namespace := options.Agent.Namespace; namespace != "" {
		deps.TryPod = func(ctx context.Context, template agenttemplate.Template) (*agentpod.Problem, error) {
			return agentpod.TryPod(ctx, mgr.GetClient(), namespace, template)
		}
	}
	r, err := New(deps, options)
	if err != nil {
		return err
	}
	return r.SetupWithManager(ctx, mgr)
}

// SetupWithManager adds the controller to a manager: it is run for each app, for what it owns, for its
// pod and for the events about them.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Event{}, eventIndex, func(obj client.Object) []string {
		return []string{string(obj.(*corev1.Event).InvolvedObject.UID)}
	})
	if err != nil {
		return fmt.Errorf("index events: %w", err)
	}
	pool := newKeyPool()
	if err := mgr.Add(pool); err != nil {
		return fmt.Errorf("add the pool of host keys: %w", err)
	}
	r.makeHostKeys = pool.Take
	err = ctrl.NewControllerManagedBy(mgr).
		Named(ControllerName).
		// Changes of the status as well: a pass that worked on an app as it was before its own last
		// patch may have left a field as it was then, and the next one mends it.
		For(&devcontainerv1.DevcontainerApp{}).
		Owns(&appsv1.StatefulSet{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.Secret{}).
		Owns(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(appOf)).
		Watches(&corev1.Event{}, handler.EnqueueRequestsFromMapFunc(r.appOfEvent), builder.WithPredicates(aboutUs())).
		WatchesRawSource(source.Func(r.watchJenkins)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.options.Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up controller %s: %w", ControllerName, err)
	}
	return nil
}

// appOf finds the app of an object that was made for one.
func appOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetAnnotations()[resources.AppNameAnnotation]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// aboutUs lets events pass that may be about an object of an app.
func aboutUs() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(obj client.Object) bool {
		event, ok := obj.(*corev1.Event)
		return ok && involved(event) != nil
	})
}

// involved gives an empty object of the kind that the event is about; nil if no app has such a thing.
func involved(event *corev1.Event) client.Object {
	switch event.InvolvedObject.Kind {
	case "Pod":
		return &corev1.Pod{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	}
	return nil
}

// appOfEvent finds the app that an event is about. An event that comes before its object is no loss: the
// object's own coming starts a pass, which reads the events.
func (r *Reconciler) appOfEvent(ctx context.Context, obj client.Object) []ctrl.Request {
	event, ok := obj.(*corev1.Event)
	if !ok {
		return nil
	}
	about := involved(event)
	if about == nil {
		return nil
	}
	key := client.ObjectKey{Namespace: event.InvolvedObject.Namespace, Name: event.InvolvedObject.Name}
	if err := r.client.Get(ctx, key, about); err != nil {
		return nil
	}
	return appOf(ctx, about)
}

// watchJenkins starts a pass of every app when Jenkins is back: it may have lost templates.
func (r *Reconciler) watchJenkins(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.syncer.Back():
			}
			apps := &devcontainerv1.DevcontainerAppList{}
			if err := r.client.List(ctx, apps); err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "list dev containers after Jenkins came back")
				continue
			}
			for i := range apps.Items {
				queue.Add(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&apps.Items[i])})
			}
		}
	}()
	return nil
}
