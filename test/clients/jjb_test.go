// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJobBuilder lets jenkins-job-builder make jobs of all kinds and views from YAML, lists them, changes nothing by a second update,
// builds one, and deletes all.
func TestJobBuilder(t *testing.T) {
	needPackages(t, "jenkins-job-builder")
	address := start(t)
	conf := filepath.Join(t.TempDir(), "jenkins_jobs.ini")
	text := fmt.Sprintf("[job_builder]\nignore_cache=True\nkeep_descriptions=False\nupdate=all\n\n[jenkins]\nuser=%s\npassword=%s\nurl=%s\nquery_plugins_info=True\n",
		testUser, testPassword, address)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	jjb := func(args ...string) string {
		return python(t, append([]string{"/usr/bin/jenkins-jobs", "--conf", conf}, args...)...)
	}
	t.Log("\n" + jjb("update", "--delete-old", "testdata/jobs.yaml"))
	jobs := []string{"team", "team/api-build", "team/branches", "team/from-scm", "team/web-build"}
	// The list has the names without their folders.
	if diff := cmp.Diff([]string{"api-build", "branches", "from-scm", "team", "web-build"}, listed(jjb("list"))); diff != "" {
		t.Error("jobs", diff)
	}
	before := configs(t, address, jobs)
	t.Log("\n" + jjb("update", "testdata/jobs.yaml"))
	if diff := cmp.Diff(before, configs(t, address, jobs)); diff != "" {
		t.Error("the second update changed a config.xml", diff)
	}

	c := newBrowser(t, address)
	view := c.get("/view/everything%20of%20the%20team/api/json?tree=jobs[fullName]")
	for _, job := range jobs {
		if !strings.Contains(view, `"fullName":"`+job+`"`) {
			t.Errorf("the view lacks %s: %s", job, view)
		}
	}
	about := c.get("/job/team/job/web-build/api/json?tree=description,property[parameterDefinitions[name,type]]")
	for _, want := range []string{"builds web", "WHO", "BooleanParameterDefinition", "ChoiceParameterDefinition", "TextParameterDefinition", "PasswordParameterDefinition"} {
		if !strings.Contains(about, want) {
			t.Errorf("%s is not in %s", want, about)
		}
	}
	c.post("/job/team/job/web-build/buildWithParameters", url.Values{"WHO": {"world"}, "LEVEL": {"high"}})
	c.until("/job/team/job/web-build/1/api/json?tree=result", `"result":"SUCCESS"`)
	log := c.get("/job/team/job/web-build/1/consoleText")
	for _, want := range []string{"level high & <tag>", "hello world from web", "Finished: SUCCESS"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}

	jjb("delete", "--jobs-only", "team/from-scm")
	if got := listed(jjb("list")); strings.Contains(strings.Join(got, " "), "from-scm") {
		t.Error("not deleted:", got)
	}
	out := jjbFails(t, conf, "update", "testdata/foreign.yaml")
	if !strings.Contains(out, "400") {
		t.Error("the freestyle project is not refused:\n", out)
	}
	jjb("delete", "--jobs-only", "team/api-build", "team/web-build", "team/branches")
	jjb("delete", "--jobs-only", "team")
	jjb("delete", "--views-only", "everything of the team")
	if got := listed(jjb("list")); len(got) != 0 {
		t.Error("left over:", got)
	}
	if v := c.get("/api/json?tree=views[name]"); strings.Contains(v, "everything") {
		t.Error("the view is left:", v)
	}
}

// jjbFails runs jenkins-job-builder, which must fail, and returns what it wrote.
func jjbFails(t *testing.T, conf string, args ...string) string {
	t.Helper()
	out, err := command(t, "/usr/bin/python3", append([]string{"/usr/bin/jenkins-jobs", "--conf", conf}, args...)...)
	if err == nil {
		t.Errorf("jenkins-jobs %s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// jobName matches a line of "jenkins-jobs list" that names a job.
var jobName = regexp.MustCompile(`(?m)^([a-z][a-z-]*)$`)

func listed(out string) []string {
	var names []string
	for _, m := range jobName.FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	return names
}

func configs(t *testing.T, address string, jobs []string) map[string]string {
	t.Helper()
	c := newBrowser(t, address)
	out := map[string]string{}
	for _, job := range jobs {
		out[job] = c.get("/job/" + strings.ReplaceAll(job, "/", "/job/") + "/config.xml")
	}
	return out
}

// browser is a plain client with a session.
type browser struct {
	t       *testing.T
	address string
	client  *http.Client
}

func newBrowser(t *testing.T, address string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, address, &http.Client{Jar: jar, Timeout: time.Minute}}
}

func (b *browser) do(method, path, contentType string, body io.Reader) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.address+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.SetBasicAuth(testUser, testToken)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (b *browser) get(path string) string {
	b.t.Helper()
	status, text := b.do("GET", path, "", nil)
	if status != http.StatusOK {
		b.t.Fatalf("GET %s: %d\n%s", path, status, text)
	}
	return text
}

func (b *browser) post(path string, form url.Values) {
	b.t.Helper()
	if status, text := b.do("POST", path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())); status >= 400 {
		b.t.Fatalf("POST %s: %d\n%s", path, status, text)
	}
}

// until waits until an answer holds a text.
func (b *browser) until(path, want string) {
	b.t.Helper()
	var text string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, text = b.do("GET", path, "", nil); strings.Contains(text, want) {
			return
		}
	}
	b.t.Fatalf("%s has no %s:\n%s", path, want, text)
}
