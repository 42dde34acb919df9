// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A clone is made in newDir inside the target folder, which may be the root of a volume and so cannot
// be renamed to. When it is complete newDir is renamed to doneDir, and from then on a killed clone is
// finished by the next one: it only moves what is in doneDir to its place.
const (
	newDir  = ".slipway-clone.new"
	doneDir = ".slipway-clone.done"
)

// ignored are names that do not make a folder non-empty: ours, and what mkfs.ext4 leaves at the root
// of a volume.
func ignored(name string) bool {
	return name == newDir || name == doneDir || name == "lost+found"
}

// content lists what is in dir apart from what is ignored. A missing folder is empty.
func content(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if !ignored(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// place moves the complete clone from doneDir into dir, .git last, so that what looks like a
// repository is one. With replace what stands in the way is deleted, otherwise it is kept and listed.
func place(dir string, replace bool) (kept []string, err error) {
	done := filepath.Join(dir, doneDir)
	entries, err := os.ReadDir(done)
	if err != nil {
		return nil, fmt.Errorf("move clone to its place: %w", err)
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return isGit(a.Name()) - isGit(b.Name()) })
	for _, e := range entries {
		to := filepath.Join(dir, e.Name())
		if _, err := os.Lstat(to); err == nil {
			if !replace {
				kept = append(kept, e.Name())
				continue
			}
			if err := os.RemoveAll(to); err != nil {
				return kept, fmt.Errorf("replace %s: %w", to, err)
			}
		}
		if err := os.Rename(filepath.Join(done, e.Name()), to); err != nil {
			return kept, fmt.Errorf("move clone to its place: %w", err)
		}
	}
	if err := os.RemoveAll(done); err != nil {
		return kept, fmt.Errorf("clean up after the clone: %w", err)
	}
	return kept, nil
}

func isGit(name string) int {
	if strings.EqualFold(name, ".git") {
		return 1
	}
	return 0
}
