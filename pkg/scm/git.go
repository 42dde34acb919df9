// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// gitClient is one repository on a server without an API: it can be looked at, and has branches.
type gitClient struct {
	url        *url.URL
	http       *http.Client
	credential Credential
}

// refs asks for what git ls-remote shows.
func (g *gitClient) refs(ctx context.Context) (map[string]plumbing.Hash, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	endpoint, err := transport.NewEndpoint(g.url.String())
	if err != nil {
		return nil, failure(Invalid, "the address of the repository is not usable")
	}
	// The credential is sent by the client of HTTP, which does not send it elsewhere.
	session, err := githttp.NewClient(g.http).NewUploadPackSession(endpoint, nil)
	if err != nil {
		return nil, failure(Invalid, "the address of the repository is not usable")
	}
	defer func() { _ = session.Close() }()
	advertised, err := session.AdvertisedReferencesContext(ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return nil, nil
	case err != nil:
		return nil, g.explain(ctx, err)
	}
	return advertised.References, nil
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
	_, err := g.refs(ctx)
	return User{Login: g.credential.Username}, err
}

// Organizations implements Client: there are none. The repository is looked at, so that a bad address or
// credential is told.
func (g *gitClient) Organizations(ctx context.Context, _ bool) ([]Organization, error) {
	_, err := g.refs(ctx)
	return nil, err
}

// Repositories implements Client: there is no list.
func (g *gitClient) Repositories(context.Context, string, Page) ([]Repository, error) {
	return nil, g.unsupported("list repositories")
}

// Branches implements Client. The name of the repository does not count: the client is for one.
func (g *gitClient) Branches(ctx context.Context, _ string, page Page) ([]Branch, error) {
	refs, err := g.refs(ctx)
	if err != nil {
		return nil, err
	}
	var branches []Branch
	for name, hash := range refs {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			branches = append(branches, Branch{Name: branch, Commit: hash.String()})
		}
	}
	slices.SortFunc(branches, func(a, b Branch) int { return strings.Compare(a.Name, b.Name) })
	page = page.normal()
	start := min((page.Number-1)*page.Size, len(branches))
	return branches[start:min(start+page.Size, len(branches))], nil
}

func (g *gitClient) unsupported(what string) error {
	return failure(Unsupported, "a plain git server cannot %s; give the address of the repository itself", what)
}

// CreatePullRequest implements Client.
func (g *gitClient) CreatePullRequest(context.Context, string, PullRequestInput) (PullRequest, error) {
	return PullRequest{}, g.unsupported("take pull requests")
}

// CreateStatus implements Client.
func (g *gitClient) CreateStatus(context.Context, string, string, Status) error {
	return g.unsupported("show the state of commits")
}

// ListHooks implements Client.
func (g *gitClient) ListHooks(context.Context, string) ([]Hook, error) {
	return nil, g.unsupported("list webhooks")
}

// CreateHook implements Client.
func (g *gitClient) CreateHook(context.Context, string, HookInput) (Hook, error) {
	return Hook{}, g.unsupported("make webhooks")
}

// DeleteHook implements Client.
func (g *gitClient) DeleteHook(context.Context, string, string) error {
	return g.unsupported("delete webhooks")
}
