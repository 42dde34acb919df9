// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/slipway-dev/slipway/pkg/authn"
)

// Issuer makes tokens that a Verifier with the same secret accepts.
type Issuer struct {
	secret   []byte
	lifetime time.Duration
	now      func() time.Time
}

// NewIssuer makes an Issuer. A lifetime of 0 means DefaultLifetime.
func NewIssuer(secret []byte, lifetime time.Duration) (*Issuer, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	return &Issuer{secret: secret, lifetime: lifetime, now: time.Now}, nil
}

// Issue makes a token for the user and tells how long it is valid. Names that only Kubernetes may
// give are refused.
func (i *Issuer) Issue(username string, groups []string) (token string, lifetime time.Duration, err error) {
	if err := authn.CheckName("user", username); err != nil {
		return "", 0, err
	}
	for _, group := range groups {
		if err := authn.CheckName("group", group); err != nil {
			return "", 0, err
		}
	}
	now := i.now()
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    IssuerSlipway,
			Subject:   username,
			ID:        uuid.NewString(),
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(i.lifetime)),
		},
		Username:  username,
		Groups:    groups,
		TokenType: "access_token",
	}).SignedString(i.secret)
	if err != nil {
		return "", 0, fmt.Errorf("sign token: %w", err)
	}
	return token, i.lifetime, nil
}
