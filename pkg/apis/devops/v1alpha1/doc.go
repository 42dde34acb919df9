// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the older resources of the group devops.kubesphere.io: S2iBinary. Names,
// fields, labels and finalizers are those of KubeSphere DevOps.
//
// +kubebuilder:object:generate=true
// +groupName=devops.kubesphere.io
package v1alpha1
