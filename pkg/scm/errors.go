// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/slipway-dev/slipway/pkg/egress"
)

// Reason is a kind of failure. It is an error itself, so that errors.Is finds it.
type Reason string

// Error implements error.
func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	// Invalid: what was asked for cannot be, whatever the server says.
	Invalid Reason = "Invalid"
	// BadCredential: the server does not take the credential.
	BadCredential Reason = "BadCredential"
	// NoRight: the credential is good, and may not do this.
	NoRight Reason = "NoRight"
	// NotFound: there is none of the name, or the credential may not see it.
	NotFound Reason = "NotFound"
	// RateLimited: the server wants to be asked later.
	RateLimited Reason = "RateLimited"
	// NoServer: nothing that can be talked to is at the address.
	NoServer Reason = "NoServer"
	// BadTLS: the server's certificate cannot be trusted.
	BadTLS Reason = "BadTLS"
	// Refused: the address may not be used.
	Refused Reason = "Refused"
	// Conflict: the server refuses it as things are.
	Conflict Reason = "Conflict"
	// ServerError: the server failed, or answers as no server of the kind does.
	ServerError Reason = "ServerError"
	// Unsupported: the kind of server does not have it.
	Unsupported Reason = "Unsupported"
)

// otherKind is the message about a host that does not speak as servers of its kind do.
const otherKind = "%s does not answer as a server of this kind does; check the address and the kind of the server"

// Error is a failure. Its text is for the user and has no credential in it.
type Error struct {
	Reason Reason
	// Message says what is wrong and what to do.
	Message string
	// RetryAfter is when it is worth trying again; 0 if the server did not say.
	RetryAfter time.Duration
	// Err is what is behind it; it may be nil.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the reason and what is behind the failure.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

func failure(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// answer is what is known of an answer that was no success.
type answer struct {
	status  int
	header  http.Header
	message string
}

// explainAnswer makes an error of a server's answer.
func explainAnswer(host, what string, a answer) *Error {
	said := ""
	if a.message != "" {
		said = ": " + oneLine(a.message)
	}
	limited, after := rateLimit(a)
	switch {
	case limited:
		e := failure(RateLimited, "%s wants fewer requests; try again %s", host, later(after))
		e.RetryAfter = after
		return e
	case a.status == http.StatusUnauthorized:
		return failure(BadCredential, "%s does not accept the credential%s; check that it has not expired and is for this server", host, said)
	case a.status == http.StatusForbidden:
		return failure(NoRight, "%s does not let the credential %s%s; give the token the scopes for it, or use another one", host, what, said)
	case a.status == http.StatusNotFound:
		return failure(NotFound, "%s has nothing there to %s, or does not let the credential see it; check the address of the server and the name", host, what)
	case a.status == http.StatusConflict || a.status == http.StatusUnprocessableEntity || a.status == http.StatusBadRequest:
		return failure(Conflict, "%s refuses to %s%s", host, what, said)
	case a.status >= 300 && a.status < 400:
		return failure(ServerError, "%s redirects requests of its API; give the address that it redirects to", host)
	}
	return failure(ServerError, "%s answers with status %d when asked to %s%s; is the kind of the server right, and does it work?", host, a.status, what, said)
}

// rateLimit tells if a server turned a request away because there were too many. GitHub does that with
// 403, too, and says so in other headers.
func rateLimit(a answer) (limited bool, after time.Duration) {
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && seconds >= 0 && seconds <= 24*3600 {
		after = time.Duration(seconds) * time.Second
	}
	if a.status == http.StatusTooManyRequests {
		return true, after
	}
	if a.status != http.StatusForbidden {
		return false, 0
	}
	if a.header.Get("X-RateLimit-Remaining") == "0" {
		if at, err := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64); err == nil && after == 0 {
			after = max(0, min(time.Until(time.Unix(at, 0)), 24*time.Hour)).Round(time.Second)
		}
		return true, after
	}
	return after > 0 || strings.Contains(strings.ToLower(a.message), "rate limit"), after
}

func later(after time.Duration) string {
	if after <= 0 {
		return "later"
	}
	return "in " + after.String()
}

// explainTransport makes an error of what kept a request from being answered.
func explainTransport(ctx context.Context, host string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Err: plain(err)}
	var (
		unknownCA   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		certificate x509.CertificateInvalidError
		verify      *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		dns         *net.DNSError
		timeout     net.Error
	)
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, egress.ErrRefused):
		e.Reason, e.Message = Refused, fmt.Sprintf("%s cannot be used: its address is local to Slipway, or it redirects to one that is not allowed; an administrator can allow local addresses with --egress-allow-local", host)
	case errors.As(err, &unknownCA):
		e.Reason, e.Message = BadTLS, fmt.Sprintf("the certificate of %s is from an authority that is not known here; give the authority's certificate by caName and caNamespace", host)
	case errors.As(err, &hostname):
		e.Reason, e.Message = BadTLS, fmt.Sprintf("the certificate of %s is for another name; use the name that is in it", host)
	case errors.As(err, &certificate), errors.As(err, &verify):
		e.Reason, e.Message = BadTLS, fmt.Sprintf("the certificate of %s is not valid: %s", host, oneLine(plain(err).Error()))
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		e.Reason, e.Message = BadTLS, fmt.Sprintf("%s does not speak TLS at this port; check https:// and the port", host)
	case errors.As(err, &alert):
		e.Reason, e.Message = BadTLS, fmt.Sprintf("%s and Slipway have no version of TLS in common, or it wants a certificate of clients", host)
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Reason, e.Message = NoServer, fmt.Sprintf("there is no host %s; check the address of the server", host)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Reason, e.Message = NoServer, fmt.Sprintf("%s did not answer in time; check the address, and that Slipway may connect to it", host)
	case isSyntax(err):
		e.Reason, e.Message = ServerError, fmt.Sprintf(otherKind, host)
	default:
		// Not the whole error: it has addresses of the network that Slipway is in.
		why := "the connection failed"
		var errno syscall.Errno
		if errors.As(err, &errno) {
			why = errno.Error()
		}
		e.Reason, e.Message = NoServer, fmt.Sprintf("%s cannot be reached: %s; check the address of the server", host, why)
	}
	return e
}

// plain takes the address out of an error of an HTTP client: it may hold what a user typed.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// maxText bounds what is repeated of a server's text, in runes.
const maxText = 200

// oneLine makes a text of somebody else's fit for a message.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "�"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return text
}
