// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/md5" //nolint:gosec // see PutArtifact
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// ErrBadPath says that the path of an artifact is not a clean relative path.
var ErrBadPath = errors.New("bad artifact path")

func sortBySeq[T any](list []*ordered[T]) {
	slices.SortFunc(list, func(a, b *ordered[T]) int { return a.Seq - b.Seq })
}

// Artifact is one archived file.
type Artifact struct {
	// Path is slash-separated, relative to the artifact folder.
	Path string
	Size int64
}

// PutArtifact stores an artifact: under another name first, then renamed, so that no half file is
// ever seen.
func (s *Store) PutArtifact(ctx context.Context, k BuildKey, name string, content io.Reader) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\x00\\") {
		return fmt.Errorf("%w: %q", ErrBadPath, name)
	}
	target := path.Join(k.slash(), "artifacts", name)
	if err := s.root.MkdirAll(path.Dir(target), 0o700); err != nil {
		return fmt.Errorf("make artifact folder: %w", err)
	}
	tmp := path.Join(k.slash(), "artifact.part")
	// Branches of one build may archive at once.
	f, err := s.createUnique(tmp)
	if err != nil {
		return fmt.Errorf("make artifact: %w", err)
	}
	sum := md5.New() //nolint:gosec // it is how Jenkins names files; nothing depends on its strength
	_, err = io.Copy(io.MultiWriter(f, sum), ctxReader{ctx, content})
	err = errors.Join(err, f.Sync(), f.Close())
	part := path.Join(k.slash(), path.Base(f.Name()))
	if err == nil {
		err = s.root.Rename(part, target)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store artifact: %w", err), s.root.Remove(part))
	}
	return s.addFingerprint(k, Fingerprint{hex.EncodeToString(sum.Sum(nil)), name})
}

func (s *Store) createUnique(prefix string) (*os.File, error) {
	for i := 0; ; i++ {
		f, err := s.root.OpenFile(prefix+strconv.Itoa(i), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

type ctxReader struct {
	ctx context.Context //nolint:containedctx // it reads during one call
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (k BuildKey) slash() string {
	return strconv.FormatUint(k.Job, 10) + "/" + strconv.Itoa(k.Number)
}

// PutScript keeps the Jenkinsfile that a build ran.
func (s *Store) PutScript(k BuildKey, script string) error {
	if err := s.root.MkdirAll(k.slash(), 0o700); err != nil {
		return fmt.Errorf("make build folder: %w", err)
	}
	if err := s.root.WriteFile(k.slash()+"/Jenkinsfile", []byte(script), 0o600); err != nil {
		return fmt.Errorf("keep Jenkinsfile: %w", err)
	}
	return nil
}

// Script reads the Jenkinsfile that a build ran; a build that had none is fs.ErrNotExist.
func (s *Store) Script(k BuildKey) (string, error) {
	data, err := s.root.ReadFile(k.slash() + "/Jenkinsfile")
	return string(data), err
}

// PutTests keeps the test results of a build, under another name first, so that no half file is seen.
func (s *Store) PutTests(k BuildKey, suites []engine.TestSuite) error {
	data, err := json.Marshal(suites)
	if err != nil {
		return fmt.Errorf("encode test results: %w", err)
	}
	if err := s.root.MkdirAll(k.slash(), 0o700); err != nil {
		return fmt.Errorf("make build folder: %w", err)
	}
	const part = "/tests.part"
	if err := s.root.WriteFile(k.slash()+part, data, 0o600); err != nil {
		return fmt.Errorf("keep test results: %w", err)
	}
	if err := s.root.Rename(k.slash()+part, k.slash()+"/tests.json"); err != nil {
		return fmt.Errorf("keep test results: %w", err)
	}
	return nil
}

// Tests reads the test results of a build; none if it recorded none.
func (s *Store) Tests(k BuildKey) ([]engine.TestSuite, error) {
	data, err := s.root.ReadFile(k.slash() + "/tests.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []engine.TestSuite
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read test results: %w", err)
	}
	return out, nil
}

// OpenArtifact opens an artifact or an artifact folder. A path that leaves the folder, by name or
// by a link, is fs.ErrNotExist.
func (s *Store) OpenArtifact(k BuildKey, name string) (*os.File, error) {
	name = strings.Trim(name, "/")
	if name == "" {
		name = "."
	}
	if !fs.ValidPath(name) || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("%w: %q: %w", ErrBadPath, name, fs.ErrNotExist)
	}
	return s.root.Open(path.Join(k.slash(), "artifacts", name))
}

// Artifacts lists the artifacts of a build by path.
func (s *Store) Artifacts(k BuildKey) ([]Artifact, error) {
	var out []Artifact
	base := path.Join(k.slash(), "artifacts")
	err := fs.WalkDir(s.root.FS(), base, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out = append(out, Artifact{Path: strings.TrimPrefix(p, base+"/"), Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list artifacts: %w", err)
	}
	return out, nil
}

// Sweep removes the files of builds that the database does not know, and of scans of jobs that it does not know.
func (s *Store) Sweep(known func(BuildKey) bool, scanned func(job uint64) bool) error {
	if err := s.sweepScratch(); err != nil {
		return err
	}
	jobs, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("list builds folder: %w", err)
	}
	for _, j := range jobs {
		id, err := strconv.ParseUint(j.Name(), 10, 64)
		if err != nil || !j.IsDir() {
			continue
		}
		builds, err := fs.ReadDir(s.root.FS(), j.Name())
		if err != nil {
			return fmt.Errorf("list builds of %s: %w", j.Name(), err)
		}
		left := 0
		for _, b := range builds {
			n, err := strconv.Atoi(b.Name())
			if err == nil && known(BuildKey{id, n}) || b.Name() == scanLog && scanned(id) {
				left++
				continue
			}
			if err := s.root.RemoveAll(j.Name() + "/" + b.Name()); err != nil {
				return fmt.Errorf("remove orphan build: %w", err)
			}
		}
		if left == 0 {
			if err := s.root.RemoveAll(j.Name()); err != nil {
				return fmt.Errorf("remove orphan job: %w", err)
			}
		}
	}
	return nil
}
