// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// realEngine runs builds with the engine instead of the stub.
func realEngine(_ *Config, s *Server) {
	if s != nil {
		s.parse, s.check, s.run = jenkinsfile.Parse, engine.CheckWith, engine.Run
	}
}

func steps(body string) string {
	return "pipeline { agent any\n stages { stage('s') { steps {\n" + body + "\n} } } }"
}

// start starts a job without parameters.
func (h *harness) start(job string) {
	h.t.Helper()
	h.want(201, "POST", "/job/"+strings.ReplaceAll(job, "/", "/job/")+"/build?delay=0sec", typeForm, "")
}

func (h *harness) logOf(job string, n int) string {
	return h.get("/job/" + strings.ReplaceAll(job, "/", "/job/") + "/" + strconv.Itoa(n) + "/consoleText")
}

func (h *harness) wantLog(job string, n int, parts ...string) {
	h.t.Helper()
	log := h.logOf(job, n)
	for _, p := range parts {
		if !strings.Contains(log, p) {
			h.t.Errorf("the log of %s #%d lacks %q:\n%s", job, n, p, log)
		}
	}
}

func stashFolders(t *testing.T, h *harness) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "state", "builds", "*", "*", "stashes"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestStashesOnDisk(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine, func(c *Config, _ *Server) {
		if c != nil {
			c.MaxStash = 4 << 10
		}
	})
	h.folder("t")
	h.job("t", "fits", steps("sh 'head -c 3000 /dev/urandom > f'\n stash 'a'\n stash 'a'\n sh 'rm f'\n unstash 'a'\n sh 'wc -c < f'"), "", "")
	h.job("t", "big", steps("sh 'head -c 3000 /dev/urandom > f'\n stash 'a'\n script { try { stash 'b' } catch (e) { echo \"refused: ${e.message}\" } }\n sh 'rm f'\n unstash 'a'\n sh 'wc -c < f'"), "", "")
	h.job("t", "keeps", "pipeline { agent any\n options { preserveStashes(buildCount: 2) }\n stages { stage('s') { steps { sh 'echo x > f'\n stash 'a' } }\n stage('u') { steps { sh 'rm -f f'\n unstash 'a'\n sh 'cat f' } } } }", "", "")
	h.start("t/fits")
	if b := h.ended("t/fits", 1); b.Result != engine.ResultFailure {
		// Two of 3000 bytes do not fit at once while one takes the place of the other.
		t.Errorf("fits: %s\n%s", b.Result, h.logOf("t/fits", 1))
	}
	h.start("t/big")
	if b := h.ended("t/big", 1); b.Result != engine.ResultSuccess {
		t.Errorf("big: %s", b.Result)
	}
	h.wantLog("t/big", 1, "refused: Stash ‘b’", "take too much space", "3000\n")
	if n := stashFolders(t, h); n != 0 {
		t.Errorf("%d builds still have stashes", n)
	}
	for n := 1; n <= 3; n++ {
		h.start("t/keeps")
		if b := h.ended("t/keeps", n); b.Result != engine.ResultSuccess {
			t.Fatalf("keeps #%d: %s\n%s", n, b.Result, h.logOf("t/keeps", n))
		}
	}
	if n := stashFolders(t, h); n != 2 {
		t.Errorf("%d builds keep their stashes, want 2", n)
	}
	h.s.mu.RLock()
	job := h.s.root.kids["t"].kids["keeps"]
	b := job.builds[2]
	h.s.mu.RUnlock()
	if _, err := h.s.runAgain(job, b, again{user: "ann", stage: "u"}); err != nil {
		t.Fatal(err)
	}
	if b := h.ended("t/keeps", 4); b.Result != engine.ResultSuccess {
		t.Errorf("restarted: %s\n%s", b.Result, h.logOf("t/keeps", 4))
	}
}

func TestStashesAfterACrash(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	it := &store.Item{Name: "j", Kind: store.KindPipeline, Config: []byte(jobXML("", "", "")), NextBuild: 2}
	if err := st.AddItem(it); err != nil {
		t.Fatal(err)
	}
	b := &store.Build{Job: it.ID, Number: 1, Started: time.Now(), Building: true}
	if err := st.PutBuild(b); err != nil {
		t.Fatal(err)
	}
	if err := st.PutStash(t.Context(), b.Key(), "a", strings.NewReader("x"), func(int) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, dir, realEngine)
	if n := stashFolders(t, h); n != 0 {
		t.Errorf("%d interrupted builds have stashes", n)
	}
}

func TestLocksOfTenants(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	for _, f := range []string{"a", "b"} {
		h.folder(f)
		h.job(f, "hold", steps("lock('db') { sh 'while [ ! -e "+filepath.Join(h.dir, "go")+" ]; do sleep 0.05; done' }"), "", "")
		h.job(f, "want", steps("lock('db') { echo 'mine' }"), "", "")
	}
	h.start("a/hold")
	h.eventually("a/hold has the lock", func() bool { return strings.Contains(h.logOf("a/hold", 1), "Lock acquired") })
	h.start("b/want")
	if b := h.ended("b/want", 1); b.Result != engine.ResultSuccess {
		t.Errorf("another tenant's lock holds b: %s", b.Result)
	}
	h.start("a/want")
	h.eventually("a/want waits", func() bool {
		return strings.Contains(h.logOf("a/want", 1), "[Resource: db] is locked by build a » hold #1, waiting for execution")
	})
	if err := os.WriteFile(filepath.Join(h.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if b := h.ended("a/want", 1); b.Result != engine.ResultSuccess {
		t.Errorf("a/want: %s", b.Result)
	}
}

func TestMilestonesOfBuilds(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("t")
	h.job("t", "j", steps("milestone 1\n sh 'if [ $BUILD_NUMBER = 1 ]; then sleep 30; fi'\n milestone 2"), "", "")
	h.start("t/j")
	h.eventually("1 has passed the first", func() bool { return strings.Contains(h.logOf("t/j", 1), "sleep 30") })
	h.start("t/j")
	if b := h.ended("t/j", 2); b.Result != engine.ResultSuccess {
		t.Errorf("#2: %s", b.Result)
	}
	if b := h.ended("t/j", 1); b.Result != engine.ResultNotBuilt {
		t.Errorf("#1: %s\n%s", b.Result, h.logOf("t/j", 1))
	}
	h.wantLog("t/j", 1, "Superseded by #2\n", "Finished: NOT_BUILT")
}

func TestBuildOfOtherJobs(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	for _, f := range []string{"a", "b"} {
		h.folder(f)
	}
	h.want(200, "POST", "/job/a/createItem?name=sub", typeXML, "<"+classFolder+"><description/></"+classFolder+">")
	h.job("b", "secret", steps("echo 'x'"), "", "")
	h.job("a", "child", steps("echo \"A=${params.A}\"\n script { if (params.FAIL) { error 'asked' } }"), paramsXML("A=default", "FAIL?false"), "")
	h.want(200, "POST", "/job/a/job/sub/createItem?name=deep", typeXML, jobXML(steps("build '../child'"), "", ""))
	h.job("a", "parent", steps(`build job: 'child', quietPeriod: 0, parameters: [string(name: 'A', value: 'x y'), string(name: 'UNKNOWN', value: '1')]
 script { def r = build job: '/a/child', quietPeriod: 0, propagate: false, parameters: [booleanParam(name: 'FAIL', value: true)]
 echo "child ${r.number} ${r.result} ${r.buildVariables.A}" }
 build job: 'sub/deep', quietPeriod: 0`), "", "")
	h.start("a/parent")
	if b := h.ended("a/parent", 1); b.Result != engine.ResultSuccess {
		t.Fatalf("%s\n%s", b.Result, h.logOf("a/parent", 1))
	}
	h.wantLog("a/parent", 1, "Scheduling project: a » child\nStarting building: a » child #1\nBuild a » child #1 completed: SUCCESS\n",
		"child 2 FAILURE default\n", "Build a » sub » deep #1 completed: SUCCESS")
	h.wantLog("a/child", 1, "Started by upstream project \"a/parent\" build number 1\n", "A=x y\n")
	want := []store.Cause{{Upstream: &store.Upstream{Project: "a/sub/deep", Build: 1, URL: "job/a/job/sub/job/deep/", Depth: 2}}}
	if d := cmp.Diff(want, h.ended("a/child", 3).Causes, cmpopts.IgnoreFields(store.Upstream{}, "Request")); d != "" {
		t.Errorf("cause (-want +got):\n%s", d)
	}
	api := h.get("/job/a/job/child/1/api/json?tree=actions[causes[*]]")
	for _, part := range []string{`BuildUpstreamCause"`, `"upstreamProject":"a/parent"`, `"upstreamBuild":1`, `"upstreamUrl":"job/a/job/parent/"`} {
		if !strings.Contains(api, part) {
			t.Errorf("the cause lacks %s: %s", part, api)
		}
	}
	for i, path := range []string{"/b/secret", "../b/secret", "nosuch", "/b/nosuch", "sub", "../../../a/child", "child/x", "/"} {
		name := "refused" + strconv.Itoa(i)
		h.job("a", name, steps("build '"+path+"'"), "", "")
		h.start("a/" + name)
		if b := h.ended("a/"+name, 1); b.Result != engine.ResultFailure {
			t.Errorf("%s: %s", path, b.Result)
		}
		h.wantLog("a/"+name, 1, "ERROR: No item named "+path+" found\n")
	}
}

func TestBuildChainsEnd(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("a")
	h.job("a", "loop", steps("build job: 'loop', wait: false, quietPeriod: 0"), "", "")
	h.start("a/loop")
	h.wantLogEventually("a/loop", maxUpstream+1, "more than 20 builds have started each other in a row")
}

// TestBuildsOfBuilds: jobs cannot fill the server with builds that wait.
func TestBuildsOfBuilds(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("a")
	h.job("a", "child", steps("echo 'x'"), paramsXML("A="), "")
	h.job("a", "many", steps(`script { for (int i = 0; i < `+strconv.Itoa(maxStarted+1)+`; i++) {
 build job: 'child', wait: false, quietPeriod: 3600, parameters: [string(name: 'A', value: "$i")] } }`), "", "")
	h.start("a/many")
	if b := h.ended("a/many", 1); b.Result != engine.ResultFailure {
		t.Errorf("%s", b.Result)
	}
	h.wantLog("a/many", 1, strconv.Itoa(maxStarted)+" builds that other builds of a have started run or wait: a/child is not started as well")
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	if n := h.s.startedIn("a"); n != maxStarted {
		t.Errorf("%d wait, want %d", n, maxStarted)
	}
}

func (h *harness) wantLogEventually(job string, n int, part string) {
	h.t.Helper()
	h.ended(job, n)
	h.wantLog(job, n, part)
}

func TestBuildCancelsTheOther(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("a")
	h.job("a", "slow", steps("sh 'sleep 30'"), "", "")
	h.job("a", "parent", steps("build job: 'slow', quietPeriod: 0"), "", "")
	h.job("a", "queued", steps("build job: 'slow', quietPeriod: 1000"), "", "")
	h.start("a/parent")
	h.eventually("slow runs", func() bool { return strings.Contains(h.logOf("a/parent", 1), "Starting building: a » slow #1") })
	h.do("POST", "/job/a/job/parent/1/stop", typeForm, "")
	if b := h.ended("a/slow", 1); b.Result != engine.ResultAborted {
		t.Errorf("slow: %s", b.Result)
	}
	h.start("a/queued")
	h.eventually("it is queued", func() bool { return strings.Contains(h.logOf("a/queued", 1), "Scheduling project: a » slow") })
	h.do("POST", "/job/a/job/queued/1/stop", typeForm, "")
	h.ended("a/queued", 1)
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	if n := len(h.s.root.kids["a"].kids["slow"].line); n != 0 {
		t.Errorf("%d items are left in the queue", n)
	}
}

func TestTimers(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("a")
	trigger := func(spec string) string {
		return "<" + propTriggers + "><triggers><" + timerTrigger + "><spec>" + spec + "</spec></" + timerTrigger + "></triggers></" + propTriggers + ">"
	}
	body := "pipeline { agent any\n triggers { cron('30 12 * * *') }\n stages { stage('s') { when { triggeredBy 'TimerTrigger' }\n steps { echo 'by timer' } } } }"
	h.job("a", "config", steps("echo \"hi ${params.P}\""), trigger("0 12 * * *")+paramsXML("P=dflt"), "")
	h.job("a", "file", body, "", "")
	h.job("a", "broken", steps("echo 'x'"), trigger("0 99 * * *"), "")
	h.job("a", "off", strings.Replace(steps("echo 'x'"), "any", "any", 1), trigger("0 12 * * *"), "")
	h.do("POST", "/job/a/job/off/disable", typeForm, "")
	h.start("a/file")
	h.ended("a/file", 1)
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).Local()
	noon = noon.Add(time.Duration(12-noon.Hour()) * time.Hour)
	fire := func(from, to time.Duration) { h.s.fireTimers(t.Context(), noon.Add(from), noon.Add(to)) }
	fire(-time.Hour, -time.Minute)
	fire(0, time.Minute)
	fire(0, 0) // one that waits is enough
	if b := h.ended("a/config", 1); b.Result != engine.ResultSuccess || len(b.Causes) != 1 || !b.Causes[0].Timer {
		t.Errorf("config: %s %+v", b.Result, b.Causes)
	}
	h.wantLog("a/config", 1, "Started by timer\n", "hi dflt\n")
	fire(29*time.Minute, 31*time.Minute)
	h.ended("a/file", 2)
	h.wantLog("a/file", 2, "Started by timer\n", "by timer\n")
	if api := h.get("/job/a/job/config/1/api/json?tree=actions[causes[*]]"); !strings.Contains(api, `"hudson.triggers.TimerTrigger$TimerTriggerCause"`) {
		t.Errorf("cause: %s", api)
	}
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	for name, want := range map[string]int{"config": 1, "file": 2, "broken": 0, "off": 0} {
		if j := h.s.root.kids["a"].kids[name]; len(j.builds)+len(j.line) != want {
			t.Errorf("%s: %d builds, want %d", name, len(j.builds)+len(j.line), want)
		}
	}
}
