// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-dev/slipway/pkg/agent"
)

// Install copies the executable src to dst with mode 0755. It is atomic, so that a container never
// sees a part of it, works while dst is running, and does nothing if dst is the same already.
func Install(src, dst string) error {
	dst, err := CheckPath(dst)
	if err != nil {
		return err
	}
	same, err := sameContent(src, dst)
	if err != nil {
		return explain("copy", src, err)
	}
	if same {
		return os.Chmod(dst, 0o755)
	}
	in, err := os.Open(src)
	if err != nil {
		return explain("copy", src, err)
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return explain("copy to", dst, err)
	}
	if err := writeAtomic(dst, in, -1, 0o755); err != nil {
		return explain("copy to", dst, err)
	}
	return nil
}

func sameContent(a, b string) (bool, error) {
	ia, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	ib, err := os.Lstat(b)
	if err != nil || !ib.Mode().IsRegular() || ia.Size() != ib.Size() {
		return false, nil // whatever is there instead is replaced
	}
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer func() { _ = fa.Close() }()
	fb, err := os.Open(b)
	if err != nil {
		return false, nil // whatever is there instead is replaced
	}
	defer func() { _ = fb.Close() }()
	ba, bb := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		na, ea := io.ReadFull(fa, ba)
		nb, _ := io.ReadFull(fb, bb)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if ea != nil {
			return errors.Is(ea, io.EOF) || errors.Is(ea, io.ErrUnexpectedEOF), nil
		}
	}
}

// CopyTree copies a folder with its files, modes and symbolic links into dst, which it makes. It is
// for the JRE and agent.jar of an agent image; each file is written atomically, what is there already
// is replaced.
func CopyTree(src, dst string) error {
	dst, err := CheckPath(dst)
	if err != nil {
		return err
	}
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return explain("copy", path, err)
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		if err := copyEntry(path, filepath.Join(dst, rel), d); err != nil {
			return explain("copy", path, err)
		}
		return nil
	})
}

func copyEntry(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		return os.MkdirAll(to, info.Mode().Perm()|0o700)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(target, to)
	case d.Type().IsRegular():
		in, err := os.Open(from)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		return writeAtomic(to, in, info.Size(), info.Mode().Perm())
	}
	return agent.Fail(agent.ExitError, "NotAFile", "%s", fmt.Sprintf("%s is neither a file, a folder nor a link", from))
}
