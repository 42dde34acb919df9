// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

const (
	// maxTreeEntries bounds how many entries of trees are looked at. A few small trees that name each other many times
	// make as many files as anybody likes.
	maxTreeEntries = 1_000_000
	// maxTreeDepth bounds how deep folders may be.
	maxTreeDepth = 256
)

// treeWalk walks over trees within bounds.
type treeWalk struct {
	ctx  context.Context //nolint:containedctx // it walks during one call
	db   storer.EncodedObjectStorer
	left int
	// see is called for each entry that is no folder and stops the walk with an error.
	see func(name string, e *object.TreeEntry) error
}

// step counts an entry.
func (w *treeWalk) step(depth int) error {
	if w.left--; w.left < 0 || depth > maxTreeDepth {
		return fmt.Errorf("%w: it has too many files", ErrTooLarge)
	}
	return w.ctx.Err()
}

func (w *treeWalk) entries(hash plumbing.Hash) ([]object.TreeEntry, error) {
	if hash.IsZero() {
		return nil, nil
	}
	t, err := object.GetTree(w.db, hash)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", hash, err)
	}
	return t.Entries, nil
}

// all sees what is in a tree and below it.
func (w *treeWalk) all(hash plumbing.Hash, prefix string, depth int) error {
	return w.difference(plumbing.ZeroHash, hash, prefix, depth)
}

// difference sees what is in one of two trees and not, or not the same, in the other; the zero hash is an empty tree. prefix ends
// in a slash or is empty.
func (w *treeWalk) difference(before, after plumbing.Hash, prefix string, depth int) error {
	if before == after {
		return nil
	}
	old, err := w.entries(before)
	if err != nil {
		return err
	}
	now, err := w.entries(after)
	if err != nil {
		return err
	}
	was := make(map[string]*object.TreeEntry, len(old))
	for i := range old {
		was[old[i].Name] = &old[i]
	}
	for i := range now {
		e := &now[i]
		if err := w.pair(was[e.Name], e, prefix+e.Name, depth+1); err != nil {
			return err
		}
		delete(was, e.Name)
	}
	for i := range old {
		if e := was[old[i].Name]; e != nil {
			if err := w.pair(e, nil, prefix+e.Name, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair compares what is at a path before and after; nil is nothing.
func (w *treeWalk) pair(before, after *object.TreeEntry, name string, depth int) error {
	if err := w.step(depth); err != nil {
		return err
	}
	if before != nil && after != nil && before.Mode == after.Mode && before.Hash == after.Hash {
		return nil
	}
	var dirs [2]plumbing.Hash
	var leaf *object.TreeEntry
	for i, e := range []*object.TreeEntry{before, after} {
		switch {
		case e == nil:
		case e.Mode == filemode.Dir:
			dirs[i] = e.Hash
		default:
			leaf = e
		}
	}
	if leaf != nil {
		if err := w.see(name, leaf); err != nil {
			return err
		}
	}
	return w.difference(dirs[0], dirs[1], name+"/", depth)
}
