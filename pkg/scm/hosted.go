// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	goscm "github.com/drone/go-scm/scm"
	"github.com/drone/go-scm/scm/driver/bitbucket"
	"github.com/drone/go-scm/scm/driver/gitea"
	"github.com/drone/go-scm/scm/driver/github"
	"github.com/drone/go-scm/scm/driver/gitlab"
	"github.com/drone/go-scm/scm/driver/stash"
)

// hosted is a client of a server with an API. go-scm knows how to speak with each kind of server; users, organizations
// and repositories are asked for by a dialect: go-scm has no groups in groups of GitLab, no projects of Bitbucket
// Server, and leaves names unescaped.
type hosted struct {
	provider   Provider
	host       string
	credential Credential
	api        *goscm.Client
	dialect    dialect
}

// dialect is what differs between servers. Pages count from 1.
type dialect interface {
	user(ctx context.Context, h *hosted) (User, error)
	organizations(ctx context.Context, h *hosted, page, size int) (items []Organization, more bool, err error)
	repositories(ctx context.Context, h *hosted, organization string, page, size int) (items []Repository, more bool, err error)
	// own is repositories for the user's own.
	own(ctx context.Context, h *hosted, login string, page, size int) (items []Repository, more bool, err error)
	// pageSize is the most that the server gives at once.
	pageSize() int
}

func newHosted(o Options, server *url.URL, httpClient *http.Client) (Client, error) {
	h := &hosted{provider: o.Provider, host: server.Host, credential: o.Credential}
	makers := map[Provider]struct {
		api     func(string) (*goscm.Client, error)
		dialect dialect
	}{
		GitHub: {github.New, githubDialect{}}, GitLab: {gitlab.New, gitlabDialect{}}, Gitea: {gitea.New, giteaDialect{}},
		BitbucketCloud: {bitbucket.New, bitbucketDialect{}}, BitbucketServer: {stash.New, stashDialect{}},
	}
	maker, ok := makers[o.Provider]
	if !ok {
		return nil, failure(Invalid, "%q is no kind of source code server", oneLine(string(o.Provider)))
	}
	api, err := maker.api(server.String())
	if err != nil {
		return nil, failure(Invalid, "the address of the server is not usable")
	}
	api.Client = httpClient
	h.api, h.dialect = api, maker.dialect
	return h, nil
}

// Verify implements Client.
func (h *hosted) Verify(ctx context.Context) (User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if h.credential.secret() == "" {
		return User{}, failure(BadCredential, "there is no credential; name the Secret that holds one")
	}
	return h.dialect.user(ctx, h)
}

// maxOrganizations bounds what one user is shown.
const maxOrganizations = 5000

// Organizations implements Client.
func (h *hosted) Organizations(ctx context.Context, includeUser bool) ([]Organization, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var out []Organization
	if includeUser {
		user, err := h.dialect.user(ctx, h)
		if err != nil {
			return nil, err
		}
		name := user.Login
		if h.provider == BitbucketServer {
			name = "~" + name
		}
		out = append(out, Organization{Name: name, DisplayName: user.Login, Avatar: user.Avatar, User: true})
	}
	found, err := all(h.dialect.pageSize(), maxOrganizations, func(page, size int) ([]Organization, bool, error) {
		return h.dialect.organizations(ctx, h, page, size)
	})
	for _, o := range found {
		if o.Name == "" {
			return nil, failure(ServerError, otherKind, h.host)
		}
		if len(out) == 0 || !out[0].User || o.Name != out[0].Name {
			out = append(out, o)
		}
	}
	return out, err
}

// Repositories implements Client. A name that no organization has may be the user's.
func (h *hosted) Repositories(ctx context.Context, organization string, page Page) ([]Repository, error) {
	found, err := h.repositories(ctx, organization, page)
	if err == nil && slices.ContainsFunc(found, func(r Repository) bool { return r.Name == "" }) {
		return nil, failure(ServerError, otherKind, h.host)
	}
	return found, err
}

func (h *hosted) repositories(ctx context.Context, organization string, page Page) ([]Repository, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if strings.Trim(organization, "/ ") == "" {
		return nil, failure(Invalid, "give the name of an organization")
	}
	size := h.dialect.pageSize()
	found, err := window(page, size, func(page, size int) ([]Repository, bool, error) {
		return h.dialect.repositories(ctx, h, organization, page, size)
	})
	if err == nil || !errors.Is(err, NotFound) {
		return found, err
	}
	login := organization
	if h.credential.secret() != "" {
		user, userErr := h.dialect.user(ctx, h)
		if userErr != nil || !strings.EqualFold(user.Login, organization) {
			return nil, err
		}
		login = user.Login
	} else if h.provider != GitLab && h.provider != Gitea {
		return nil, err // the others list what a user has to the user only
	}
	return window(page, size, func(page, size int) ([]Repository, bool, error) {
		return h.dialect.own(ctx, h, login, page, size)
	})
}

// call asks the server for JSON. The path is relative to the server's address and escaped.
func (h *hosted) call(ctx context.Context, what, path string, query url.Values, out any) (*goscm.Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return h.send(ctx, what, &goscm.Request{Method: http.MethodGet, Path: path, Header: http.Header{"Accept": {"application/json"}}}, out)
}

func (h *hosted) send(ctx context.Context, what string, req *goscm.Request, out any) (*goscm.Response, error) {
	resp, err := h.api.Do(ctx, req)
	if err != nil {
		return nil, explainTransport(ctx, h.host, err)
	}
	defer drain(resp.Body)
	if resp.Status < 200 || resp.Status > 299 {
		return resp, explainAnswer(h.host, what, answer{status: resp.Status, header: resp.Header, message: h.credential.hide(messageOf(resp.Body))})
	}
	if text, ok := out.(*string); ok {
		data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		if err != nil {
			return resp, explainTransport(ctx, h.host, err)
		}
		*text = string(data)
		return resp, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return resp, explainTransport(ctx, h.host, err)
	}
	return resp, nil
}

// messageOf finds what a server says of an error, in the forms of all of them.
func messageOf(body io.Reader) string {
	data, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return ""
	}
	var said struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(data, &said) != nil {
		return "" // a page for people
	}
	var nested struct {
		Message string `json:"message"`
	}
	for _, raw := range []json.RawMessage{said.Message, said.Error} {
		var text string
		switch {
		case len(raw) == 0:
		case json.Unmarshal(raw, &text) == nil:
			if text != "" {
				return text
			}
		case json.Unmarshal(raw, &nested) == nil && nested.Message != "":
			return nested.Message
		default:
			return string(raw)
		}
	}
	if len(said.Errors) > 0 {
		return said.Errors[0].Message
	}
	return ""
}

func isSyntax(err error) bool {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		large  *http.MaxBytesError
	)
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &large) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
