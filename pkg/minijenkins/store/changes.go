// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// PutChanges keeps the commits that are new in a build, under another name first, so that no half file is seen.
func (s *Store) PutChanges(k BuildKey, list []engine.Change) error {
	data, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode changes: %w", err)
	}
	if err := s.root.MkdirAll(k.slash(), 0o700); err != nil {
		return fmt.Errorf("make build folder: %w", err)
	}
	tmp := k.slash() + "/changes.part"
	err = s.root.WriteFile(tmp, data, 0o600)
	if err == nil {
		err = s.root.Rename(tmp, k.slash()+"/changes.json")
	}
	if err != nil {
		return fmt.Errorf("keep changes: %w", err)
	}
	return nil
}

// Changes reads the commits that are new in a build; known is false if nobody has found them out.
func (s *Store) Changes(k BuildKey) (list []engine.Change, known bool, err error) {
	data, err := s.root.ReadFile(k.slash() + "/changes.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read changes: %w", err)
	}
	return list, true, nil
}
