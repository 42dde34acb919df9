// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// multiXML is the config.xml of a multi-branch job with traits and what stands behind them.
func multiXML(remote, source, more string) string {
	return `<org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject><properties/>` + more +
		`<sources class="jenkins.branch.MultiBranchProject$BranchSourceList"><data><jenkins.branch.BranchSource>` +
		`<source class="jenkins.plugins.git.GitSCMSource"><id>src</id><remote>` + escapeXML(remote) + `</remote>` + source + `</source></jenkins.branch.BranchSource></data></sources>` +
		`<factory class="org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory"><scriptPath>Jenkinsfile</scriptPath></factory>` +
		`</org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject>`
}

const (
	allHeads = `<traits><jenkins.plugins.git.traits.BranchDiscoveryTrait/><jenkins.plugins.git.traits.TagDiscoveryTrait/></traits>`
	branches = `<traits><jenkins.plugins.git.traits.BranchDiscoveryTrait/></traits>`
)

// multi makes a multi-branch job in folder f and waits for the end of its first scan, whose log it returns.
func (h *harness) multi(name, xml string) string {
	h.t.Helper()
	h.want(200, "POST", "/job/f/createItem?name="+name, typeXML, xml)
	return h.scanned(name)
}

// scanned waits until the job has no scan before it and none that runs, and returns the log.
func (h *harness) scanned(name string) string {
	h.t.Helper()
	h.eventually(name+" is scanned", func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		it := h.s.root.kids["f"].kids[name]
		return len(it.line) == 0 && it.Scan != nil && it.Scan.Result != "" && h.s.scans[it.ID] == nil
	})
	return h.want(200, "GET", "/job/f/job/"+name+"/indexing/consoleText", "", "").body
}

// rescan scans again.
func (h *harness) rescan(name string) string {
	h.t.Helper()
	h.want(302, "POST", "/job/f/job/"+name+"/build?delay=0", typeForm, "")
	return h.scanned(name)
}

func newMultiHarness(t *testing.T, opts ...option) *harness {
	t.Helper()
	h := newHarness(t, t.TempDir(), append([]option{withEngine, withFileSCM}, opts...)...)
	h.agents.clone = func(req engine.CloneRequest) (string, error) { return req.Ref, nil }
	h.folder("f")
	return h
}

func (h *harness) kids(name string) string {
	h.t.Helper()
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	var out []string
	for _, k := range h.s.root.kids["f"].kids[name].children() {
		out = append(out, k.Name)
	}
	return strings.Join(out, " ")
}

func TestScan(t *testing.T) {
	repo := recordedRepo(t)
	h := newMultiHarness(t)
	log := h.multi("mb", multiXML(repo.url(), allHeads, ""))
	for _, line := range []string{"  Checking branch größe\n      ‘Jenkinsfile’ found\n    Met criteria\nScheduled build for branch: größe\n",
		"  Checking branch no-jenkinsfile\n      ‘Jenkinsfile’ not found\n    Does not meet criteria\n", "Processed 9 branches\n",
		"No automatic build triggered for v1.0\nProcessed 1 tags\n", "Finished: SUCCESS\n"} {
		if !strings.Contains(log, line) {
			t.Fatalf("no %q in\n%s", line, log)
		}
	}
	if got := h.kids("mb"); got != "UPPER-Case a%25b feature%2Fx fix%231 größe main rel+1.0 v1.0 very%2Fdeep%2Fer_name.with.dots" {
		t.Error(got)
	}
	h.eventually("the builds have ended", func() bool {
		return strings.Count(h.get("/job/f/job/mb/api/json?tree=jobs[lastBuild[result]]"), `"result":"SUCCESS"`) == 8
	})
	b := h.get("/job/f/job/mb/job/feature%252Fx/1/consoleText")
	for _, line := range []string{"Branch indexing\n", "Obtained Jenkinsfile from ", "branch feature/x, job f/mb/feature%2Fx, tag null\n", "Stage \"only main\" skipped due to when conditional\n",
		"Finished: SUCCESS\n"} {
		if !strings.Contains(b, line) {
			t.Errorf("no %q in\n%s", line, b)
		}
	}

	// Nothing has changed: no build, and nothing is fetched.
	if log := h.rescan("mb"); strings.Contains(log, "Scheduled") || strings.Count(log, "No changes detected: ") != 9 {
		t.Error(log)
	}

	// A commit, a new branch, a branch that is no more.
	was := repo.commit("main", map[string]string{"README": "more"})
	repo.commit("new", nil)
	repo.remove("fix#1")
	log = h.rescan("mb")
	for _, line := range []string{" → " + was + ")\nScheduled build for branch: main\n", "Scheduled build for branch: new\n", "Evaluating orphaned items in f » mb\nWill remove fix#1\n"} {
		if !strings.Contains(log, line) {
			t.Errorf("no %q in\n%s", line, log)
		}
	}
	if n := strings.Count(log, "Scheduled"); n != 2 || strings.Contains(h.kids("mb"), "fix") {
		t.Error(n, h.kids("mb"))
	}

	// A tag is built when somebody asks.
	h.want(201, "POST", "/job/f/job/mb/job/v1.0/build?delay=0", typeForm, "")
	h.ended("f/mb/v1.0", 1)
	if b := h.get("/job/f/job/mb/job/v1.0/1/consoleText"); !strings.Contains(b, "branch v1.0, job f/mb/v1.0, tag v1.0\n") {
		t.Error(b)
	}

	// A build that is run again is of the same commit, although the branch has moved.
	h.ended("f/mb/main", 2)
	repo.commit("main", map[string]string{"README": "even more"})
	h.want(302, "POST", "/job/f/job/mb/job/main/2/replay/rebuild", typeForm, "")
	h.ended("f/mb/main", 3)
	if run := h.get("/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/main/runs/3/"); !strings.Contains(run, `"commitId":"`+was+`"`) {
		t.Error(run)
	}
}

func TestScanFailures(t *testing.T) {
	repo := recordedRepo(t)
	h := newMultiHarness(t)
	tests := map[string]struct {
		xml, want, reason string
	}{
		"gone": {multiXML(repo.url()+"x", branches, ""), "FATAL: Failed to recompute children of f » gone\nstderr: fatal: repository 'file://", "there is no repository"},
		"ssh":  {multiXML("ssh://git@host/x", branches, ""), "only http and https are read", "the server has no SSH keys"},
		"path": {strings.ReplaceAll(multiXML(repo.url(), branches, ""), "<scriptPath>Jenkinsfile<", "<scriptPath>../..<"), "is not one of a file", "a path that leaves the repository"},
		"cred": {multiXML(repo.url(), "<credentialsId>none</credentialsId>"+branches, ""), "credential none: no such credential", "an unknown credential"},
		"regex": {multiXML(repo.url(), `<traits><jenkins.plugins.git.traits.BranchDiscoveryTrait/><jenkins.scm.impl.trait.RegexSCMHeadFilterTrait><regex>(?!x).*</regex></jenkins.scm.impl.trait.RegexSCMHeadFilterTrait></traits>`, ""),
			"is not a regular expression that minijenkins knows", "Java's look-ahead"},
		"class":  {strings.ReplaceAll(multiXML(repo.url(), branches, ""), sourceGit, "com.acme.Source"), "not com.acme.Source; use Jenkins for it", "a source of another plugin"},
		"secret": {multiXML("https://user:pa55word@127.0.0.1:1/x", branches, ""), "unable to access 'https://127.0.0.1:1/x'", "the password in an address is not shown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log := h.multi(name, tt.xml)
			if !strings.Contains(log, tt.want) || !strings.HasSuffix(log, "Finished: FAILURE\n") || strings.Contains(log, "pa55word") {
				t.Errorf("%s: no %q in\n%s", tt.reason, tt.want, log)
			}
		})
	}
	t.Run("no scan", func(t *testing.T) {
		h.want(302, "POST", "/job/f/createItem?name=empty&mode="+classMultibranch, typeForm, "")
		h.want(500, "POST", "/job/f/job/empty/build?delay=0", typeForm, "")
		h.want(404, "GET", "/job/f/job/empty/indexing/api/json", "", "")
		if got := h.get("/job/f/job/empty/indexing/consoleText"); got != "No such file: indexing.log" {
			t.Error(got)
		}
	})
}

// A scan that fails removes nothing; a repository that is on the disk of the server is read by tests only.
func TestScanKeepsBranches(t *testing.T) {
	repo := recordedRepo(t)
	h := newMultiHarness(t)
	h.multi("mb", multiXML(repo.url(), branches, ""))
	had := h.kids("mb")
	h.s.cfg.AllowFileSCM = false
	if log := h.rescan("mb"); !strings.Contains(log, "file:// is not allowed") || h.kids("mb") != had {
		t.Errorf("%s\n%s", h.kids("mb"), log)
	}
	h.s.cfg.AllowFileSCM = true
	h.s.cfg.MaxSCMBytes = 10
	repo.commit("main", map[string]string{"big": "x"})
	if log := h.rescan("mb"); !strings.Contains(log, "too large") || h.kids("mb") != had {
		t.Errorf("%s\n%s", h.kids("mb"), log)
	}
	// The builds of the branches fetch, too.
	h.eventually("nothing that was fetched is left", func() bool {
		left, err := filepath.Glob(filepath.Join(h.dir, "state", "scratch", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
}

func TestOrphans(t *testing.T) {
	tests := map[string]struct {
		strategy, want, reason string
		disabled               bool
	}{
		"none":  {"", "main", "without a strategy orphans go", false},
		"kept":  {"<pruneDeadBranches>false</pruneDeadBranches>", "a b main", "they are not to go", true},
		"days":  {"<pruneDeadBranches>true</pruneDeadBranches><daysToKeep>7</daysToKeep><numToKeep>-1</numToKeep>", "a b main", "they are young", true},
		"one":   {"<pruneDeadBranches>true</pruneDeadBranches><daysToKeep>-1</daysToKeep><numToKeep>1</numToKeep>", "a main", "one of them is kept", true},
		"nulls": {"<pruneDeadBranches>true</pruneDeadBranches><daysToKeep>-1</daysToKeep><numToKeep>-1</numToKeep>", "main", "no bounds", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			repo := newGitRepo(t)
			repo.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
			repo.commit("a", nil)
			repo.commit("b", nil)
			h := newMultiHarness(t)
			h.multi("mb", multiXML(repo.url(), branches, "<orphanedItemStrategy>"+tt.strategy+"</orphanedItemStrategy>"))
			for _, b := range []string{"a", "b", "main"} {
				h.ended("f/mb/"+b, 1)
			}
			repo.remove("a")
			repo.remove("b")
			h.rescan("mb")
			if got := h.kids("mb"); got != tt.want {
				t.Errorf("%s: %s", tt.reason, got)
			}
			if tt.disabled {
				if got := h.get("/job/f/job/mb/job/a/api/json?tree=color"); !strings.Contains(got, `"disabled"`) {
					t.Error(got)
				}
				repo.commit("a", nil)
				if log := h.rescan("mb"); !strings.Contains(log, "Scheduled build for branch: a\n") {
					t.Error(log)
				}
			}
		})
	}
}

// A scan that a crash cut off is done again.
func TestScanAfterRestart(t *testing.T) {
	repo := recordedRepo(t)
	dir := t.TempDir()
	h := newHarness(t, dir, withEngine, withFileSCM)
	h.folder("f")
	h.multi("mb", multiXML(repo.url(), branches, ""))
	h.s.mu.Lock()
	it := h.s.root.kids["f"].kids["mb"]
	it.Scan = &store.Scan{Started: it.Scan.Started}
	if err := h.s.store.PutItem(it.Item); err != nil {
		t.Error(err)
	}
	h.s.mu.Unlock()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	repo.commit("late", nil)
	h = newHarness(t, dir, withEngine, withFileSCM)
	if log := h.scanned("mb"); !strings.Contains(log, "Scheduled build for branch: late\n") || !strings.HasSuffix(log, "Finished: SUCCESS\n") {
		t.Error(log)
	}
}

// A multi-branch job that is deleted takes its branches along, also while it is scanned; nothing brings them back.
func TestDeleteWhileScanned(t *testing.T) {
	repo := recordedRepo(t)
	h := newMultiHarness(t)
	for i := range 10 {
		name := fmt.Sprint("mb", i)
		h.want(200, "POST", "/job/f/createItem?name="+name, typeXML, multiXML(repo.url(), branches, ""))
		h.want(302, "POST", "/job/f/job/"+name+"/doDelete", typeForm, "")
	}
	h.eventually("no scan runs", func() bool { h.s.mu.RLock(); defer h.s.mu.RUnlock(); return len(h.s.scans) == 0 })
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	if n := len(h.s.items); n != 1 {
		t.Errorf("%d items are left, want the folder", n)
	}
}

func TestBranchJobName(t *testing.T) {
	for in, want := range map[string]string{"feature/x": "feature%2Fx", "a%b": "a%25b", "fix#1": "fix%231", "größe": "größe", "rel+1.0": "rel+1.0", "a b": "a b", "%2F": "%252F",
		"dependabot/npm/@types/node": "dependabot%2Fnpm%2F@types%2Fnode", "a]b": "a%5Db", "a<b>|c": "a<b>|c", "x;y&z!$": "x;y&z!$"} {
		// The client has to find the job under the name that it makes.
		if got := branchJobName(in); got != want || jenkins.BranchJobName(in) != want {
			t.Errorf("%q is %q here and %q for the client, want %q", in, got, jenkins.BranchJobName(in), want)
		}
	}
}

func TestJenkinsfileFromSCM(t *testing.T) {
	repo := newGitRepo(t)
	first := repo.commit("main", map[string]string{"ci/Jenkinsfile": branchPipeline})
	repo.tag("v1", first)
	repo.commit("dev", map[string]string{"ci/Jenkinsfile": "pipeline { agent any\n stages { stage('dev') { steps { echo 'from dev' } } } }"})
	h := newMultiHarness(t)
	tests := map[string]struct{ branch, path, want, reason string }{
		"any":    {"*/dev", "ci/Jenkinsfile", "from dev\n", "Jenkins' form of a branch"},
		"tag":    {"refs/tags/v1", "ci/Jenkinsfile", "branch null, job f/tag", "a tag"},
		"empty":  {"", "ci/Jenkinsfile", "branch null, job f/empty", "the default branch"},
		"commit": {first, "ci/Jenkinsfile", "branch null, job f/commit", "a commit"},
		"none":   {"*/none", "ci/Jenkinsfile", "ERROR: read ci/Jenkinsfile: branch, tag or commit \"*/none\"", "a missing branch"},
		"file":   {"*/dev", "Jenkinsfile", "ERROR: read Jenkinsfile: Jenkinsfile: not found", "a missing file"},
		"folder": {"*/dev", "ci", "ERROR: read ci: ci is no file: not found", "a folder"},
		"out":    {"*/dev", "../../etc/passwd", "ERROR: read ../../etc/passwd: etc/passwd: not found", "a path that leaves the repository"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h.want(200, "POST", "/job/f/createItem?name="+name, typeXML, `<flow-definition><definition class="`+definitionFromSCM+`"><scm class="hudson.plugins.git.GitSCM"><userRemoteConfigs>`+
				`<hudson.plugins.git.UserRemoteConfig><url>`+repo.url()+`</url></hudson.plugins.git.UserRemoteConfig></userRemoteConfigs><branches><hudson.plugins.git.BranchSpec><name>`+tt.branch+
				`</name></hudson.plugins.git.BranchSpec></branches></scm><scriptPath>`+tt.path+`</scriptPath></definition></flow-definition>`)
			h.want(201, "POST", "/job/f/job/"+name+"/build?delay=0", typeForm, "")
			h.ended("f/"+name, 1)
			if log := h.get("/job/f/job/" + name + "/1/consoleText"); !strings.Contains(log, tt.want) {
				t.Errorf("%s: no %q in\n%s", tt.reason, tt.want, log)
			}
		})
	}
}

func TestScanOfTwoSources(t *testing.T) {
	one, two := newGitRepo(t), newGitRepo(t)
	one.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
	two.commit("main", map[string]string{"Jenkinsfile": branchPipeline, "two": "1"})
	second := two.commit("second", map[string]string{"x": "1"})
	source := func(id, remote string) string {
		return `<jenkins.branch.BranchSource><source class="jenkins.plugins.git.GitSCMSource"><id>` + id + `</id><remote>` + escapeXML(remote) + `</remote>` + branches + `</source></jenkins.branch.BranchSource>`
	}
	h := newMultiHarness(t)
	log := h.multi("mb", `<org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject><properties/><sources class="x"><data>`+source("a", one.url())+source("b", two.url())+
		`</data></sources></org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject>`)
	if h.kids("mb") != "main second" || !strings.Contains(log, "Ignoring duplicate branch project main\n") || strings.Count(log, "> git ls-remote") != 2 {
		t.Errorf("%s\n%s", h.kids("mb"), log)
	}
	h.ended("f/mb/second", 1)
	h.ended("f/mb/main", 1)
	if b := h.logOf("f/mb/second", 1); !strings.Contains(b, "Obtained Jenkinsfile from "+second) {
		t.Error(b)
	}
	if xml := h.get("/job/f/job/mb/job/second/config.xml"); !strings.Contains(xml, "<sourceId>b</sourceId>") || !strings.Contains(xml, two.url()) {
		t.Error(xml)
	}
	// The first source loses its branch: that of the second takes its place.
	one.commit("other", nil)
	one.remove("main")
	if log := h.rescan("mb"); !strings.Contains(log, "Scheduled build for branch: main\n") || h.kids("mb") != "main other second" {
		t.Errorf("%s\n%s", h.kids("mb"), log)
	}
	h.ended("f/mb/main", 2)
	h.ended("f/mb/other", 1)
}
