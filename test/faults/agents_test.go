// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/controller/agentpod"
	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer"
	"github.com/slipway-dev/slipway/pkg/controller/pipelinerun"
)

// newDevContainer makes a dev container that has run, and waits for what becomes of its agent template.
func (w *world) newDevContainer(name, memory, reason string) {
	w.Helper()
	app := &devcontainerv1.DevcontainerApp{ObjectMeta: metav1.ObjectMeta{Namespace: w.project, Name: name}}
	app.Spec.StatefulSet.Image = "ghcr.io/acme/dev:1"
	app.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	if err := w.kube.Create(w.Context(), app); err != nil {
		w.Fatal(err)
	}
	w.wait("the dev container "+name+" has an agent template", func() (bool, string) {
		w.get(app)
		if app.Status.ImageID == "" {
			before := app.DeepCopy()
			app.Status.ImageID = "ghcr.io/acme/dev@sha256:" + strings.Repeat("0123456789abcdef", 4)
			if err := w.kube.Status().Patch(w.Context(), app, client.MergeFrom(before)); err != nil {
				w.Fatal(err)
			}
		}
		c := meta.FindStatusCondition(app.Status.Conditions, devcontainerv1.ConditionAgentTemplateSynced)
		return c != nil && c.Reason == reason, fmt.Sprint(c)
	})
}

// agentOf waits for the pod of a dev container.
func (w *world) agentOf(name string) *corev1.Pod {
	w.Helper()
	pod := &corev1.Pod{}
	w.wait("there is a pod for "+name, func() (bool, string) {
		list := &corev1.PodList{}
		if err := w.kube.List(w.Context(), list, client.InNamespace(workerNamespace),
			client.MatchingLabels{agenttemplate.ProjectLabel: w.project, agenttemplate.DevcontainerLabel: name}); err != nil {
			w.Fatal(err)
		}
		if len(list.Items) == 0 {
			return false, "none"
		}
		list.Items[0].DeepCopyInto(pod)
		return true, ""
	})
	return pod
}

// TestAgentsThatCannotStart plays the kubelet and the scheduler: for each way in which an agent does not
// start, the run says why within five seconds, and fails when its time is over.
func TestAgentsThatCannotStart(t *testing.T) {
	w := newWorld(t, nil)
	hard := corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("4Gi")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: workerNamespace, Name: "agents"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	if err := w.kube.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("0")}}
	if err := w.kube.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	defer func() {
		// Other tests share the namespace.
		if err := w.kube.Delete(t.Context(), quota); err != nil {
			t.Error(err)
		}
	}()
	const timeout = 20 * time.Second
	p := w.startControllers(nil, controller.Options{Runs: pipelinerun.Options{StartTimeout: timeout}, DevContainers: devcontainer.Options{AgentImage: "agent:1"}})
	defer p.stop()
	w.newProject("agents")

	waiting := func(reason, message string) func(*corev1.PodStatus) {
		return func(s *corev1.PodStatus) {
			s.ContainerStatuses = []corev1.ContainerStatus{{Name: agenttemplate.AgentContainer,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
		}
	}
	tests := map[string]struct {
		memory, template string
		status           func(*corev1.PodStatus)
		gone             bool
		want, says       string
	}{
		"image": {memory: "64Mi", template: devcontainerv1.ReasonSynced, status: waiting("ErrImagePull", "lookup registry.invalid: no such host"),
			want: agentpod.ReasonImagePullFailed, says: "no such host"},
		"noroom": {memory: "64Mi", template: devcontainerv1.ReasonSynced, status: func(s *corev1.PodStatus) {
			s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient cpu."}}
		}, want: agentpod.ReasonUnschedulable, says: "Insufficient cpu"},
		"unreachable": {memory: "64Mi", template: devcontainerv1.ReasonSynced, status: func(s *corev1.PodStatus) {
			s.Phase = corev1.PodFailed
			s.ContainerStatuses = []corev1.ContainerStatus{{Name: agenttemplate.AgentContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 78, Message: "SLIPWAY-AGENT JenkinsUnreachable: jenkins:8080: connection refused"}}}}
		}, want: agentpod.ReasonJenkinsUnreachable, says: "connection refused"},
		"quota": {memory: "9Gi", template: agentpod.ReasonQuotaExceeded, want: agentpod.ReasonQuotaExceeded, says: "requested: limits.memory=9Gi"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.newDevContainer(name, tt.memory, tt.template)
			w.newPipeline(name, fmt.Sprintf("pipeline { agent { label 'dc-agents.%s' }\n stages { stage('a') { steps { echo 'x' } } } }", name))
			run := w.newRun(name, name)
			began := time.Now()
			if tt.status != nil {
				pod := w.agentOf(name)
				before := pod.DeepCopy()
				tt.status(&pod.Status)
				began = time.Now()
				if err := w.kube.Status().Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
					t.Fatal(err)
				}
			}
			var told time.Duration
			w.wait("the run says why", func() (bool, string) {
				w.get(run)
				for _, c := range run.Status.Conditions {
					if c.Type == devopsv1alpha3.ConditionAgentReady && c.Reason == tt.want && strings.Contains(c.Message, tt.says) && strings.Contains(c.Message, "What to do: ") {
						told = time.Since(began)
						return true, ""
					}
				}
				return false, fmt.Sprint(run.Status.Conditions)
			})
			w.wait("the run fails with that reason", func() (bool, string) {
				w.get(run)
				return run.Status.CompletionTime != nil && run.Status.Phase == devopsv1alpha3.Failed && reasonOf(run) == tt.want, state(run) + fmt.Sprint(run.Status.Conditions)
			})
			t.Logf("%s: told after %s, ended after %s", tt.want, told.Round(10*time.Millisecond), time.Since(began).Round(time.Second))
			if told > 5*time.Second {
				t.Errorf("the run said so after %s", told)
			}
		})
	}
}
