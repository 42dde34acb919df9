// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
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
		tree, err := commit.Tree()
		if err != nil {
			return fmt.Errorf("tree of %s: %w", head.Commit, err)
		}
		left := limit.Bytes
		return each(ctx, tree, func(f *object.File) error {
			listed, read := wanted(f.Name)
			if !listed {
				return nil
			}
			if len(out) == limit.Count {
				return fmt.Errorf("%w: it has more than %d files", ErrTooLarge, limit.Count)
			}
			out[f.Name] = nil
			if !read {
				return nil
			}
			if left -= f.Size; left < 0 {
				return fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit.Bytes)
			}
			data, err := contentOf(f)
			out[f.Name] = data
			return err
		})
	})
	return out, err
}

func each(ctx context.Context, tree *object.Tree, see func(*object.File) error) error {
	files := tree.Files()
	defer files.Close()
	for {
		f, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("files of the repository: %w", err)
		}
		if !f.Mode.IsRegular() && !f.Mode.IsFile() || f.Mode.IsMalformed() {
			continue
		}
		if err := see(f); err != nil {
			return err
		}
	}
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
