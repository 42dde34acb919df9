// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// TestXPathBomb: an expression in an expression in an expression is given up, and not after minutes.
func TestXPathBomb(t *testing.T) {
	doc := "<r>" + strings.Repeat("<a x='1'><b>t</b></a>", 2000) + "</r>"
	for reason, expr := range map[string]string{
		"nested counts": "//*[count(//*[count(//*[count(//*)>0])>0])>0]",
		"long texts":    "//*[contains(string(/r), 'none')]" + strings.Repeat("|//*[contains(string(/r),'none')]", 100),
		"siblings":      "//*[preceding-sibling::*[following-sibling::*[preceding-sibling::*[last()]]]]",
	} {
		for _, exclude := range [][]string{nil, {expr}} {
			begin := time.Now()
			pickExpr := expr
			if exclude != nil {
				pickExpr = "/r"
			}
			_, _, err := pick(doc, pickExpr, "w", exclude, false)
			if !errors.Is(err, errXPathCost) {
				t.Errorf("%s: %v", reason, err)
			}
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("%s: %v", reason, took)
			}
		}
	}
	text, _, err := pick("<r><a x='1'/><a x='2'/></r>", "//a[@x='2']/@x", "w", nil, false)
	if err != nil || text != "<w>2</w>" {
		t.Errorf("an attribute: %q, %v", text, err)
	}
	if text, _, err = pick("<r><a/><b/><c/></r>", "/r/*[position()=last()]", "", nil, false); err != nil || text != "<c></c>" && text != "<c/>" {
		t.Errorf("the last one: %q, %v", text, err)
	}
}

// TestAnswerBound: what shows itself again at each depth does not fill the memory.
func TestAnswerBound(t *testing.T) {
	var again func() any
	long := strings.Repeat("x", 1<<20)
	again = func() any {
		o := bean("x").set("text", long).lazy(1, "one", again).lazy(1, "two", again)
		return []*object{o, o}
	}
	var b bytes.Buffer
	if err := renderJSON(&b, again(), byDepth(1-9999)); !errors.Is(err, errAnswer) {
		t.Errorf("got %v with %d bytes", err, b.Len())
	}
}

func TestAnonymousPostAtTheTop(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	req := h.request("POST", "/", "")
	req.Header.Del("Authorization")
	if r := h.handle(req); r.StatusCode != http.StatusForbidden {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
}

func TestHookBody(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	for _, path := range []string{"/git/notifyCommit", "/multibranch-webhook-trigger/invoke"} {
		req := h.request("POST", path, url.Values{"token": {strings.Repeat("x", 2*maxHookBody)}}.Encode())
		req.Header.Del("Authorization")
		req.Header.Set("Content-Type", typeForm)
		if r := h.handle(req); r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: anybody can send as much: %d", path, r.StatusCode)
		}
	}
}

// TestSystemScope: entries of the scope of the system are for nobody's builds, wherever they are.
func TestSystemScope(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.credential("f", "form", classBasic, map[string]any{"username": "bob", "password": hidden, "scope": "SYSTEM"})
	doc := func(id, scope string) string {
		return "<" + classBasic + "><scope>" + scope + "</scope><id>" + id + "</id><username>bob</username><password>" + hidden + "</password></" + classBasic + ">"
	}
	h.want(200, "POST", "/credentials/store/system/domain/_/createCredentials", typeXML, doc("xml", "SYSTEM"))
	h.want(200, "POST", "/credentials/store/system/domain/_/createCredentials", typeXML, doc("all", "GLOBAL"))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, offline)
	for id, want := range map[string]bool{"form": false, "xml": false, "all": true} {
		_, err := h.s.peekCredential(h.s.root.find("f").find("app"), id)
		if (err == nil) != want {
			t.Errorf("%s is seen by jobs: %v", id, err)
		}
		body := h.get("/job/f/descriptorByName/" + gitSourceForm + "/fillCredentialsIdItems?value=")
		if strings.Contains(body, `"`+id+`"`) != want {
			t.Errorf("%s is offered: %s", id, body)
		}
	}
	if got := h.get("/credentials/store/system/domain/_/credential/xml/config.xml"); !strings.Contains(got, "<scope>SYSTEM</scope>") {
		t.Error(got)
	}
}

// TestPollingWithoutJenkinsfile: a commit whose Jenkinsfile is missing is built once, not at each poll.
func TestPollingWithoutJenkinsfile(t *testing.T) {
	g := newGitRepo(t)
	g.commit("main", map[string]string{"README": "no pipeline"})
	h := newMultiHarness(t)
	h.want(200, "POST", "/job/f/createItem?name=j", typeXML, scmJobXML(g.url(), "<"+scmTrigger+"><spec>* * * * *</spec></"+scmTrigger+">"))
	h.fire()
	h.ended("f/j", 1)
	h.fire()
	if n := h.builds("f/j"); n != 1 {
		t.Errorf("%d builds of one commit", n)
	}
}

// TestDeletedStaysDeleted: a request that found an item before it was deleted does not bring it back.
func TestDeletedStaysDeleted(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.want(200, "POST", "/job/f/createView?name=mine", typeXML, "<hudson.model.ListView/>")
	job, folder := h.s.root.find("f").find("app"), h.s.root.find("f")
	h.want(302, "POST", "/job/f/doDelete", "", "")
	for action, form := range map[string]url.Values{"doRename": {"newName": {"back"}}, "disable": nil, "move": {"destination": {"/"}}, "submitDescription": {"description": {"x"}}} {
		req := h.request("POST", "/", form.Encode())
		req.Header.Set("Content-Type", typeForm)
		if err := req.ParseForm(); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		c := &call{w: rec, r: req}
		if action == "move" {
			c.segs = []string{"move", "move"}
		}
		h.s.changeItem(c, job, action)
		if rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", action, rec.Code)
		}
	}
	h.s.mu.Lock()
	if err := h.s.setConfig(job, job.Config); err == nil {
		t.Error("the configuration was stored")
	}
	if h.s.views[folder.ID] != nil {
		t.Error("views of a deleted folder are left")
	}
	h.s.mu.Unlock()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, offline)
	if len(h.s.items) != 0 {
		t.Errorf("%d items are back", len(h.s.items))
	}
}

// TestFingerprintsOfOthers: a build does not tell which other projects have its files.
func TestFingerprintsOfOthers(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	var keys []store.BuildKey
	for _, project := range []string{"mine", "theirs"} {
		h.folder(project)
		h.job(project, "app", script("stage one"), "", "")
		it := h.s.root.find(project).find("app")
		b := &store.Build{Job: it.ID, Number: 1, Started: time.Unix(1767225600, 0), Result: "SUCCESS"}
		if err := errors.Join(h.s.store.PutBuild(b), h.s.store.PutArtifact(t.Context(), b.Key(), "a.txt", strings.NewReader("same"))); err != nil {
			t.Fatal(err)
		}
		it.addBuild(b)
		keys = append(keys, b.Key())
	}
	body, err := renderAll(bean("").in("list", h.s.fingerprintBeans(keys[0])))
	if err != nil || !strings.Contains(string(body), "mine/app") || strings.Contains(string(body), "theirs") {
		t.Errorf("%s, %v", body, err)
	}
}

// TestSlots: who waits for slow repositories does not keep others waiting.
func TestSlots(t *testing.T) {
	s := newSlots(3, 2)
	take := func(tenant string) func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		release, ok := s.take(ctx, tenant)
		if !ok {
			return nil
		}
		return release
	}
	a1, a2 := take("a"), take("a")
	if a1 == nil || a2 == nil || take("a") != nil {
		t.Error("a tenant has two")
	}
	b := take("b")
	if b == nil {
		t.Fatal("another tenant waits for the first")
	}
	if take("c") != nil {
		t.Error("three are all")
	}
	a1()
	if c := take("c"); c == nil {
		t.Error("a free one is not given")
	} else {
		c()
	}
	a2()
	b()
	if len(s.of) != 0 || len(s.all) != 0 {
		t.Errorf("left: %v, %d", s.of, len(s.all))
	}
}

// TestUpstreamLoop: jobs that start each other come to an end.
func TestUpstreamLoop(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
		h.job("f", pair[0], "pipeline { agent none; stages { stage('s') { steps { echo 'x' } } } }",
			"<"+propTriggers+"><triggers><"+reverseTrigger+"><upstreamProjects>"+pair[1]+"</upstreamProjects></"+reverseTrigger+"></triggers></"+propTriggers+">", "<quietPeriod>0</quietPeriod>")
	}
	h.start("f/a")
	h.ended("f/a", 1+maxUpstream/2)
	h.eventually("nothing runs", func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		return len(h.s.runs) == 0 && len(h.s.line) == 0
	})
	if a, b := h.builds("f/a"), h.builds("f/b"); a+b != 1+maxUpstream {
		t.Errorf("%d and %d builds", a, b)
	}
}

// TestManyHooks: a hook that is called again and again leaves one small item in the queue.
func TestManyHooks(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	job := h.s.root.find("f").find("app")
	for range 10 * maxSameCauses {
		if _, _, err := h.s.enqueue(start{job: job, cause: store.Cause{SCM: true}, quiet: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(job.line); n != 1 || len(job.line[0].Causes) != maxSameCauses {
		t.Errorf("%d items", n)
	}
}

// TestCasCSource: what is beside the configuration and is none is not read.
func TestCasCSource(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"jenkins.yaml": "jenkins: {systemMessage: hello}", "token": "secret: value", "more.yml": "jenkins: {mode: NORMAL}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{cfg: Config{CasC: filepath.Join(dir, "jenkins.yaml"), MaxBody: 1 << 20}}
	for name, want := range map[string]bool{"jenkins.yaml": true, "more.yml": true, "jenkins.yaml," + filepath.Join(dir, "more.yml"): true, "token": false, "sub/../token": false, "../x.yaml": false, "": false} {
		if _, err := s.source(filepath.Join(dir) + "/" + name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestArtifactsOnDisk: a build does not fill the disk of all.
func TestArtifactsOnDisk(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine, func(c *Config, _ *Server) {
		if c != nil {
			c.MaxArtifacts = 4 << 10
		}
	})
	h.folder("t")
	h.job("t", "big", steps("sh 'head -c 3000 /dev/urandom > a; head -c 3000 /dev/urandom > b'\n archiveArtifacts 'a'\n archiveArtifacts 'b'"), "", "")
	h.start("t/big")
	if b := h.ended("t/big", 1); b.Result != "FAILURE" {
		t.Errorf("%s\n%s", b.Result, h.logOf("t/big", 1))
	}
	h.wantLog("t/big", 1, "the artifacts of a build can have 4096 bytes at most")
	if list, err := h.s.store.Artifacts(store.BuildKey{Job: h.s.root.find("t").find("big").ID, Number: 1}); err != nil || len(list) != 1 || list[0].Path != "a" {
		t.Errorf("%v, %v", list, err)
	}
}

// TestManyProblems: a long line with many problems is not shown once for each.
func TestManyProblems(t *testing.T) {
	src := "pipeline { agent any; stages { stage('s') { steps { " + strings.Repeat("foo 1; ", 20000) + " } } } }"
	p, err := jenkinsfile.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	text := compileErrors(src, engine.CheckWith(p, nil, nil))
	if len(text) > 1<<20 || !strings.Contains(text, "... and 19800 more\n") || !strings.HasSuffix(text, "20000 errors\n\n") {
		t.Errorf("%d bytes, which end in %q", len(text), text[max(0, len(text)-100):])
	}
}

func TestTimerRemembers(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.Local)
	timer := h.s.newTimer("30 10 * * *", "f/app")
	for i, want := range []struct {
		after time.Duration
		due   bool
	}{{0, false}, {29 * time.Minute, false}, {30 * time.Minute, true}, {31 * time.Minute, false}, {24*time.Hour + 30*time.Minute, true}, {10 * time.Minute, false}, {30 * time.Minute, true}} {
		if from := at.Add(want.after); timer.due(from, from) != want.due {
			t.Errorf("%d: at %v it is %v", i, from, !want.due)
		}
	}
	never := h.s.newTimer(strings.Repeat("0 0 31 2 *\n", 1000), "f/app")
	if never.due(at, at) {
		t.Error("there is no such day")
	}
	begin := time.Now()
	for n := range 10_000 {
		if from := at.Add(time.Duration(n) * time.Minute); never.due(from, from) {
			t.Fatal("there is no such day")
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("a schedule takes %v", took)
	}
}

// TestViewsFollow: a job that gets another name stays in the views that it was put into.
func TestViewsFollow(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.want(200, "POST", "/job/f/createView?name=mine", typeXML, "<hudson.model.ListView><jobNames><string>app</string></jobNames><columns/></hudson.model.ListView>")
	h.want(302, "POST", "/job/f/job/app/doRename", typeForm, "newName=renamed")
	if got := h.get("/job/f/view/mine/api/json?tree=jobs%5Bname%5D"); !strings.Contains(got, `"renamed"`) {
		t.Error(got)
	}
	if got := h.get("/job/f/view/mine/config.xml"); !strings.Contains(got, "<columns/>") || strings.Contains(got, ">app<") {
		t.Error(got)
	}
}

// TestPagesEscape: no page has markup that somebody wrote into a request, a log or the name of a file.
func TestPagesEscape(t *testing.T) {
	const markup = "<img src=x onerror=alert(1)>"
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("f")
	h.job("f", "app", steps("echo '"+markup+"'\n script { currentBuild.displayName = '"+markup+"' }"), "", "")
	h.start("f/app")
	h.ended("f/app", 1)
	q := url.QueryEscape(markup)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/job/f/job/app/1/logText/progressiveHtml", ""},
		{"GET", "/job/f/job/app/1/artifact/" + url.PathEscape(markup), ""},
		{"GET", "/job/" + url.PathEscape(markup), ""},
		{"GET", "/job/f/job/app/", ""},
		{"GET", "/job/f/job/app/1/", ""},
		{"GET", "/job/f/job/app/1/api/xml?xpath=" + q, ""},
		{"GET", "/job/f/job/app/1/api/json?tree=" + q, ""},
		{"GET", "/job/f/job/app/descriptorByName/hudson.triggers.TimerTrigger/checkSpec?value=" + q, ""},
		{"POST", "/descriptorByName/hudson.triggers.TimerTrigger/checkSpec", "value=" + q},
		{"POST", "/createItem?name=" + q, "<x/>"},
		{"POST", "/createItem?name=fine", "<" + "project><description>" + markup},
		{"POST", "/createItem?name=fine&mode=copy&from=" + q, ""},
		{"GET", "/checkJobName?value=" + q, ""},
		{"POST", "/job/f/createView?name=" + q, "<hudson.model.ListView/>"},
		{"POST", "/job/f/job/app/confirmRename", "newName=" + q},
		{"POST", "/job/f/job/app/build?delay=" + q, ""},
		{"POST", "/job/f/job/app/buildWithParameters?" + q + "=" + q, ""},
		{"POST", "/configuration-as-code/check", markup},
		{"POST", "/scriptText", "script=" + q},
		{"GET", "/" + url.PathEscape(markup), ""},
	} {
		contentType := ""
		switch {
		case strings.HasPrefix(c.body, "<"):
			contentType = typeXML
		case c.method == "POST":
			contentType = typeForm
		}
		r := h.do(c.method, c.path, contentType, c.body)
		// A browser may take for HTML what says that it is, or does not say that it is not.
		kind := r.Header.Get("Content-Type")
		page := kind == "" || strings.Contains(kind, "html") || r.Header.Get("X-Content-Type-Options") != "nosniff" && strings.Contains(kind, "plain")
		if page && strings.Contains(r.body, "<img") {
			t.Errorf("%s %s: %d, %q has the markup:\n%s", c.method, c.path, r.StatusCode, kind, clipText(r.body))
		}
	}
}
