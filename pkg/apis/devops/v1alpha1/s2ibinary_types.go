// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Names that belong to S2iBinary.
const (
	// S2iBinaryKind is the kind of a binary.
	S2iBinaryKind = "S2iBinary"
	// S2iBinaryResource is the plural name in URLs and RBAC rules.
	S2iBinaryResource = "s2ibinaries"
	// S2iBinaryFinalizer keeps a binary until its file is deleted from the object store.
	S2iBinaryFinalizer = "s2ibinary.finalizers.kubesphere.io"
	// S2iBinaryLabel is the label of what belongs to a binary; its value is the binary's name.
	S2iBinaryLabel = "s2ibinary-name.kubesphere.io"
	// S2iBinaryUploadAnnotation names the upload that is under way, or the last one: ID/time, where ID is part of the file's key in
	// the object store and time, RFC 3339, is when it last showed a sign of life.
	S2iBinaryUploadAnnotation = "s2ibinary.slipway.dev/upload"
	// S2iBinaryKeyAnnotation is the key in the object store of the file that the spec describes.
	S2iBinaryKeyAnnotation = "s2ibinary.slipway.dev/key"
)

// S2iBinaryPhase tells if the file of a binary can be used.
// +kubebuilder:validation:Enum="";Uploading;Ready;UploadFailed
type S2iBinaryPhase string

// The phases.
const (
	// S2iBinaryUploading: a file is being sent.
	S2iBinaryUploading S2iBinaryPhase = "Uploading"
	// S2iBinaryReady: the file is there.
	S2iBinaryReady S2iBinaryPhase = "Ready"
	// S2iBinaryUploadFailed: the last upload failed; send the file again.
	S2iBinaryUploadFailed S2iBinaryPhase = "UploadFailed"
)

// S2iBinary is a file that an image is built from, as a jar or war.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=s2ibinaries,shortName=s2ibin,categories=slipway
// +kubebuilder:printcolumn:name="FileName",type=string,JSONPath=`.spec.fileName`
// +kubebuilder:printcolumn:name="MD5",type=string,JSONPath=`.spec.md5`
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.spec.size`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
type S2iBinary struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec describes the file.
	// +optional
	Spec S2iBinarySpec `json:"spec,omitempty"`
	// status tells if it is there.
	// +optional
	Status S2iBinaryStatus `json:"status,omitempty"`
}

// S2iBinarySpec describes the file; the server writes it when a file was sent.
type S2iBinarySpec struct {
	// fileName is the file's name, without folders.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	FileName string `json:"fileName,omitempty"`
	// md5 is the MD5 of the file's content in 32 hexadecimal digits.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	MD5 string `json:"md5,omitempty"`
	// size is the file's size for people to read, as 12.5M.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Size string `json:"size,omitempty"`
	// downloadURL is where the file can be downloaded.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	DownloadURL string `json:"downloadURL,omitempty"`
	// uploadTimeStamp is when the file was sent.
	// +optional
	UploadTimeStamp *metav1.Time `json:"uploadTimeStamp,omitempty"`
}

// S2iBinaryStatus is the observed state of a binary.
type S2iBinaryStatus struct {
	// phase is Uploading, Ready or UploadFailed; empty before the first upload.
	// +optional
	Phase S2iBinaryPhase `json:"phase,omitempty"`
}

// S2iBinaryList is a list of S2iBinaries.
//
// +kubebuilder:object:root=true
type S2iBinaryList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the binaries.
	Items []S2iBinary `json:"items"`
}
