// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import corev1 "k8s.io/api/core/v1"

const credentialPrefix = "credential.devops.kubesphere.io/"

// Types of the Secrets that are credentials of a project. The name of the Secret is the id by which a Jenkinsfile names the credential.
const (
	// SecretTypeBasicAuth has the keys username and password.
	SecretTypeBasicAuth corev1.SecretType = credentialPrefix + "basic-auth"
	// SecretTypeSSHAuth has the keys username, private_key and, if the key is encrypted, passphrase.
	SecretTypeSSHAuth corev1.SecretType = credentialPrefix + "ssh-auth"
	// SecretTypeSecretText has the key secret.
	SecretTypeSecretText corev1.SecretType = credentialPrefix + "secret-text"
	// SecretTypeKubeconfig has the key content.
	SecretTypeKubeconfig corev1.SecretType = credentialPrefix + "kubeconfig"
)

// Keys of the Secrets.
const (
	CredentialUsernameKey   = "username"
	CredentialPasswordKey   = "password"
	CredentialPassphraseKey = "passphrase"
	CredentialPrivateKeyKey = "private_key"
	CredentialSecretKey     = "secret"
	CredentialContentKey    = "content"
)

// CredentialSecretTypes gives the types of all credentials.
func CredentialSecretTypes() []corev1.SecretType {
	return []corev1.SecretType{SecretTypeBasicAuth, SecretTypeSSHAuth, SecretTypeSecretText, SecretTypeKubeconfig}
}

// IsCredentialType tells if a Secret of the type is a credential.
func IsCredentialType(t corev1.SecretType) bool {
	switch t {
	case SecretTypeBasicAuth, SecretTypeSSHAuth, SecretTypeSecretText, SecretTypeKubeconfig:
		return true
	}
	return false
}

// CredentialFinalizer keeps a credential until Jenkins has forgotten it.
const CredentialFinalizer = "finalizers.kubesphere.io/credential"

// Annotations of credentials.
const (
	// CredentialDataHashAnnotation tells the content that Jenkins has from others. It is a keyed hash: nobody without the key of the
	// server can find the content by trying.
	CredentialDataHashAnnotation = credentialPrefix + "datahash"
	// CredentialAutoSyncAnnotation, "true", says that the Secret is what counts, so that an entry of its id in Jenkins may be replaced,
	// whoever made it. Slipway sets it with the first success.
	CredentialAutoSyncAnnotation = credentialPrefix + "autosync"
	// CredentialSyncStatusAnnotation is pending, successful or failed: is the content in Jenkins?
	CredentialSyncStatusAnnotation = credentialPrefix + "syncstatus"
	// CredentialSyncTimeAnnotation is the time of the last change of syncstatus, RFC 3339.
	CredentialSyncTimeAnnotation = credentialPrefix + "synctime"
	// CredentialSyncMsgAnnotation says why syncstatus is failed, and what to do.
	CredentialSyncMsgAnnotation = credentialPrefix + "syncmsg"
	// CredentialDescriptionAnnotation is the description, KubeSphere's own of all kinds.
	CredentialDescriptionAnnotation = "kubesphere.io/description"
)

// Reasons of events of credentials.
const (
	// ReasonInvalidCredential: the Secret is not what its type says; Jenkins was not sent it.
	ReasonInvalidCredential = "InvalidCredential"
	// ReasonCredentialTaken: Jenkins has an entry of this id that Slipway did not make.
	ReasonCredentialTaken = "CredentialTaken"
	// ReasonKindUnsupported: Jenkins lacks the plugin for this kind.
	ReasonKindUnsupported = "KindUnsupported"
)
