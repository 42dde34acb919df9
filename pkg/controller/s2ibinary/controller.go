// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package s2ibinary deletes the files of S2iBinaries with them, and notes uploads that ended without a word.
package s2ibinary

import (
	"context"
	"fmt"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// keyPrefix begins the keys of the files, as package kapis/devops/v1alpha2/s2ibinary writes them.
const keyPrefix = "s2ibinaries/"

// silence is after how long without a sign of life an upload has ended: its server was stopped.
const silence = 2 * time.Minute

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=s2ibinaries,verbs=get;list;watch;update;patch

// Objects is the object store; *objectstore.Store has it.
type Objects interface {
	DeletePrefix(ctx context.Context, prefix string) error
}

// Reconciler keeps S2iBinaries.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Objects keeps the files. Nil: there are none, and nothing is waited for.
	Objects Objects
	// Now tells the time.
	Now func() time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.Client = mgr.GetClient()
	if r.Now == nil {
		r.Now = time.Now
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("s2ibinary").For(&devopsv1alpha1.S2iBinary{}).Complete(r)
	if err != nil {
		return fmt.Errorf("controller s2ibinary: %w", err)
	}
	return nil
}

// Reconcile is one pass over a binary.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &devopsv1alpha1.S2iBinary{}
	if err := r.Client.Get(ctx, req.NamespacedName, b); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !b.DeletionTimestamp.IsZero() {
		return reconcile.Result(r.remove(ctx, b))
	}
	if b.Status.Phase != devopsv1alpha1.S2iBinaryUploading {
		return ctrl.Result{}, nil
	}
	if left := lastSign(b).Add(silence).Sub(r.Now()); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	// An update, not a patch: an upload that begins in this moment wins.
	delete(b.Annotations, devopsv1alpha1.S2iBinaryUploadAnnotation)
	b.Status.Phase = devopsv1alpha1.S2iBinaryUploadFailed
	return reconcile.Result(client.IgnoreNotFound(r.Client.Update(ctx, b)))
}

// remove deletes the files, then lets the binary go.
func (r *Reconciler) remove(ctx context.Context, b *devopsv1alpha1.S2iBinary) error {
	if !controllerutil.ContainsFinalizer(b, devopsv1alpha1.S2iBinaryFinalizer) {
		return nil
	}
	if r.Objects != nil {
		if err := r.Objects.DeletePrefix(ctx, keyPrefix+b.Namespace+"/"+b.Name+"/"); err != nil {
			return reconcile.Retry("ObjectStoreFailed", err)
		}
	}
	controllerutil.RemoveFinalizer(b, devopsv1alpha1.S2iBinaryFinalizer)
	if err := r.Client.Update(ctx, b); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove finalizer: %w", err)
	}
	return nil
}

// lastSign is when the upload last showed that it lives; long ago for one that says nothing.
func lastSign(b *devopsv1alpha1.S2iBinary) time.Time {
	_, text, _ := strings.Cut(b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation], "/")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
