// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// folders are the items at Jenkins' root. As in Jenkins, they are found in any case.
type folders struct {
	// names has the description of each.
	names map[string]string
	// noFolder is an item that is no folder.
	noFolder string
	err      error
	calls    []string
	// lost makes the next creation succeed without an answer.
	lost bool
}

func (f *folders) find(name string) (string, bool) {
	for n := range f.names {
		if strings.EqualFold(n, name) {
			return n, true
		}
	}
	return "", false
}

func (f *folders) GetFolder(_ context.Context, name string) (*jenkins.Folder, error) {
	f.calls = append(f.calls, "get")
	if f.err != nil {
		return nil, f.err
	}
	if f.noFolder == name {
		return nil, jenkins.ErrConflict
	}
	n, ok := f.find(name)
	if !ok {
		return nil, jenkins.ErrNotFound
	}
	return &jenkins.Folder{Name: n, FullName: n, Description: f.names[n]}, nil
}

func (f *folders) CreateFolder(_ context.Context, name, description string) error {
	f.calls = append(f.calls, "create")
	if f.err != nil {
		return f.err
	}
	if _, taken := f.find(name); taken || f.noFolder == name {
		return jenkins.ErrConflict
	}
	f.names[name] = description
	if f.lost {
		f.lost = false
		return jenkins.ErrUnavailable
	}
	return nil
}

func (f *folders) DescribeFolder(_ context.Context, name, description string) error {
	f.calls = append(f.calls, "describe")
	if f.err == nil {
		f.names[name] = description
	}
	return f.err
}

func (f *folders) DeleteFolder(_ context.Context, name string) error {
	f.calls = append(f.calls, "delete")
	if f.err == nil {
		n, _ := f.find(name)
		delete(f.names, n)
	}
	return f.err
}

func (f *folders) has(name string) bool { _, ok := f.names[name]; return ok }

type recorder struct{ list []string }

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, _ string, _ ...any) {
	r.list = append(r.list, kind+" "+reason)
}

type bench struct {
	*testing.T
	cluster client.WithWatch
	folders *folders
	events  *recorder
	r       *Reconciler
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), devopsv1alpha3.AddToScheme(scheme), devcontainerv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, folders: &folders{names: map[string]string{}}, events: &recorder{}}
	b.cluster = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&devopsv1alpha3.DevOpsProject{}).Build()
	b.r = &Reconciler{Client: b.cluster, Reader: b.cluster, Jenkins: b.folders, Recorder: b.events,
		Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }}
	b.r.setDefaults()
	return b
}

func project(name, creator string) *devopsv1alpha3.DevOpsProject {
	p := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{devopsv1alpha3.WorkspaceLabel: "ws"}}}
	if creator != "" {
		p.Annotations = map[string]string{devopsv1alpha3.CreatorAnnotation: creator}
	}
	return p
}

func (b *bench) pass(name string) (ctrl.Result, error) {
	return b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
}

func (b *bench) get(name string) *devopsv1alpha3.DevOpsProject {
	b.Helper()
	p := &devopsv1alpha3.DevOpsProject{}
	if err := b.cluster.Get(b.Context(), types.NamespacedName{Name: name}, p); err != nil {
		b.Fatal(err)
	}
	return p
}

func ready(p *devopsv1alpha3.DevOpsProject) string {
	c := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionReady)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s/%s/%s", c.Status, c.Reason, p.Annotations[devopsv1alpha3.ProjectSyncStatusAnnotation])
}

func TestLife(t *testing.T) {
	b := newBench(t, project("shop", "ann"))
	for range 2 {
		if _, err := b.pass("shop"); err != nil {
			t.Fatal(err)
		}
	}
	p := b.get("shop")
	if got := ready(p); got != "True/Synced/successful" || p.Status.AdminNamespace != "shop" {
		t.Errorf("got %s in namespace %q", got, p.Status.AdminNamespace)
	}
	if p.Annotations[devopsv1alpha3.ProjectSyncTimeAnnotation] != "2026-11-21T12:00:00Z" {
		t.Errorf("annotations %v", p.Annotations)
	}
	namespace := &corev1.Namespace{}
	if err := b.cluster.Get(t.Context(), types.NamespacedName{Name: "shop"}, namespace); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"kubesphere.io/devopsproject": "shop", "devops.kubesphere.io/managed": "true", "kubesphere.io/workspace": "ws"}
	if diff := cmp.Diff(want, namespace.Labels); diff != "" {
		t.Errorf("labels:\n%s", diff)
	}
	if namespace.Annotations["kubesphere.io/creator"] != "ann" || !metav1.IsControlledBy(namespace, p) {
		t.Errorf("namespace %+v", namespace.ObjectMeta)
	}
	binding := &rbacv1.RoleBinding{}
	if err := b.cluster.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: AdminBinding}, binding); err != nil {
		t.Fatal(err)
	}
	if binding.Subjects[0].Name != "ann" || binding.RoleRef.Name != DefaultAdminRole {
		t.Errorf("binding %+v", binding)
	}
	if diff := cmp.Diff([]string{"Normal Synced"}, b.events.list); diff != "" {
		t.Errorf("events:\n%s", diff)
	}

	if err := b.cluster.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.folders.err = jenkins.ErrUnavailable
	for range 3 { // the fake cluster deletes namespaces at once
		_, _ = b.pass("shop")
	}
	if got := ready(b.get("shop")); got != "False/JenkinsUnavailable/failed" {
		t.Errorf("while Jenkins is away the project must stay and say why: %s", got)
	}
	b.folders.err = nil
	if _, err := b.pass("shop"); err != nil {
		t.Fatal(err)
	}
	if err := b.cluster.Get(t.Context(), types.NamespacedName{Name: "shop"}, p); !apierrors.IsNotFound(err) || b.folders.has("shop") {
		t.Errorf("the project stays: %v, folders %v", err, b.folders.names)
	}
}

func TestNotReady(t *testing.T) {
	foreign := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{devopsv1alpha3.DevOpsProjectLabel: "shop"}}}
	tests := map[string]struct {
		reason  string
		name    string
		objects []client.Object
		err     error
		want    string
		folder  bool
	}{
		"Taken":     {"a namespace with the right labels is still not the project's", "shop", []client.Object{foreign}, nil, "False/NamespaceTaken/failed", false},
		"LongName":  {"no namespace can have this name", "a.b", nil, nil, "False/InvalidName/failed", false},
		"NoJenkins": {"the namespace is made all the same", "shop", nil, jenkins.ErrUnauthorized, "False/JenkinsUnavailable/failed", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, append(tt.objects, project(tt.name, ""))...)
			b.folders.err = tt.err
			_, _ = b.pass(tt.name)
			if got := ready(b.get(tt.name)); got != tt.want || b.folders.has(tt.name) != tt.folder {
				t.Errorf("%s: got %s, folder %v", tt.reason, got, b.folders.has(tt.name))
			}
			// Deleting it must not delete what was never its own.
			if name != "Taken" {
				return
			}
			b.folders.names["shop"] = "somebody's"
			if err := b.cluster.Delete(t.Context(), b.get("shop")); err != nil {
				t.Fatal(err)
			}
			if _, err := b.pass("shop"); err != nil {
				t.Fatal(err)
			}
			if err := b.cluster.Get(t.Context(), types.NamespacedName{Name: "shop"}, &corev1.Namespace{}); err != nil || !b.folders.has("shop") {
				t.Errorf("a foreign namespace or folder was deleted: %v %v", err, b.folders.names)
			}
		})
	}
}

func TestNoRightsForSystemNames(t *testing.T) {
	for _, creator := range []string{"system:anonymous", "system:serviceaccount:a:b", ""} {
		b := newBench(t, project("shop", creator))
		if _, err := b.pass("shop"); err != nil {
			t.Fatal(err)
		}
		err := b.cluster.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: AdminBinding}, &rbacv1.RoleBinding{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("creator %q got rights: %v", creator, err)
		}
	}
}

func TestDeleteEmptiesTheNamespaceFirst(t *testing.T) {
	held := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "build", Finalizers: []string{devopsv1alpha3.PipelineFinalizer}}}
	foreign := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "build"}}
	app := &devcontainerv1.DevcontainerApp{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "dev"}}
	b := newBench(t, project("shop", "ann"), held, foreign, app)
	for range 2 {
		if _, err := b.pass("shop"); err != nil {
			t.Fatal(err)
		}
	}
	p := b.get("shop")
	if err := b.cluster.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	deleted := b.get("shop").DeletionTimestamp.Time
	b.r.Now = func() time.Time { return deleted.Add(time.Second) }
	for range 2 {
		result, err := b.pass("shop")
		if err != nil || result.RequeueAfter != contentsRecheck {
			t.Fatalf("while a pipeline is held: %+v, %v", result, err)
		}
	}
	exists := func(object client.Object) bool {
		t.Helper()
		err := b.cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if !exists(namespace) || exists(app) || !exists(held) || held.DeletionTimestamp.IsZero() || !exists(foreign) {
		t.Errorf("the namespace must wait, its contents be deleted, another's stay")
	}
	b.r.Now = func() time.Time { return deleted.Add(contentsTimeout + time.Second) }
	if _, err := b.pass("shop"); err != nil {
		t.Fatal(err)
	}
	if exists(namespace) {
		t.Error("a pipeline that cannot be deleted holds the namespace for ever")
	}
}
