// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/slipway-dev/slipway/pkg/authn"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.Claims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return token
}

func TestVerifier(t *testing.T) {
	valid := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "kubesphere", "sub": "sub", "username": "ann", "exp": now.Add(time.Hour).Unix()}
		if change != nil {
			change(c)
		}
		return c
	}
	hs256 := func(change func(jwt.MapClaims)) string {
		return sign(t, jwt.SigningMethodHS256, secret, valid(change))
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(key string, value any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c[key] = value }
	}
	unset := func(key string) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { delete(c, key) }
	}
	good := hs256(nil)

	cases := map[string]struct {
		reason      string
		token       string
		want        user.Info
		wantRefused string
	}{
		"good":          {reason: "the claim username names the user", token: good, want: &user.DefaultInfo{Name: "ann"}},
		"subject":       {reason: "else the subject does", token: hs256(unset("username")), want: &user.DefaultInfo{Name: "sub"}},
		"groups":        {reason: "groups are taken over", token: hs256(set("groups", []string{"dev"})), want: &user.DefaultInfo{Name: "ann", Groups: []string{"dev"}}},
		"skew":          {reason: "clocks may differ a little", token: hs256(set("exp", now.Add(-5*time.Second).Unix())), want: &user.DefaultInfo{Name: "ann"}},
		"expired":       {reason: "the time is told", token: hs256(set("exp", now.Add(-time.Hour).Unix())), wantRefused: "token has expired at 2026-03-01T11:00:00Z"},
		"no expiry":     {reason: "a token without end is not accepted", token: hs256(unset("exp")), wantRefused: "no time of expiry"},
		"expiry text":   {reason: "a wrong type is no way around it", token: hs256(set("exp", "never")), wantRefused: "malformed"},
		"not yet":       {reason: "nbf counts", token: hs256(set("nbf", now.Add(time.Hour).Unix())), wantRefused: "not valid before"},
		"future":        {reason: "iat counts", token: hs256(set("iat", now.Add(time.Hour).Unix())), wantRefused: "issued at"},
		"issuer":        {reason: "only known issuers", token: hs256(set("iss", "evil")), wantRefused: `issuer "evil" is not accepted`},
		"no issuer":     {reason: "an issuer is needed", token: hs256(unset("iss")), wantRefused: "issuer"},
		"masters":       {reason: "a shared secret must not make cluster administrators", token: hs256(set("groups", []string{"dev", "system:masters"})), wantRefused: "only Kubernetes may give"},
		"system user":   {reason: "nor system users", token: hs256(set("username", "system:admin")), wantRefused: "only Kubernetes may give"},
		"no name":       {reason: "a user has a name", token: hs256(func(c jwt.MapClaims) { delete(c, "username"); delete(c, "sub") }), wantRefused: "empty"},
		"refresh token": {reason: "it is good for something else", token: hs256(set("token_type", "refresh_token")), wantRefused: "not an access token"},
		"none": {
			reason: "an unsigned token is not accepted",
			token:  sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, valid(nil)), wantRefused: "algorithm none is not accepted",
		},
		"stripped signature": {reason: "nor one whose signature was cut off", token: good[:strings.LastIndex(good, ".")+1], wantRefused: "signature does not match"},
		"wrong secret": {
			reason: "the signature counts",
			token:  sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), valid(nil)), wantRefused: "signature does not match",
		},
		"wrong secret and expired": {
			reason: "nothing is told of a token that is not ours",
			token:  sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), valid(set("exp", int64(1)))), wantRefused: "signature does not match",
		},
		"changed payload": {
			reason: "claims of another token do not fit the signature",
			token:  splice(good, hs256(set("username", "bob"))), wantRefused: "signature does not match",
		},
		"hs512":         {reason: "algorithms are pinned", token: sign(t, jwt.SigningMethodHS512, secret, valid(nil)), wantRefused: "algorithm HS512 is not accepted"},
		"es256 as ours": {reason: "our issuers sign with the secret", token: sign(t, jwt.SigningMethodES256, ecKey, valid(nil)), wantRefused: "algorithm ES256 is not accepted"},
		"es256 of another": {
			reason: "Kubernetes' own tokens are for somebody else to check",
			token:  sign(t, jwt.SigningMethodES256, ecKey, valid(set("iss", "https://kubernetes.default.svc"))),
		},
		"opaque": {reason: "not a JWT", token: "abcdef"},
		"dots":   {reason: "not a JWT", token: "a.b.c"},
	}
	verifier, err := NewVerifier(VerifierOptions{Secret: secret, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok, err := verifier.AuthenticateToken(context.Background(), tc.token)
			if tc.wantRefused != "" {
				if message, refused := authn.IsRefused(err); !refused || ok || !strings.Contains(message, tc.wantRefused) {
					t.Errorf("%s: ok %v, error %v, want it refused with %q", tc.reason, ok, err, tc.wantRefused)
				}
				return
			}
			if err != nil || ok != (tc.want != nil) {
				t.Fatalf("%s: ok %v, error %v", tc.reason, ok, err)
			}
			if ok {
				if diff := cmp.Diff(tc.want, got.User); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
			}
		})
	}
}

// splice gives the header and signature of one token with the payload of another.
func splice(signed, payload string) string {
	parts, other := strings.Split(signed, "."), strings.Split(payload, ".")
	return strings.Join([]string{parts[0], other[1], parts[2]}, ".")
}

func TestIssuer(t *testing.T) {
	issuer, err := NewIssuer(secret, 0)
	if err != nil {
		t.Fatalf("NewIssuer: %v", err)
	}
	token, lifetime, err := issuer.Issue("ann", []string{"dev"})
	if err != nil || lifetime != 2*time.Hour {
		t.Fatalf("Issue: %v, lifetime %v, want two hours", err, lifetime)
	}
	verifier, err := NewVerifier(VerifierOptions{Secret: secret})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	got, ok, err := verifier.AuthenticateToken(context.Background(), token)
	if err != nil || !ok {
		t.Fatalf("AuthenticateToken of an issued token: %v, %v", ok, err)
	}
	if diff := cmp.Diff(&user.DefaultInfo{Name: "ann", Groups: []string{"dev"}}, got.User); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, _, err := issuer.Issue("ann", []string{"system:masters"}); err == nil {
		t.Error("Issue with system:masters: no error, want one")
	}
}

func TestShortSecret(t *testing.T) {
	if _, err := NewIssuer([]byte("short"), 0); !errors.Is(err, ErrShortSecret) {
		t.Errorf("NewIssuer: %v, want ErrShortSecret", err)
	}
	if _, err := NewVerifier(VerifierOptions{Secret: []byte("short")}); !errors.Is(err, ErrShortSecret) {
		t.Errorf("NewVerifier: %v, want ErrShortSecret", err)
	}
}
