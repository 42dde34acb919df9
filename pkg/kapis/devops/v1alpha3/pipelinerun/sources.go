// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"io"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// Build names a build in Jenkins. Folder and job may have several segments, separated by slashes.
type Build struct {
	Folder, Job string
	Number      int64
}

// LogSource gives logs of builds that Jenkins still has. Errors are those of pkg/jenkins.
type LogSource interface {
	// Log gives a part of a log.
	Log(ctx context.Context, want LogRequest) (LogPart, error)
}

// LogRequest says which part of which log is wanted.
type LogRequest struct {
	Build Build
	// Node and Step name a step of the build. Without them it is the log of the whole build.
	Node, Step string
	// Start is the offset: 0, or Next of an earlier part.
	Start int64
	// Last, if it is not 0, asks for the last so many kilobytes instead, from the beginning of a line.
	Last int64
}

// LogPart is a part of a log.
type LogPart struct {
	// Text is to be closed.
	Text io.ReadCloser
	// Next is the offset behind this part.
	Next int64
	// More is true while the build writes.
	More bool
}

// ArtifactSource gives artifacts of builds that Jenkins still has. Errors are those of pkg/jenkins.
type ArtifactSource interface {
	ListArtifacts(ctx context.Context, build Build) ([]File, error)
	OpenArtifact(ctx context.Context, build Build, path string) (Content, error)
}

// File is a stored file.
type File struct {
	// Path is relative to the artifacts of the build, or the key's part behind the prefix.
	Path string
	// Size is in bytes.
	Size int64
}

// Content is an open file, to be closed.
type Content struct {
	io.ReadCloser
	// Size is in bytes, -1 if it is not known.
	Size int64
}

// Archive holds logs and artifacts of ended runs. Errors are those of pkg/objectstore.
type Archive interface {
	// List gives the files whose keys begin with the prefix, without it.
	List(ctx context.Context, prefix string) ([]File, error)
	// Open opens a file at an offset. Size is that of the whole file; at or behind its end there is
	// nothing to read, which is no error.
	Open(ctx context.Context, key string, offset int64) (Content, error)
}

// Sealer hides the values of passwords; *sealing.Sealer is one.
type Sealer interface {
	Seal(place sealing.Place, value string) (string, error)
}

// Sources are the places that hold what belongs to runs besides the objects in Kubernetes. Each may be
// nil: then what it has is not there.
type Sources struct {
	Logs      LogSource
	Artifacts ArtifactSource
	Archive   Archive
	// Stages are those of builds that run.
	Stages StageSource
	// Inputs are what builds wait for.
	Inputs InputSource
	// Sealer hides the passwords of a run until its build is started. Without it they stand in the run
	// until the controller sees it.
	Sealer Sealer
	// Parse reads a Jenkinsfile for its parameters.
	Parse func(source string) (*jenkinsfile.Pipeline, error)
}
