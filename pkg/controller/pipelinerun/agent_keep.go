// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Keepers tell which of the pods that are kept after their builds are not worth it: only those of builds
// that failed are there to be looked at. It implements agentpod.Keepers.
type Keepers struct {
	// Reader reads runs; a cache will do.
	Reader client.Reader
}

// Discard tells that the run which used the pod has ended without a failure. A pod whose run is not known
// is kept for its time.
func (k *Keepers) Discard(ctx context.Context, project, pod string) bool {
	list := &devopsv1alpha3.PipelineRunList{}
	if err := k.Reader.List(ctx, list, client.InNamespace(project), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("the run of a kept pod cannot be looked for", "project", project, "pod", pod, "error", err.Error())
		return false
	}
	discard := false
	for i := range list.Items {
		run := &list.Items[i]
		if run.Annotations[devopsv1alpha3.AgentPodNameAnnotation] != pod {
			continue
		}
		if run.Status.CompletionTime == nil || run.Status.Phase == devopsv1alpha3.Failed {
			return false
		}
		discard = true
	}
	return discard
}
