// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// FilesLimit bounds what Files reads: the number of files, and the bytes of those whose content is read.
type FilesLimit struct {
	Count int
	Bytes int64
}

// Exact is a commit that is not one of the list. Some servers give it, others do not.
func (l *Refs) Exact(commit string) (Head, bool) {
	if !plumbing.IsHash(commit) {
		return Head{}, false
	}
	return Head{Name: commit, Commit: commit, ref: plumbing.NewHash(commit)}, true
}

// Files reads the plain files of a head by their paths: wanted says which are in the answer, and of which the content is read, too.
// List must have been called.
func (r *Remote) Files(ctx context.Context, head Head, limit FilesLimit, wanted func(path string) (listed, read bool)) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := r.look(ctx, []Head{head}, false, func(db storer.EncodedObjectStorer) error {
		commit, err := commitOf(db, head)
		if err != nil {
			return err
		}
		left := limit.Bytes
		w := &treeWalk{ctx: ctx, db: db, left: maxTreeEntries}
		w.see = func(name string, e *object.TreeEntry) error {
			listed, read := wanted(name)
			if !listed || e.Mode != filemode.Regular && e.Mode != filemode.Executable && e.Mode != filemode.Deprecated {
				return nil
			}
			if len(out) == limit.Count {
				return fmt.Errorf("%w: it has more than %d files", ErrTooLarge, limit.Count)
			}
			out[name] = nil
			if !read {
				return nil
			}
			blob, err := object.GetBlob(db, e.Hash)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if left -= blob.Size; left < 0 {
				return fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit.Bytes)
			}
			out[name], err = contentOf(object.NewFile(name, e.Mode, blob))
			return err
		}
		return w.all(commit.TreeHash, "", 0)
	})
	return out, err
}

func contentOf(f *object.File) ([]byte, error) {
	in, err := f.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	data, err := io.ReadAll(io.LimitReader(in, f.Size))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return data, nil
}
