// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshkeys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

const (
	// MinRSABits is the shortest RSA key that is made or accepted; OpenSSH 9 refuses less by default.
	MinRSABits = 2048
	// MaxRSABits bounds what GenerateUserKeyPair makes: a longer key costs minutes of CPU and
	// protects nothing more in practice.
	MaxRSABits = 8192

	// maxAcceptedRSABits is the longest RSA key that OpenSSH itself accepts.
	maxAcceptedRSABits = 16384
	hostRSABits        = 3072
)

// ErrKeySize is returned for a key length outside of [MinRSABits, MaxRSABits].
var ErrKeySize = errors.New("RSA key length is out of range")

// HostKey is one host key of an SSH server, in the files that OpenSSH reads.
type HostKey struct {
	// Algorithm is the short name in OpenSSH's file names: "ed25519", "rsa" or "ecdsa".
	Algorithm string
	// Private is the private key as "-----BEGIN OPENSSH PRIVATE KEY-----" PEM.
	Private []byte
	// Public is the public key as one line with a newline at its end.
	Public []byte
}

// PrivateFile is the name of the private key's file below /etc/ssh and in the Secret that the agent
// mounts: ssh_host_<algorithm>_key.
func (k HostKey) PrivateFile() string { return "ssh_host_" + k.Algorithm + "_key" }

// PublicFile is the name of the public key's file: ssh_host_<algorithm>_key.pub.
func (k HostKey) PublicFile() string { return k.PrivateFile() + ".pub" }

// GenerateHostKeys makes one host key of each kind that SSH clients in use ask for: Ed25519, RSA with
// 3072 bits and ECDSA on P-256, in this order. The RSA key takes up to about a second of CPU.
func GenerateHostKeys() ([]HostKey, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make Ed25519 host key: %w", err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, hostRSABits)
	if err != nil {
		return nil, fmt.Errorf("make RSA host key: %w", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make ECDSA host key: %w", err)
	}
	var keys []HostKey
	for _, k := range []struct {
		algorithm string
		signer    crypto.Signer
	}{{"ed25519", ed}, {"rsa", rsaKey}, {"ecdsa", ec}} {
		block, err := ssh.MarshalPrivateKey(k.signer, "slipway dev container")
		if err != nil {
			return nil, fmt.Errorf("encode %s host key: %w", k.algorithm, err)
		}
		public, err := ssh.NewPublicKey(k.signer.Public())
		if err != nil {
			return nil, fmt.Errorf("encode public %s host key: %w", k.algorithm, err)
		}
		keys = append(keys, HostKey{
			Algorithm: k.algorithm,
			Private:   pem.EncodeToMemory(block),
			Public:    ssh.MarshalAuthorizedKey(public),
		})
	}
	return keys, nil
}

// UserKeyPair is a temporary RSA key pair for a user, in the formats that the DevStar API hands out
// (GET /api/devstar_ssh/key_pair/new_temp).
type UserKeyPair struct {
	// Bits is the length of the key.
	Bits int
	// PrivatePEM is the private key in PKCS#1: "-----BEGIN RSA PRIVATE KEY-----".
	PrivatePEM string
	// PublicPEM is the public key in PKIX: "-----BEGIN PUBLIC KEY-----".
	PublicPEM string
	// AuthorizedKey is the public key as a line of authorized_keys: "ssh-rsa AAAA…" with a newline at
	// its end and no comment.
	AuthorizedKey string
}

// GenerateUserKeyPair makes an RSA key pair of that many bits. It returns ErrKeySize if bits is not
// within [MinRSABits, MaxRSABits].
func GenerateUserKeyPair(bits int) (*UserKeyPair, error) {
	if bits < MinRSABits || bits > MaxRSABits {
		return nil, fmt.Errorf("%w: %d bits, want %d to %d", ErrKeySize, bits, MinRSABits, MaxRSABits)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("make RSA key: %w", err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode public key for SSH: %w", err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return &UserKeyPair{
		Bits:          bits,
		PrivatePEM:    string(private),
		PublicPEM:     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})),
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(public)),
	}, nil
}
