// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-dev/slipway/pkg/gitpack"
)

// layer is how much of a repository is kept. Each layer has objects of its own: one that lacks something by
// intention must not be taken for one that has it.
type layer string

const (
	// layerHeads has the commits of branches, and nothing below them.
	layerHeads layer = "heads"
	// layerTips has the commits of branches with all their files, and nothing before them.
	layerTips layer = "tips"
	// layerFull has everything that branches lead to.
	layerFull layer = "full"
)

const (
	// maxPacks is after how many additions a layer is fetched anew: each is a file that is searched.
	maxPacks = 40
	// maxHaves is how many commits the server is told that are here already.
	maxHaves = 64

	objectCache = 16 << 20
)

// havePrefix begins the names of references that say which commits a layer has.
const havePrefix = "refs/have/"

// database is an open layer.
type database struct {
	*filesystem.Storage
	dir string
}

func openLayer(b *box, l layer) (*database, error) {
	dir := filepath.Join(b.dir, string(l))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &database{Storage: filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(objectCache)), dir: dir}, nil
}

// has tells if a commit is here, with all that its layer has of it.
func (d *database) has(commit plumbing.Hash) bool {
	_, err := d.Reference(plumbing.ReferenceName(havePrefix + commit.String()))
	return err == nil
}

// worn tells if there are so many packs, or bytes, that starting again is better.
func (d *database) worn(maxBytes int64) bool {
	packs, err := d.ObjectPacks()
	if err != nil || len(packs) > maxPacks {
		return true
	}
	bytes, err := sizeOf(d.dir)
	return err != nil || bytes > maxBytes
}

// haves are the commits that are here, at most so many as a server is told.
func (d *database) haves() ([]plumbing.Hash, error) {
	refs, err := d.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	defer refs.Close()
	var list []plumbing.Hash
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && !slices.Contains(list, ref.Hash()) {
			list = append(list, ref.Hash())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	return list[:min(len(list), maxHaves)], nil
}

// see shows commits of the server in a layer: they are fetched if they are not here. Nothing that is read may
// be kept beyond the call of show.
func (r *Repository) see(ctx context.Context, conversation *remote, l layer, commits []plumbing.Hash, show func(*database) error) (err error) {
	b, err := r.cache.shelf.take(ctx, r.target.Key+"\x00"+r.address.String())
	if err != nil {
		return r.explain(err)
	}
	defer func() { err = errors.Join(err, r.cache.shelf.give(b)) }()
	d, err := r.fill(ctx, b, conversation, l, commits)
	if err != nil {
		return r.explain(err)
	}
	return errors.Join(show(d), d.Close())
}

// fill fetches what is missing.
func (r *Repository) fill(ctx context.Context, b *box, conversation *remote, l layer, commits []plumbing.Hash) (*database, error) {
	d, err := openLayer(b, l)
	if err != nil {
		return nil, err
	}
	var missing []plumbing.Hash
	for _, c := range commits {
		if !d.has(c) && !slices.Contains(missing, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return d, nil
	}
	// One repository must not fill the disk while it is in use, and so not removed.
	if d.worn(2 * r.cache.opts.MaxRepositoryBytes) {
		if err := errors.Join(d.Close(), os.RemoveAll(d.dir)); err != nil {
			return nil, fmt.Errorf("renew cache: %w", err)
		}
		if d, err = openLayer(b, l); err != nil {
			return nil, err
		}
		missing = commits
	}
	if err := r.fetch(ctx, d, conversation, l, missing); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// fetch asks the server for commits and keeps them.
func (r *Repository) fetch(ctx context.Context, d *database, conversation *remote, l layer, commits []plumbing.Hash) error {
	want := wish{wants: slices.Clone(commits)}
	var err error
	if want.haves, err = d.haves(); err != nil {
		return err
	}
	if l != layerFull && conversation.caps.Supports(capability.Shallow) {
		want.depth = 1
		if want.shallows, err = d.Shallow(); err != nil {
			return fmt.Errorf("read cache: %w", err)
		}
	}
	if l == layerHeads && conversation.caps.Supports(capability.Filter) {
		want.filter = packp.FilterTreeDepth(0)
	}
	pack, err := r.download(ctx, conversation, want)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return d.note(commits, nil) // the server says that everything is here
	}
	if err != nil {
		return inTime(ctx, err)
	}
	err = d.keep(pack, r.cache.opts.MaxRepositoryBytes)
	if err = errors.Join(err, pack.Close()); err != nil {
		return inTime(ctx, err)
	}
	return d.note(commits, pack.Shallows)
}

// inTime gives the end of the context instead of what failed by it.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // explain is called on it
	}
	return err
}

// keep checks a pack and stores it.
func (d *database) keep(pack io.Reader, maxBytes int64) error {
	checked, err := gitpack.Keep(d.dir, pack, maxBytes)
	if err != nil {
		if checked != nil {
			err = errors.Join(err, checked.Close())
		}
		return err //nolint:wrapcheck // explain is called on it
	}
	err = packfile.UpdateObjectStorage(d.Storage, checked)
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		err = nil
	}
	if err != nil {
		// The library leaves what it could not use.
		rest, _ := filepath.Glob(filepath.Join(d.dir, "objects", "pack", "tmp_*")) // it fails of a bad pattern only
		for _, name := range rest {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return errors.Join(err, checked.Close(), os.Remove(checked.Name()))
}

// note records which commits are here now.
func (d *database) note(commits, shallows []plumbing.Hash) error {
	if len(shallows) > 0 {
		known, err := d.Shallow()
		if err != nil {
			return fmt.Errorf("write cache: %w", err)
		}
		for _, s := range shallows {
			if !slices.Contains(known, s) {
				known = append(known, s)
			}
		}
		if err := d.SetShallow(known); err != nil {
			return fmt.Errorf("write cache: %w", err)
		}
	}
	for _, c := range commits {
		// The server may have sent less than it was asked for.
		if err := d.HasEncodedObject(c); err != nil {
			return fmt.Errorf("the server did not send the commit %s: %w", c, err)
		}
		if err := d.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(havePrefix+c.String()), c)); err != nil {
			return fmt.Errorf("write cache: %w", err)
		}
	}
	return nil
}
