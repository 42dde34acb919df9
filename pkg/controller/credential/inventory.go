// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

const (
	// maxAge is how old a list of a folder may be for a decision to write.
	maxAge = 30 * time.Second
	// failureAge is how long a list that failed is not tried again for another credential of the folder.
	failureAge = 5 * time.Second
)

// inventory is what is known of the entries of the folders in Jenkins.
type inventory struct {
	jenkins Jenkins
	now     func() time.Time

	mu      sync.Mutex
	folders map[string]*folder
	// away: the last call met no Jenkins.
	away bool
	// since is the time from which on lists count: those before tell of a Jenkins that was restarted since.
	since time.Time
	wake  chan struct{}
}

// folder is what is known of one folder. mu is held during a list, so that a write is either in the list or noted after it.
type folder struct {
	mu sync.Mutex
	// marks are by id; the mark is empty for entries of others. Nil: nothing is known.
	marks  map[string]string
	listed time.Time
	err    error
	failed time.Time
}

func newInventory(j Jenkins, now func() time.Time) *inventory {
	return &inventory{jenkins: j, now: now, folders: map[string]*folder{}, wake: make(chan struct{}, 1)}
}

func (v *inventory) folder(name string) *folder {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.folders[name] == nil {
		v.folders[name] = &folder{}
	}
	return v.folders[name]
}

// entry is what is known of one entry.
type entry struct {
	// known: the folder has been listed. If not, nothing else is set.
	known, exists bool
	// mark is empty for an entry of others.
	mark string
}

func (f *folder) entry(id string) entry {
	mark, exists := f.marks[id]
	return entry{known: f.marks != nil, exists: exists, mark: mark}
}

// peek tells of an entry without a call.
func (v *inventory) peek(name, id string) entry {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entry(id)
}

// get tells of an entry by a list that is not older than maxAge.
func (v *inventory) get(ctx context.Context, name, id string) (entry, error) {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.marks == nil || v.now().Sub(f.listed) > maxAge || f.listed.Before(v.restart()) {
		if f.err != nil && v.now().Sub(f.failed) < failureAge {
			return entry{}, f.err
		}
		if err := v.list(ctx, name, f); err != nil {
			return entry{}, err
		}
	}
	return f.entry(id), nil
}

// refresh lists a folder, however old the last list is, and gives the marks by id.
func (v *inventory) refresh(ctx context.Context, name string) (map[string]string, error) {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := v.list(ctx, name, f); err != nil {
		return nil, err
	}
	marks := make(map[string]string, len(f.marks))
	for id, mark := range f.marks {
		marks[id] = mark
	}
	return marks, nil
}

// list asks Jenkins. f.mu is held.
func (v *inventory) list(ctx context.Context, name string, f *folder) error {
	found, err := v.jenkins.ListCredentials(ctx, name)
	v.noteCall(err)
	if err != nil {
		f.marks, f.err, f.failed = nil, err, v.now()
		return err
	}
	f.marks, f.err, f.listed = make(map[string]string, len(found)), nil, v.now()
	for _, e := range found {
		f.marks[e.ID] = markOf(e.Description)
	}
	return nil
}

// wrote notes what a write left behind: an entry with a mark, or none.
func (v *inventory) wrote(name, id, mark string, exists bool) {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.marks == nil:
	case exists:
		f.marks[id] = mark
	default:
		delete(f.marks, id)
	}
}

// forget drops what is known of a folder: it turned out to be wrong.
func (v *inventory) forget(name string) {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks, f.err = nil, nil
}

// keep drops what is known of all other folders.
func (v *inventory) keep(names map[string]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.folders {
		if !names[name] {
			delete(v.folders, name)
		}
	}
}

// lastListed is when a folder was last asked for, whatever came of it.
func (v *inventory) lastListed(name string) time.Time {
	f := v.folder(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed.After(f.listed) {
		return f.failed
	}
	return f.listed
}

// noteCall follows whether Jenkins is there: after an outage it may be one that was started anew.
func (v *inventory) noteCall(err error) {
	gone := errors.Is(err, jenkins.ErrUnavailable)
	v.mu.Lock()
	back := v.away && !gone
	v.away = gone
	v.mu.Unlock()
	if back {
		v.recheck()
	}
}

func (v *inventory) recheck() {
	v.mu.Lock()
	v.since = v.now()
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

func (v *inventory) restart() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.since
}
