// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package filters holds what every request passes before it reaches a handler. One file is one
// filter: a function With… that takes the next handler and what it needs. Their order is in
// pkg/apiserver/chain.go.
package filters
