// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"net"
	"net/url"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// maxAddress bounds the address of a repository, in bytes.
const maxAddress = 2048

// address is where a repository is.
type address struct {
	scheme, user, password, host, port, path string
}

// String is the address without user and password, but for the user of an SSH address, which is no secret.
func (a *address) String() string {
	u := url.URL{Scheme: a.scheme, Host: a.hostPort(), Path: a.path}
	if a.scheme == "ssh" && a.user != "" {
		u.User = url.User(a.user)
	}
	return u.String()
}

func (a *address) hostPort() string {
	host := a.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.port == "" {
		return host
	}
	return net.JoinHostPort(a.host, a.port)
}

// endpoint is the address in the library's form, without credential.
func (a *address) endpoint() (*transport.Endpoint, error) {
	end, err := transport.NewEndpoint((&url.URL{Scheme: a.scheme, Host: a.hostPort(), Path: a.path}).String())
	if err != nil {
		return nil, failure(ErrInvalid, "the address of the repository is no URL")
	}
	return end, nil
}

// parseAddress reads an address that a user gave.
func parseAddress(text string) (*address, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, failure(ErrInvalid, "the repository has no address: set spec.url")
	case len(text) > maxAddress || strings.ContainsFunc(text, unicode.IsControl):
		return nil, failure(ErrInvalid, "the address of the repository is no URL")
	}
	a := scpAddress(text)
	if a == nil {
		u, err := url.Parse(text)
		if err != nil {
			return nil, failure(ErrInvalid, "the address of the repository is no URL")
		}
		a = &address{scheme: strings.ToLower(u.Scheme), host: u.Hostname(), port: u.Port(), path: u.Path, user: u.User.Username()}
		a.password, _ = u.User.Password()
	}
	switch a.scheme {
	case "http", "https", "ssh":
	default:
		return nil, failure(ErrInvalid, "the address of the repository must begin with https://, http:// or ssh://, or have the form git@host:path")
	}
	if a.host == "" || strings.Trim(a.path, "/") == "" {
		return nil, failure(ErrInvalid, "the address of the repository names no host or no repository")
	}
	if a.scheme == "ssh" && strings.ContainsFunc(a.path, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune("'\"\\!`$;&|<>", r) }) {
		// The path goes through a shell on the server.
		return nil, failure(ErrInvalid, "the path of the repository has characters that are not possible over SSH")
	}
	return a, nil
}

// scpAddress reads [user@]host:path; nil if the text has another form.
func scpAddress(text string) *address {
	if strings.Contains(text, "://") {
		return nil
	}
	host, name, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(host, "/") || strings.HasPrefix(host, "[") || strings.HasPrefix(name, ":") {
		return nil // the last is a helper program of git
	}
	a := &address{scheme: "ssh", host: host, path: name}
	if user, rest, ok := strings.Cut(host, "@"); ok {
		a.user, a.host = user, rest
	}
	return a
}
