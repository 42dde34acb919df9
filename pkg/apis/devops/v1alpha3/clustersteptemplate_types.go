// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to ClusterStepTemplate.
const (
	// ClusterStepTemplateKind is the kind of a step of the graphical editor.
	ClusterStepTemplateKind = "ClusterStepTemplate"
	// ClusterStepTemplateResource is the plural name in URLs and RBAC rules.
	ClusterStepTemplateResource = "clustersteptemplates"

	stepPrefix = "step.devops.kubesphere.io/"
	// StepCategoryLabel is the group under which the editor shows a step; consoles read it as a label or
	// as an annotation.
	StepCategoryLabel = stepPrefix + "category"
	// StepIconAnnotation names the picture that the editor shows for a step.
	StepIconAnnotation = stepPrefix + "icon"
)

// StepRuntime says what the text of a step template is.
// +kubebuilder:validation:Enum="";dsl;shell
type StepRuntime string

// The runtimes.
const (
	// StepRuntimeDSL is the step itself: Groovy, or the JSON of Jenkins' converter.
	StepRuntimeDSL StepRuntime = "dsl"
	// StepRuntimeShell is a script for the step sh. It is the default.
	StepRuntimeShell StepRuntime = "shell"
)

// The types of a step's parameters. Consoles know more; values of those are taken as they are.
const (
	// StepParameterString is a line of text.
	StepParameterString = "string"
	// StepParameterText is text of several lines.
	StepParameterText = "text"
	// StepParameterNumber is a number.
	StepParameterNumber = "number"
	// StepParameterCode is a script.
	StepParameterCode = "code"
	// StepParameterBool is true or false.
	StepParameterBool = "bool"
	// StepParameterEnum is one of options.
	StepParameterEnum = "enum"
	// StepParameterSecret names a credential: its name, or an object with name, namespace and type.
	StepParameterSecret = "secret"
	// StepParameterHidden is not shown.
	StepParameterHidden = "hidden"
	// StepParameterImportCodeRepo fills other fields of the form from a GitRepository.
	StepParameterImportCodeRepo = "importCodeRepo"
)

// StepTemplateSpec is a step with gaps.
type StepTemplateSpec struct {
	// secret says what kind of credential the step uses.
	// +optional
	Secret StepSecret `json:"secret,omitempty"`
	// container is the container of the agent's pod to run the step in. Default: the agent's own.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Container string `json:"container,omitempty"`
	// agent is the label of an agent that has what the step needs. It is for the console.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Agent string `json:"agent,omitempty"`
	// runtime says what template is: dsl or shell.
	// +optional
	Runtime StepRuntime `json:"runtime,omitempty"`
	// template is the text, with actions of Go's text/template between "{{" and "}}". The parameters are
	// .param.NAME.
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	Template string `json:"template,omitempty"`
	// parameters fill the gaps.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Parameters []StepParameter `json:"parameters,omitempty"`
}

// StepSecret says what kind of credential a step uses.
type StepSecret struct {
	// type is the type of the Secret. Default: that of the Secret that is given.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Type string `json:"type,omitempty"`
	// wrap puts the step into withCredentials.
	// +optional
	Wrap bool `json:"wrap,omitempty"`
	// mapping names the environment variables, by the argument of the credential's binding:
	// usernameVariable, passwordVariable, variable, keyFileVariable, passphraseVariable. Default: the
	// argument's name in capitals.
	// +optional
	Mapping map[string]string `json:"mapping,omitempty"`
}

// StepParameter is one parameter of a step template.
type StepParameter struct {
	// name is the parameter's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// type says what the value is and how the form asks for it.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Type string `json:"type,omitempty"`
	// required says that there must be a value. A parameter with a condition may be left out all the same.
	// +optional
	Required bool `json:"required,omitempty"`
	// display is the label of the field in the form.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Display string `json:"display,omitempty"`
	// defaultValue is the value where none is given.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	DefaultValue string `json:"defaultValue,omitempty"`
	// options are the values of an enum: a JSON list of texts or of objects with label and value.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	Options string `json:"options,omitempty"`
	// condition is an expression of the console that says when the form asks for the value.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Condition string `json:"condition,omitempty"`
	// reactions are for the console: what it sets in other fields.
	// +optional
	Reactions *apiextensionsv1.JSON `json:"reactions,omitempty"`
}

// StepTemplateStatus is the observed state of a step template.
type StepTemplateStatus struct {
	// phase is for older consoles; nothing sets it.
	// +optional
	Phase string `json:"phase,omitempty"`
}

// ClusterStepTemplate is a step that the graphical editor offers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clustersteptemplates,scope=Cluster,categories=slipway
// +kubebuilder:printcolumn:name="Runtime",type=string,JSONPath=`.spec.runtime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterStepTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is the template.
	// +optional
	Spec StepTemplateSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status StepTemplateStatus `json:"status,omitempty"`
}

// ClusterStepTemplateList is a list of ClusterStepTemplates.
//
// +kubebuilder:object:root=true
type ClusterStepTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the ClusterStepTemplates.
	Items []ClusterStepTemplate `json:"items"`
}
