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

// RunUID finds a PipelineRun by its UID.
const RunUID = "metadata.uid"

// RunUIDValue is the index function of RunUID.
func RunUIDValue(obj client.Object) []string { return []string{string(obj.GetUID())} }

// RunBuild finds the PipelineRun of a Jenkins build within a namespace; BuildValue gives the value.
const RunBuild = "slipway.jenkinsBuild"

// RunQueueItem finds the PipelineRun of a Jenkins queue item within a namespace, by its number.
const RunQueueItem = "slipway.jenkinsQueueItem"

// BuildValue is the value of RunBuild for a build: the pipeline, the branch job as
// spec.scm.refName has it, empty for a pipeline without branches, and the number.
func BuildValue(pipeline, branch, number string) string {
	return pipeline + "/" + branch + "#" + number
}

// RunBuildValue is the index function of RunBuild.
func RunBuildValue(obj client.Object) []string {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	number := obj.GetAnnotations()[devopsv1alpha3.JenkinsPipelineRunIDAnnotation]
	if !ok || number == "" || run.Spec.PipelineRef == nil {
		return nil
	}
	branch := ""
	if run.Spec.SCM != nil {
		branch = run.Spec.SCM.RefName
	}
	return []string{BuildValue(run.Spec.PipelineRef.Name, branch, number)}
}

// RunQueueItemValue is the index function of RunQueueItem.
func RunQueueItemValue(obj client.Object) []string {
	if item := obj.GetAnnotations()[devopsv1alpha3.QueueItemAnnotation]; item != "" {
		return []string{item}
	}
	return nil
}

// RunBranch finds the PipelineRuns of a branch of a multi-branch Pipeline within a namespace; BranchValue
// gives the value.
const RunBranch = "slipway.branch"

// BranchValue is the value of RunBranch; branch is the branch job as spec.scm.refName has it.
func BranchValue(pipeline, branch string) string { return pipeline + "/" + branch }

// RunBranchValue is the index function of RunBranch.
func RunBranchValue(obj client.Object) []string {
	run, ok := obj.(*devopsv1alpha3.PipelineRun)
	if !ok || run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name == "" || run.Spec.SCM == nil || run.Spec.SCM.RefName == "" {
		return nil
	}
	return []string{BranchValue(run.Spec.PipelineRef.Name, run.Spec.SCM.RefName)}
}

var sortedRuns = map[string]client.IndexerFunc{RunPipeline: RunPipelineValue, RunBranch: RunBranchValue}

// Sorted gives the fields of a kind by whose values package store keeps the lists of a namespace apart,
// each in order. They cost no string for each object, other than those of Register, which are for caches.
func Sorted(obj client.Object) map[string]client.IndexerFunc {
	if _, ok := obj.(*devopsv1alpha3.PipelineRun); ok {
		return sortedRuns
	}
	return nil
}

var foundRuns = map[string]client.IndexerFunc{RunUID: RunUIDValue, RunBuild: RunBuildValue, RunQueueItem: RunQueueItemValue}

// Found gives the fields of a kind by whose values package store finds single objects of a namespace.
func Found(obj client.Object) map[string]client.IndexerFunc {
	if _, ok := obj.(*devopsv1alpha3.PipelineRun); ok {
		return foundRuns
	}
	return nil
}

// Runs are the indices of PipelineRuns for a cache that is asked itself. They take some 2 kB of memory for each run;
// package store has the same fields for a tenth of it, see Sorted and Found.
var Runs = map[string]client.IndexerFunc{
	RunPipeline: RunPipelineValue, RunUID: RunUIDValue, RunBuild: RunBuildValue, RunQueueItem: RunQueueItemValue,
}

// Register adds the indices to the cache of a manager; it must be called once, before the manager
// starts.
func Register(ctx context.Context, indexer client.FieldIndexer) error {
	for field, value := range Runs {
		if err := indexer.IndexField(ctx, &devopsv1alpha3.PipelineRun{}, field, value); err != nil {
			return fmt.Errorf("index PipelineRuns by %s: %w", field, err)
		}
	}
	return nil
}

// RunsOf lists the PipelineRuns of a Pipeline. A cache gives its own objects, not copies, as a pipeline may have many
// thousands of them: they must not be changed.
func RunsOf(ctx context.Context, c client.Reader, pipeline client.ObjectKey) ([]devopsv1alpha3.PipelineRun, error) {
	list := &devopsv1alpha3.PipelineRunList{}
	if err := c.List(ctx, list, client.InNamespace(pipeline.Namespace), client.MatchingFields{RunPipeline: pipeline.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list runs of pipeline %s: %w", pipeline, err)
	}
	return list.Items, nil
}
