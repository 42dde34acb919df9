// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"context"
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn"
)

// Results of authentication, as they are counted.
const (
	resultSuccess   = "success"
	resultAnonymous = "anonymous"
	resultFailure   = "failure"
	resultError     = "error"
)

// WithAuthentication finds out who the user is and removes the credential from the request. Open
// paths are served to anybody, whatever credential comes with the request. Everything else needs a
// good one: without, or with a bad one, the answer is 401; if it cannot be checked, 503.
func WithAuthentication(next http.Handler, auth authenticator.Request, open func(*http.Request) bool, count func(result string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r) {
			next.ServeHTTP(w, r)
			return
		}
		answer, ok, err := auth.AuthenticateRequest(r)
		if err != nil || !ok {
			result, failure := refusal(err)
			count(result)
			if result != resultError {
				w.Header().Set("WWW-Authenticate", `Bearer realm="slipway"`)
			}
			response.Error(w, r, failure)
			return
		}
		count(resultSuccess)
		authn.StripCredentials(r.Header)
		request.RecordFrom(r.Context()).User = answer.User.GetName()
		next.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), answer.User)))
	})
}

// refusal maps why there is no user to what is counted and what is answered.
func refusal(err error) (result string, answer error) {
	if err == nil {
		return resultAnonymous, response.Unauthorized(authn.Help)
	}
	if message, refused := authn.IsRefused(err); refused {
		return resultFailure, response.Unauthorized(message)
	}
	if errors.Is(err, context.Canceled) {
		return resultError, err
	}
	return resultError, unavailable{err, "the credential cannot be checked at the moment; try again"}
}

// unavailable answers with a 503 of its own text and keeps the cause for the log.
type unavailable struct {
	cause   error
	message string
}

// Error implements error.
func (u unavailable) Error() string { return u.message + ": " + u.cause.Error() }

// Unwrap gives first the answer, then the cause.
func (u unavailable) Unwrap() []error { return []error{response.Unavailable(u.message), u.cause} }
