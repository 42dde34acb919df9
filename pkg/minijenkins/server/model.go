// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// item is a folder or a job in memory. Server.mu guards it.
type item struct {
	*store.Item
	cfg *jobConfig
	up  *item
	// kids are the children of a folder by exact name.
	kids map[string]*item
	// builds are those of a job by number; recent are the same from the newest to the oldest.
	builds map[int]*store.Build
	recent []*store.Build
	// line are the job's items in the queue, by ID.
	line []*store.QueueItem
	// live counts the builds that run.
	live int
}

func newItem(it *store.Item, cfg *jobConfig, up *item) *item {
	return &item{Item: it, cfg: cfg, up: up, kids: map[string]*item{}, builds: map[int]*store.Build{}}
}

func (it *item) isRoot() bool   { return it.up == nil }
func (it *item) isFolder() bool { return it.Kind == store.KindFolder }
func (it *item) isJob() bool    { return it.Kind == store.KindPipeline }
func (it *item) isMulti() bool  { return it.Kind == store.KindMultibranch }

// isBranch tells if the item is the job of a branch.
func (it *item) isBranch() bool { return it.Branch != nil && it.up != nil && it.up.isMulti() }

// keepDead has no builds made of a branch that is no more, whatever its config.xml says.
func (it *item) keepDead() {
	if it.Branch != nil && !it.Branch.Dead.IsZero() {
		it.cfg.disabled = true
	}
}

// displayName is what people see: of a branch its name in the repository.
func (it *item) displayName() string {
	if it.isBranch() {
		return it.Branch.Name
	}
	return it.Name
}

// names are the names from the top to the item.
func (it *item) names() []string {
	var out []string
	for i := it; !i.isRoot(); i = i.up {
		out = append(out, i.Name)
	}
	slices.Reverse(out)
	return out
}

func (it *item) fullName() string { return strings.Join(it.names(), "/") }

// path is the encoded path of the item, with slashes on both ends.
func (it *item) path() string { return "/" + encodeNames(it.names()) }

// bluePath is the path in Blue Ocean, with a slash at the end. Blue Ocean does not encode names in
// its links.
func (it *item) bluePath() string {
	if it.isBranch() {
		return it.up.bluePath() + "branches/" + encodeSegment(it.Name) + "/"
	}
	p := blueOrg
	for _, n := range it.names() {
		p += "pipelines/" + n + "/"
	}
	return p
}

func (it *item) class() string {
	switch it.Kind {
	case store.KindFolder:
		return classFolder
	case store.KindMultibranch:
		return classMultibranch
	default:
		return classWorkflowJob
	}
}

// find returns the child of a name. The root and folders made by form ignore case.
func (it *item) find(name string) *item {
	if k, ok := it.kids[name]; ok {
		return k
	}
	if it.CaseSensitive {
		return nil
	}
	for n, k := range it.kids {
		if strings.EqualFold(n, name) {
			return k
		}
	}
	return nil
}

// children are the children in Jenkins' order.
func (it *item) children() []*item {
	out := make([]*item, 0, len(it.kids))
	for _, k := range it.kids {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *item) int {
		if !it.CaseSensitive {
			if c := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); c != 0 {
				return c
			}
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// under are the item and all below it.
func (it *item) under() []*item {
	out := []*item{it}
	for _, k := range it.children() {
		out = append(out, k.under()...)
	}
	return out
}

// parameters are the definitions that count: those of config.xml, or those of the same names that the
// Jenkinsfile of the last build had instead; without any in config.xml all of that Jenkinsfile.
func (it *item) parameters() []jenkinsfile.Parameter {
	if !it.cfg.hasParameters {
		return it.Parameters
	}
	if len(it.Parameters) == 0 {
		return it.cfg.parameters
	}
	out := slices.Clone(it.cfg.parameters)
	for i := range out {
		if at := slices.IndexFunc(it.Parameters, func(d jenkinsfile.Parameter) bool { return d.Name == out[i].Name }); at >= 0 {
			out[i] = it.Parameters[at]
		}
	}
	return out
}

func (it *item) noConcurrent() bool { return it.cfg.noConcurrent || it.NoConcurrent }

// history are the builds from the newest to the oldest. It must not be changed, nor used when
// Server.mu is not held.
func (it *item) history() []*store.Build { return it.recent }

// place returns the place of a number in the history, or where it would be.
func (it *item) place(n int) (int, bool) {
	return slices.BinarySearchFunc(it.recent, n, func(b *store.Build, n int) int { return n - b.Number })
}

func (it *item) addBuild(b *store.Build) {
	if i, known := it.place(b.Number); !known {
		it.recent = slices.Insert(it.recent, i, b)
	}
	it.builds[b.Number] = b
}

func (it *item) dropBuild(n int) {
	if i, known := it.place(n); known {
		it.recent = slices.Delete(it.recent, i, i+1)
	}
	delete(it.builds, n)
}

// buildFilters are the permalinks of a job.
var buildFilters = []struct {
	name string
	ok   func(*store.Build) bool
}{
	{"lastBuild", func(*store.Build) bool { return true }},
	{"lastCompletedBuild", func(b *store.Build) bool { return !b.Building }},
	{"lastFailedBuild", func(b *store.Build) bool { return !b.Building && b.Result == engine.ResultFailure }},
	{"lastStableBuild", func(b *store.Build) bool { return !b.Building && b.Result == engine.ResultSuccess }},
	{"lastSuccessfulBuild", func(b *store.Build) bool {
		return !b.Building && (b.Result == engine.ResultSuccess || b.Result == engine.ResultUnstable)
	}},
	{"lastUnstableBuild", func(b *store.Build) bool { return !b.Building && b.Result == engine.ResultUnstable }},
	{"lastUnsuccessfulBuild", func(b *store.Build) bool { return !b.Building && b.Result != engine.ResultSuccess }},
}

// build finds a build by number or permalink.
func (it *item) build(ref string) *store.Build {
	if n, err := strconv.Atoi(ref); err == nil && strconv.Itoa(n) == ref {
		return it.builds[n]
	}
	for _, f := range buildFilters {
		if f.name == ref {
			return first(it.history(), f.ok)
		}
	}
	return nil
}

func first(list []*store.Build, ok func(*store.Build) bool) *store.Build {
	for _, b := range list {
		if ok(b) {
			return b
		}
	}
	return nil
}

// around are the builds before and after one; nil where there is none.
func (it *item) around(b *store.Build) (prev, next *store.Build) {
	i, known := it.place(b.Number)
	if i > 0 {
		next = it.recent[i-1]
	}
	if known {
		i++
	}
	if i < len(it.recent) {
		prev = it.recent[i]
	}
	return prev, next
}

// estimate is the mean duration of the last three successful of the last six builds, in
// milliseconds, else of any completed ones; -1 if there is none.
func (it *item) estimate() int64 {
	var sum, n int64
	history := it.history()
	for pass := 0; pass < 2 && n == 0; pass++ {
		for i, b := range history {
			if i >= 7 || n == 3 {
				break
			}
			good := b.Result == engine.ResultSuccess || b.Result == engine.ResultUnstable
			if !b.Building && (good || pass == 1 && b.Result == engine.ResultFailure) {
				sum += b.Duration.Milliseconds()
				n++
			}
		}
	}
	if n == 0 {
		return -1
	}
	return sum / n
}

// color is the ball of a job.
func (it *item) color() string {
	if it.cfg.disabled {
		return "disabled"
	}
	last := it.build("lastBuild")
	if last == nil {
		return "notbuilt"
	}
	suffix := ""
	if last.Building {
		suffix = "_anime"
		if last = it.build("lastCompletedBuild"); last == nil {
			return "notbuilt" + suffix
		}
	}
	switch last.Result {
	case engine.ResultSuccess:
		return "blue" + suffix
	case engine.ResultUnstable:
		return "yellow" + suffix
	case engine.ResultFailure:
		return "red" + suffix
	case engine.ResultAborted:
		return "aborted" + suffix
	default:
		return "notbuilt" + suffix
	}
}

// weather is the share of the last five completed builds that did not fail, and their number.
func (it *item) weather() (score, failed, total int) {
	for _, b := range it.history() {
		if b.Building || b.Result == engine.ResultAborted || b.Result == engine.ResultNotBuilt {
			continue
		}
		if total++; b.Result == engine.ResultFailure {
			failed++
		}
		if total == 5 {
			break
		}
	}
	if total == 0 {
		return 100, 0, 0
	}
	return 100 * (total - failed) / total, failed, total
}

// load builds the tree of items from the store.
func (s *Server) load(st *store.State) error {
	s.root = &item{Item: &store.Item{Kind: store.KindFolder}, cfg: &jobConfig{kind: store.KindFolder}, kids: map[string]*item{}}
	s.items = map[uint64]*item{}
	var errs []error
	for _, it := range st.Items {
		cfg, err := parseConfig(it.Config)
		if err != nil {
			errs = append(errs, err)
			cfg = &jobConfig{kind: it.Kind}
		}
		s.items[it.ID] = newItem(it, cfg, nil)
	}
	for _, it := range s.items {
		up := s.root
		if it.Parent != store.Root {
			if up = s.items[it.Parent]; up == nil {
				delete(s.items, it.ID)
				continue
			}
		}
		it.up = up
		up.kids[it.Name] = it
		it.keepDead()
	}
	for _, b := range st.Builds {
		if it := s.items[b.Job]; it != nil {
			it.addBuild(b)
			it.NextBuild = max(it.NextBuild, b.Number+1)
		}
	}
	for _, q := range st.Queue {
		if it := s.items[q.Job]; it != nil {
			s.addQueued(it, q)
		}
	}
	slices.SortStableFunc(s.left, func(a, b *store.QueueItem) int { return a.Left.Compare(b.Left) })
	s.templates = st.Templates
	s.credentials = credentialsOf(st.Credentials)
	s.tokens = tokensOf(st.Tokens)
	var err error
	s.views, err = viewsOf(st.Views)
	errs = append(errs, err)
	for _, c := range st.Clouds {
		s.clouds[c.Name] = c
	}
	return errors.Join(errs...)
}
