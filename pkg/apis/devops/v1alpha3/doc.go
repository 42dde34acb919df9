// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha3 holds the resources of the group devops.kubesphere.io: DevOpsProject, Pipeline,
// PipelineRun and GitRepository. Names, fields, labels, annotations and finalizers are those of
// KubeSphere DevOps; additions are optional fields.
//
// +kubebuilder:object:generate=true
// +groupName=devops.kubesphere.io
package v1alpha3
