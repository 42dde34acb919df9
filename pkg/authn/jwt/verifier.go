// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/authn"
)

// VerifierOptions say which tokens are accepted.
type VerifierOptions struct {
	// Secret is shared with the issuer; at least MinSecret bytes.
	Secret []byte
	// Issuers are the accepted issuers. Default: slipway and kubesphere.
	Issuers []string
	// ClockSkew is how far the issuer's clock may be off. Default 10 seconds.
	ClockSkew time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Verifier checks tokens. It implements authenticator.Token.
type Verifier struct {
	secret  []byte
	issuers []string
	parser  *jwt.Parser
}

var _ authenticator.Token = &Verifier{}

// NewVerifier makes a Verifier.
func NewVerifier(options VerifierOptions) (*Verifier, error) {
	if err := checkSecret(options.Secret); err != nil {
		return nil, err
	}
	if len(options.Issuers) == 0 {
		options.Issuers = []string{IssuerSlipway, IssuerKubeSphere}
	}
	if options.ClockSkew == 0 {
		options.ClockSkew = DefaultClockSkew
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Verifier{
		secret:  options.Secret,
		issuers: options.Issuers,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(options.ClockSkew),
			jwt.WithTimeFunc(options.Now),
		),
	}, nil
}

// AuthenticateToken gives the user of a token. It has no opinion on what is not ours: opaque tokens,
// and tokens with a public key signature of an issuer that we do not know (Kubernetes signs its own
// so).
func (v *Verifier) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	ours, err := v.isOurs(token)
	if err != nil || !ours {
		return nil, false, err
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.secret, nil }); err != nil {
		return nil, false, refusal(err, &c)
	}
	u, err := v.user(&c)
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: u}, true, nil
}

// isOurs reads the header and the issuer without a check of the signature, only to decide who is to
// check it.
func (v *Verifier) isOurs(token string) (bool, error) {
	var c claims
	// An error is one of form; who is to check the token reports it.
	unverified, _, _ := v.parser.ParseUnverified(token, &c)
	if unverified == nil || unverified.Header == nil {
		// Not in the form of a JWT.
		return false, nil
	}
	algorithm, _ := unverified.Header["alg"].(string)
	switch {
	case algorithm == jwt.SigningMethodHS256.Alg():
		return true, nil
	case strings.EqualFold(algorithm, "none"), algorithm == "":
		return false, authn.Refuse("algorithm none is not accepted: the token must be signed")
	case strings.HasPrefix(algorithm, "HS"), slices.Contains(v.issuers, c.Issuer):
		return false, authn.Refuse("algorithm %s is not accepted: the token must be signed with HS256", clip(algorithm))
	}
	return false, nil
}

// user takes the user from claims whose signature is good.
func (v *Verifier) user(c *claims) (user.Info, error) {
	if !slices.Contains(v.issuers, c.Issuer) {
		return nil, authn.Refuse("issuer %q is not accepted", clip(c.Issuer))
	}
	switch c.TokenType {
	case "refresh_token", "id_token", "code":
		return nil, authn.Refuse("a token of type %s is not an access token", c.TokenType)
	}
	name := c.Username
	if name == "" {
		name = c.Subject
	}
	if err := authn.CheckName("user", name); err != nil {
		return nil, err
	}
	for _, group := range c.Groups {
		if err := authn.CheckName("group", group); err != nil {
			return nil, err
		}
	}
	return &user.DefaultInfo{Name: name, Groups: c.Groups}, nil
}

// refusal says in words why a token is not accepted. The signature goes first: what an unsigned
// token claims about time is worth nothing.
func refusal(err error, c *claims) error {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return authn.Refuse("the token is malformed")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return authn.Refuse("the token's signature does not match")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return authn.Refuse("the token has no time of expiry (exp)")
	case errors.Is(err, jwt.ErrTokenExpired):
		return authn.Refuse("token has expired at %s; get a new one by POST /oauth/token", moment(c.ExpiresAt))
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return authn.Refuse("token is not valid before %s; is the clock right?", moment(c.NotBefore))
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return authn.Refuse("token says it was issued at %s, which is in the future; is the clock right?", moment(c.IssuedAt))
	}
	return authn.Refuse("the token's claims are not valid")
}

func moment(date *jwt.NumericDate) string {
	if date == nil {
		return "an unknown time"
	}
	return date.UTC().Format(time.RFC3339)
}

// clip bounds what of an unverified token is repeated in an answer.
func clip(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "…"
	}
	return text
}
