// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

const (
	// maxCommits bounds how many commits Log gives, as Jenkins' git plugin does; maxPaths bounds the paths of all of them together.
	maxCommits = 1024
	maxPaths   = 200_000
	// maxMessage bounds a message and maxName the name of who committed, in bytes: what is longer is cut. maxText bounds all
	// texts and paths together.
	maxMessage = 64 << 10
	maxName    = 256
	maxText    = 8 << 20
)

// logDepths are how many commits deep Log looks, one try after the other. The last is enough for maxCommits in a row.
var logDepths = []int{16, 128, maxCommits + 76}

// Commit is a commit with the files that it changed.
type Commit struct {
	ID string
	// Author and Email are of the committer, whom Jenkins' git plugin calls the author; Time is when it was committed.
	Author, Email string
	Time          time.Time
	Message       string
	// Paths are the files that were added, changed or removed, sorted.
	Paths []string
}

// Log gives the commits that lead to one of a head and that an older commit does not have, the oldest first. Merges and commits without a
// change are left out, and so is everything beyond 1024 commits, as Jenkins' git plugin has it. A commit that the repository does not have any
// more is ErrNotFound. List must have been called.
func (r *Remote) Log(ctx context.Context, head Head, to, since string) ([]Commit, error) {
	if to == since {
		return nil, nil
	}
	if !plumbing.IsHash(since) || !plumbing.IsHash(to) {
		return nil, fmt.Errorf("commits %q to %q: %w", clip(since), clip(to), ErrNotFound)
	}
	from := plumbing.NewHash(since)
	l := logReader{from: from, to: plumbing.NewHash(to)}
	for i, depth := range logDepths {
		l.last = i == len(logDepths)-1
		err := r.fetch(ctx, fetch{wants: []plumbing.Hash{head.ref}, depth: depth, noContent: true}, func(db storer.EncodedObjectStorer) error { return l.read(ctx, db) })
		if err != nil {
			return nil, err
		}
		if l.done {
			return l.commits, nil
		}
		if l.whole {
			break
		}
	}
	if l.found {
		return l.commits, nil
	}
	// After a forced push the older commit is on no branch. Some servers still give it.
	l.last = true
	err := r.fetch(ctx, fetch{wants: []plumbing.Hash{head.ref, from}, depth: logDepths[len(logDepths)-1], noContent: true},
		func(db storer.EncodedObjectStorer) error { return l.read(ctx, db) })
	if err != nil || !l.found {
		return nil, fmt.Errorf("commit %s: %w", since, ErrNotFound)
	}
	return l.commits, nil
}

// logReader reads the commits between two out of a part of the history.
type logReader struct {
	from, to plumbing.Hash
	// last says that there will be no deeper look: what is there has to do.
	last bool
	// found says that from was there, whole that nothing was missing, done that commits is the answer.
	found, whole, done bool
	commits            []Commit
}

func (l *logReader) read(ctx context.Context, db storer.EncodedObjectStorer) error {
	old, _, err := reach(ctx, db, l.from, nil)
	if err != nil {
		return err
	}
	fresh, missing, err := reach(ctx, db, l.to, old)
	if err != nil {
		return err
	}
	l.whole = missing == 0
	if l.found = len(old) > 0 && (len(fresh) > 0 || old[l.to] != nil); !l.found {
		return nil
	}
	if l.done = l.whole || l.last; !l.done {
		return nil
	}
	l.commits, err = changesOf(ctx, db, newestFirst(fresh))
	return err
}

// newestFirst orders commits by time, but no commit comes behind one of its parents. It gives no more than maxCommits.
func newestFirst(commits map[plumbing.Hash]*object.Commit) []*object.Commit {
	children := map[plumbing.Hash]int{}
	for _, c := range commits {
		for _, p := range c.ParentHashes {
			children[p]++
		}
	}
	var ready, out []*object.Commit
	for _, c := range commits {
		if children[c.Hash] == 0 {
			ready = append(ready, c)
		}
	}
	for len(ready) > 0 && len(out) < maxCommits {
		slices.SortFunc(ready, func(a, b *object.Commit) int {
			if c := a.Committer.When.Compare(b.Committer.When); c != 0 {
				return c
			}
			return strings.Compare(a.Hash.String(), b.Hash.String())
		})
		next := ready[len(ready)-1]
		ready, out = ready[:len(ready)-1], append(out, next)
		for _, p := range next.ParentHashes {
			if children[p]--; children[p] == 0 && commits[p] != nil {
				ready = append(ready, commits[p])
			}
		}
	}
	return out
}

// reach gives the commits that can be reached from one, but those that are known, and how many parents are missing.
func reach(ctx context.Context, db storer.EncodedObjectStorer, from plumbing.Hash, known map[plumbing.Hash]*object.Commit) (map[plumbing.Hash]*object.Commit, int, error) {
	out, missing := map[plumbing.Hash]*object.Commit{}, 0
	for line := []plumbing.Hash{from}; len(line) > 0; {
		h := line[len(line)-1]
		line = line[:len(line)-1]
		if out[h] != nil || known[h] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		c, err := object.GetCommit(db, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			missing++
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("commit %s: %w", h, err)
		}
		out[h] = c
		line = append(line, c.ParentHashes...)
	}
	return out, missing, nil
}

// changesOf gives what the commits changed, in the opposite order.
func changesOf(ctx context.Context, db storer.EncodedObjectStorer, list []*object.Commit) ([]Commit, error) {
	w := &treeWalk{ctx: ctx, db: db, left: maxTreeEntries}
	out, total, size := []Commit{}, 0, 0
	for _, c := range slices.Backward(list) {
		if len(c.ParentHashes) > 1 {
			continue
		}
		paths := []string{}
		w.see = func(name string, _ *object.TreeEntry) error {
			if total++; total > maxPaths {
				return fmt.Errorf("%w: its new commits changed more than %d files", ErrTooLarge, maxPaths)
			}
			if size += len(name); size > maxText {
				return errText
			}
			paths = append(paths, name)
			return nil
		}
		if err := differences(w, c); err != nil {
			return nil, fmt.Errorf("changes of commit %s: %w", c.Hash, err)
		}
		if len(paths) == 0 {
			continue
		}
		slices.Sort(paths)
		next := Commit{ID: c.Hash.String(), Author: cut(c.Committer.Name, maxName), Email: cut(c.Committer.Email, maxName), Time: c.Committer.When,
			Message: cut(c.Message, maxMessage), Paths: paths}
		if size += len(next.Author) + len(next.Email) + len(next.Message); size > maxText {
			return nil, errText
		}
		out = append(out, next)
	}
	return out, nil
}

var errText = fmt.Errorf("%w: the messages and paths of its new commits have more than %d bytes", ErrTooLarge, maxText)

// cut shortens a text to so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// differences sees what a commit changed.
func differences(w *treeWalk, c *object.Commit) error {
	before := plumbing.ZeroHash
	if len(c.ParentHashes) == 1 {
		parent, err := object.GetCommit(w.db, c.ParentHashes[0])
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil // beyond the part of the history that was looked at
		}
		if err != nil {
			return fmt.Errorf("parent: %w", err)
		}
		before = parent.TreeHash
	}
	return w.difference(before, c.TreeHash, "", 0)
}
