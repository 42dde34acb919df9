// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package response is the only writer of answers: objects, lists and errors. It maps every error of
// the program to a status code and a sentence that the user can act on, and keeps internals out of
// answers. Paths of compatible faces can have an error format of their own.
package response
