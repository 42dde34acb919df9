// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const (
	setUID   types.UID = "set"
	podUID   types.UID = "pod"
	claimUID types.UID = "claim"
)

// running is the scope of an app in the good case; tests change one thing in it.
func running(changes ...func(s *scope)) *scope {
	app := &devcontainerv1.DevcontainerApp{}
	app.Namespace, app.Name, app.Generation = "team-a", "web", 3
	app.Spec.StatefulSet.Image = "ghcr.io/acme/dev:1.4"
	app.Spec.StatefulSet.GitRepositoryURL = "https://git.example.com/acme/web"

	set := resources.StatefulSet(app, resources.PodOptions{AgentImage: "agent"})
	set.UID, set.Generation = setUID, 2
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdateRevision: "web-1"}

	pod := &corev1.Pod{}
	pod.Name, pod.UID = "web-0", podUID
	pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: "web-1"}
	pod.Spec.NodeName = "node-1"
	pod.Status = corev1.PodStatus{
		Phase:  corev1.PodRunning,
		HostIP: "10.0.0.7",
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		},
		InitContainerStatuses: []corev1.ContainerStatus{
			{Name: resources.CopyContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
			{Name: resources.CloneContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: resources.DevContainer, Ready: true, ImageID: "ghcr.io/acme/dev@sha256:0",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(testNow.Add(-time.Minute))}},
		}},
	}
	service := resources.Service(app)
	service.Spec.Ports[0].NodePort = 30022

	claim := &corev1.PersistentVolumeClaim{}
	claim.Name, claim.UID, claim.Status.Phase = "web-data", claimUID, corev1.ClaimBound

	s := &scope{app: app, set: set, pod: pod, service: service, claim: claim, now: testNow, fingerprints: []string{"SHA256:x"}}
	for _, change := range changes {
		change(s)
	}
	return s
}

// starting is a pod on a node whose containers do not run yet.
func starting(s *scope) {
	notReady(s)
	s.pod.Status.Phase = corev1.PodPending
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waitInitializing}}
	for i := range s.pod.Status.InitContainerStatuses {
		s.pod.Status.InitContainerStatuses[i].State = waiting
	}
	s.pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: resources.DevContainer, State: waiting}
}

func notReady(s *scope) {
	s.pod.Status.Conditions[1].Status = corev1.ConditionFalse
	s.pod.Status.ContainerStatuses[0].Ready = false
}

func notScheduled(message string) func(s *scope) {
	return func(s *scope) {
		s.pod.Spec.NodeName = ""
		s.pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message,
		}}}
	}
}

func noPod(s *scope) { s.pod = nil }

func devWaits(reason, message string) func(s *scope) {
	return func(s *scope) {
		notReady(s)
		s.pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func lastEnd(end corev1.ContainerStateTerminated) func(s *scope) {
	return func(s *scope) {
		s.pod.Status.ContainerStatuses[0].LastTerminationState = corev1.ContainerState{Terminated: &end}
	}
}

func runsFor(d time.Duration) func(s *scope) {
	return func(s *scope) {
		notReady(s)
		s.pod.Status.ContainerStatuses[0].State = corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(testNow.Add(-d))},
		}
	}
}

func cloneIs(state corev1.ContainerState, last *corev1.ContainerStateTerminated) func(s *scope) {
	return func(s *scope) {
		starting(s)
		s.pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		clone := &s.pod.Status.InitContainerStatuses[1]
		clone.State = state
		clone.LastTerminationState.Terminated = last
	}
}

func event(uid types.UID, reason, message string) func(s *scope) {
	return func(s *scope) {
		kind := corev1.EventTypeWarning
		if reason == eventPulling {
			kind = corev1.EventTypeNormal
		}
		s.events = append(s.events, corev1.Event{
			InvolvedObject: corev1.ObjectReference{UID: uid}, Reason: reason, Message: message, Type: kind,
		})
	}
}

func TestReadyNamesTheCause(t *testing.T) {
	const quota = `pods "web-0" is forbidden: exceeded quota: ci, requested: limits.memory=9Gi, used: limits.memory=0, limited: limits.memory=4Gi`
	fail := func(o *reconcile.Outcome) func(s *scope) { return func(s *scope) { s.failure = o } }
	observed := func(s *scope) { s.app.Status.ObservedGeneration = s.app.Generation }
	unboundClaim := func(s *scope) { s.claim.Status.Phase = corev1.ClaimPending }
	stop := func(s *scope) { s.app.Spec.RunState = devcontainerv1.Stopped }

	tests := map[string]struct {
		why     string
		scope   *scope
		reason  string
		message string // a part of it
	}{
		"Ready":   {why: "port and probe", scope: running(), reason: devcontainerv1.ReasonReady, message: "30022"},
		"Stopped": {why: "no pod is wanted", scope: running(stop, noPod), reason: devcontainerv1.ReasonStopped, message: "is stopped"},
		"Stopping": {
			why:   "a pod that still answers is not offered any more",
			scope: running(stop), reason: devcontainerv1.ReasonStopped, message: "being stopped",
		},
		"StoppedWithInvalidKeys": {
			why:   "what was stopped is stopped, whatever else is wrong",
			scope: running(stop, noPod, func(s *scope) { s.keysError = "x" }), reason: devcontainerv1.ReasonStopped, message: "is stopped",
		},
		"InvalidKeys": {
			why:   "the container runs, but not as the spec says",
			scope: running(func(s *scope) { s.keysError = "spec.statefulset.sshPublicKeyList[2]: bad" }), reason: devcontainerv1.ReasonInvalidKeys, message: "[2]",
		},
		"NothingYet": {
			why:   "the first pass",
			scope: running(noPod, func(s *scope) { s.set, s.service = nil, nil }), reason: devcontainerv1.ReasonPodPending, message: "not made",
		},
		"NoPod": {why: "the StatefulSet's controller is not there yet", scope: running(noPod), reason: devcontainerv1.ReasonPodPending, message: "not made"},
		"PodQuota": {
			why:    "a ResourceQuota refuses the pod",
			scope:  running(noPod, event(setUID, eventFailedCreate, "create Pod web-0 in StatefulSet web failed error: "+quota)),
			reason: devcontainerv1.ReasonQuotaExceeded, message: quota,
		},
		"PodRefused": {
			why: "PodSecurity refuses the pod",
			scope: running(noPod, event(setUID, eventFailedCreate,
				`create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: violates PodSecurity "restricted:latest"`)),
			reason: devcontainerv1.ReasonPodRefused, message: `pods "web-0" is forbidden: violates PodSecurity`,
		},
		"OldQuotaEvent": {
			why: "an older refusal was followed by a pod, which then went",
			scope: running(noPod, event(setUID, eventFailedCreate, "failed error: "+quota),
				event(setUID, "SuccessfulCreate", "created"), event(setUID, "SuccessfulDelete", "deleted")),
			reason: devcontainerv1.ReasonPodPending, message: "not made",
		},
		"QuotaAtUpdate": {
			why: "the new pod is refused while an old one is known",
			scope: running(func(s *scope) { s.set.Status.UpdateRevision = "web-2" },
				event(setUID, eventFailedCreate, "failed error: "+quota)),
			reason: devcontainerv1.ReasonQuotaExceeded, message: "exceeded quota",
		},
		"QuotaOfClaim": {
			why:    "the API server refused the volume",
			scope:  running(noPod, fail(&reconcile.Outcome{Kind: reconcile.Waiting, Reason: devcontainerv1.ReasonQuotaExceeded, Message: "no volume"})),
			reason: devcontainerv1.ReasonQuotaExceeded, message: "no volume",
		},
		"FailureOfANewSpec": {
			why:    "the spec could not be brought about",
			scope:  running(fail(&reconcile.Outcome{Kind: reconcile.Retrying, Reason: "Failed", Message: "etcd is away"})),
			reason: devcontainerv1.ReasonFailed, message: "etcd is away",
		},
		"FailureWhileRunning": {
			why:    "a call that failed says nothing about a container that runs as it should",
			scope:  running(observed, fail(&reconcile.Outcome{Kind: reconcile.Retrying, Reason: "Failed", Message: "etcd is away"})),
			reason: devcontainerv1.ReasonReady, message: "30022",
		},
		"FailureWhileStarting": {
			why:    "but it may be what keeps it from running",
			scope:  running(observed, noPod, fail(&reconcile.Outcome{Kind: reconcile.Retrying, Reason: "Failed", Message: "etcd is away"})),
			reason: devcontainerv1.ReasonFailed, message: "etcd is away",
		},
		"OldPodEnds": {
			why:    "a pod that ends is ready until it does",
			scope:  running(func(s *scope) { s.pod.DeletionTimestamp = new(metav1.NewTime(testNow)) }),
			reason: devcontainerv1.ReasonStarting, message: "former pod",
		},
		"UpdateNotSeen": {
			why:    "the StatefulSet's controller has not seen the new template",
			scope:  running(func(s *scope) { s.set.Generation = 3 }),
			reason: devcontainerv1.ReasonStarting, message: "replaced",
		},
		"OldRevision": {
			why:    "the pod is of the former template",
			scope:  running(func(s *scope) { s.set.Status.UpdateRevision = "web-2" }),
			reason: devcontainerv1.ReasonStarting, message: "replaced",
		},
		"Unschedulable": {
			why:    "the scheduler's own words",
			scope:  running(notScheduled("0/1 nodes are available: 1 Insufficient cpu.")),
			reason: devcontainerv1.ReasonUnschedulable, message: "0/1 nodes are available: 1 Insufficient cpu.",
		},
		"NotYetScheduled": {
			why:    "the scheduler has not looked yet",
			scope:  running(func(s *scope) { s.pod.Spec.NodeName, s.pod.Status = "", corev1.PodStatus{} }),
			reason: devcontainerv1.ReasonPodPending, message: "scheduler",
		},
		"VolumeUnbound": {
			why:    "the scheduler waits for the volume",
			scope:  running(unboundClaim, notScheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")),
			reason: devcontainerv1.ReasonVolumePending, message: "unbound",
		},
		"VolumeCannotBeMade": {
			why: "the provisioner's own words are better than the scheduler's",
			scope: running(unboundClaim, notScheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
				event(claimUID, "ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`)),
			reason: devcontainerv1.ReasonVolumePending, message: `"fast" not found`,
		},
		"NoRoomBeforeVolume": {
			why:    "a volume that waits for its first pod is not to blame",
			scope:  running(unboundClaim, notScheduled("0/1 nodes are available: 1 Insufficient memory.")),
			reason: devcontainerv1.ReasonUnschedulable, message: "Insufficient memory",
		},
		"Creating": {why: "containers are being made", scope: running(starting), reason: devcontainerv1.ReasonStarting, message: "being made"},
		"NoStatuses": {
			why: "the node has the pod but has not said anything",
			scope: running(starting, func(s *scope) {
				s.pod.Status.InitContainerStatuses, s.pod.Status.ContainerStatuses = nil, nil
			}),
			reason: devcontainerv1.ReasonStarting, message: "being made",
		},
		"Pulling": {
			why:    "the node fetches the image",
			scope:  running(starting, event(podUID, eventPulling, `Pulling image "ghcr.io/acme/dev:1.4"`)),
			reason: devcontainerv1.ReasonPullingImage, message: "ghcr.io/acme/dev:1.4",
		},
		"Pulled": {
			why:    "the image is there",
			scope:  running(starting, event(podUID, eventPulling, "Pulling"), event(podUID, "Pulled", "Pulled")),
			reason: devcontainerv1.ReasonStarting, message: "being made",
		},
		"AttachFails": {
			why:    "the volume cannot be attached",
			scope:  running(starting, event(podUID, eventFailedAttach, "Multi-Attach error for volume")),
			reason: devcontainerv1.ReasonVolumePending, message: "Multi-Attach",
		},
		"SandboxFails": {
			why:    "the pod's network cannot be made",
			scope:  running(starting, event(podUID, eventFailedSandbox, "no free address")),
			reason: devcontainerv1.ReasonStarting, message: "no free address",
		},
		"EventOfAnotherPod": {
			why:    "the former pod's events say nothing about this one",
			scope:  running(starting, event("other", eventFailedMount, "other")),
			reason: devcontainerv1.ReasonStarting, message: "being made",
		},
		"PullFails": {
			why:    "the node's own words",
			scope:  running(devWaits("ErrImagePull", "failed to resolve image: no such host")),
			reason: devcontainerv1.ReasonImagePullFailed, message: "no such host",
		},
		"PullBackOff": {
			why:    "the node waits before it tries again",
			scope:  running(devWaits("ImagePullBackOff", `Back-off pulling image "x": not found`)),
			reason: devcontainerv1.ReasonImagePullFailed, message: "not found",
		},
		"PullBackOffWithoutMessage": {
			why:    "a message is never empty",
			scope:  running(devWaits("ImagePullBackOff", "")),
			reason: devcontainerv1.ReasonImagePullFailed, message: "ImagePullBackOff",
		},
		"AgentPullFails": {
			why: "the agent's image is an image, too",
			scope: running(starting, func(s *scope) {
				s.pod.Status.InitContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "agent not found"}
			}),
			reason: devcontainerv1.ReasonImagePullFailed, message: "agent not found",
		},
		"InvalidImage": {
			why:    "the name cannot be parsed",
			scope:  running(devWaits(waitInvalidImage, "couldn't parse image name")),
			reason: devcontainerv1.ReasonInvalidImage, message: "couldn't parse",
		},
		"ConfigError": {
			why:    "the container cannot be made",
			scope:  running(devWaits("CreateContainerConfigError", `secret "web-ssh" not found`)),
			reason: devcontainerv1.ReasonCrashing, message: "web-ssh",
		},
		"UnknownWait": {
			why:    "a reason of a future kubelet is shown as it is",
			scope:  running(devWaits("WaitingForGodot", "he will come")),
			reason: devcontainerv1.ReasonStarting, message: "he will come",
		},
		"CopyFails": {
			why: "the agent cannot be copied",
			scope: running(starting, func(s *scope) {
				s.pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "no space left"}}
			}),
			reason: devcontainerv1.ReasonCrashing, message: "no space left",
		},
		"Cloning": {
			why:    "the clone runs",
			scope:  running(cloneIs(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, nil)),
			reason: devcontainerv1.ReasonCloning, message: "being cloned",
		},
		"CloneFails": {
			why: "the agent's sentence, without its prefix",
			scope: running(cloneIs(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Message: "SLIPWAY-CLONE AuthenticationRequired: git.example.com wants a password",
			}}, nil)),
			reason: devcontainerv1.ReasonCloneFailed, message: "git.example.com wants a password (exit code 1)",
		},
		"CloneBackOff": {
			why: "between two tries",
			scope: running(cloneIs(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waitCrashLoop, Message: "back-off 10s"}},
				&corev1.ContainerStateTerminated{ExitCode: 1, Message: "not found"})),
			reason: devcontainerv1.ReasonCloneFailed, message: "not found",
		},
		"CloneAgain": {
			why: "the next try, with the failure of the last",
			scope: running(cloneIs(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
				&corev1.ContainerStateTerminated{ExitCode: 1, Message: "not found"})),
			reason: devcontainerv1.ReasonCloning, message: "not found",
		},
		"CloneMessageWithPassword": {
			why: "credentials in a URL do not reach the status",
			scope: running(cloneIs(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, Message: "cannot reach https://bob:s3cret@git.example.com/x",
			}}, nil)),
			reason: devcontainerv1.ReasonCloneFailed, message: "cannot reach https://git.example.com/x",
		},
		"CrashLoop": {
			why:    "its last words",
			scope:  running(devWaits(waitCrashLoop, "back-off"), lastEnd(corev1.ContainerStateTerminated{ExitCode: 127, Message: "bash: foo: not found"})),
			reason: devcontainerv1.ReasonCrashing, message: "bash: foo: not found (exit code 127)",
		},
		"CrashWithoutWords": {
			why:    "at least the exit code",
			scope:  running(devWaits(waitCrashLoop, "back-off"), lastEnd(corev1.ContainerStateTerminated{ExitCode: 2})),
			reason: devcontainerv1.ReasonCrashing, message: "ended with exit code 2",
		},
		"CrashUnknown": {
			why:    "the kubelet forgot the last end",
			scope:  running(devWaits(waitCrashLoop, "back-off 5m0s restarting")),
			reason: devcontainerv1.ReasonCrashing, message: "back-off 5m0s",
		},
		"CrashSaysItsCode": {
			why: "the exit code is not said twice",
			scope: running(devWaits(waitCrashLoop, ""), lastEnd(corev1.ContainerStateTerminated{
				ExitCode: 3, Message: "SLIPWAY-INIT CommandFailed: /bin/sh ended with exit code 3: see the log",
			})),
			reason: devcontainerv1.ReasonCrashing, message: "ended with exit code 3: see the log",
		},
		"OutOfMemory": {
			why:    "the limit is named",
			scope:  running(devWaits(waitCrashLoop, ""), lastEnd(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})),
			reason: devcontainerv1.ReasonCrashing, message: "memory limit",
		},
		"JustEnded": {
			why: "between the end and the back-off",
			scope: running(notReady, func(s *scope) {
				s.pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0, Message: "SLIPWAY-INIT CommandEnded: true ended with exit code 0"}}
			}),
			reason: devcontainerv1.ReasonCrashing, message: "true ended with exit code 0",
		},
		"RunsAgain": {
			why:    "a container that crashed a moment ago is still crashing",
			scope:  running(runsFor(time.Second), lastEnd(corev1.ContainerStateTerminated{ExitCode: 1, Message: "boom"})),
			reason: devcontainerv1.ReasonCrashing, message: "boom",
		},
		"JustStarted": {why: "SSH servers need a moment", scope: running(runsFor(2 * time.Second)), reason: devcontainerv1.ReasonStarting, message: "does not answer yet"},
		"ProbeFails": {
			why:    "nothing listens",
			scope:  running(runsFor(time.Minute), event(podUID, eventUnhealthy, "Readiness probe failed: dial tcp: connection refused")),
			reason: devcontainerv1.ReasonProbeFailing, message: "port 22 of the container: Readiness probe failed",
		},
		"ProbeFailsWithoutEvent": {why: "the event is gone after an hour", scope: running(runsFor(3 * time.Hour)), reason: devcontainerv1.ReasonProbeFailing, message: "port 22"},
		"PodFailed": {
			why: "the node evicted the pod",
			scope: running(func(s *scope) {
				s.pod.Status.Phase, s.pod.Status.Message = corev1.PodFailed, "The node was low on resource: memory."
			}),
			reason: devcontainerv1.ReasonCrashing, message: "low on resource",
		},
		"NodeLost": {
			why: "the container was ready when the node was last heard of",
			scope: running(func(s *scope) {
				s.pod.Status.Conditions[1] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: "Node is not ready"}
			}),
			reason: devcontainerv1.ReasonStarting, message: "Node is not ready",
		},
		"NoService": {why: "no port without a Service", scope: running(func(s *scope) { s.service = nil }), reason: devcontainerv1.ReasonPortPending, message: "NodePort"},
		"NoPort":    {why: "the port is not given yet", scope: running(func(s *scope) { s.service.Spec.Ports[0].NodePort = 0 }), reason: devcontainerv1.ReasonPortPending, message: "NodePort"},
		"LowPort": {
			why:    "a cluster with another range",
			scope:  running(func(s *scope) { s.service.Spec.Ports[0].NodePort = 29999 }),
			reason: devcontainerv1.ReasonPortPending, message: "29999",
		},
		"HighPort": {
			why:    "a cluster with another range",
			scope:  running(func(s *scope) { s.service.Spec.Ports[0].NodePort = 32768 }),
			reason: devcontainerv1.ReasonPortPending, message: "32768",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setStatus(tt.scope)
			got := meta.FindStatusCondition(tt.scope.app.Status.Conditions, devcontainerv1.ConditionReady)
			if got == nil {
				t.Fatalf("%s: no condition", tt.why)
			}
			if got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%s: got %s %q, want %s with %q", tt.why, got.Reason, got.Message, tt.reason, tt.message)
			}
			if strings.Count(got.Message, "exit code") > 1 {
				t.Errorf("%s: the exit code is said twice in %q", tt.why, got.Message)
			}
			if strings.Contains(got.Message, "s3cret") {
				t.Errorf("%s: a password is in %q", tt.why, got.Message)
			}
			ready := tt.reason == devcontainerv1.ReasonReady
			if tt.scope.app.Status.Ready != ready || (got.Status == metav1.ConditionTrue) != ready {
				t.Errorf("%s: status.ready is %t and the condition %s, want both %t", tt.why, tt.scope.app.Status.Ready, got.Status, ready)
			}
		})
	}
}

func TestStatusOfTheGoodCase(t *testing.T) {
	s := running()
	setStatus(s)
	got := s.app.Status
	got.Conditions = nil
	want := devcontainerv1.DevcontainerAppStatus{
		NodePortAssigned: 30022, Ready: true, ObservedGeneration: 3, ImageID: "ghcr.io/acme/dev@sha256:0",
		HostKeyFingerprints: []string{"SHA256:x"}, PodName: "web-0", NodeIP: "10.0.0.7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStatusKeepsOnlyWhatCannotBeSeen(t *testing.T) {
	s := running()
	setStatus(s)
	s.pod = nil
	setStatus(s)
	status := s.app.Status
	if status.PodName != "" || status.NodeIP != "" || status.Ready {
		t.Errorf("without a pod: name %q, node %q, ready %t", status.PodName, status.NodeIP, status.Ready)
	}
	if status.ImageID == "" {
		t.Error("the image that the last pod ran is forgotten, and with it the agent template")
	}
	if !meta.IsStatusConditionTrue(status.Conditions, devcontainerv1.ConditionRepositoryCloned) {
		t.Error("the repository on the volume is forgotten")
	}
	s.service = nil
	setStatus(s)
	if s.app.Status.NodePortAssigned != 0 {
		t.Errorf("without a Service: port %d", s.app.Status.NodePortAssigned)
	}
}

func TestImageOfTheFormerPodIsNotTaken(t *testing.T) {
	s := running(func(s *scope) {
		s.app.Status.ImageID = "known"
		s.set.Status.UpdateRevision = "web-2"
	})
	setStatus(s)
	if s.app.Status.ImageID != "known" {
		t.Errorf("got %q: the pod that is being replaced runs the former image", s.app.Status.ImageID)
	}
}

func TestObservedGenerationOnlyAfterSuccess(t *testing.T) {
	s := running(func(s *scope) { s.failure = reconcile.AsOutcome(errors.New("x")); s.app.Status.ObservedGeneration = 2 })
	setStatus(s)
	if got := s.app.Status.ObservedGeneration; got != 2 {
		t.Errorf("got %d: the spec of generation 3 was not brought about", got)
	}
}

func TestStorageCondition(t *testing.T) {
	tests := map[string]struct {
		scope           *scope
		status          metav1.ConditionStatus
		reason, message string
	}{
		"Claim":     {running(), metav1.ConditionTrue, devcontainerv1.ReasonPersistent, "web-data"},
		"Note":      {running(func(s *scope) { s.storageNote = "cannot shrink" }), metav1.ConditionTrue, devcontainerv1.ReasonPersistent, "cannot shrink"},
		"Ephemeral": {running(func(s *scope) { s.claim, s.ephemeral = nil, true }), metav1.ConditionFalse, devcontainerv1.ReasonEphemeral, "lost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setStatus(tt.scope)
			got := meta.FindStatusCondition(tt.scope.app.Status.Conditions, devcontainerv1.ConditionStoragePersistent)
			if got == nil || got.Status != tt.status || got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %+v, want %s %s with %q", got, tt.status, tt.reason, tt.message)
			}
		})
	}
}

func TestClonedCondition(t *testing.T) {
	noURL := func(s *scope) { s.app.Spec.StatefulSet.GitRepositoryURL = "" }
	had := func(s *scope) {
		setCondition(s, devcontainerv1.ConditionRepositoryCloned, metav1.ConditionTrue, devcontainerv1.ReasonCloned, "")
	}
	failed := cloneIs(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "not found"}}, nil)
	tests := map[string]struct {
		scope *scope
		want  string // "" for no condition
	}{
		"Done":        {running(), "True/Cloned"},
		"NoURL":       {running(noURL), ""},
		"URLRemoved":  {running(had, noURL), ""},
		"Failed":      {running(failed), "False/CloneFailed"},
		"FailedAgain": {running(had, failed), "False/CloneFailed"},
		"NoPodYet":    {running(noPod), "False/PodPending"},
		"Stopped":     {running(had, noPod, func(s *scope) { s.app.Spec.RunState = devcontainerv1.Stopped }), "True/Cloned"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setStatus(tt.scope)
			got := ""
			if c := meta.FindStatusCondition(tt.scope.app.Status.Conditions, devcontainerv1.ConditionRepositoryCloned); c != nil {
				got = string(c.Status) + "/" + c.Reason
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLookAgainOnlyWhileTheClockDecides(t *testing.T) {
	s := running(runsFor(2 * time.Second))
	setStatus(s)
	if want := startGrace - 2*time.Second; s.lookAgain != want {
		t.Errorf("a container that just started: look again after %s, want %s", s.lookAgain, want)
	}
	for name, s := range map[string]*scope{"ready": running(), "probe fails": running(runsFor(time.Minute)), "pulling": running(starting)} {
		setStatus(s)
		if s.lookAgain != 0 {
			t.Errorf("%s: look again after %s, although a watch tells", name, s.lookAgain)
		}
	}
}

func TestSentence(t *testing.T) {
	long := strings.Repeat("ü", 2000)
	tests := map[string]struct{ in, want string }{
		"Lines":      {"a\n b\t\tc\r\n", "a b c"},
		"Password":   {"clone https://u:p@h/x and ssh://git@h/y", "clone https://h/x and ssh://h/y"},
		"NotUTF8":    {"a\xffb", "a?b"},
		"Mail":       {"ask bob@example.com", "ask bob@example.com"},
		"PathWithAt": {"https://h/@scope/x", "https://h/@scope/x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sentence(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	got := sentence(long)
	if len(got) > maxMessage || !strings.HasSuffix(got, "ü…") {
		t.Errorf("a long text has %d bytes and ends in %q", len(got), got[len(got)-6:])
	}
}

func TestEventsAreOrdered(t *testing.T) {
	at := func(second int, version string) corev1.Event {
		return corev1.Event{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, LastTimestamp: metav1.NewTime(testNow.Add(time.Duration(second) * time.Second))}
	}
	series := corev1.Event{EventTime: metav1.NewMicroTime(testNow), Series: &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(testNow.Add(time.Minute))}}
	tests := map[string]struct {
		reason       string
		older, newer corev1.Event
	}{
		"Time":    {"by the last time", at(1, "9"), at(2, "3")},
		"Version": {"within a second by version, as a number", at(1, "99"), at(1, "100")},
		"Micro":   {"new events have microseconds, old ones seconds", corev1.Event{EventTime: metav1.NewMicroTime(testNow.Add(900 * time.Millisecond)), ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}, at(0, "2")},
		"Series":  {"the last of a series counts", at(30, "1"), series},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if compareEvents(tt.older, tt.newer) >= 0 || compareEvents(tt.newer, tt.older) <= 0 {
				t.Errorf("%s: the order is wrong", tt.reason)
			}
		})
	}
}
