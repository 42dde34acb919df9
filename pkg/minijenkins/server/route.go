// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

var errPath = errors.New("bad path")

// segments splits a path, decodes each segment once and drops empty ones. Plain ".." is resolved as
// a servlet container does; an encoded one, NUL and invalid UTF-8 are refused.
func segments(escaped string) (segs []string, slash bool, err error) {
	for _, raw := range strings.Split(escaped, "/") {
		switch raw {
		case "", ".":
			continue
		case "..":
			if len(segs) == 0 {
				return nil, false, errPath
			}
			segs = segs[:len(segs)-1]
			continue
		}
		seg, err := url.PathUnescape(raw)
		if err != nil || seg == "." || seg == ".." || strings.ContainsRune(seg, 0) || !utf8.ValidString(seg) {
			return nil, false, errPath
		}
		segs = append(segs, seg)
	}
	return segs, strings.HasSuffix(escaped, "/"), nil
}

// call is a request on its way to its handler.
type call struct {
	w http.ResponseWriter
	r *http.Request
	// segs is what is left of the path; slash says that it ended in one.
	segs  []string
	slash bool
	// view is the part of the path before the item, as in "/view/all".
	view string
	// ref is the build as the path names it, a number or a permalink.
	ref string
	// at names the item of the path as it was when the request came; a rename may change it.
	at itemNames
}

// itemNames are the names of an item.
type itemNames struct{ name, full, path, blue string }

// found remembers the names of the item of the path. s.mu is held.
func (c *call) found(it *item) {
	c.at = itemNames{name: it.Name, full: it.fullName(), path: it.path(), blue: it.bluePath()}
}

// next takes a segment off the path; "" at the end.
func (c *call) next() string {
	if len(c.segs) == 0 {
		return ""
	}
	s := c.segs[0]
	c.segs = c.segs[1:]
	return s
}

// rest is what is left of the path, decoded.
func (c *call) rest() string { return strings.Join(c.segs, "/") }

// isAPI tells if the rest of the path is a remote API.
func (c *call) isAPI() bool {
	if len(c.segs) < 2 || c.segs[0] != "api" {
		return false
	}
	switch c.segs[1] {
	case "json":
		return len(c.segs) == 2 || c.rest() == "api/json/api/json"
	case "xml", "python":
		return len(c.segs) == 2
	}
	return false
}

// post answers anything but POST with 405 and tells if the request is a POST.
func (c *call) post() bool {
	if c.r.Method != http.MethodPost {
		failPost(c.w)
		return false
	}
	return true
}

// serve is the way of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	plain := w
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // the value is compared, as net/http does
				panic(v)
			}
			klog.FromContext(r.Context()).Error(nil, "handler panicked", "method", r.Method, "panic", v)
			fail500(plain, r, "internal error")
		}
	}()
	segs, slash, err := segments(r.URL.EscapedPath())
	if err != nil || strings.ContainsRune(r.URL.RawQuery, 0) {
		failContainer(w, http.StatusBadRequest, "Invalid path")
		return
	}
	if r.ContentLength > s.cfg.MaxBody {
		failContainer(w, http.StatusRequestEntityTooLarge, "The request is too large")
		return
	}
	a := &answer{w: w, flush: s.store.Flush, hold: changes(r)}
	defer a.finish()
	w = a
	most := s.cfg.MaxBody
	if isHook(segs) {
		most = min(most, maxHookBody) // anybody can send it
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if s.starting(w, r) {
		return
	}
	if r = s.guard(w, r, segs); r == nil {
		return
	}
	c := &call{w: w, r: r, segs: segs, slash: slash}
	s.top(c)
}

// readBody reads the whole body; it answers and returns false if it is too large or broken.
func (c *call) readBody() ([]byte, bool) {
	data, err := io.ReadAll(c.r.Body)
	if err == nil {
		return data, true
	}
	c.bodyError(err)
	return nil, false
}

// bodyError answers for a body that could not be read.
func (c *call) bodyError(err error) {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		failContainer(c.w, http.StatusRequestEntityTooLarge, "The request is too large")
		return
	}
	failContainer(c.w, http.StatusBadRequest, "The request cannot be read")
}

// maxMultipart is more than what a body may have, so that no part of one goes to the disk.
const maxMultipart = 1 << 40

// form parses query and form body; it answers and returns false if they are broken.
func (c *call) form() bool {
	err := c.r.ParseForm()
	if err == nil && mediaType(c.r) == "multipart/form-data" {
		// Files are not kept: no parameter takes one.
		err = c.r.ParseMultipartForm(maxMultipart)
	}
	if err != nil {
		c.bodyError(err)
		return false
	}
	return true
}

// topRoutes are the first parts of a path. That of a path that is empty is the dashboard.
var topRoutes = map[string]func(*Server, *call){
	"":                            func(_ *Server, c *call) { visit(c, "Dashboard [Jenkins]", "<h1>minijenkins</h1>") },
	"login":                       func(_ *Server, c *call) { visit(c, "Sign in - Jenkins", "<h1>Sign in to Jenkins</h1>") },
	"whoAmI":                      (*Server).whoAmI,
	"me":                          func(s *Server, c *call) { s.user(c, loginOf(c.r).user) },
	"user":                        func(s *Server, c *call) { s.user(c, c.next()) },
	"securityRealm":               (*Server).securityRealm,
	"search":                      (*Server).suggest,
	"configuration-as-code":       func(s *Server, c *call) { s.cascRoutes(c, "") },
	"fingerprint":                 (*Server).fingerprint,
	"pluginManager":               (*Server).pluginManager,
	"scriptText":                  noScript,
	"script":                      noScript,
	"safeRestart":                 noEnd,
	"restart":                     noEnd,
	"safeExit":                    noEnd,
	"exit":                        noEnd,
	"crumbIssuer":                 (*Server).crumbIssuer,
	"view":                        func(s *Server, c *call) { s.viewRoutes(c, s.root) },
	"queue":                       (*Server).queueRoutes,
	"label":                       (*Server).label,
	"computer":                    (*Server).computers,
	"manage":                      (*Server).cloudRoutes,
	"cloud":                       (*Server).cloudRoutes,
	"quietDown":                   func(s *Server, c *call) { s.quietDown(c, true) },
	"cancelQuietDown":             func(s *Server, c *call) { s.quietDown(c, false) },
	"descriptorByName":            func(s *Server, c *call) { s.descriptor(c, "") },
	"pipeline-model-converter":    (*Server).converter,
	"overallLoad":                 (*Server).overallLoad,
	"blue":                        (*Server).blue,
	"git":                         (*Server).gitRoutes,
	"multibranch-webhook-trigger": (*Server).webhook,
}

func (s *Server) top(c *call) {
	if len(c.segs) > 0 && !c.topAllowed(c.segs[0]) {
		return
	}
	first := ""
	if len(c.segs) > 0 {
		first = c.segs[0]
	}
	switch first {
	case "api":
		s.rootAPI(c)
	case "job":
		s.itemRoutes(c)
	case "createItem", "checkJobName", "createView", "credentials":
		s.itemAction(c, s.root)
	default:
		serve, known := topRoutes[c.next()]
		if !known {
			fail404(c.w)
			return
		}
		serve(s, c)
	}
}

func (s *Server) crumbIssuer(c *call) {
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	s.serveCrumb(c.w, c.r)
}

// locked renders an object while the model is held for reading, and answers when it is not. A nil
// *object is 404.
func (s *Server) locked(c *call, make func(base string) any) {
	body, err := s.underLock(c, func() any { return make(s.baseURL(c.r)) }, render)
	switch {
	case err != nil:
		fail500(c.w, c.r, err.Error())
	case string(body) == "null":
		fail404(c.w)
	default:
		writeAPI(c.w, c.r, body)
	}
}

// underLock makes and renders an object while the model is held for reading.
func (s *Server) underLock(c *call, make func() any, how func(*http.Request, any) ([]byte, error)) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return how(c.r, make())
}

func (s *Server) rootAPI(c *call) {
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	s.locked(c, func(base string) any {
		return bean("hudson.model.Hudson").
			set("assignedLabels", []*object{bean("").vis(2, "name", "built-in")}).
			set("mode", "NORMAL").set("nodeDescription", "the Jenkins controller's built-in node").set("nodeName", "").
			set("numExecutors", 0).set("description", nullIfEmpty(s.systemMessage)).
			lazy(1, "jobs", func() any { return s.childBeans(base, s.root) }).
			set("overallLoad", bean("")).set("primaryView", s.allView(base, s.root)).
			set("quietDownReason", nullIfEmpty(s.quietReason)).set("quietingDown", s.quieting).set("slaveAgentPort", -1).
			set("unlabeledLoad", bean("jenkins.model.UnlabeledLoadStatistics")).
			set("url", base+"/").set("useCrumbs", true).set("useSecurity", true).
			lazy(1, "views", func() any { return s.viewBeans(base, s.root) })
	})
}

func (s *Server) whoAmI(c *call) {
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	l := loginOf(c.r)
	name, authority := l.user, "authenticated"
	if l.anonymous() {
		name, authority = anonymousName, anonymousName
	}
	show(c.w, c.r, bean("hudson.security.WhoAmI").set("anonymous", l.anonymous()).set("authenticated", true).
		set("authorities", []string{authority}).set("name", name))
}

// queueRoutes serves /queue.
func (s *Server) queueRoutes(c *call) {
	switch {
	case c.isAPI():
		s.locked(c, func(base string) any {
			return bean("hudson.model.Queue").set("discoverableItems", []*object{}).
				inLazy(1, "items", func() any { return s.queueBeans(base) })
		})
	case len(c.segs) == 1 && c.segs[0] == "cancelItem":
		if c.post() && c.form() {
			s.cancelQueueItem(c, c.r.Form.Get("id"))
		}
	case len(c.segs) >= 2 && c.segs[0] == "item":
		s.queueItem(c, c.segs[1], c.segs[2:])
	default:
		fail404(c.w)
	}
}

// queueBeans lists the queue in Jenkins' order: what is in its quiet period by its end, then what is
// blocked and what waits for an agent, each from the newest on.
func (s *Server) queueBeans(base string) []*object {
	out := []*object{}
	for _, q := range s.ordered(s.waiting()) {
		out = append(out, s.queueBean(base, q))
	}
	waiting := slices.Collect(maps.Values(s.placeholders))
	slices.SortFunc(waiting, func(a, b *placeholder) int { return int(b.id - a.id) })
	for _, p := range waiting {
		out = append(out, s.placeholderBean(p))
	}
	return out
}

func (s *Server) ordered(list []*store.QueueItem) []*store.QueueItem {
	now := s.now()
	slices.SortStableFunc(list, func(a, b *store.QueueItem) int {
		quietA, quietB := a.Due.After(now), b.Due.After(now)
		switch {
		case quietA && quietB:
			return a.Due.Compare(b.Due)
		case quietA:
			return -1
		case quietB:
			return 1
		}
		return int(b.ID - a.ID)
	})
	return list
}

func (s *Server) queueItem(c *call, ref string, rest []string) {
	id, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		fail500(c.w, c.r, "not a number")
		return
	}
	c.segs = rest
	if len(rest) == 1 && rest[0] == "cancelQueue" {
		if c.post() {
			s.cancelQueueItem(c, ref)
		}
		return
	}
	if !c.isAPI() {
		fail404(c.w)
		return
	}
	s.locked(c, func(base string) any {
		if q := s.queue[id]; q != nil {
			return s.queueBean(base, q)
		}
		if p := s.placeholders[id]; p != nil {
			return s.placeholderBean(p)
		}
		return (*object)(nil)
	})
}

func (s *Server) cancelQueueItem(c *call, ref string) {
	id, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		failOops(c.w, c.r, http.StatusNotFound, "no such item")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.placeholders[id]; p != nil {
		p.run.cancel(abortBy(loginOf(c.r).user))
		empty(c.w, http.StatusNoContent)
		return
	}
	switch err := s.cancelItem(id); {
	case err == nil:
		empty(c.w, http.StatusNoContent)
	case errors.Is(err, errNoItem):
		failOops(c.w, c.r, http.StatusNotFound, err.Error())
	default:
		fail500(c.w, c.r, err.Error())
	}
}

// lookup finds the item of a path that begins with "job" in a folder; it returns nil if there is none. s.mu is held.
func lookup(c *call, it *item) *item {
	for len(c.segs) >= 2 && c.segs[0] == "job" && it != nil {
		if it.isJob() {
			return nil
		}
		it = it.findEncoded(c.segs[1])
		c.segs = c.segs[2:]
	}
	return it
}
