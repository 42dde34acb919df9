// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// scanLog is the log of the last scan in the folder of a multi-branch job.
const scanLog = "indexing.log"

// scratchDir is the folder for what is fetched to be looked at once.
const scratchDir = "scratch"

func jobDir(job uint64) string { return strconv.FormatUint(job, 10) }

// CreateScanLog makes the log of a scan of a job; that of the scan before is gone.
func (s *Store) CreateScanLog(job uint64) (*os.File, error) {
	if err := s.root.MkdirAll(jobDir(job), 0o700); err != nil {
		return nil, fmt.Errorf("make job folder: %w", err)
	}
	f, err := s.root.OpenFile(jobDir(job)+"/"+scanLog, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make scan log: %w", err)
	}
	return f, nil
}

// AppendScanLog opens the log of the last scan to add to it.
func (s *Store) AppendScanLog(job uint64) (*os.File, error) {
	f, err := s.root.OpenFile(jobDir(job)+"/"+scanLog, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open scan log: %w", err)
	}
	return f, nil
}

// ScanLog reads the log of the last scan of a job; a job that had none is fs.ErrNotExist.
func (s *Store) ScanLog(job uint64) ([]byte, error) {
	data, err := s.root.ReadFile(jobDir(job) + "/" + scanLog)
	if err != nil {
		return nil, fmt.Errorf("read scan log: %w", err)
	}
	return data, nil
}

// Scratch makes an empty folder inside of the state folder. The caller calls remove when it is done; what a crash leaves, Sweep removes.
func (s *Store) Scratch() (dir string, remove func() error, err error) {
	up := filepath.Join(s.dir, scratchDir)
	if err := os.MkdirAll(up, 0o700); err != nil {
		return "", nil, fmt.Errorf("make scratch folder: %w", err)
	}
	if dir, err = os.MkdirTemp(up, "git-"); err != nil {
		return "", nil, fmt.Errorf("make scratch folder: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// sweepScratch removes what a former process left.
func (s *Store) sweepScratch() error {
	if err := os.RemoveAll(filepath.Join(s.dir, scratchDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear scratch folder: %w", err)
	}
	return nil
}
