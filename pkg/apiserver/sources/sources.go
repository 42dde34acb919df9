// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sources fits the Jenkins client and the object store to the interfaces of the handlers.
package sources

import (
	"context"
	"net/http"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

// Jenkins gives logs and artifacts of builds. It is a pipelinerun.LogSource and a
// pipelinerun.ArtifactSource.
type Jenkins struct{ Client *jenkins.Client }

var (
	_ pipelinerun.LogSource      = Jenkins{}
	_ pipelinerun.ArtifactSource = Jenkins{}
	_ pipelinerun.Archive        = Store{}
)

// Log implements pipelinerun.LogSource.
func (j Jenkins) Log(ctx context.Context, want pipelinerun.LogRequest) (pipelinerun.LogPart, error) {
	build := jenkins.BuildRef{Folder: want.Build.Folder, Job: want.Build.Job, Number: want.Build.Number}
	var part pipelinerun.LogPart
	var err error
	switch {
	case want.Step != "" && want.Last > 0:
		part.Text, part.Next, part.More, err = j.Client.StepLogTail(ctx, build, want.Node, want.Step, want.Last)
	case want.Step != "":
		part.Text, part.Next, part.More, err = j.Client.StepLog(ctx, build, want.Node, want.Step, want.Start)
	case want.Last > 0:
		part.Text, part.Next, part.More, err = j.Client.LogTail(ctx, build, want.Last)
	default:
		part.Text, part.Next, part.More, err = j.Client.Log(ctx, build.Folder, build.Job, build.Number, want.Start)
	}
	return part, err
}

// ListArtifacts implements pipelinerun.ArtifactSource.
func (j Jenkins) ListArtifacts(ctx context.Context, build pipelinerun.Build) ([]pipelinerun.File, error) {
	found, err := j.Client.ListArtifacts(ctx, build.Folder, build.Job, build.Number)
	if err != nil {
		return nil, err
	}
	files := make([]pipelinerun.File, 0, len(found))
	for _, artifact := range found {
		files = append(files, pipelinerun.File{Path: artifact.Path, Size: artifact.Size})
	}
	return files, nil
}

// OpenArtifact implements pipelinerun.ArtifactSource.
func (j Jenkins) OpenArtifact(ctx context.Context, build pipelinerun.Build, path string) (pipelinerun.Content, error) {
	content, err := j.Client.OpenArtifact(ctx, build.Folder, build.Job, build.Number, path)
	if err != nil {
		return pipelinerun.Content{}, err
	}
	return pipelinerun.Content{ReadCloser: content, Size: content.Size}, nil
}

// Store gives stored logs and artifacts. It is a pipelinerun.Archive.
type Store struct{ Store *objectstore.Store }

// List implements pipelinerun.Archive.
func (s Store) List(ctx context.Context, prefix string) ([]pipelinerun.File, error) {
	found, err := s.Store.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	files := make([]pipelinerun.File, 0, len(found))
	for _, info := range found {
		files = append(files, pipelinerun.File{Path: strings.TrimPrefix(info.Key, prefix), Size: info.Size})
	}
	return files, nil
}

// Open implements pipelinerun.Archive.
func (s Store) Open(ctx context.Context, key string, offset int64) (pipelinerun.Content, error) {
	if offset == 0 {
		content, info, err := s.Store.Get(ctx, key)
		return pipelinerun.Content{ReadCloser: content, Size: info.Size}, err
	}
	info, err := s.Store.Stat(ctx, key)
	if err != nil {
		return pipelinerun.Content{}, err
	}
	if offset >= info.Size {
		return pipelinerun.Content{ReadCloser: http.NoBody, Size: info.Size}, nil
	}
	content, _, err := s.Store.GetRange(ctx, key, offset, -1)
	return pipelinerun.Content{ReadCloser: content, Size: info.Size}, err
}
