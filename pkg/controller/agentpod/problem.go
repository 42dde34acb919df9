// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Reasons of problems, as they stand in the conditions of runs and of dev containers.
const (
	// ReasonImagePullFailed: the node cannot fetch an image of the pod.
	ReasonImagePullFailed = "AgentImagePullFailed"
	// ReasonImageNotPresent: the image may not be fetched, and the node does not have it.
	ReasonImageNotPresent = "AgentImageNotPresent"
	// ReasonInvalidImage: the name of an image is not valid.
	ReasonInvalidImage = "AgentInvalidImage"
	// ReasonUnschedulable: no node has room or fits.
	ReasonUnschedulable = "AgentUnschedulable"
	// ReasonQuotaExceeded: the quota of the worker namespace does not allow the pod.
	ReasonQuotaExceeded = "AgentQuotaExceeded"
	// ReasonPodSecurity: the worker namespace's PodSecurity level forbids the pod.
	ReasonPodSecurity = "AgentPodSecurity"
	// ReasonInvalidPod: the pod of the template is not valid.
	ReasonInvalidPod = "AgentInvalidPod"
	// ReasonPodRefused: admission refuses the pod for another reason.
	ReasonPodRefused = "AgentPodRefused"
	// ReasonCannotCheck: the pod cannot be tried, as Slipway lacks the right to.
	ReasonCannotCheck = "AgentCannotBeChecked"
	// ReasonVolumeFailed: a volume of the pod cannot be mounted.
	ReasonVolumeFailed = "AgentVolumeFailed"
	// ReasonContainerFailed: a container of the pod cannot be made.
	ReasonContainerFailed = "AgentContainerFailed"
	// ReasonJenkinsUnreachable: the pod does not reach Jenkins.
	ReasonJenkinsUnreachable = "AgentJenkinsUnreachable"
	// ReasonLaunchFailed: the agent did not start in the container; the message says why.
	ReasonLaunchFailed = "AgentLaunchFailed"
	// ReasonOutOfMemory: the pod used more memory than its limit.
	ReasonOutOfMemory = "AgentOutOfMemory"
	// ReasonEvicted: the node or the scheduler put the pod out.
	ReasonEvicted = "AgentEvicted"
	// ReasonDeadlineExceeded: the pod lived longer than agent pods may.
	ReasonDeadlineExceeded = "AgentDeadlineExceeded"
	// ReasonPodDeleted: somebody deleted the pod while the build used it.
	ReasonPodDeleted = "AgentPodDeleted"
	// ReasonLabelUnknown: no dev container offers the label.
	ReasonLabelUnknown = "AgentLabelUnknown"
	// ReasonNotProvisioned: Jenkins makes no pod although one could be made.
	ReasonNotProvisioned = "AgentNotProvisioned"
	// ReasonNotConnected: the pod runs, but Jenkins does not use it.
	ReasonNotConnected = "AgentNotConnected"
	// ReasonRightsMissing: Jenkins' account lacks a right in the worker namespace.
	ReasonRightsMissing = "AgentRightsMissing"
)

// remedies say what to do, by reason.
var remedies = map[string]string{
	ReasonImagePullFailed:    "check the image's name and that the nodes reach its registry; a private registry needs a pull secret on the agents' service account in the worker namespace",
	ReasonImageNotPresent:    "load the image onto the nodes, or give it a pull policy other than Never",
	ReasonInvalidImage:       "correct the image of the dev container",
	ReasonUnschedulable:      "lower the requests of the dev container (spec.resources), or add room to the cluster; other builds that end make room, too",
	ReasonQuotaExceeded:      "wait for other builds to end, lower the resources of the dev container, or raise the ResourceQuota of the worker namespace",
	ReasonPodSecurity:        "run agents restricted (--agent-restricted), or lower the pod-security.kubernetes.io/enforce label of the worker namespace",
	ReasonInvalidPod:         "correct the fields of the dev container that the message names",
	ReasonPodRefused:         "change the dev container, or the policy that the message names",
	ReasonCannotCheck:        "let Slipway's controller create pods in the worker namespace (the chart's Role slipway-controller-manager there)",
	ReasonVolumeFailed:       "see the events of the pod; the storage or the object that the message names is missing",
	ReasonContainerFailed:    "see the message; the image may lack the command, or the node's container runtime has a fault",
	ReasonJenkinsUnreachable: "set the URL and tunnel of Jenkins' cloud to addresses that pods reach, and check its Service, network policies and the cluster's DNS",
	ReasonLaunchFailed:       "see the message; the agent's image must hold the JRE, and the dev container's image a shell",
	ReasonOutOfMemory:        "raise the memory limit of the dev container (spec.resources.limits.memory), or let the build use less",
	ReasonEvicted:            "start the run again; requests that fit the real use of the build keep it from being put out",
	ReasonDeadlineExceeded:   "make the build shorter, or raise the time that agent pods may live (--agent-active-deadline)",
	ReasonPodDeleted:         "start the run again; with agent { label { label '…'; retries 2 } } Jenkins does so by itself",
	ReasonLabelUnknown:       "use the label of a dev container of this project (status.agentLabel), and let the dev container run once",
	ReasonNotProvisioned:     "look into Jenkins' log: mostly the credential of its Kubernetes cloud is missing or out of date, or its account lacks one of the verbs create, get, delete, list and watch on pods in the worker namespace",
	ReasonNotConnected:       "look into the log of the pod and of Jenkins: mostly the account of Jenkins' cloud lacks get, list or watch on pods, or Jenkins' agent port does not answer",
	ReasonRightsMissing:      "bind the Role slipway-jenkins-agents of the worker namespace to Jenkins' account",
}

// Problem is why an agent does not start, or why it ended.
type Problem struct {
	// Reason is one of the reasons above.
	Reason string
	// Message says in one line what is wrong and what to do.
	Message string
	// Permanent: it does not go away by waiting.
	Permanent bool
	// Since is when it was first seen.
	Since time.Time
}

// maxText bounds the part of a message that comes from elsewhere, in bytes.
const maxText = 700

// userInfo is the user and password of a URL.
var userInfo = regexp.MustCompile(`(://)[^/@\s]+@`)

// oneLine makes a text of a node, a container or the API server fit for a condition.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = userInfo.ReplaceAllString(text, "$1")
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// newProblem makes a problem of what was seen; the remedy is that of the reason.
func newProblem(reason, what string) *Problem {
	what = strings.TrimRight(oneLine(what), ".")
	if remedy := remedies[reason]; remedy != "" {
		what += ". What to do: " + remedy
	}
	return &Problem{Reason: reason, Message: what, Permanent: !passing[reason]}
}

// passing are reasons that may go away by waiting.
var passing = map[string]bool{
	ReasonUnschedulable: true, ReasonQuotaExceeded: true, ReasonEvicted: true, ReasonNotProvisioned: true, ReasonNotConnected: true,
	ReasonJenkinsUnreachable: true, ReasonVolumeFailed: true, ReasonPodDeleted: true, ReasonOutOfMemory: true, ReasonDeadlineExceeded: true,
	ReasonCannotCheck: true,
}
