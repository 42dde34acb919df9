// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// dating writes beside the annotation that asks for notifications when it was set, and removes the date
// with it. Without it a restart could not tell runs that ended before from those that ended after.
type dating[T client.Object] struct {
	client client.Client
	// live reads managedFields, which the cache does not keep.
	live  client.Reader
	empty func() T
	now   func() time.Time
}

func (d *dating[T]) setup(mgr ctrl.Manager, name string) error {
	undated := predicate.NewPredicateFuncs(func(obj client.Object) bool { return needsDate(obj.GetAnnotations()) })
	return ctrl.NewControllerManagedBy(mgr).Named(name).For(d.empty(), builder.WithPredicates(undated)).Complete(d)
}

// needsDate tells if only one of the two annotations is there.
func needsDate(annotations map[string]string) bool {
	_, err := time.Parse(time.RFC3339, annotations[devopsv1alpha3.NotifySinceAnnotation])
	_, dated := annotations[devopsv1alpha3.NotifySinceAnnotation]
	if annotations[devopsv1alpha3.NotifyAnnotation] != "" {
		return err != nil
	}
	return dated
}

// Reconcile dates one object.
func (d *dating[T]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj := d.empty()
	if err := d.live.Get(ctx, req.NamespacedName, obj); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	annotations := obj.GetAnnotations()
	if !needsDate(annotations) || !obj.GetDeletionTimestamp().IsZero() {
		return ctrl.Result{}, nil
	}
	var value any // null removes it
	if annotations[devopsv1alpha3.NotifyAnnotation] != "" {
		value = d.setAt(obj).UTC().Format(time.RFC3339)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": obj.GetResourceVersion(),
		"annotations":     map[string]any{devopsv1alpha3.NotifySinceAnnotation: value},
	}})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("encode patch: %w", err)
	}
	err = d.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch))
	if err = client.IgnoreNotFound(err); err != nil {
		return reconcile.Result(reconcile.Retry("PatchFailed", fmt.Errorf("date the subscription: %w", err)))
	}
	return ctrl.Result{}, nil
}

// setAt gives the time at which the annotation was set, which Kubernetes keeps for the manager who did it.
func (d *dating[T]) setAt(obj client.Object) time.Time {
	for _, entry := range obj.GetManagedFields() {
		if entry.Time != nil && owns(entry.FieldsV1) {
			return entry.Time.Time
		}
	}
	return d.now()
}

// owns tells if a manager has set the annotation.
func owns(fields *metav1.FieldsV1) bool {
	if fields == nil {
		return false
	}
	var set struct {
		Metadata struct {
			Annotations map[string]json.RawMessage `json:"f:annotations"`
		} `json:"f:metadata"`
	}
	if err := json.Unmarshal(fields.GetRawBytes(), &set); err != nil {
		return false
	}
	_, ok := set.Metadata.Annotations["f:"+devopsv1alpha3.NotifyAnnotation]
	return ok
}
