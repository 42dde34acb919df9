// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// Patch writes the difference between obj and the object as it was read or last patched. An object
// that is gone is no error.
//
// The status goes last: it may say that nothing is left to do, so a crash before it must find
// nothing missing. Only where a finalizer is removed it goes first, as the object may vanish with it.
//
// Lists are written as a whole, so what has them (the status with its conditions, finalizers,
// owners) is written only if the object is still as it was read: a copy from a cache that is behind
// would set them back. That it is not is a conflict. Single annotations and labels are written all
// the same: they say what was done outside.
func (p *Patcher) Patch(ctx context.Context, obj client.Object) error {
	status, rest, err := p.changed(obj)
	if err != nil {
		return err
	}
	want := obj.DeepCopyObject().(client.Object)
	steps := []func() error{func() error { return p.patchRest(ctx, want, rest, status) }, func() error { return p.patchStatus(ctx, want, status) }}
	if len(obj.GetFinalizers()) < len(p.before.GetFinalizers()) {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	obj.SetResourceVersion(p.before.GetResourceVersion())
	p.before = obj.DeepCopyObject().(client.Object)
	return nil
}

// patchRest writes metadata and spec. With the status to follow it finds out if the object was changed.
func (p *Patcher) patchRest(ctx context.Context, want client.Object, changed, statusFollows bool) error {
	if !changed {
		return nil
	}
	lists := !equality.Semantic.DeepEqual(p.before.GetFinalizers(), want.GetFinalizers()) ||
		!equality.Semantic.DeepEqual(p.before.GetOwnerReferences(), want.GetOwnerReferences())
	if !lists && !statusFollows {
		return p.send(p.client.Patch, ctx, want, client.MergeFrom(p.before))
	}
	err := p.send(p.client.Patch, ctx, want, client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{}))
	if lists || !apierrors.IsConflict(err) {
		return err
	}
	return errors.Join(err, p.send(p.client.Patch, ctx, want, client.MergeFrom(p.before)))
}

func (p *Patcher) patchStatus(ctx context.Context, want client.Object, changed bool) error {
	if !changed {
		return nil
	}
	patch := func(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
		return p.client.Status().Patch(ctx, obj, patch)
	}
	return p.send(patch, ctx, want, client.MergeFromWithOptions(p.before, client.MergeFromWithOptimisticLock{}))
}

// send makes one call and notes the version of the object after it.
func (p *Patcher) send(call func(context.Context, client.Object, client.Patch, ...client.PatchOption) error, ctx context.Context, want client.Object, patch client.Patch) error { //nolint:revive // the call is what the function is about
	// The answer of the server is read into a copy: it would undo what is still to be written. With the
	// version as it was read that is no part of the difference.
	copied := want.DeepCopyObject().(client.Object)
	copied.SetResourceVersion(p.before.GetResourceVersion())
	if err := call(ctx, copied, patch); err != nil {
		return fmt.Errorf("patch %s %s: %w", kindOf(want), client.ObjectKeyFromObject(want), err)
	}
	p.before.SetResourceVersion(copied.GetResourceVersion())
	return nil
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

func kindOf(obj client.Object) string {
	return fmt.Sprintf("%T", obj)
}
