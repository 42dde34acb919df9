// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oauth gives tokens to users who log in with a name and a password: the password grant of
// OAuth 2.0 (RFC 6749, 4.3), as KubeSphere's console and command line use it.
package oauth

import (
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn/password"
)

// Users checks a name and a password. The address tells callers apart who guess.
type Users interface {
	Authenticate(ctx context.Context, username, password, address string) (user.Info, error)
}

// Tokens makes tokens.
type Tokens interface {
	Issue(username string, groups []string) (token string, lifetime time.Duration, err error)
}

// maxForm bounds the body of a login in bytes.
const maxForm = 16 << 10

// Error codes of RFC 6749, 5.2. The last two are ours, for what the RFC leaves out.
const (
	errInvalidRequest  = "invalid_request"
	errInvalidGrant    = "invalid_grant"
	errUnsupportedType = "unsupported_grant_type"
	errSlowDown        = "slow_down"
	errUnavailable     = "temporarily_unavailable"
)

// Token is a good answer.
type Token struct {
	// AccessToken goes into the header Authorization: Bearer.
	AccessToken string `json:"access_token"`
	// TokenType is "Bearer".
	TokenType string `json:"token_type"`
	// ExpiresIn is in seconds.
	ExpiresIn int `json:"expires_in"`
}

// Error is a bad answer.
type Error struct {
	// Error is a code for programs.
	Error string `json:"error"`
	// Description is for people.
	Description string `json:"error_description"`
}

// Handler answers at the token endpoint.
type Handler struct {
	users  Users
	tokens Tokens
	// limited counts attempts that were turned away.
	limited func()
}

// New makes the handler. limited is called for every attempt that is turned away as one too many.
func New(users Users, tokens Tokens, limited func()) *Handler {
	return &Handler{users: users, tokens: tokens, limited: limited}
}

// Token exchanges a name and a password for a token.
func (h *Handler) Token(req *restful.Request, resp *restful.Response) {
	w, r := resp.ResponseWriter, req.Request
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		fail(w, r, http.StatusBadRequest, Error{errInvalidRequest, "send a form: Content-Type: application/x-www-form-urlencoded"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, r, http.StatusBadRequest, Error{errInvalidRequest, "the form cannot be read, or is larger than 16 KiB"})
		return
	}
	// Only the body counts: names and passwords in an address would end up in logs.
	form := r.PostForm
	for _, field := range []string{"grant_type", "username", "password"} {
		if len(form[field]) > 1 {
			fail(w, r, http.StatusBadRequest, Error{errInvalidRequest, field + " occurs more than once"})
			return
		}
	}
	grant, name, secret := form.Get("grant_type"), form.Get("username"), form.Get("password")
	switch {
	case grant == "":
		fail(w, r, http.StatusBadRequest, Error{errInvalidRequest, "grant_type is missing: send grant_type=password, username and password"})
		return
	case grant != "password":
		fail(w, r, http.StatusBadRequest, Error{errUnsupportedType, "only grant_type=password is served"})
		return
	case name == "" || secret == "":
		fail(w, r, http.StatusBadRequest, Error{errInvalidRequest, "username or password is missing"})
		return
	}
	h.logIn(w, r, name, secret)
}

func (h *Handler) logIn(w http.ResponseWriter, r *http.Request, name, secret string) {
	log := logr.FromContextOrDiscard(r.Context()).WithName("audit")
	u, err := h.users.Authenticate(r.Context(), name, secret, address(r))
	var tooMany *password.TooManyError
	switch {
	case errors.As(err, &tooMany):
		h.limited()
		w.Header().Set("Retry-After", strconv.Itoa(password.Seconds(tooMany.RetryAfter)))
		fail(w, r, http.StatusTooManyRequests, Error{errSlowDown, tooMany.Error()})
		return
	case errors.Is(err, password.ErrInvalid):
		// The name is left out: people type their password into the wrong field.
		log.Info("login failed", "address", address(r))
		fail(w, r, http.StatusBadRequest, Error{errInvalidGrant, password.ErrInvalid.Error()})
		return
	case err != nil:
		log.Error(err, "login cannot be checked")
		w.Header().Set("Retry-After", "2")
		fail(w, r, http.StatusServiceUnavailable, Error{errUnavailable, "the password cannot be checked at the moment; try again"})
		return
	}
	token, lifetime, err := h.tokens.Issue(u.GetName(), u.GetGroups())
	if err != nil {
		log.Error(err, "token cannot be made", "user", u.GetName())
		fail(w, r, http.StatusBadRequest, Error{errInvalidGrant, "no token can be made for this user; an administrator has to check its groups"})
		return
	}
	log.Info("login", "user", u.GetName(), "address", address(r))
	w.Header().Set("Pragma", "no-cache")
	response.Write(w, r, http.StatusOK, Token{AccessToken: token, TokenType: "Bearer", ExpiresIn: int(lifetime / time.Second)})
}

// fail answers with an error. response.Write sets Cache-Control: no-store, as RFC 6749 wants it.
func fail(w http.ResponseWriter, r *http.Request, code int, e Error) {
	w.Header().Set("Pragma", "no-cache")
	response.Write(w, r, code, e)
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
