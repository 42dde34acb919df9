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
// [ErrForbidden], [ErrInvalid], [ErrUnavailable], [ErrInternal], [ErrUnexpected] or [ErrTooLarge]. A Jenkins that is starting answers a valid token
// with 401 for some seconds between two 503, so callers should retry ErrUnauthorized as they retry ErrUnavailable.
//
// # A Jenkins that is slow, down or starting
//
// Every call has a time limit, and only so many wait for Jenkins at a time. When [Config.MaxSilent] calls in a row got no answer (refused, reset, cut,
// timed out, a gateway's 502, 503 or 504, a starting Jenkins' page, 401 to a credential that was good before, "not found" by what is not
// Jenkins), calls are refused at once with ErrUnavailable, and [RetryAfter] of the error says when to come back. Until Jenkins answers, one caller
// after another makes a probe, each after a longer pause. [Client.State] says since when there is no answer, [Client.OnRestart] tells of restarts.
//
// The client repeats nothing that might have reached Jenkins, with one exception that net/http makes: a GET on a kept connection that breaks
// before any answer is sent once more. A POST that got no answer may have been carried out; who sends it has to look.
package jenkins
