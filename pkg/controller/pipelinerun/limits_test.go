// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// TestFault22 is the peer's fault that a run with much to tell cannot be written at all, as Kubernetes takes no more than 256 KiB of annotations
// and a ConfigMap of 1 MiB: here it loses what is long, and keeps what the console shows a run by.
func TestFault22(t *testing.T) {
	change := `{"affectedPaths":["` + strings.Repeat("p", 200) + `"],"commitId":"c","msg":"m"},`
	head := `{"id":"7","state":"FINISHED","result":"UNSTABLE","startTime":"2026-11-21T12:00:00.000+0000","durationInMillis":5,"commitId":"0123","artifactsZipFile":null`
	for name, raw := range map[string]string{
		"Changes":     head + `,"changeSet":[` + strings.TrimSuffix(strings.Repeat(change, 3000), ",") + `]}`,
		"Description": head + `,"description":"` + strings.Repeat("x", 300<<10) + `"}`,
		"Causes":      head + `,"causes":[` + strings.TrimSuffix(strings.Repeat(`{"shortDescription":"by `+strings.Repeat("u", 100)+`"},`, 4000), ",") + `],"changeSet":[]}`,
		"Links":       head + `,"_links":{"` + strings.Repeat("l", 200<<10) + `":{}},"description":"` + strings.Repeat("x", 200<<10) + `"}`,
	} {
		for _, final := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s final %v", name, final), func(t *testing.T) {
				b := newBench(t, syncedPipeline("build"), newRun("r1"))
				s := b.r.newScope(b.get("r1"))
				if err := s.keepRunJSON(&jenkins.Run{RawJSON: json.RawMessage(raw)}, final); err != nil {
					t.Fatal(err)
				}
				if problems := validation.ValidateAnnotations(s.run.Annotations, field.NewPath("annotations")); len(problems) > 0 {
					t.Error(problems)
				}
				var shown map[string]any
				text := s.run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation]
				if err := json.Unmarshal([]byte(text), &shown); err != nil || shown["id"] != "7" || shown["result"] != "UNSTABLE" || shown["commitId"] != "0123" || len(text) > maxRunJSON {
					t.Errorf("%d bytes, %v: %.300s", len(text), err, text)
				}
			})
		}
	}
	t.Run("Stages", func(t *testing.T) {
		b := newBench(t, syncedPipeline("build"), newRun("r1"))
		var stages []jenkins.Stage
		for i := range 3000 {
			stage := jenkins.Stage{}
			stage.ID, stage.DisplayName, stage.State = fmt.Sprint(i), strings.Repeat("ü", 200), jenkins.StateFinished
			for j := range 20 {
				step := jenkins.Step{}
				step.ID, step.DisplayName, step.DisplayDescription = fmt.Sprint(i, "-", j), "Shell Script", strings.Repeat("make ", 100)
				stage.Steps = append(stage.Steps, step)
			}
			stages = append(stages, stage)
		}
		text, err := encodeStages(stages, true, maxStages)
		if err != nil || len(text) > maxStages || !json.Valid(text) {
			t.Fatalf("%d bytes: %v", len(text), err)
		}
		s := b.r.newScope(b.get("r1"))
		if err := s.writeStages(t.Context(), string(text)); err != nil {
			t.Fatal(err)
		}
		kept := &corev1.ConfigMap{}
		if err := b.cluster.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "r1"}, kept); err != nil || kept.Size() > 1<<20 {
			t.Errorf("a ConfigMap of %d bytes: %v", kept.Size(), err)
		}
	})
}
