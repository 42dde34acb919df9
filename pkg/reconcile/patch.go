// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patcher writes what a pass changed of an object: one patch of the status and one of the rest,
// each only if something changed. It sends differences, never whole objects, so that the fields
// and annotations of other writers stay.
type Patcher struct {
	client client.Client
	before client.Object
}

// NewPatcher remembers obj as it was read.
func NewPatcher(c client.Client, obj client.Object) *Patcher {
	return &Patcher{client: c, before: obj.DeepCopyObject().(client.Object)}
}

// Patch writes the difference between obj and the object as it was read or last patched. The
// status goes first: a pass that removes the last finalizer makes the object vanish with it. An
// object that is gone is no error.
//
// Lists are written as a whole, so what has them (the status with its conditions, finalizers,
// owners) is written only if the object is still as it was read: a copy from a cache that is behind
// would set them back. That it is not is a conflict, after which the rest is written all the same:
// single annotations say what was done outside.
func (p *Patcher) Patch(ctx context.Context, obj client.Object) error {
	statusChanged, restChanged, err := p.changed(obj)
	if err != nil {
		return err
	}
	want := obj.DeepCopyObject().(client.Object)
	var conflict error
	if statusChanged {
		// The answer of the server is read into a copy: it would undo the changes of the rest.
		status := want.DeepCopyObject().(client.Object)
		err := p.client.Status().Patch(ctx, status, client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{}))
		switch {
		case apierrors.IsConflict(err):
			conflict = fmt.Errorf("patch status of %s %s: %w", kindOf(obj), client.ObjectKeyFromObject(obj), err)
		case err != nil:
			return ignoreGone(fmt.Errorf("patch status of %s %s: %w", kindOf(obj), client.ObjectKeyFromObject(obj), err))
		default:
			obj.SetResourceVersion(status.GetResourceVersion())
			p.before.SetResourceVersion(status.GetResourceVersion())
		}
	}
	if restChanged {
		rest := want.DeepCopyObject().(client.Object)
		rest.SetResourceVersion(p.before.GetResourceVersion()) // else it would be part of the difference
		if err := p.client.Patch(ctx, rest, p.restPatch(obj)); err != nil {
			return ignoreGone(fmt.Errorf("patch %s %s: %w", kindOf(obj), client.ObjectKeyFromObject(obj), err))
		}
		obj.SetResourceVersion(rest.GetResourceVersion())
	}
	if conflict != nil {
		return conflict
	}
	p.before = obj.DeepCopyObject().(client.Object)
	return nil
}

func (p *Patcher) restPatch(obj client.Object) client.Patch {
	if equality.Semantic.DeepEqual(p.before.GetFinalizers(), obj.GetFinalizers()) && equality.Semantic.DeepEqual(p.before.GetOwnerReferences(), obj.GetOwnerReferences()) {
		return client.MergeFrom(p.before)
	}
	return client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{})
}

// changed compares obj with what was read, status and rest apart.
func (p *Patcher) changed(obj client.Object) (status, rest bool, err error) {
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p.before)
	if err != nil {
		return false, false, fmt.Errorf("compare objects: %w", err)
	}
	after, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return false, false, fmt.Errorf("compare objects: %w", err)
	}
	status = !equality.Semantic.DeepEqual(before["status"], after["status"])
	delete(before, "status")
	delete(after, "status")
	return status, !equality.Semantic.DeepEqual(before, after), nil
}

// SetCondition sets the condition and tells if anything but its time changed.
func SetCondition(conditions *[]metav1.Condition, condition metav1.Condition) bool {
	return meta.SetStatusCondition(conditions, condition)
}

func ignoreGone(err error) error {
	return client.IgnoreNotFound(err)
}

func kindOf(obj client.Object) string {
	return fmt.Sprintf("%T", obj)
}
