// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// shelf holds the folders of repositories, each for one user at a time, and removes those that were not
// used for longest when there are too many.
type shelf struct {
	dir string
	max int64
	now func() time.Time

	mu    sync.Mutex
	boxes map[string]*box
	made  int
}

// box is the folder of one repository. What is below dir belongs to who holds the lock.
type box struct {
	dir  string
	lock chan struct{}

	// Under the mutex of the shelf:
	users int
	used  time.Time
	bytes int64
}

func newShelf(dir string, maxBytes int64, now func() time.Time) *shelf {
	return &shelf{dir: dir, max: maxBytes, now: now, boxes: map[string]*box{}}
}

// take waits for the folder of a repository. It must be given back.
func (s *shelf) take(ctx context.Context, key string) (*box, error) {
	s.mu.Lock()
	b := s.boxes[key]
	if b == nil {
		sum := sha256.Sum256([]byte(key))
		// The number keeps it apart from one of the same key that is being removed.
		s.made++
		b = &box{dir: filepath.Join(s.dir, hex.EncodeToString(sum[:12])+"-"+strconv.Itoa(s.made)), lock: make(chan struct{}, 1)}
		s.boxes[key] = b
	}
	b.users++
	s.mu.Unlock()
	select {
	case b.lock <- struct{}{}:
		return b, nil
	case <-ctx.Done():
		s.leave(b)
		return nil, ctx.Err() //nolint:wrapcheck // the caller knows its context
	}
}

// give gives a folder back.
func (s *shelf) give(b *box) error {
	bytes, err := sizeOf(b.dir)
	s.mu.Lock()
	b.bytes = bytes
	s.mu.Unlock()
	<-b.lock
	s.leave(b)
	for _, dir := range s.overdue() {
		if rerr := os.RemoveAll(dir); rerr != nil && err == nil {
			err = fmt.Errorf("shrink the cache: %w", rerr)
		}
	}
	return err
}

func (s *shelf) leave(b *box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.users--
	b.used = s.now()
}

// overdue takes boxes off the shelf until the rest is small enough, and gives their folders.
func (s *shelf) overdue() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var total int64
	idle := []string{}
	for key, b := range s.boxes {
		total += b.bytes
		if b.users == 0 {
			idle = append(idle, key)
		}
	}
	slices.SortFunc(idle, func(a, b string) int {
		return cmp.Or(s.boxes[a].used.Compare(s.boxes[b].used), cmp.Compare(a, b))
	})
	var dirs []string
	for _, key := range idle {
		if total <= s.max && s.boxes[key].bytes > 0 {
			continue // what holds nothing goes at once
		}
		total -= s.boxes[key].bytes
		dirs = append(dirs, s.boxes[key].dir)
		delete(s.boxes, key)
	}
	return dirs
}

// sizeOf is what a folder takes on the disk, in bytes.
func sizeOf(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("size of the cache: %w", err)
	}
	return total, nil
}
