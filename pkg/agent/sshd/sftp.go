// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshd

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// ServeSFTP speaks the sftp protocol on in and out until in ends. Relative paths are relative to the
// current folder.
func ServeSFTP(in io.Reader, out io.WriteCloser) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("sftp: %w", err)
	}
	s, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{in, out}, sftp.WithServerWorkingDirectory(dir))
	if err != nil {
		return fmt.Errorf("sftp: %w", err)
	}
	if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("sftp: %w", err)
	}
	return nil
}
