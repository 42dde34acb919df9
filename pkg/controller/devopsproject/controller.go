// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devopsproject keeps a DevOpsProject's namespace and Jenkins folder.
package devopsproject

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/predicates"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Defaults of Options.
const (
	DefaultConcurrency = 4
	DefaultAdminRole   = "slipway-project-admin"
)

// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects/finalizers,verbs=update
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines;pipelineruns,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=devcontainer.devstar.cn,resources=devcontainerapps,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=get;create
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=slipway-project-admin,verbs=bind
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Jenkins is what the controller needs of Jenkins.
type Jenkins interface {
	// GetFolder returns name and description of a folder.
	GetFolder(ctx context.Context, folder string) (*jenkins.Folder, error)
	// CreateFolder creates a folder; one that exists is jenkins.ErrConflict.
	CreateFolder(ctx context.Context, folder, description string) error
	// DescribeFolder replaces the description of a folder.
	DescribeFolder(ctx context.Context, folder, description string) error
	// DeleteFolder deletes the folder and all in it; that it does not exist is a success.
	DeleteFolder(ctx context.Context, folder string) error
}

// Recorder writes events.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Options are the settings of the controller.
type Options struct {
	// Concurrency is how many projects are worked on at once. 0: DefaultConcurrency.
	Concurrency int
	// AdminRole is the ClusterRole that the creator of a project gets in its namespace. Empty:
	// DefaultAdminRole.
	AdminRole string
}

// Reconciler brings DevOpsProjects to Kubernetes and Jenkins. It keeps nothing between passes.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Reader reads RoleBindings past the cache, so that none are watched for a read at creation.
	Reader client.Reader
	// Jenkins holds the folders.
	Jenkins Jenkins
	// Roles keeps the members' roles in Jenkins, if that has the plugin for it. Nil: nothing is done about roles.
	Roles Roles
	// Recorder writes events.
	Recorder Recorder
	// Now tells the time.
	Now func() time.Time
	// Options are the settings.
	Options Options

	plugin plugin
}

// SetupWithManager registers the controller. It fails if something that it needs is missing.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Jenkins == nil {
		return errors.New("controller devopsproject: no Jenkins client given")
	}
	r.Client, r.Reader = mgr.GetClient(), mgr.GetAPIReader()
	if r.Recorder == nil {
		r.Recorder = mgr.GetEventRecorder("devopsproject")
	}
	r.setDefaults()
	return ctrl.NewControllerManagedBy(mgr).
		Named("devopsproject").
		For(&devopsv1alpha3.DevOpsProject{}, builder.WithPredicates(predicates.Changed(func(p *devopsv1alpha3.DevOpsProject) string {
			return fmt.Sprint(p.Generation, p.Labels[devopsv1alpha3.WorkspaceLabel], p.Annotations[devopsv1alpha3.CreatorAnnotation],
				p.Annotations[devopsv1alpha3.AdoptFolderAnnotation])
		}))).
		Owns(&corev1.Namespace{}).
		// A pipeline finds that the folder is gone: nothing else looks for it.
		Watches(&devopsv1alpha3.Pipeline{}, handler.EnqueueRequestsFromMapFunc(ofPipeline), builder.WithPredicates(predicates.Changed(missesFolder))).
		WatchesRawSource(source.Func(r.watchRoles)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Concurrency}).
		Complete(r)
}

func missesFolder(p *devopsv1alpha3.Pipeline) bool {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced)
	return c != nil && c.Reason == devopsv1alpha3.ReasonFolderMissing
}

func ofPipeline(_ context.Context, obj client.Object) []ctrl.Request {
	if p, ok := obj.(*devopsv1alpha3.Pipeline); !ok || !missesFolder(p) {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Name: obj.GetNamespace()}}}
}

func (r *Reconciler) setDefaults() {
	if r.Options.Concurrency <= 0 {
		r.Options.Concurrency = DefaultConcurrency
	}
	if r.Options.AdminRole == "" {
		r.Options.AdminRole = DefaultAdminRole
	}
	if r.Now == nil {
		r.Now = time.Now
	}
}

// Reconcile is one pass over a project.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	project := &devopsv1alpha3.DevOpsProject{}
	if err := r.Client.Get(ctx, req.NamespacedName, project); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := r.newScope(project)
	defer func() { result, err = s.finish(ctx, err) }()
	if !project.DeletionTimestamp.IsZero() {
		if !controllerutil.ContainsFinalizer(project, devopsv1alpha3.DevOpsProjectFinalizer) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, reconcile.Phases(ctx, s, deleteContents, deleteNamespace, deleteRoles, deleteFolder, dropFinalizer)
	}
	return ctrl.Result{}, reconcile.Phases(ctx, s, addFinalizer, ensureNamespace, ensureAdmin, ensureFolder, ensureRoles)
}
