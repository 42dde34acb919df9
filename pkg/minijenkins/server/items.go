// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// itemRoutes serves /job/…: it finds the item and hands on what is behind it.
func (s *Server) itemRoutes(c *call) { s.itemsBelow(c, s.root) }

// itemsBelow serves a path that begins with "job" and a name in a folder.
func (s *Server) itemsBelow(c *call, from *item) {
	s.mu.RLock()
	it := lookup(c, from)
	if it != nil {
		c.found(it)
	}
	s.mu.RUnlock()
	if it == nil {
		fail404(c.w)
		return
	}
	if c.isAPI() {
		s.locked(c, func(base string) any { return s.itemBean(base, it) })
		return
	}
	s.itemAction(c, it)
}

// itemAction serves what is below an item, the root included.
func (s *Server) itemAction(c *call, it *item) {
	if len(c.segs) == 0 {
		s.itemPage(c, it)
		return
	}
	action := c.segs[0]
	if !c.permitted(itemPermissions[action]) || !c.permittedOnBranch(it, action) {
		return
	}
	switch action {
	case "config.xml":
		if it.isRoot() {
			fail404(c.w)
			return
		}
		s.configXML(c, it)
	case "descriptorByName":
		c.next()
		if !s.formDescriptor(c, it) {
			s.descriptor(c, c.at.full)
		}
	case "createItem", "checkJobName", "view", "createView":
		s.folderAction(c, it, action)
	case "credentials":
		s.credentialRoutes(c, it)
	case "configure":
		// The form of a browser, to which new items are redirected.
		if len(c.segs) > 1 || it.isRoot() || c.r.Method == http.MethodPost {
			fail404(c.w)
			return
		}
		visit(c, c.at.name+" Config [Jenkins]", "<p>Change it by its config.xml.</p>")
	case "doDelete", "confirmRename", "doRename", "submitDescription", "disable", "enable", "move":
		switch {
		case it.isRoot():
			fail404(c.w)
		case c.post() && c.form():
			s.changeItem(c, it, action)
		}
	default:
		switch {
		case it.isJob():
			s.jobAction(c, it)
		case it.isMulti():
			s.multibranchAction(c, it)
		default:
			fail404(c.w)
		}
	}
}

func (s *Server) itemPage(c *call, it *item) {
	if c.r.Method == http.MethodDelete && !it.isRoot() {
		if !c.permitted(mayDelete) || !c.permittedOnBranch(it, "doDelete") {
			return
		}
		if err := s.deleteItem(c.r.Context(), it); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		empty(c.w, http.StatusNoContent)
		return
	}
	visit(c, c.at.name+" [Jenkins]", "<h1>"+html.EscapeString(c.at.name)+"</h1>")
}

// folderAction serves what only folders have.
func (s *Server) folderAction(c *call, it *item, action string) {
	if !it.isFolder() {
		fail404(c.w)
		return
	}
	switch action {
	case "createItem":
		if c.post() {
			s.createItem(c, it)
		}
	case "checkJobName":
		s.checkJobName(c, it)
	case "view":
		c.next()
		s.viewRoutes(c, it)
	case "createView":
		if c.post() {
			s.createView(c, it)
		}
	}
}

func taken(name string) error {
	return &nameError{"A job already exists with the name ‘" + name + "’"}
}

// checkJobName tells if a name is free: always 200, an error in the page if not.
func (s *Server) checkJobName(c *call, it *item) {
	name := c.r.URL.Query().Get("value")
	msg := ""
	if strings.TrimSpace(name) != "" {
		err := checkName(name)
		s.mu.RLock()
		if err == nil && it.find(name) != nil {
			err = taken(name)
		}
		s.mu.RUnlock()
		if err != nil {
			msg = `<div class="error">` + html.EscapeString(err.Error()) + "</div>"
		}
	}
	if msg == "" {
		msg = "<div/>"
	}
	writePage(c.w, http.StatusOK, typeHTML, msg)
}

// foreignKinds are the kinds of items that a Jenkins has and minijenkins does not run, by the class or the root element of config.xml.
var foreignKinds = map[string]string{
	"project": "Freestyle project", "hudson.model.FreeStyleProject": "Freestyle project",
	"matrix-project": "Multi-configuration project", "hudson.matrix.MatrixProject": "Multi-configuration project",
	"maven2-moduleset": "Maven project", "hudson.maven.MavenModuleSet": "Maven project",
	"hudson.model.ExternalJob": "External job", "com.tikal.jenkins.plugins.multijob.MultiJobProject": "MultiJob project",
	"com.cloudbees.plugins.flow.BuildFlow": "Build Flow",
	"jenkins.branch.OrganizationFolder":    "Organization folder",
}

// failKind answers that items of a class are not run here. unknown is the message for a class that nobody knows, empty for a page of error.
func failKind(c *call, class, unknown string) {
	title, foreign := foreignKinds[class]
	switch {
	case foreign:
		failForm(c.w, "minijenkins does not run items of the kind "+title+" ("+class+"), only folders, pipelines and multibranch pipelines. Use a Jenkins for it.")
	case unknown != "":
		failForm(c.w, unknown)
	default:
		fail500(c.w, c.r, (&errKind{class}).Error())
	}
}

var modes = map[string]store.Kind{
	classFolder: store.KindFolder, classWorkflowJob: store.KindPipeline, classMultibranch: store.KindMultibranch,
}

// createItem makes an item: from XML, as a copy, or empty by form.
func (s *Server) createItem(c *call, up *item) {
	t := mediaType(c.r)
	isXML := strings.HasPrefix(t, "application/xml") || strings.HasPrefix(t, "text/xml")
	if !isXML && !c.form() {
		return
	}
	if isXML {
		c.r.Form = c.r.URL.Query()
	}
	q := c.r.Form
	if !q.Has("name") {
		failForm(c.w, "Query parameter 'name' is required")
		return
	}
	name, mode := q.Get("name"), q.Get("mode")
	if err := checkName(name); err != nil {
		failForm(c.w, err.Error())
		return
	}
	it := &store.Item{Parent: up.ID, Name: strings.TrimSpace(name), NextBuild: 1}
	switch {
	case isXML:
		body, ok := c.readBody()
		if !ok {
			return
		}
		it.Config, it.CaseSensitive = body, true
	case t == "" && mode != "copy":
		failForm(c.w, "No Content-Type header set")
		return
	case mode == "":
		failForm(c.w, "No mode given")
		return
	case mode == "copy":
		s.mu.RLock()
		from := s.relative(up, q.Get("from"))
		if from != nil {
			it.Config = from.Config
		}
		s.mu.RUnlock()
		if from == nil {
			failForm(c.w, "No such job: "+q.Get("from"))
			return
		}
	default:
		kind, ok := modes[mode]
		if !ok {
			failKind(c, mode, "No item type ‘"+mode+"’ is known")
			return
		}
		it.Config = defaultConfig(kind)
	}
	s.addItem(c, up, it, isXML)
}

// addItem stores a new item and answers.
func (s *Server) addItem(c *call, up *item, it *store.Item, isXML bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up.find(it.Name) != nil {
		failForm(c.w, taken(it.Name).Error())
		return
	}
	cfg, err := parseConfig(it.Config)
	var kind *errKind
	switch {
	case errors.As(err, &kind):
		failKind(c, kind.class, "")
		return
	case err != nil:
		fail500(c.w, c.r, err.Error())
		return
	}
	if len(it.Name) > maxName {
		fail500(c.w, c.r, "the name is too long")
		return
	}
	it.Kind = cfg.kind
	// Branches whose names differ only in case live side by side.
	it.CaseSensitive = it.CaseSensitive || it.Kind == store.KindMultibranch
	if !up.isRoot() && s.items[up.ID] != up {
		fail404(c.w) // the folder was deleted meanwhile
		return
	}
	if err := s.store.AddItem(it); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	n := newItem(it, cfg, up)
	s.items[it.ID], up.kids[it.Name] = n, n
	if isXML {
		s.scanAfterChange(c.r.Context(), n)
		empty(c.w, http.StatusOK)
		return
	}
	redirect(c.w, c.view+n.path()+"configure")
}

// configXML reads or replaces config.xml.
func (s *Server) configXML(c *call, it *item) {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		s.mu.RLock()
		body := string(it.Config)
		s.mu.RUnlock()
		writePage(c.w, http.StatusOK, "application/xml", body)
	case http.MethodPost:
		body, ok := c.readBody()
		if !ok {
			return
		}
		if isForm(c.r) {
			fail500(c.w, c.r, "config.xml was sent as a form")
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.items[it.ID] != it {
			fail404(c.w) // it was deleted meanwhile and must not come back
			return
		}
		if err := s.setConfig(it, body); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		s.scanAfterChange(c.r.Context(), it)
		empty(c.w, http.StatusOK)
	default:
		fail404(c.w)
	}
}

// setConfig replaces the config.xml of an item. s.mu is held.
func (s *Server) setConfig(it *item, doc []byte) error {
	if s.items[it.ID] != it {
		return errDeleted // to store it would bring it back with the next start
	}
	cfg, err := parseConfig(doc)
	if err != nil {
		return err
	}
	if cfg.kind != it.Kind {
		return fmt.Errorf("%w: the class cannot change", errConfig)
	}
	next := *it.Item
	next.Config = doc
	// What the Jenkinsfile gave the job is gone with the old configuration, until the next build.
	next.Parameters, next.NoConcurrent, next.AbortPrevious, next.Discard = nil, false, false, store.Discard{}
	if err := s.store.PutItem(&next); err != nil {
		return fmt.Errorf("store config.xml: %w", err)
	}
	*it.Item, it.cfg = next, cfg
	it.keepDead()
	s.poke()
	return nil
}

// changeItem serves the form actions of an item.
func (s *Server) changeItem(c *call, it *item, action string) {
	if action == "doDelete" {
		up := parentPath(c.at.path)
		if err := s.deleteItem(c.r.Context(), it); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		redirect(c.w, c.view+up)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.ID] != it {
		fail404(c.w) // it was deleted meanwhile and must not come back
		return
	}
	switch action {
	case "confirmRename", "doRename":
		s.rename(c, it, c.r.Form.Get("newName"))
		return
	case "move":
		if c.rest() != "move/move" {
			fail404(c.w)
			return
		}
		s.move(c, it, c.r.Form.Get("destination"))
		return
	case "submitDescription":
		s.edit(c, it, "description", c.r.Form.Get("description"))
	case "disable", "enable":
		if it.isFolder() {
			fail404(c.w)
			return
		}
		s.edit(c, it, "disabled", fmt.Sprint(action == "disable"))
	}
}

// parentPath is the path of the folder of an item's path.
func parentPath(p string) string {
	return p[:strings.LastIndex(strings.TrimSuffix(p, "/"), "job/")]
}

// edit sets one element of config.xml. s.mu is held.
func (s *Server) edit(c *call, it *item, name, text string) {
	if err := s.setElement(it, name, text); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	redirect(c.w, c.view+it.path())
}

func (s *Server) setElement(it *item, name, text string) error {
	doc, err := setElement(it.Config, name, text)
	if err != nil {
		return err
	}
	old := *it.Item
	if err := s.setConfig(it, doc); err != nil {
		return err
	}
	old.Config = it.Config
	*it.Item = old
	return s.store.PutItem(it.Item)
}

func (s *Server) rename(c *call, it *item, name string) {
	name = strings.TrimSpace(name)
	err := checkName(name)
	other := it.up.find(name)
	switch {
	case err != nil:
		failForm(c.w, err.Error())
		return
	case name == it.Name:
		failForm(c.w, "The new name is the same as the current name.")
		return
	case other != nil && other != it:
		failForm(c.w, "The name “"+name+"” is already in use.")
		return
	case len(name) > maxName:
		fail500(c.w, c.r, "the name is too long")
		return
	case it.hasRuns(s.runs):
		// Its builds, their agents and what they read of the environment have the old name.
		what := map[bool]string{true: "Unable to rename a job while it is building.", false: "Unable to rename a folder while a job inside it is building."}
		failForm(c.w, what[it.isJob()])
		return
	}
	old := it.path()
	next := *it.Item
	next.Name = name
	if err := s.store.PutItem(&next); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	delete(it.up.kids, it.Name)
	s.followRename(it.up, it.Name, name)
	it.Name = name
	it.up.kids[name] = it
	redirect(c.w, c.view+old+"../"+encodeSegment(name))
}

// move puts an item into another folder, which is named by its path from the top. Builds and logs go with it.
func (s *Server) move(c *call, it *item, destination string) {
	to := s.root
	if path := strings.Trim(destination, "/"); path != "" {
		to = s.relative(s.root, "/"+path)
	}
	inside := false
	for up := to; up != nil; up = up.up {
		inside = inside || up == it
	}
	switch {
	case to == nil || !to.isFolder() || inside || s.items[it.ID] != it:
		failForm(c.w, "No such destination: "+destination)
		return
	case to == it.up:
		redirect(c.w, c.view+it.path())
		return
	case to.find(it.Name) != nil:
		failForm(c.w, taken(it.Name).Error())
		return
	case it.hasRuns(s.runs):
		failForm(c.w, "A build of it is running; it can be moved when that has ended")
		return
	}
	next := *it.Item
	next.Parent = to.ID
	if err := s.store.PutItem(&next); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	delete(it.up.kids, it.Name)
	it.Parent, it.up = to.ID, to
	to.kids[it.Name] = it
	redirect(c.w, c.view+it.path())
}

// hasRuns tells if a build of the item, or of one below it, runs.
func (it *item) hasRuns(runs map[store.BuildKey]*buildRun) bool {
	below := map[uint64]bool{}
	for _, k := range it.under() {
		below[k.ID] = true
	}
	for key := range runs {
		if below[key.Job] {
			return true
		}
	}
	return false
}

// deleteItem interrupts what runs below an item, waits a moment for it and removes everything.
func (s *Server) deleteItem(ctx context.Context, it *item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.ID] != it {
		return errors.New("the item is deleted already")
	}
	var ids []uint64
	for _, k := range it.under() {
		ids = append(ids, k.ID)
	}
	if err := s.store.DeleteItems(ids); err != nil {
		return err
	}
	delete(it.up.kids, it.Name)
	for _, id := range ids {
		delete(s.items, id)
		delete(s.credentials, id)
		delete(s.views, id)
		s.dropQueueOf(id)
		if sc := s.scans[id]; sc != nil {
			sc.cancel()
		}
		for key, r := range s.runs {
			if key.Job == id {
				klog.FromContext(ctx).V(1).Info("build interrupted, its job is deleted", "job", r.jobName, "number", key.Number)
				go r.finish(engine.ResultAborted, "")
				r.cancel(&engine.AbortError{Reason: "The job was deleted"})
			}
		}
	}
	return nil
}
