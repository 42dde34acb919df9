// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"fmt"
	"maps"
	"strings"

	"github.com/emicklei/go-restful/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/credentials"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/crud"
)

const typePrefix = "credential.devops.kubesphere.io/"

// isOfType tells if a credential is of a type, with or without the prefix.
func isOfType(s *corev1.Secret, wanted string) bool {
	return strings.TrimPrefix(string(s.Type), typePrefix) == strings.TrimPrefix(wanted, typePrefix)
}

// mask takes the values out of a credential, also out of where kubectl keeps a copy.
func mask(secret *corev1.Secret) {
	for key := range secret.Data {
		secret.Data[key] = []byte{}
	}
	secret.StringData = nil
	delete(secret.Annotations, corev1.LastAppliedConfigAnnotation)
}

// decode reads the Secret of a request and joins its two fields for values.
func decode(req *restful.Request) (*corev1.Secret, error) {
	sent := &corev1.Secret{}
	if err := request.DecodeJSON(req.Request, sent); err != nil {
		return nil, err
	}
	if got := sent.GroupVersionKind(); got.Kind != "" && got.Kind != "Secret" || sent.APIVersion != "" && sent.APIVersion != "v1" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("this address takes a Secret of v1, got %s of %q", got.Kind, sent.APIVersion))
	}
	namespace := req.PathParameter(crud.ParamNamespace)
	if sent.Namespace != "" && sent.Namespace != namespace {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.namespace is %q but the address says %q", sent.Namespace, namespace))
	}
	sent.Namespace = namespace
	if len(sent.StringData) > 0 {
		if sent.Data == nil {
			sent.Data = map[string][]byte{}
		}
		for key, value := range sent.StringData {
			sent.Data[key] = []byte(value)
		}
		sent.StringData = nil
	}
	return sent, nil
}

func invalid(name string, errs ...*field.Error) error {
	return apierrors.NewInvalid(devopsv1alpha3.GroupVersion.WithKind("Credential").GroupKind(), name, errs)
}

// newSecret takes over what a user may say of a new credential.
func newSecret(sent *corev1.Secret) (*corev1.Secret, error) {
	path := field.NewPath("metadata")
	switch {
	case sent.Name == "" && sent.GenerateName == "":
		return nil, invalid("", field.Required(path.Child("name"), "give a name: it is the id by which Jenkinsfiles name the credential"))
	case !devopsv1alpha3.IsCredentialType(sent.Type):
		return nil, invalid(sent.Name, field.NotSupported(field.NewPath("type"), sent.Type, devopsv1alpha3.CredentialSecretTypes()))
	}
	var errs field.ErrorList
	for _, message := range validation.NameIsDNSSubdomain(sent.Name+sent.GenerateName, sent.Name == "") {
		errs = append(errs, field.Invalid(path.Child("name"), sent.Name, message))
	}
	if len(errs) > 0 {
		return nil, invalid(sent.Name, errs...)
	}
	secret := &corev1.Secret{Type: sent.Type, Data: sent.Data, Immutable: sent.Immutable}
	secret.Namespace, secret.Name, secret.GenerateName = sent.Namespace, sent.Name, sent.GenerateName
	secret.Labels = sent.Labels
	secret.Annotations = ownAnnotations(sent.Annotations, nil)
	return secret, nil
}

// ownAnnotations are those that a user sends, with those of the controller as they are stored. What kubectl keeps stays, too: it was not
// shown.
func ownAnnotations(sent, stored map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range sent {
		if !keptAnnotation(key) {
			out[key] = value
		}
	}
	for key, value := range stored {
		if keptAnnotation(key) {
			out[key] = value
		}
	}
	return out
}

func keptAnnotation(key string) bool {
	switch key {
	case corev1.LastAppliedConfigAnnotation, devopsv1alpha3.CreatorAnnotation:
		return true
	case devopsv1alpha3.CredentialAutoSyncAnnotation:
		return false
	}
	return strings.HasPrefix(key, typePrefix)
}

// required are the keys without which there is no credential of a type: one that is not sent stays, as an empty one does.
var required = map[corev1.SecretType][]string{
	devopsv1alpha3.SecretTypeBasicAuth:  {devopsv1alpha3.CredentialUsernameKey, devopsv1alpha3.CredentialPasswordKey},
	devopsv1alpha3.SecretTypeSSHAuth:    {devopsv1alpha3.CredentialUsernameKey, devopsv1alpha3.CredentialPrivateKeyKey},
	devopsv1alpha3.SecretTypeSecretText: {devopsv1alpha3.CredentialSecretKey},
	devopsv1alpha3.SecretTypeKubeconfig: {devopsv1alpha3.CredentialContentKey},
}

// merge puts what a user sent into what is stored. A request without any values changes none.
func merge(stored, sent *corev1.Secret) (*corev1.Secret, error) {
	if sent.Type != "" && sent.Type != stored.Type {
		return nil, invalid(stored.Name, field.Forbidden(field.NewPath("type"), fmt.Sprintf("it is %s and cannot be changed; make a new credential", stored.Type)))
	}
	out := stored.DeepCopy()
	out.Labels, out.Annotations = sent.Labels, ownAnnotations(sent.Annotations, stored.Annotations)
	if sent.Immutable != nil {
		out.Immutable = sent.Immutable
	}
	if len(sent.Data) == 0 {
		return out, nil
	}
	out.Data = maps.Clone(sent.Data)
	for key, value := range stored.Data {
		if now, there := sent.Data[key]; there && len(now) == 0 {
			out.Data[key] = value
		}
	}
	for _, key := range required[stored.Type] {
		if value, there := stored.Data[key]; there && len(out.Data[key]) == 0 {
			out.Data[key] = value
		}
	}
	return out, nil
}

// check refuses what builds could not work with. The message has no part of a value.
func check(secret *corev1.Secret) error {
	if err := credentials.Check(secret); err != nil {
		return invalid(secret.Name, &field.Error{Type: field.ErrorTypeInvalid, Field: "data", BadValue: field.OmitValueType{}, Detail: err.Error()})
	}
	return nil
}

// Usage is what Jenkins knows of a credential, in the form of KubeSphere's API.
type Usage struct {
	// ID is the name of the credential.
	ID string `json:"id"`
	// Type is basic-auth, ssh-auth, secret-text or kubeconfig.
	Type string `json:"type"`
	// DisplayName is the name that Jenkins shows; empty as long as Jenkins does not have the credential.
	DisplayName string `json:"display_name,omitempty"`
	// Description is the user's.
	Description string `json:"description,omitempty"`
	// Domain is Jenkins' domain, always _.
	Domain string `json:"domain,omitempty"`
	// Fingerprint is missing until a build has used the credential.
	Fingerprint *Fingerprint `json:"fingerprint,omitempty"`
}

// Fingerprint lists the jobs whose builds used a credential.
type Fingerprint struct {
	Usage []JobUsage `json:"usage"`
}

// JobUsage is a job whose builds used a credential.
type JobUsage struct {
	// Name is the full name of the job: the project, the pipeline and, of a multi-branch pipeline, the branch.
	Name   string    `json:"name"`
	Ranges RangeList `json:"ranges"`
}

// RangeList holds ranges of build numbers.
type RangeList struct {
	Ranges []Range `json:"ranges"`
}

// Range are the builds from Start on, without End.
type Range struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// usageOf writes what Jenkins knows; info is nil if that is nothing.
func usageOf(secret *corev1.Secret, info *jenkins.CredentialInfo) Usage {
	out := Usage{ID: secret.Name, Type: strings.TrimPrefix(string(secret.Type), typePrefix), Domain: "_",
		Description: secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation]}
	if info == nil {
		return out
	}
	out.DisplayName = info.DisplayName
	if len(info.Usage) == 0 {
		return out
	}
	out.Fingerprint = &Fingerprint{Usage: make([]JobUsage, 0, len(info.Usage))}
	for _, u := range info.Usage {
		job := JobUsage{Name: u.Job, Ranges: RangeList{Ranges: make([]Range, 0, len(u.Builds))}}
		for _, b := range u.Builds {
			job.Ranges.Ranges = append(job.Ranges.Ranges, Range{Start: b[0], End: b[1]})
		}
		out.Fingerprint.Usage = append(out.Fingerprint.Usage, job)
	}
	return out
}
