// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authn finds out who sends a request. A credential is looked at by one authenticator after
// the other, in the interfaces of k8s.io/apiserver: each gives a user, has no opinion, or fails. A
// failure ends it: a request with a bad credential is never treated as one without.
package authn

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Headers that carry a credential, in the order in which they are looked at. KubeSphere's gateway
// uses the first for requests whose Authorization belongs to something behind it.
const (
	HeaderKubeSphere    = "X-KubeSphere-Authorization"
	HeaderAuthorization = "Authorization"
	// HeaderForwarded is where KubeSphere's gateway repeats the user's token. It is not read, and
	// removed with the others.
	HeaderForwarded = "X-Authorization"
)

const (
	// maxToken is far above what Kubernetes and KubeSphere issue.
	maxToken = 16 << 10
	// maxName bounds names of users and groups, in bytes: they go into headers and annotations.
	maxName = 253
	// reservedPrefix begins the names that only Kubernetes itself may give.
	reservedPrefix = "system:"
)

// Help tells a caller without a credential what to do.
const Help = "no token: send Authorization: Bearer <token>; get one by POST /oauth/token"

// Refused is the error of a credential that was looked at and is not accepted.
type Refused struct {
	// Message says why, for the user. It never holds the credential.
	Message string
}

// Error implements error.
func (r *Refused) Error() string { return r.Message }

// Refuse makes a Refused.
func Refuse(format string, args ...any) error { return &Refused{Message: fmt.Sprintf(format, args...)} }

// IsRefused gives the message for the user if err says that the credential is bad. Any other error
// says that the credential could not be checked.
func IsRefused(err error) (message string, ok bool) {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused.Message, true
	}
	return "", false
}

// NewRequest authenticates requests by the token in their headers. No token is no opinion; a token
// that no authenticator knows is refused.
func NewRequest(tokens authenticator.Token) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		token, ok, err := TokenFrom(r.Header)
		if err != nil || !ok {
			return nil, false, err
		}
		response, ok, err := tokens.AuthenticateToken(r.Context(), token)
		if err != nil {
			return nil, false, err
		}
		if !ok || response == nil || response.User == nil {
			return nil, false, Refuse("the token is not known to this server or to Kubernetes, or it is no longer valid")
		}
		response.User = authenticated(response.User)
		return response, true, nil
	})
}

// authenticated adds the group that every known user is in, as Kubernetes does.
func authenticated(u user.Info) user.Info {
	for _, group := range u.GetGroups() {
		if group == user.AllAuthenticated {
			return u
		}
	}
	groups := append(append([]string(nil), u.GetGroups()...), user.AllAuthenticated)
	return &user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: groups, Extra: u.GetExtra()}
}

// TokenFrom takes the token from the headers of a request: "Bearer <token>", or "token <token>" as
// DevStar's clients write it.
func TokenFrom(header http.Header) (token string, ok bool, err error) {
	for _, name := range []string{HeaderKubeSphere, HeaderAuthorization} {
		values := header.Values(name)
		if len(values) > 1 {
			return "", false, Refuse("the header %s occurs %d times; send it once", name, len(values))
		}
		if len(values) == 0 || strings.TrimSpace(values[0]) == "" {
			continue
		}
		token, err := parse(strings.TrimSpace(values[0]))
		return token, err == nil, err
	}
	return "", false, nil
}

func parse(value string) (string, error) {
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "token"):
		return "", Refuse("the credential's scheme is not known: send Authorization: Bearer <token>")
	case token == "":
		return "", Refuse("the Authorization header holds no token: send Authorization: Bearer <token>")
	case len(token) > maxToken:
		return "", Refuse("the token is longer than %d bytes", maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", Refuse("the token holds a space or another character that no token has")
	}
	return token, nil
}

// StripCredentials removes the credentials from a request whose user is known, so that no handler
// can log or pass them on.
func StripCredentials(header http.Header) {
	header.Del(HeaderKubeSphere)
	header.Del(HeaderAuthorization)
	header.Del(HeaderForwarded)
}

// CheckName refuses names of users and groups that only Kubernetes may give, and those that could
// not be written into a header or shown.
func CheckName(kind, name string) error {
	switch {
	case name == "":
		return Refuse("the name of the %s is empty", kind)
	case len(name) > maxName:
		return Refuse("the name of the %s is longer than %d bytes", kind, maxName)
	case strings.HasPrefix(name, reservedPrefix):
		return Refuse("the name of the %s begins with %q, which only Kubernetes may give", kind, reservedPrefix)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name:
		return Refuse("the name of the %s holds characters that are not allowed", kind)
	}
	return nil
}
