// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	goscm "github.com/drone/go-scm/scm"
	"github.com/drone/go-scm/scm/driver/bitbucket"
	"github.com/drone/go-scm/scm/driver/gitea"
	"github.com/drone/go-scm/scm/driver/github"
	"github.com/drone/go-scm/scm/driver/gitlab"
	"github.com/drone/go-scm/scm/driver/stash"
)

// hosted is a client of a server with an API. Branches, pull requests, statuses and webhooks are go-scm's;
// users, organizations and repositories are asked for by a dialect: go-scm has no groups in groups of
// GitLab, no projects of Bitbucket Server, and leaves names unescaped.
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
	// createHook makes a webhook; ok is false where go-scm is to do it.
	createHook(ctx context.Context, h *hosted, repository string, in HookInput) (hook Hook, ok bool, err error)
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
		if len(out) == 0 || !out[0].User || o.Name != out[0].Name {
			out = append(out, o)
		}
	}
	return out, err
}

// Repositories implements Client. A name that no organization has may be the user's.
func (h *hosted) Repositories(ctx context.Context, organization string, page Page) ([]Repository, error) {
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

// post sends JSON.
func (h *hosted) post(ctx context.Context, what, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	_, err = h.send(ctx, what, &goscm.Request{Method: http.MethodPost, Path: path, Body: bytes.NewReader(body),
		Header: http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}}, out)
	return err
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

// library makes an error of a failed call of go-scm. Its errors have a server's text at best.
func (h *hosted) library(ctx context.Context, what string, resp *goscm.Response, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, goscm.ErrNotSupported):
		return failure(Unsupported, "%s cannot be done with servers of the kind %s", what, h.provider)
	case resp == nil || resp.Status < 300:
		return explainTransport(ctx, h.host, err)
	}
	message := err.Error()
	if errors.Is(err, goscm.ErrNotAuthorized) || errors.Is(err, goscm.ErrNotFound) {
		message = ""
	}
	return explainAnswer(h.host, what, answer{status: resp.Status, header: resp.Header, message: h.credential.hide(message)})
}

// guard turns a panic of go-scm into an error: some of its conversions take for granted what a server
// that means ill leaves out.
func (h *hosted) guard(err *error) {
	if r := recover(); r != nil {
		*err = &Error{Reason: ServerError, Message: h.host + " does not answer as a server of this kind does; check the address and the kind of the server", Err: fmt.Errorf("decode answer: %v", r)}
	}
}

// repositoryPath checks and escapes the full name of a repository, as go-scm puts it into addresses as it
// is. Those of GitLab are escaped there.
func (h *hosted) repositoryPath(name string) (string, error) {
	name = strings.Trim(name, "/")
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", failure(Invalid, "%q is no full name of a repository, such as team/app", oneLine(name))
		}
		parts[i] = url.PathEscape(part)
	}
	if len(parts) < 2 || len(parts) > 2 && h.provider != GitLab {
		return "", failure(Invalid, "%q is no full name of a repository, such as team/app", oneLine(name))
	}
	return strings.Join(parts, "/"), nil
}
