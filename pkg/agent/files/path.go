// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package files reads, writes, finds and deletes files of an agent pod for a build.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const maxPath = 4096

// CheckPath refuses what is not a plain absolute path: relative paths, ".." elements, NUL, more than
// 4096 bytes. It returns the path without double or trailing slashes. What a path may name is decided
// by whoever asks; this check only makes sure that the path is what it looks like.
func CheckPath(path string) (string, error) {
	bad := func(why string) (string, error) {
		if len(path) > 80 {
			path = strings.ToValidUTF8(path[:80], "") + "…"
		}
		return "", agent.Fail(agent.ExitUsage, "BadPath", "path %q %s", path, why)
	}
	switch {
	case len(path) > maxPath:
		return bad("is longer than 4096 bytes")
	case !filepath.IsAbs(path):
		return bad("is not absolute")
	case strings.ContainsRune(path, 0):
		return bad("has a NUL character")
	case slices.Contains(strings.Split(path, "/"), ".."):
		return bad(`has a ".." element`)
	}
	return filepath.Clean(path), nil
}

func explain(what, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return agent.Fail(agent.ExitNotFound, "NotFound", "%s %s: it does not exist", what, path).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return agent.Fail(agent.ExitError, "PermissionDenied", "%s %s: permission denied", what, path).Because(err)
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return agent.Fail(agent.ExitError, "NoSpace", "%s %s: no space left on the volume", what, path).Because(err)
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}

// Read copies a regular file to out. A missing file is a Failure of reason NotFound.
func Read(path string, out io.Writer) error {
	path, err := CheckPath(path)
	if err != nil {
		return err
	}
	// O_NONBLOCK: to open a FIFO must not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return explain("read", path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return explain("read", path, err)
	}
	if !info.Mode().IsRegular() {
		return agent.Fail(agent.ExitError, "NotAFile", "read %s: it is not a regular file", path)
	}
	if _, err := io.Copy(out, f); err != nil {
		return explain("read", path, err)
	}
	return nil
}

// Write replaces a file by what it reads from in, and makes its folders. A reader of the file sees the
// old or the new content, never a part. The mode of an existing file stays, a new one gets 0644 less
// the umask; a symbolic link is followed. If size is not negative, other than size bytes are refused
// and the file stays as it was: the end of in may be the end of a broken connection.
func Write(path string, in io.Reader, size int64) error {
	path, err := CheckPath(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return explain("write", path, err)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := fs.FileMode(0)
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return agent.Fail(agent.ExitError, "NotAFile", "write %s: it is not a regular file", path)
	case err == nil:
		mode = info.Mode().Perm()
	}
	if err := writeAtomic(path, in, size, mode); err != nil {
		return explain("write", path, err)
	}
	return nil
}

// writeAtomic writes a temporary file beside path and renames it. A mode of 0 is 0644 less the umask.
func writeAtomic(path string, in io.Reader, size int64, mode fs.FileMode) (err error) {
	f, name, err := createTemp(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(name)
		}
	}()
	n, err := io.Copy(f, in)
	if err != nil {
		return err
	}
	if size >= 0 && n != size {
		return agent.Fail(agent.ExitError, "Incomplete", "write %s: got %d bytes, want %d: the file is left as it was", path, n, size)
	}
	if mode != 0 {
		if err := f.Chmod(mode); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(name, path)
}

// createTemp is os.CreateTemp with mode 0644 less the umask, which os.CreateTemp cannot give.
func createTemp(dir string) (*os.File, string, error) {
	for try := 0; ; try++ {
		name := filepath.Join(dir, fmt.Sprintf(".slipway-write-%d-%d", os.Getpid(), try))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) && try < 1000 {
			continue
		}
		return f, name, err
	}
}
