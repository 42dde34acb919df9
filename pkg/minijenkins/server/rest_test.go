// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

func TestXMLAndPython(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "a", script("stage one"), paramsXML("N=0"), "")
	h.job("f", "größe", script("stage one"), "", "")
	const jobs = "/job/f/api/xml?tree=jobs[name,color,builds[number]]"
	for reason, c := range map[string]struct {
		path        string
		status      int
		contentType string
		want        string
	}{
		"a document": {jobs, 200, typeXMLAnswer, "<folder _class='" + classFolder + "'><job _class='" + classWorkflowJob + "'><name>a</name><color>notbuilt</color></job>" +
			"<job _class='" + classWorkflowJob + "'><name>größe</name><color>notbuilt</color></job></folder>"},
		"what an XPath picks":  {jobs + "&xpath=//job[1]/name", 200, typeXMLAnswer, "<name>a</name>"},
		"what is wrapped":      {jobs + "&xpath=//job/name&wrapper=names", 200, typeXMLAnswer, "<names><name>a</name><name>größe</name></names>"},
		"nothing in a wrapper": {jobs + "&xpath=//none&wrapper=names", 200, typeXMLAnswer, "<names/>"},
		"what is taken away": {jobs + "&exclude=//color&exclude=//job[2]", 200, typeXMLAnswer,
			`<folder _class="` + classFolder + `"><job _class="` + classWorkflowJob + `"><name>a</name></job></folder>`},
		"no match":                 {jobs + "&xpath=//none", 404, typeHTML, "match"},
		"many matches":             {jobs + "&xpath=//name", 500, typeHTML, "matched 2 nodes"},
		"a text, which is refused": {jobs + "&xpath=//job[1]/name/text()", 403, typeHTML, "primitive"},
		"a number, too":            {jobs + "&xpath=count(//job)", 403, typeHTML, "primitive"},
		"a broken XPath":           {jobs + "&xpath=//[", 500, typeHTML, "Oops"},
		"a long XPath":             {jobs + "&xpath=" + strings.Repeat("/a", 3000), 400, typeHTML, "too long"},
		"a bad wrapper":            {jobs + "&xpath=//job&wrapper=a%3Eb", 400, typeHTML, "wrapper"},
		"a broken tree":            {"/job/f/api/xml?tree=jobs[", 500, typeHTML, "Oops"},
		"what is pretty":           {"/job/f/api/xml?tree=name&pretty=true", 200, typeXMLAnswer, "<folder _class='" + classFolder + "'>\n  <name>f</name>\n</folder>"},
		"a missing item":           {"/job/none/api/xml", 404, typeHTML, "Oops"},
		"Python":                   {"/job/f/api/python?tree=name,description,jobs[name,buildable]", 200, typePython, `{"_class":"` + classFolder + `","description":"","name":"f","jobs":[{"_class":"` + classWorkflowJob + `","name":"a","buildable":True},{"_class":"` + classWorkflowJob + `","name":u"gr\u00f6\u00dfe","buildable":True}]}`},
	} {
		t.Run(reason, func(t *testing.T) {
			u, query, _ := strings.Cut(c.path, "?")
			r := h.do("GET", u+"?"+strings.NewReplacer("[", "%5B", "]", "%5D", " ", "%20").Replace(query), "", "")
			if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%d %s, want %d %s", r.StatusCode, r.Header.Get("Content-Type"), c.status, c.contentType)
			}
			if c.status == http.StatusOK {
				if diff := cmp.Diff(c.want, r.body); diff != "" {
					t.Error(diff)
				}
			} else if !strings.Contains(r.body, c.want) {
				t.Errorf("%q is not in %s", c.want, r.body)
			}
		})
	}
}

func TestFlavorTexts(t *testing.T) {
	const body = `{"_class":"a.b.C$XMLThing","ünï":"<\u0001&>","1st":null,"entries":[1,[2],{"x":true}],"none":{}}`
	got, err := xmlOf([]byte(body), false)
	if err != nil {
		t.Fatal(err)
	}
	want := "<XMLThing _class='a.b.C$XMLThing'><ünï>&lt;\uFFFD&amp;&gt;</ünï><entry>1</entry><entry>2</entry><entry><x>true</x></entry><none></none></XMLThing>"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	python, err := pythonOf([]byte(`{"a":"ü\n\"😀","b":[null,true,false,1.5],"c":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"a":u"\u00fc\n\"\ud83d\ude00","b":[None,True,False,1.5],"c":{}}`, python); diff != "" {
		t.Error(diff)
	}
}

func TestViews(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	h.job("f", "other", script("stage one"), "", "")
	const list = "<hudson.model.ListView><name>x</name><jobNames><string>app</string></jobNames><columns/></hudson.model.ListView>"
	h.want(200, "POST", "/job/f/createView?name=mine", typeXML, list)
	h.want(400, "POST", "/job/f/createView?name=mine", typeXML, list)
	h.want(400, "POST", "/job/f/createView?name=All", typeXML, list)
	h.want(400, "POST", "/job/f/createView?name=a%2Fb", typeXML, list)
	h.want(405, "GET", "/job/f/createView?name=x", "", "")
	h.want(500, "POST", "/job/f/createView?name=x", typeXML, "<hudson.model.ListView>")
	h.want(500, "POST", "/job/f/createView?name=x", typeXML, "<hudson.model.ListView><includeRegex>(</includeRegex></hudson.model.ListView>")
	r := h.want(400, "POST", "/job/f/createView?name=x", typeXML, "<hudson.plugins.view.dashboard.Dashboard/>")
	if !strings.Contains(r.Header.Get("X-Error"), "Dashboard") {
		t.Error("X-Error", r.Header.Get("X-Error"))
	}
	names := func(view string) string {
		return strings.ReplaceAll(h.get("/job/f/view/"+view+"/api/json?tree=jobs%5Bname%5D"), `"_class":"`+classWorkflowJob+`",`, "")
	}
	if got := names("mine"); !strings.Contains(got, `[{"name":"app"}]`) {
		t.Error(got)
	}
	h.want(200, "POST", "/job/f/view/mine/addJobToView?name=other", "", "")
	h.want(404, "POST", "/job/f/view/mine/addJobToView?name=none", "", "")
	h.want(200, "POST", "/job/f/view/mine/removeJobFromView?name=app", "", "")
	if got := h.get("/job/f/view/mine/config.xml"); !strings.Contains(got, "<columns/>") || strings.Contains(got, ">app<") {
		t.Error(got)
	}
	h.want(302, "POST", "/createView", typeForm, url.Values{"name": {"top"}, "mode": {classListView}}.Encode())
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}

	h = newHarness(t, dir, offline)
	if got := names2(h, "/job/f/view/mine"); !strings.Contains(got, `"name":"other"`) || strings.Contains(got, `"name":"app"`) {
		t.Error("after the restart", got)
	}
	h.want(200, "GET", "/job/f/view/mine/job/other/api/json", "", "")
	h.want(302, "POST", "/job/f/view/mine/doDelete", "", "")
	h.want(404, "GET", "/job/f/view/mine/api/json", "", "")
	h.want(302, "POST", "/job/f/doDelete", "", "")
	if got := h.get("/api/json?tree=views%5Bname%5D"); !strings.Contains(got, `"name":"top"`) {
		t.Error(got)
	}
}

func names2(h *harness, view string) string { return h.get(view + "/api/json?tree=jobs%5Bname%5D") }

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, withDev)
	try := func(user, token string) int {
		req, err := http.NewRequest("GET", h.http.URL+"/me/api/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, token)
		return h.send(req).StatusCode
	}
	const path = "/me/descriptorByName/jenkins.security.ApiTokenProperty/"
	var made struct {
		Data struct{ TokenName, TokenUUID, TokenValue string }
	}
	if err := json.Unmarshal([]byte(h.want(200, "POST", path+"generateNewToken", typeForm, "newTokenName=ci").body), &made); err != nil {
		t.Fatal(err)
	}
	value := made.Data.TokenValue
	if made.Data.TokenName != "ci" || len(value) != 34 || try(testUser, value) != 200 || try("dev", value) != 401 || try(testUser, value+"x") != 401 {
		t.Error("the token does not do", made)
	}
	h.want(405, "GET", path+"generateNewToken", "", "")
	h.want(403, "POST", "/user/dev/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken", typeForm, "newTokenName=x")
	h.want(400, "POST", path+"generateNewToken", typeForm, "newTokenName="+strings.Repeat("x", 300))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, withDev)
	if try(testUser, value) != 200 {
		t.Error("the token does not outlive the server")
	}
	for range maxTokens - 1 {
		h.want(200, "POST", path+"generateNewToken", "", "")
	}
	h.want(400, "POST", path+"generateNewToken", "", "")
	h.want(200, "POST", path+"revoke", typeForm, "tokenUuid="+made.Data.TokenUUID)
	if try(testUser, value) != 401 {
		t.Error("a revoked token is taken")
	}
	h.want(200, "POST", path+"revokeAll", "", "")
	h.want(200, "POST", path+"generateNewToken", "", "")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "state", "state.db")); err != nil || bytes.Contains(data, []byte(value)) {
		t.Error("the value of a token is on disk", err)
	}
}

func TestForeignKinds(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	for class, kind := range map[string]string{"project": "Freestyle", "matrix-project": "Multi-configuration", "maven2-moduleset": "Maven", "jenkins.branch.OrganizationFolder": "Organization"} {
		r := h.want(400, "POST", "/createItem?name=x", typeXML, "<"+class+"/>")
		if x := r.Header.Get("X-Error"); !strings.Contains(x, kind) || !strings.Contains(r.body, class) {
			t.Errorf("%s: %q", class, x)
		}
	}
	h.want(400, "POST", "/createItem?name=x&mode=hudson.model.FreeStyleProject", typeForm, "")
	h.want(500, "POST", "/createItem?name=x", typeXML, "<nobody.knows.This/>")
	h.want(404, "GET", "/job/x/api/json", "", "")
}

func TestMoveAndNumbers(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline)
	h.folder("a")
	h.folder("b")
	h.job("a", "app", script("stage one"), "", "")
	h.want(302, "POST", "/job/a/job/app/nextbuildnumber/submit", typeForm, "nextBuildNumber=7")
	h.want(302, "POST", "/job/a/job/app/nextbuildnumber/submit", typeForm, "nextBuildNumber=3")
	h.want(400, "POST", "/job/a/job/app/nextbuildnumber/submit", typeForm, "nextBuildNumber=-1")
	h.want(201, "POST", "/job/a/job/app/build?delay=0", "", "")
	h.ended("a/app", 7)
	for reason, to := range map[string]string{"nowhere": "/none", "into a job": "/a/app"} {
		if r := h.do("POST", "/job/a/job/app/move/move", typeForm, url.Values{"destination": {to}}.Encode()); r.StatusCode != 400 {
			t.Error(reason, r.StatusCode)
		}
	}
	h.want(400, "POST", "/job/a/move/move", typeForm, "destination=/a")
	r := h.want(302, "POST", "/job/a/job/app/move/move", typeForm, "destination=/b")
	if r.Header.Get("Location") != "/job/b/job/app/" {
		t.Error(r.Header.Get("Location"))
	}
	h.want(404, "GET", "/job/a/job/app/api/json", "", "")
	h.want(200, "GET", "/job/b/job/app/7/api/json", "", "")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, offline)
	h.want(200, "GET", "/job/b/job/app/7/consoleText", "", "")
	h.want(302, "POST", "/job/b/job/app/move/move", typeForm, "destination=/")
	h.want(200, "GET", "/job/app/7/api/json", "", "")
}

func TestArtifactZipAndFingerprints(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one", "artifact out/a b.txt", "artifact out/deep/c.txt", "artifact top.txt"), "", "")
	h.want(201, "POST", "/job/f/job/app/build?delay=0", "", "")
	h.ended("f/app", 1)
	unzip := func(path string) map[string]string {
		r := h.want(200, "GET", path, "", "")
		z, err := zip.NewReader(strings.NewReader(r.body), int64(len(r.body)))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name] = string(data)
		}
		return out
	}
	all := map[string]string{"archive/out/a b.txt": "content of out/a b.txt\n", "archive/out/deep/c.txt": "content of out/deep/c.txt\n", "archive/top.txt": "content of top.txt\n"}
	if diff := cmp.Diff(all, unzip("/job/f/job/app/1/artifact/*zip*/archive.zip")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"deep/c.txt": "content of out/deep/c.txt\n"}, unzip("/job/f/job/app/1/artifact/out/deep/*zip*/deep.zip")); diff != "" {
		t.Error(diff)
	}
	h.want(404, "GET", "/job/f/job/app/1/artifact/none/*zip*/none.zip", "", "")
	var b struct {
		Fingerprint []struct{ FileName, Hash string }
	}
	if err := json.Unmarshal([]byte(h.get("/job/f/job/app/1/api/json?tree=fingerprint%5BfileName,hash%5D")), &b); err != nil || len(b.Fingerprint) != 3 {
		t.Fatal(b, err)
	}
	got := h.get("/fingerprint/" + b.Fingerprint[2].Hash + "/api/json")
	if !strings.Contains(got, `"fileName":"top.txt"`) || !strings.Contains(got, `"original":{"name":"f/app","number":1}`) {
		t.Error(got)
	}
	h.want(404, "GET", "/fingerprint/..%2Fx/api/json", "", "")
	h.want(302, "POST", "/job/f/job/app/1/doDelete", "", "")
	h.want(404, "GET", "/fingerprint/"+b.Fingerprint[2].Hash+"/api/json", "", "")
}

func TestCasC(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, offline, withCasC)
	check := func(want ...string) {
		t.Helper()
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		var got []string
		for _, tm := range h.s.templates {
			got = append(got, tm.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	check("base")
	const more = "jenkins:\n  clouds:\n  - kubernetes:\n      templates:\n      - {name: more, label: more, yaml: 'spec: {containers: [{name: c, image: a}]}', containers: [{name: c, image: b, command: sleep 1}, {name: d, image: e}]}\n"
	h.want(200, "POST", "/configuration-as-code/apply", "application/yaml", more)
	check("base", "more")
	h.s.mu.RLock()
	pod := h.s.templates[1].YAML
	h.s.mu.RUnlock()
	if diff := cmp.Diff("spec:\n  containers:\n  - command:\n    - sleep\n    - \"1\"\n    image: b\n    name: c\n  - image: e\n    name: d\n", pod); diff != "" {
		t.Error(diff)
	}
	out := h.want(200, "POST", "/configuration-as-code/export", "", "").body
	if _, err := parseCasC([]byte(out)); err != nil {
		t.Error("the export is not taken:", err)
	}
	for reason, doc := range map[string]string{
		"no yaml": "a: [", "a list": "- a", "an unknown root": "x: 1", "an unknown attribute": "jenkins: {x: 1}", "a conflict": "jenkins: {systemMessage: other}",
		"a cloud of another kind": "jenkins: {clouds: [{ec2: {}}]}", "a template that is a text": "jenkins: {clouds: [{kubernetes: {templates: [x]}}]}",
		"a bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]",
	} {
		begin := time.Now()
		if r := h.do("POST", "/configuration-as-code/apply", "application/yaml", doc); r.StatusCode != 500 || time.Since(begin) > 30*time.Second {
			t.Errorf("%s: %d", reason, r.StatusCode)
		}
	}
	check("base", "more")
	for reason, source := range map[string]string{"another folder": "/etc/passwd", "a way out": filepath.Join(dir, "casc") + "/../state/state.db", "an address": "http://127.0.0.1/x.yaml"} {
		r := h.want(200, "POST", "/configuration-as-code/replace", typeForm, url.Values{"_.newSource": {source}}.Encode())
		if !strings.Contains(r.body, "does not exist") {
			t.Error(reason, r.body)
		}
	}
	h.want(302, "POST", "/configuration-as-code/reload", "", "")
	check("base")
	// The environment of the server stays its own.
	t.Setenv("CASC_SECRET", "secret")
	h.want(200, "POST", "/configuration-as-code/apply", "application/yaml", strings.ReplaceAll(more, "name: more", "name: '${CASC_SECRET}x^${a}'"))
	check("base", "x${a}")
}

func TestRefusals(t *testing.T) {
	h := newHarness(t, t.TempDir(), offline)
	h.folder("f")
	h.job("f", "app", script("stage one"), "", "")
	for _, path := range []string{"/scriptText", "/script", "/safeRestart", "/exit", "/pluginManager/installNecessaryPlugins", "/computer/doCreateItem?name=x",
		"/computer/(built-in)/toggleOffline", "/computer/(built-in)/scriptText", "/securityRealm/createAccountByAdmin", "/job/f/job/app/doWipeOutWorkspace"} {
		r := h.want(403, "POST", path, typeForm, "script=println(1)")
		if !strings.HasPrefix(r.body, "minijenkins has no ") {
			t.Errorf("%s: %s", path, r.body)
		}
	}
	// A credential of the system is seen by every job, and by its own folder's first.
	const secret = "<org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl><id>s</id><secret>x</secret></org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl>"
	h.want(200, "POST", "/credentials/store/system/domain/_/createCredentials", typeXML, secret)
	find := func() *store.Credential {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		return h.s.findCredential(h.s.relative(h.s.root, "/f/app"), "s")
	}
	if c := find(); c == nil || c.Folder != store.Root {
		t.Error(c)
	}
	h.want(200, "POST", "/job/f/credentials/store/folder/domain/_/createCredentials", typeXML, secret)
	if c := find(); c == nil || c.Folder == store.Root {
		t.Error(c)
	}
}
