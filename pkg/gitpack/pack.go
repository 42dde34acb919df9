// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitpack takes packs of git objects from servers that are not trusted: what they send is bounded before a
// library that knows no bounds reads it.
package gitpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// MaxObject bounds one object of a repository in bytes: a commit, a tree or a file, as the library may hold one in memory.
	MaxObject = 128 << 20
	// inflation bounds all objects together, as a multiple of the bytes that may be read from the server.
	inflation = 8
)

// ErrTooLarge says that a server sent more than may be read.
var ErrTooLarge = errors.New("the repository is too large to look into")

// Keep writes what the server sent into a file of dir and checks it there: a small pack may hold objects of any size, and the library
// that reads it has no bound.
func Keep(dir string, pack io.Reader, maxBytes int64) (f *os.File, err error) {
	if f, err = os.CreateTemp(dir, "incoming"); err != nil {
		return nil, fmt.Errorf("keep pack: %w", err)
	}
	n, err := io.Copy(f, NewBudget(maxBytes).Reader(pack))
	if err == nil && n > 0 {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			err = Check(f, maxBytes*inflation)
		}
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		// What is left there would be kept, and there may be many.
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// Check fails with ErrTooLarge if one object, or all together, would be too large when they are inflated and their deltas applied.
func Check(pack io.Reader, left int64) error {
	// A reader that can seek makes the scanner leave its buffer; this one is read from end to end.
	s := packfile.NewScanner(struct{ io.Reader }{pack})
	_, count, err := s.Header()
	if err != nil {
		return fmt.Errorf("read pack: %w", err)
	}
	for range count {
		h, err := s.NextObjectHeader()
		if err != nil {
			return fmt.Errorf("read pack: %w", err)
		}
		size, begin := h.Length, &beginning{}
		if size > MaxObject || size < 0 {
			return fmt.Errorf("%w: it has an object of %d bytes", ErrTooLarge, size)
		}
		if _, _, err := s.NextObject(begin); err != nil {
			return fmt.Errorf("read pack: %w", err)
		}
		if h.Type == plumbing.OFSDeltaObject || h.Type == plumbing.REFDeltaObject {
			grown, ok := begin.deltaTarget()
			if !ok || grown > MaxObject {
				return fmt.Errorf("%w: it has a delta that makes an object of %d bytes", ErrTooLarge, grown)
			}
			size += int64(grown)
		}
		if left -= size; left < 0 {
			return fmt.Errorf("%w: its objects have too many bytes", ErrTooLarge)
		}
	}
	return nil
}

// beginning keeps the first bytes of what is written to it.
type beginning struct {
	kept [2 * binary.MaxVarintLen64]byte
	n    int
}

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	b.n += copy(b.kept[b.n:], p)
	return len(p), nil
}

// deltaTarget is the size of what a delta makes: its second number, behind the size of what it is applied to.
func (b *beginning) deltaTarget() (uint64, bool) {
	_, n := binary.Uvarint(b.kept[:b.n])
	if n <= 0 {
		return 0, false
	}
	size, m := binary.Uvarint(b.kept[n:b.n])
	return size, m > 0
}
