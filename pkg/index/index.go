// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package index holds the fields by which the informer cache finds objects other than by their
// names. A list by such a field costs as much as its answer is long, whatever else is cached.
package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// RunPipeline finds the PipelineRuns of a Pipeline, by spec.pipelineRef.name within a namespace.
const RunPipeline = "spec.pipelineRef.name"

// RunPipelineValue is the index function of RunPipeline.
func RunPipelineValue(obj client.Object) []string {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	if !ok || run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name == "" {
		return nil
	}
	return []string{run.Spec.PipelineRef.Name}
}

// Register adds the indices to the cache of a manager; it must be called once, before the manager
// starts.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &devopsv1alpha3.PipelineRun{}, RunPipeline, RunPipelineValue); err != nil {
		return fmt.Errorf("index PipelineRuns by %s: %w", RunPipeline, err)
	}
	return nil
}

// RunsOf lists the PipelineRuns of a Pipeline.
func RunsOf(ctx context.Context, c client.Reader, pipeline client.ObjectKey) ([]devopsv1alpha3.PipelineRun, error) {
	list := &devopsv1alpha3.PipelineRunList{}
	if err := c.List(ctx, list, client.InNamespace(pipeline.Namespace), client.MatchingFields{RunPipeline: pipeline.Name}); err != nil {
		return nil, fmt.Errorf("list runs of pipeline %s: %w", pipeline, err)
	}
	return list.Items, nil
}
