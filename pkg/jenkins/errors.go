// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/html"
)

// Kinds of errors. Compare with errors.Is.
var (
	// ErrNotFound says that the folder, job, build, queue item, label or artifact does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the object exists already, or is in a state that does not allow the call.
	ErrConflict = errors.New("conflict")
	// ErrUnauthorized says that Jenkins does not accept the credentials. A starting Jenkins says so for some
	// seconds to valid ones.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden says that the user of the credentials lacks a permission.
	ErrForbidden = errors.New("forbidden")
	// ErrInvalid says that the request is wrong and must not be repeated unchanged.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable says that Jenkins cannot be reached, is starting, or did not answer in time.
	ErrUnavailable = errors.New("unavailable")
	// ErrInternal says that Jenkins failed while it processed the request (500). Jenkins answers so to broken XML and
	// to broken JSON, too.
	ErrInternal = errors.New("internal error of Jenkins")
	// ErrUnexpected says that what came is no answer of Jenkins to the call: the page of a proxy, or that of another server. A call that
	// changes something may have been carried out or not.
	ErrUnexpected = errors.New("unexpected answer")
	// ErrTooLarge says that the answer is longer than the client reads into memory.
	ErrTooLarge = errors.New("answer too large")
)

// Error is what every call of this package returns when it fails.
type Error struct {
	// Op is the call, in words: "start build".
	Op string
	// Status is the HTTP status code, 0 if there was no answer.
	Status int
	// Message is one line of text: Jenkins' own words where there are some. It never holds a credential.
	Message string

	kind       error
	cause      error
	retryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	text := "jenkins: " + e.Op
	if words := e.words(); words != "" {
		text += ": " + words
	}
	return text
}

// words are the status and the message.
func (e *Error) words() string {
	if e.Status == 0 {
		return e.Message
	}
	text := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// RetryAfter is when a call may work that failed with ErrUnavailable: for one that was not sent, as Jenkins does not answer, the time to the
// next attempt to reach it; else what the answer says. 0 if that is not known.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// RetryAfter is the hint that an error of this package carries, see [Error.RetryAfter]; 0 if there is none.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.retryAfter
	}
	return 0
}

// Away tells if the error means that Jenkins does not answer now. One that starts refuses valid credentials for
// some seconds.
func Away(err error) bool { return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnauthorized) }

// Is reports whether target is the kind of e.
func (e *Error) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap returns the cause, such as context.Canceled, or nil.
func (e *Error) Unwrap() error { return e.cause }

// newError makes an error of the given kind that Jenkins did not report itself.
func newError(op string, kind error, format string, args ...any) *Error {
	return &Error{Op: op, kind: kind, Message: fmt.Sprintf(format, args...)}
}

// transportError turns a failure to get an answer into an Error. The text of *url.Error is left out, as it
// repeats the whole address.
func transportError(op string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	e := &Error{Op: op, Message: err.Error(), kind: ErrUnavailable, cause: err}
	switch {
	case errors.Is(err, context.Canceled):
		e.kind, e.Message = nil, "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = "no answer in time"
	}
	return e
}

// statusError turns an answer that is no success into an Error.
func statusError(op string, a *answer) *Error {
	msg := oneLine(a.header.Get("X-Error"))
	if msg == "" {
		msg = messageOf(a.header.Get("Content-Type"), a.body)
	}
	e := &Error{Op: op, Status: a.status, Message: msg, kind: kindOf(a.status, msg)}
	if e.kind == ErrUnavailable { //nolint:errorlint // it is one of the kinds themselves
		e.retryAfter = retryAfterOf(a.header)
	}
	if e.kind == ErrNotFound && !fromJenkins(a.header) { //nolint:errorlint // it is one of the kinds themselves
		// Taken for Jenkins' word it would say that jobs and builds are gone.
		e.kind, e.Message = ErrUnavailable, "what answers at the configured URL is not Jenkins: "+msg
	}
	return e
}

// fromJenkins tells if a page that says "not found" is Jenkins' own: its pages carry its version, Blue Ocean's answers are JSON. A proxy that has
// lost its backend sends another.
func fromJenkins(h http.Header) bool {
	return h.Get("X-Jenkins") != "" || strings.Contains(h.Get("Content-Type"), "json")
}

// maxRetryAfter bounds what is believed of a Retry-After.
const maxRetryAfter = 5 * time.Minute

// retryAfterOf reads the header Retry-After in seconds, the form that proxies send.
func retryAfterOf(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// kindOf maps a status code and Jenkins' message to a kind.
func kindOf(status int, msg string) error {
	switch status {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrUnavailable
	case http.StatusBadRequest:
		// Jenkins answers 400 both to a taken and to a bad name; the client asks for English texts.
		if strings.Contains(msg, "already exists") {
			return ErrConflict
		}
		return ErrInvalid
	}
	switch {
	case status >= 500:
		return ErrInternal
	case status >= 300:
		return ErrInvalid
	}
	return nil
}

// maxMessage bounds the text that is taken from an error page, in bytes.
const maxMessage = 300

// messageOf reduces an error body to one line: the "message" of Blue Ocean's JSON, or the visible text of an
// HTML page, or plain text.
func messageOf(contentType string, body []byte) string {
	text := strings.TrimSpace(string(body))
	switch {
	case strings.HasPrefix(text, "{"):
		if m := jsonMessage(body); m != "" {
			return oneLine(m)
		}
	case strings.Contains(contentType, "html"), strings.HasPrefix(text, "<"):
		return oneLine(htmlText(text))
	}
	return oneLine(text)
}

// unseen are the elements whose text a reader does not see.
var unseen = map[string]bool{"script": true, "style": true, "svg": true}

// htmlText returns the text that a reader sees in the main part of a page. Jenkins marks that part with
// comments; a page of the servlet container has none and is taken whole.
func htmlText(page string) string {
	z := html.NewTokenizer(strings.NewReader(page))
	var b strings.Builder
	title, hidden := "", 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			if strings.TrimSpace(b.String()) == "" {
				return title
			}
			return b.String()
		case html.CommentToken:
			switch text := string(z.Text()); {
			case strings.Contains(text, "start of main content"):
				b.Reset()
			case strings.Contains(text, "end of main content"):
				return b.String()
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			b.WriteByte(' ')
			switch {
			case unseen[string(name)]:
				hidden++
			case string(name) == "title" && z.Next() == html.TextToken && hidden == 0 && title == "":
				title = string(z.Text())
			}
		case html.EndTagToken:
			b.WriteByte(' ')
			if name, _ := z.TagName(); unseen[string(name)] {
				hidden = max(0, hidden-1)
			}
		case html.TextToken:
			if hidden == 0 {
				b.Write(z.Text())
			}
		}
	}
}

// oneLine collapses white space, drops control characters and cuts the text at maxMessage bytes.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}
