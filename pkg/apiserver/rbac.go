// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

// The rights of the server's own user. It reads what the API shows and asks who may see it; everything
// that a user changes is done as that user. It notes the events of Jenkins, which is no user, on runs and
// pipelines. Events of source code servers start runs, and are checked with Secrets of projects: those that
// a pipeline or a Webhook of the same namespace names. That right is a role of its own, so that it can be
// bound in single namespaces.
//
// +kubebuilder:rbac:groups="",resources=users;groups;serviceaccounts,verbs=impersonate
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=devopsprojects;pipelines;pipelineruns;gitrepositories;webhooks,verbs=get;list;watch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelines;pipelineruns,verbs=patch
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=pipelineruns,verbs=create
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get,roleName=slipway-apiserver-webhook-secrets
// +kubebuilder:rbac:groups=devops.kubesphere.io,resources=templates;clustertemplates;clustersteptemplates,verbs=get;list;watch
// +kubebuilder:rbac:groups=devcontainer.devstar.cn,resources=devcontainerapps,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups="",namespace=kubesphere-devops-system,resources=secrets,verbs=list
