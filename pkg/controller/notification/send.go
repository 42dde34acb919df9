// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/egress"
	"github.com/slipway-dev/slipway/pkg/version"
)

// Headers of a notification.
const (
	// HeaderSignature is "sha256=" and, in hexadecimal digits, the HMAC-SHA256 of the body with the key that
	// the Secret holds.
	HeaderSignature = "X-Slipway-Signature-256"
	// HeaderDelivery is the id of the event, the same in every try.
	HeaderDelivery = "X-Slipway-Delivery"
	// HeaderEvent is the event.
	HeaderEvent = "X-Slipway-Event"
)

const (
	// sendTimeout bounds one try.
	sendTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, so that its connection can be used again.
	maxAnswer = 16 << 10
	// maxRetryAfter bounds what a receiver can put a try off.
	maxRetryAfter = 10 * time.Minute
)

// failure is why a receiver did not take a notification.
type failure struct {
	reason string
	// after is when the receiver wants to be asked again; final says that it never does.
	after time.Duration
	final bool
}

func (f *failure) Error() string { return f.reason }

// sender posts notifications.
type sender struct{ client *http.Client }

func newSender(allowLocal bool) (*sender, error) {
	// A redirect is a failure: a signed body is for the address that was given, and for no other.
	c, err := egress.Client(egress.Options{AllowLocal: allowLocal, Timeout: sendTimeout, NoRedirects: true})
	if err != nil {
		return nil, fmt.Errorf("notifications: %w", err)
	}
	return &sender{client: c}, nil
}

// send posts one notification. The error is a *failure, without the address: those of chat services are
// secret.
func (s *sender) send(ctx context.Context, to *receiver, id, event string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return &failure{reason: "the address is not valid"}
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "slipway/"+version.Get().String())
	req.Header.Set(HeaderDelivery, id)
	req.Header.Set(HeaderEvent, event)
	if len(to.key) > 0 {
		req.Header.Set(HeaderSignature, Signature(to.key, body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return &failure{reason: withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return &failure{reason: fmt.Sprintf("the receiver answered %d, a redirect, which is not followed", resp.StatusCode)}
	case resp.StatusCode == http.StatusGone:
		return &failure{reason: "the receiver answered 410: it does not exist any more", final: true}
	}
	return &failure{reason: fmt.Sprintf("the receiver answered %d", resp.StatusCode), after: retryAfter(resp.Header.Get("Retry-After"))}
}

// Signature is the value of HeaderSignature for a body.
func Signature(key, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func retryAfter(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// withoutURL says what went wrong without the address that it went wrong with.
func withoutURL(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return fmt.Sprintf("the receiver did not answer in %s", sendTimeout)
		}
		err = wrapped.Err
	}
	if errors.Is(err, egress.ErrRefused) {
		return "the receiver's address is not allowed: it is local to the server"
	}
	// Not the whole error: it has addresses of the network that this server is in.
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return "the receiver cannot be reached: there is no host " + clip(dns.Name)
	case errors.As(err, &op):
		err = op.Err
	}
	return "the receiver cannot be reached: " + clip(err.Error())
}

// clip bounds what is told of an error.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
