// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
)

// TestTemplateIsTriedFirst: a template that the cluster would refuse never reaches Jenkins, which would
// try it for ever.
func TestTemplateIsTriedFirst(t *testing.T) {
	h := newHarness(t)
	var problem *agentpod.Problem
	var failure error
	trials := 0
	h.r.tryPod = func(_ context.Context, template agenttemplate.Template) (*agentpod.Problem, error) {
		trials++
		if template.YAML == "" {
			t.Error("an empty pod is tried")
		}
		return problem, failure
	}
	app := h.create("web")
	h.pass(app)
	h.runPod(app)

	problem = &agentpod.Problem{Reason: agentpod.ReasonPodSecurity, Message: "violates PodSecurity", Permanent: true}
	if again := h.pass(app); again.RequeueAfter == 0 || again.RequeueAfter > refusedDelay {
		t.Errorf("it is tried again after %s", again.RequeueAfter)
	}
	got := h.readApp(app)
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, agentpod.ReasonPodSecurity, "violates PodSecurity")
	if len(h.jenkins.templates) > 0 || got.Status.AgentLabel != "" {
		t.Errorf("Jenkins has %d templates, the label is %q", len(h.jenkins.templates), got.Status.AgentLabel)
	}

	// A quota that is used up now is no reason to hold the template back.
	problem = &agentpod.Problem{Reason: agentpod.ReasonQuotaExceeded, Message: "exceeded quota"}
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonSynced, "")
	label := "dc-" + h.ns + ".web"
	old, ok := h.jenkins.get(label)
	if !ok {
		t.Fatal("Jenkins has no template")
	}
	before := trials
	problem = nil
	for range 5 {
		h.pass(app)
	}
	if trials != before {
		t.Errorf("a template that Jenkins has was tried %d times", trials-before)
	}

	// A change that the cluster refuses leaves the former template where it is.
	problem = &agentpod.Problem{Reason: agentpod.ReasonQuotaExceeded, Message: "requested: limits.memory=9Gi", Permanent: true}
	changed := h.readApp(app)
	h.change(changed, func() {
		changed.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("9Gi")}
	})
	h.pass(app)
	wantCondition(t, h.readApp(app), devcontainerv1.ConditionAgentTemplateSynced, agentpod.ReasonQuotaExceeded, "9Gi")
	if now, _ := h.jenkins.get(label); now.YAML != old.YAML {
		t.Error("the former template is gone")
	}

	// A cluster that cannot be asked holds nothing up.
	problem, failure = nil, errors.New("the API server is away")
	h.pass(app)
	got = h.readApp(app)
	wantCondition(t, got, devcontainerv1.ConditionAgentTemplateSynced, devcontainerv1.ReasonSynced, "")
	if c := meta.FindStatusCondition(got.Status.Conditions, devcontainerv1.ConditionAgentTemplateSynced); c.ObservedGeneration != got.Generation {
		t.Errorf("the condition is about generation %d, want %d", c.ObservedGeneration, got.Generation)
	}
}
