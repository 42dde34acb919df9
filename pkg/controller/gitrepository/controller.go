// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitrepository completes the addresses of GitRepositories and says whether they can be read.
package gitrepository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/gitfiles/access"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Defaults of Options.
const (
	DefaultConcurrency = 8
	DefaultRecheck     = 6 * time.Hour
	DefaultMinRetry    = 30 * time.Second
	DefaultMaxRetry    = 10 * time.Minute
)

const (
	// perProject is how many repositories of one project are checked at once: slow servers hold up the project's own.
	perProject = 2
	// busyWait is about how long a repository waits where its project has as many checks as it may.
	busyWait = time.Second
	// askTimeout bounds the question for a repository's branches.
	askTimeout = 30 * time.Second
)

// Reasons besides those of pkg/gitfiles.
const (
	// ReasonNoAddress: there is no URL, and the other fields do not make one.
	ReasonNoAddress = "NoAddress"
	// ReasonError is that of failures without a name.
	ReasonError = "Error"
)

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=gitrepositories,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=gitrepositories/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get

// Git opens repositories; *gitfiles.Cache does.
type Git interface {
	Open(t gitfiles.Target) (*gitfiles.Repository, error)
}

// Options are the settings.
type Options struct {
	// Concurrency is how many repositories are asked at once. 0: DefaultConcurrency.
	Concurrency int
	// Recheck is after how long a repository that could be read is asked again. 0: DefaultRecheck.
	Recheck time.Duration
	// MinRetry and MaxRetry bound the time after which one that could not is asked again; it is as long as it
	// has been failing. 0: DefaultMinRetry, DefaultMaxRetry.
	MinRetry, MaxRetry time.Duration
}

// Reconciler keeps GitRepositories.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Reader reads Secrets and ConfigMaps past the cache, which has few of them.
	Reader client.Reader
	// Git asks servers. Nil: addresses are completed, and nobody is asked.
	Git Git
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	mu sync.Mutex
	// asking counts the checks that are under way, by project.
	asking map[string]int
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.Client, r.Reader = mgr.GetClient(), mgr.GetAPIReader()
	r.setDefaults()
	err := ctrl.NewControllerManagedBy(mgr).
		Named("gitrepository").
		For(&devopsv1alpha3.GitRepository{}, builder.WithPredicates(predicates.Changed(wanted))).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Concurrency}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("controller gitrepository: %w", err)
	}
	return nil
}

func (r *Reconciler) setDefaults() {
	o := &r.Options
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	for value, otherwise := range map[*time.Duration]time.Duration{&o.Recheck: DefaultRecheck, &o.MinRetry: DefaultMinRetry, &o.MaxRetry: DefaultMaxRetry} {
		if *value <= 0 {
			*value = otherwise
		}
	}
	if r.Now == nil {
		r.Now = time.Now
	}
}

// wanted stands for what a user says of a repository that matters here.
func wanted(g *devopsv1alpha3.GitRepository) string {
	return fmt.Sprint(g.Generation, g.Annotations[devopsv1alpha3.InsecureSkipTLSAnnotation], g.Annotations[devopsv1alpha3.TLSCertsAnnotation],
		g.Annotations[devopsv1alpha3.TLSCertsNamespaceAnnotation])
}

// Reconcile is one pass over a repository.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	g := &devopsv1alpha3.GitRepository{}
	if err := r.Client.Get(ctx, req.NamespacedName, g); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !g.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	patcher := reconcile.NewPatcher(r.Client, g)
	if g.Spec.URL == "" {
		g.Spec.URL = access.CloneURL(g.Spec)
	}
	after, err := r.check(ctx, g)
	if err := errors.Join(err, patcher.Patch(ctx, g)); err != nil {
		return reconcile.Result(err)
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// check asks the server if it is time to, and says when it is next.
func (r *Reconciler) check(ctx context.Context, g *devopsv1alpha3.GitRepository) (time.Duration, error) {
	if r.Git == nil {
		return 0, nil
	}
	if !r.enter(g.Namespace) {
		return busyWait + rand.N(busyWait), nil //nolint:gosec // it spreads load
	}
	defer r.leave(g.Namespace)
	secret, err := r.secret(ctx, g)
	if _, problem := access.IsProblem(err); err != nil && !problem {
		return 0, err
	}
	now := observed(g, secret)
	if g.Status.Observed == now && g.Status.LastCheckTime != nil {
		if left := r.interval(g) - r.Now().Sub(g.Status.LastCheckTime.Time); left > 0 {
			return left, nil
		}
	}
	if err == nil {
		err = r.ask(ctx, g, secret)
	}
	if ctx.Err() != nil {
		return 0, ctx.Err() //nolint:wrapcheck // the controller stops
	}
	r.note(g, err)
	g.Status.Observed = now
	return r.interval(g), nil
}

// observed stands for what the server is asked with, without being of use to anybody.
func observed(g *devopsv1alpha3.GitRepository, secret *corev1.Secret) string {
	version := ""
	if secret != nil {
		version = string(secret.UID) + secret.ResourceVersion
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q", []string{g.Spec.URL, wanted(g), version})))
	return hex.EncodeToString(sum[:8])
}

// secret reads the Secret. Whoever may name a Secret decides where it is sent to; so only credentials of the
// same namespace are taken, which everybody who may run pipelines there has the use of anyway.
func (r *Reconciler) secret(ctx context.Context, g *devopsv1alpha3.GitRepository) (*corev1.Secret, error) {
	secret, err := access.Readers{Objects: r.Reader}.SecretOf(ctx, g)
	if err != nil || secret == nil {
		return nil, err //nolint:wrapcheck // it is for the user
	}
	if !devopsv1alpha3.IsCredentialType(secret.Type) && secret.Type != corev1.SecretTypeBasicAuth && secret.Type != corev1.SecretTypeSSHAuth {
		return nil, &access.Error{Reason: access.ReasonSecretInvalid, Message: fmt.Sprintf("the Secret %s is of the type %s, which is no credential", secret.Name, secret.Type)}
	}
	return secret, nil
}

// ask asks the server for its branches.
func (r *Reconciler) ask(ctx context.Context, g *devopsv1alpha3.GitRepository, secret *corev1.Secret) error {
	if g.Spec.URL == "" {
		return &access.Error{Reason: ReasonNoAddress, Message: "set spec.url, or provider, owner and repo"}
	}
	if ns := g.Annotations[devopsv1alpha3.TLSCertsNamespaceAnnotation]; ns != "" && ns != g.Namespace && ns != access.DefaultCertsNamespace {
		return &access.Error{Reason: access.ReasonCertsInvalid, Message: "the certificate authorities are in another namespace; the connection is not checked with them"}
	}
	target, err := access.Readers{Objects: r.Reader, Shared: r.Reader}.Target(ctx, g, secret)
	if err != nil {
		return err //nolint:wrapcheck // it is for the user
	}
	repo, err := r.Git.Open(target)
	if err != nil {
		return err //nolint:wrapcheck // it is for the user
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return repo.Check(ctx) //nolint:wrapcheck // it is for the user
}

// enter takes one of the project's places for checks; false: there is none free.
func (r *Reconciler) enter(project string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking[project] >= perProject {
		return false
	}
	if r.asking == nil {
		r.asking = map[string]int{}
	}
	r.asking[project]++
	return true
}

func (r *Reconciler) leave(project string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking[project]--; r.asking[project] == 0 {
		delete(r.asking, project)
	}
}

// note writes what came out.
func (r *Reconciler) note(g *devopsv1alpha3.GitRepository, err error) {
	at := metav1.NewTime(r.Now().Truncate(time.Second))
	g.Status.LastCheckTime = &at
	c := metav1.Condition{
		Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: g.Generation,
		Reason: devopsv1alpha3.ReasonGitConnected, Message: "the repository can be read", LastTransitionTime: at,
	}
	g.Status.Connection = devopsv1alpha3.GitConnected
	if err != nil {
		g.Status.Connection = devopsv1alpha3.GitFailed
		c.Status = metav1.ConditionFalse
		c.Reason, c.Message = explain(err)
	}
	g.Status.Message = c.Message
	reconcile.SetCondition(&g.Status.Conditions, c)
}

// explain gives a failure its name, and a text that holds no credential.
func explain(err error) (reason, message string) {
	if p, ok := access.IsProblem(err); ok {
		return p.Reason, p.Message
	}
	var failed *gitfiles.Error
	if errors.As(err, &failed) && failed.Reason() != "" {
		return failed.Reason(), failed.Message
	}
	return ReasonError, "the repository could not be asked; the log of the controllers says why"
}

// interval is how long after a check the next one is: one that fails is repeated after as long as it has been
// failing, within bounds.
func (r *Reconciler) interval(g *devopsv1alpha3.GitRepository) time.Duration {
	c := meta.FindStatusCondition(g.Status.Conditions, devopsv1alpha3.ConditionReady)
	if c == nil || c.Status == metav1.ConditionTrue {
		return r.Options.Recheck
	}
	return min(max(g.Status.LastCheckTime.Sub(c.LastTransitionTime.Time), r.Options.MinRetry), r.Options.MaxRetry)
}
