// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"strings"
)

// What belongs to the whole server: plugins, users' addresses, and what minijenkins has none of.

// refuse answers that minijenkins does not have something, in words that clients show to people.
func refuse(c *call, what string) {
	mark(c.w)
	if c.r.Method != http.MethodPost {
		fail404(c.w)
		return
	}
	message := "minijenkins has no " + what + ". Use a Jenkins for it."
	c.w.Header().Set("X-Error", message)
	writePage(c.w, http.StatusForbidden, typeText, message+"\n")
}

// noEnd answers to what would end the process.
func noEnd(_ *Server, c *call) {
	if c.r.Method != http.MethodPost {
		failPost(c.w)
		return
	}
	refuse(c, "way to end it over HTTP; its process is ended by who runs it")
}

// noScript answers to what would run a script of Jenkins.
func noScript(_ *Server, c *call) { refuse(c, "script console") }

// plugin is a plugin whose part of the API is spoken here.
type plugin struct{ name, title, version string }

// spokenPlugins are the plugins whose formats and addresses minijenkins speaks, with the versions that were recorded. None of them is
// installed, of course; clients look here for what they may ask.
var spokenPlugins = []plugin{
	{"blueocean-pipeline-api-impl", "Pipeline implementation for Blue Ocean", "1.27.25"},
	{"blueocean-rest-impl", "REST Implementation for Blue Ocean", "1.27.25"},
	{"branch-api", "Branch API Plugin", "2.1280.v0d4e5b_b_460ef"},
	{"cloudbees-folder", "Folders Plugin", "6.1053.vd62fb_b_f7367b_"},
	{"credentials", "Credentials Plugin", "1487.va_d001ede2c31"},
	{"git", "Git plugin", "5.10.1"},
	{"pipeline-model-definition", "Pipeline: Declarative", "2.2289.v6f731d0a_02da_"},
	{"plain-credentials", "Plain Credentials Plugin", "199.v9f8e1f741799"},
	{"scm-api", "SCM API Plugin", "728.vc30dcf7a_0df5"},
	{"ssh-credentials", "SSH Credentials Plugin", "372.va_250881b_08cd"},
	{"workflow-cps", "Pipeline: Groovy", "4303.v8fa_2a_581f0a_6"},
	{"workflow-job", "Pipeline: Job", "1571.vb_423c255d6d9"},
	{"workflow-multibranch", "Pipeline: Multibranch", "821.vc3b_4ea_780798"},
}

// pluginManager lists the plugins that are spoken; nothing can be installed.
func (s *Server) pluginManager(c *call) {
	switch {
	case c.isAPI():
	case c.r.Method == http.MethodPost:
		// Without X-Error: gojenkins does not survive one here.
		mark(c.w)
		writePage(c.w, http.StatusForbidden, typeText, "minijenkins has no plugins to install or to remove. Use a Jenkins for it.\n")
		return
	default:
		fail404(c.w)
		return
	}
	show(c.w, c.r, bean("hudson.LocalPluginManager").lazy(1, "plugins", func() any {
		return list{len(spokenPlugins), func(i int) *object { return pluginBean(spokenPlugins[i]) }}
	}))
}

func pluginBean(p plugin) *object {
	return bean("").vis(2, "active", true).vis(2, "backupVersion", nil).vis(2, "bundled", false).vis(2, "deleted", false).
		vis(2, "dependencies", []*object{}).vis(2, "detached", false).vis(2, "downgradable", false).vis(2, "enabled", true).
		vis(2, "hasUpdate", false).vis(2, "longName", p.title).vis(2, "minimumJavaVersion", nil).vis(2, "pinned", false).
		vis(2, "requiredCoreVersion", JenkinsVersion).vis(2, "shortName", p.name).vis(2, "supportsDynamicLoad", "MAYBE").
		vis(2, "url", "https://plugins.jenkins.io/"+p.name).vis(2, "version", p.version)
}

// securityRealm serves /securityRealm/user/NAME; users are made in the configuration only.
func (s *Server) securityRealm(c *call) {
	switch first := c.next(); {
	case first == "user" && len(c.segs) == 2 && c.segs[1] == "doDelete":
		refuse(c, "users to remove; they stand in its configuration")
	case first == "user" && len(c.segs) > 1:
		s.user(c, c.next())
	case strings.HasPrefix(first, "createAccount"):
		refuse(c, "users to make; they stand in its configuration")
	default:
		fail404(c.w)
	}
}

// nodeAction serves what is below a computer and is no remote API: agents are pods that builds make, and nobody else.
func (s *Server) nodeAction(c *call, known bool) {
	action := c.rest()
	switch {
	case action == "doCreateItem" || action == "createItem":
		refuse(c, "nodes to make; agents are made by builds, from pod templates")
	case !known:
		fail404(c.w)
	case action == "scriptText" || action == "script":
		refuse(c, "script console")
	case action == "config.xml" && c.r.Method == http.MethodGet, action == "":
		fail404(c.w)
	default:
		refuse(c, "nodes to change; agents are made by builds, from pod templates")
	}
}
