// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// buildRoutes serves what is below a build.
func (s *Server) buildRoutes(c *call, it *item) {
	c.ref = c.next()
	s.mu.RLock()
	b := it.build(c.ref)
	s.mu.RUnlock()
	if b == nil {
		fail404(c.w)
		return
	}
	if c.isAPI() {
		s.locked(c, func(base string) any { return s.buildBean(base, it, b) })
		return
	}
	if len(c.segs) > 0 && !c.permitted(runPermissions[c.segs[0]]) {
		return
	}
	switch action := c.rest(); {
	case action == "":
		visit(c, c.at.name+" #"+strconv.Itoa(b.Number), "")
	case action == "consoleText":
		s.consoleText(c, b.Key())
	case action == "logText/progressiveText":
		s.progressiveText(c, b.Key())
	case action == "logText/progressiveHtml":
		s.progressiveHTML(c, b.Key())
	case c.segs[0] == "artifact":
		c.next()
		s.artifact(c, b)
	case c.segs[0] == "testReport":
		s.testReport(c, b)
	case c.segs[0] == "input":
		s.inputRoutes(c, b)
	case c.segs[0] == "wfapi" || c.segs[0] == "execution":
		s.buildWfapi(c, b)
	default:
		s.buildChange(c, it, b, action)
	}
}

// buildChange serves the form actions of a build.
func (s *Server) buildChange(c *call, it *item, b *store.Build, action string) {
	switch action {
	case "stop", "term", "kill", "doDelete", "toggleLogKeep", "submitDescription", "replay/run", "replay/rebuild":
	default:
		fail404(c.w)
		return
	}
	if !c.post() || !c.form() {
		return
	}
	self := c.view + c.at.path + c.ref + "/"
	switch action {
	case "stop", "term", "kill":
		s.interrupt(b.Key(), loginOf(c.r).user, action == "kill")
		redirect(c.w, self)
	case "doDelete":
		s.deleteBuild(c, it, b)
	case "toggleLogKeep":
		s.changeBuild(c, b, self, func(n *store.Build) { n.KeepLog = !n.KeepLog })
	case "submitDescription":
		text := c.r.Form.Get("description")
		s.changeBuild(c, b, self, func(n *store.Build) { n.Description = text })
	default:
		script := ""
		if action == "replay/run" {
			script = mainScript(c.r.Form.Get("json"), c.r.Form.Get("mainScript"))
		}
		if _, err := s.runAgain(it, b, again{user: loginOf(c.r).user, script: script, rebuild: action == "replay/rebuild"}); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		redirect(c.w, self+"replay/../..")
	}
}

func (s *Server) changeBuild(c *call, b *store.Build, target string, f func(*store.Build)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[b.Job]; it == nil || it.builds[b.Number] != b {
		fail404(c.w)
		return
	}
	next := *b
	f(&next)
	if err := s.store.PutBuild(&next); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	f(b)
	redirect(c.w, target)
}

// interrupt stops a build if it runs. A hard stop ends it at once and lets what it does die alone.
func (s *Server) interrupt(k store.BuildKey, user string, hard bool) {
	s.mu.RLock()
	r := s.runs[k]
	s.mu.RUnlock()
	if r == nil {
		return
	}
	if hard {
		r.kill(user)
		return
	}
	r.cancel(abortBy(user))
}

func (s *Server) deleteBuild(c *call, it *item, b *store.Build) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it.builds[b.Number] != b {
		fail404(c.w)
		return
	}
	if b.KeepLog {
		failForm(c.w, "Unable to delete "+fullDisplayName(it)+" "+buildName(b)+": This record is explicitly marked to be kept.")
		return
	}
	if b.Building {
		failForm(c.w, "Unable to delete "+fullDisplayName(it)+" "+buildName(b)+": it is still running.")
		return
	}
	if err := s.store.DeleteBuild(b.Key()); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	it.dropBuild(b.Number)
	s.emit(EventDeleted, it, b)
	redirect(c.w, c.view+it.path())
}

// artifact sends an artifact.
func (s *Server) artifact(c *call, b *store.Build) {
	name := c.rest()
	view := false
	switch suffix := path.Base(name); suffix {
	case "*view*":
		name, view = path.Dir(name), true
	case "*fingerprint*":
		s.artifactFingerprint(c, b, path.Dir(name))
		return
	}
	if dir, ok := zippedDir(name); ok {
		s.artifactZip(c, b, dir)
		return
	}
	f, err := s.store.OpenArtifact(b.Key(), name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			fail500(c.w, c.r, "the artifact cannot be opened")
			return
		}
		fail404(c.w)
		return
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	switch {
	case err != nil:
		fail500(c.w, c.r, "the artifact cannot be read")
		return
	case st.IsDir() && !c.slash:
		redirect(c.w, s.baseURL(c.r)+c.at.path+strconv.Itoa(b.Number)+"/artifact/"+encodeSegments("", c.segs))
		return
	case st.IsDir():
		visit(c, "Artifacts", "")
		return
	}
	base := path.Base(name)
	h := c.w.Header()
	h.Set("Content-Type", artifactType(base))
	// What a build made must not run as a page of this server.
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self'; style-src 'self';")
	h.Set("X-Content-Type-Options", "nosniff")
	if view {
		h.Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": base}))
	}
	http.ServeContent(c.w, c.r, "", st.ModTime().Truncate(time.Second), f)
}

func artifactType(name string) string {
	t := mime.TypeByExtension(path.Ext(name))
	if t == "" {
		return "application/octet-stream"
	}
	t, _, _ = strings.Cut(t, ";")
	return t
}

// buildWfapi serves the stage view API of a build.
func (s *Server) buildWfapi(c *call, b *store.Build) {
	c.dropAPI()
	nodes, steps, err := s.graphOf(b.Key())
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	w := wfView{self: c.at.path + strconv.Itoa(b.Number) + "/", nodes: nodes, steps: steps, now: s.now(), paused: len(s.pending(b.Key())) > 0}
	if s.wfInputs(c, b, w.self) {
		return
	}
	switch p := c.rest(); {
	case p == "wfapi/describe" || p == "wfapi":
		s.plain(c, func() any { return w.describe(b, s.hasArtifacts(b.Key()), s.now()) })
	case p == "wfapi/artifacts":
		s.plain(c, func() any { return s.wfArtifacts(w.self, b.Key()) })
	case p == "wfapi/changesets":
		s.plain(c, func() any { return s.wfChangeSets(b) })
	case len(c.segs) == 5 && c.segs[1] == "node" && c.segs[3] == "wfapi":
		o := w.node(c.segs[2])
		if c.segs[4] == "log" {
			o = s.wfLog(w, b.Key(), c.segs[2])
		}
		if o == nil {
			fail404(c.w)
			return
		}
		s.plain(c, func() any { return o })
	default:
		fail404(c.w)
	}
}

// dropAPI drops api/json behind an address of the stage view API, where some clients put it and Jenkins does not look.
func (c *call) dropAPI() {
	if n := len(c.segs); n > 2 && c.segs[n-2] == "api" && c.segs[n-1] == "json" {
		c.segs = c.segs[:n-2]
	}
}

// plain answers with everything in an object and without Jenkins' headers, as the stage view API does.
func (s *Server) plain(c *call, make func() any) {
	body, err := s.underLock(c, make, func(_ *http.Request, v any) ([]byte, error) { return renderAll(v) })
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	writePage(c.w, http.StatusOK, typeJSON, string(body))
}

// graphOf reads the nodes and steps of a build that may run.
func (s *Server) graphOf(k store.BuildKey) ([]engine.Node, []engine.Step, error) {
	s.mu.RLock()
	live := s.runs[k]
	s.mu.RUnlock()
	return s.graph(k, live)
}

func (s *Server) hasArtifacts(k store.BuildKey) bool {
	list, err := s.store.Artifacts(k)
	return err == nil && len(list) > 0
}

// jobWfapi serves the stage view API of a job.
func (s *Server) jobWfapi(c *call, it *item) {
	c.dropAPI()
	self := c.at.path + "wfapi/"
	switch c.rest() {
	case "wfapi/describe", "wfapi":
		s.plain(c, func() any {
			return bean("").in("_links", hrefs("self", self+"describe", "runs", self+"runs")).
				in("name", it.Name).in("runCount", len(it.builds))
		})
	case "wfapi/runs":
		since := strings.TrimPrefix(c.r.URL.Query().Get("since"), "#")
		from, _ := strconv.Atoi(since)
		full := c.r.URL.Query().Get("fullStages") == "true"
		s.plain(c, func() any {
			out := []*object{}
			for _, b := range it.history() {
				if b.Number < from || len(out) == 10 {
					break
				}
				n, st, err := s.graph(b.Key(), s.runs[b.Key()])
				if err != nil {
					continue
				}
				w := wfView{self: it.path() + strconv.Itoa(b.Number) + "/", nodes: n, steps: st, now: s.now(), full: full,
					paused: len(s.runs[b.Key()].pending()) > 0}
				out = append(out, w.describe(b, s.hasArtifacts(b.Key()), s.now()))
			}
			return out
		})
	default:
		fail404(c.w)
	}
}
