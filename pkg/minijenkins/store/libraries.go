// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// libraryFile is where a library of a build is kept. id is the last part of the name, without slashes.
func (k BuildKey) libraryFile(id string) (string, error) {
	if !fs.ValidPath(id) || id == "." || len(id) > 128 {
		return "", fmt.Errorf("%w: library %q", ErrBadPath, id)
	}
	return k.slash() + "/libraries/" + id + ".json", nil
}

// PutLibrary keeps a library of a build under its ID, under another name first, so that no half file is seen.
func (s *Store) PutLibrary(k BuildKey, l *engine.Library) error {
	file, err := k.libraryFile(l.ID)
	if err != nil {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode library: %w", err)
	}
	if err := s.root.MkdirAll(k.slash()+"/libraries", 0o700); err != nil {
		return fmt.Errorf("make library folder: %w", err)
	}
	err = s.root.WriteFile(file+".part", data, 0o600)
	if err == nil {
		err = s.root.Rename(file+".part", file)
	}
	if err != nil {
		return fmt.Errorf("keep library: %w", err)
	}
	return nil
}

// Library reads a library of a build; one that is not kept is fs.ErrNotExist.
func (s *Store) Library(k BuildKey, id string) (*engine.Library, error) {
	file, err := k.libraryFile(id)
	if err != nil {
		return nil, err
	}
	data, err := s.root.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read library: %w", err)
	}
	l := &engine.Library{}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("read library: %w", err)
	}
	return l, nil
}
