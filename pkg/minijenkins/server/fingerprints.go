// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const classFingerprint = "hudson.model.Fingerprint"

// maxFileBuilds bounds how many builds are looked through for a file, the newest first.
const maxFileBuilds = 1000

// fileUse is what is known of a file that was archived: its name and the builds that have it, the oldest first.
type fileUse struct {
	name   string
	builds []*store.Build
}

// findFiles looks through the builds of jobs once for files, by their sums. s.mu is held.
func (s *Server) findFiles(jobs []*item, hashes map[string]*fileUse) {
	var builds []*store.Build
	for _, it := range jobs {
		builds = append(builds, it.recent[:min(len(it.recent), maxFileBuilds)]...)
	}
	slices.SortFunc(builds, func(a, b *store.Build) int { return b.Started.Compare(a.Started) })
	builds = builds[:min(len(builds), maxFileBuilds)]
	for _, b := range slices.Backward(builds) {
		list, err := s.store.Fingerprints(b.Key())
		if err != nil {
			continue
		}
		for _, f := range list {
			use := hashes[f.Hash]
			if use == nil || len(use.builds) > 0 && use.builds[len(use.builds)-1] == b {
				continue
			}
			use.builds = append(use.builds, b)
			use.name = cmp.Or(use.name, path.Base(f.Path))
		}
	}
}

// fileBean is the fingerprint of a file; nil if no build has it. s.mu is held.
func (s *Server) fileBean(hash string, use *fileUse) *object {
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

// fingerprintBeans are the files of a build, with the builds of its top folder that have them, too: what other projects archive is theirs.
// s.mu is held.
func (s *Server) fingerprintBeans(k store.BuildKey) []*object {
	out := []*object{}
	list, err := s.store.Fingerprints(k)
	top := s.items[k.Job]
	if err != nil || top == nil || len(list) == 0 {
		return out
	}
	for !top.up.isRoot() {
		top = top.up
	}
	hashes := map[string]*fileUse{}
	for _, f := range list {
		hashes[f.Hash] = &fileUse{}
	}
	s.findFiles(top.under(), hashes)
	for _, f := range list {
		if o := s.fileBean(f.Hash, hashes[f.Hash]); o != nil {
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
	s.locked(c, func(string) any {
		use := &fileUse{}
		s.findFiles(slices.Collect(maps.Values(s.items)), map[string]*fileUse{hash: use})
		return s.fileBean(hash, use)
	})
}
