// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1 holds the resource DevcontainerApp: a development container with SSH access, as the
// DevStar platform defines it, with optional additions of Slipway.
//
// +kubebuilder:object:generate=true
// +groupName=devcontainer.devstar.cn
package v1
