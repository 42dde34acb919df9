// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sealing hides the values of password parameters in PipelineRuns between their creation and
// the start of the build. A value is sealed with AES-256-GCM under a key that only Slipway has; it can be
// opened for the parameter that it was given for, in its own pipeline, and for no other.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// Mask stands in the place of a password that has been used.
	Mask = "********"
	// MaxValue is the longest value that can be sealed, in bytes: sealed, it must fit into the 64 KiB of
	// a parameter.
	MaxValue = 32 << 10
	// MinKey is the shortest key, in bytes.
	MinKey = 16

	prefix = "slipway-sealed:v1:"
	// purpose keeps the key usable for other purposes.
	purpose = "slipway sealed parameters v1"
)

// Errors of Seal and Open.
var (
	// ErrTooLong says that the value is longer than MaxValue.
	ErrTooLong = fmt.Errorf("a password has at most %d bytes", MaxValue)
	// ErrUnreadable says that a value was sealed for another parameter or with another key, or changed.
	ErrUnreadable = errors.New("the sealed value cannot be opened: it was sealed for another parameter or with another key")
)

// Place is what a value is sealed for.
type Place struct {
	// Namespace and Pipeline name the pipeline, Parameter its parameter.
	Namespace, Pipeline, Parameter string
}

// data binds a sealed value to its place. None of the names holds a NUL.
func (p Place) data() []byte {
	return []byte(strings.Join([]string{p.Namespace, p.Pipeline, p.Parameter}, "\x00"))
}

// Sealer seals and opens values. It is safe for use by several goroutines.
type Sealer struct{ aead cipher.AEAD }

// New makes a sealer. All processes that share values need the same key, of at least MinKey bytes.
func New(key []byte) (*Sealer, error) {
	if len(key) < MinKey {
		return nil, fmt.Errorf("seal parameters: the key has %d bytes; it needs %d", len(key), MinKey)
	}
	derived, err := hkdf.Key(sha256.New, key, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("seal parameters: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("seal parameters: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal parameters: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal hides a value.
func (s *Sealer) Seal(place Place, value string) (string, error) {
	if len(value) > MaxValue {
		return "", ErrTooLong
	}
	// The nonce is random and a part of what Seal gives: the cipher makes it itself.
	sealed := s.aead.Seal(nil, nil, []byte(value), place.data()) //nolint:gosec // see above
	return prefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open gives the value that was sealed for the place.
func (s *Sealer) Open(place Place, sealed string) (string, error) {
	text, ok := strings.CutPrefix(sealed, prefix)
	if !ok {
		return "", ErrUnreadable
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", ErrUnreadable
	}
	value, err := s.aead.Open(nil, nil, raw, place.data())
	if err != nil {
		return "", ErrUnreadable
	}
	return string(value), nil
}

// Sealed tells if a value looks like one that Seal made.
func Sealed(value string) bool { return strings.HasPrefix(value, prefix) }
