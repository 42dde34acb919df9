// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
)

// startGrace is how long a container may run before it answers on its port: an SSH server takes far
// less. A container that crashed less than this ago counts as crashing, not as starting.
const startGrace = 8 * time.Second

// Reasons of the kubelet, of the StatefulSet controller and of the volume controllers, in containers'
// waiting states and in events.
const (
	waitCrashLoop      = "CrashLoopBackOff"
	waitInvalidImage   = "InvalidImageName"
	waitInitializing   = "PodInitializing"
	waitCreating       = "ContainerCreating"
	eventFailedCreate  = "FailedCreate"
	eventPulling       = "Pulling"
	eventFailedMount   = "FailedMount"
	eventFailedAttach  = "FailedAttachVolume"
	eventFailedSandbox = "FailedCreatePodSandBox"
	eventUnhealthy     = "Unhealthy"
)

// pullFailures are the waiting reasons of an image that cannot be had.
var pullFailures = map[string]bool{
	"ErrImagePull": true, "ImagePullBackOff": true, "ErrImageNeverPull": true, "ImageInspectError": true,
	"RegistryUnavailable": true, "SignatureValidationFailed": true,
}

// createFailures are the waiting reasons of a container that cannot be made from its image or its spec.
var createFailures = map[string]bool{
	"CreateContainerError": true, "CreateContainerConfigError": true, "RunContainerError": true,
	"StartError": true, "PostStartHookError": true,
}

// whyPodNotReady names what the pod waits for, in the order in which a pod starts.
func whyPodNotReady(s *scope) *cause {
	switch {
	case s.set == nil:
		return &cause{devcontainerv1.ReasonPodPending, "the pod is not made yet"}
	case s.pod == nil:
		return whyNoPod(s)
	case s.pod.DeletionTimestamp != nil:
		return &cause{devcontainerv1.ReasonStarting, "the former pod is ending"}
	case !currentRevision(s):
		return whyOldPod(s)
	case s.pod.Spec.NodeName == "":
		return whyNotScheduled(s)
	case s.pod.Status.Phase == corev1.PodFailed:
		return &cause{devcontainerv1.ReasonCrashing, orElse(s.pod.Status.Message, "the pod failed: "+orElse(s.pod.Status.Reason, "no reason is given"))}
	}
	for i := range s.pod.Status.InitContainerStatuses {
		if why := whyInitWaits(s, &s.pod.Status.InitContainerStatuses[i]); why != nil {
			return why
		}
	}
	dev := containerStatus(s.pod.Status.ContainerStatuses, resources.DevContainer)
	if dev == nil {
		return whyCreating(s)
	}
	if why := whyContainerWaits(s, dev); why != nil {
		return why
	}
	if podReady(s.pod) {
		return nil
	}
	return whyNotAnswering(s, dev)
}

// currentRevision tells if the StatefulSet's controller has seen the spec and the pod is of it.
func currentRevision(s *scope) bool {
	if s.set == nil || s.pod == nil {
		return false
	}
	return s.set.Status.ObservedGeneration >= s.set.Generation &&
		s.set.Status.UpdateRevision == s.pod.Labels[appsv1.ControllerRevisionHashLabelKey]
}

func whyNoPod(s *scope) *cause {
	// The newest event decides: an older refusal was followed by a pod.
	if event := newest(s.events, s.set.UID); event != nil && event.Reason == eventFailedCreate {
		text := event.Message
		if _, after, found := strings.Cut(text, "failed error: "); found {
			text = after
		}
		if isQuotaText(text) {
			return &cause{devcontainerv1.ReasonQuotaExceeded, text}
		}
		return &cause{devcontainerv1.ReasonPodRefused, text}
	}
	return &cause{devcontainerv1.ReasonPodPending, "the pod is not made yet"}
}

// whyOldPod: the pod is of a former spec. That a new one cannot be made shows in the events.
func whyOldPod(s *scope) *cause {
	if why := whyNoPod(s); why.reason != devcontainerv1.ReasonPodPending {
		return why
	}
	return &cause{devcontainerv1.ReasonStarting, "the pod is being replaced by one of the new spec"}
}

func whyNotScheduled(s *scope) *cause {
	scheduled := podCondition(s.pod, corev1.PodScheduled)
	if scheduled == nil || scheduled.Reason != corev1.PodReasonUnschedulable {
		return &cause{devcontainerv1.ReasonPodPending, "the pod waits for the scheduler"}
	}
	if s.claim != nil && s.claim.Status.Phase != corev1.ClaimBound {
		// The scheduler only says that the volume is not bound; the volume's event says why.
		if event := newest(s.events, s.claim.UID); event != nil && event.Type == corev1.EventTypeWarning {
			return &cause{devcontainerv1.ReasonVolumePending, event.Message}
		}
		if strings.Contains(strings.ToLower(scheduled.Message), "persistentvolumeclaim") {
			return &cause{devcontainerv1.ReasonVolumePending, scheduled.Message}
		}
	}
	return &cause{devcontainerv1.ReasonUnschedulable, scheduled.Message}
}

// whyInitWaits gives nil for an init container that did its work.
func whyInitWaits(s *scope, status *corev1.ContainerStatus) *cause {
	state := &status.State
	if state.Terminated != nil && state.Terminated.ExitCode == 0 {
		return nil
	}
	failed := state.Terminated
	if failed == nil && (state.Waiting == nil || state.Waiting.Reason == waitCrashLoop) {
		failed = status.LastTerminationState.Terminated
	}
	clone := status.Name == resources.CloneContainer
	switch {
	case state.Running != nil && clone:
		message := "the repository is being cloned"
		if failed != nil {
			message = "the repository is being cloned again; the last time: " + lastWords(failed)
		}
		return &cause{devcontainerv1.ReasonCloning, message}
	case state.Running != nil:
		return &cause{devcontainerv1.ReasonStarting, "the agent is being copied"}
	case failed != nil && failed.ExitCode != 0 && clone:
		return &cause{devcontainerv1.ReasonCloneFailed, lastWords(failed)}
	case failed != nil && failed.ExitCode != 0:
		return &cause{devcontainerv1.ReasonCrashing, "the agent cannot be copied: " + lastWords(failed)}
	}
	return whyContainerWaits(s, status)
}

// whyContainerWaits gives nil for a container that runs.
func whyContainerWaits(s *scope, status *corev1.ContainerStatus) *cause {
	switch state := status.State; {
	case state.Terminated != nil:
		return &cause{devcontainerv1.ReasonCrashing, lastWords(state.Terminated)}
	case state.Running != nil:
		return nil
	case state.Waiting == nil:
		return whyCreating(s)
	default:
		return whyWaiting(s, status, state.Waiting)
	}
}

func whyWaiting(s *scope, status *corev1.ContainerStatus, waiting *corev1.ContainerStateWaiting) *cause {
	switch {
	case pullFailures[waiting.Reason]:
		return &cause{devcontainerv1.ReasonImagePullFailed, orElse(waiting.Message, waiting.Reason)}
	case waiting.Reason == waitInvalidImage:
		return &cause{devcontainerv1.ReasonInvalidImage, orElse(waiting.Message, "the image name "+status.Image+" is not valid")}
	case waiting.Reason == waitCrashLoop:
		if last := status.LastTerminationState.Terminated; last != nil {
			return &cause{devcontainerv1.ReasonCrashing, lastWords(last)}
		}
		return &cause{devcontainerv1.ReasonCrashing, orElse(waiting.Message, "the container ends again and again")}
	case createFailures[waiting.Reason]:
		return &cause{devcontainerv1.ReasonCrashing, "the container cannot be started: " + orElse(waiting.Message, waiting.Reason)}
	case waiting.Reason == waitCreating || waiting.Reason == waitInitializing || waiting.Reason == "":
		return whyCreating(s)
	}
	return &cause{devcontainerv1.ReasonStarting, orElse(waiting.Message, waiting.Reason)}
}

// whyCreating looks for what holds up a pod whose containers are being made: only events tell.
func whyCreating(s *scope) *cause {
	if event := newest(s.events, s.pod.UID); event != nil {
		switch event.Reason {
		case eventPulling:
			return &cause{devcontainerv1.ReasonPullingImage, event.Message}
		case eventFailedMount, eventFailedAttach:
			return &cause{devcontainerv1.ReasonVolumePending, event.Message}
		case eventFailedSandbox:
			return &cause{devcontainerv1.ReasonStarting, event.Message}
		}
	}
	return &cause{devcontainerv1.ReasonStarting, "the containers are being made"}
}

// whyNotAnswering is about a container that runs without being ready.
func whyNotAnswering(s *scope, dev *corev1.ContainerStatus) *cause {
	if s.pod.Status.Reason == "NodeLost" || dev.Ready {
		// The container was ready when its node was last heard of.
		if ready := podCondition(s.pod, corev1.PodReady); ready != nil && ready.Message != "" {
			return &cause{devcontainerv1.ReasonStarting, ready.Message}
		}
		return &cause{devcontainerv1.ReasonStarting, "the node " + s.pod.Spec.NodeName + " does not report the pod as ready"}
	}
	age := s.now.Sub(dev.State.Running.StartedAt.Time)
	if age < startGrace {
		s.lookAgain = startGrace - age
		if last := dev.LastTerminationState.Terminated; last != nil {
			return &cause{devcontainerv1.ReasonCrashing, "started again; the last time: " + lastWords(last)}
		}
		return &cause{devcontainerv1.ReasonStarting, "the container runs and does not answer yet"}
	}
	message := fmt.Sprintf("nothing answers on port %d of the container", resources.Port(s.app))
	for i := len(s.events) - 1; i >= 0; i-- {
		if e := &s.events[i]; e.InvolvedObject.UID == s.pod.UID && e.Reason == eventUnhealthy {
			message += ": " + e.Message
			break
		}
	}
	return &cause{devcontainerv1.ReasonProbeFailing, message}
}

// agentPrefix is what slipway-agent writes before the sentence, for programs.
var agentPrefix = regexp.MustCompile(`^SLIPWAY-[A-Z]+ [A-Za-z]+: `)

// lastWords says how a container ended.
func lastWords(t *corev1.ContainerStateTerminated) string {
	end := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Signal != 0 {
		end = fmt.Sprintf("signal %d", t.Signal)
	}
	if t.Reason == "OOMKilled" {
		end = "out of memory (its memory limit is too low)"
	}
	message := agentPrefix.ReplaceAllString(strings.TrimSpace(t.Message), "")
	if message == "" {
		return "the container ended with " + end
	}
	if strings.Contains(message, end) {
		return message
	}
	return message + " (" + end + ")"
}

// newest gives the last event about an object that says something about its progress; nil if there is
// none. events are in order.
func newest(events []corev1.Event, uid types.UID) *corev1.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].InvolvedObject.UID == uid {
			return &events[i]
		}
	}
	return nil
}

// compareEvents orders by the time at which an event was last seen. It has only seconds; where they are
// equal the order in which the server got them decides.
func compareEvents(a, b corev1.Event) int {
	if c := lastSeen(&a).Compare(lastSeen(&b)); c != 0 {
		return c
	}
	if order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion); err == nil {
		return order
	}
	return cmp.Compare(a.Name, b.Name)
}

func lastSeen(e *corev1.Event) time.Time {
	at := e.LastTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	if at.IsZero() {
		at = e.EventTime.Time
	}
	// Old and new event APIs differ in their precision.
	return at.Truncate(time.Second)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
