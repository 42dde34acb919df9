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
)

// GitRepository is a source repository that a project works on.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=gitrepositories,shortName=gr,categories=slipway
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
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
	// connection tells if the server can be reached.
	// +optional
	Connection string `json:"connection,omitempty"`
	// message explains it.
	// +optional
	Message string `json:"message,omitempty"`
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
