// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

// KeyPair is the answer to a request for a temporary key pair.
type KeyPair struct {
	// KeySize is the key's length in bits, as text.
	KeySize string `json:"KeySize"`
	// PrivateKeyPem is the private key in PKCS#1 PEM form, for the client's ~/.ssh/id_rsa.
	PrivateKeyPem string `json:"privateKeyPem"`
	// PublicKeyFingerprint is, in spite of its name, the public key as a line of authorized_keys.
	PublicKeyFingerprint string `json:"publicKeyFingerprint"`
	// PublicKeyPem is the public key in PKIX PEM form.
	PublicKeyPem string `json:"publicKeyPem"`
}

// CreateRequest is the body of a create call.
type CreateRequest struct {
	// RepoID is the number of the repository, as text.
	RepoID string `json:"repoId"`
	// SSHPublicKeyList are keys that may log in, one line of authorized_keys each.
	SSHPublicKeyList []string `json:"sshPublicKeyList"`
}

// DevContainer is one dev container as DevStar's clients know it.
type DevContainer struct {
	// ID is a number that stays the same for the life of the dev container.
	ID int64 `json:"devContainerId"`
	// Name is the name of the DevcontainerApp.
	Name string `json:"devContainerName"`
	// Host is the address or DNS name that ssh connects to.
	Host string `json:"devContainerHost"`
	// Port is the port that ssh connects to; absent in lists.
	Port int32 `json:"devContainerPort,omitempty"`
	// Username is the login name.
	Username string `json:"devContainerUsername"`
	// WorkDir is the folder of the clone.
	WorkDir string `json:"devContainerWorkDir"`
	// RepoID is the number of the repository.
	RepoID int64 `json:"repoId"`
	// RepoName is the repository's name.
	RepoName string `json:"repoName"`
	// RepoOwnerName is the user or organization that the repository belongs to.
	RepoOwnerName string `json:"repo_owner_name"`
	// RepoLink is the repository's path, /owner/name.
	RepoLink string `json:"repo_link"`
	// RepoDescription says what the repository is.
	RepoDescription string `json:"repoDescription,omitempty"`
}

// UserDevContainers is one page of a user's dev containers.
type UserDevContainers struct {
	// UserID is a number that stays the same for a user's name.
	UserID int64 `json:"userId"`
	// Username is the user's name.
	Username string `json:"username"`
	// DevContainers are those of the page, newest first.
	DevContainers []DevContainer `json:"devContainers"`
	// Page counts from 1.
	Page int `json:"page"`
	// PageSize is how many a page holds.
	PageSize int `json:"pageSize"`
	// PageTotalNum is how many pages there are.
	PageTotalNum int `json:"pageTotalNum"`
	// ItemTotalNum is how many dev containers there are.
	ItemTotalNum int `json:"itemTotalNum"`
}
