// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// maxMessage bounds a condition's message. Texts of nodes and containers may be long.
const maxMessage = 1024

// cause is why an app is not ready: a reason of the API and a sentence.
type cause struct{ reason, message string }

// setStatus computes the status from what this pass saw. Nothing is derived from an earlier status;
// only what cannot be seen while there is no pod (the image that it ran, the repository that it cloned)
// stays as it is.
func setStatus(s *scope) {
	status := &s.app.Status
	why := whyNotReady(s)

	status.Ready = why == nil
	status.NodePortAssigned = 0
	if s.service != nil {
		status.NodePortAssigned = resources.NodePort(s.service)
	}
	status.PodName, status.NodeIP = "", ""
	if s.pod != nil {
		status.PodName, status.NodeIP = s.pod.Name, s.pod.Status.HostIP
		// Of a pod of the current spec: the pod that is being replaced runs the former image.
		if dev := containerStatus(s.pod.Status.ContainerStatuses, resources.DevContainer); dev != nil && dev.ImageID != "" && currentRevision(s) {
			status.ImageID = dev.ImageID
		}
	}
	if s.fingerprints != nil {
		status.HostKeyFingerprints = s.fingerprints
	}
	if s.failure == nil {
		status.ObservedGeneration = s.app.Generation
	}
	setReady(s, why)
	setStorage(s)
	setCloned(s, why)
}

func setReady(s *scope, why *cause) {
	if why == nil {
		setCondition(s, devcontainerv1.ConditionReady, metav1.ConditionTrue, devcontainerv1.ReasonReady,
			fmt.Sprintf("SSH is reachable on port %d of the nodes", s.app.Status.NodePortAssigned))
		return
	}
	setCondition(s, devcontainerv1.ConditionReady, metav1.ConditionFalse, why.reason, why.message)
}

func setStorage(s *scope) {
	switch {
	case s.claim != nil:
		message := "files are kept on the volume " + s.claim.Name
		if s.storageNote != "" {
			message += "; " + s.storageNote
		}
		setCondition(s, devcontainerv1.ConditionStoragePersistent, metav1.ConditionTrue, devcontainerv1.ReasonPersistent, message)
	case s.ephemeral:
		setCondition(s, devcontainerv1.ConditionStoragePersistent, metav1.ConditionFalse, devcontainerv1.ReasonEphemeral,
			"the cluster has no default StorageClass: files are lost when the pod ends")
	}
}

func setCloned(s *scope, why *cause) {
	const conditionType = devcontainerv1.ConditionRepositoryCloned
	if s.app.Spec.StatefulSet.GitRepositoryURL == "" {
		meta.RemoveStatusCondition(&s.app.Status.Conditions, conditionType)
		return
	}
	switch {
	case s.pod != nil && currentRevision(s) && cloned(s.pod):
		setCondition(s, conditionType, metav1.ConditionTrue, devcontainerv1.ReasonCloned, "the repository is in "+resources.WorkDir)
	case s.pod == nil && meta.FindStatusCondition(s.app.Status.Conditions, conditionType) != nil:
		// Nothing to see; what the last pod did is still on the volume.
	case why != nil:
		setCondition(s, conditionType, metav1.ConditionFalse, why.reason, why.message)
	}
}

// cloned tells if the pod's clone container did its work.
func cloned(pod *corev1.Pod) bool {
	clone := containerStatus(pod.Status.InitContainerStatuses, resources.CloneContainer)
	return clone != nil && clone.State.Terminated != nil && clone.State.Terminated.ExitCode == 0
}

// whyNotReady gives the first thing that is waited for; nil if a client can connect.
func whyNotReady(s *scope) *cause {
	switch {
	case s.stopped() && s.pod == nil:
		return &cause{devcontainerv1.ReasonStopped, "the dev container is stopped; files, keys and port are kept"}
	case s.stopped():
		return &cause{devcontainerv1.ReasonStopped, "the dev container is being stopped"}
	case s.keysError != "":
		return &cause{devcontainerv1.ReasonInvalidKeys, s.keysError}
	case s.failure != nil && (s.failure.Kind != reconcile.Retrying || s.app.Status.ObservedGeneration != s.app.Generation):
		return &cause{s.failure.Reason, s.failure.Message}
	}
	why := whyPodNotReady(s)
	if why == nil {
		why = whyNoPort(s)
	}
	if why != nil && s.failure != nil {
		// A call that failed and will be tried again says nothing about a container that runs as the
		// spec wants it, but it may be what keeps one from running.
		return &cause{s.failure.Reason, s.failure.Message}
	}
	return why
}

func whyNoPort(s *scope) *cause {
	var port int32
	if s.service != nil {
		port = resources.NodePort(s.service)
	}
	switch {
	case port == 0:
		return &cause{devcontainerv1.ReasonPortPending, "the Service has no NodePort yet"}
	case port < devcontainerv1.NodePortMin || port > devcontainerv1.NodePortMax:
		return &cause{devcontainerv1.ReasonPortPending, fmt.Sprintf(
			"the cluster gave port %d, outside of %d to %d: its --service-node-port-range has to be changed",
			port, devcontainerv1.NodePortMin, devcontainerv1.NodePortMax)}
	}
	return nil
}

// setCondition sets a condition that is about the spec's current generation.
func setCondition(s *scope, conditionType string, status metav1.ConditionStatus, reason, message string) {
	reconcile.SetCondition(&s.app.Status.Conditions, metav1.Condition{
		Type:               conditionType,
		Status:             status,
		Reason:             reason,
		Message:            sentence(message),
		ObservedGeneration: s.app.Generation,
	})
}

// userInfo is the user and password of a URL.
var userInfo = regexp.MustCompile(`(://)[^/@\s]+@`)

// sentence makes a text of a node or a container fit for a condition: one line of bounded length,
// without the credentials of URLs.
func sentence(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = userInfo.ReplaceAllString(text, "$1")
	if len(text) <= maxMessage {
		return text
	}
	cut := maxMessage - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

func containerStatus(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == conditionType {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	condition := podCondition(pod, corev1.PodReady)
	return condition != nil && condition.Status == corev1.ConditionTrue
}
