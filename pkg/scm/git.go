// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// gitClient is one repository on a server without an API: it can be looked at.
type gitClient struct {
	url        *url.URL
	http       *http.Client
	credential Credential
}

// look asks for what git ls-remote shows, which only those who can read the repository are told.
func (g *gitClient) look(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	endpoint, err := transport.NewEndpoint(g.url.String())
	if err != nil {
		return failure(Invalid, "the address of the repository is not usable")
	}
	// The credential is sent by the client of HTTP, which does not send it elsewhere.
	session, err := githttp.NewClient(g.http).NewUploadPackSession(endpoint, nil)
	if err != nil {
		return failure(Invalid, "the address of the repository is not usable")
	}
	defer func() { _ = session.Close() }()
	if _, err := session.AdvertisedReferencesContext(ctx); err != nil && !errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return g.explain(ctx, err)
	}
	return nil
}

// explain makes an error of one of go-git's.
func (g *gitClient) explain(ctx context.Context, err error) error {
	host := g.url.Host
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) && unexpected.Err != nil {
		err = unexpected.Err // it does not unwrap
	}
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		if g.credential.secret() == "" {
			return failure(BadCredential, "%s wants a credential to read the repository; name the Secret that holds one", host)
		}
		return explainAnswer(host, "read the repository", answer{status: http.StatusUnauthorized})
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return explainAnswer(host, "read the repository", answer{status: http.StatusForbidden})
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return explainAnswer(host, "read", answer{status: http.StatusNotFound})
	case errors.As(err, &status) && status.Response != nil:
		return explainAnswer(host, "read the repository", answer{status: status.Response.StatusCode, header: status.Response.Header})
	}
	var packet *packp.ErrUnexpectedData
	if errors.Is(err, pktline.ErrInvalidPktLen) || errors.Is(err, packp.ErrEmptyAdvRefs) || errors.Is(err, packp.ErrEmptyInput) || errors.As(err, &packet) {
		return failure(ServerError, "%s does not answer as a git server does; check the address of the repository", host)
	}
	return explainTransport(ctx, host, err)
}

// Verify implements Client. Nobody can ask a git server who a credential is of: it is good if the
// repository can be read.
func (g *gitClient) Verify(ctx context.Context) (User, error) {
	return User{Login: g.credential.Username}, g.look(ctx)
}

// Organizations implements Client: there are none. The repository is looked at, so that a bad address or
// credential is told.
func (g *gitClient) Organizations(ctx context.Context, _ bool) ([]Organization, error) {
	return nil, g.look(ctx)
}

// Repositories implements Client: there is no list.
func (g *gitClient) Repositories(context.Context, string, Page) ([]Repository, error) {
	return nil, g.unsupported("list repositories")
}

func (g *gitClient) unsupported(what string) error {
	return failure(Unsupported, "a plain git server cannot %s; give the address of the repository itself", what)
}
