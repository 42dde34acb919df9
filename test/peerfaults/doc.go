// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peerfaults has one test for each fault that was found in the DevOps server of KubeSphere, whose API this
// project serves as well: each shows, over the whole product, that the same request or accident ends differently
// here. The tests are numbered as the faults are; their comments say what the fault is.
//
// All tests share one world (world_test.go): a kube-apiserver, minijenkins, the embedded S3 server, the API server
// behind a socket and the controllers, wired as the programs do. What the servers send to Kubernetes and to Jenkins goes
// over proxies of the test (wire_test.go), which count it, and break it where a test says so.
package peerfaults
