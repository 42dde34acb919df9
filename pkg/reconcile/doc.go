// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reconcile holds what all controllers have in common: the outcomes of a pass, the ordered
// run of its phases, and the one patch at its end.
package reconcile
