// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind and resource names.
const (
	// Kind is the kind of a dev container.
	Kind = "DevcontainerApp"
	// ResourceName is the plural name in URLs and RBAC rules.
	ResourceName = "devcontainerapps"
)

// Finalizer is kept on a DevcontainerApp until what it made outside of its own namespace (the agent
// template in Jenkins) is gone.
const Finalizer = "devcontainer.devstar.cn/finalizer"

// Labels and annotations.
const (
	// RepoIDLabel carries the numeric id of the repository, on GitRepository and DevcontainerApp.
	RepoIDLabel = "devcontainer.devstar.cn/repo-id"
	// OwnerLabel carries a hash of the user's name: the label's value is at most 63 characters
	// while a user's name may be longer and hold other letters.
	OwnerLabel = "devcontainer.devstar.cn/owner"
	// OwnerAnnotation carries the name of the user whose dev container it is.
	OwnerAnnotation = "devcontainer.devstar.cn/owner-name"
	// RepoAnnotation carries namespace/name of the GitRepository that it was made for.
	RepoAnnotation = "devcontainer.devstar.cn/git-repository"
	// ImageAnnotation on a GitRepository names the image of the dev containers made for it.
	ImageAnnotation = "devcontainer.devstar.cn/image"
	// AppLabel is on every object made for a DevcontainerApp; its value is the app's name, or a
	// shortened name with a hash where the name is longer than a label's value may be.
	AppLabel = "devcontainer.devstar.cn/app"
)

// The NodePorts within which a dev container counts as reachable.
const (
	// NodePortMin is the lowest port that Kubernetes gives by default.
	NodePortMin int32 = 30000
	// NodePortMax is the highest.
	NodePortMax int32 = 32767
)

// RunState says whether a dev container's pod should exist.
// +kubebuilder:validation:Enum=Running;Stopped
type RunState string

// The run states.
const (
	// Running keeps the pod up.
	Running RunState = "Running"
	// Stopped scales the pod to zero; files, keys and port stay.
	Stopped RunState = "Stopped"
)

// Condition types of a DevcontainerApp. All but Stalled are true in the good case.
const (
	// ConditionReady is true when a client can connect. It sums up the others: its reason and
	// message are those of the first wait that is left.
	ConditionReady = "Ready"
	// ConditionRepositoryCloned is true when the repository is in the work directory; absent if
	// the spec names none.
	ConditionRepositoryCloned = "RepositoryCloned"
	// ConditionStoragePersistent is true when files outlive the pod.
	ConditionStoragePersistent = "StoragePersistent"
	// ConditionAgentTemplateSynced is true when pipelines can use the image by the agent label.
	ConditionAgentTemplateSynced = "AgentTemplateSynced"
)

// Reasons of the conditions.
const (
	// ReasonReady: a client can connect.
	ReasonReady = "Ready"
	// ReasonStopped: spec.runState is Stopped.
	ReasonStopped = "Stopped"
	// ReasonPodPending: the pod is not made yet.
	ReasonPodPending = "PodPending"
	// ReasonPullingImage: the node is fetching the image.
	ReasonPullingImage = "PullingImage"
	// ReasonImagePullFailed: the image cannot be fetched; the message is the node's.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonInvalidImage: the image's name is not valid.
	ReasonInvalidImage = "InvalidImage"
	// ReasonUnschedulable: no node has room or fits; the message is the scheduler's.
	ReasonUnschedulable = "Unschedulable"
	// ReasonQuotaExceeded: the namespace's quota does not allow the pod or volume.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodRefused: the cluster's admission refused the pod.
	ReasonPodRefused = "PodRefused"
	// ReasonVolumePending: the volume is not there yet.
	ReasonVolumePending = "VolumePending"
	// ReasonCloning: the repository is being cloned.
	ReasonCloning = "Cloning"
	// ReasonCloneFailed: the repository cannot be cloned; the message says why.
	ReasonCloneFailed = "CloneFailed"
	// ReasonCloned: the repository is in the work directory.
	ReasonCloned = "Cloned"
	// ReasonStarting: containers are being made.
	ReasonStarting = "Starting"
	// ReasonCrashing: the container ends again and again; the message has its last words.
	ReasonCrashing = "Crashing"
	// ReasonProbeFailing: the container runs but nothing answers on its port.
	ReasonProbeFailing = "ProbeFailing"
	// ReasonPortPending: the Service has no NodePort in the range yet.
	ReasonPortPending = "PortPending"
	// ReasonInvalidKeys: an SSH key of the spec is not valid.
	ReasonInvalidKeys = "InvalidKeys"
	// ReasonPersistent: files are on a PersistentVolumeClaim.
	ReasonPersistent = "PersistentVolumeClaim"
	// ReasonEphemeral: there is no StorageClass to make a volume from; files end with the pod.
	ReasonEphemeral = "NoStorageClass"
	// ReasonSynced: the agent template is in Jenkins.
	ReasonSynced = "Synced"
	// ReasonJenkinsUnavailable: Jenkins did not take the agent template; it is tried again.
	ReasonJenkinsUnavailable = "JenkinsUnavailable"
	// ReasonWaitingForImage: the image's digest is known once the pod has run.
	ReasonWaitingForImage = "WaitingForImage"
	// ReasonFailed: an error that the message names; it is tried again.
	ReasonFailed = "Failed"
)

// DevcontainerApp is a development container: a pod with SSH access on a NodePort, stable host keys
// and files that outlive the pod.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=devcontainerapps,shortName=dca,categories=slipway
// +kubebuilder:printcolumn:name="Ready",type=boolean,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.status.nodePortAssigned`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.statefulset.image`
// +kubebuilder:printcolumn:name="Label",type=string,JSONPath=`.status.agentLabel`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DevcontainerApp struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +required
	Spec DevcontainerAppSpec `json:"spec"`
	// status is what was last observed.
	// +optional
	Status DevcontainerAppStatus `json:"status,omitempty"`
}

// DevcontainerAppSpec is the wanted state of a dev container.
type DevcontainerAppSpec struct {
	// statefulset describes the container.
	// +required
	StatefulSet StatefulSetSpec `json:"statefulset"`
	// runState is Running (the default) or Stopped. Stopped removes the pod and keeps files, keys
	// and port.
	// +kubebuilder:default=Running
	// +optional
	RunState RunState `json:"runState,omitempty"`
	// storage describes the volume under the work directory. Without it a volume of the
	// controller's default size is made.
	// +optional
	Storage *StorageSpec `json:"storage,omitempty"`
	// resources are the container's CPU and memory requests and limits; none if unset.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
}

// StatefulSetSpec describes the container of a dev container.
type StatefulSetSpec struct {
	// image is the container image, for example ghcr.io/acme/dev:1.4 or a digest reference.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$') && !self.contains('//') && !self.endsWith(':') && !self.endsWith('/')",message="image must be an image reference such as registry.example.com/team/dev:1.0, without spaces or a scheme"
	// +required
	Image string `json:"image"`
	// gitRepositoryURL is the repository that is cloned into the work directory at the first
	// start; http, https, ssh or git. Nothing is cloned if it is empty.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^(https?|ssh|git)://[^[:space:]]+$') || self.matches('^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^[:space:]]+$')",message="gitRepositoryURL must be an http, https, ssh or git URL, or user@host:path"
	// +optional
	GitRepositoryURL string `json:"gitRepositoryURL,omitempty"`
	// command is run as the container's main process under a small init that reaps zombies. If it
	// is empty the image's SSH server is started, or a built-in one where the image has none.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=32768
	// +listType=atomic
	// +optional
	Command []string `json:"command,omitempty"`
	// containerPort is the port on which the container's SSH server listens. Default 22.
	// +kubebuilder:default=22
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	ContainerPort int32 `json:"containerPort,omitempty"`
	// sshPublicKeyList are the SSH public keys, one line each in the form of authorized_keys
	// ("ssh-ed25519 AAAA… comment"), that may log in. Keys can be added and removed while the
	// container runs.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=16384
	// +listType=atomic
	// +optional
	SSHPublicKeyList []string `json:"sshPublicKeyList,omitempty"`
	// env are environment variables of the container.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	// name is the variable's name.
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	// +kubebuilder:validation:MaxLength=256
	// +required
	Name string `json:"name"`
	// value is its value, taken as it is.
	// +kubebuilder:validation:MaxLength=32768
	// +optional
	Value string `json:"value,omitempty"`
}

// StorageSpec describes a dev container's volume.
type StorageSpec struct {
	// size of the volume, for example 20Gi. Default 10Gi.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName is the StorageClass; the cluster's default if unset.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// DevcontainerAppStatus is the observed state of a dev container.
type DevcontainerAppStatus struct {
	// conditions say what works and what is waited for; the type Ready sums them up.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// nodePortAssigned is the port on every node that leads to the container's SSH server; 0 until
	// it is known.
	// +optional
	NodePortAssigned int32 `json:"nodePortAssigned,omitempty"`
	// ready is true when nodePortAssigned is in [30000,32767] and the pod's readiness probe passes.
	// +optional
	Ready bool `json:"ready"`
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// imageID is the image that the pod runs, by digest, once it has started.
	// +optional
	ImageID string `json:"imageID,omitempty"`
	// agentLabel is the label by which a Jenkinsfile asks for an agent made from this container's
	// image: agent { label '…' }.
	// +optional
	AgentLabel string `json:"agentLabel,omitempty"`
	// hostKeyFingerprints are the SHA256 fingerprints of the SSH host keys, so that a client can
	// check the first connection.
	// +listType=atomic
	// +optional
	HostKeyFingerprints []string `json:"hostKeyFingerprints,omitempty"`
	// podName is the pod's name while there is one.
	// +optional
	PodName string `json:"podName,omitempty"`
	// nodeIP is the address of the node that the pod runs on.
	// +optional
	NodeIP string `json:"nodeIP,omitempty"`
}

// DevcontainerAppList is a list of DevcontainerApps.
//
// +kubebuilder:object:root=true
type DevcontainerAppList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the DevcontainerApps.
	Items []DevcontainerApp `json:"items"`
}
