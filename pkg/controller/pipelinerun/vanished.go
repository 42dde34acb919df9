// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// vanishedAfter is how long Jenkins must deny a build that was seen to end before the run ends with what
// was seen. A build that ends at once is for a moment in one of Jenkins' lists and not in the other.
const vanishedAfter = 5 * time.Second

// lastSight gives how the run's build ended, if that was seen before Jenkins discarded it: a pipeline may
// keep fewer builds than run at once. It was seen by a bulk query or told by an event.
func (s *scope) lastSight() *observation {
	build := s.build()
	if build == 0 {
		return nil
	}
	if result := s.Watcher.resultOf(s.key(), build); result != "" {
		return observe(&jenkins.Run{State: jenkins.StateFinished, Result: result})
	}
	var event struct {
		Type   string `json:"type"`
		Build  int64  `json:"build"`
		Result string `json:"result"`
	}
	if json.Unmarshal([]byte(s.run.Annotations[devopsv1alpha3.JenkinsEventAnnotation]), &event) != nil || event.Build != build {
		return nil
	}
	if ended := event.Type == "run.completed" || event.Type == "run.finalized"; !ended || event.Result == "" {
		return nil
	}
	return observe(&jenkins.Run{State: jenkins.StateFinished, Result: event.Result})
}

// endVanished ends the run with the result of a build that is gone.
func (s *scope) endVanished(seen *observation) {
	s.explainRefusal(seen)
	s.explainEnd(seen)
	seen.end = s.Now()
	seen.message += "; Jenkins has discarded it since"
	s.forget(s.key())
	s.seen = seen
	if s.run.Labels == nil {
		s.run.Labels = map[string]string{}
	}
	s.run.Labels[devopsv1alpha3.PipelineRunOrphanLabel] = "true"
}

// resultOf gives the result that a bulk query saw of the build of a run; empty if it saw no end.
func (w *Watcher) resultOf(key client.ObjectKey, build int64) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	folder := w.folders[w.home[key]]
	if folder == nil || folder.runs[key] == nil {
		return ""
	}
	if last := folder.runs[key].last; last.number == build && !last.building {
		return last.result
	}
	return ""
}
