// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// The reasons of the failures that Clone returns, apart from InvalidURL and InvalidRef.
const (
	ReasonAuthenticationRequired = "AuthenticationRequired"
	ReasonAuthorizationFailed    = "AuthorizationFailed"
	ReasonRepositoryNotFound     = "RepositoryNotFound"
	ReasonRefNotFound            = "RefNotFound"
	ReasonEmptyRepository        = "EmptyRepository"
	ReasonHostNotFound           = "HostNotFound"
	ReasonUnreachable            = "Unreachable"
	ReasonTLS                    = "CertificateNotTrusted"
	ReasonHostKey                = "HostKeyUnknown"
	ReasonServer                 = "ServerError"
	ReasonTimeout                = "Timeout"
	ReasonNoSpace                = "NoSpace"
	ReasonFailed                 = "CloneFailed"
)

// explain turns an error of go-git into a Failure that says what to do. Nothing of what the server
// wrote in a body is repeated, and no credential.
func explain(err error, r remote, creds Credentials, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	var done *agent.Failure
	if errors.As(err, &done) {
		return err
	}
	if f := explainKnown(err, r, creds, timeout); f != nil {
		return f.Because(err)
	}
	// go-git's wrapper of errors that it did not expect does not unwrap.
	var hidden *plumbing.UnexpectedError
	if errors.As(err, &hidden) {
		err = hidden.Err
	}
	if f := explainNetwork(err, r); f != nil {
		return f.Because(err)
	}
	return agent.Fail(agent.ExitError, ReasonFailed, "clone of %s failed: %s", r.url, scrub(err.Error(), creds)).Because(err)
}

func explainKnown(err error, r remote, creds Credentials, timeout time.Duration) *agent.Failure {
	fail := func(reason, format string, args ...any) *agent.Failure {
		return agent.Fail(agent.ExitError, reason, format, args...)
	}
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fail(ReasonTimeout, "clone of %s did not end within %s: use a depth, a longer timeout, or check the network", r.url, timeout)
	case errors.Is(err, context.Canceled):
		return fail(ReasonTimeout, "clone of %s was stopped", r.url)
	case errors.Is(err, transport.ErrAuthenticationRequired), strings.Contains(text, "unable to authenticate"):
		if creds.empty() {
			return fail(ReasonAuthenticationRequired, "%s wants authentication (it is private or does not exist): add a credential", r.url)
		}
		return fail(ReasonAuthenticationRequired, "%s refused the credential: check user name, token and their expiry", r.url)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return fail(ReasonAuthorizationFailed, "the credential may not read %s", r.url)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fail(ReasonRepositoryNotFound, "repository %s was not found: check the URL; a private repository may need a credential", r.url)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fail(ReasonEmptyRepository, "repository %s is empty: push a first commit", r.url)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fail(ReasonNoSpace, "no space left on the volume while cloning %s: use a larger volume or a depth", r.url)
	case errors.Is(err, plumbing.ErrReferenceNotFound), errors.Is(err, plumbing.ErrObjectNotFound):
		return fail(ReasonRefNotFound, "%s does not have the wanted branch, tag or commit", r.url)
	}
	return nil
}

func explainNetwork(err error, r remote) *agent.Failure {
	fail := func(reason, format string, args ...any) *agent.Failure {
		return agent.Fail(agent.ExitError, reason, format, args...)
	}
	var (
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		key      *knownhosts.KeyError
		http     *githttp.Err
		op       *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return fail(ReasonHostNotFound, "could not resolve host %s: check the URL and the cluster's DNS", r.host)
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &hostname), errors.As(err, &verify):
		return fail(ReasonTLS, "the TLS certificate of %s is not trusted: %s", r.host, agent.OneLine(innermost(err)))
	case errors.As(err, &record):
		return fail(ReasonTLS, "%s does not speak TLS on this port: use http:// or another port", r.host)
	case errors.As(err, &key):
		return fail(ReasonHostKey, "the SSH host key of %s is not in known_hosts: add known_hosts to the credential (ssh-keyscan prints it)", r.host)
	case errors.As(err, &http):
		return fail(ReasonServer, "%s answered %s for %s", r.host, http.Response.Status, r.url)
	case errors.Is(err, unix.ECONNREFUSED):
		return fail(ReasonUnreachable, "connection to %s was refused: nothing listens there, or a firewall refuses", r.host)
	case errors.As(err, &op), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fail(ReasonUnreachable, "connection to %s failed or broke: %s", r.host, agent.OneLine(innermost(err)))
	}
	return nil
}

// innermost is the text of the last error in the chain, without the URLs that outer ones add.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

var userinfo = regexp.MustCompile(`(://)[^/@\s]*@`)

// scrub removes credentials from a text of unknown origin.
func scrub(text string, c Credentials) string {
	text = userinfo.ReplaceAllString(text, "$1")
	for _, secret := range []string{c.Password, c.Passphrase} {
		if secret == "" {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return agent.OneLine(text)
}
