// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"encoding/base64"
	"strings"

	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Credential is how a user is known to a server: a token, or a name with a password or token. The zero
// value is nobody.
type Credential struct {
	Token              string
	Username, Password string
}

// CredentialOf reads a credential of a project: a token (secret-text) or a name and password (basic-auth),
// also in Kubernetes' own type of the latter. SSH keys are none: the APIs of servers do not take them.
func CredentialOf(secret *corev1.Secret) (Credential, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	var c Credential
	switch secret.Type {
	case devopsv1alpha3.SecretTypeSecretText:
		c.Token = value(devopsv1alpha3.CredentialSecretKey)
	case devopsv1alpha3.SecretTypeBasicAuth, corev1.SecretTypeBasicAuth:
		c.Username, c.Password = value(corev1.BasicAuthUsernameKey), value(corev1.BasicAuthPasswordKey)
	case devopsv1alpha3.SecretTypeSSHAuth:
		return c, failure(Invalid, "credential %q is an SSH key, which the API of a server does not take; use one with a token (secret-text) or with a user's name and a token (basic-auth)", secret.Name)
	default:
		return c, failure(Invalid, "Secret %q is of type %q; a credential for a server is of type %s or %s", secret.Name, secret.Type, devopsv1alpha3.SecretTypeSecretText, devopsv1alpha3.SecretTypeBasicAuth)
	}
	if c.secret() == "" {
		return c, failure(Invalid, "credential %q is empty; give it its token or password", secret.Name)
	}
	return c, nil
}

func (c Credential) secret() string {
	if c.Token != "" {
		return c.Token
	}
	return c.Password
}

// header is the value of Authorization for a kind of server; empty without a credential.
func (c Credential) header(p Provider) string {
	secret := c.secret()
	if secret == "" {
		return ""
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+secret))
	switch p {
	case GitHub, GitLab:
		// Neither takes passwords of people; what stands for one is a token.
		return "Bearer " + secret
	case Gitea:
		if c.Username != "" {
			return basic
		}
		return "token " + secret
	case BitbucketCloud, BitbucketServer:
		if c.Username != "" {
			return basic
		}
		return "Bearer " + secret
	}
	if c.Username == "" {
		// Servers take a token as the password of whoever; they do not take nobody's.
		return Credential{Username: "git", Password: secret}.header(p)
	}
	return basic
}

// hide takes the credential out of a text that a server sent.
func (c Credential) hide(text string) string {
	for _, secret := range []string{c.Token, c.Password} {
		if len(secret) > 3 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
