// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// librariesXML is the property of a folder with one library.
func librariesXML(name, remote, more string) string {
	return `<com.cloudbees.hudson.plugins.folder.Folder><properties><org.jenkinsci.plugins.workflow.libs.FolderLibraries plugin="pipeline-groovy-lib"><libraries>` +
		`<org.jenkinsci.plugins.workflow.libs.LibraryConfiguration><name>` + name + `</name><retriever class="org.jenkinsci.plugins.workflow.libs.SCMSourceRetriever"><clone>false</clone>` +
		`<scm class="jenkins.plugins.git.GitSCMSource"><id>x</id><remote>` + escapeXML(remote) + `</remote><credentialsId></credentialsId><traits/></scm></retriever>` + more +
		`</org.jenkinsci.plugins.workflow.libs.LibraryConfiguration></libraries></org.jenkinsci.plugins.workflow.libs.FolderLibraries></properties></com.cloudbees.hudson.plugins.folder.Folder>`
}

func libraryRepo(t *testing.T) *gitRepo {
	t.Helper()
	g := newGitRepo(t)
	first := g.commit("main", map[string]string{
		"vars/greet.groovy": "def call(String who) { echo \"one: ${who} ${env.JOB_NAME}\" }\ndef text() { return libraryResource('org/t.txt').trim() }",
		"vars/std.groovy":   "def call(Map c) { pipeline { agent any\n parameters { string(name: 'WHO', defaultValue: 'me') }\n triggers { cron('H 3 * * *') }\n stages { stage('s') { steps { echo \"std ${c.name} ${params.WHO}\" } } } } }",
		"vars/greet.txt":    "help", "resources/org/t.txt": "from a resource\n", "src/org/acme/Tool.groovy": "package org.acme\nclass Tool {}", "README": "x",
	})
	g.tag("v1", first)
	g.commit("main", map[string]string{"vars/greet.groovy": "def call(String who) { echo \"two: ${who}\" }"})
	return g
}

func TestFolderLibraries(t *testing.T) {
	g := libraryRepo(t)
	h := newHarness(t, t.TempDir(), withEngine, withFileSCM, func(c *Config, s *Server) {
		if s != nil {
			s.parse = jenkinsfile.Load
		}
		if c != nil {
			c.Libraries = []LibraryConfig{{Name: "global", Remote: g.url(), DefaultVersion: "v1"}, {Name: "shared", Remote: "file:///none"}}
		}
	})
	h.want(200, "POST", "/createItem?name=f", typeXML, librariesXML("shared", g.url(), "<defaultVersion>main</defaultVersion>"))
	h.want(200, "POST", "/createItem?name=i", typeXML, librariesXML("auto", g.url(), "<defaultVersion>v1</defaultVersion><implicit>true</implicit><allowVersionOverride>false</allowVersionOverride>"))
	for name, tc := range map[string]struct{ reason, folder, script, want string }{
		"default":   {"The default version of the folder's library", "f", "@Library('shared') _\n" + steps("greet 'x'"), "Loading library shared\nAttempting to resolve main from remote references...\nFound match: revision "},
		"two":       {"is the newest", "f", "@Library('shared') _\n" + steps("greet 'x'"), "two: x\n"},
		"tag":       {"Another version", "f", "@Library('shared@v1') _\n" + steps("greet 'x'\n script { echo greet.text() }"), "one: x f/tag\n"},
		"resource":  {"with its resources", "f", "@Library('shared@v1') _\n" + steps("script { echo greet.text() }"), "from a resource\n"},
		"global":    {"A library of the server", "f", "@Library('global') _\n" + steps("greet 'x'"), "one: x f/global\n"},
		"step":      {"The step", "f", steps("script { library 'shared@v1'\n greet('s') }"), "one: s f/step\n"},
		"remote":    {"The step with a retriever", "f", steps("script { library identifier: 'own@v1', retriever: modernSCM([$class: 'GitSCMSource', remote: '" + g.url() + "'])\n greet('r') }"), "one: r f/remote\n"},
		"none":      {"No such library", "f", "@Library('nosuch') _\n" + steps("echo 'never'"), "ERROR: No library named nosuch found\n"},
		"branch":    {"No such version", "f", "@Library('shared@nosuch') _\n" + steps("echo 'never'"), "No version nosuch found for library shared"},
		"class":     {"A class", "f", "@Library('shared') import org.acme.Tool\n" + steps("echo 'never'"), "class \"org.acme.Tool\" of the library shared: the built-in pipeline runner does not support it"},
		"implicit":  {"A library that every build of a folder has", "i", steps("greet 'x'"), "one: x i/implicit\n"},
		"fixed":     {"whose version is fixed", "i", "@Library('auto@main') _\n" + steps("echo 'never'"), "ERROR: Version override not permitted for library auto\n"},
		"elsewhere": {"The library of another folder", "i", "@Library('shared@v1') _\n" + steps("echo 'never'"), "ERROR: library shared: "},
	} {
		t.Run(name, func(t *testing.T) {
			h.job(tc.folder, name, tc.script, "", "")
			h.start(tc.folder + "/" + name)
			h.ended(tc.folder+"/"+name, 1)
			log := h.logOf(tc.folder+"/"+name, 1)
			if !strings.Contains(log, tc.want) || strings.Contains(log, "never\n") {
				t.Errorf("%s: no %q in\n%s", tc.reason, tc.want, log)
			}
		})
	}
	// A pipeline in a library gives its job parameters and triggers.
	h.job("f", "std", "@Library('shared') _\nstd(name: 'x')", "", "")
	h.start("f/std")
	h.ended("f/std", 1)
	h.wantLog("f/std", 1, "std x me\n")
	h.want(201, "POST", "/job/f/job/std/buildWithParameters?delay=0sec", typeForm, "WHO=you")
	h.ended("f/std", 2)
	h.wantLog("f/std", 2, "std x you\n")
	h.s.mu.RLock()
	if schedule := h.s.root.kids["f"].kids["std"].Cron; schedule != "H 3 * * *" {
		t.Errorf("schedule %q", schedule)
	}
	h.s.mu.RUnlock()
	// A build that is run again has the library as it was.
	h.job("f", "again", "@Library('shared') _\n"+steps("greet 'x'"), "", "")
	h.start("f/again")
	h.ended("f/again", 1)
	g.commit("main", map[string]string{"vars/greet.groovy": "def call(String who) { echo 'three' }"})
	h.want(302, "POST", "/job/f/job/again/1/replay/rebuild", typeForm, "")
	h.ended("f/again", 2)
	h.wantLog("f/again", 2, "Using the library as build #1 had it: revision ", "two: x\n")
	h.start("f/again")
	h.ended("f/again", 3)
	h.wantLog("f/again", 3, "three\n")
}

func TestLibraryLimits(t *testing.T) {
	old := libraryLimit
	t.Cleanup(func() { libraryLimit = old })
	libraryLimit.Count, libraryLimit.Bytes = 3, 1000
	g := newGitRepo(t)
	g.commit("main", map[string]string{"vars/a.groovy": "def call() { echo 'a' }", "resources/big": strings.Repeat("x", 2000)})
	g.commit("many", map[string]string{"vars/b.groovy": "x", "vars/c.groovy": "x", "vars/d.groovy": "x", "resources/big": "x"})
	g.commit("empty", map[string]string{"vars/a.groovy": "", "resources/big": "", "README": "x"})
	h := newHarness(t, t.TempDir(), withEngine, withFileSCM)
	h.want(200, "POST", "/createItem?name=f", typeXML, librariesXML("l", g.url(), ""))
	for branch, want := range map[string]string{"main": "it has more than 1000 bytes", "many": "it has more than 3 files", "empty": "Library l expected to contain at least one of src or vars directories", "": "No version specified for library l"} {
		name := "b" + branch
		at := ""
		if branch != "" {
			at = "@" + branch
		}
		h.job("f", name, "@Library('l"+at+"') _\n"+steps("echo 'never'"), "", "")
		h.start("f/" + name)
		h.ended("f/"+name, 1)
		h.wantLog("f/"+name, 1, want)
	}
}
