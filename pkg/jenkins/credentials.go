// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Credential is an entry of the credential store of a folder. It is one of [UsernamePassword], [SSHKey], [SecretText] and [Kubeconfig].
type Credential interface {
	// fields returns the class of the entry, what its form holds besides the common fields, and the values that are secret.
	fields() (class string, form map[string]any, secrets []string)
}

// UsernamePassword is a user name with a password or a token.
type UsernamePassword struct{ Username, Password string }

// SSHKey is a private key, with the user name it is for. Passphrase may be empty.
type SSHKey struct{ Username, PrivateKey, Passphrase string }

// SecretText is one secret value.
type SecretText struct{ Secret string }

// Kubeconfig is the content of a kubeconfig file. It needs the kubernetes-cd plugin or another one with its class; without it
// Jenkins answers 500, which is ErrInternal.
type Kubeconfig struct{ Content string }

// Java classes of the entries and of their parts.
const (
	classUsernamePassword = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"
	classSSHKey           = "com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey"
	classSecretText       = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
	classKubeconfig       = "com.microsoft.jenkins.kubernetes.credentials.KubeconfigCredentials"
)

func (c UsernamePassword) fields() (string, map[string]any, []string) {
	return classUsernamePassword, map[string]any{"username": c.Username, "password": c.Password}, []string{c.Password}
}

func (c SSHKey) fields() (string, map[string]any, []string) {
	return classSSHKey, map[string]any{
		"username": c.Username, "passphrase": c.Passphrase,
		"privateKeySource": map[string]any{"stapler-class": classSSHKey + "$DirectEntryPrivateKeySource", "privateKey": c.PrivateKey},
	}, []string{c.PrivateKey, c.Passphrase}
}

func (c SecretText) fields() (string, map[string]any, []string) {
	return classSecretText, map[string]any{"secret": c.Secret}, []string{c.Secret}
}

func (c Kubeconfig) fields() (string, map[string]any, []string) {
	return classKubeconfig, map[string]any{
		"kubeconfigSource": map[string]any{"stapler-class": classKubeconfig + "$DirectEntryKubeconfigSource", "content": c.Content},
	}, []string{c.Content}
}

// CredentialEntry names an entry and says what it holds.
type CredentialEntry struct {
	// ID is the name by which Jenkinsfiles refer to the entry. It cannot be changed later.
	ID string
	// Description is the text that Jenkins shows.
	Description string
	// Credential is the content. Jenkins never gives it back.
	Credential Credential
}

// CredentialInfo is what Jenkins tells about an entry.
type CredentialInfo struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	// DisplayName is made by Jenkins from the user name and the description.
	DisplayName string `json:"displayName"`
	// TypeName is the name of the kind, in words: "Username with password".
	TypeName string `json:"typeName"`
	// Usage lists the jobs whose builds have used the entry; empty until the first one.
	Usage []CredentialUsage `json:"-"`
}

// CredentialUsage is a job whose builds have used a credential.
type CredentialUsage struct {
	// Job is the full name of the job: "team/app".
	Job string
	// Builds are the ranges of build numbers, [from, to) each.
	Builds [][2]int64
}

// storePath is the address of the store of a folder, without domain.
func storePath(op, folder string) (string, error) {
	p, err := folderPath(op, folder)
	return p + "/credentials/store/folder/domain/_", err
}

// credentialPath is the address of an entry. An id may hold a slash, which is encoded.
func credentialPath(op, folder, id string) (string, error) {
	p, err := storePath(op, folder)
	if err != nil {
		return "", err
	}
	if _, err := segments(op, "credential", strings.ReplaceAll(id, "/", "-")); err != nil {
		return "", err
	}
	return p + "/credential/" + url.PathEscape(id), nil
}

// credentialForm is the form of an entry as the browser sends it.
func credentialForm(e CredentialEntry) map[string]any {
	class, form, _ := e.Credential.fields()
	for k, v := range map[string]any{
		"id": e.ID, "description": e.Description, "DisplayName": e.ID, "scope": "GLOBAL",
		"$class": class, "stapler-class": class, "Fingerprint": nil, "FullName": "", "TypeName": "",
	} {
		form[k] = v
	}
	return form
}

// postCredential posts the form of an entry. An error never repeats the secret, whatever Jenkins says.
func (c *Client) postCredential(ctx context.Context, op, path string, e CredentialEntry, form any) error {
	doc, err := marshalJSON(form)
	if err != nil {
		return newError(op, ErrInvalid, "the credential cannot be written as JSON")
	}
	_, err = c.postForm(ctx, op, path, url.Values{"json": {string(doc)}})
	var known *Error
	if errors.As(err, &known) {
		if _, _, secrets := e.Credential.fields(); repeats(known.Message, secrets) {
			known.Message = "(Jenkins' message is left out, as it repeats the secret)"
		}
	}
	return err
}

// repeats reports whether a message, which may be cut, has a part of a secret.
func repeats(message string, secrets []string) bool {
	const part = 8
	for _, s := range secrets {
		for _, word := range strings.Fields(s) {
			if strings.Contains(message, word[:min(part, len(word))]) {
				return true
			}
		}
	}
	return false
}

func checkEntry(op string, e CredentialEntry) error {
	if e.ID == "" || e.Credential == nil {
		return newError(op, ErrInvalid, "a credential needs an id and a content")
	}
	return nil
}

// CreateCredential adds an entry to the store of a folder. An entry of the same id is ErrConflict, a missing folder ErrNotFound, a kind
// whose plugin Jenkins lacks ErrInternal.
//
// Jenkins' form says nothing about a duplicate and keeps the old entry, so the client looks first. Of two creations at the same moment one is lost without
// an error; who owns the id uses PutCredential, which sets the content at its next call.
func (c *Client) CreateCredential(ctx context.Context, folder string, e CredentialEntry) error {
	const op = "create credential"
	if err := checkEntry(op, e); err != nil {
		return err
	}
	switch _, err := c.GetCredential(ctx, folder, e.ID); {
	case err == nil:
		return newError(op, ErrConflict, "a credential %q exists already", e.ID)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return c.addCredential(ctx, op, folder, e)
}

func (c *Client) addCredential(ctx context.Context, op, folder string, e CredentialEntry) error {
	p, err := storePath(op, folder)
	if err != nil {
		return err
	}
	return c.postCredential(ctx, op, p+"/createCredentials", e, map[string]any{"credentials": credentialForm(e)})
}

// UpdateCredential replaces the content and the description of an entry, also its kind. ErrNotFound means that there is none.
func (c *Client) UpdateCredential(ctx context.Context, folder string, e CredentialEntry) error {
	const op = "update credential"
	if err := checkEntry(op, e); err != nil {
		return err
	}
	p, err := credentialPath(op, folder, e.ID)
	if err != nil {
		return err
	}
	return c.postCredential(ctx, op, p+"/updateSubmit", e, credentialForm(e))
}

// PutCredential makes the entry be as given, whether it exists or not. ErrNotFound means that the folder does not exist.
func (c *Client) PutCredential(ctx context.Context, folder string, e CredentialEntry) error {
	err := c.UpdateCredential(ctx, folder, e)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	return c.addCredential(ctx, "create credential", folder, e)
}

// GetCredential returns what Jenkins tells about an entry, or ErrNotFound.
func (c *Client) GetCredential(ctx context.Context, folder, id string) (*CredentialInfo, error) {
	const op = "get credential"
	p, err := credentialPath(op, folder, id)
	if err != nil {
		return nil, err
	}
	var out struct {
		CredentialInfo
		Fingerprint struct {
			Usage []struct {
				Name   string `json:"name"`
				Ranges struct {
					Ranges []struct {
						Start int64 `json:"start"`
						End   int64 `json:"end"`
					} `json:"ranges"`
				} `json:"ranges"`
			} `json:"usage"`
		} `json:"fingerprint"`
	}
	// The fingerprint has a content from depth 1 on.
	if err := c.getJSON(ctx, op, p+"/api/json", url.Values{"depth": {"2"}}, &out); err != nil {
		return nil, err
	}
	for _, u := range out.Fingerprint.Usage {
		usage := CredentialUsage{Job: u.Name}
		for _, r := range u.Ranges.Ranges {
			usage.Builds = append(usage.Builds, [2]int64{r.Start, r.End})
		}
		out.Usage = append(out.Usage, usage)
	}
	return &out.CredentialInfo, nil
}

// ListCredentials returns what Jenkins tells about all entries in the store of a folder itself, not of those around it, in one call and without
// Usage. ErrNotFound means that the folder does not exist.
func (c *Client) ListCredentials(ctx context.Context, folder string) ([]CredentialInfo, error) {
	const op = "list credentials"
	p, err := storePath(op, folder)
	if err != nil {
		return nil, err
	}
	var out struct {
		Credentials []CredentialInfo `json:"credentials"`
	}
	// Without a tree Jenkins looks for the fingerprint of each entry on its disk.
	tree := url.Values{"tree": {"credentials[id,description,displayName,typeName]"}}
	if err := c.getJSON(ctx, op, p+"/api/json", tree, &out); err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

// DeleteCredential removes an entry. That there is none is a success.
func (c *Client) DeleteCredential(ctx context.Context, folder, id string) error {
	const op = "delete credential"
	p, err := credentialPath(op, folder, id)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{op: op, method: http.MethodPost, path: p + "/doDelete"})
	return ignoreNotFound(err)
}
