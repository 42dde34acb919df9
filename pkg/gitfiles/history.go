// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// maxWalk is how many commits are looked at for one answer.
const maxWalk = 20_000

// history shows a branch with everything that it leads to.
func (r *Repository) history(ctx context.Context, branch string, show func(*database, *object.Commit) error) error {
	return r.converse(ctx, func(ctx context.Context, conversation *remote) error {
		h, err := conversation.mustBranch(branch)
		if err != nil {
			return err
		}
		return r.see(ctx, conversation, layerFull, []plumbing.Hash{h.commit}, func(db *database) error {
			c, err := commitOf(db, h.commit)
			if err != nil {
				return err
			}
			return show(db, c)
		})
	})
}

// Log lists a page of the commits of a branch, newest first, and says how many there are. With the path of a
// file or folder, only those that changed it. At most the newest 20,000 commits are looked at.
func (r *Repository) Log(ctx context.Context, branch, name string, p Page) (list []*object.Commit, total int, err error) {
	if name != "" {
		if name, err = CleanDir(name); err != nil {
			return nil, 0, err
		}
	}
	list = []*object.Commit{}
	err = r.history(ctx, branch, func(db *database, c *object.Commit) error {
		seen := hashes{db: db, name: name, known: map[plumbing.Hash]plumbing.Hash{}}
		iter := object.NewCommitIterCTime(c, nil, nil)
		defer iter.Close()
		for range maxWalk {
			c, err := iter.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("read commits: %w", err)
			}
			changed := true
			if name != "" {
				if changed, err = seen.changed(c); err != nil {
					return err
				}
			}
			if !changed {
				continue
			}
			if total >= p.Offset && total < p.Offset+p.Limit {
				list = append(list, c)
			}
			total++
		}
		return nil
	})
	return list, total, err
}

// hashes finds what is at one path in many commits.
type hashes struct {
	db    storer.EncodedObjectStorer
	name  string
	known map[plumbing.Hash]plumbing.Hash
}

// of gives the hash of what is at the path; zero if there is nothing.
func (h *hashes) of(c *object.Commit) (plumbing.Hash, error) {
	if found, ok := h.known[c.TreeHash]; ok {
		return found, nil
	}
	tree, err := object.GetTree(h.db, c.TreeHash)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("tree of %s: %w", c.Hash, err)
	}
	e, err := entryAt(tree, h.name)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	found := plumbing.ZeroHash
	if e != nil {
		found = e.Hash
	}
	h.known[c.TreeHash] = found
	return found, nil
}

// changed tells if a commit changed the path: a merge did if it took it from none of its parents.
func (h *hashes) changed(c *object.Commit) (bool, error) {
	own, err := h.of(c)
	if err != nil {
		return false, err
	}
	if c.NumParents() == 0 {
		return !own.IsZero(), nil
	}
	for _, hash := range c.ParentHashes {
		parent, err := commitOf(h.db, hash)
		if err != nil {
			return false, err
		}
		before, err := h.of(parent)
		if err != nil || before == own {
			return false, err
		}
	}
	return true, nil
}

// visit is a commit to look at, with the names that still look in it as they do in the branch.
type visit struct {
	commit *object.Commit
	names  map[string]bool
}

// queue has the newest commit first.
type queue []*visit

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].commit.Committer.When.After(q[j].commit.Committer.When)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*visit)) } //nolint:forcetypeassert // nobody else pushes

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// lastCommits finds for each of the files the commit that changed it last. It follows each name to a parent
// that has it in the same form, until there is none.
func lastCommits(ctx context.Context, db storer.EncodedObjectStorer, from *object.Commit, dir string, files []File) error {
	w := &walk{db: db, dir: dir, waiting: map[plumbing.Hash]*visit{}, found: map[string]*object.Commit{}}
	names := map[string]bool{}
	for _, f := range files {
		names[f.Name] = true
	}
	w.add(from, names)
	for range maxWalk {
		if len(w.queue) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read commits: %w", err)
		}
		if err := w.step(); err != nil {
			return err
		}
	}
	for i := range files {
		files[i].Commit = w.found[files[i].Name]
	}
	return nil
}

type walk struct {
	db      storer.EncodedObjectStorer
	dir     string
	queue   queue
	waiting map[plumbing.Hash]*visit
	found   map[string]*object.Commit
}

func (w *walk) add(c *object.Commit, names map[string]bool) {
	if len(names) == 0 {
		return
	}
	if v := w.waiting[c.Hash]; v != nil {
		for name := range names {
			v.names[name] = true
		}
		return
	}
	v := &visit{commit: c, names: names}
	w.waiting[c.Hash] = v
	heap.Push(&w.queue, v)
}

// step looks at the newest commit that waits.
func (w *walk) step() error {
	v := heap.Pop(&w.queue).(*visit) //nolint:forcetypeassert // nobody else pushes
	delete(w.waiting, v.commit.Hash)
	own, err := w.entries(v.commit)
	if err != nil {
		return err
	}
	for _, hash := range v.commit.ParentHashes {
		if len(v.names) == 0 {
			return nil
		}
		parent, err := commitOf(w.db, hash)
		if err != nil {
			return err
		}
		before, err := w.entries(parent)
		if err != nil {
			return err
		}
		same := map[string]bool{}
		for name := range v.names {
			if before[name] == own[name] {
				same[name] = true
				delete(v.names, name)
			}
		}
		w.add(parent, same)
	}
	for name := range v.names {
		if w.found[name] == nil {
			w.found[name] = v.commit
		}
	}
	return nil
}

// entries gives what is in the folder at a commit.
func (w *walk) entries(c *object.Commit) (map[string]plumbing.Hash, error) {
	list := map[string]plumbing.Hash{}
	tree, err := folderOf(w.db, c, w.dir)
	if err != nil || tree == nil {
		return list, err
	}
	for _, e := range tree.Entries {
		list[e.Name] = e.Hash
	}
	return list, nil
}
