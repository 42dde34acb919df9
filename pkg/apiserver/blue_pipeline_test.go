// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const metadataOfBuild = `{"name":"build","disabled":false,"weatherScore":80,"estimatedDurationInMillis":4952,"parameters":[` +
	`{"name":"A","type":"string","defaultParameterValue":{"name":"A","value":"x"}},{"name":"PW","type":"password","defaultParameterValue":{"name":"PW","value":"hunter2"}}],` +
	`"numberOfPipelines":0,"numberOfFolders":0,"totalNumberOfBranches":0,"totalNumberOfPullRequests":0}`

const metadataOfMany = `{"name":"many","weatherScore":40,"numberOfPipelines":3,"totalNumberOfBranches":2,"totalNumberOfPullRequests":1,` +
	`"branchNames":["main","feat%2Fx"],"scmSource":{"id":"git","apiUrl":""},"scriptPath":"ci/Jenkinsfile"}`

const branchesOfMany = `[{"name":"main","rawName":"main","weatherScore":100,"latestRun":{"id":"4","name":"","pipeline":"main","result":"SUCCESS","state":"FINISHED",` +
	`"startTime":"2026-01-02T03:04:05Z","endTime":"2026-01-02T03:05:05Z","durationInMillis":60000},"branch":{"isPrimary":true,"url":"main"},"parameters":[{"name":"P","type":"choice","choices":["a","b"]}]},` +
	`{"name":"feat%2Fx","rawName":"feat/x","weatherScore":0,"branch":{"url":"feat/x"}},` +
	`{"name":"größe","rawName":"größe","weatherScore":100},` +
	`{"name":"PR-1","rawName":"PR-1","weatherScore":100,"pullRequest":{"id":"1","title":"Fix it","author":"bob","url":"https://git.example/1"}}]`

func metadata(text string) map[string]string {
	return map[string]string{devopsv1alpha3.PipelineJenkinsMetadataAnnotation: text}
}

func branched(text string) map[string]string {
	return map[string]string{devopsv1alpha3.PipelineJenkinsMetadataAnnotation: metadataOfMany, devopsv1alpha3.PipelineJenkinsBranchesAnnotation: text}
}

func TestBluePipeline(t *testing.T) {
	a := &answers{}
	w := blueWorld(t, a, plainPipeline("ann-demo", "build", metadata(metadataOfBuild)), multiBranch("ann-demo", "many", branched(branchesOfMany)),
		runOf("ann-demo", "build", "young", 0, 12), runOf("ann-demo", "build", "old", time.Hour, 11), runOf("ann-demo", "builder", "other", -time.Hour, 99),
		sampleRun("waiting", func(run *devopsv1alpha3.PipelineRun) {
			run.Spec.PipelineRef.Name = "build"
			run.Labels = map[string]string{devopsv1alpha3.PipelineNameLabel: "build"}
			run.CreationTimestamp = metav1.Now()
		}))
	for _, root := range []string{blueRoot + "/namespaces/", blueRoot + "/devops/", "/v1alpha2/namespaces/"} {
		answer := w.do(call{user: "ann", path: root + "ann-demo/pipelines/build"})
		if answer.Code != 200 {
			t.Fatalf("%s: %d %s", root, answer.Code, answer.Body)
		}
		var got map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		run, _ := got["latestRun"].(map[string]any)
		if run["id"] != "12" || run["startTime"] != "2026-01-02T03:04:05.1Z" {
			t.Errorf("%s: latest run %v, want the youngest that Jenkins has taken", root, run)
		}
		delete(got, "latestRun")
		want := map[string]any{
			"_class": "io.jenkins.blueocean.rest.impl.pipeline.PipelineImpl", "name": "build", "displayName": "build", "fullName": "ann-demo/build",
			"organization": "jenkins", "disabled": false, "weatherScore": 80.0, "estimatedDurationInMillis": 4952.0,
			"parameters": []any{
				map[string]any{"name": "A", "type": "StringParameterDefinition", "defaultParameterValue": map[string]any{"name": "A", "value": "x"}},
				map[string]any{"name": "PW", "type": "PasswordParameterDefinition"},
			},
			"permissions": map[string]any{"read": true, "start": true, "stop": true, "create": true, "configure": true},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", root, diff)
		}
	}
	var many map[string]any
	answer := w.do(call{user: "ann", path: blueRoot + "/namespaces/ann-demo/pipelines/many"})
	if err := json.Unmarshal(answer.Body.Bytes(), &many); err != nil || many["_class"] != "io.jenkins.blueocean.rest.impl.pipeline.MultiBranchPipelineImpl" ||
		many["totalNumberOfBranches"] != 2.0 || len(many["branchNames"].([]any)) != 2 || many["scriptPath"] != "ci/Jenkinsfile" || many["numberOfFolders"] != 0.0 {
		t.Errorf("multi-branch: %v %s", err, answer.Body)
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("Jenkins was asked for what the cluster knows: %v", asked)
	}
}

// TestBluePipelineUnknown reads a pipeline that no controller has described yet.
func TestBluePipelineUnknown(t *testing.T) {
	const path = "GET /blue/rest/organizations/jenkins/pipelines/ann-demo/pipelines/build/"
	a := &answers{}
	w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil), plainPipeline("ann-alone", "build", nil),
		plainPipeline("ann-demo", "spoiled", metadata(`{"weatherScore":"high"}`)), multiBranch("ann-demo", "mb", nil))
	for reason, tt := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		code   int
		want   string
	}{
		"Jenkins knows it":           {text(`{"_class":"x","name":"build","weatherScore":20,"estimatedDurationInMillis":7,"parameters":[{"name":"J","type":"TextParameterDefinition"}]}`), 200, `"name":"J","type":"TextParameterDefinition"`},
		"Jenkins has no job yet":     {nil, 200, `"weatherScore":100`},
		"Jenkins does not answer":    {status(503), 200, `"name":"A","type":"StringParameterDefinition"`},
		"Jenkins starts":             {status(401), 200, `"weatherScore":100`},
		"Jenkins refuses the server": {status(403), 502, "credential"},
	} {
		w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil))
		a.set(path, tt.answer)
		if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/build", ""); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", reason, code, body, tt.code, tt.want)
		}
	}
	a.asked()
	if code, _ := w.send("ann", "GET", blueRoot+"/namespaces/ann-alone/pipelines/build", ""); code != 200 || len(a.asked()) > 0 {
		t.Errorf("a namespace without a project: %d, or Jenkins was asked for a folder that may be another's", code)
	}
	a.set(path, nil)
	if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/spoiled", ""); code != 200 || !strings.Contains(body, `"weatherScore":100`) {
		t.Errorf("spoiled annotation: %d %s", code, body)
	}
	if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/mb", ""); code != 200 || !strings.Contains(body, `"branchNames":[]`) ||
		!strings.Contains(body, `"scmSource":{}`) || !strings.Contains(body, `"scriptPath":"ci/Jenkinsfile"`) {
		t.Errorf("new multi-branch pipeline: %d %s", code, body)
	}
}

func TestBluePipelineCheck(t *testing.T) {
	a := &answers{}
	w := blueWorld(t, a, ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil))
	path := func(name string) string { return blueRoot + "/namespaces/ann-demo/pipelines/" + name + "?check=true" }
	a.set("GET /job/ann-demo/checkJobName", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("value") == "BUILD" {
			_, _ = io.WriteString(w, `<div class="error">A job already exists with the name ‘BUILD’</div>`)
			return
		}
		_, _ = io.WriteString(w, "<div/>")
	})
	for name, want := range map[string]bool{"build": true, "BUILD": true, "free": false} {
		code, body := w.send("ann", "GET", path(name), "")
		if code != 200 || strings.TrimSpace(body) != fmt.Sprintf(`{"exist":%v}`, want) {
			t.Errorf("%s: %d %s, want %v", name, code, body, want)
		}
	}
	a.set("GET /job/ann-demo/checkJobName", status(503))
	if code, body := w.send("ann", "GET", path("free"), ""); code != 200 || !strings.Contains(body, "false") {
		t.Errorf("Jenkins away: %d %s", code, body)
	}
	if code, _ := w.send("bob", "GET", path("build"), ""); code != 403 {
		t.Errorf("another tenant learns of names: %d", code)
	}
}

func TestBranches(t *testing.T) {
	a := &answers{}
	w := blueWorld(t, a, ownedProject("ann-demo"), multiBranch("ann-demo", "many", branched(branchesOfMany)), plainPipeline("ann-demo", "build", nil),
		multiBranch("ann-demo", "spoiled", branched(`{"no":"list"}`)))
	type branch struct {
		Class     string `json:"_class"`
		Name      string `json:"name"`
		RawName   string `json:"rawName"`
		Display   string `json:"displayName"`
		FullName  string `json:"fullName"`
		LatestRun *struct {
			EndTime string `json:"endTime"`
		} `json:"latestRun"`
	}
	names := func(list []branch) string {
		out := ""
		for _, b := range list {
			out += b.Name + " "
		}
		return strings.TrimSpace(out)
	}
	for query, want := range map[string]string{
		"": "main feat%2Fx größe PR-1", "filter=origin": "main feat%2Fx größe", "filter=pull-requests": "PR-1", "filter=other": "main feat%2Fx größe PR-1",
		"name=eat/": "feat%2Fx", "name=" + url.QueryEscape("grö"): "größe",
	} {
		for _, family := range []string{"namespaces", "devops"} {
			// v1alpha2: a bare list.
			answer := w.do(call{user: "ann", path: blueRoot + "/" + family + "/ann-demo/pipelines/many/branches?" + query})
			if got := names(decode[[]branch](t, answer)); answer.Code != 200 || got != want {
				t.Errorf("v1alpha2 %s %s: %d %q, want %q", family, query, answer.Code, got, want)
			}
			// v1alpha3: an envelope.
			answer = w.do(call{user: "ann", path: devops + "/" + family + "/ann-demo/pipelines/many/branches?" + query})
			list := decode[struct {
				Items      []branch `json:"items"`
				TotalItems int      `json:"totalItems"`
			}](t, answer)
			if got := names(list.Items); answer.Code != 200 || got != want || list.TotalItems != len(list.Items) {
				t.Errorf("v1alpha3 %s %s: %d %q of %d, want %q", family, query, answer.Code, got, list.TotalItems, want)
			}
		}
	}
	for query, want := range map[string]string{"start=1&limit=2": "feat%2Fx größe", "start=3": "PR-1", "start=4": "", "start=999999999": "", "limit=1": "main"} {
		answer := w.do(call{user: "ann", path: blueRoot + "/namespaces/ann-demo/pipelines/many/branches?" + query})
		if got := names(decode[[]branch](t, answer)); got != want {
			t.Errorf("v1alpha2 %s: %q, want %q", query, got, want)
		}
	}
	for query, want := range map[string]string{"page=2&limit=3": `{"items":[{"name":"PR-1"`, "page=9&limit=3": `{"items":[],"totalItems":4}`, "page=2": `{"items":[],"totalItems":4}`} {
		if _, body := w.send("ann", "GET", devops+"/namespaces/ann-demo/pipelines/many/branches?"+query, ""); !strings.HasPrefix(body, want) {
			t.Errorf("v1alpha3 %s: %s, want %s", query, body, want)
		}
	}
	for _, path := range []string{"feat%252Fx", "feat%2Fx"} {
		for _, root := range []string{blueRoot, devops} {
			answer := w.do(call{user: "ann", path: root + "/namespaces/ann-demo/pipelines/many/branches/" + path})
			if got := decode[branch](t, answer); answer.Code != 200 || got.Name != "feat%2Fx" || got.RawName+got.Display != "feat/x" {
				t.Errorf("%s %s: %d %s", root, path, answer.Code, answer.Body)
			}
		}
	}
	if got := decode[branch](t, w.do(call{user: "ann", path: blueRoot + "/namespaces/ann-demo/pipelines/many/branches/main"})); got.LatestRun.EndTime != "2026-01-02T03:05:05Z" ||
		got.FullName != "ann-demo/many/main" || got.Class != "io.jenkins.blueocean.rest.impl.pipeline.BranchImpl" {
		t.Errorf("branch: %+v", got)
	}
	for reason, tt := range map[string]struct {
		user, path string
		code       int
		want       string
	}{
		"no multi-branch pipeline": {"ann", "pipelines/build/branches", 400, "no multi-branch pipeline"},
		"one of none":              {"ann", "pipelines/build/branches/main", 400, "no multi-branch pipeline"},
		"no pipeline":              {"ann", "pipelines/none/branches", 404, "none"},
		"no branch":                {"ann", "pipelines/many/branches/gone", 404, `no branch, tag or pull request \"gone\"`},
		"long name":                {"ann", "pipelines/many/branches/" + strings.Repeat("x", 1000), 404, "…"},
		"other tenant":             {"bob", "pipelines/many/branches", 403, ""},
		"nobody":                   {"", "pipelines/many/branches", 401, ""},
	} {
		for _, root := range []string{blueRoot, devops} {
			if code, body := w.send(tt.user, "GET", root+"/namespaces/ann-demo/"+tt.path, ""); code != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("%s at %s: %d %s, want %d with %q", reason, root, code, body, tt.code, tt.want)
			}
		}
	}
	for _, query := range []string{"start=-1", "limit=0", "limit=x", "start=1.5"} {
		if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/many/branches?"+query, ""); code != 400 || !strings.Contains(body, "whole number") {
			t.Errorf("%s: %d %s, want 400", query, code, body)
		}
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("Jenkins was asked for what the cluster knows: %v", asked)
	}
}

// TestFault22BranchesBeyondTheAnnotation is fault 22: more branches than an annotation holds.
func TestFault22BranchesBeyondTheAnnotation(t *testing.T) {
	const total = 1203
	a := &answers{}
	large := multiBranch("ann-demo", "many", branched(branchesOfMany))
	large.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionBranchesComplete, Status: metav1.ConditionFalse}}
	w := blueWorld(t, a, ownedProject("ann-demo"), large)
	const address = "GET /blue/rest/organizations/jenkins/pipelines/ann-demo/pipelines/many/branches/"
	a.set(address, func(w http.ResponseWriter, r *http.Request) {
		var start, limit int
		_, _ = fmt.Sscan(r.URL.Query().Get("start"), &start)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		list := []map[string]any{}
		for i := start; i < min(start+limit, total); i++ {
			list = append(list, map[string]any{"name": fmt.Sprintf("b%04d", i), "weatherScore": 100, "branch": map[string]any{"isPrimary": i == 77}})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	code, body := w.send("ann", "GET", devops+"/namespaces/ann-demo/pipelines/many/branches?page=121&limit=10", "")
	if code != 200 || !strings.Contains(body, `"name":"b1202"`) || !strings.Contains(body, fmt.Sprintf(`"totalItems":%d`, total)) {
		t.Errorf("last page: %d %s", code, body)
	}
	if asked := a.asked(); len(asked) != 3 {
		t.Errorf("%d calls for 3 pages: %v", len(asked), asked)
	}
	// What was read is used again.
	if _, body := w.send("ann", "GET", devops+"/namespaces/ann-demo/pipelines/many/branches?limit=1", ""); !strings.Contains(body, `"b0077"`) {
		t.Errorf("the primary branch is not the first: %s", body)
	}
	if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/many/branches/b1000", ""); code != 200 {
		t.Errorf("one of the rest: %d %s", code, body)
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("the branches are read for each request: %v", asked)
	}
	// While Jenkins is away the annotation has to do; other failures are told.
	for code, want := range map[int]int{503: 200, 401: 200, 403: 502, 404: 404, 500: 502} {
		w := blueWorld(t, a, ownedProject("ann-demo"), large.DeepCopy())
		a.set(address, status(code))
		if got, body := w.send("ann", "GET", devops+"/namespaces/ann-demo/pipelines/many/branches", ""); got != want || want == 200 && !strings.Contains(body, `"totalItems":4`) {
			t.Errorf("Jenkins answers %d: %d %s, want %d", code, got, body, want)
		}
	}
	// A folder that is not known to be the project's own is not read.
	a.asked()
	alone := blueWorld(t, a, large.DeepCopy())
	if got, _ := alone.send("ann", "GET", devops+"/namespaces/ann-demo/pipelines/many/branches", ""); got != 200 || len(a.asked()) > 0 {
		t.Errorf("without a project: %d", got)
	}
}

func TestScan(t *testing.T) {
	w := blueWorld(t, &answers{}, multiBranch("ann-demo", "many", nil), plainPipeline("ann-demo", "build", nil))
	scan := func(user, path string) (int, string) { return w.send(user, "POST", blueRoot+path, "") }
	values := map[string]bool{}
	for _, path := range []string{"/namespaces/ann-demo/pipelines/many/scan?delay=0", "/devops/ann-demo/pipelines/many/scan?start=0&limit=10", "/namespaces/ann-demo/pipelines/many/scan/"} {
		if code, body := scan("ann", path); code != 200 || strings.TrimSpace(body) != `{"message":"success"}` {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		p := &devopsv1alpha3.Pipeline{}
		if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: "many"}, p); err != nil {
			t.Fatal(err)
		}
		value := p.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]
		if value == "" || values[value] {
			t.Errorf("%s: the request is %q, want a new one", path, value)
		}
		values[value] = true
	}
	// A body of any kind does no harm.
	if answer := w.do(call{user: "ann", method: "POST", path: blueRoot + "/namespaces/ann-demo/pipelines/many/scan", body: "{}", contentType: "text/plain"}); answer.Code != 200 {
		t.Errorf("with a body: %d %s", answer.Code, answer.Body)
	}
	for reason, tt := range map[string]struct {
		user, name string
		code       int
	}{"no multi-branch pipeline": {"ann", "build", 400}, "none": {"ann", "none", 404}, "other tenant": {"bob", "many", 403}, "nobody": {"", "many", 401}} {
		if code, body := scan(tt.user, "/namespaces/ann-demo/pipelines/"+tt.name+"/scan"); code != tt.code {
			t.Errorf("%s: %d %s, want %d", reason, code, body, tt.code)
		}
	}
}

func TestScanLog(t *testing.T) {
	const address = "GET /job/ann-demo/job/many/indexing/consoleText"
	a := &answers{}
	w := blueWorld(t, a, ownedProject("ann-demo"), multiBranch("ann-demo", "many", nil), plainPipeline("ann-demo", "build", nil), multiBranch("ann-alone", "many", nil))
	long := "Started\n" + strings.Repeat("Checking branch größe\n", 10_000) + "Finished: SUCCESS\n"
	for reason, tt := range map[string]struct {
		user, path string
		answer     func(http.ResponseWriter, *http.Request)
		code       int
		want       string
	}{
		"a long one":                {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", text(long), 200, long},
		"old path":                  {"ann", "/devops/ann-demo/pipelines/many/consolelog/", text("x"), 200, "x"},
		"never scanned":             {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", text("No such file: indexing.log"), 200, ""},
		"begins like that":          {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", text("No such file: indexing.log? odd"), 200, "No such file: indexing.log? odd"},
		"empty":                     {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", text(""), 200, ""},
		"Jenkins has no job":        {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", nil, 404, "NotFound"},
		"Jenkins away":              {"ann", "/namespaces/ann-demo/pipelines/many/consolelog", status(503), 503, "Jenkins cannot be reached"},
		"no multi-branch pipeline":  {"ann", "/namespaces/ann-demo/pipelines/build/consolelog", nil, 400, "no multi-branch"},
		"other tenant":              {"bob", "/namespaces/ann-demo/pipelines/many/consolelog", nil, 403, ""},
		"folder of somebody else's": {"ann", "/namespaces/ann-alone/pipelines/many/consolelog", nil, 404, "belongs to no DevOps project"},
	} {
		a.set(address, tt.answer)
		code, body := w.send(tt.user, "GET", blueRoot+tt.path, "")
		if code != tt.code || code == 200 && body != tt.want || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %.300s, want %d %.60s", reason, code, body, tt.code, tt.want)
		}
	}
	a.set(address, text("x"))
	answer := w.do(call{user: "ann", path: blueRoot + "/namespaces/ann-demo/pipelines/many/consolelog", header: map[string]string{"Accept": "application/json"}})
	if answer.Code != 200 || answer.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("a console that accepts JSON: %d %s", answer.Code, answer.Header())
	}
	// A log that breaks off must not look whole.
	a.set(address, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	})
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	req := w.request(call{user: "ann", path: blueRoot + "/namespaces/ann-demo/pipelines/many/consolelog"})
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+req.URL.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = req.Header
	resp, err := server.Client().Do(out)
	if err != nil {
		return // cut before the header: as good
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half a log was taken for the whole: %q", body)
	}
}
