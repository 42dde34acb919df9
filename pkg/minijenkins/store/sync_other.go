// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package store

import (
	"fmt"
	"os"
)

// fdatasync brings what was written to a file to disk.
func fdatasync(f *os.File) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
