// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to Template and ClusterTemplate.
const (
	// TemplateKind is the kind of a project's template.
	TemplateKind = "Template"
	// TemplateResource is the plural name in URLs and RBAC rules.
	TemplateResource = "templates"
	// ClusterTemplateKind is the kind of a template for all projects.
	ClusterTemplateKind = "ClusterTemplate"
	// ClusterTemplateResource is the plural name in URLs and RBAC rules.
	ClusterTemplateResource = "clustertemplates"

	// RenderResultAnnotation is the Jenkinsfile that was made of a template, on the object in the answer
	// to a request to render it. It is never stored.
	RenderResultAnnotation = devopsPrefix + "render-result"
	// IconAnnotation names the picture that a console shows for a template.
	IconAnnotation = devopsPrefix + "icon"
	// DisplayNameENAnnotation and DisplayNameZHAnnotation are what a console calls a template.
	DisplayNameENAnnotation = devopsPrefix + "displayNameEN"
	// DisplayNameZHAnnotation is the Chinese name.
	DisplayNameZHAnnotation = devopsPrefix + "displayNameZH"
	// DescriptionENAnnotation and DescriptionZHAnnotation say in a sentence what a template is for.
	DescriptionENAnnotation = devopsPrefix + "descriptionEN"
	// DescriptionZHAnnotation is the Chinese sentence.
	DescriptionZHAnnotation = devopsPrefix + "descriptionZH"
)

// TemplateSpec is a Jenkinsfile with gaps.
type TemplateSpec struct {
	// parameters fill the gaps.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Parameters []TemplateParameter `json:"parameters,omitempty"`
	// template is the text, with actions of Go's text/template between "$(" and ")". The parameters are
	// .params.NAME; the function quote makes a Groovy string of a value.
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	Template string `json:"template,omitempty"`
}

// TemplateParameter is one parameter of a template.
type TemplateParameter struct {
	// name is the parameter's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// description says what it is for.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Description string `json:"description,omitempty"`
	// required says that there must be a value.
	// +optional
	Required bool `json:"required,omitempty"`
	// default is the value where none is given, in JSON.
	// +optional
	Default *apiextensionsv1.JSON `json:"default,omitempty"`
	// type is string, text, code, enum, number, int, bool or string-array. Values of other types are taken
	// as they are. Default: any value.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Type string `json:"type,omitempty"`
	// validation is a further condition on the value.
	// +optional
	Validation *ParameterValidation `json:"validation,omitempty"`
}

// ParameterValidation is a condition on a value.
type ParameterValidation struct {
	// expression is a regular expression (RE2) that has to match somewhere in the value, or in each value
	// of a list; ^ and $ tie it to the ends.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Expression string `json:"expression"`
	// message is shown if it does not match.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Message string `json:"message"`
}

// TemplateStatus is the observed state of a template. There is none.
type TemplateStatus struct{}

// Template is a Jenkinsfile with gaps, for one project.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=templates,categories=slipway
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Template struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is the template.
	// +optional
	Spec TemplateSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status TemplateStatus `json:"status,omitempty"`
}

// TemplateList is a list of Templates.
//
// +kubebuilder:object:root=true
type TemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Templates.
	Items []Template `json:"items"`
}

// ClusterTemplate is a Jenkinsfile with gaps, for all projects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clustertemplates,scope=Cluster,categories=slipway
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is the template.
	// +optional
	Spec TemplateSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status TemplateStatus `json:"status,omitempty"`
}

// ClusterTemplateList is a list of ClusterTemplates.
//
// +kubebuilder:object:root=true
type ClusterTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the ClusterTemplates.
	Items []ClusterTemplate `json:"items"`
}
