// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/history"
)

// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;create;delete

// historyRetry is when a Jenkinsfile that could not be kept is kept at the latest.
const historyRetry = time.Minute

// recordJenkinsfile keeps a Jenkinsfile that is new. That it cannot be kept holds up nothing: the job matters more than its
// history.
func recordJenkinsfile(ctx context.Context, s *scope) error {
	spec := s.pipeline.Spec.Pipeline
	if spec == nil || spec.Source != nil {
		return nil
	}
	// The UID tells a copy of a pipeline, which may have this annotation, from the pipeline itself.
	recorded := jenkinsfileHash(string(s.pipeline.UID) + "\x00" + spec.Jenkinsfile)
	former, any := s.pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileRecordedAnnotation]
	if former == recorded || !any && spec.Jenkinsfile == "" {
		return nil
	}
	recorder := history.Recorder{Live: s.Live, Client: s.Client, Now: s.Now}
	if err := recorder.Record(ctx, s.pipeline); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "the history of the Jenkinsfile is not up to date; it is tried again")
		s.unrecorded = true
		return nil
	}
	s.annotate(devopsv1alpha3.PipelineJenkinsfileRecordedAnnotation, recorded)
	return nil
}
