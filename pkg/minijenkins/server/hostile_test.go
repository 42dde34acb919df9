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
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// TestXPathBomb: an expression in an expression in an expression is given up, and not after minutes.
func TestXPathBomb(t *testing.T) {
	doc := "<r>" + strings.Repeat("<a x='1'><b>t</b></a>", 2000) + "</r>"
	for reason, expr := range map[string]string{
		"nested counts": "//*[count(//*[count(//*[count(//*)>0])>0])>0]",
		"long texts":    "//*[contains(string(/), 'none')][contains(string(/), 'none')]" + strings.Repeat("|//*[contains(string(/),'none')]", 100),
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
	h.stop()
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
	h.stop()
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
