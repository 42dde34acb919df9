// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jwt verifies and issues JSON Web Tokens signed with a shared secret (HS256), as KubeSphere
// does with authentication.jwtSecret. It is the only package that imports a JWT library.
package jwt

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is the least length of the shared secret in bytes: that of the hash (RFC 7518, 3.2).
const MinSecret = 32

// Issuer names.
const (
	// IssuerSlipway is the issuer of our own tokens.
	IssuerSlipway = "slipway"
	// IssuerKubeSphere is the issuer of KubeSphere's.
	IssuerKubeSphere = "kubesphere"
)

// DefaultLifetime is how long an issued token is valid.
const DefaultLifetime = 2 * time.Hour

// DefaultClockSkew is how far the clocks of issuer and verifier may be apart.
const DefaultClockSkew = 10 * time.Second

// ErrShortSecret says that the shared secret is too short.
var ErrShortSecret = errors.New("the JWT secret is shorter than 32 bytes")

// claims are KubeSphere's, with groups in addition.
type claims struct {
	jwt.RegisteredClaims
	// Username is preferred over the subject.
	Username string `json:"username,omitempty"`
	// Groups are the groups of the user.
	Groups []string `json:"groups,omitempty"`
	// TokenType tells access tokens from those that are good for something else.
	TokenType string `json:"token_type,omitempty"`
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecret {
		return fmt.Errorf("%w: it has %d", ErrShortSecret, len(secret))
	}
	return nil
}
