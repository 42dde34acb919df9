// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to GitRepository.
const (
	// GitRepositoryKind is the kind of a repository.
	GitRepositoryKind = "GitRepository"
	// GitRepositoryResource is the plural name in URLs and RBAC rules.
	GitRepositoryResource = "gitrepositories"

	// InsecureSkipTLSAnnotation, "true", does not check the certificate of the repository's server.
	InsecureSkipTLSAnnotation = "devops.kubesphere.io/insecure-skip-tls"
	// TLSCertsAnnotation names a ConfigMap whose key ca.crt has certificate authorities of the server.
	TLSCertsAnnotation = "devops.kubesphere.io/tls-certs"
	// TLSCertsNamespaceAnnotation is the namespace of that ConfigMap; by default it is that of the agents' pods.
	TLSCertsNamespaceAnnotation = "devops.kubesphere.io/tls-certs-namespace"
	// TLSCertsKey is the key in that ConfigMap.
	TLSCertsKey = "ca.crt"
	// GitAuthorNameAnnotation and GitAuthorEmailAnnotation say who commits are by that are made through the API. On a GitRepository
	// they win over those on its Secret; without any of them it is the user.
	GitAuthorNameAnnotation = "devops.kubesphere.io/git-author-name"
	// GitAuthorEmailAnnotation is the address that belongs to GitAuthorNameAnnotation.
	GitAuthorEmailAnnotation = "devops.kubesphere.io/git-author-email"

	// GitConnected as status.connection says that the repository can be read.
	GitConnected = "Connected"
	// GitFailed as status.connection says that it cannot; message and the condition Ready say why.
	GitFailed = "Failed"
	// ReasonGitConnected is the reason of the condition Ready of a repository that can be read.
	ReasonGitConnected = "Connected"
)

// GitRepository is a source repository that a project works on.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=gitrepositories,shortName=gr,categories=slipway
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Connection",type=string,JSONPath=`.status.connection`
// +kubebuilder:printcolumn:name="ID",type=string,JSONPath=`.metadata.labels.devcontainer\.devstar\.cn/repo-id`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GitRepository struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +optional
	Spec GitRepositorySpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status GitRepositoryStatus `json:"status,omitempty"`
}

// GitRepositorySpec says where a repository is.
type GitRepositorySpec struct {
	// provider is the kind of server: github, gitlab, bitbucket, gitea or git.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Provider string `json:"provider,omitempty"`
	// url is the address to clone from.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	URL string `json:"url,omitempty"`
	// server is the address of a self-hosted server.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Server string `json:"server,omitempty"`
	// owner is the user or organization that the repository belongs to.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Owner string `json:"owner,omitempty"`
	// repo is the repository's name on the server.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Repo string `json:"repo,omitempty"`
	// description says in a sentence what the repository is.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Description string `json:"description,omitempty"`
	// secret names the Secret with the credential to read it.
	// +optional
	Secret *corev1.SecretReference `json:"secret,omitempty"`
	// webhooks name the Webhook objects to register on the server.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Webhooks []corev1.LocalObjectReference `json:"webhooks,omitempty"`
}

// GitRepositoryStatus is the observed state of a repository.
type GitRepositoryStatus struct {
	// connection is Connected or Failed: can the repository be read?
	// +optional
	Connection string `json:"connection,omitempty"`
	// message explains it.
	// +optional
	Message string `json:"message,omitempty"`
	// lastCheckTime is when the server was asked last.
	// +optional
	LastCheckTime *metav1.Time `json:"lastCheckTime,omitempty"`
	// observed stands for what was asked with: another address or credential is tried at once.
	// +optional
	Observed string `json:"observed,omitempty"`
	// conditions are the states of the repository; Ready tells what connection tells, with a reason.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// GitRepositoryList is a list of GitRepositories.
//
// +kubebuilder:object:root=true
type GitRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the GitRepositories.
	Items []GitRepository `json:"items"`
}
