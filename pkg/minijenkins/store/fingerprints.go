// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// Fingerprint is the MD5 sum by which Jenkins knows an archived file again.
type Fingerprint struct {
	// Hash has 32 small hex digits; Path is that of the artifact.
	Hash, Path string
}

func (k BuildKey) fingerprints() string { return k.slash() + "/fingerprints" }

// addFingerprint notes the sum of an artifact. The lines of one build go with it when it is deleted.
func (s *Store) addFingerprint(k BuildKey, fp Fingerprint) error {
	f, err := s.root.OpenFile(k.fingerprints(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open fingerprints: %w", err)
	}
	// The line before may have been torn.
	_, err = fmt.Fprintf(f, "\n%s %q\n", fp.Hash, fp.Path)
	return errors.Join(err, f.Close())
}

var fingerprintLine = regexp.MustCompile(`^([0-9a-f]{32}) (".*")$`)

// Fingerprints are those of a build in the order in which the files were archived; a line that was torn by a crash is left out,
// and what was archived again after a restart is there once.
func (s *Store) Fingerprints(k BuildKey) ([]Fingerprint, error) {
	f, err := s.root.Open(k.fingerprints())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open fingerprints: %w", err)
	}
	defer func() { _ = f.Close() }()
	var out []Fingerprint
	known := map[Fingerprint]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := fingerprintLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		var path string
		if _, err := fmt.Sscanf(m[2], "%q", &path); err == nil && !known[Fingerprint{m[1], path}] {
			known[Fingerprint{m[1], path}] = true
			out = append(out, Fingerprint{m[1], path})
		}
	}
	return out, lines.Err()
}
