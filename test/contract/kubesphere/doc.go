// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubesphere is a contract suite of the API that a KubeSphere console has behind it. It is black box: it
// knows an address and a token, and runs against any server that means to be compatible (`make contract
// BASE=http://… TOKEN=…`).
//
// The cases are data, in the folder cases: a case is a behaviour of the console as requests and what of their
// answers it reads. Every case runs once for each family of paths. Which routes a run has covered is told from its
// requests; routes.yaml has all of them.
package kubesphere
