// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// blue serves /blue/rest.
func (s *Server) blue(c *call) {
	if c.next() != "rest" {
		fail404(c.w)
		return
	}
	switch c.next() {
	case "organizations":
		s.blueOrganizations(c)
	case "search":
		s.blueSearch(c)
	case "classes":
		s.blueClass(c)
	case "users":
		s.blueUser(c)
	default:
		fail404(c.w)
	}
}

func (s *Server) blueUser(c *call) {
	name := c.next()
	if len(c.segs) > 0 || !slices.ContainsFunc(s.cfg.Accounts, func(a Account) bool { return a.Name == name }) {
		fail404(c.w)
		return
	}
	show(c.w, c.r, blueUserBean(name))
}

func (s *Server) blueOrganizations(c *call) {
	org := c.next()
	switch {
	case org == "":
		s.page(c, func() []*object { return []*object{organizationBean()} })
	case org != "jenkins":
		failBlue(c.w, http.StatusNotFound, "Organization "+org+" not found")
	case len(c.segs) == 0:
		show(c.w, c.r, organizationBean())
	case c.segs[0] == "pipelines":
		s.bluePipelines(c)
	case c.segs[0] == "scm":
		s.blueSCM(c)
	default:
		fail404(c.w)
	}
}

// bluePipelines walks pipelines/NAME/pipelines/NAME… and serves what is below the item.
func (s *Server) bluePipelines(c *call) {
	it := s.root
	s.mu.RLock()
	for len(c.segs) >= 2 && c.segs[0] == "pipelines" {
		name := c.segs[1]
		if it.isMulti() {
			break // its branches have an address of their own
		}
		if it = it.kids[name]; it == nil {
			s.mu.RUnlock()
			failBlue(c.w, http.StatusNotFound, "Pipeline "+name+" not found")
			return
		}
		c.segs = c.segs[2:]
	}
	if it.isMulti() && len(c.segs) >= 2 && c.segs[0] == "branches" {
		if it = it.findEncoded(c.segs[1]); it == nil {
			s.mu.RUnlock()
			fail404(c.w)
			return
		}
		c.segs = c.segs[2:]
	}
	c.found(it)
	s.mu.RUnlock()
	switch {
	case len(c.segs) == 0:
		s.locked(c, func(string) any { return s.pipelineBean(it) })
	case c.segs[0] == "pipelines" && len(c.segs) == 1:
		s.page(c, func() []*object {
			out := []*object{}
			for _, k := range it.children() {
				out = append(out, s.pipelineBean(k))
			}
			return out
		})
	case it.isMulti():
		s.blueMultibranch(c, it)
	case !it.isJob():
		fail404(c.w)
	default:
		s.blueJob(c, it)
	}
}

// page answers with a part of a list and the link to the next part, which Blue Ocean always sends.
func (s *Server) page(c *call, list func() []*object) {
	q := c.r.URL.Query()
	start, limit := 0, 100
	if n, err := strconv.Atoi(q.Get("start")); err == nil && n > 0 {
		start = min(n, math.MaxInt32)
	}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		limit = min(n, math.MaxInt32)
	}
	body, err := s.underLock(c, func() any {
		all := list()
		from := min(start, len(all))
		return all[from:min(len(all), from+limit)]
	}, render)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	c.w.Header().Set("Link", nextLink(c.r.URL, start+limit, limit))
	writeJSON(c.w, q, body)
}

// nextLink keeps the other parameters of the query as they were sent.
func nextLink(u *url.URL, start, limit int) string {
	var keep []string
	for _, p := range strings.Split(u.RawQuery, "&") {
		name, _, _ := strings.Cut(p, "=")
		// What holds a plain semicolon Jenkins leaves out.
		if p != "" && name != "start" && name != "limit" && !strings.Contains(p, ";") {
			keep = append(keep, p)
		}
	}
	keep = append(keep, "start="+strconv.Itoa(start), "limit="+strconv.Itoa(limit))
	return "<" + u.EscapedPath() + "?" + strings.Join(keep, "&") + `>; rel="next"`
}

// blueJob serves what is below a job.
func (s *Server) blueJob(c *call, it *item) {
	switch first := c.next(); {
	case first == "runs" && len(c.segs) == 0:
		if c.r.Method == http.MethodPost {
			s.blueStart(c, it)
			return
		}
		s.page(c, func() []*object { return s.runBeans(it) })
	case first == "runs":
		s.blueRun(c, it)
	case first == "queue":
		s.blueQueue(c, it)
	case first == "latestRun" && len(c.segs) == 0:
		s.locked(c, func(string) any { return s.latestRunBean(it) })
	case (first == "disable" || first == "enable") && len(c.segs) == 0 && c.r.Method == http.MethodPut:
		if !c.permitted(mayConfigure) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.setElement(it, "disabled", fmt.Sprint(first == "disable")); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		empty(c.w, http.StatusOK)
	default:
		fail404(c.w)
	}
}

// needJSON refuses a body of another type.
func needJSON(c *call) bool {
	if mediaType(c.r) == "application/json" {
		return true
	}
	failBlue(c.w, http.StatusUnsupportedMediaType, "Content-Type: application/json required")
	return false
}

var errNotElement = errors.New("parameters.name is required element")

// blueParams reads the body of a start. given is nil if there is no list at all.
func blueParams(body []byte) (given []givenParam, err error) {
	var f struct {
		Parameters json.RawMessage `json:"parameters"`
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		if err := json.Unmarshal(body, &f); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return parameterList(f.Parameters)
}

// parameterList reads a list of parameters; nil if there is none at all.
func parameterList(data json.RawMessage) ([]givenParam, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	given := []givenParam{}
	if json.Unmarshal(data, &given) != nil {
		return nil, errNotElement
	}
	for _, g := range given {
		if g.Name == "" {
			return nil, errNotElement
		}
	}
	return given, nil
}

// blueStart starts a build. Blue Ocean skips the quiet period.
func (s *Server) blueStart(c *call, it *item) {
	if !needJSON(c) {
		return
	}
	body, ok := c.readBody()
	if !ok {
		return
	}
	given, err := blueParams(body)
	if errors.Is(err, errNotElement) {
		failBlue(c.w, http.StatusBadRequest, err.Error())
		return
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	out, fail := s.blueStartLocked(c, it, given)
	if fail != nil {
		fail()
		return
	}
	writeJSON(c.w, c.r.URL.Query(), out)
}

// blueStartLocked starts a build and renders the answer, or returns how to answer otherwise.
func (s *Server) blueStartLocked(c *call, it *item, given []givenParam) ([]byte, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(q *store.QueueItem) ([]byte, func()) {
		out, err := render(c.r, s.queuedRunBean(it, q, max(1, it.NextBuild)))
		if err != nil {
			return nil, func() { fail500(c.w, c.r, err.Error()) }
		}
		return out, nil
	}
	if s.items[it.ID] != it {
		return nil, func() { failBlue(c.w, http.StatusNotFound, "Pipeline "+c.at.name+" not found") }
	}
	defs := it.parameters()
	var values []store.Param
	if len(defs) > 0 {
		if given == nil {
			return nil, func() {
				failBlue(c.w, http.StatusBadRequest, "This is parameterized job, requires parameters")
			}
		}
		var err error
		var undefined errUndefined
		switch values, err = valuesOf(defs, given); {
		case errors.As(err, &undefined):
			return nil, func() { failBlue(c.w, http.StatusBadRequest, undefined.Error()) }
		case err != nil:
			return nil, func() { fail500(c.w, c.r, err.Error()) }
		}
	}
	if err := c.r.ParseForm(); err != nil {
		return nil, func() { fail500(c.w, c.r, "the query cannot be read") }
	}
	st := start{job: it, params: values, cause: s.cause(c.r, it)}
	if it.cfg.disabled {
		// Jenkins answers as if it had been queued, and nothing follows.
		q := &store.QueueItem{ID: 1, Job: it.ID, Entered: s.now(), Due: s.now(), Params: values, Causes: []store.Cause{st.cause}}
		return answer(q)
	}
	q, _, err := s.enqueue(st)
	if err != nil {
		return nil, func() { fail500(c.w, c.r, err.Error()) }
	}
	return answer(q)
}

func (s *Server) blueQueue(c *call, it *item) {
	if len(c.segs) == 0 {
		s.page(c, func() []*object {
			out := []*object{}
			s.eachQueued(it, func(q *store.QueueItem, n int) { out = append(out, s.blueQueueBean(it, q, n)) })
			return out
		})
		return
	}
	id, err := strconv.ParseInt(c.segs[0], 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue[id]
	if err != nil || len(c.segs) > 1 || c.r.Method != http.MethodDelete || q == nil || q.Job != it.ID {
		fail404(c.w)
		return
	}
	if err := s.cancelItem(id); err != nil && !errors.Is(err, errLeft) {
		fail500(c.w, c.r, err.Error())
		return
	}
	empty(c.w, http.StatusOK)
}

// blueRun serves runs/N/….
func (s *Server) blueRun(c *call, it *item) {
	ref := c.next()
	n, _ := strconv.Atoi(ref)
	s.mu.RLock()
	b := it.builds[n]
	s.mu.RUnlock()
	if b == nil || strconv.Itoa(n) != ref {
		if len(c.segs) == 0 && s.showQueuedRun(c, it, n) {
			return
		}
		failBlue(c.w, http.StatusNotFound, "Run "+ref+" not found in organization jenkins and pipeline "+c.at.name)
		return
	}
	action := c.next()
	switch {
	case action == "":
		s.locked(c, func(string) any { return s.runBean(it, b, classBlueRun) })
	case action == "nodes":
		s.blueNodes(c, it, b)
	case action == "steps":
		s.blueSteps(c, it, b, nil)
	case len(c.segs) > 0:
		fail404(c.w)
	case action == "log":
		s.blueLog(c, b.Key(), nil, s.isBuilding(b.Key()))
	case action == "artifacts":
		s.page(c, func() []*object { return s.blueArtifacts(it, b) })
	case action == "tests":
		s.blueTests(c, b)
	case action == "blueTestSummary":
		s.blueTestSummary(c, b)
	case action == "changeSet":
		s.page(c, func() []*object { return s.blueChangeSet(it, b) })
	case action == "actions":
		s.page(c, func() []*object { return []*object{} })
	case action == "stop" && c.r.Method == http.MethodPut:
		s.blueStop(c, it, b)
	case action == "replay" && c.r.Method == http.MethodPost:
		s.blueReplay(c, it, b)
	default:
		fail404(c.w)
	}
}

// showQueuedRun shows a queue item under the number that it will probably have.
func (s *Server) showQueuedRun(c *call, it *item, n int) bool {
	var found *store.QueueItem
	s.mu.RLock()
	s.eachQueued(it, func(q *store.QueueItem, expected int) {
		if expected == n {
			found = q
		}
	})
	s.mu.RUnlock()
	if found == nil {
		return false
	}
	s.locked(c, func(string) any { return s.queuedRunBean(it, found, n) })
	return true
}

// maxStopWait bounds how long a stop waits for the end of the build.
const maxStopWait = 30 * time.Second

// blueStop stops a build and waits for its end if blocking is set, timeOutInSecs at most.
func (s *Server) blueStop(c *call, it *item, b *store.Build) {
	if !needJSON(c) {
		return
	}
	q := c.r.URL.Query()
	s.mu.RLock()
	r := s.runs[b.Key()]
	s.mu.RUnlock()
	if r != nil {
		r.cancel(abortBy(loginOf(c.r).user))
		if q.Get("blocking") == "true" {
			wait := 10 * time.Second
			if n, err := strconv.Atoi(q.Get("timeOutInSecs")); err == nil && n >= 0 {
				wait = min(maxStopWait, time.Duration(n)*time.Second)
			}
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-r.done:
			case <-t.C:
			case <-c.r.Context().Done():
			}
		}
	}
	s.locked(c, func(string) any { return s.runBean(it, b, classBlueRun) })
}

func (s *Server) blueReplay(c *call, it *item, b *store.Build) {
	if !c.permitted(mayReplay) {
		return
	}
	if !needJSON(c) {
		return
	}
	q, err := s.runAgain(it, b, again{user: loginOf(c.r).user})
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.locked(c, func(string) any { return s.queuedRunBean(it, q, max(1, it.NextBuild)) })
}

// blueRestart runs a build again from a stage on. Jenkins answers with the new build.
func (s *Server) blueRestart(c *call, it *item, b *store.Build, g *blueGraph, n engine.Node) {
	if !c.permitted(mayReplay) || !needJSON(c) {
		return
	}
	if !g.restartable(n) {
		failBlue(c.w, http.StatusBadRequest, "Stage "+n.DisplayName+" cannot be restarted")
		return
	}
	q, err := s.runAgain(it, b, again{user: loginOf(c.r).user, stage: n.DisplayName})
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.scheduleOnce(c.r.Context())
	body, err := s.underLock(c, func() any {
		if nb := it.builds[q.Number]; nb != nil {
			return s.runBean(it, nb, classBlueRun)
		}
		return s.queuedRunBean(it, q, max(1, it.NextBuild))
	}, render)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	c.w.Header()["Content-Type"] = nil // Jenkins sends none
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body)
}

// blueNodes serves nodes/ and what is below it.
func (s *Server) blueNodes(c *call, it *item, b *store.Build) {
	g, err := s.blueGraphOf(it, b)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	nodes := g.nodes
	self := c.at.blue + "runs/" + strconv.Itoa(b.Number) + "/nodes/"
	id := c.next()
	if id == "" {
		s.page(c, func() []*object {
			out := []*object{}
			for _, n := range nodes {
				out = append(out, nodeBean(self, n, g, s.now()))
			}
			return out
		})
		return
	}
	i := slices.IndexFunc(nodes, func(n engine.Node) bool { return n.ID == id })
	if i < 0 {
		failBlue(c.w, http.StatusNotFound, "Stage "+id+" not found in pipeline "+c.at.full+".")
		return
	}
	switch action := c.next(); {
	case action == "":
		show(c.w, c.r, nodeBean(self, nodes[i], g, s.now()))
	case action == "steps":
		s.blueSteps(c, it, b, &id)
	case action == "restart" && len(c.segs) == 0 && c.r.Method == http.MethodPost:
		s.blueRestart(c, it, b, g, nodes[i])
	case action == "log" && len(c.segs) == 0:
		of := map[string]bool{}
		for _, st := range g.stepsOf(id) {
			of[st.ID] = true
		}
		s.blueLog(c, b.Key(), func(step string) bool { return of[step] }, going(nodes[i].State))
	default:
		fail404(c.w)
	}
}

// going tells if more may come of a node or step.
func going(s engine.State) bool {
	return s == engine.StateRunning || s == engine.StatePaused || s == engine.StateQueued
}

// blueSteps serves the steps of a node, or of the whole run if node is nil.
func (s *Server) blueSteps(c *call, it *item, b *store.Build, node *string) {
	g, err := s.blueGraphOf(it, b)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	steps := g.steps
	self := c.at.blue + "runs/" + strconv.Itoa(b.Number) + "/"
	if node != nil {
		self += "nodes/" + *node + "/"
		steps = g.stepsOf(*node)
	}
	self += "steps/"
	id := c.next()
	if id == "" {
		s.page(c, func() []*object {
			out := []*object{}
			for _, st := range steps {
				out = append(out, stepBean(self, st, s.now()))
			}
			return out
		})
		return
	}
	i := slices.IndexFunc(steps, func(st engine.Step) bool { return st.ID == id })
	switch action := c.next(); {
	case i < 0 || len(c.segs) > 0:
		fail404(c.w)
	case action == "" && c.r.Method == http.MethodPost:
		s.blueAnswer(c, b)
	case action == "":
		show(c.w, c.r, stepBean(self, steps[i], s.now()))
	case action == "log" && !c.slash:
		redirect(c.w, c.r.URL.EscapedPath()+"/")
	case action == "log":
		s.blueLog(c, b.Key(), func(step string) bool { return step == id }, going(steps[i].State))
	default:
		fail404(c.w)
	}
}

// blueSearch serves the search for pipelines: q is a list of key:value separated by semicolons.
func (s *Server) blueSearch(c *call) {
	q := c.r.URL.Query().Get("q")
	if q == "" {
		// A semicolon that is not encoded makes Go drop the parameter; clients send it so.
		for _, p := range strings.Split(c.r.URL.RawQuery, "&") {
			if v, ok := strings.CutPrefix(p, "q="); ok {
				q, _ = url.QueryUnescape(v)
			}
		}
	}
	terms := map[string]string{}
	for _, t := range strings.Split(q, ";") {
		k, v, ok := strings.Cut(t, ":")
		if ok {
			terms[k] = v
		}
	}
	filter := c.r.URL.Query().Get("filter")
	org, hasOrg := terms["organization"]
	switch {
	case terms["type"] == "" || filter != "" && filter != "no-folders":
		fail500(c.w, c.r, "type is required, filter must be no-folders")
	case hasOrg && org != "jenkins":
		failBlue(c.w, http.StatusBadRequest, "Organization "+org+" not found. Query parameter organization value: "+org+" is invalid. ")
	case terms["type"] != "pipeline":
		s.page(c, func() []*object { return []*object{} })
	default:
		s.page(c, func() []*object {
			out := []*object{}
			for _, it := range s.root.under() {
				if !it.isRoot() && !it.isBranch() && (filter == "" || !it.isFolder()) && globMatch(terms["pipeline"], it.fullName()) {
					out = append(out, s.pipelineBean(it))
				}
			}
			return out
		})
	}
}

// globMatch matches a name against a pattern in which * is any text, slashes too; case does not
// count. An empty pattern matches all.
func globMatch(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
