// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"html"
	"net/http"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// What forms of Jenkins and Blue Ocean ask before something is made.

const (
	gitSourceForm = "jenkins.plugins.git.GitSCMSource"
	gitRemoteForm = "hudson.plugins.git.UserRemoteConfig"
)

// formDescriptor serves the fields of the forms of git; false means that the path is none of them.
func (s *Server) formDescriptor(c *call, at *item) bool {
	switch c.rest() {
	case gitSourceForm + "/fillCredentialsIdItems", gitRemoteForm + "/fillCredentialsIdItems":
		if c.form() {
			s.credentialItems(c, at)
		}
	case gitSourceForm + "/checkRemote", gitRemoteForm + "/checkUrl":
		// Whether the repository answers is told by the scan.
		if c.post() {
			writePage(c.w, http.StatusOK, typeHTML, "<div/>")
		}
	default:
		return false
	}
	return true
}

// credentialItems lists the credentials that git can use at an item, for a list to choose from.
func (s *Server) credentialItems(c *call, at *item) {
	// Who may not configure does not hear which there are.
	chosen, limited := c.r.Form.Get("credentialsId"), loginOf(c.r).limited
	option := func(name, id string) *object {
		return bean("").in("name", name).in("selected", chosen != "" && id == chosen).in("value", id)
	}
	s.plain(c, func() any {
		values := []*object{option("- none -", "")}
		seen := map[string]bool{}
		for it := at; it != nil && !limited; it = it.up {
			for _, entry := range s.credentials.list(it.ID) {
				kind := credentialKinds[entry.Class].kind
				if (kind == engine.CredentialUsernamePassword || kind == engine.CredentialSSHKey) && !entry.System && !seen[entry.ID] {
					seen[entry.ID] = true
					values = append(values, option(displayCredential(entry), entry.ID))
				}
			}
		}
		return bean("com.cloudbees.plugins.credentials.common.StandardListBoxModel").in("values", values)
	})
}

// blueSCM serves organizations/jenkins/scm: git, and that no server of another kind is known.
func (s *Server) blueSCM(c *call) {
	c.next() // scm
	switch c.rest() {
	case "git":
		self := blueOrg + "scm/git/"
		show(c.w, c.r, bean("io.jenkins.blueocean.blueocean_git_pipeline.GitScm").
			in("_links", links("servers", self+"servers/", "organizations", self+"organizations/", "self", self)).
			in("credentialId", nil).in("id", "git").in("uri", ""))
	case "github":
		failBlue(c.w, http.StatusMethodNotAllowed, "Request method "+c.r.Method+" is not allowed")
	case "bitbucket-server/servers":
		s.page(c, func() []*object { return []*object{} })
	default:
		fail404(c.w)
	}
}

// blueClasses are what Blue Ocean tells about classes: those that they extend.
var blueClasses = map[string][]string{
	classWorkflowJob: {"hudson.model.Job", "hudson.model.AbstractItem", "hudson.model.Actionable", "hudson.model.AbstractModelObject"},
}

func (s *Server) blueClass(c *call) {
	name := c.next()
	classes, known := blueClasses[name]
	if !known || len(c.segs) > 0 {
		fail404(c.w)
		return
	}
	show(c.w, c.r, bean("io.jenkins.blueocean.service.embedded.rest.ExtensionClassImpl").
		in("_links", links("self", "/blue/rest/classes/"+name+"/")).in("classes", classes))
}

// progressiveHTML is progressiveText as a part of a page.
func (s *Server) progressiveHTML(c *call, k store.BuildKey) {
	c.w = &htmlAnswer{ResponseWriter: c.w}
	s.progressiveText(c, k)
}

// htmlAnswer escapes a text on its way out.
type htmlAnswer struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *htmlAnswer) WriteHeader(status int) {
	if h := a.Header(); h.Get("Content-Type") == typeText {
		h.Set("Content-Type", typeHTML)
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. No character that is escaped is longer than a byte, so a text may be cut anywhere.
func (a *htmlAnswer) Write(p []byte) (int, error) {
	if _, err := a.ResponseWriter.Write([]byte(html.EscapeString(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}
