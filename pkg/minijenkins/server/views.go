// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// Views of the root and of folders. The view that shows everything is always there ("all" at the top, "All" in a folder); others are
// list views, and further views of everything.

const (
	classAllView  = "hudson.model.AllView"
	classListView = "hudson.model.ListView"
)

// view is a view in memory. Server.mu guards it.
type view struct {
	*store.View
	class       string
	description string
	// names are the items that were put into it, relative to its folder, and include what further names it shows.
	names   []string
	include *regexp.Regexp
	recurse bool
}

// views are those of all folders, by the ID of the folder and their name. Server.mu guards them.
type views map[uint64]map[string]*view

func viewsOf(list []*store.View) (views, error) {
	out := views{}
	var errs []error
	for _, stored := range list {
		v, err := parseView(stored)
		if err != nil {
			errs = append(errs, fmt.Errorf("view %q: %w", stored.Name, err))
			continue
		}
		out.put(v)
	}
	return out, errors.Join(errs...)
}

func (m views) put(v *view) {
	if m[v.Parent] == nil {
		m[v.Parent] = map[string]*view{}
	}
	m[v.Parent][v.Name] = v
}

// list gives the views of a folder by name.
func (m views) list(folder uint64) []*view {
	out := make([]*view, 0, len(m[folder]))
	for _, v := range m[folder] {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *view) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// errViewKind says that a view is of a class that is not known here.
type errViewKind struct{ class string }

func (e *errViewKind) Error() string {
	return "minijenkins has no views of the class " + e.class + ", only " + classListView + " and " + classAllView
}

func parseView(stored *store.View) (*view, error) {
	root, err := parseXML(stored.Config)
	if err != nil {
		return nil, err
	}
	v := &view{View: stored, class: root.name}
	if root.name != classListView && root.name != classAllView {
		return nil, &errViewKind{root.name}
	}
	v.description = root.value("description")
	collectStrings(root.child("jobNames"), &v.names)
	v.recurse = strings.TrimSpace(root.value("recurse")) == "true"
	if re := root.value("includeRegex"); re != "" {
		if v.include, err = regexp.Compile("^(?:" + re + ")$"); err != nil {
			return nil, fmt.Errorf("%w: includeRegex: %w", errConfig, err)
		}
	}
	return v, nil
}

// shown are the items of a view. s.mu is held.
func (s *Server) shown(folder *item, v *view) []*item {
	if v.class == classAllView {
		return folder.children()
	}
	var out []*item
	var walk func(up *item, prefix string)
	walk = func(up *item, prefix string) {
		for _, k := range up.children() {
			name := prefix + k.Name
			if slices.ContainsFunc(v.names, func(n string) bool { return strings.EqualFold(n, name) }) || v.include != nil && v.include.MatchString(name) {
				out = append(out, k)
			}
			if v.recurse && k.isFolder() {
				walk(k, name+"/")
			}
		}
	}
	walk(folder, "")
	return out
}

// viewURL is the address of a view; that of the first one is its folder's.
func viewURL(base string, folder *item, name string) string {
	return base + folder.path() + "view/" + encodeSegment(name) + "/"
}

// allViewName is the name of the view that is always there.
func allViewName(folder *item) string {
	if folder.isRoot() {
		return "all"
	}
	return "All"
}

// allView is the view that is always there.
func (s *Server) allView(base string, folder *item) *object {
	return bean(classAllView).set("description", nil).
		lazy(1, "jobs", func() any { return s.childBeans(base, folder) }).
		vis(3, "name", allViewName(folder)).set("property", []*object{}).vis(3, "url", base+folder.path())
}

func (s *Server) viewBean(base string, folder *item, v *view) *object {
	return bean(v.class).set("description", nullIfEmpty(v.description)).
		lazy(1, "jobs", func() any {
			kids := s.shown(folder, v)
			return list{len(kids), func(i int) *object { return s.itemBean(base, kids[i]) }}
		}).
		vis(3, "name", v.Name).set("property", []*object{}).vis(3, "url", viewURL(base, folder, v.Name))
}

// viewBeans are all views of a folder.
func (s *Server) viewBeans(base string, folder *item) []*object {
	out := []*object{s.allView(base, folder)}
	for _, v := range s.views.list(folder.ID) {
		out = append(out, s.viewBean(base, folder, v))
	}
	return out
}

// viewRoutes serves what is below view/ of the root or a folder.
func (s *Server) viewRoutes(c *call, folder *item) {
	name := c.next()
	s.mu.RLock()
	v := s.views[folder.ID][name]
	s.mu.RUnlock()
	isAll := v == nil && strings.EqualFold(name, allViewName(folder))
	if v == nil && !isAll {
		fail404(c.w)
		return
	}
	if c.isAPI() {
		s.locked(c, func(base string) any {
			if isAll {
				return s.allView(base, folder)
			}
			if now := s.views[folder.ID][name]; now != nil {
				return s.viewBean(base, folder, now)
			}
			return (*object)(nil)
		})
		return
	}
	if v != nil && s.viewAction(c, folder, v) {
		return
	}
	if len(c.segs) > 0 && c.segs[0] == "job" {
		if folder.isRoot() {
			c.view = "/view/" + encodeSegment(name)
		}
		s.itemsBelow(c, folder)
		return
	}
	if folder.isRoot() {
		c.view = "/view/" + encodeSegment(name)
	}
	s.itemAction(c, folder)
}

// viewAction serves what a stored view can do; false means that the path is none of its.
func (s *Server) viewAction(c *call, folder *item, v *view) bool {
	switch action := c.rest(); action {
	case "":
		visit(c, v.Name+" [Jenkins]", "")
	case "config.xml":
		s.viewXML(c, folder, v)
	case "doDelete", "addJobToView", "removeJobFromView", "submitDescription":
		if c.permitted(mayConfigure) && c.post() && c.form() {
			s.changeView(c, folder, v, action)
		}
	default:
		return false
	}
	return true
}

func (s *Server) changeView(c *call, folder *item, v *view, action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views[folder.ID][v.Name] != v {
		fail404(c.w)
		return
	}
	if action == "doDelete" {
		if err := s.store.DeleteView(folder.ID, v.Name); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		delete(s.views[folder.ID], v.Name)
		redirect(c.w, folder.path())
		return
	}
	if action == "submitDescription" {
		text := c.r.Form.Get("description")
		if s.setView(c, v, func(doc []byte) ([]byte, error) { return setElement(doc, "description", text) }) {
			redirect(c.w, folder.path()+"view/"+encodeSegment(v.Name)+"/")
		}
		return
	}
	name := c.r.Form.Get("name")
	if v.class != classListView {
		failForm(c.w, "The view ‘"+v.Name+"’ shows everything")
		return
	}
	it := s.relative(folder, name)
	if name == "" || it == nil && action == "addJobToView" {
		failOops(c.w, c.r, http.StatusNotFound, "Query parameter 'name' does not correspond to a known item")
		return
	}
	names := slices.DeleteFunc(slices.Clone(v.names), func(n string) bool { return strings.EqualFold(n, name) })
	if action == "addJobToView" {
		names = append(names, name)
	}
	if s.setView(c, v, func(doc []byte) ([]byte, error) { return setJobNames(doc, names) }) {
		empty(c.w, http.StatusOK)
	}
}

// setView changes the config.xml of a view; it answers and returns false if that fails. s.mu is held.
func (s *Server) setView(c *call, v *view, change func([]byte) ([]byte, error)) bool {
	doc, err := change(v.Config)
	var next *view
	if err == nil {
		next, err = parseView(&store.View{Parent: v.Parent, Name: v.Name, Config: doc})
	}
	if err == nil {
		err = s.store.PutView(next.View)
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return false
	}
	s.views.put(next)
	return true
}

// followRename has the views of a folder show an item under its new name, as Jenkins does. s.mu is held.
func (s *Server) followRename(folder *item, old, name string) {
	for _, v := range s.views.list(folder.ID) {
		i := slices.IndexFunc(v.names, func(n string) bool { return strings.EqualFold(n, old) })
		if i < 0 {
			continue
		}
		names := slices.Clone(v.names)
		names[i] = name
		doc, err := setJobNames(v.Config, names)
		var next *view
		if err == nil {
			next, err = parseView(&store.View{Parent: v.Parent, Name: v.Name, Config: doc})
		}
		if err == nil {
			err = s.store.PutView(next.View)
		}
		if err != nil {
			s.logger().Error(err, "view does not follow a rename", "view", v.Name)
			continue
		}
		s.views.put(next)
	}
}

// relative finds an item by its path from a folder, or from the top if the path begins with a slash. s.mu is held.
func (s *Server) relative(from *item, path string) *item {
	at := from
	if strings.HasPrefix(path, "/") {
		at = s.root
	}
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		if at = at.find(name); at == nil {
			return nil
		}
	}
	return at
}

// viewXML reads or replaces the config.xml of a view.
func (s *Server) viewXML(c *call, folder *item, v *view) {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		writePage(c.w, http.StatusOK, "application/xml", string(v.Config))
	case http.MethodPost:
		if !c.permitted(mayConfigure) {
			return
		}
		body, ok := c.readBody()
		if !ok {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		now := s.views[folder.ID][v.Name]
		if now == nil {
			fail404(c.w)
			return
		}
		if s.setView(c, now, func([]byte) ([]byte, error) { return body, nil }) {
			empty(c.w, http.StatusOK)
		}
	default:
		fail404(c.w)
	}
}

// createView makes a view from XML or, empty, from a form.
func (s *Server) createView(c *call, folder *item) {
	if !c.permitted(mayConfigure) {
		return
	}
	isXML := isXMLBody(c.r)
	if !isXML && !c.form() {
		return
	}
	q := c.r.URL.Query()
	if !isXML {
		q = c.r.Form
	}
	name, mode := q.Get("name"), q.Get("mode")
	if err := checkName(name); err != nil {
		failForm(c.w, err.Error())
		return
	}
	stored := &store.View{Parent: folder.ID, Name: strings.TrimSpace(name)}
	if isXML {
		body, ok := c.readBody()
		if !ok {
			return
		}
		stored.Config = body
	} else {
		if mode == "" {
			mode = modeInJSON(q.Get("json"))
		}
		if mode != classListView && mode != classAllView {
			failForm(c.w, (&errViewKind{mode}).Error())
			return
		}
		stored.Config = []byte("<?xml version=\"1.1\" encoding=\"UTF-8\"?>\n<" + mode + ">\n  <name>" + escapeXML(stored.Name) + "</name>\n</" + mode + ">")
	}
	v, err := parseView(stored)
	var kind *errViewKind
	switch {
	case errors.As(err, &kind):
		failForm(c.w, kind.Error())
		return
	case err != nil:
		fail500(c.w, c.r, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views[folder.ID][stored.Name] != nil || stored.Name == allViewName(folder) {
		failForm(c.w, "A view already exists with the name \""+stored.Name+"\"")
		return
	}
	if !folder.isRoot() && s.items[folder.ID] != folder {
		fail404(c.w)
		return
	}
	if err := s.store.PutView(stored); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.views.put(v)
	if isXML {
		empty(c.w, http.StatusOK)
		return
	}
	redirect(c.w, folder.path()+"view/"+encodeSegment(stored.Name)+"/")
}

// modeInJSON is the field mode of the JSON of a form.
func modeInJSON(text string) string {
	var f struct {
		Mode string `json:"mode"`
	}
	if json.Unmarshal([]byte(text), &f) != nil {
		return ""
	}
	return f.Mode
}

// setJobNames replaces the names in the config.xml of a list view and leaves every other byte alone.
func setJobNames(doc []byte, names []string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<jobNames>\n    <comparator class=\"hudson.util.CaseInsensitiveComparator\"/>\n")
	for _, n := range names {
		b.WriteString("    <string>" + escapeXML(n) + "</string>\n")
	}
	b.WriteString("  </jobNames>")
	return replaceElement(doc, "jobNames", b.String())
}
