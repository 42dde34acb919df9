// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credential brings the credentials of projects to Jenkins: Secrets of the types credential.devops.kubesphere.io/* in the
// namespace of a DevOpsProject become entries of the credential store of the project's folder, under the name of the Secret.
//
// An entry carries a mark in its description: a keyed hash of what was written. By it one call per folder tells which entries are
// there, which are Slipway's and whether they have the content that they should have, although Jenkins never gives a content back. So a
// pass that was cut short does nothing twice, what Jenkins lost is found, and what somebody else made is left alone.
package credential

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/credentials"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// ControllerName is the controller's name in logs, metrics and events.
const ControllerName = "credential"

// Defaults of Options.
const (
	DefaultConcurrency = 4
	DefaultAudit       = 30 * time.Minute
)

// minKey is the shortest key for hashes, in bytes: shorter ones could be found by trying.
const minKey = 16

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Jenkins is what the controller needs of Jenkins.
type Jenkins interface {
	// ListCredentials tells of all entries of a folder. jenkins.ErrNotFound: there is no such folder.
	ListCredentials(ctx context.Context, folder string) ([]jenkins.CredentialInfo, error)
	// CreateCredential makes an entry. jenkins.ErrConflict: there is one of this id.
	CreateCredential(ctx context.Context, folder string, e jenkins.CredentialEntry) error
	// UpdateCredential replaces an entry. jenkins.ErrNotFound: there is none.
	UpdateCredential(ctx context.Context, folder string, e jenkins.CredentialEntry) error
	// DeleteCredential removes an entry; that there is none is a success.
	DeleteCredential(ctx context.Context, folder, id string) error
}

// Recorder writes events.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Options are the settings of the controller.
type Options struct {
	// Key is the secret of the hashes in annotations and descriptions: at least 16 bytes that stay the same. Required. A new key
	// writes all entries anew.
	Key []byte
	// Concurrency is how many credentials are worked on at once. 0: DefaultConcurrency.
	Concurrency int
	// Audit is how often each folder is compared with its Secrets, so that what Jenkins lost comes back. Folders are never asked
	// faster than one a minute, so that many of them take longer. 0: DefaultAudit.
	Audit time.Duration
	// KubeconfigAs is credentials.KubeconfigAsSecretText or KubeconfigAsKubeconfig. Empty: the former.
	KubeconfigAs string
}

// Reconciler brings credentials to Jenkins. What it remembers of Jenkins only saves calls.
type Reconciler struct {
	// Client reads projects from the cache and writes to the API server.
	Client client.Client
	// Jenkins holds the entries.
	Jenkins Jenkins
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	secrets   *secrets
	inventory *inventory
	pace      pace
	// namespaces bounds what is watched; all if empty. Tests set it.
	namespaces []string
}

// SetupWithManager registers the controller. It fails if something that it needs is missing.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	switch {
	case r.Jenkins == nil:
		return errors.New("controller credential: no Jenkins client given")
	case len(r.Options.Key) < minKey:
		return errors.New("controller credential: the key of the hashes needs at least 16 bytes")
	case r.Options.KubeconfigAs != "" && r.Options.KubeconfigAs != credentials.KubeconfigAsSecretText && r.Options.KubeconfigAs != credentials.KubeconfigAsKubeconfig:
		return errors.New("controller credential: kubeconfigs are kept as secret-text or as kubeconfig")
	}
	r.Client = mgr.GetClient()
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder(ControllerName)
	}
	r.setDefaults()
	var err error
	if r.secrets, err = newSecrets(mgr, r.namespaces); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named(ControllerName).
		Watches(&devopsv1alpha3.DevOpsProject{}, handler.EnqueueRequestsFromMapFunc(r.ofProject),
			builder.WithPredicates(predicates.Changed(projectReady))).
		WatchesRawSource(source.Func(r.audit)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Options.Concurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry),
		})
	for _, s := range r.secrets.sources() {
		b = b.WatchesRawSource(s)
	}
	return b.Complete(r)
}

func (r *Reconciler) setDefaults() {
	if r.Options.Concurrency <= 0 {
		r.Options.Concurrency = DefaultConcurrency
	}
	if r.Options.Audit <= 0 {
		r.Options.Audit = DefaultAudit
	}
	if r.Options.KubeconfigAs == "" {
		r.Options.KubeconfigAs = credentials.KubeconfigAsSecretText
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	r.pace.setDefaults()
	r.inventory = newInventory(r.Jenkins, r.Now)
}

// Recheck lets all folders be compared with their Secrets soon, one a second: for who learns that Jenkins was started anew or that its
// configuration was reloaded. An outage that the controller's own calls met does the same.
func (r *Reconciler) Recheck() { r.inventory.recheck() }

// projectReady tells if a project's namespace is its own and its Jenkins folder exists.
func projectReady(project *devopsv1alpha3.DevOpsProject) bool {
	return project.DeletionTimestamp.IsZero() && project.Status.AdminNamespace == project.Name &&
		meta.IsStatusConditionTrue(project.Status.Conditions, devopsv1alpha3.ConditionReady)
}

func (r *Reconciler) ofProject(ctx context.Context, project client.Object) []ctrl.Request {
	list, err := r.secrets.in(ctx, project.GetName())
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the credentials of a project", "project", project.GetName())
		return nil
	}
	requests := make([]ctrl.Request, 0, len(list))
	for i := range list {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list[i])})
	}
	return requests
}

// Reconcile is one pass over a credential.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	secret, err := r.secrets.get(ctx, req.NamespacedName)
	if err != nil || secret == nil {
		return ctrl.Result{}, err
	}
	s := r.newScope(secret)
	defer func() { result, err = s.finish(ctx, err) }()
	if !secret.DeletionTimestamp.IsZero() {
		s.silent = true
		if !controllerutil.ContainsFinalizer(secret, devopsv1alpha3.CredentialFinalizer) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, reconcile.Phases(ctx, s, findProject, removeEntry, dropFinalizer)
	}
	return ctrl.Result{}, reconcile.Phases(ctx, s, findProject, requireProject, addFinalizer, readContent, ensureEntry)
}
