// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// scmJobXML is a job whose Jenkinsfile is in a repository.
func scmJobXML(remote, triggers string) string {
	return `<flow-definition><properties/><definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"><scm class="hudson.plugins.git.GitSCM"><userRemoteConfigs><hudson.plugins.git.UserRemoteConfig><url>` +
		escapeXML(remote) + `</url></hudson.plugins.git.UserRemoteConfig></userRemoteConfigs><branches><hudson.plugins.git.BranchSpec><name>*/main</name></hudson.plugins.git.BranchSpec></branches></scm><scriptPath>Jenkinsfile</scriptPath></definition><triggers>` +
		triggers + `</triggers></flow-definition>`
}

// fire lets all schedules of a minute be due.
func (h *harness) fire() {
	h.t.Helper()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	h.s.fireTimers(h.t.Context(), at, at.Add(59*time.Minute))
	h.eventually("polling is over", func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		return len(h.s.steps.polling) == 0
	})
}

func (h *harness) builds(job string) int {
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	it := h.s.root
	for _, name := range strings.Split(job, "/") {
		it = it.kids[name]
	}
	return len(it.builds) + len(it.line)
}

func TestPolling(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"Jenkinsfile": "pipeline { agent any\n triggers { pollSCM('H/5 * * * *') }\n stages { stage('s') { steps { echo 'x' } } } }"})
	h := newMultiHarness(t)
	h.want(200, "POST", "/job/f/createItem?name=xml", typeXML, scmJobXML(g.url(), "<"+scmTrigger+"><spec>* * * * *</spec></"+scmTrigger+">"))
	h.want(200, "POST", "/job/f/createItem?name=file", typeXML, scmJobXML(g.url(), ""))
	h.fire()
	h.ended("f/xml", 1)
	if log := h.logOf("f/xml", 1); !strings.HasPrefix(log, "Started by an SCM change\n") {
		t.Errorf("no cause in\n%s", log)
	}
	if body := h.get("/job/f/job/xml/1/api/json"); !strings.Contains(body, `"_class":"hudson.triggers.SCMTrigger$SCMTriggerCause","shortDescription":"Started by an SCM change"`) {
		t.Error(body)
	}
	// The job learns of its trigger from its first build.
	if n := h.builds("f/file"); n != 0 {
		t.Errorf("%d builds before the Jenkinsfile was read", n)
	}
	h.start("f/file")
	h.ended("f/file", 1)
	h.fire()
	if a, b := h.builds("f/xml"), h.builds("f/file"); a != 1 || b != 1 {
		t.Errorf("built although nothing has changed: %d, %d", a, b)
	}
	g.commit("main", map[string]string{"x": "1"})
	h.fire()
	h.ended("f/xml", 2)
	h.ended("f/file", 2)
	g.commit("other", map[string]string{"x": "2"})
	h.fire()
	if n := h.builds("f/xml"); n != 2 {
		t.Errorf("built for another branch: %d", n)
	}
}

func TestNotifyCommit(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"Jenkinsfile": "pipeline { agent any\n triggers { pollSCM('') }\n stages { stage('s') { steps { echo 'x' } } } }"})
	h := newMultiHarness(t)
	h.want(200, "POST", "/job/f/createItem?name=j", typeXML, scmJobXML(g.url(), ""))
	h.want(200, "POST", "/job/f/createItem?name=deaf", typeXML, scmJobXML(strings.TrimSuffix(g.url(), ".git"), ""))
	h.start("f/j")
	h.ended("f/j", 1)
	h.multi("mb", multiXML(g.url(), branches, ""))
	h.ended("f/mb/main", 1)
	g.commit("main", map[string]string{"x": "1"})
	hook := func(query string) *response {
		req := h.request("GET", "/git/notifyCommit?"+query, "")
		req.Header.Del("Authorization")
		return h.handle(req)
	}
	for _, q := range []string{"url=" + url.QueryEscape(g.url()), "token=wrong&url=x"} {
		if r := hook(q); r.StatusCode != 401 || !strings.Contains(r.body, "An access token is required") {
			t.Errorf("%s: %d %s", q, r.StatusCode, r.body)
		}
	}
	if r := hook("token=" + testToken); r.StatusCode != 400 {
		t.Errorf("no address: %d", r.StatusCode)
	}
	if r := hook("token=" + testToken + "&url=https://u:pa55@elsewhere/x.git"); r.StatusCode != 200 || strings.Contains(r.body, "pa55") || !strings.HasPrefix(r.body, "No git jobs using repository: https://elsewhere/x.git and branches: \nNo Git consumers") {
		t.Errorf("another repository: %s", r.body)
	}
	if r := hook("token=" + testToken + "&branches=dev,release&url=" + url.QueryEscape(g.url())); r.body != "Scheduled indexing of f » mb\n" {
		t.Errorf("another branch: %s", r.body)
	}
	h.scanned("mb")
	h.ended("f/mb/main", 2)
	if r := hook("token=" + testToken + "&branches=main&sha1=abc&url=" + url.QueryEscape(strings.TrimSuffix(g.url(), ".git"))); r.body != "Scheduled indexing of f » mb\nScheduled polling of f » j\n" {
		t.Errorf("got %s", r.body)
	}
	h.ended("f/j", 2)
	h.scanned("mb")
	if n := h.builds("f/mb/main"); n != 2 {
		t.Errorf("%d builds of the branch", n)
	}
}

func TestScanByWebhook(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
	h := newMultiHarness(t)
	h.multi("mb", multiXML(g.url(), branches, "<triggers><"+webhookTrigger+" plugin=\"x\"><spec></spec><token>s3cret</token></"+webhookTrigger+"></triggers>"))
	h.ended("f/mb/main", 1)
	g.commit("main", map[string]string{"x": "1"})
	for _, method := range []string{"GET", "POST"} {
		for query, want := range map[string]string{"": `"ANY":"Did not find any jobs`, "?token=wrong": `"ANY":`, "?token=s3cret": `"f/mb":{"id":`} {
			req := h.request(method, "/multibranch-webhook-trigger/invoke"+query, "")
			req.Header.Del("Authorization")
			if r := h.handle(req); r.StatusCode != 200 || !strings.Contains(r.body, want) || !strings.HasPrefix(r.body, `{"data":{"triggerResults":`) || !strings.HasSuffix(r.body, `"status":"ok"}`) {
				t.Errorf("%s %s: %d %s", method, query, r.StatusCode, r.body)
			}
		}
	}
	h.scanned("mb")
	h.ended("f/mb/main", 2)
}

func TestUpstream(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	h.folder("g")
	h.job("f", "a", "pipeline { agent any\n stages { stage('s') { steps { script { if (params.BAD) { unstable 'x' } } } } }\n parameters { booleanParam(name: 'BAD', defaultValue: false) } }", "", "")
	dependent := func(projects, more string) string {
		return "pipeline { agent any\n triggers { upstream(upstreamProjects: '" + projects + "'" + more + ") }\n stages { stage('s') { steps { echo 'x' } } } }"
	}
	h.job("f", "b", dependent("nosuch, a", ""), "", "")
	h.job("f", "c", dependent("../f/a", ", threshold: hudson.model.Result.UNSTABLE"), "", "")
	h.job("g", "d", dependent("/f/a", ""), "", "")
	h.job("f", "e", "pipeline { agent any; stages { stage('s') { steps { echo 'x' } } } }",
		"<"+propTriggers+"><triggers><"+reverseTrigger+"><spec></spec><upstreamProjects>b</upstreamProjects><threshold><name>SUCCESS</name></threshold></"+reverseTrigger+"></triggers></"+propTriggers+">", "")
	for _, job := range []string{"f/b", "f/c", "g/d"} {
		h.start(job)
		h.ended(job, 1)
	}
	h.ended("f/e", 1)
	h.start("f/a")
	h.ended("f/a", 1)
	h.ended("f/b", 2)
	h.ended("f/c", 2)
	h.ended("f/e", 2)
	h.wantLog("f/b", 2, "Started by upstream project \"f/a\" build number 1\n")
	h.wantLog("f/e", 2, "Started by upstream project \"f/b\" build number 2\n")
	if body := h.get("/job/f/job/b/2/api/json"); !strings.Contains(body, `"_class":"hudson.model.Cause$UpstreamCause"`) || !strings.Contains(body, `"upstreamUrl":"job/f/job/a/"`) {
		t.Error(body)
	}
	h.want(201, "POST", "/job/f/job/a/buildWithParameters?delay=0sec", typeForm, "BAD=true")
	h.ended("f/a", 2)
	h.ended("f/c", 3)
	if b, d := h.builds("f/b"), h.builds("g/d"); b != 2 || d != 1 {
		t.Errorf("below the threshold, or of another project: %d, %d builds", b, d)
	}
}

func TestTriggersOf(t *testing.T) {
	seconds := func(n int) *time.Duration { d := time.Duration(n) * time.Second; return &d }
	for name, tc := range map[string]struct {
		src  string
		want store.Triggers
	}{
		"None":    {"", store.Triggers{}},
		"Poll":    {"triggers { pollSCM('H * * * *') }", store.Triggers{Poll: true, PollSpec: "H * * * *"}},
		"Hooks":   {"triggers { pollSCM('') }", store.Triggers{Poll: true}},
		"Named":   {"triggers { pollSCM(scmpoll_spec: '@daily', ignorePostCommitHooks: true) }", store.Triggers{Poll: true, PollSpec: "@daily"}},
		"Up":      {"triggers { upstream(upstreamProjects: 'a,b', threshold: hudson.model.Result.FAILURE) }", store.Triggers{Upstream: "a,b", Threshold: engine.ResultFailure}},
		"UpOnly":  {"triggers { upstream 'a' }", store.Triggers{Upstream: "a", Threshold: engine.ResultSuccess}},
		"Options": {"options { quietPeriod(30)\n overrideIndexTriggers(false)\n disableRestartFromStage() }", store.Triggers{Quiet: seconds(30), NoIndexing: true, NoRestart: true}},
		"Index":   {"options { overrideIndexTriggers(true) }", store.Triggers{}},
		"Quiet":   {"options { quietPeriod(-5) }", store.Triggers{Quiet: seconds(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := jenkinsfile.Parse("pipeline { agent any\n " + tc.src + "\n stages { stage('s') { steps { echo 'x' } } } }")
			if err != nil {
				t.Fatal(err)
			}
			if err := engine.Check(p, nil); err != nil {
				t.Errorf("the engine refuses it: %v", err)
			}
			if d := cmp.Diff(tc.want, triggersOf(p)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOptionsOfJobs(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"Jenkinsfile": "pipeline { agent any\n options { overrideIndexTriggers(false)\n disableRestartFromStage()\n quietPeriod(0) }\n stages { stage('s') { steps { echo 'x' } } } }"})
	h := newMultiHarness(t)
	h.multi("mb", multiXML(g.url(), branches, ""))
	h.ended("f/mb/main", 1)
	g.commit("main", map[string]string{"x": "1"})
	if log := h.rescan("mb"); !strings.Contains(log, "No automatic build triggered for main") {
		t.Error(log)
	}
	if n := h.builds("f/mb/main"); n != 1 {
		t.Errorf("%d builds", n)
	}
	r := h.do("POST", "/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/main/runs/1/nodes/"+regexp.MustCompile(`"displayName":"s"[^}]*?"id":"(\d+)"`).FindStringSubmatch(h.get("/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/main/runs/1/nodes/"))[1]+"/restart", "application/json", `{"restart":true}`)
	if r.StatusCode < 400 || !strings.Contains(r.body, "disableRestartFromStage") {
		t.Errorf("a stage was restarted: %d %s", r.StatusCode, r.body)
	}
}
