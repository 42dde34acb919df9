// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// Both APIs' view of multi-branch jobs. All functions here that make beans need s.mu to be held, at least for reading, until they are
// rendered.

const (
	classBranch     = "io.jenkins.blueocean.rest.impl.pipeline.BranchImpl"
	classBranchView = "jenkins.branch.MultiBranchProjectViewHolder$ViewImpl"
)

func displayNameOrNull(it *item) any {
	if n := it.displayName(); n != it.Name {
		return n
	}
	return nil
}

// multibranchFields adds what the classic API has of a multi-branch job.
func (s *Server) multibranchFields(base string, it *item, o *object) *object {
	view := func(tags bool) *object { return s.branchView(base, it, tags) }
	sources := []*object{}
	for range it.cfg.multi.sources {
		sources = append(sources, bean(""))
	}
	return o.set("healthReport", []*object{}).
		lazy(1, "jobs", func() any { return s.childBeans(base, it) }).
		lazy(1, "primaryView", func() any { return view(false) }).
		lazy(1, "views", func() any {
			views := []*object{view(false)}
			if slices.ContainsFunc(it.children(), isTag) {
				views = append(views, view(true))
			}
			return views
		}).
		set("buildable", it.cfg.multi.sources > 0 && !it.cfg.disabled).
		set("sources", sources)
}

func isTag(k *item) bool { return k.Branch != nil && k.Branch.Tag }

// branchView is the view of the branches, or of the tags. Before there are any it is Jenkins' view of all.
func (s *Server) branchView(base string, it *item, tags bool) *object {
	url := base + it.path()
	kids := slices.DeleteFunc(it.children(), func(k *item) bool { return isTag(k) != tags })
	jobs := func() any {
		return list{len(kids), func(i int) *object { return s.itemBean(base, kids[i]) }}
	}
	switch {
	case tags:
		return bean(classBranchView).set("description", nil).lazy(1, "jobs", jobs).vis(3, "name", "tags").
			set("property", []*object{}).vis(3, "url", url+"view/tags/")
	case len(it.kids) == 0:
		return bean("hudson.model.AllView").set("description", nil).lazy(1, "jobs", jobs).vis(3, "name", "All").
			set("property", []*object{}).vis(3, "url", url)
	}
	return bean(classBranchView).set("description", nil).lazy(1, "jobs", jobs).vis(3, "name", "default").
		set("property", []*object{}).vis(3, "url", url)
}

// revisionBeans are the actions of a build that say which commit it is of.
func revisionBeans(it *item, b *store.Build) []*object {
	if b.Commit == "" {
		return nil
	}
	branch, remote := strings.TrimPrefix(it.cfg.scm.branch, "*/"), it.cfg.scm.url
	var out []*object
	if it.isBranch() {
		branch, remote = it.Branch.Name, it.up.cfg.multi.of(it.Branch.Source).remote
		out = append(out, bean("jenkins.scm.api.SCMRevisionAction"))
	}
	ref := bean("").vis(3, "SHA1", b.Commit).vis(3, "name", branch)
	return append(out, bean("hudson.plugins.git.util.BuildData").
		vis(2, "lastBuiltRevision", bean("").vis(3, "SHA1", b.Commit).vis(3, "branch", []*object{ref})).
		vis(2, "remoteUrls", []string{withoutPassword(remote)}).vis(2, "scmName", ""))
}

// blueMultibranch serves what is below a multi-branch job in Blue Ocean.
func (s *Server) blueMultibranch(c *call, it *item) {
	switch first := c.next(); {
	case first == "branches" && len(c.segs) == 0:
		filter := c.r.URL.Query().Get("filter")
		if !slices.Contains([]string{"", "origin", "pull-requests"}, filter) {
			fail500(c.w, c.r, "the filter is not known")
			return
		}
		s.page(c, func() []*object {
			out := []*object{}
			for _, k := range branchesOf(it) {
				if filter != "pull-requests" {
					out = append(out, s.branchBean(k))
				}
			}
			return out
		})
	case first == "runs" && len(c.segs) == 0 && c.r.Method == http.MethodPost:
		if it.cfg.multi.sources == 0 {
			fail500(c.w, c.r, "the job has no source")
			return
		}
		s.blueStart(c, it)
	case first == "runs" && len(c.segs) == 0:
		s.page(c, func() []*object { return s.branchRuns(it) })
	case first == "queue":
		s.blueQueue(c, it)
	default:
		fail404(c.w)
	}
}

// branchesOf are the branches in Blue Ocean's order: the primary one, then those whose last run ended last, then those without a run.
func branchesOf(it *item) []*item {
	kids := it.children()
	slices.SortStableFunc(kids, func(a, b *item) int {
		if pa, pb := isPrimary(a), isPrimary(b); pa != pb {
			if pa {
				return -1
			}
			return 1
		}
		la, lb := a.build("lastBuild"), b.build("lastBuild")
		switch {
		case la == nil && lb == nil:
			return 0
		case la == nil:
			return 1
		case lb == nil:
			return -1
		case la.Building != lb.Building:
			if la.Building {
				return -1
			}
			return 1
		}
		return lb.Started.Add(lb.Duration).Compare(la.Started.Add(la.Duration))
	})
	return kids
}

func isPrimary(k *item) bool { return k.Branch != nil && k.Branch.Primary }

// maxBranchRuns bounds the runs of all branches together that are listed.
const maxBranchRuns = 1000

// branchRuns are the runs of all branches, those that began last first.
func (s *Server) branchRuns(it *item) []*object {
	type run struct {
		job *item
		b   *store.Build
	}
	var runs []run
	for _, k := range it.children() {
		for i, b := range k.history() {
			if i == maxBranchRuns {
				break
			}
			runs = append(runs, run{k, b})
		}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return b.b.Started.Compare(a.b.Started) })
	out := []*object{}
	for _, r := range runs[:min(len(runs), maxBranchRuns)] {
		out = append(out, s.runBean(r.job, r.b, classBlueRun))
	}
	return out
}

// branchInfo is the branch of a run; null if its job is not one of a branch.
func branchInfo(it *item) any {
	if !it.isBranch() {
		return nil
	}
	return bean("").in("isPrimary", it.Branch.Primary).in("issues", []*object{}).in("url", it.Branch.Name)
}

// branchBean is the job of a branch.
func (s *Server) branchBean(it *item) *object {
	self := it.bluePath()
	score, _, _ := it.weather()
	// Of the path the last part is the branch's own name, encoded once.
	names := append(it.up.names(), it.displayName())
	return bean(classBranch).
		in("_links", links(append([]string{"self", self}, below(self, "scm", "actions", "runs", "trends", "queue")...)...)).
		in("actions", []*object{}).in("disabled", it.cfg.disabled).in("displayName", it.displayName()).
		in("estimatedDurationInMillis", it.estimate()).
		in("fullDisplayName", strings.ReplaceAll(strings.TrimSuffix(encodeSegments("", names), "/"), "%2B", "+")).in("fullName", it.fullName()).
		inLazy(always, "latestRun", func() any { return s.latestRunBean(it) }).
		in("name", it.Name).in("organization", "jenkins").
		inLazy(always, "parameters", func() any { return parameterBeans(it.parameters()) }).
		in("permissions", permissionsBean(false)).in("weatherScore", score).
		in("branch", branchInfo(it))
}

// scanEstimate is how long a scan takes, in milliseconds; -1 if there was none.
func scanEstimate(it *item) int64 {
	if it.Scan == nil || it.Scan.Duration == 0 {
		return -1
	}
	return it.Scan.Duration.Milliseconds()
}

// multibranchNumbers adds what only multi-branch jobs have in Blue Ocean.
func (s *Server) multibranchNumbers(it *item, o *object) {
	kids := branchesOf(it)
	names := make([]string, 0, len(kids))
	good, bad := 0, 0
	for _, k := range kids {
		names = append(names, k.Name)
		switch b := k.build("lastCompletedBuild"); {
		case b == nil:
		case b.Result == engine.ResultSuccess:
			good++
		case b.Result == engine.ResultFailure:
			bad++
		}
	}
	source := bean("io.jenkins.blueocean.rest.impl.pipeline.scm.ScmSourceImpl")
	if m := it.cfg.multi; m.class == sourceGit {
		source.in("apiUrl", withoutPassword(m.remote)).in("id", "git")
	} else {
		source.in("apiUrl", nil).in("id", nil)
	}
	o.in("numberOfFolders", 0).in("numberOfPipelines", len(kids)).in("pipelineFolderNames", []string{}).
		in("weatherScore", 100).in("branchNames", names).in("scriptPath", it.cfg.multi.scriptPath).in("scmSource", source).
		in("numberOfFailingBranches", bad).in("numberOfFailingPullRequests", 0).
		in("numberOfSuccessfulBranches", good).in("numberOfSuccessfulPullRequests", 0).
		in("totalNumberOfBranches", len(kids)).in("totalNumberOfPullRequests", 0)
}
