// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// waitReasons give the problem of a container that waits, by the kubelet's reason. What is not named
// here is a part of each start.
var waitReasons = map[string]string{
	"ErrImagePull": ReasonImagePullFailed, "ImagePullBackOff": ReasonImagePullFailed, "RegistryUnavailable": ReasonImagePullFailed,
	"ImageInspectError": ReasonImagePullFailed, "SignatureValidationFailed": ReasonImagePullFailed,
	"ErrImageNeverPull": ReasonImageNotPresent, "InvalidImageName": ReasonInvalidImage,
	"CreateContainerError": ReasonContainerFailed, "CreateContainerConfigError": ReasonContainerFailed,
	"RunContainerError": ReasonContainerFailed, "StartError": ReasonContainerFailed, "PostStartHookError": ReasonContainerFailed,
	"CrashLoopBackOff": ReasonLaunchFailed, "CreatePodSandboxError": ReasonContainerFailed,
}

// eventReasons give the problem of a pod whose containers are being made, by the reason of an event.
var eventReasons = map[string]string{
	"FailedMount": ReasonVolumeFailed, "FailedAttachVolume": ReasonVolumeFailed, "FailedMapVolume": ReasonVolumeFailed,
	"FailedCreatePodSandBox": ReasonContainerFailed, "FailedScheduling": ReasonUnschedulable,
}

// podReasons give the problem of a pod that failed as a whole, by its status.reason.
var podReasons = map[string]string{
	"Evicted": ReasonEvicted, "Preempting": ReasonEvicted, "NodeLost": ReasonEvicted, "NodeShutdown": ReasonEvicted, "Terminated": ReasonEvicted,
	"DeadlineExceeded": ReasonDeadlineExceeded, "OutOfcpu": ReasonUnschedulable, "OutOfmemory": ReasonUnschedulable, "OutOfpods": ReasonUnschedulable,
	"NodeAffinity": ReasonUnschedulable, "UnexpectedAdmissionError": ReasonUnschedulable,
}

// launcherReasons give the problem of a termination message of slipway-agent, by its reason; any other
// is a failed launch.
var launcherReasons = map[string]string{
	"JenkinsUnreachable": ReasonJenkinsUnreachable, "TunnelUnreachable": ReasonJenkinsUnreachable,
	"AgentJarUnavailable": ReasonJenkinsUnreachable,
}

// launcherLine is the termination message of slipway-agent, see pkg/agent/README.md.
var launcherLine = regexp.MustCompile(`(?m)^SLIPWAY-AGENT ([A-Za-z]+): (.*)$`)

const (
	reasonOOMKilled = "OOMKilled"
	// exitConfig is slipway-agent's exit code for a container that cannot work as it is set up.
	exitConfig = 78
)

// problemOf gives what is wrong with a pod; nil if nothing is, or nothing is known yet.
func problemOf(pod *corev1.Pod, agent string) *Problem {
	if p := problemOfPod(pod); p != nil {
		return p
	}
	for i := range pod.Status.InitContainerStatuses {
		if p := problemOfContainer(pod, &pod.Status.InitContainerStatuses[i]); p != nil {
			return p
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		// A helper container may end when it wants.
		if p := problemOfContainer(pod, status); p != nil && (status.Name == agent || agent == "" || status.State.Waiting != nil) {
			return p
		}
	}
	if pod.DeletionTimestamp != nil {
		return nil
	}
	return problemOfScheduling(pod)
}

// problemOfPod is about a pod that ended as a whole.
func problemOfPod(pod *corev1.Pod) *Problem {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return newProblem(ReasonEvicted, fmt.Sprintf("the agent pod %s was put out (%s): %s", pod.Name, c.Reason, c.Message))
		}
	}
	if pod.Status.Phase != corev1.PodFailed {
		return nil
	}
	if reason := podReasons[pod.Status.Reason]; reason != "" {
		return newProblem(reason, fmt.Sprintf("the agent pod %s ended (%s): %s", pod.Name, pod.Status.Reason, pod.Status.Message))
	}
	return nil
}

func problemOfContainer(pod *corev1.Pod, status *corev1.ContainerStatus) *Problem {
	switch {
	case status.State.Terminated != nil:
		return problemOfEnd(pod, status, status.State.Terminated)
	case status.State.Waiting != nil:
		return problemOfWait(pod, status)
	}
	return nil
}

func problemOfWait(pod *corev1.Pod, status *corev1.ContainerStatus) *Problem {
	waiting := status.State.Waiting
	reason := waitReasons[waiting.Reason]
	if reason == "" || pod.DeletionTimestamp != nil {
		return nil
	}
	if last := status.LastTerminationState.Terminated; last != nil && reason == ReasonLaunchFailed {
		if p := problemOfEnd(pod, status, last); p != nil {
			return p
		}
	}
	what := fmt.Sprintf("the agent pod %s cannot start: image %s: %s", pod.Name, imageOf(pod, status), waiting.Reason)
	if waiting.Message != "" {
		what += ": " + waiting.Message
	}
	return newProblem(reason, what)
}

// imageOf gives the image as the pod names it; the status has none before it was pulled.
func imageOf(pod *corev1.Pod, status *corev1.ContainerStatus) string {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == status.Name {
				return list[i].Image
			}
		}
	}
	return status.Image
}

// problemOfEnd is about a container that has ended. One that ended while its pod was being deleted was
// asked to, unless it says otherwise itself.
func problemOfEnd(pod *corev1.Pod, status *corev1.ContainerStatus, end *corev1.ContainerStateTerminated) *Problem {
	if end.Reason == reasonOOMKilled {
		what := fmt.Sprintf("the container %s of the agent pod %s was killed: it used more memory than its limit", status.Name, pod.Name)
		if limit := memoryLimit(pod, status.Name); limit != "" {
			what += " of " + limit
		}
		return newProblem(ReasonOutOfMemory, what)
	}
	if end.ExitCode == 0 {
		return nil
	}
	if line := launcherLine.FindStringSubmatch(end.Message); line != nil {
		if line[1] == "AgentExited" && pod.DeletionTimestamp != nil {
			return nil
		}
		reason := launcherReasons[line[1]]
		if reason == "" {
			reason = ReasonLaunchFailed
		}
		return newProblem(reason, fmt.Sprintf("the agent did not start in the pod %s: %s: %s", pod.Name, line[1], line[2]))
	}
	if pod.DeletionTimestamp != nil && end.ExitCode != exitConfig {
		return nil
	}
	reason := ReasonLaunchFailed
	if end.Reason == "ContainerCannotRun" || end.Reason == "StartError" {
		reason = ReasonContainerFailed
	}
	what := fmt.Sprintf("the container %s of the agent pod %s ended with exit code %d", status.Name, pod.Name, end.ExitCode)
	if text := strings.TrimSpace(end.Message); text != "" {
		what += ": " + lastLine(text)
	}
	return newProblem(reason, what)
}

// lastLine: a message that Kubernetes took from a container's log has many lines, the last says most.
func lastLine(text string) string {
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		return text[i+1:]
	}
	return text
}

// memoryLimit gives the limit of a container; empty if it has none.
func memoryLimit(pod *corev1.Pod, container string) string {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if limit := c.Resources.Limits.Memory(); c.Name == container && !limit.IsZero() {
			return limit.String()
		}
	}
	return ""
}

func problemOfScheduling(pod *corev1.Pod) *Problem {
	if pod.Spec.NodeName != "" {
		return nil
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return newProblem(ReasonUnschedulable, fmt.Sprintf("no node takes the agent pod %s: %s", pod.Name, c.Message))
		}
	}
	return nil
}

// problemOfEvent is about a pod that is being made.
func problemOfEvent(pod string, event *corev1.Event) *Problem {
	reason := eventReasons[event.Reason]
	if reason == "" || event.Type != corev1.EventTypeWarning {
		return nil
	}
	return newProblem(reason, fmt.Sprintf("the agent pod %s cannot start: %s: %s", pod, event.Reason, event.Message))
}

// running tells since when the agent's container runs; false if it does not.
func running(pod *corev1.Pod, agent string) (*corev1.ContainerStateRunning, bool) {
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if (status.Name == agent || agent == "") && status.State.Running != nil {
			return status.State.Running, true
		}
	}
	return nil, false
}
