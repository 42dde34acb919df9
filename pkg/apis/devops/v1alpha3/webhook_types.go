// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to Webhook.
const (
	// WebhookKind is the kind of a webhook.
	WebhookKind = "Webhook"
	// WebhookResource is the plural name in URLs and RBAC rules.
	WebhookResource = "webhooks"
	// WebhookSecretKey is the key, in the Secret that a Webhook names, of the text that the source code server signs its
	// deliveries with or sends along. A credential of the type secret-text has it.
	WebhookSecretKey = CredentialSecretKey
	// GitRepositoriesAnnotation holds the GitRepositories that a Webhook is of, names in its namespace, separated by commas.
	GitRepositoriesAnnotation = "devops.kubesphere.io/git-repositories"
)

// Webhook says how a source code server tells of pushes and what its deliveries are checked with.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=webhooks,categories=slipway
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.spec.server`
// +kubebuilder:printcolumn:name="SkipVerify",type=boolean,JSONPath=`.spec.skipVerify`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Webhook struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +optional
	Spec WebhookSpec `json:"spec,omitempty"`
}

// WebhookSpec is one way of a server to tell of pushes.
type WebhookSpec struct {
	// server is the address that the source code server sends its deliveries to: that of Slipway as the server sees it.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Server string `json:"server,omitempty"`
	// secret names the Secret whose key "secret" (or, if it has none, "token") deliveries are checked with. An empty namespace is
	// that of the Webhook; another one is refused.
	// +optional
	Secret *corev1.SecretReference `json:"secret,omitempty"`
	// events are what the server is to tell of, in its own words, as push or pull_request.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=atomic
	// +optional
	Events []string `json:"events,omitempty"`
	// skipVerify lets the server send to an address whose certificate it cannot check.
	// +optional
	SkipVerify bool `json:"skipVerify,omitempty"`
}

// WebhookList is a list of Webhooks.
//
// +kubebuilder:object:root=true
type WebhookList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Webhooks.
	Items []Webhook `json:"items"`
}
