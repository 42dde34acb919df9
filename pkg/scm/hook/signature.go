// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/slipway-dev/slipway/pkg/scm"
)

// signature checks a delivery against a secret.
type signature struct {
	// mac is what the sender calculated of the body, nil if it sends its secret instead.
	mac []byte
	// token is the digest of what the sender sent along.
	token [sha256.Size]byte
	body  []byte
}

// signatureOf finds what a delivery is signed with; ok is false if it is not signed, or not in the form
// of its kind of server. GitHub's older signatures with SHA-1 do not count.
func signatureOf(p scm.Provider, h http.Header, body []byte) (s signature, ok bool) {
	s.body = body
	switch p {
	case scm.GitLab:
		token := h.Get("X-Gitlab-Token")
		s.token = sha256.Sum256([]byte(token))
		return s, token != ""
	case scm.GitHub:
		return s.hex(prefixed(h.Get("X-Hub-Signature-256")))
	case scm.Gitea:
		if text := h.Get("X-Gitea-Signature"); text != "" {
			return s.hex(text)
		}
		return s.hex(prefixed(h.Get("X-Hub-Signature-256")))
	case scm.BitbucketCloud, scm.BitbucketServer:
		return s.hex(prefixed(h.Get("X-Hub-Signature")))
	}
	return s, false
}

// prefixed takes the name of the algorithm off.
func prefixed(text string) string {
	text, ok := strings.CutPrefix(text, "sha256=")
	if !ok {
		return ""
	}
	return text
}

func (s signature) hex(text string) (signature, bool) {
	mac, err := hex.DecodeString(text)
	if err != nil || len(mac) != sha256.Size {
		return s, false
	}
	s.mac = mac
	return s, true
}

// fits tells if the sender knows the secret. The time that it takes says nothing about the secret.
func (s signature) fits(secret []byte) bool {
	if len(secret) == 0 {
		return false
	}
	if s.mac == nil {
		want := sha256.Sum256(secret)
		return subtle.ConstantTimeCompare(want[:], s.token[:]) == 1
	}
	want := hmac.New(sha256.New, secret)
	_, _ = want.Write(s.body)
	return hmac.Equal(want.Sum(nil), s.mac)
}

// sameSecret compares what was sent with a secret, in a time that tells nothing.
func sameSecret(sent string, secret []byte) bool {
	a, b := sha256.Sum256([]byte(sent)), sha256.Sum256(secret)
	return len(secret) > 0 && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
