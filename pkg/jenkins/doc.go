// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkins is the client of the Jenkins REST API. It is the only package of the product that
// imports gojenkins, and the only one that knows how Jenkins' addresses, bodies and error pages look.
//
// # Names
//
// A job is named by a folder and a job name. Both may have several segments, separated by "/": a folder
// "team/a" is the folder "a" within the folder "team". In calls on builds the job name may name a branch of
// a multi-branch pipeline as "<pipeline>/<branch job>", where the branch job is Jenkins' own encoded name
// (the branch "feature/x" is the job "feature%2Fx"); use [BranchJob] to build it. A slash cannot occur within a
// Jenkins job name, so this is never ambiguous.
//
// # gojenkins
//
// gojenkins' own transport asks for a crumb before every POST, dereferences a nil response when Jenkins is
// down, does not look at status codes, leaks the connection when Jenkins sends X-Error, reads whole bodies
// into memory and puts names into paths unescaped. [Client] therefore implements gojenkins.JenkinsRequester on
// its own transport, uses gojenkins' types and job calls on top of it, and talks to the endpoints that gojenkins
// does not know (Blue Ocean, the remote start with a token, templates of the Kubernetes cloud, log streams) itself.
//
// # Errors
//
// Every error is an [*Error]; test its kind with errors.Is and [ErrNotFound], [ErrConflict], [ErrUnauthorized],
// [ErrForbidden], [ErrInvalid], [ErrUnavailable], [ErrInternal] or [ErrTooLarge]. A Jenkins that is starting answers a valid token
// with 401 for some seconds between two 503, so callers should retry ErrUnauthorized as they retry ErrUnavailable.
package jenkins
