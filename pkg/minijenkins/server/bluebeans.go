// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// Blue Ocean's view of the model. All functions here that are methods need s.mu to be held, at least
// for reading, until the object is rendered.

const (
	blueOrg          = "/blue/rest/organizations/jenkins/"
	classLink        = "io.jenkins.blueocean.rest.hal.Link"
	classBlueRun     = "io.jenkins.blueocean.rest.impl.pipeline.PipelineRunImpl"
	classBlueSummary = "io.jenkins.blueocean.rest.impl.pipeline.PipelineImpl$PipelineRunSummary"
	classBlueQueued  = "io.jenkins.blueocean.service.embedded.rest.QueuedBlueRun"
	classBlueCause   = "io.jenkins.blueocean.service.embedded.rest.AbstractRunImpl$BlueCauseImpl"
	classNode        = "io.jenkins.blueocean.rest.impl.pipeline.PipelineNodeImpl"
	// blueTime is the format of times.
	blueTime = "2006-01-02T15:04:05.000-0700"
)

// links makes _links of names and addresses in turn.
func links(pairs ...string) *object {
	o := bean("")
	for i := 0; i+1 < len(pairs); i += 2 {
		o.in(pairs[i], bean(classLink).in("href", pairs[i+1]))
	}
	return o
}

func below(self string, names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n, self+n+"/")
	}
	return out
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(blueTime)
}

func organizationBean() *object {
	return bean("io.jenkins.blueocean.service.embedded.rest.OrganizationImpl").
		in("_links", links(append([]string{"self", blueOrg}, below(blueOrg, "pipelines", "user", "users")...)...)).
		in("displayName", "Jenkins").in("name", "jenkins")
}

func blueUserBean(name string) *object {
	self := "/blue/rest/users/" + name + "/"
	all := func(names ...string) *object {
		o := bean("")
		for _, n := range names {
			o.in(n, true)
		}
		return o
	}
	return bean("io.jenkins.blueocean.service.embedded.rest.UserImpl").
		in("_links", links("favorites", self+"favorites/", "self", self)).
		in("avatar", nil).in("email", nil).in("fullName", name).in("id", name).
		in("permission", bean("io.jenkins.blueocean.service.embedded.rest.UserImpl$1").in("administrator", true).
			in("credential", all("view", "create", "update", "manageDomains", "delete")).
			in("pipeline", all("read", "stop", "start", "create", "configure")))
}

// pipelineBean is a folder, a job or a multibranch job.
func (s *Server) pipelineBean(it *item) *object {
	self := it.bluePath()
	switch {
	case it.isRoot():
		self = blueOrg + "pipelines/"
	case it.isBranch():
		return s.branchBean(it)
	}
	class := "io.jenkins.blueocean.rest.impl.pipeline.PipelineImpl"
	names := []string{"scm", "actions", "runs", "trends", "queue"}
	switch it.Kind {
	case store.KindFolder:
		class = "io.jenkins.blueocean.service.embedded.rest.PipelineFolderImpl"
	case store.KindMultibranch:
		class = "io.jenkins.blueocean.rest.impl.pipeline.MultiBranchPipelineImpl"
		names = append(names, "branches")
	}
	o := bean(class).in("_links", links(append([]string{"self", self}, below(self, names...)...)...)).
		in("actions", []*object{})
	if it.Kind == store.KindMultibranch {
		o.in("disabled", nil)
	} else {
		o.in("disabled", it.cfg.disabled)
	}
	o.in("displayName", it.Name)
	switch it.Kind {
	case store.KindPipeline:
		o.in("estimatedDurationInMillis", it.estimate())
	case store.KindMultibranch:
		o.in("estimatedDurationInMillis", scanEstimate(it))
	}
	o.in("fullDisplayName", strings.TrimSuffix(encodeSegments("", it.names()), "/")).in("fullName", it.fullName())
	if it.isJob() {
		o.inLazy(always, "latestRun", func() any { return s.latestRunBean(it) })
	}
	o.in("name", it.Name).in("organization", "jenkins")
	switch it.Kind {
	case store.KindPipeline:
		o.inLazy(always, "parameters", func() any { return parameterBeans(it.parameters()) })
	default:
		o.in("parameters", nil)
	}
	o.in("permissions", permissionsBean(true))
	if it.isFolder() {
		// The names are those of folders; for a job there is null.
		folders, jobs, names := 0, 0, []any{}
		for _, k := range it.children() {
			if k.isJob() {
				jobs++
				names = append(names, nil)
			} else {
				folders++
				names = append(names, k.Name)
			}
		}
		o.in("numberOfFolders", folders).in("numberOfPipelines", jobs).in("pipelineFolderNames", names)
	}
	switch it.Kind {
	case store.KindPipeline:
		score, _, _ := it.weather()
		o.in("weatherScore", score)
	case store.KindMultibranch:
		s.multibranchNumbers(it, o)
	}
	return o
}

// permissionsBean says what a user may do with a pipeline.
func permissionsBean(configure bool) *object {
	perms := bean("")
	for _, p := range []string{"read", "stop", "start", "create"} {
		perms.in(p, true)
	}
	return perms.in("configure", configure)
}

func (s *Server) latestRunBean(it *item) *object {
	b := it.build("lastBuild")
	if b == nil {
		return nil
	}
	return s.runBean(it, b, classBlueSummary)
}

func runPath(it *item, b *store.Build) string {
	return it.bluePath() + "runs/" + strconv.Itoa(b.Number) + "/"
}

func blueCauses(causes []store.Cause) []*object {
	out := []*object{}
	for _, c := range causes {
		o := bean(classBlueCause).in("shortDescription", causeText(c))
		switch {
		case c.Remote:
			o.in("addr", c.Addr).in("note", nullIfEmpty(c.Note))
		case c.Replay == 0 && !c.Indexing && !c.Timer && c.Upstream == nil:
			o.in("userId", c.User).in("userName", c.User)
		}
		out = append(out, o)
	}
	return out
}

// runBean is a build. The summary inside of a pipeline has fewer fields.
func (s *Server) runBean(it *item, b *store.Build, class string) *object {
	self := runPath(it, b)
	prev, next := it.around(b)
	var l []string
	if prev != nil {
		l = append(l, "prevRun", runPath(it, prev))
	}
	l = append(l, "parent", it.bluePath(), "self", self)
	l = append(l, below(self, "tests", "log", "blueTestSummary", "actions", "changeSet", "artifacts")...)
	if class == classBlueRun {
		l = append(l, below(self, "nodes", "steps")...)
	}
	if next != nil {
		l = append(l, "nextRun", runPath(it, next))
	}
	blocked := s.blockage(b.Key())
	// Jenkins knows no duration before the end.
	state, result, took := engine.StateRunning, engine.ResultUnknown, time.Duration(0)
	var end time.Time
	if !b.Building {
		state, result, took, end = engine.StateFinished, b.Result, b.Duration, b.Started.Add(b.Duration)
	}
	if r := s.runs[b.Key()]; r != nil {
		switch {
		case blocked != nil && !r.begun():
			state = engine.StateQueued
		case len(r.pending()) > 0:
			state = engine.StatePaused
		}
	}
	o := bean(class).in("_links", links(l...)).in("actions", []*object{}).
		inLazy(always, "artifactsZipFile", func() any {
			if !s.hasArtifacts(b.Key()) {
				return nil
			}
			return it.path() + strconv.Itoa(b.Number) + "/artifact/*zip*/archive.zip"
		}).
		in("causeOfBlockage", blocked).
		in("causes", blueCauses(b.Causes)).in("description", nullIfEmpty(b.Description)).
		in("durationInMillis", max(0, took.Milliseconds())).
		in("enQueueTime", timeOrNull(b.Queued)).in("endTime", timeOrNull(end)).
		in("estimatedDurationInMillis", it.estimate()).in("id", strconv.Itoa(b.Number)).
		in("name", nullIfEmpty(b.DisplayName)).in("organization", "jenkins").in("pipeline", it.Name).
		in("replayable", true).in("result", string(result)).in("runSummary", runSummary(b, prev)).
		in("startTime", timeOrNull(b.Started)).in("state", string(state)).in("type", "WorkflowRun").
		inLazy(always, "changeSet", func() any { return s.blueChangeSet(it, b) })
	if class == classBlueRun {
		o.in("branch", branchInfo(it)).in("commitId", nullIfEmpty(b.Commit)).in("commitUrl", nil).in("pullRequest", nil)
	}
	return o
}

// runSummary is a build in a word or two.
func runSummary(b, prev *store.Build) string {
	if b.Building {
		return "?"
	}
	if text := testSummary(b, prev); text != "" && b.Result == engine.ResultUnstable {
		return text
	}
	bad := prev != nil && (prev.Result == engine.ResultFailure || prev.Result == engine.ResultUnstable)
	switch b.Result {
	case engine.ResultSuccess:
		if bad {
			return "back to normal"
		}
		return "stable"
	case engine.ResultFailure:
		if prev != nil && prev.Result == engine.ResultFailure {
			return "broken for a long time"
		}
		return "broken since this build"
	case engine.ResultUnstable:
		return "unstable"
	case engine.ResultAborted:
		return "aborted"
	default:
		return "not built"
	}
}

// queuedRunBean is a queue item as a run of a number that is a guess.
func (s *Server) queuedRunBean(it *item, q *store.QueueItem, n int) *object {
	self := it.bluePath() + "runs/" + strconv.Itoa(n) + "/"
	l := append([]string{"parent", it.bluePath(), "self", self},
		below(self, "tests", "log", "blueTestSummary", "actions", "changeSet", "artifacts")...)
	return bean(classBlueQueued).in("_links", links(l...)).in("actions", []*object{}).in("artifactsZipFile", nil).
		in("causeOfBlockage", s.why(q)).in("causes", blueCauses(q.Causes)).in("changeSet", []*object{}).
		in("description", nil).in("durationInMillis", nil).in("enQueueTime", nil).in("endTime", nil).
		in("estimatedDurationInMillis", nil).in("id", strconv.Itoa(n)).in("name", nil).in("organization", "jenkins").
		in("pipeline", it.Name).in("replayable", false).in("result", string(engine.ResultUnknown)).in("runSummary", nil).
		in("startTime", nil).in("state", string(engine.StateQueued)).in("type", "QueuedItem").
		in("queueId", strconv.FormatInt(q.ID, 10))
}

// runBeans lists what waits, then the builds, from the newest on.
func (s *Server) runBeans(it *item) []*object {
	out := []*object{}
	s.eachQueued(it, func(q *store.QueueItem, n int) { out = append(out, s.queuedRunBean(it, q, n)) })
	for _, b := range it.history() {
		out = append(out, s.runBean(it, b, classBlueRun))
	}
	return out
}

// eachQueued visits what waits of a job in the order of the queue, with the number that it will
// probably have: items come to their turn from the last to the first.
func (s *Server) eachQueued(it *item, f func(q *store.QueueItem, n int)) {
	list := s.ordered(s.waitingOf(it))
	for i, q := range list {
		f(q, max(1, it.NextBuild)+len(list)-1-i)
	}
}

func (s *Server) blueQueueBean(it *item, q *store.QueueItem, n int) *object {
	self := it.bluePath() + "queue/" + strconv.FormatInt(q.ID, 10) + "/"
	causes := []*object{}
	for range q.Causes {
		causes = append(causes, bean(classBlueCause))
	}
	return bean("io.jenkins.blueocean.service.embedded.rest.QueueItemImpl").
		in("_links", links("parent", it.bluePath(), "self", self)).in("cause", causes).
		in("causeOfBlockage", s.why(q)).in("expectedBuildNumber", n).in("id", strconv.FormatInt(q.ID, 10)).
		in("organization", "jenkins").in("pipeline", it.Name).in("queuedTime", timeOrNull(q.Entered))
}

// nodeBean is a stage or branch.
func nodeBean(base string, n engine.Node, g *blueGraph, now time.Time) *object {
	self := base + n.ID + "/"
	edges := []*object{}
	for _, id := range n.Edges {
		typ := "STAGE"
		for _, o := range g.nodes {
			if o.ID == id {
				typ = o.Type
			}
		}
		edges = append(edges, bean(classNode+"$EdgeImpl").in("id", id).in("type", typ))
	}
	return bean(classNode).
		in("_links", links(append([]string{"self", self}, below(self, "actions", "steps")...)...)).
		in("actions", []*object{}).in("displayDescription", nil).in("displayName", n.DisplayName).
		in("durationInMillis", elapsed(now, n.StartTime, n.Duration, n.State)).in("id", n.ID).in("input", nil).
		in("result", nullIfEmpty(string(n.Result))).in("startTime", timeOrNull(n.StartTime)).
		in("state", nullIfEmpty(string(n.State))).in("type", n.Type).
		in("causeOfBlockage", nullIfEmpty(n.CauseOfBlockage)).in("edges", edges).
		in("firstParent", nullIfEmpty(n.FirstParent)).in("restartable", g.restartable(n))
}

func stepBean(base string, st engine.Step, now time.Time) *object {
	self := base + st.ID + "/"
	// A label makes a step look like a stage.
	kind := "STEP"
	if st.Labelled {
		kind = "STAGE"
	}
	logAction := bean("org.jenkinsci.plugins.workflow.support.actions.LogStorageAction").
		in("_links", links("self", self+"log/")).in("urlName", "log")
	return bean("io.jenkins.blueocean.rest.impl.pipeline.PipelineStepImpl").
		in("_links", links("self", self, "actions", self+"actions/")).
		in("actions", []*object{logAction}).in("displayDescription", nullIfEmpty(st.DisplayDescription)).
		in("displayName", st.DisplayName).in("durationInMillis", elapsed(now, st.StartTime, st.Duration, st.State)).
		in("id", st.ID).in("input", inputBean(self, st.Input)).in("result", nullIfEmpty(string(st.Result))).
		in("startTime", timeOrNull(st.StartTime)).in("state", nullIfEmpty(string(st.State))).in("type", kind)
}

// blueArtifacts lists artifacts. Their IDs hold the class and the encoded path, and the links hold
// those encoded twice more.
func (s *Server) blueArtifacts(it *item, b *store.Build) []*object {
	const class = "io.jenkins.blueocean.service.embedded.rest.ArtifactImpl"
	out := []*object{}
	list, err := s.store.Artifacts(b.Key())
	if err != nil {
		return out
	}
	for _, a := range list {
		enc := strings.TrimSuffix(encodeSegments("", strings.Split(a.Path, "/")), "/")
		id := class + ":" + strings.ReplaceAll(enc, "/", "%2F")
		link := url.PathEscape(strings.ReplaceAll(url.PathEscape(id), ":", "%3A"))
		out = append(out, bean(class).
			in("_links", links("self", runPath(it, b)+"artifacts/"+link+"/")).
			in("downloadable", true).in("id", id).in("name", a.Path[strings.LastIndexByte(a.Path, '/')+1:]).
			in("path", a.Path).in("size", a.Size).
			in("url", it.path()+strconv.Itoa(b.Number)+"/artifact/"+enc))
	}
	return out
}
