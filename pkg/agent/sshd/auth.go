// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/go-logr/logr"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

const maxKeysFile = 4 << 20

var errRefused = errors.New("key not accepted")

// checkKey accepts a key that has a line in the authorized keys file now. Lines with options are
// passed over: what they restrict (a command, an address) would not be restricted here.
func (s *Server) checkKey(log logr.Logger) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() != s.cfg.Account.Name {
			log.Info("login refused: wrong user name", "want", s.cfg.Account.Name, "remote", meta.RemoteAddr().String())
			return nil, errRefused
		}
		ok, err := authorized(s.cfg.AuthorizedKeys, key)
		if err != nil {
			log.Error(err, "login refused: cannot read the authorized keys")
			return nil, errRefused
		}
		if !ok {
			return nil, errRefused
		}
		return &ssh.Permissions{Extensions: map[string]string{"fingerprint": ssh.FingerprintSHA256(key)}}, nil
	}
}

func authorized(file string, key ssh.PublicKey) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, fmt.Errorf("authorized keys: %w", err)
	}
	defer func() { _ = f.Close() }()
	want := key.Marshal()
	sc := bufio.NewScanner(io.LimitReader(f, maxKeysFile))
	sc.Buffer(nil, maxKeysFile)
	for sc.Scan() {
		line := sc.Bytes()
		if _, err := sshkeys.ParseAuthorizedKey(string(line)); err != nil {
			continue
		}
		if have, _, _, _, err := ssh.ParseAuthorizedKey(line); err == nil && bytes.Equal(have.Marshal(), want) {
			return true, nil
		}
	}
	return false, sc.Err()
}

// LoadHostKeys reads private keys in OpenSSH or PEM format.
func LoadHostKeys(files ...string) ([]ssh.Signer, error) {
	var keys []ssh.Signer
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("host key: %w", err)
		}
		key, err := ssh.ParsePrivateKey(data)
		if err != nil {
			return nil, fmt.Errorf("host key %s: %w", name, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// isTransient tells if accept may work again in a moment.
func isTransient(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
