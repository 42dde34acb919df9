// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const reasonInvalidName = "InvalidName"

// AdminBinding is the name of the RoleBinding of a project's creator.
const AdminBinding = "slipway-project-admin"

// ensureNamespace makes the namespace. One that is not the project's is left alone: it may hold
// anything, and the project's deletion would delete it.
func ensureNamespace(ctx context.Context, s *scope) error {
	if problems := validation.IsDNS1123Label(s.project.Name); len(problems) > 0 {
		return reconcile.Stall(reasonInvalidName,
			fmt.Sprintf("no namespace can have the name %q: %s; make a project with another name", s.project.Name, strings.Join(problems, "; ")))
	}
	namespace, err := s.readNamespace(ctx)
	switch {
	case err != nil:
		return err
	case namespace == nil:
		return s.createNamespace(ctx)
	case !metav1.IsControlledBy(namespace, s.project):
		return reconcile.Stall(devopsv1alpha3.ReasonNamespaceTaken,
			fmt.Sprintf("the namespace %s exists already and does not belong to this project; make a project with another name, or remove the namespace", namespace.Name))
	case !namespace.DeletionTimestamp.IsZero():
		return reconcile.Wait(devopsv1alpha3.ReasonDeleting, "the namespace is being deleted; it is made anew once it is gone", 0)
	}
	s.namespace = namespace
	before := namespace.DeepCopy()
	s.describe(namespace)
	if maps.Equal(before.Labels, namespace.Labels) && maps.Equal(before.Annotations, namespace.Annotations) {
		return nil
	}
	if err := s.Client.Patch(ctx, namespace, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("label namespace %s: %w", namespace.Name, err)
	}
	return nil
}

// readNamespace gives the namespace of the project's name, nil if there is none. The cache may hold only those of projects: what it does
// not have is asked for.
func (s *scope) readNamespace(ctx context.Context) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{}
	key := client.ObjectKey{Name: s.project.Name}
	err := s.Client.Get(ctx, key, namespace)
	if apierrors.IsNotFound(err) {
		err = s.Reader.Get(ctx, key, namespace)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get namespace %s: %w", s.project.Name, err)
	}
	return namespace, nil
}

func (s *scope) createNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.project.Name}}
	s.describe(namespace)
	if err := controllerutil.SetControllerReference(s.project, namespace, s.Client.Scheme()); err != nil {
		return fmt.Errorf("own namespace %s: %w", namespace.Name, err)
	}
	if err := s.Client.Create(ctx, namespace); err != nil {
		if apierrors.IsAlreadyExists(err) {
			// The cache is behind, or somebody was faster: the watch tells which.
			return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady, "the namespace was made a moment ago", conflictDelay)
		}
		return fmt.Errorf("create namespace %s: %w", namespace.Name, err)
	}
	s.namespace = namespace
	return nil
}

// describe sets the labels and annotations that a KubeSphere console looks for.
func (s *scope) describe(namespace *corev1.Namespace) {
	labels := map[string]string{
		devopsv1alpha3.DevOpsProjectLabel: s.project.Name,
		devopsv1alpha3.ManagedLabel:       "true",
	}
	if workspace := s.project.Labels[devopsv1alpha3.WorkspaceLabel]; workspace != "" {
		labels[devopsv1alpha3.WorkspaceLabel] = workspace
	}
	namespace.Labels = merged(namespace.Labels, labels)
	if creator := s.project.Annotations[devopsv1alpha3.CreatorAnnotation]; creator != "" {
		namespace.Annotations = merged(namespace.Annotations, map[string]string{devopsv1alpha3.CreatorAnnotation: creator})
	}
}

func merged(into, from map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, into)
	maps.Copy(out, from)
	return out
}

// ensureAdmin lets the creator use the new namespace. A binding that exists is left as it is, so
// that an administrator may change who has the rights.
func ensureAdmin(ctx context.Context, s *scope) error {
	creator := s.project.Annotations[devopsv1alpha3.CreatorAnnotation]
	if creator == "" || strings.HasPrefix(creator, "system:") {
		// The annotation is text that whoever writes the project chose: it must not name a component
		// or the anonymous user.
		return nil
	}
	key := client.ObjectKey{Namespace: s.namespace.Name, Name: AdminBinding}
	err := s.Reader.Get(ctx, key, &rbacv1.RoleBinding{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("get RoleBinding %s: %w", key, err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{devopsv1alpha3.ManagedLabel: "true"}},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: creator}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: s.Options.AdminRole},
	}
	if err := s.Client.Create(ctx, binding); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create RoleBinding %s: %w", key, err)
	}
	return nil
}
