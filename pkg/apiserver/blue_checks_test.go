// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/jenkinsproxy"
)

const (
	compileAddress = "POST /job/ann-demo/descriptorByName/org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition/checkScriptCompile"
	cronOfJob      = "GET /job/ann-demo/job/build/descriptorByName/hudson.triggers.TimerTrigger/checkSpec"
	cronOfFolder   = "GET /job/ann-demo/descriptorByName/hudson.triggers.TimerTrigger/checkSpec"
	cronOfRoot     = "GET /descriptorByName/hudson.triggers.TimerTrigger/checkSpec"
)

func TestCheckScriptCompile(t *testing.T) {
	a := &answers{}
	w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil))
	var sent string
	compile := func(w http.ResponseWriter, r *http.Request) {
		sent = r.FormValue("value")
		if sent == "node { two" {
			text(`[{"line":1,"column":17,"message":"a","status":"fail"},{"line":2,"column":3,"message":"b","status":"fail"}]`)(w, r)
			return
		}
		if strings.HasPrefix(sent, "node {") {
			text(`[{"line":1,"column":17,"message":"expecting '}', found ''","status":"fail"}]`)(w, r)
			return
		}
		text(`{"line":0,"column":0,"message":"","status":"success"}`)(w, r)
	}
	form := func(script string) string { return url.Values{"value": {script}}.Encode() }
	const formType, success = "application/x-www-form-urlencoded", `{"line":0,"column":0,"message":"","status":"success"}`
	huge := strings.Repeat("x", 2<<20)
	for reason, tt := range map[string]struct {
		user, path, contentType, body string
		answer                        func(http.ResponseWriter, *http.Request)
		code                          int
		want, sent                    string
	}{
		"a form that compiles": {"ann", "namespaces/ann-demo/pipelines/build", formType, form("echo 'größe €' // a+b&c=d"), compile, 200, success, "echo 'größe €' // a+b&c=d"},
		"one that does not":    {"ann", "devops/ann-demo/pipelines/build", formType, form("node { echo"), compile, 200, "{\"line\":1,\"column\":17,\"message\":\"expecting '}', found ''\",\"status\":\"fail\"}\n", "node { echo"},
		"two errors":           {"ann", "devops/ann-demo/pipelines/build", formType, form("node { two"), compile, 200, `{"line":1,"column":17,"message":"a","status":"fail","errors":[{"line":1,`, "node { two"},
		"JSON":                 {"ann", "namespaces/ann-demo/pipelines/build", "application/json", `{"value":"node { \n"}`, compile, 200, `"status":"fail"`, "node { \n"},
		"empty":                {"ann", "namespaces/ann-demo/pipelines/build", formType, "value=", compile, 200, success, ""},
		"no pipeline yet":      {"ann", "namespaces/ann-demo/pipelines/new", formType, form("echo 1"), compile, 200, success, "echo 1"},
		"in parts": {"ann", "namespaces/ann-demo/pipelines/build", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\necho 2\r\n--b--\r\n",
			compile, 200, success, "echo 2"},
		"broken parts":      {"ann", "namespaces/ann-demo/pipelines/build", "multipart/form-data; boundary=b", "--x", compile, 400, "form", ""},
		"without a value":   {"ann", "namespaces/ann-demo/pipelines/build", formType, "script=x", compile, 400, "field value", ""},
		"twice":             {"ann", "namespaces/ann-demo/pipelines/build", formType, "value=a&value=b", compile, 400, "field value", ""},
		"broken form":       {"ann", "namespaces/ann-demo/pipelines/build", formType, "value=%zz", compile, 400, "form", ""},
		"null":              {"ann", "namespaces/ann-demo/pipelines/build", "application/json", `{"value":null}`, compile, 400, "field value", ""},
		"number":            {"ann", "namespaces/ann-demo/pipelines/build", "application/json", `{"value":1}`, compile, 400, "value", ""},
		"unknown field":     {"ann", "namespaces/ann-demo/pipelines/build", "application/json", `{"value":"","vale":""}`, compile, 400, "vale", ""},
		"huge form":         {"ann", "namespaces/ann-demo/pipelines/build", formType, form(huge), compile, 413, "", ""},
		"huge JSON":         {"ann", "namespaces/ann-demo/pipelines/build", "application/json", `{"value":"` + huge + `"}`, compile, 413, "", ""},
		"other type":        {"ann", "namespaces/ann-demo/pipelines/build", "text/plain", "echo", compile, 415, "", ""},
		"no project":        {"ann", "namespaces/ann-alone/pipelines/build", formType, form("x"), compile, 404, "belongs to no DevOps project", ""},
		"other tenant":      {"bob", "namespaces/ann-demo/pipelines/build", formType, form("x"), compile, 403, "", ""},
		"Jenkins away":      {"ann", "namespaces/ann-demo/pipelines/build", formType, form("x"), status(503), 503, "Jenkins cannot be reached", ""},
		"no folder":         {"ann", "namespaces/ann-demo/pipelines/build", formType, form("x"), nil, 404, "", ""},
		"error of Jenkins":  {"ann", "namespaces/ann-demo/pipelines/build", formType, form("x"), status(500), 502, "", ""},
		"server is refused": {"ann", "namespaces/ann-demo/pipelines/build", formType, form("x"), status(403), 502, "credential", ""},
	} {
		w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil))
		a.set(compileAddress, tt.answer)
		sent = ""
		answer := w.do(call{user: tt.user, method: "POST", path: blueRoot + "/" + tt.path + "/checkScriptCompile", contentType: tt.contentType, body: tt.body})
		if answer.Code != tt.code || !strings.Contains(answer.Body.String(), tt.want) || sent != tt.sent {
			t.Errorf("%s: %d %.300s, Jenkins got %q; want %d with %s, %q", reason, answer.Code, answer.Body, sent, tt.code, tt.want, tt.sent)
		}
	}
	if code, _ := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/build/checkScriptCompile?value=x", ""); code != 405 {
		t.Errorf("GET: %d, want 405", code)
	}
}

// The texts are Jenkins' own, of recording 11.
const (
	cronOK = `<div class="ok">Would last have run at Saturday, November 21, 2026 at 12:48:00 AM Coordinated Universal Time; ` +
		`would next run at Saturday, November 21, 2026 at 1:03:00 AM Coordinated Universal Time.</div>`
	cronAdvice = `<ul style='list-style-type: none; padding-left: 0; margin: 0'><li><div class="warning">Spread load evenly by using ‘H/5 * * * *’ rather than ‘*/5 * * * *’</div></li><li>` +
		cronOK + `</li></ul>`
	cronNever = `<div class="warning">No schedules so will never run</div>`
	cronBad   = `<div class="error">Invalid input: &quot;* * *&quot;: line 1:5: mismatched input </div><div><a href='#' class='showDetails'>(show details)</a><pre style='display:none'>java.lang.Secret</pre></div>`
)

func TestCheckCron(t *testing.T) {
	a := &answers{}
	const times = `"lastTime":"2026-11-21T00:48:00Z","nextTime":"2026-11-21T01:03:00Z"`
	for reason, tt := range map[string]struct {
		user, path, body string
		address, answer  string
		code             int
		want             string
	}{
		"with the times of the job":  {"ann", "namespaces/ann-demo", `{"pipelineName":"build","cron":"H/15 * * * *"}`, cronOfJob, cronOK, 200, times},
		"as the console of v3":       {"ann", "devops/ann-demo", `{"name":"build","cron":"H/15 * * * *"}`, cronOfJob, cronOK, 200, `{"result":"ok","message":"Would last`},
		"no pipeline yet":            {"ann", "namespaces/ann-demo", `{"pipelineName":"new","cron":"@daily"}`, cronOfFolder, cronOK, 200, times},
		"no name":                    {"ann", "namespaces/ann-demo", `{"cron":"@daily"}`, cronOfFolder, cronOK, 200, times},
		"a job that is not made yet": {"ann", "namespaces/ann-demo", `{"pipelineName":"young","cron":"@daily"}`, cronOfFolder, cronOK, 200, times},
		"no folder yet":              {"ann", "namespaces/ann-demo", `{"cron":"@daily"}`, cronOfRoot, cronOK, 200, times},
		"no project":                 {"ann", "namespaces/ann-alone", `{"pipelineName":"build","cron":"@daily"}`, cronOfRoot, cronOK, 200, times},
		"an advice":                  {"ann", "namespaces/ann-demo", `{"pipelineName":"build","cron":"*/5 * * * *"}`, cronOfJob, cronAdvice, 200, `{"result":"ok","message":"Spread load`},
		"never":                      {"ann", "namespaces/ann-demo", `{"pipelineName":"build","cron":""}`, cronOfJob, cronNever, 200, `{"result":"warning","message":"No schedules so will never run"}`},
		"bad":                        {"ann", "namespaces/ann-demo", `{"pipelineName":"build","cron":"* * *"}`, cronOfJob, cronBad, 200, `{"result":"error","message":"Invalid input: \"* * *\"`},
		"path as a name":             {"ann", "namespaces/ann-demo", `{"pipelineName":"../../bob/job/x","cron":"@daily"}`, cronOfFolder, cronOK, 200, times},
		"missing":                    {"ann", "namespaces/ann-demo", `{"pipelineName":"build"}`, "", "", 400, "cron is missing"},
		"long":                       {"ann", "namespaces/ann-demo", `{"cron":"` + strings.Repeat("x", 5000) + `"}`, "", "", 400, "more than"},
		"number":                     {"ann", "namespaces/ann-demo", `{"cron":5}`, "", "", 400, "cron"},
		"unknown field":              {"ann", "namespaces/ann-demo", `{"cron":"","corn":""}`, "", "", 400, "corn"},
		"no body":                    {"ann", "namespaces/ann-demo", "", "", "", 415, ""},
		"other tenant":               {"bob", "namespaces/ann-demo", `{"cron":"@daily"}`, "", "", 403, ""},
	} {
		w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil), plainPipeline("ann-demo", "young", nil))
		for _, address := range []string{cronOfJob, cronOfFolder, cronOfRoot} {
			a.set(address, nil)
		}
		var got string
		a.set(tt.address, func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.Query().Get("value")
			_, _ = io.WriteString(w, tt.answer)
		})
		code, body := w.send(tt.user, "POST", blueRoot+"/"+tt.path+"/checkCron", tt.body)
		if code != tt.code || !strings.Contains(body, tt.want) || strings.Contains(body, "java.lang") {
			t.Errorf("%s: %d %s, want %d with %s", reason, code, body, tt.code, tt.want)
		}
		if code == 200 && !strings.Contains(tt.body, `"cron":"`+got+`"`) {
			t.Errorf("%s: Jenkins was asked for %q", reason, got)
		}
		a.set(tt.address, nil)
	}
}

func TestCrumb(t *testing.T) {
	w := newWorld(t, nil)
	if code, body := w.send("bob", "GET", blueRoot+"/crumbissuer", ""); code != 200 ||
		strings.TrimSpace(body) != `{"_class":"hudson.security.csrf.DefaultCrumbIssuer","crumb":"not-needed","crumbRequestField":"Jenkins-Crumb"}` {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := w.send("", "GET", blueRoot+"/crumbissuer", ""); code != 401 {
		t.Errorf("nobody: %d", code)
	}
}

// gitlabs is a GitLab with one server.
type gitlabs struct{ err error }

func (g gitlabs) Servers(_ context.Context, namespace string) ([]jenkinsproxy.Server, error) {
	return []jenkinsproxy.Server{{Name: "of " + namespace, ServerURL: "https://git.example"}}, g.err
}

func (g gitlabs) Projects(_ context.Context, namespace, server, owner string) ([]string, error) {
	return []string{owner + "/" + server + "-" + namespace}, g.err
}

// TestFault03JenkinsProxy is fault 3: below these addresses any request reached Jenkins as its administrator.
func TestFault03JenkinsProxy(t *testing.T) {
	a := &answers{}
	c := newJenkins(t, a)
	with := func(g jenkinsproxy.GitLab) *world {
		return newWorld(t, func(config *Config) {
			config.JenkinsAPI, config.Authorizer, config.GitLab = c, ownNamespaces(nil), g
		}, ownedProject("ann-demo"), ownedProject("bob-x"))
	}
	w := with(gitlabs{})
	const own = blueRoot + "/namespaces/ann-demo/jenkins/"
	for reason, tt := range map[string]struct {
		method, user, path string
		code               int
		want               string
	}{
		"servers":            {"POST", "ann", own + "gitlab/serverList", 200, `{"status":"ok","data":[{"name":"of ann-demo","serverUrl":"https://git.example"}]}`},
		"servers by GET":     {"GET", "ann", blueRoot + "/devops/ann-demo/jenkins/gitlab/serverList/", 200, `"name":"of ann-demo"`},
		"projects":           {"POST", "ann", own + "gitlab/projectList?server=s&owner=grp", 200, `{"status":"ok","data":["grp/s-ann-demo"]}`},
		"projects of nobody": {"POST", "ann", own + "gitlab/projectList?server=s", 400, "owner"},
		"script console":     {"POST", "ann", own + "scriptText", 403, "not passed on to Jenkins"},
		"other tenant's job": {"GET", "ann", own + "job/bob-x/job/p/config.xml", 403, "…/namespaces/{project}/pipelines"},
		"a start":            {"POST", "ann", own + "job/ann-demo/job/p/build", 403, "pipelineruns"},
		"credentials":        {"GET", "ann", own + "job/ann-demo/credentials/store/folder/domain/_/credential/x/api/json", 403, "…/namespaces/{project}/credentials"},
		"a log":              {"GET", "ann", own + "job/ann-demo/job/p/1/consoleText", 403, "/log"},
		"dots":               {"GET", "ann", own + "gitlab/../scriptText", 400, ""},
		"encoded dots":       {"GET", "ann", own + "gitlab/%2e%2e/scriptText", 400, ""},
		"without a project":  {"GET", "root", blueRoot + "/jenkins/api/json", 403, "not passed on to Jenkins"},
		"lists there":        {"GET", "ann", blueRoot + "/jenkins/gitlab/serverList", 403, "not passed on"},
		"other tenant":       {"POST", "bob", own + "gitlab/serverList", 403, ""},
		"nobody":             {"GET", "", blueRoot + "/jenkins/api/json", 401, ""},
	} {
		if code, body := w.send(tt.user, tt.method, tt.path, ""); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", reason, code, body, tt.code, tt.want)
		}
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("requests reached Jenkins: %v", asked)
	}
	for _, path := range []string{"gitlab/serverList", "gitlab/projectList?server=s&owner=o"} {
		if code, body := with(nil).send("ann", "POST", own+path, ""); code != 200 || strings.TrimSpace(body) != `{"status":"ok","data":[]}` {
			t.Errorf("%s without a GitLab: %d %s", path, code, body)
		}
		if code, _ := with(gitlabs{err: response.Unavailable("away")}).send("ann", "POST", own+path, ""); code != 503 {
			t.Errorf("%s: %d, want the error of the GitLab", path, code)
		}
	}
}

// TestGitOpsIsNotServed asks at the addresses of GitOps.
func TestGitOpsIsNotServed(t *testing.T) {
	w := newWorld(t, func(config *Config) { config.Authorizer = ownNamespaces(nil) })
	for _, c := range []call{
		{path: "/namespaces/x/applications?page=1"}, {method: "POST", path: "/namespaces/x/applications", body: "{}"}, {path: "/namespaces/x/application-summary"},
		{path: "/clusters"}, {method: "PUT", path: "/namespaces/x/applications/a", body: "{}"}, {method: "DELETE", path: "/namespaces/x/applications/a?cascade=true"},
		{method: "POST", path: "/namespaces/x/applications/a/sync", body: "text", contentType: "text/plain"},
	} {
		c.path = "/kapis/gitops.kubesphere.io/v1alpha1" + c.path
		c.user = "ann"
		if got := w.do(c); got.Code != 404 || !strings.Contains(got.Body.String(), "GitOps is not a part of Slipway") {
			t.Errorf("%s %s: %d %s, want 404", c.method, c.path, got.Code, got.Body)
		}
		c.user = ""
		if got := w.do(c); got.Code != 401 {
			t.Errorf("%s %s: nobody: %d", c.method, c.path, got.Code)
		}
	}
}
