// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package up runs everything of Slipway in one process against one cluster: API server, controllers
// and, where no address of a real one is given, minijenkins and an S3 server. It is what a person
// starts on one machine; in a cluster the parts run on their own.
package up
