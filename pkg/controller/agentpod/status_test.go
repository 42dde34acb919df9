// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
)

const (
	project   = "team-a"
	label     = "dc-team-a.web"
	namespace = "worker"
)

// agentPod is a pod as Jenkins makes it of a template.
func agentPod(name string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(start),
			Labels: map[string]string{agentLabel: agentLabelValue, "jenkins/label": label,
				agenttemplate.ProjectLabel: project, agenttemplate.DevcontainerLabel: "web"},
			Annotations: map[string]string{agenttemplate.LabelsAnnotation: label + " " + label + "-0123456789"},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "copy", Image: "agent:1"}},
			Containers: []corev1.Container{{Name: "dev", Image: "localhost/none:1", Env: []corev1.EnvVar{{Name: agentNameEnv, Value: name}},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}}}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func onNode(pod *corev1.Pod) { pod.Spec.NodeName = "node-1" }

func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		onNode(pod)
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dev",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func initWaiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		waiting("PodInitializing", "")(pod)
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "copy",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func ended(code int32, reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		onNode(pod)
		pod.Status.Phase = corev1.PodFailed
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dev", ImageID: "localhost/dev@sha256:1",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}}}
	}
}

func runningSince(at time.Time) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		onNode(pod)
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dev", ImageID: "localhost/dev@sha256:1",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}}}}
	}
}

func deleting(pod *corev1.Pod) { pod.DeletionTimestamp = new(metav1.NewTime(start.Add(time.Minute))) }

func failed(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		onNode(pod)
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, message
	}
}

func condition(conditionType corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: conditionType, Status: status, Reason: reason, Message: message})
	}
}

func TestProblemOf(t *testing.T) {
	tests := map[string]struct {
		reason string
		pod    []func(*corev1.Pod)
		want   string
		says   []string
	}{
		"New":          {reason: "nothing is known yet"},
		"Initializing": {reason: "a part of each start", pod: []func(*corev1.Pod){initWaiting("PodInitializing", "")}},
		"Creating":     {reason: "a part of each start", pod: []func(*corev1.Pod){waiting("ContainerCreating", "")}},
		"Runs":         {reason: "all is well", pod: []func(*corev1.Pod){runningSince(start)}},
		"NotYetScheduled": {reason: "the scheduler has not looked yet",
			pod: []func(*corev1.Pod){condition(corev1.PodScheduled, corev1.ConditionFalse, "SchedulerError", "x")}},
		"ErrImagePull": {pod: []func(*corev1.Pod){waiting("ErrImagePull", "failed to resolve image: lookup registry.invalid on 10.0.0.1:53: no such host")},
			want: ReasonImagePullFailed, says: []string{"localhost/none:1", "no such host", "pull secret"}},
		"ImagePullBackOff": {reason: "the same, later", pod: []func(*corev1.Pod){waiting("ImagePullBackOff", "Back-off pulling image")}, want: ReasonImagePullFailed},
		"AgentImage": {reason: "the init container's image", pod: []func(*corev1.Pod){initWaiting("ErrImagePull", "not found")},
			want: ReasonImagePullFailed, says: []string{"image agent:1"}},
		"NeverPull": {pod: []func(*corev1.Pod){waiting("ErrImageNeverPull", `Container image "localhost/none:1" is not present with pull policy of Never`)},
			want: ReasonImageNotPresent, says: []string{"pull policy of Never", "load the image"}},
		"InvalidImageName": {pod: []func(*corev1.Pod){waiting("InvalidImageName", "couldn't parse image name")}, want: ReasonInvalidImage},
		"NoRoom": {pod: []func(*corev1.Pod){condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")},
			want: ReasonUnschedulable, says: []string{"Insufficient cpu", "spec.resources"}},
		"KubeletHasNoRoom": {pod: []func(*corev1.Pod){failed("OutOfcpu", "Node didn't have enough resource: cpu")}, want: ReasonUnschedulable, says: []string{"enough resource"}},
		"ConfigError":      {pod: []func(*corev1.Pod){waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")}, want: ReasonContainerFailed, says: []string{"runAsNonRoot"}},
		"Unreachable": {pod: []func(*corev1.Pod){ended(78, "Error", "SLIPWAY-AGENT JenkinsUnreachable: jenkins:8080: dial tcp: connection refused: check the service\n")},
			want: ReasonJenkinsUnreachable, says: []string{"jenkins:8080: dial tcp: connection refused", "network policies"}},
		"UnreachableAndDeleted": {reason: "Jenkins deletes the pod within seconds",
			pod:  []func(*corev1.Pod){ended(78, "Error", "SLIPWAY-AGENT JenkinsUnreachable: jenkins:8080: refused"), deleting},
			want: ReasonJenkinsUnreachable},
		"Tunnel":     {pod: []func(*corev1.Pod){ended(78, "Error", "SLIPWAY-AGENT TunnelUnreachable: jenkins:50000: i/o timeout")}, want: ReasonJenkinsUnreachable},
		"NoJava":     {pod: []func(*corev1.Pod){ended(78, "Error", "SLIPWAY-AGENT JavaMissing: there is no Java in /opt")}, want: ReasonLaunchFailed, says: []string{"JavaMissing", "there is no Java"}},
		"NoShell":    {pod: []func(*corev1.Pod){ended(78, "Error", "SLIPWAY-AGENT ShellMissing: the image has no /bin/sh")}, want: ReasonLaunchFailed},
		"NoLauncher": {reason: "way B without Java: the log's last line", pod: []func(*corev1.Pod){ended(127, "Error", "x\n/jenkins-agent: line 4: exec: java: not found")}, want: ReasonLaunchFailed, says: []string{"exec: java: not found", "127"}},
		"CannotRun":  {pod: []func(*corev1.Pod){ended(128, "ContainerCannotRun", "exec: /opt/slipway/slipway-agent: no such file")}, want: ReasonContainerFailed},
		"InitFailed": {pod: []func(*corev1.Pod){func(pod *corev1.Pod) {
			onNode(pod)
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "copy", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "SLIPWAY-AGENT NoSpace: no space left on device"}}}}
		}}, want: ReasonLaunchFailed, says: []string{"NoSpace"}},
		"OOM":               {pod: []func(*corev1.Pod){ended(137, "OOMKilled", "")}, want: ReasonOutOfMemory, says: []string{"512Mi", "limits.memory"}},
		"OOMWhileDeleted":   {reason: "Jenkins deletes the pod of a lost agent", pod: []func(*corev1.Pod){ended(137, "OOMKilled", ""), deleting}, want: ReasonOutOfMemory},
		"Stopped":           {reason: "Jenkins deleted the pod at the build's end", pod: []func(*corev1.Pod){ended(143, "Error", ""), deleting}},
		"StoppedAgentExits": {reason: "the same, seen by the launcher", pod: []func(*corev1.Pod){ended(143, "Error", "SLIPWAY-AGENT AgentExited: ended with 143"), deleting}},
		"Done":              {reason: "the agent ended by itself", pod: []func(*corev1.Pod){ended(0, "Completed", "")}},
		"Evicted":           {pod: []func(*corev1.Pod){failed("Evicted", "The node was low on resource: memory.")}, want: ReasonEvicted, says: []string{"low on resource"}},
		"Preempted": {pod: []func(*corev1.Pod){runningSince(start), deleting, condition(corev1.DisruptionTarget, corev1.ConditionTrue, "PreemptionByScheduler", "preempting to accommodate a higher priority pod")},
			want: ReasonEvicted, says: []string{"higher priority"}},
		"Deadline": {pod: []func(*corev1.Pod){failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")}, want: ReasonDeadlineExceeded},
		"Sidecar": {reason: "what a helper does is no problem of the agent", pod: []func(*corev1.Pod){runningSince(start), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "db", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}})
		}}},
		"SidecarImage": {reason: "a helper without its image keeps the pod from starting", pod: []func(*corev1.Pod){runningSince(start), func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "db", Image: "db:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}})
		}}, want: ReasonImagePullFailed, says: []string{"db:1"}},
		"Credentials": {reason: "a registry's URL may hold a password", pod: []func(*corev1.Pod){waiting("ErrImagePull", "Get https://bob:geheim@registry/v2: denied\n\ttwice")},
			want: ReasonImagePullFailed, says: []string{"https://registry/v2: denied twice"}},
		"Long": {reason: "a long text is cut between characters", pod: []func(*corev1.Pod){waiting("ErrImagePull", strings.Repeat("ü", 5000))}, want: ReasonImagePullFailed, says: []string{"…"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := agentPod("p", tt.pod...)
			got := problemOf(pod, agentContainer(pod))
			if tt.want == "" {
				if got != nil {
					t.Errorf("%s: got %+v, want none", tt.reason, got)
				}
				return
			}
			if got == nil || got.Reason != tt.want {
				t.Fatalf("%s: got %+v, want %s", tt.reason, got, tt.want)
			}
			for _, part := range append(tt.says, "What to do: ") {
				if !strings.Contains(got.Message, part) {
					t.Errorf("%s: the message lacks %q: %s", tt.reason, part, got.Message)
				}
			}
			if strings.Contains(got.Message, "geheim") || strings.ContainsAny(got.Message, "\n\t") || len(got.Message) > 1500 || !utf8.ValidString(got.Message) {
				t.Errorf("the message is not fit for a condition: %q", got.Message)
			}
		})
	}
}

func TestEveryReasonHasARemedy(t *testing.T) {
	for _, list := range []map[string]string{waitReasons, eventReasons, podReasons, launcherReasons} {
		for from, reason := range list {
			if remedies[reason] == "" {
				t.Errorf("%s (of %s) has no remedy", reason, from)
			}
		}
	}
}

func TestProblemOfEvent(t *testing.T) {
	event := func(kind, reason, message string) *corev1.Event {
		return &corev1.Event{Type: kind, Reason: reason, Message: message}
	}
	if got := problemOfEvent("p", event("Warning", "FailedMount", `secret "x" not found`)); got == nil || got.Reason != ReasonVolumeFailed || !strings.Contains(got.Message, `secret "x" not found`) {
		t.Errorf("got %+v", got)
	}
	if got := problemOfEvent("p", event("Normal", "Pulling", "pulling")); got != nil {
		t.Errorf("a pull is no problem: %+v", got)
	}
}

func forbidden(format string, args ...any) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", fmt.Errorf(format, args...))
}

func TestRefusalOf(t *testing.T) {
	tests := map[string]struct {
		reason    string
		err       error
		want      string
		permanent bool
	}{
		"Quota": {reason: "it fits when others have ended",
			err:  forbidden("exceeded quota: ci, requested: limits.memory=2Gi,pods=1, used: limits.memory=3Gi,pods=2, limited: limits.memory=4Gi,pods=10"),
			want: ReasonQuotaExceeded},
		"QuotaNever": {reason: "more than all that there is",
			err:  forbidden("exceeded quota: ci, requested: limits.memory=9Gi, used: limits.memory=0, limited: limits.memory=4Gi"),
			want: ReasonQuotaExceeded, permanent: true},
		"QuotaUnsaid": {reason: "the pod does not name what the quota counts",
			err:  forbidden("failed quota: ci: must specify limits.memory for: dev; requests.cpu for: dev"),
			want: ReasonQuotaExceeded, permanent: true},
		"QuotaGarbled": {reason: "a text that is not understood is not taken for a passing one",
			err: forbidden("exceeded quota: ci, requested: x"), want: ReasonQuotaExceeded, permanent: true},
		"PodSecurity": {err: forbidden(`violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)`), want: ReasonPodSecurity, permanent: true},
		"Invalid":     {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", nil), want: ReasonInvalidPod, permanent: true},
		"Strict":      {err: apierrors.NewBadRequest(`strict decoding error: unknown field "spec.x"`), want: ReasonInvalidPod, permanent: true},
		"NoRight":     {err: forbidden(`User "x" cannot create resource "pods" in API group "" in the namespace "worker"`), want: ReasonCannotCheck},
		"Webhook":     {err: forbidden("denied by policy: images must be signed"), want: ReasonPodRefused, permanent: true},
		"Away":        {reason: "nothing is known", err: apierrors.NewServiceUnavailable("x")},
		"Network":     {reason: "nothing is known", err: errors.New("connection refused")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := refusalOf(fmt.Errorf("wrapped: %w", tt.err))
			switch {
			case tt.want == "" && got != nil:
				t.Errorf("%s: got %+v, want none", tt.reason, got)
			case tt.want != "" && (got == nil || got.Reason != tt.want || got.Permanent != tt.permanent):
				t.Errorf("%s: got %+v, want %s, permanent %t", tt.reason, got, tt.want, tt.permanent)
			}
		})
	}
}
