// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"
)

// signature is the author with a time.
func (a Author) signature(now time.Time) object.Signature {
	return object.Signature{Name: cmp.Or(plain(a.Name), "unknown"), Email: plain(a.Email), When: now.Truncate(time.Second)}
}

// builder makes the trees of a commit from those of another and changes.
type builder struct {
	base      storer.EncodedObjectStorer
	out       *memory.Storage
	hashes    []plumbing.Hash
	overwrite bool
}

// edit is what happens to one folder: to what is in it, and to folders in it.
type edit struct {
	puts    map[string][]byte
	deletes map[string]bool
	folders map[string]*edit
}

func newEdit() *edit {
	return &edit{puts: map[string][]byte{}, deletes: map[string]bool{}, folders: map[string]*edit{}}
}

// below gives the edit of the folder that a path is in, and the last part of the path.
func (e *edit) below(name string) (*edit, string) {
	for {
		first, rest, ok := strings.Cut(name, "/")
		if !ok {
			return e, name
		}
		if e.folders[first] == nil {
			e.folders[first] = newEdit()
		}
		e, name = e.folders[first], rest
	}
}

// build gives the tree that the change makes of one; zero is the empty tree.
func (b *builder) build(root plumbing.Hash, c *Change) (plumbing.Hash, error) {
	all := newEdit()
	for _, p := range c.Puts {
		e, name := all.below(p.Path)
		e.puts[name] = p.Content
	}
	for _, d := range c.Deletes {
		e, name := all.below(d)
		e.deletes[name] = true
	}
	tree, err := b.folder(root, "", all)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return b.put(tree)
}

// folder makes a folder's tree; root is zero for a new one.
func (b *builder) folder(root plumbing.Hash, dir string, e *edit) (*object.Tree, error) {
	entries := map[string]object.TreeEntry{}
	if !root.IsZero() {
		tree, err := object.GetTree(b.base, root)
		if err != nil {
			return nil, fmt.Errorf("tree of %s: %w", dir, err)
		}
		for _, entry := range tree.Entries {
			entries[entry.Name] = entry
		}
	}
	for name := range e.deletes {
		if err := remove(entries, dir, name, e); err != nil {
			return nil, err
		}
	}
	for name, content := range e.puts {
		if err := b.write(entries, dir, name, content); err != nil {
			return nil, err
		}
	}
	for name, inner := range e.folders {
		if err := b.enter(entries, dir, name, inner); err != nil {
			return nil, err
		}
	}
	tree := &object.Tree{}
	for _, entry := range entries {
		tree.Entries = append(tree.Entries, entry)
	}
	// Git sorts folders as if their names ended with a slash.
	slices.SortFunc(tree.Entries, func(x, y object.TreeEntry) int { return strings.Compare(sortName(x), sortName(y)) })
	return tree, nil
}

func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// remove takes an entry out of a folder.
func remove(entries map[string]object.TreeEntry, dir, name string, e *edit) error {
	full := path.Join(dir, name)
	entry, ok := entries[name]
	switch {
	case !ok:
		return failure(ErrNotFound, "there is no file %s", full)
	case entry.Mode == filemode.Submodule:
		return failure(ErrInvalid, "%s is a submodule: remove it with git, which keeps its settings too", full)
	case e.folders[name] != nil:
		return failure(ErrInvalid, "%s is to be deleted, and something in it is to be changed", full)
	}
	delete(entries, name)
	return nil
}

// write puts a file into a folder.
func (b *builder) write(entries map[string]object.TreeEntry, dir, name string, content []byte) error {
	full := path.Join(dir, name)
	mode := filemode.Regular
	if old, ok := entries[name]; ok {
		switch old.Mode {
		case filemode.Dir:
			return failure(ErrConflict, "%s is a folder", full)
		case filemode.Symlink:
			return failure(ErrInvalid, "%s is a symbolic link; delete it first", full)
		case filemode.Submodule:
			return failure(ErrInvalid, "%s is a submodule", full)
		default:
		}
		if !b.overwrite {
			return failure(ErrConflict, "%s exists already; send overwrite: true to replace it", full)
		}
		if old.Mode == filemode.Executable {
			mode = old.Mode
		}
	}
	hash, err := b.blob(content)
	if err != nil {
		return err
	}
	entries[name] = object.TreeEntry{Name: name, Mode: mode, Hash: hash}
	return nil
}

// enter changes a folder in a folder. One that has nothing left is gone, as git knows no empty folders.
func (b *builder) enter(entries map[string]object.TreeEntry, dir, name string, inner *edit) error {
	full := path.Join(dir, name)
	old, ok := entries[name]
	switch {
	case ok && old.Mode == filemode.Submodule:
		return failure(ErrInvalid, "%s is a submodule: its files are in another repository", full)
	case ok && old.Mode == filemode.Symlink:
		return failure(ErrInvalid, "%s is a symbolic link; links are not followed", full)
	case ok && old.Mode != filemode.Dir:
		return failure(ErrConflict, "%s is a file, not a folder", full)
	case !ok:
		old = object.TreeEntry{Name: name, Mode: filemode.Dir}
	}
	tree, err := b.folder(old.Hash, full, inner)
	if err != nil {
		return err
	}
	if len(tree.Entries) == 0 {
		delete(entries, name)
		return nil
	}
	if old.Hash, err = b.put(tree); err != nil {
		return err
	}
	entries[name] = old
	return nil
}

// blob stores a content.
func (b *builder) blob(content []byte) (plumbing.Hash, error) {
	o := b.out.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	o.SetSize(int64(len(content)))
	w, err := o.Writer()
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make object: %w", err)
	}
	return b.store(o)
}

// put stores a tree or commit.
func (b *builder) put(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := b.out.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make object: %w", err)
	}
	return b.store(encoded)
}

func (b *builder) store(o plumbing.EncodedObject) (plumbing.Hash, error) {
	hash, err := b.out.SetEncodedObject(o)
	if err != nil {
		return hash, fmt.Errorf("make object: %w", err)
	}
	if !slices.Contains(b.hashes, hash) {
		b.hashes = append(b.hashes, hash)
	}
	return hash, nil
}
