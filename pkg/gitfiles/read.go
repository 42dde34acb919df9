// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/utils/binary"
)

// Page is a part of a list.
type Page struct {
	// Offset is how many come before it, Limit how many it has at most.
	Offset, Limit int
}

func cut[T any](list []T, p Page) []T {
	from := min(max(p.Offset, 0), len(list))
	return list[from:min(from+max(p.Limit, 0), len(list))]
}

// Branch is a branch.
type Branch struct {
	// Name is the name, as main.
	Name string
	// Ref is the full name, as refs/heads/main.
	Ref string
	// Commit is where it is; nil if it was not asked for.
	Commit *object.Commit
}

// Ref says which version of the files is meant: that of a branch, or a commit.
type Ref struct {
	// Branch is the name of a branch.
	Branch string
	// Commit is a commit in 40 hexadecimal digits; it wins.
	Commit string
}

// Check asks the server for its branches, and nothing more: it succeeds if the repository can be read.
func (r *Repository) Check(ctx context.Context) error {
	return r.converse(ctx, func(context.Context, *remote) error { return nil })
}

// Branches lists a page of the branches, by name, and says how many there are.
func (r *Repository) Branches(ctx context.Context, p Page) (list []Branch, total int, err error) {
	err = r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		all := conversation.branches()
		heads := cut(all, p)
		total = len(all)
		list, err = r.branches(ctx, conversation, heads)
		return err
	})
	return list, total, err
}

// Branch gives one branch.
func (r *Repository) Branch(ctx context.Context, name string) (b *Branch, err error) {
	err = r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		h, err := conversation.mustBranch(name)
		if err != nil {
			return err
		}
		list, err := r.branches(ctx, conversation, []head{h})
		if err == nil {
			b = &list[0]
		}
		return err
	})
	return b, err
}

// Default gives the name of the default branch; empty if the repository is empty or the server does not say.
func (r *Repository) Default(ctx context.Context) (name string, err error) {
	err = r.converse(ctx, func(_ context.Context, conversation *remote) error {
		name = conversation.main
		return nil
	})
	return name, err
}

// Pull fetches a branch now, so that what comes next is quick.
func (r *Repository) Pull(ctx context.Context, name string) error {
	return r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		h, err := conversation.mustBranch(name)
		if err != nil {
			return err
		}
		return r.see(ctx, conversation, layerTips, []plumbing.Hash{h.commit}, func(*database) error { return nil })
	})
}

// converse holds a conversation with the server.
func (r *Repository) converse(ctx context.Context, talk func(context.Context, *remote) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cache.opts.Timeout)
	defer cancel()
	done, err := r.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	conversation, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conversation.close()
	return talk(ctx, conversation)
}

func (r *remote) mustBranch(name string) (head, error) {
	if _, err := checkBranch(name); err != nil {
		return head{}, err
	}
	h, ok := r.branch(name)
	if !ok {
		return head{}, failure(ErrNotFound, "the repository has no branch %s", name)
	}
	return h, nil
}

// branches reads the commits of branches.
func (r *Repository) branches(ctx context.Context, conversation *remote, heads []head) ([]Branch, error) {
	list := []Branch{}
	if len(heads) == 0 {
		return list, nil
	}
	commits := make([]plumbing.Hash, 0, len(heads))
	for _, h := range heads {
		commits = append(commits, h.commit)
	}
	err := r.see(ctx, conversation, layerHeads, commits, func(db *database) error {
		for _, h := range heads {
			c, err := commitOf(db, h.commit)
			if err != nil {
				return err
			}
			list = append(list, Branch{Name: h.ref.Short(), Ref: string(h.ref), Commit: c})
		}
		return nil
	})
	return list, err
}

// commitOf reads a commit; it can be used without the database, but for what it leads to.
func commitOf(db storer.EncodedObjectStorer, hash plumbing.Hash) (*object.Commit, error) {
	c, err := object.GetCommit(db, hash)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, failure(ErrNotFound, "the repository has no commit %s", hash)
	case err != nil:
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	return c, nil
}

// at shows the commit of a ref with all its files.
func (r *Repository) at(ctx context.Context, ref Ref, show func(*database, *object.Commit) error) error {
	return r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		var wanted []plumbing.Hash
		var hash plumbing.Hash
		l := layerTips
		if ref.Commit == "" {
			h, err := conversation.mustBranch(ref.Branch)
			if err != nil {
				return err
			}
			hash, wanted = h.commit, []plumbing.Hash{h.commit}
		} else {
			if !plumbing.IsHash(ref.Commit) {
				return failure(ErrInvalid, "a commit is named by its 40 hexadecimal digits")
			}
			hash = plumbing.NewHash(ref.Commit)
			l, wanted = conversation.holding(hash)
		}
		if len(wanted) == 0 {
			return failure(ErrNotFound, "the repository has no commit %s", hash)
		}
		return r.see(ctx, conversation, l, wanted, func(db *database) error {
			c, err := commitOf(db, hash)
			if err != nil {
				return err
			}
			return show(db, c)
		})
	})
}

// holding says where a commit is found: alone if a branch is there, else below all branches.
func (r *remote) holding(hash plumbing.Hash) (layer, []plumbing.Hash) {
	all := []plumbing.Hash{}
	for _, h := range r.branches() {
		if h.commit == hash {
			return layerTips, []plumbing.Hash{hash}
		}
		if !slices.Contains(all, h.commit) {
			all = append(all, h.commit)
		}
	}
	return layerFull, all
}

// Commit gives a commit that a branch leads to.
func (r *Repository) Commit(ctx context.Context, hash string) (c *object.Commit, err error) {
	err = r.at(ctx, Ref{Commit: hash}, func(_ *database, found *object.Commit) error {
		c = found
		return nil
	})
	return c, err
}

// File is a file or folder.
type File struct {
	// Name is the last part of its path.
	Name string
	// Size is in bytes; 0 for folders.
	Size int64
	// Folder, Link and Binary say what it is. The content of a link is the path that it leads to; links are
	// not followed.
	Folder, Link, Binary bool
	// Content is nil if it was not asked for.
	Content []byte
	// Commit is the last one that changed it; nil if it was not asked for, or not found in time.
	Commit *object.Commit
}

// File reads a file, with its content if that is asked for.
func (r *Repository) File(ctx context.Context, ref Ref, name string, content bool) (f *File, err error) {
	if name, err = CleanPath(name); err != nil {
		return nil, err
	}
	err = r.at(ctx, ref, func(db *database, c *object.Commit) error {
		tree, err := object.GetTree(db, c.TreeHash)
		if err != nil {
			return fmt.Errorf("tree of %s: %w", c.Hash, err)
		}
		e, err := entryAt(tree, name)
		if err != nil {
			return err
		}
		switch {
		case e == nil:
			return failure(ErrNotFound, "there is no file %s", name)
		case e.Mode == filemode.Dir:
			return failure(ErrInvalid, "%s is a folder", name)
		case e.Mode == filemode.Submodule:
			return failure(ErrInvalid, "%s is a submodule: its files are in another repository", name)
		}
		left := r.cache.opts.MaxFileBytes
		f, err = readFile(db, *e, name, content, &left)
		return err
	})
	return f, err
}

// entryAt finds what is at a path of a tree; nil if there is nothing. Links and submodules are not entered.
func entryAt(tree *object.Tree, name string) (*object.TreeEntry, error) {
	e, err := tree.FindEntry(name)
	switch {
	case errors.Is(err, object.ErrEntryNotFound), errors.Is(err, object.ErrDirectoryNotFound), errors.Is(err, plumbing.ErrObjectNotFound):
		// The last is of a path that goes on behind a file.
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

// readFile describes a file; left is how many bytes of content may still be read.
func readFile(db storer.EncodedObjectStorer, e object.TreeEntry, name string, content bool, left *int64) (_ *File, err error) {
	f := &File{Name: path.Base(name), Link: e.Mode == filemode.Symlink}
	blob, err := object.GetBlob(db, e.Hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.Size = blob.Size
	if content {
		if *left -= blob.Size; *left < 0 {
			return nil, failure(ErrTooLarge, "%s has %s; no more is read. Clone the repository to get it", name, size(blob.Size))
		}
	}
	in, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if !content {
		f.Binary, err = binary.IsBinary(in)
		return f, err //nolint:wrapcheck // of a reader in memory
	}
	if f.Content, err = io.ReadAll(io.LimitReader(in, blob.Size)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.Binary = isBinary(f.Content)
	return f, nil
}

// isBinary is git's own rule: a zero byte in the beginning.
func isBinary(content []byte) bool {
	return slices.Contains(content[:min(len(content), 8000)], 0)
}

// ListOptions say what a list of files is to have.
type ListOptions struct {
	// Content reads the contents, which are bounded together as one file is.
	Content bool
	// LastCommit looks for the commits that changed the files last.
	LastCommit bool
}

// List gives the files and folders of a folder, as git sorts them; "" is the root. Submodules are left out.
func (r *Repository) List(ctx context.Context, branch, dir string, o ListOptions) (list []File, err error) {
	if dir, err = CleanDir(dir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cache.opts.Timeout)
	defer cancel()
	list = []File{}
	show := func(db *database, c *object.Commit) error {
		tree, err := folderOf(db, c, dir)
		if err != nil {
			return err
		}
		if tree == nil {
			return failure(ErrNotFound, "there is no folder %s", dir)
		}
		left := r.cache.opts.MaxFileBytes
		for _, e := range tree.Entries {
			// A folder can have a million names of one large file, each of which is read.
			if err := ctx.Err(); err != nil {
				return r.explain(err)
			}
			switch e.Mode {
			case filemode.Dir:
				list = append(list, File{Name: e.Name, Folder: true})
			case filemode.Submodule:
			default:
				f, err := readFile(db, e, e.Name, o.Content, &left)
				if err != nil {
					return err
				}
				list = append(list, *f)
			}
		}
		if o.LastCommit {
			return lastCommits(ctx, db, c, dir, list)
		}
		return nil
	}
	if !o.LastCommit {
		return list, r.at(ctx, Ref{Branch: branch}, show)
	}
	return list, r.history(ctx, branch, show)
}

// folderOf gives the tree of a folder; nil if the commit has none.
func folderOf(db storer.EncodedObjectStorer, c *object.Commit, dir string) (*object.Tree, error) {
	tree, err := object.GetTree(db, c.TreeHash)
	if err != nil {
		return nil, fmt.Errorf("tree of %s: %w", c.Hash, err)
	}
	if dir == "" {
		return tree, nil
	}
	e, err := entryAt(tree, dir)
	if err != nil || e == nil || e.Mode != filemode.Dir {
		return nil, err
	}
	if tree, err = object.GetTree(db, e.Hash); err != nil {
		return nil, fmt.Errorf("tree of %s: %w", dir, err)
	}
	return tree, nil
}
