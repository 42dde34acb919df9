// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/gitpack"
)

// Kinds of errors. Compare with errors.Is.
var (
	// ErrInvalid says that the request is wrong: an address, path, name or content that is not possible.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound says that there is no such repository, branch, commit or file.
	ErrNotFound = errors.New("not found")
	// ErrAuthentication says that the server wants another credential.
	ErrAuthentication = errors.New("authentication failed")
	// ErrHostKey says that the SSH server could not prove that it is the one that is meant.
	ErrHostKey = errors.New("unknown host key")
	// ErrConflict says that somebody else changed what was to be changed.
	ErrConflict = errors.New("conflict")
	// ErrRefused says that the server does not take the change: the branch is protected, or a hook said no.
	ErrRefused = errors.New("refused")
	// ErrTooLarge says that a file or repository has more bytes than are read or written.
	ErrTooLarge = errors.New("too large")
	// ErrUnavailable says that the server cannot be reached or failed; the call may be repeated.
	ErrUnavailable = errors.New("unavailable")
)

// Error is a failure that a user can be shown: its text holds no credential.
type Error struct {
	// Message says what happened and what to do.
	Message string

	kind  error
	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is tells if target is the kind of e.
func (e *Error) Is(target error) bool { return target == e.kind }

// Unwrap gives the cause or nil.
func (e *Error) Unwrap() error { return e.cause }

// Reason is the kind in one word, as for the reason of a condition.
func (e *Error) Reason() string {
	return map[error]string{
		ErrInvalid: "Invalid", ErrNotFound: "NotFound", ErrAuthentication: "AuthenticationFailed", ErrHostKey: "HostKeyUnknown",
		ErrConflict: "Conflict", ErrRefused: "Refused", ErrTooLarge: "TooLarge", ErrUnavailable: "Unavailable",
	}[e.kind]
}

func failure(kind error, format string, args ...any) *Error {
	return &Error{kind: kind, Message: fmt.Sprintf(format, args...)}
}

// explain turns an error of the library into one that says what to do.
func (r *Repository) explain(err error) error {
	var own *Error
	var hidden *plumbing.UnexpectedError
	if errors.As(err, &hidden) {
		err = hidden.Err // it does not unwrap
	}
	switch {
	case err == nil, errors.As(err, &own), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, gitpack.ErrTooLarge):
		return failure(ErrTooLarge, "the repository %s has more than the %s, with %s of branches and tags, that are read of one", r.address, size(r.cache.opts.MaxRepositoryBytes), size(maxGreeting))
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{kind: ErrUnavailable, cause: err, Message: r.address.String() + " did not answer in time"}
	case errors.Is(err, egress.ErrRefused):
		return failure(ErrInvalid, "%s is an address that this server does not connect to: it is local to the server", r.address)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		return r.refusedCredential()
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return failure(ErrNotFound, "there is no repository at %s, or the credential may not see it", r.address)
	}
	return r.explainNetwork(err)
}

func (r *Repository) refusedCredential() error {
	if !r.target.Credential.given() {
		return failure(ErrAuthentication, "%s wants a credential: the repository is private or does not exist", r.address)
	}
	return failure(ErrAuthentication, "%s refuses the credential", r.address)
}

func (r *Repository) explainNetwork(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var answer *githttp.Err
	switch {
	case errors.As(err, &dns):
		return failure(ErrUnavailable, "there is no host %s", dns.Name)
	case errors.As(err, &answer) && answer.Response != nil:
		return failure(ErrUnavailable, "%s answered %s", r.address, answer.Response.Status)
	case errors.As(err, &op):
		return &Error{kind: ErrUnavailable, cause: err, Message: fmt.Sprintf("%s cannot be reached: %v", r.address, op.Err)}
	}
	return &Error{kind: ErrUnavailable, cause: err, Message: fmt.Sprintf("%s: %s", r.address, r.target.Credential.hide(oneLine(err.Error())))}
}

// oneLine keeps the first line of a foreign text, not too much of it.
func oneLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
