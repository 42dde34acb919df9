// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"path"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const classFingerprint = "hudson.model.Fingerprint"

// fileUse is what is known of a file that was archived: its name and the builds that have it, the oldest first.
type fileUse struct {
	name   string
	builds []*store.Build
}

// findFile looks through the builds for a file. s.mu is held.
func (s *Server) findFile(hash string) fileUse {
	var found fileUse
	for _, it := range s.items {
		for _, b := range it.builds {
			list, err := s.store.Fingerprints(b.Key())
			if err != nil {
				continue
			}
			i := slices.IndexFunc(list, func(f store.Fingerprint) bool { return f.Hash == hash })
			if i < 0 {
				continue
			}
			found.builds = append(found.builds, b)
			if found.name == "" {
				found.name = path.Base(list[i].Path)
			}
		}
	}
	slices.SortFunc(found.builds, func(a, b *store.Build) int { return a.Started.Compare(b.Started) })
	return found
}

// fileBean is the fingerprint of a file; nil if no build has it. s.mu is held.
func (s *Server) fileBean(hash string) *object {
	use := s.findFile(hash)
	if len(use.builds) == 0 {
		return nil
	}
	first := use.builds[0]
	numbers := map[string][]int{}
	var jobs []string
	for _, b := range use.builds {
		name := s.items[b.Job].fullName()
		if numbers[name] == nil {
			jobs = append(jobs, name)
		}
		numbers[name] = append(numbers[name], b.Number)
	}
	usage := []*object{}
	for _, job := range jobs {
		slices.Sort(numbers[job])
		ranges := []*object{}
		for _, r := range buildRanges(numbers[job]) {
			ranges = append(ranges, bean("").in("end", r[1]).in("start", r[0]))
		}
		usage = append(usage, bean("").in("name", job).in("ranges", bean("").in("ranges", ranges)))
	}
	return bean(classFingerprint).vis(2, "fileName", use.name).vis(2, "hash", hash).
		in("original", bean("").in("name", s.items[first.Job].fullName()).in("number", first.Number)).
		vis(2, "timestamp", first.Started.UnixMilli()).in("usage", usage)
}

// fingerprintBeans are the files of a build. s.mu is held.
func (s *Server) fingerprintBeans(k store.BuildKey) []*object {
	out := []*object{}
	list, err := s.store.Fingerprints(k)
	if err != nil {
		return out
	}
	for _, f := range list {
		if o := s.fileBean(f.Hash); o != nil {
			o.class = ""
			out = append(out, o)
		}
	}
	return out
}

// fingerprint serves /fingerprint/HASH.
func (s *Server) fingerprint(c *call) {
	hash := strings.ToLower(c.next())
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	s.locked(c, func(string) any { return s.fileBean(hash) })
}
