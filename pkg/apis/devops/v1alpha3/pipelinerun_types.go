// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to PipelineRun.
const (
	// PipelineRunKind is the kind of a run.
	PipelineRunKind = "PipelineRun"
	// PipelineRunResource is the plural name in URLs and RBAC rules.
	PipelineRunResource = "pipelineruns"
	// PipelineRunFinalizer is kept until the Jenkins build and the stored artifacts are gone.
	PipelineRunFinalizer = "pipelinerun.finalizers.kubesphere.io"

	devopsPrefix = "devops.kubesphere.io/"
	// PipelineNameLabel names the pipeline of a run.
	PipelineNameLabel = devopsPrefix + "pipeline"
	// PipelineRunOrphanLabel is "true" on a run whose Jenkins build is gone.
	PipelineRunOrphanLabel = devopsPrefix + "jenkins-pipelinerun-orphan"
	// JenkinsPipelineRunIDAnnotation is the number of the Jenkins build.
	JenkinsPipelineRunIDAnnotation = devopsPrefix + "jenkins-pipelinerun-id"
	// JenkinsPipelineRunStatusAnnotation is the run as JSON in the form that the console reads.
	JenkinsPipelineRunStatusAnnotation = devopsPrefix + "jenkins-pipelinerun-status"
	// JenkinsPipelineRunStagesStatusAnnotation is the list of stages as JSON; the API server adds
	// it to answers from the run's ConfigMap.
	JenkinsPipelineRunStagesStatusAnnotation = devopsPrefix + "jenkins-pipelinerun-stages-status"
	// PipelineRunCreatorAnnotation names the user who started the run.
	PipelineRunCreatorAnnotation = devopsPrefix + "creator"
	// PipelineRunTriggerAnnotation tells what started a run that was not started here: "webhook",
	// "timer", "scm", "upstream", "remote", "replay" or, by a person in Jenkins, "jenkins".
	PipelineRunTriggerAnnotation = devopsPrefix + "trigger"
	// KeepJenkinsRecordAnnotation set to "true" keeps the Jenkins build when the run is deleted.
	KeepJenkinsRecordAnnotation = devopsPrefix + "keep-jenkins-record"
	// AgentPodNameAnnotation names the pod that the run's steps ran in.
	AgentPodNameAnnotation = devopsPrefix + "agent-pod-name"
	// AgentNodeNameAnnotation names the node of that pod.
	AgentNodeNameAnnotation = devopsPrefix + "agent-node-name"

	slipwayPrefix = "slipway.dev/"
	// JenkinsEventAnnotation is the newest event of Jenkins about the run, as JSON. It wakes the
	// controller; what is final is read from Jenkins all the same.
	JenkinsEventAnnotation = slipwayPrefix + "jenkins-event"
	// StartIntentAnnotation is the time, RFC 3339, at which the controller was about to start the
	// build: after a crash it looks for the build before it starts one again.
	StartIntentAnnotation = slipwayPrefix + "start-intent"
	// ReplayedBuildAnnotation is the number of the build that the run replays.
	ReplayedBuildAnnotation = slipwayPrefix + "replayed-build"
	// StartsBeforeAnnotation is on a run whose start carries no note in Jenkins: the queue items, with
	// commas between, of the starts that there were before. None of them is the run's own.
	StartsBeforeAnnotation = slipwayPrefix + "starts-before"
	// ResumeAnnotation is the JSON list of the inputs that are to be answered with their defaults.
	ResumeAnnotation = slipwayPrefix + "resume"
	// GivenUpAnnotation is on a run whose build is being stopped because it could not begin in time:
	// the reason, as JSON, that the run is to end with.
	GivenUpAnnotation = slipwayPrefix + "given-up"
	// QueueItemAnnotation is the number of the Jenkins queue item of the run.
	QueueItemAnnotation = slipwayPrefix + "queue-item"
	// ArchivedAnnotation is the time, RFC 3339, at which log and artifacts were stored.
	ArchivedAnnotation = slipwayPrefix + "archived"
	// AgentImageAnnotation is the image, by digest, that the run's steps ran in.
	AgentImageAnnotation = slipwayPrefix + "agent-image"
	// ProjectPodLabel and DevContainerPodLabel on an agent pod name the project and the dev
	// container that it is made for.
	ProjectPodLabel = slipwayPrefix + "project"
	// DevContainerPodLabel names the dev container of an agent pod.
	DevContainerPodLabel = slipwayPrefix + "devcontainer"
	// StageConfigMapKey is the key of the stages in the run's ConfigMap.
	StageConfigMapKey = "stage"
)

// RunPhase is where a run is in its life.
type RunPhase string

// The phases of a run.
const (
	// Pending: not started, queued, or paused at an input.
	Pending RunPhase = "Pending"
	// Running: Jenkins runs it.
	Running RunPhase = "Running"
	// Succeeded: ended without failure.
	Succeeded RunPhase = "Succeeded"
	// Failed: ended with a failure.
	Failed RunPhase = "Failed"
	// Unknown: Jenkins does not say how it ended.
	Unknown RunPhase = "Unknown"
	// Cancelled: stopped by a user before it ended.
	Cancelled RunPhase = "Cancelled"
)

// Ended tells if a run in this phase changes no more.
func (p RunPhase) Ended() bool {
	return p == Succeeded || p == Failed || p == Cancelled
}

// RunAction is what a user wants done with a run that is under way.
// +kubebuilder:validation:Enum=Stop;Pause;Resume
type RunAction string

// The actions.
const (
	// Stop ends the build.
	Stop RunAction = "Stop"
	// Pause holds a run that has not been started. Jenkins cannot hold a build that runs: it waits only
	// at an input step.
	Pause RunAction = "Pause"
	// Resume lets a held run start, and answers the inputs that a build waits at with their defaults,
	// except those that name who may answer.
	Resume RunAction = "Resume"
)

// RefType is the kind of what a run of a multi-branch pipeline builds.
// +kubebuilder:validation:Enum=branch;tag;pr;mr
type RefType string

// The kinds of references.
const (
	// Branch is a branch.
	Branch RefType = "branch"
	// Tag is a tag.
	Tag RefType = "tag"
	// PullRequest is a pull request.
	PullRequest RefType = "pr"
	// MergeRequest is a merge request.
	MergeRequest RefType = "mr"
)

// PipelineRun is one run of a pipeline: exactly one Jenkins build.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pipelineruns,shortName=pr,categories=slipway
// +kubebuilder:printcolumn:name="Pipeline",type=string,JSONPath=`.spec.pipelineRef.name`
// +kubebuilder:printcolumn:name="Build",type=string,JSONPath=`.metadata.annotations.devops\.kubesphere\.io/jenkins-pipelinerun-id`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Started",type=date,JSONPath=`.status.startTime`
// +kubebuilder:printcolumn:name="Ended",type=date,JSONPath=`.status.completionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PipelineRun struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +optional
	Spec PipelineRunSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status PipelineRunStatus `json:"status,omitempty"`
}

// PipelineRunSpec is what a run is to do.
type PipelineRunSpec struct {
	// pipelineRef names the pipeline, in the run's own namespace.
	// +optional
	PipelineRef *corev1.ObjectReference `json:"pipelineRef,omitempty"`
	// pipelineSpec is a copy of the pipeline's spec when the run was made.
	// +optional
	PipelineSpec *PipelineSpec `json:"pipelineSpec,omitempty"`
	// parameters are the values of the run.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Parameters []Parameter `json:"parameters,omitempty"`
	// scm says what a run of a multi-branch pipeline builds.
	// +optional
	SCM *SCM `json:"scm,omitempty"`
	// action is what is to be done with the run while it is under way: Stop, Pause or Resume.
	// +optional
	Action *RunAction `json:"action,omitempty"`
	// replayOf is the name of a run of the same pipeline whose build is run once more, with the
	// Jenkinsfile and the parameters that it had. parameters has no effect then.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ReplayOf string `json:"replayOf,omitempty"`
}

// Parameter is one value of a run.
type Parameter struct {
	// name is the parameter's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// value is its value as text. That of a password is replaced by asterisks once the run is started,
	// and sealed by Slipway before.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	Value string `json:"value"`
}

// SCM says what a run of a multi-branch pipeline builds.
type SCM struct {
	// refType is branch, tag, pr or mr.
	// +optional
	RefType RefType `json:"refType,omitempty"`
	// refName is the name of the branch job in Jenkins, for example feature%2Fx.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RefName string `json:"refName,omitempty"`
}

// ConditionType is the type of a run's condition.
type ConditionType string

// The condition types of a run.
const (
	// ConditionRunReady is true once the build was started in Jenkins.
	ConditionRunReady ConditionType = "Ready"
	// ConditionSucceeded is true or false when the run has ended and unknown before; its reason
	// and message say what it waits for or why it failed.
	ConditionSucceeded ConditionType = "Succeeded"
	// ConditionAgentReady is false while the run cannot get its agent; reason and message say why, and
	// what to do. It is true once an agent was found, and absent before either is known.
	ConditionAgentReady ConditionType = "AgentReady"
)

// Reasons of a run's conditions.
const (
	// ReasonStarted: Jenkins has the build.
	ReasonStarted = "Started"
	// ReasonWaitingForPipeline: the pipeline is not in Jenkins yet.
	ReasonWaitingForPipeline = "WaitingForPipeline"
	// ReasonStarting: the build is being started.
	ReasonStarting = "Starting"
	// ReasonQueued: the build waits in Jenkins' queue; the message is Jenkins' reason.
	ReasonQueued = "Queued"
	// ReasonRunning: the build runs.
	ReasonRunning = "Running"
	// ReasonPaused: the build waits for an input.
	ReasonPaused = "Paused"
	// ReasonWaitingForAgent: the build waits for its agent pod; the message says why.
	ReasonWaitingForAgent = "WaitingForAgent"
	// ReasonAgentFound: the run has its agent pod.
	ReasonAgentFound = "AgentFound"
	// ReasonAgentLost: the agent pod went away while the build used it.
	ReasonAgentLost = "AgentLost"
	// ReasonSuccess, ReasonUnstable, ReasonFailure, ReasonAborted and ReasonNotBuilt are Jenkins'
	// results.
	ReasonSuccess = "Success"
	// ReasonUnstable: the build ended with test failures or warnings.
	ReasonUnstable = "Unstable"
	// ReasonFailure: the build failed.
	ReasonFailure = "Failure"
	// ReasonAborted: the build was stopped.
	ReasonAborted = "Aborted"
	// ReasonNotBuilt: the build ended before it did anything.
	ReasonNotBuilt = "NotBuilt"
	// ReasonInterrupted: the engine was restarted while the build ran.
	ReasonInterrupted = "Interrupted"
	// ReasonBuildLost: Jenkins no longer has the build.
	ReasonBuildLost = "BuildLost"
	// ReasonCancelledInQueue: the queue item was cancelled before it became a build.
	ReasonCancelledInQueue = "CancelledInQueue"
	// ReasonReplayMissing: the build that the run is to replay does not exist.
	ReasonReplayMissing = "ReplayMissing"
	// ReasonPipelineMissing: the run names a pipeline that does not exist.
	ReasonPipelineMissing = "PipelineMissing"
	// ReasonInvalidParameters: the run gives parameters that the pipeline does not define.
	ReasonInvalidParameters = "InvalidParameters"
	// ReasonStopped: the run was stopped before it was started.
	ReasonStopped = "Stopped"
)

// Condition is one observation about a run, in KubeSphere's form.
type Condition struct {
	// type is Ready or Succeeded.
	// +required
	Type ConditionType `json:"type"`
	// status is True, False or Unknown.
	// +required
	Status metav1.ConditionStatus `json:"status"`
	// lastProbeTime is when it was last looked at.
	// +optional
	LastProbeTime metav1.Time `json:"lastProbeTime,omitempty"`
	// lastTransitionTime is when the status last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
	// reason is a word for programs.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is a sentence for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// PipelineRunStatus is the observed state of a run.
type PipelineRunStatus struct {
	// startTime is when Jenkins started the build.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when the build ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// updateTime is when the status last changed.
	// +optional
	UpdateTime *metav1.Time `json:"updateTime,omitempty"`
	// phase is Pending, Running, Succeeded, Failed, Unknown or Cancelled.
	// +optional
	Phase RunPhase `json:"phase,omitempty"`
	// conditions are Ready (started in Jenkins) and Succeeded (how it ended).
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
}

// PipelineRunList is a list of PipelineRuns.
//
// +kubebuilder:object:root=true
type PipelineRunList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the PipelineRuns.
	Items []PipelineRun `json:"items"`
}
