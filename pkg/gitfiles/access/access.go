// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access finds out where a GitRepository is and what its server wants to see: the address, the
// credential and the certificate authorities.
package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
)

// DefaultCertsNamespace is where the ConfigMap of an annotation is that names no namespace.
const DefaultCertsNamespace = "kubesphere-devops-worker"

// tokenKey is the key of a token in a Secret of no special type.
const tokenKey = "token"

// Reason of an Error.
const (
	ReasonSecretNotFound  = "SecretNotFound"
	ReasonSecretForbidden = "SecretForbidden"
	// ReasonSecretElsewhere: the Secret is in another namespace.
	ReasonSecretElsewhere = "SecretInOtherNamespace"
	ReasonSecretInvalid   = "SecretInvalid"
	ReasonCertsInvalid    = "CertificatesInvalid"
)

// Error says what is wrong with an object that a repository names. It holds no value of it.
type Error struct {
	// Reason is one of the reasons of this package.
	Reason string
	// Message says what is wrong and what to do.
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func problem(reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Readers read the objects that a repository names.
type Readers struct {
	// Objects reads with the rights of whom it is for: Secrets, and ConfigMaps of namespaces that the
	// repository names.
	Objects client.Reader
	// Shared reads ConfigMaps of DefaultCertsNamespace, which are for everybody.
	Shared client.Reader
}

// SecretOf reads the Secret of a repository; nil if it has none. One of another namespace is not read, also if the
// reader may: who writes the repository chooses the server that the credential is sent to.
func (r Readers) SecretOf(ctx context.Context, repo *devopsv1alpha3.GitRepository) (*corev1.Secret, error) {
	ref := repo.Spec.Secret
	if ref == nil || ref.Name == "" {
		return nil, nil
	}
	if ref.Namespace != "" && ref.Namespace != repo.Namespace {
		return nil, problem(ReasonSecretElsewhere, "spec.secret names a Secret of another namespace; name one of the repository's own, so that no credential gets to a server that somebody else has chosen")
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: repo.Namespace, Name: ref.Name}
	err := r.Objects.Get(ctx, key, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, problem(ReasonSecretNotFound, "there is no Secret %s, which spec.secret names", key)
	case apierrors.IsForbidden(err):
		return nil, problem(ReasonSecretForbidden, "the Secret %s, which spec.secret names, may not be read by you", key)
	case err != nil:
		return nil, fmt.Errorf("read the repository's Secret: %w", err)
	}
	return secret, nil
}

// Target makes of a repository and its Secret, which may be nil, what its server is asked with.
func (r Readers) Target(ctx context.Context, repo *devopsv1alpha3.GitRepository, secret *corev1.Secret) (gitfiles.Target, error) {
	t := gitfiles.Target{Key: repo.Namespace + "/" + string(repo.UID), URL: cmp.Or(repo.Spec.URL, CloneURL(repo.Spec))}
	t.InsecureSkipVerify, _ = strconv.ParseBool(repo.Annotations[devopsv1alpha3.InsecureSkipTLSAnnotation])
	var err error
	if secret != nil {
		if t.Credential, err = Credential(secret); err != nil {
			return t, err
		}
	}
	t.CA, err = r.certificates(ctx, repo)
	return t, err
}

func (r Readers) certificates(ctx context.Context, repo *devopsv1alpha3.GitRepository) ([]byte, error) {
	name := repo.Annotations[devopsv1alpha3.TLSCertsAnnotation]
	if name == "" {
		return nil, nil
	}
	key := client.ObjectKey{Namespace: repo.Annotations[devopsv1alpha3.TLSCertsNamespaceAnnotation], Name: name}
	reader := r.Objects
	if key.Namespace == "" {
		key.Namespace, reader = DefaultCertsNamespace, r.Shared
	}
	certs := &corev1.ConfigMap{}
	err := reader.Get(ctx, key, certs)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return nil, problem(ReasonCertsInvalid, "the ConfigMap %s, which the annotation %s names, is not there or may not be read", key, devopsv1alpha3.TLSCertsAnnotation)
	case err != nil:
		return nil, fmt.Errorf("read the certificate authorities: %w", err)
	case certs.Data[devopsv1alpha3.TLSCertsKey] == "":
		return nil, problem(ReasonCertsInvalid, "the ConfigMap %s has no %s", key, devopsv1alpha3.TLSCertsKey)
	}
	return []byte(certs.Data[devopsv1alpha3.TLSCertsKey]), nil
}

// Credential reads a Secret. Taken are the credentials of projects, Kubernetes' own types for users with
// passwords and SSH keys, and Secrets of no special type with the key token.
func Credential(secret *corev1.Secret) (gitfiles.Credential, error) {
	value := func(key string) string { return string(secret.Data[key]) }
	c := gitfiles.Credential{KnownHosts: secret.Data[gitfiles.KnownHostsKey]}
	switch secret.Type {
	case devopsv1alpha3.SecretTypeBasicAuth, corev1.SecretTypeBasicAuth:
		c.Username, c.Password = value(corev1.BasicAuthUsernameKey), value(corev1.BasicAuthPasswordKey)
	case devopsv1alpha3.SecretTypeSSHAuth:
		c.Username = value(devopsv1alpha3.CredentialUsernameKey)
		c.PrivateKey, c.Passphrase = secret.Data[devopsv1alpha3.CredentialPrivateKeyKey], secret.Data[devopsv1alpha3.CredentialPassphraseKey]
	case corev1.SecretTypeSSHAuth:
		c.PrivateKey = secret.Data[corev1.SSHAuthPrivateKey]
	case devopsv1alpha3.SecretTypeSecretText:
		c.Password = value(devopsv1alpha3.CredentialSecretKey)
	case corev1.SecretTypeOpaque, "":
		c.Password = value(tokenKey)
	default:
		return c, problem(ReasonSecretInvalid, "the Secret %s is of the type %s, which is no credential for git; basic-auth, ssh-auth and secret-text are", secret.Name, secret.Type)
	}
	if c.Password == "" && len(c.PrivateKey) == 0 {
		return c, problem(ReasonSecretInvalid, "the Secret %s of the type %s has no password, token or key", secret.Name, secret.Type)
	}
	return c, nil
}

// IsProblem gives the error of this package in err.
func IsProblem(err error) (*Error, bool) {
	var p *Error
	ok := errors.As(err, &p)
	return p, ok
}

// hosts are the public servers of the providers.
var hosts = map[string]string{"github": "https://github.com", "gitlab": "https://gitlab.com", "bitbucket": "https://bitbucket.org"}

// CloneURL makes the address of a repository from its provider, server, owner and name; empty if they say too
// little.
func CloneURL(spec devopsv1alpha3.GitRepositorySpec) string {
	provider := strings.ToLower(spec.Provider)
	base, err := url.Parse(cmp.Or(spec.Server, hosts[provider]))
	owner, name := strings.Trim(spec.Owner, "/"), strings.TrimSuffix(strings.Trim(spec.Repo, "/"), ".git")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || owner == "" || name == "" {
		return ""
	}
	base.RawQuery, base.Fragment = "", ""
	// What is the address of a server's API is often given as that of the server.
	base.Path = strings.TrimSuffix(strings.TrimRight(base.Path, "/"), "/api/v3")
	if base.Host == "api.github.com" {
		base.Host = "github.com"
	}
	var parts []string
	if strings.HasPrefix(provider, "bitbucket") && spec.Server != "" && base.Host != "bitbucket.org" {
		parts = append(parts, "scm")
	}
	parts = append(parts, strings.Split(owner, "/")...) // GitLab has groups in groups
	for _, part := range append(parts, name) {
		if part == "" || part == "." || part == ".." {
			return ""
		}
	}
	base.Path += "/" + strings.Join(append(parts, name), "/")
	if base.Host != "github.com" && base.Host != "bitbucket.org" {
		base.Path += ".git" // KubeSphere writes the addresses of these two without
	}
	base.RawPath = ""
	return base.String()
}
