// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openapi checks the API's description as users of generators meet it: it is valid with its examples, and the
// client that go-swagger makes of it compiles and works against a server.
package openapi
