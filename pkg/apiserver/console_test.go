// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// TestConsoleForms sends what the console of version 3 sends: the form that was filled in, with fields of its own.
func TestConsoleForms(t *testing.T) {
	const (
		own   = `"devopsName":"demo","cluster":"default","devops":"ann-demo","enable_timer_trigger":false,"enable_discarder":true`
		plain = `{"devopsName":"demo","metadata":{"name":"build","namespace":"ann-demo","annotations":{"kubesphere.io/creator":"admin"}},
			"spec":{"pipeline":{"discarder":{"days_to_keep":"7","num_to_keep":"10"},` + own + `,"name":"build"},"type":"pipeline"},"kind":"Pipeline","apiVersion":"devops.kubesphere.io/v1alpha3"}`
		many = `{"devopsName":"demo","metadata":{"name":"many","namespace":"ann-demo"},"spec":{"multi_branch_pipeline":{"source_type":"github",
			"github_source":{"repo":"r","owner":"o","credential_id":"c","discover_branches":1,"discover_pr_from_forks":{"strategy":2,"trust":2},"discover_tags":true,"description":"x"},
			"script_path":"Jenkinsfile",` + own + `,"name":"many","discover_branches":1,"discover_pr_from_origin":2},"type":"multi-branch-pipeline"},"kind":"Pipeline","apiVersion":"devops.kubesphere.io/v1alpha3"}`
	)
	w := newWorld(t, nil)
	pipelines := devops + "/devops/ann-demo/pipelines"
	if strict := w.do(call{user: "ann", method: "POST", path: pipelines + "?fieldValidation=Strict", body: plain}); strict.Code != 400 || !strings.Contains(strict.Body.String(), "spec.pipeline.cluster") {
		t.Errorf("strict: %d %s, want 400 about the fields", strict.Code, strict.Body)
	}
	created := w.do(call{user: "ann", method: "POST", path: pipelines, body: plain})
	if created.Code != 201 {
		t.Fatalf("create: %d %s", created.Code, created.Body)
	}
	warnings := strings.Join(created.Header().Values("Warning"), "\n")
	for _, want := range []string{`299 slipway "unknown field \"devopsName\""`, `\"spec.pipeline.enable_discarder\"`} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warnings %s, want %s among them", warnings, want)
		}
	}
	pipeline := decode[devopsv1alpha3.Pipeline](t, created)
	if d := pipeline.Spec.Pipeline.Discarder; d == nil || d.DaysToKeep != "7" || pipeline.Annotations["kubesphere.io/creator"] != "ann" {
		t.Errorf("created %+v", pipeline)
	}
	if code, body := w.send("ann", "POST", pipelines, many); code != 201 || !strings.Contains(body, `"discover_branches":1`) {
		t.Errorf("multi-branch: %d %s", code, body)
	}
	many2 := strings.Repeat(`"x":{`, 20) + strings.Repeat("}", 20)
	if answer := w.do(call{user: "ann", method: "POST", path: pipelines, body: `{"metadata":{"name":"junk"},` + many2 + `,"` + strings.Repeat("y", 5000) + `":1}`}); answer.Code != 201 {
		t.Errorf("junk: %d %s", answer.Code, answer.Body)
	} else if told := strings.Join(answer.Header().Values("Warning"), "\n"); len(told) > 4096 || !strings.Contains(told, `299 slipway "1 more fields are unknown"`) {
		t.Errorf("%d bytes of warnings: %.4096s", len(told), told)
	}
	// An edit has the state of the form in the spec, too.
	edit := `{"metadata":{"name":"build","resourceVersion":"` + pipeline.ResourceVersion + `"},"status":{},"spec":{"pipeline":{"name":"build","status":{},"description":"new"},"type":"pipeline"}}`
	if code, body := w.send("ann", "PUT", pipelines+"/build", edit); code != 200 || !strings.Contains(body, `"description":"new"`) {
		t.Errorf("edit: %d %s", code, body)
	}
	project := `{"kind":"DevOpsProject","apiVersion":"devops.kubesphere.io/v1alpha3","metadata":{"generateName":"demo","labels":{"kubesphere.io/workspace":"ws"}},"cluster":"host","spec":{"template":{}}}`
	if code, body := w.send("ann", "POST", devops+"/workspaces/ws/devops", project); code != 201 {
		t.Errorf("project: %d %s", code, body)
	}
}

// TestReplaceWithoutVersion is how the console changes a git repository: it sends what it shows, which has no
// version, no finalizers and no owners.
func TestReplaceWithoutVersion(t *testing.T) {
	repository := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ann-demo", Name: "code", Labels: map[string]string{"a": "b"}, Finalizers: []string{"finalizer.gitrepository.devops.kubesphere.io"},
	}, Spec: devopsv1alpha3.GitRepositorySpec{Provider: "git", URL: "https://git.example.com/a.git"}}
	w := newWorld(t, nil, repository)
	at := devops + "/namespaces/ann-demo/gitrepositories/"
	const body = `{"kind":"GitRepository","apiVersion":"devops.kubesphere.io/v1alpha3","metadata":{"name":"code","namespace":"ann-demo","annotations":{"kubesphere.io/alias-name":"x"},` +
		`"labels":{"a":"b"}},"spec":{"provider":"git","url":"https://git.example.com/b.git","secret":{"namespace":"ann-demo"}}}`
	if code, text := w.send("ann", "PUT", at+"code", body); code != 200 {
		t.Fatalf("PUT: %d %s", code, text)
	}
	got := &devopsv1alpha3.GitRepository{}
	if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(repository), got); err != nil {
		t.Fatal(err)
	}
	if got.Spec.URL != "https://git.example.com/b.git" || got.Annotations["kubesphere.io/alias-name"] != "x" || !cmp.Equal(got.Finalizers, repository.Finalizers) {
		t.Errorf("repository is %+v", got)
	}
	plain := `{"metadata":{"name":"code"},"spec":{"provider":"git","url":"https://git.example.com/c.git"}}`
	if code, text := w.send("ann", "PUT", at+"code", plain); code != 200 {
		t.Fatalf("PUT: %d %s", code, text)
	}
	if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(repository), got); err != nil {
		t.Fatal(err)
	}
	if got.Spec.URL != "https://git.example.com/c.git" || got.Annotations["kubesphere.io/alias-name"] != "x" || got.Labels["a"] != "b" {
		t.Errorf("without labels and annotations: repository is %+v", got)
	}
	old := strings.Replace(body, `"name":"code"`, `"name":"code","resourceVersion":"1"`, 1)
	if code, _ := w.send("ann", "PUT", at+"code", old); code != 409 {
		t.Errorf("an old version: %d, want 409", code)
	}
	if code, _ := w.send("ann", "PUT", at+"none", strings.Replace(body, `"code"`, `"none"`, 1)); code != 404 {
		t.Errorf("none: %d, want 404", code)
	}
	if code, _ := w.send("bob", "PUT", at+"code", body); code != 403 {
		t.Errorf("another tenant: %d, want 403", code)
	}
}

// TestBrokenJenkinsfileStays: the editor takes any text, and a pipeline that has one can still be changed.
func TestBrokenJenkinsfileStays(t *testing.T) {
	broken := plainPipeline("ann-demo", "build", nil)
	broken.Spec.Pipeline.Jenkinsfile = "pipeline { agent any"
	w := newWorld(t, nil, broken)
	at := devops + "/namespaces/ann-demo/pipelines/build"
	put := func(jenkinsfile string) int {
		now := decode[devopsv1alpha3.Pipeline](t, w.do(call{user: "ann", path: at}))
		now.Spec.Pipeline.Description, now.Spec.Pipeline.Jenkinsfile = "other", jenkinsfile
		body, err := json.Marshal(now)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := w.send("ann", http.MethodPut, at, string(body))
		return code
	}
	if code := put("pipeline { agent any"); code != 200 {
		t.Errorf("PUT of another description: %d, want 200", code)
	}
	if code := put("pipeline { agent none"); code != 400 {
		t.Errorf("PUT of another broken Jenkinsfile: %d, want 400", code)
	}
}

// TestConsoleStartsRuns sends the values of parameters as consoles do: when many pipelines are started at once they
// are the defaults that Jenkins shows, and a form that nobody touched has empty ones.
func TestConsoleStartsRuns(t *testing.T) {
	p := plainPipeline("ann-demo", "build", nil)
	p.Spec.Pipeline.Jenkinsfile = "pipeline { agent none; stages { stage('a') { steps { echo 'x' } } } }"
	p.Spec.Pipeline.Parameters = []devopsv1alpha3.ParameterDefinition{
		{Name: "WHO", Type: "string", DefaultValue: "world"}, {Name: "DEPLOY", Type: "boolean", DefaultValue: "true"},
		{Name: "WHERE", Type: "choice", DefaultValue: "a\nb"}, {Name: "FILE", Type: "file"},
	}
	w := newWorld(t, nil, p, multiBranch("ann-demo", "many", nil))
	at := devops + "/namespaces/ann-demo/pipelines/"
	for reason, tt := range map[string]struct {
		body string
		code int
		want []devopsv1alpha3.Parameter
	}{
		"texts":        {`[{"name":"WHO","value":"me"},{"name":"DEPLOY","value":"false"}]`, 200, []devopsv1alpha3.Parameter{{Name: "WHO", Value: "me"}, {Name: "DEPLOY", Value: "false"}}},
		"as shown":     {`[{"name":"WHO","value":5},{"name":"DEPLOY","value":true},{"name":"WHERE","value":"b"}]`, 200, []devopsv1alpha3.Parameter{{Name: "WHO", Value: "5"}, {Name: "DEPLOY", Value: "true"}, {Name: "WHERE", Value: "b"}}},
		"no value":     {`[{"name":"WHO"},{"name":"DEPLOY","value":null}]`, 200, nil},
		"empty":        {`[{"name":"WHO","value":""},{"name":"DEPLOY","value":""},{"name":"WHERE","value":""},{"name":"FILE","value":""}]`, 200, []devopsv1alpha3.Parameter{{Name: "WHO"}}},
		"none":         {`[]`, 200, nil},
		"null":         {`null`, 200, nil},
		"not a choice": {`[{"name":"WHERE","value":"c"}]`, 400, nil},
		"not a switch": {`[{"name":"DEPLOY","value":1}]`, 400, nil},
		"object":       {`[{"name":"WHO","value":{}}]`, 400, nil},
		"unknown":      {`[{"name":"ELSE","value":""}]`, 400, nil},
		"twice":        {`[{"name":"WHO","value":""},{"name":"WHO","value":""}]`, 400, nil},
	} {
		answer := w.do(call{user: "ann", method: "POST", path: at + "build/pipelineruns", body: `{"parameters":` + tt.body + `}`})
		if answer.Code != tt.code {
			t.Errorf("%s: %d %s, want %d", reason, answer.Code, answer.Body, tt.code)
		} else if tt.code == 200 {
			if diff := cmp.Diff(tt.want, decode[devopsv1alpha3.PipelineRun](t, answer).Spec.Parameters); diff != "" {
				t.Errorf("%s: -want +got:\n%s", reason, diff)
			}
		}
	}
	// The branch is Jenkins' name, or what it is called in git.
	for _, branch := range []string{"feat%252Fx", "feat%2Fx", "feat/x"} {
		answer := w.do(call{user: "ann", method: "POST", path: at + "many/pipelineruns?branch=" + branch, body: `{"parameters":[]}`})
		if answer.Code != 200 || decode[devopsv1alpha3.PipelineRun](t, answer).Spec.SCM.RefName != "feat%2Fx" {
			t.Errorf("branch=%s: %d %s", branch, answer.Code, answer.Body)
		}
		list := decode[response.List[devopsv1alpha3.PipelineRun]](t, w.do(call{user: "ann", path: at + "many/pipelineruns?branch=" + branch}))
		all := decode[response.List[devopsv1alpha3.PipelineRun]](t, w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns?branch=" + branch}))
		if list.TotalItems == 0 || all.TotalItems != list.TotalItems {
			t.Errorf("list of branch=%s: %d, of all pipelines %d", branch, list.TotalItems, all.TotalItems)
		}
	}
}

// TestBackwardTotal: the total counts what is listed.
func TestBackwardTotal(t *testing.T) {
	waiting, odd := runOf("ann-demo", "build", "waiting", 0, 0), runOf("ann-demo", "build", "odd", 1, 2)
	delete(waiting.Annotations, devopsv1alpha3.JenkinsPipelineRunStatusAnnotation)
	odd.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] = "{"
	w := newWorld(t, nil, plainPipeline("ann-demo", "build", nil), runOf("ann-demo", "build", "done", 2, 1), waiting, odd)
	at := devops + "/namespaces/ann-demo/pipelines/build/pipelineruns?limit=10&backward="
	for wanted, total := range map[string]int{"true": 2, "1": 2, "false": 3, "": 3, "x": 3} {
		list := decode[response.List[map[string]any]](t, w.do(call{user: "ann", path: at + wanted}))
		if list.TotalItems != total || len(list.Items) != total {
			t.Errorf("backward=%s: %d of %d, want %d", wanted, len(list.Items), list.TotalItems, total)
		}
	}
}

// TestBranchThatNeverRan: consoles read the latest run of a pull request without a look whether there is one.
func TestBranchThatNeverRan(t *testing.T) {
	const branches = `[{"name":"PR-1","rawName":"PR-1","weatherScore":100,"pullRequest":{"id":"1","title":"new"}},{"name":"main","rawName":"main","weatherScore":100}]`
	w := newWorld(t, nil, multiBranch("ann-demo", "many", branched(branches)))
	for _, path := range []string{
		devops + "/namespaces/ann-demo/pipelines/many/branches?filter=pull-requests&page=1&limit=10", devops + "/namespaces/ann-demo/pipelines/many/branches/PR-1",
		blueRoot + "/devops/ann-demo/pipelines/many/branches/?filter=pull-requests&start=0&limit=10", blueRoot + "/devops/ann-demo/pipelines/many/branches/main/",
	} {
		if code, body := w.send("ann", "GET", path, ""); code != 200 || !strings.Contains(body, `"latestRun":{"startTime":null,"endTime":null}`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestTrailingSlash: the console of version 3 ends the addresses of objects with one.
func TestTrailingSlash(t *testing.T) {
	project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: "ann-demo", Labels: map[string]string{"kubesphere.io/workspace": "ws"}}}
	w := newWorld(t, nil, project, plainPipeline("ann-demo", "build", nil))
	at := devops + "/workspaces/ws/devops/ann-demo/"
	now := decode[devopsv1alpha3.DevOpsProject](t, w.do(call{user: "root", path: at}))
	body := `{"metadata":{"name":"ann-demo","resourceVersion":"` + now.ResourceVersion + `","annotations":{"kubesphere.io/alias-name":"x"}}}`
	for _, c := range []struct{ method, path, body string }{
		{"PUT", at, body}, {"GET", devops + "/devops/ann-demo/pipelines/build/", ""}, {"GET", devops + "/devops/ann-demo/pipelines/?page=1&limit=10&sortBy=updateTime", ""},
		{"GET", blueRoot + "/devops/ann-demo/pipelines/build/", ""}, {"GET", blueRoot + "/devops/ann-demo/pipelines/build/runs/?start=0&limit=10", ""},
		{"DELETE", devops + "/devops/ann-demo/pipelines/build/", ""}, {"DELETE", at, ""},
	} {
		if code, answer := w.send("root", c.method, c.path, c.body); code != 200 {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, answer)
		}
	}
}
