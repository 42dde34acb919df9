// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ErrStashTooBig says that the stashes of a build would take more than they may.
var ErrStashTooBig = errors.New("the stashes of the build take too much space")

// Stash is a stash that is read.
type Stash struct {
	*os.File
	size int64
}

// Size is the size in bytes.
func (s *Stash) Size() int64 { return s.size }

func (k BuildKey) stashes() string { return k.slash() + "/stashes" }

// stashFile is the file of a stash. Its name is a hash, so that a stash may have any name.
func (k BuildKey) stashFile(name string) string {
	sum := sha256.Sum256([]byte(name))
	return k.stashes() + "/" + hex.EncodeToString(sum[:])
}

// StashSize is the size of a stash in bytes, 0 if there is none.
func (s *Store) StashSize(k BuildKey, name string) int64 {
	info, err := s.root.Stat(k.stashFile(name))
	if err != nil {
		return 0
	}
	return info.Size()
}

// StashesSize is the size of all stashes of a build in bytes.
func (s *Store) StashesSize(k BuildKey) (size int64, err error) {
	entries, err := fs.ReadDir(s.root.FS(), k.stashes())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("list stashes: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), stashPart) {
			// A former process was killed while it wrote it.
			if err := s.root.Remove(k.stashes() + "/" + e.Name()); err != nil {
				return 0, fmt.Errorf("remove half a stash: %w", err)
			}
			continue
		}
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size, nil
}

// stashPart begins the names of stashes that are being written.
const stashPart = "part"

// PutStash keeps a stash in place of an older one of that name. take is asked before each piece whether so
// many bytes more may be written; without them the error is ErrStashTooBig and the older stash stays.
func (s *Store) PutStash(ctx context.Context, k BuildKey, name string, content io.Reader, take func(n int) bool) error {
	if err := s.root.MkdirAll(k.stashes(), 0o700); err != nil {
		return fmt.Errorf("make stash folder: %w", err)
	}
	f, err := s.createUnique(k.stashes() + "/" + stashPart)
	if err != nil {
		return fmt.Errorf("make stash: %w", err)
	}
	part := k.stashes() + "/" + path.Base(f.Name())
	_, err = io.Copy(boundedWriter{f, take}, ctxReader{ctx, content})
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(part, k.stashFile(name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep stash: %w", err), s.root.Remove(part))
	}
	return nil
}

type boundedWriter struct {
	w    io.Writer
	take func(n int) bool
}

func (b boundedWriter) Write(p []byte) (int, error) {
	if !b.take(len(p)) {
		return 0, ErrStashTooBig
	}
	return b.w.Write(p)
}

// OpenStash opens a stash; one that does not exist is fs.ErrNotExist.
func (s *Store) OpenStash(k BuildKey, name string) (*Stash, error) {
	f, err := s.root.Open(k.stashFile(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Stash{f, info.Size()}, nil
}

// DropStashes removes all stashes of a build.
func (s *Store) DropStashes(k BuildKey) error {
	if err := s.root.RemoveAll(k.stashes()); err != nil {
		return fmt.Errorf("remove stashes: %w", err)
	}
	return nil
}
