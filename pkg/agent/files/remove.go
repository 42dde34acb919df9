// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// systemDirs are folders of an image that no build means to delete as a whole.
var systemDirs = []string{
	"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc",
	"root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
}

// Remove deletes a file or a folder with all in it; that it does not exist is no error. Symbolic links
// are deleted, not followed. Folders without write permission (Go's module cache) are made writable
// first. Where path is a mount point, its content is deleted and path stays.
func Remove(path string) error {
	path, err := CheckPath(path)
	if err != nil {
		return err
	}
	if top := strings.TrimPrefix(path, "/"); top == "" || slices.Contains(systemDirs, top) {
		return agent.Fail(agent.ExitUsage, "BadPath", "%s is a folder of the system and is not deleted", path)
	}
	err = os.RemoveAll(path)
	if errors.Is(err, fs.ErrPermission) {
		makeWritable(path)
		err = os.RemoveAll(path)
	}
	if errors.Is(err, unix.EBUSY) {
		var names []os.DirEntry
		if names, err = os.ReadDir(path); err == nil && len(names) == 0 {
			return nil
		}
		for _, n := range names {
			if rerr := os.RemoveAll(filepath.Join(path, n.Name())); rerr != nil {
				err = errors.Join(err, rerr)
			}
		}
	}
	if err != nil {
		return explain("delete", path, err)
	}
	return nil
}

// makeWritable gives the owner all rights on the folders below root as far as that is possible.
func makeWritable(root string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d == nil || !d.IsDir() {
			return nil
		}
		if info, ierr := d.Info(); ierr == nil && info.Mode().Perm()&0o700 != 0o700 {
			if os.Chmod(path, info.Mode().Perm()|0o700) == nil && err != nil { //nolint:gosec // G122: it runs with the rights of those who could swap the folder
				// The folder could not be listed before; now it can.
				makeWritable(path)
			}
		}
		if err != nil {
			return fs.SkipDir
		}
		return nil
	})
}
