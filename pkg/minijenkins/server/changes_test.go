// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const changePipeline = `pipeline { agent any
 stages {
  stage('docs') { when { changeset 'docs/**' }
   steps { echo 'docs changed' } }
  stage('log') { when { changelog '.*\\[deploy\\].*' }
   steps { echo 'deploy asked' } }
  stage('before') { steps { echo "before ${env.GIT_PREVIOUS_COMMIT} ${env.GIT_PREVIOUS_SUCCESSFUL_COMMIT}" } }
  stage('sets') { steps { script { currentBuild.changeSets.each { set -> set.items.each { echo "${it.commitId} by ${it.author}: ${it.msg} ${it.affectedPaths}" } } } } } } }
`

func TestChangesOfBranchBuilds(t *testing.T) {
	g := newGitRepo(t)
	first := g.commit("main", map[string]string{"Jenkinsfile": changePipeline, "docs/a": "1"})
	h := newMultiHarness(t)
	h.multi("mb", multiXML(g.url(), branches, ""))
	h.ended("f/mb/main", 1)
	if log := h.logOf("f/mb/main", 1); strings.Contains(log, "docs changed") || !strings.Contains(log, "Warning, empty changelog") {
		t.Errorf("the first build has no changes:\n%s", log)
	}
	g.message = "more [deploy]\n\nbody\n"
	second := g.commit("main", map[string]string{"docs/ü": "2", "src/x": "1"})
	h.rescan("mb")
	h.ended("f/mb/main", 2)
	log := h.logOf("f/mb/main", 2)
	for _, want := range []string{"docs changed\n", "deploy asked\n", "before " + first + " " + first + "\n", second + " by dev: more [deploy] [docs/ü, src/x]\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	g.message = "third"
	g.commit("main", map[string]string{"src/x": "2"})
	h.rescan("mb")
	h.ended("f/mb/main", 3)
	if log := h.logOf("f/mb/main", 3); strings.Contains(log, "docs changed") || strings.Contains(log, "deploy asked") {
		t.Errorf("the changes of the build before count again:\n%s", log)
	}
	body := h.get("/job/f/job/mb/job/main/2/api/json?tree=changeSets[*,items[*]]")
	for _, want := range []string{`"_class":"hudson.plugins.git.GitChangeSetList"`, `"affectedPaths":["docs/ü","src/x"],"commitId":"` + second + `","timestamp":1767225602000,"author":{},"authorEmail":"dev@example.invalid"`,
		`"comment":"more [deploy]\n\nbody\n","date":"2026-01-01 00:00:02 +0000"`, `"msg":"more [deploy]","paths":[{},{}]`, `"kind":"git"`} {
		if !strings.Contains(body, want) {
			t.Errorf("changeSets lacks %s:\n%s", want, body)
		}
	}
	body = h.get("/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/main/runs/2/changeSet/")
	for _, want := range []string{`"_class":"io.jenkins.blueocean.service.embedded.rest.ChangeSetResource"`, `/runs/2/changeSet/` + second + `/`, `"timestamp":"2026-01-01T00:00:02.000+0000"`, `"fullName":"dev"`} {
		if !strings.Contains(body, want) {
			t.Errorf("changeSet lacks %s:\n%s", want, body)
		}
	}
	if list := h.s.changesOf(&store.Build{Job: 999, Number: 1, Commit: "c"}); len(list) != 0 {
		t.Errorf("a build that is not there has changes: %v", list)
	}
}

func TestChangesOfAJobWithJenkinsfileFromSCM(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"Jenkinsfile": changePipeline})
	h := newMultiHarness(t)
	xml := `<flow-definition><properties/><definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"><scm class="hudson.plugins.git.GitSCM"><userRemoteConfigs><hudson.plugins.git.UserRemoteConfig><url>` +
		g.url() + `</url></hudson.plugins.git.UserRemoteConfig></userRemoteConfigs><branches><hudson.plugins.git.BranchSpec><name>*/main</name></hudson.plugins.git.BranchSpec></branches></scm><scriptPath>Jenkinsfile</scriptPath></definition><triggers/></flow-definition>`
	h.want(200, "POST", "/job/f/createItem?name=j", typeXML, xml)
	h.start("f/j")
	h.ended("f/j", 1)
	g.commit("main", map[string]string{"docs/x": "1"})
	g.commit("main", map[string]string{"docs/x": "2"})
	h.start("f/j")
	h.ended("f/j", 2)
	h.wantLog("f/j", 2, "docs changed\n")
	// The builds before count even if they failed, and a build that is run again has the same.
	h.want(302, "POST", "/job/f/job/j/2/replay/rebuild", typeForm, "")
	h.ended("f/j", 3)
	if body := h.get("/job/f/job/j/3/api/json"); !strings.Contains(body, `"changeSets":[]`) {
		t.Error(body)
	}
	if body := h.get("/job/f/job/j/2/api/json?tree=culprits[fullName],changeSets[items[commitId]]"); strings.Count(body, "commitId") != 2 || !strings.Contains(body, `"culprits":[{"fullName":"dev"}]`) {
		t.Error(body)
	}
	if body := h.get("/job/f/job/j/2/wfapi/changesets"); strings.Count(body, "commitId") != 2 {
		t.Error(body)
	}
}
