// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// peeking is a body that does something when it is read, and then breaks off.
type peeking struct {
	read bool
	peek func()
}

func (p *peeking) Read([]byte) (int, error) {
	p.read = true
	p.peek()
	return 0, io.ErrUnexpectedEOF
}

// TestSlowBodies: who sends a body slowly keeps nobody else waiting.
func TestSlowBodies(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.start("f/app")
	h.ended("f/app", 1)
	h.credential("f", "c", classBasic, map[string]any{"username": "bob", "password": hidden})
	h.want(200, "POST", "/job/f/createView?name=mine", typeXML, "<hudson.model.ListView/>")
	h.want(302, "POST", "/manage/cloud/kubernetes/create", typeForm, url.Values{"json": {`{"id":"t","name":"t","label":"t","yaml":"x"}`}}.Encode())
	for _, path := range []string{"/createItem?name=x", "/job/f/job/app/config.xml", "/job/f/job/app/confirmRename", "/job/f/job/app/disable",
		"/job/f/job/app/build", "/job/f/job/app/1/stop", "/job/f/job/app/1/toggleLogKeep", "/job/f/job/app/1/replay/run", "/job/f/job/app/nextbuildnumber/submit",
		"/blue/rest/organizations/jenkins/pipelines/f/pipelines/app/runs/",
		"/job/f/credentials/store/folder/domain/_/createCredentials", "/job/f/credentials/store/folder/domain/_/credential/c/updateSubmit",
		"/job/f/credentials/store/folder/domain/_/credential/c/config.xml", "/job/f/createView?name=y", "/job/f/view/mine/config.xml", "/job/f/view/mine/addJobToView",
		"/manage/cloud/doCreate", "/manage/cloud/kubernetes/create", "/manage/cloud/kubernetes/template/t/configSubmit", "/manage/cloud/kubernetes/template/t/doDelete",
		"/configuration-as-code/apply", "/configuration-as-code/check", "/configuration-as-code/replace", "/queue/cancelItem", "/git/notifyCommit",
		"/multibranch-webhook-trigger/invoke", "/me/descriptorByName/" + tokenProperty + "/generateNewToken", "/pipeline-model-converter/toJson", "/job/f/job/app/doDelete",
	} {
		read := false
		for _, contentType := range []string{typeForm, typeXML, "application/json"} {
			body := &peeking{peek: func() {
				if !h.s.mu.TryLock() {
					t.Errorf("%s: others wait for its body", path)
					return
				}
				h.s.mu.Unlock()
			}}
			req := httptest.NewRequest(http.MethodPost, path, body)
			req.SetBasicAuth(testUser, testToken)
			req.Header.Set("Content-Type", contentType)
			rec := httptest.NewRecorder()
			h.s.Handler().ServeHTTP(rec, req)
			if read = read || body.read; body.read && rec.Code < 400 {
				t.Errorf("%s: half a body is taken: %d", path, rec.Code)
			}
		}
		if !read {
			t.Errorf("%s: nobody reads its body", path)
		}
	}
}

// TestHugePages: a page of any length is no reason to fail.
func TestHugePages(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	for n := 1; n <= 2; n++ {
		h.start("f/app")
		h.ended("f/app", n)
	}
	const runs = "/blue/rest/organizations/jenkins/pipelines/f/pipelines/app/runs/?tree=id"
	for query, want := range map[string]int{
		"&start=1&limit=9223372036854775807": 1, "&start=9223372036854775807&limit=9223372036854775807": 0,
		"&start=-1&limit=-1": 2, "&limit=99999999999999999999": 2, "&start=x": 2,
	} {
		if got := strings.Count(h.get(runs+query), `"id"`); got != want {
			t.Errorf("%s: %d runs, want %d", query, got, want)
		}
	}
}

// TestRenameWhileBuilding: as in Jenkins a name cannot change under a build that runs, and no way leads to a name that is too long.
func TestRenameWhileBuilding(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("wait"), "", "")
	h.job("f", "idle", script("stage one"), "", "")
	h.start("f/app")
	h.started("f/app", 1)
	for path, want := range map[string]string{"/job/f/job/app": "Unable to rename a job", "/job/f": "Unable to rename a folder"} {
		if r := h.want(400, "POST", path+"/confirmRename", typeForm, "newName=other"); !strings.Contains(r.Header.Get("X-Error"), want) {
			t.Errorf("%s: %q", path, r.Header.Get("X-Error"))
		}
	}
	h.want(500, "POST", "/job/f/job/idle/confirmRename", typeForm, "newName="+strings.Repeat("n", maxName+1))
	h.want(302, "POST", "/job/f/job/idle/confirmRename", typeForm, "newName="+strings.Repeat("n", maxName))
	h.want(302, "POST", "/job/f/job/app/1/stop", typeForm, "")
	h.ended("f/app", 1)
	h.want(302, "POST", "/job/f/job/app/confirmRename", typeForm, "newName=other")
}

// TestDeadBranch: who enables the job of a branch that is no more does not bring the branch back.
func TestDeadBranch(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
	repo.commit("old", nil)
	h := newMultiHarness(t)
	const keep = `<orphanedItemStrategy><pruneDeadBranches>false</pruneDeadBranches></orphanedItemStrategy>`
	h.multi("mb", multiXML(repo.url(), branches, keep))
	h.ended("f/mb/old", 1)
	repo.remove("old")
	h.rescan("mb")
	h.want(302, "POST", "/job/f/job/mb/job/old/enable", typeForm, "")
	h.want(409, "POST", "/job/f/job/mb/job/old/build", typeForm, "")
	repo.commit("old", nil)
	h.rescan("mb")
	h.ended("f/mb/old", 2)
}

// TestBranchConfigFollows: the config.xml of a branch's job says what its source says now, and a job that somebody disabled stays so.
func TestBranchConfigFollows(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
	h := newMultiHarness(t)
	h.multi("mb", multiXML(repo.url(), branches, ""))
	h.ended("f/mb/main", 1)
	h.want(302, "POST", "/job/f/job/mb/job/main/disable", typeForm, "")
	h.want(200, "POST", "/job/f/job/mb/config.xml", typeXML, multiXML(repo.url()+"/", branches, ""))
	h.rescan("mb")
	doc := h.get("/job/f/job/mb/job/main/config.xml")
	for _, part := range []string{"<url>" + repo.url() + "/</url>", "<disabled>true</disabled>"} {
		if !strings.Contains(doc, part) {
			t.Errorf("no %s in %s", part, doc)
		}
	}
	h.want(409, "POST", "/job/f/job/mb/job/main/build", typeForm, "")
	h.want(302, "POST", "/job/f/job/mb/job/main/enable", typeForm, "")
	h.want(201, "POST", "/job/f/job/mb/job/main/build?delay=0", typeForm, "")
	h.ended("f/mb/main", 2)
}

// TestOddBranches: branches whose names look like something else have jobs that clients find.
func TestOddBranches(t *testing.T) {
	repo := newGitRepo(t)
	repo.commit("main", map[string]string{"Jenkinsfile": branchPipeline})
	for _, name := range []string{"dependabot/npm/@types/node", "x/api/xml", "a]<b>|&;\"'"} {
		repo.commit(name, nil)
	}
	h := newMultiHarness(t)
	h.multi("mb", multiXML(repo.url(), branches, ""))
	for job, branch := range map[string]string{"dependabot%2Fnpm%2F@types%2Fnode": "dependabot/npm/@types/node", "x%2Fapi%2Fxml": "x/api/xml", "a%5D<b>|&;\"'": "a]<b>|&;\"'"} {
		h.ended("f/mb/"+job, 1)
		for _, path := range []string{"/job/f/job/mb/job/" + url.PathEscape(job) + "/api/json", "/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/" + url.PathEscape(job) + "/",
			"/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/" + url.PathEscape(branch) + "/"} {
			if r := h.want(200, "GET", path, "", ""); r.Header.Get("Content-Type") != typeJSON {
				t.Errorf("%s: %s", path, r.Header.Get("Content-Type"))
			}
		}
	}
}

// TestWithoutPassword: no form of an address shows what is in front of its host.
func TestWithoutPassword(t *testing.T) {
	for in, want := range map[string]string{
		"https://bob:pw@git.example/x.git": "https://git.example/x.git", "https://bob:p%zz@git.example/x.git": "git.example/x.git", "git@git.example:x.git": "git.example:x.git",
		"bob:pw@git.example:x.git": "git.example:x.git", "git.example:x.git": "git.example:x.git", "file:///srv/x.git": "file:///srv/x.git", "": "",
	} {
		if got := withoutPassword(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// TestCasCDropsClouds: a cloud that the configuration does not name any more is gone, after a restart too, as it is in Jenkins.
func TestCasCDropsClouds(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline, withCasC)
	h.want(302, "POST", "/manage/cloud/doCreate", typeForm, url.Values{"json": {`{"name":"other"}`}}.Encode())
	h.want(302, "POST", "/manage/cloud/other/create", typeForm, url.Values{"json": {`{"id":"t","name":"t","label":"t","yaml":"x"}`}}.Encode())
	h.want(200, "GET", "/manage/cloud/other/", "", "")
	h.want(302, "POST", "/configuration-as-code/reload", "", "")
	h.want(404, "GET", "/manage/cloud/other/", "", "")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, offline)
	h.want(404, "GET", "/manage/cloud/other/", "", "")
	h.want(200, "GET", "/manage/cloud/"+defaultCloud+"/", "", "")
}

// TestCasCContainers: a pod whose containers are no objects is an error, or left alone, but no crash.
func TestCasCContainers(t *testing.T) {
	list := []any{map[string]any{"image": "a"}}
	for _, text := range []string{"spec: {containers: [x]}", "spec: {containers: [null, 1]}", "spec: {containers: {}}", "spec: 1", "spec: {containers: [[]]}"} {
		if out, err := cascPod(text, list); err != nil || !strings.Contains(out, "image: a") {
			t.Errorf("%s: %q, %v", text, out, err)
		}
	}
	var bad *errCasC
	if _, err := cascPod("- x", list); !errors.As(err, &bad) {
		t.Errorf("a list: %v", err)
	}
}

// TestTestHistory: what a test was before decides what its failure is called, across builds that came to no tests.
func TestTestHistory(t *testing.T) {
	h := newHarness(t, t.TempDir(), realEngine)
	h.folder("f")
	h.job("f", "app", steps(`sh '''a='<failure/>'; test $BUILD_NUMBER = 1 && a=; test $BUILD_NUMBER = 2 && exit 1
b='<testcase classname="c" name="b"><failure/></testcase>'; test $BUILD_NUMBER = 1 && b=
echo "<testsuite name='s'><testcase classname='c' name='a'>$a</testcase>$b</testsuite>" > r.xml'''
junit 'r.xml'`), "", "")
	for n := 1; n <= 4; n++ {
		h.start("f/app")
		h.ended("f/app", n)
	}
	for n, want := range map[int]string{
		1: `{"failedSince":0,"name":"a","status":"PASSED"}`,
		3: `{"failedSince":3,"name":"a","status":"REGRESSION"},{"failedSince":3,"name":"b","status":"FAILED"}`,
		4: `{"failedSince":3,"name":"a","status":"FAILED"},{"failedSince":3,"name":"b","status":"FAILED"}`,
	} {
		if got := h.get(fmt.Sprintf("/job/f/job/app/%d/testReport/api/json?tree=suites[cases[name,status,failedSince]]", n)); !strings.Contains(got, "["+want+"]") {
			t.Errorf("#%d: %s, want %s", n, got, want)
		}
	}
	h.want(404, "GET", "/job/f/job/app/2/testReport/api/json", "", "")
}
