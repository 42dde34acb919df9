// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package demo plays Slipway's main job against a running server, as a user would: a dev container
// for a repository, a login by ssh, a pipeline in the same image, its log and artifact, and the
// clean-up. Each step checks what it shows.
package demo
