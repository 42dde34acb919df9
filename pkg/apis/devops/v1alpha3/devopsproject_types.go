// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Names that belong to DevOpsProject.
const (
	// DevOpsProjectKind is the kind of a project.
	DevOpsProjectKind = "DevOpsProject"
	// DevOpsProjectResource is the plural name in URLs and RBAC rules.
	DevOpsProjectResource = "devopsprojects"
	// DevOpsProjectFinalizer is kept until the project's Jenkins folder and namespace are gone.
	DevOpsProjectFinalizer = "devopsproject.finalizers.kubesphere.io"
	// DevOpsProjectLabel on a namespace names the project that it belongs to.
	DevOpsProjectLabel = "kubesphere.io/devopsproject"
	// ManagedLabel on a namespace says that a project's controller made it.
	ManagedLabel = "devops.kubesphere.io/managed"
	// WorkspaceLabel names the workspace of a project or namespace.
	WorkspaceLabel = "kubesphere.io/workspace"
	// CreatorAnnotation names the user who created an object.
	CreatorAnnotation = "kubesphere.io/creator"
	// AliasAnnotation is a name for people to read.
	AliasAnnotation = "kubesphere.io/alias-name"
	// ProjectSyncStatusAnnotation and ProjectSyncTimeAnnotation tell how and when the project was
	// last brought to Jenkins.
	ProjectSyncStatusAnnotation = "devopsproject.devops.kubesphere.io/syncstatus"
	// ProjectSyncTimeAnnotation is the time of the last synchronization, RFC 3339.
	ProjectSyncTimeAnnotation = "devopsproject.devops.kubesphere.io/synctime"
	// AdoptFolderAnnotation set to "true" lets a project take over a Jenkins folder of its name that
	// it did not make, with all that is in it.
	AdoptFolderAnnotation = slipwayPrefix + "adopt-folder"
	// ConditionFolderReady is true once the project's Jenkins folder is its own.
	ConditionFolderReady = "FolderReady"
	// ReasonFolderConflict: Jenkins has a folder or job of the project's name that the project did not
	// make.
	ReasonFolderConflict = "FolderConflict"
)

// DevOpsProject is a tenant's project: a namespace and a Jenkins folder of the same name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=devopsprojects,scope=Cluster,categories=slipway
// +kubebuilder:printcolumn:name="Workspace",type=string,JSONPath=`.metadata.labels.kubesphere\.io/workspace`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.status.adminNamespace`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DevOpsProject struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +optional
	Spec DevOpsProjectSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status DevOpsProjectStatus `json:"status,omitempty"`
}

// OwnsFolder tells if the namespace of the project's name is its own, and was given the Jenkins folder of that
// name. Without it nothing may be read or changed in the folder for an object of the namespace: what users write
// into their objects would reach the jobs of others. It stays so while Jenkins is away and while the project is
// being deleted.
func (p *DevOpsProject) OwnsFolder() bool {
	if p.Status.AdminNamespace != p.Name {
		return false
	}
	if c := meta.FindStatusCondition(p.Status.Conditions, ConditionFolderReady); c != nil {
		return c.Status == metav1.ConditionTrue
	}
	// A project of a version without that condition.
	return meta.IsStatusConditionTrue(p.Status.Conditions, ConditionReady)
}

// DevOpsProjectSpec is the wanted state of a project.
type DevOpsProjectSpec struct {
	// argo holds the Argo CD settings that a KubeSphere console may send. Slipway stores them and
	// does nothing with them.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +optional
	Argo *runtime.RawExtension `json:"argo,omitempty"`
}

// DevOpsProjectStatus is the observed state of a project.
type DevOpsProjectStatus struct {
	// adminNamespace is the namespace that holds the project's objects, once it exists.
	// +optional
	AdminNamespace string `json:"adminNamespace,omitempty"`
	// conditions say what works and what is waited for; the type Ready sums them up.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DevOpsProjectList is a list of DevOpsProjects.
//
// +kubebuilder:object:root=true
type DevOpsProjectList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the DevOpsProjects.
	Items []DevOpsProject `json:"items"`
}
