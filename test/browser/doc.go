// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package browser uses the web page of the API's description as a person does, in a headless Chromium.
package browser
