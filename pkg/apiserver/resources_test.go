// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

func TestPipelineLife(t *testing.T) {
	for family, collection := range map[string]string{
		"v4": devops + "/namespaces/ann-demo/pipelines", "v3": devops + "/devops/ann-demo/pipelines", "alias": "/v1alpha3/namespaces/ann-demo/pipelines",
	} {
		t.Run(family, func(t *testing.T) {
			w := newWorld(t, nil)
			created := w.do(call{
				method: "POST", user: "ann", path: collection + "/",
				body: `{"kind":"Pipeline","apiVersion":"devops.kubesphere.io/v1alpha3","metadata":{"name":"build","uid":"of-another","resourceVersion":"77","annotations":{"kubesphere.io/creator":"bob"}},"spec":{"pipeline":{"jenkinsfile":"node { echo 'scripted is for Jenkins to judge' }"}}}`,
			})
			if created.Code != 201 {
				t.Fatalf("create: %d %s", created.Code, created.Body)
			}
			pipeline := decode[devopsv1alpha3.Pipeline](t, created)
			if pipeline.Kind != "Pipeline" || pipeline.UID == "of-another" || pipeline.Spec.Type != "pipeline" || pipeline.Namespace != "ann-demo" {
				t.Errorf("created %+v", pipeline)
			}
			if got := pipeline.Annotations["kubesphere.io/creator"]; got != "ann" {
				t.Errorf("creator %q, want ann, whatever was sent", got)
			}

			list := decode[response.List[devopsv1alpha3.Pipeline]](t, w.do(call{user: "ann", path: collection + "?type=pipeline&page=1&limit=10"}))
			if list.TotalItems != 1 || len(list.Items) != 1 || list.Items[0].Kind != "Pipeline" {
				t.Errorf("list: %+v", list)
			}
			if other := decode[response.List[devopsv1alpha3.Pipeline]](t, w.do(call{user: "ann", path: collection + "?type=multi-branch-pipeline"})); other.TotalItems != 0 {
				t.Errorf("list of another type: %+v", other)
			}

			again := w.do(call{method: "POST", user: "ann", path: collection, body: `{"metadata":{"name":"build"}}`})
			if again.Code != 409 {
				t.Errorf("create again: %d, want 409", again.Code)
			}

			body := `{"metadata":{"name":"build","resourceVersion":"` + pipeline.ResourceVersion + `"},"spec":{"pipeline":{"description":"new"}}}`
			updated := w.do(call{method: "PUT", user: "ann", path: collection + "/build", body: body})
			if updated.Code != 200 || decode[devopsv1alpha3.Pipeline](t, updated).Spec.Pipeline.Description != "new" {
				t.Errorf("update: %d %s", updated.Code, updated.Body)
			}
			if stale := w.do(call{method: "PUT", user: "ann", path: collection + "/build", body: body}); stale.Code != 409 {
				t.Errorf("update of what was changed since: %d, want 409", stale.Code)
			}

			deleted := w.do(call{method: "DELETE", user: "ann", path: collection + "/build"})
			if deleted.Code != 200 || strings.TrimSpace(deleted.Body.String()) != `{"message":"success"}` {
				t.Errorf("delete: %d %s", deleted.Code, deleted.Body)
			}
			if gone := w.do(call{method: "DELETE", user: "ann", path: collection + "/build"}); gone.Code != 404 {
				t.Errorf("delete again: %d, want 404", gone.Code)
			}
		})
	}
}

func TestProjects(t *testing.T) {
	w := newWorld(t, nil)
	projects := devops + "/workspaces/ws/namespaces"
	created := w.do(call{method: "POST", user: "ann", path: projects, body: `{"metadata":{"generateName":"shop"}}`})
	if created.Code != 201 {
		t.Fatalf("create: %d %s", created.Code, created.Body)
	}
	project := decode[devopsv1alpha3.DevOpsProject](t, created)
	if !strings.HasPrefix(project.Name, "shop") || project.Labels["kubesphere.io/workspace"] != "ws" {
		t.Errorf("created %s with labels %v", project.Name, project.Labels)
	}
	taken := w.do(call{method: "POST", user: "ann", path: projects, body: `{"metadata":{"generateName":"shop"}}`})
	if taken.Code != 409 || !strings.Contains(taken.Body.String(), "already has a project") {
		t.Errorf("the same display name: %d %s, want 409", taken.Code, taken.Body)
	}
	if other := w.do(call{method: "POST", user: "ann", path: devops + "/workspaces/other/devops", body: `{"metadata":{"generateName":"shop"}}`}); other.Code != 201 {
		t.Errorf("the same display name in another workspace: %d, want 201", other.Code)
	}
	cases := map[string]struct {
		path string
		code int
		body string
	}{
		"by name":                 {projects + "/" + project.Name, 200, project.Name},
		"of another workspace":    {devops + "/workspaces/other/namespaces/" + project.Name, 404, ""},
		"of all workspaces":       {devops + "/devopsprojects/" + project.Name, 200, project.Name},
		"by display name":         {projects + "/shop?generateName=true", 200, project.Name},
		"by unknown display name": {projects + "/nope?generateName=true", 404, ""},
		"check":                   {projects + "/shop?check=true", 200, `{"exist":true}`},
		"check of a free name":    {projects + "/nope?check=true", 200, `{"exist":false}`},
		"list":                    {projects, 200, `"totalItems":1`},
		"list of all":             {devops + "/devopsprojects", 200, `"totalItems":2`},
		"list of nothing":         {devops + "/workspaces/empty/devops", 200, `{"items":[],"totalItems":0}`},
	}
	for name, tc := range cases {
		if got := w.do(call{user: "ann", path: tc.path}); got.Code != tc.code || !strings.Contains(got.Body.String(), tc.body) {
			t.Errorf("%s: %d %s, want %d with %q", name, got.Code, got.Body, tc.code, tc.body)
		}
	}
	if got := w.do(call{method: "DELETE", user: "ann", path: devops + "/workspaces/other/namespaces/" + project.Name}); got.Code != 404 {
		t.Errorf("delete through another workspace: %d, want 404", got.Code)
	}
	if got := w.do(call{method: "DELETE", user: "ann", path: projects + "/" + project.Name}); got.Code != 200 {
		t.Errorf("delete: %d %s", got.Code, got.Body)
	}
}

func TestStartRun(t *testing.T) {
	longName := strings.Repeat("p", 100)
	w := newWorld(t, nil,
		samplePipeline("ann-demo", longName, devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: declarative}}),
		samplePipeline("ann-demo", "branches", devopsv1alpha3.PipelineSpec{Type: "multi-branch-pipeline", MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "git"}}))
	runs := devops + "/namespaces/ann-demo/pipelines/" + longName + "/pipelineruns"
	for body, reason := range map[string]string{
		"":                  "no body takes all defaults",
		`{"parameters":[]}`: "so does the console's",
		`{"parameters":[{"name":"MODE","value":"slow"},{"name":"DRY","value":"false"}]}`: "values are kept",
	} {
		answer := w.do(call{method: "POST", user: "ann", path: runs, body: body})
		if answer.Code != 200 {
			t.Fatalf("%s: %d %s", reason, answer.Code, answer.Body)
		}
		run := decode[devopsv1alpha3.PipelineRun](t, answer)
		if run.Kind != "PipelineRun" || run.Annotations["devops.kubesphere.io/creator"] != "ann" || run.Spec.PipelineSpec.Pipeline.Jenkinsfile != declarative ||
			run.Spec.PipelineRef.Name != longName || len(run.OwnerReferences) != 1 || len(run.Labels["devops.kubesphere.io/pipeline"]) > 63 {
			t.Errorf("%s: %+v", reason, run)
		}
	}
	if list := decode[response.List[devopsv1alpha3.PipelineRun]](t, w.do(call{user: "ann", path: runs})); list.TotalItems != 3 {
		t.Errorf("runs of the pipeline: %d, want 3", list.TotalItems)
	}

	branches := devops + "/namespaces/ann-demo/pipelines/branches/pipelineruns"
	if got := w.do(call{method: "POST", user: "ann", path: branches}); got.Code != 400 || !strings.Contains(got.Body.String(), "?branch=main") {
		t.Errorf("without a branch: %d %s", got.Code, got.Body)
	}
	answer := w.do(call{method: "POST", user: "ann", path: branches + "?branch=feat%252Fx", body: `{"parameters":[{"name":"ANY","value":"x"}]}`})
	if answer.Code != 200 {
		t.Fatalf("with a branch: %d %s", answer.Code, answer.Body)
	}
	if diff := cmp.Diff(&devopsv1alpha3.SCM{RefType: "branch", RefName: "feat%2Fx"}, decode[devopsv1alpha3.PipelineRun](t, answer).Spec.SCM); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for query, want := range map[string]int{"?branch=feat%252Fx": 1, "?branch=main": 0, "": 1} {
		if list := decode[response.List[devopsv1alpha3.PipelineRun]](t, w.do(call{user: "ann", path: branches + query})); list.TotalItems != want {
			t.Errorf("runs of the branch %q: %d, want %d", query, list.TotalItems, want)
		}
	}
}

// sampleRun makes a run of build 7.
func sampleRun(name string, change func(*devopsv1alpha3.PipelineRun)) *devopsv1alpha3.PipelineRun {
	run := &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ann-demo", Name: name, UID: "u1",
			Annotations: map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "7"},
		},
		Spec:   devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Namespace: "other", Name: "build"}},
		Status: devopsv1alpha3.PipelineRunStatus{Phase: devopsv1alpha3.Running},
	}
	if change != nil {
		change(run)
	}
	return run
}

func endedRun(run *devopsv1alpha3.PipelineRun) { run.Status.Phase = devopsv1alpha3.Succeeded }
func storedRun(run *devopsv1alpha3.PipelineRun) {
	endedRun(run)
	run.Annotations[devopsv1alpha3.ArchivedAnnotation] = "2026-01-01T00:00:00Z"
}

func TestRunActions(t *testing.T) {
	runs := devops + "/namespaces/ann-demo/pipelineruns/"
	cases := map[string]struct {
		reason     string
		method     string
		path, body string
		wantCode   int
		wantBody   string
		wantAction string
	}{
		"stop":          {reason: "the short form", method: "POST", path: runs + "live/stop", wantCode: 200, wantAction: "Stop"},
		"put":           {reason: "the rule", method: "PUT", path: runs + "live", body: `{"spec":{"action":"Stop"}}`, wantCode: 200, wantAction: "Stop"},
		"put of all":    {reason: "what was read, with the action", method: "PUT", path: runs + "live", body: `{"metadata":{"name":"live"},"spec":{"pipelineRef":{"namespace":"other","name":"build"},"action":"Stop"}}`, wantCode: 200, wantAction: "Stop"},
		"put of more":   {reason: "a run is not rewritten", method: "PUT", path: runs + "live", body: `{"spec":{"action":"Stop","parameters":[{"name":"A","value":"b"}]}}`, wantCode: 400, wantBody: "only spec.action"},
		"put of none":   {reason: "an action is needed", method: "PUT", path: runs + "live", body: `{"spec":{}}`, wantCode: 400, wantBody: "Stop, Pause or Resume"},
		"put of stale":  {reason: "a version that was sent counts", method: "PUT", path: runs + "live", body: `{"metadata":{"resourceVersion":"1"},"spec":{"action":"Stop"}}`, wantCode: 409, wantBody: "leave resourceVersion out"},
		"put of other":  {reason: "the address decides", method: "PUT", path: runs + "live", body: `{"metadata":{"name":"x"},"spec":{"action":"Stop"}}`, wantCode: 400, wantBody: "another object"},
		"stop of ended": {reason: "there is nothing to stop", method: "POST", path: runs + "ended/stop", wantCode: 400, wantBody: "has ended"},
		"stop of none":  {reason: "there is none", method: "POST", path: runs + "none/stop", wantCode: 404},
		"delete":        {reason: "an empty answer, as KubeSphere's", method: "DELETE", path: runs + "live", wantCode: 200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, sampleRun("live", nil), sampleRun("ended", endedRun))
			answer := w.do(call{method: tc.method, user: "ann", path: tc.path, body: tc.body})
			if answer.Code != tc.wantCode || !strings.Contains(answer.Body.String(), tc.wantBody) {
				t.Fatalf("%s: %d %s, want %d with %q", tc.reason, answer.Code, answer.Body, tc.wantCode, tc.wantBody)
			}
			run := &devopsv1alpha3.PipelineRun{}
			err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: "ann-demo", Name: "live"}, run)
			if tc.method == "DELETE" {
				if err == nil || answer.Body.Len() != 0 {
					t.Errorf("%s: the run is there: %v, body %q", tc.reason, err == nil, answer.Body)
				}
				return
			}
			if got := run.Spec.Action; (got != nil) != (tc.wantAction != "") || got != nil && string(*got) != tc.wantAction {
				t.Errorf("%s: action %v, want %q", tc.reason, got, tc.wantAction)
			}
		})
	}
}

func TestKeepJenkinsRecord(t *testing.T) {
	w := newWorld(t, nil, sampleRun("live", func(run *devopsv1alpha3.PipelineRun) { run.Finalizers = []string{devopsv1alpha3.PipelineRunFinalizer} }))
	if got := w.do(call{method: "DELETE", user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live?keepJenkinsRecord=true"}); got.Code != 200 {
		t.Fatalf("delete: %d %s", got.Code, got.Body)
	}
	run := &devopsv1alpha3.PipelineRun{}
	if err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: "ann-demo", Name: "live"}, run); err != nil {
		t.Fatal(err)
	}
	if run.DeletionTimestamp.IsZero() || run.Annotations[devopsv1alpha3.KeepJenkinsRecordAnnotation] != "true" {
		t.Errorf("deleted %v, annotations %v", run.DeletionTimestamp, run.Annotations)
	}
}

func TestStages(t *testing.T) {
	stages := func(name, text string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: name}, Data: map[string]string{"stage": text}}
	}
	w := newWorld(t, nil, sampleRun("good", nil), stages("good", `[{"id":"1","displayName":"a","steps":[]}]`), sampleRun("none", nil),
		sampleRun("bad", nil), stages("bad", `{"not":"a list"}`), stages("no-run", `[]`))
	for name, want := range map[string]struct {
		code int
		body string
	}{
		"good": {200, `[{"id":"1","displayName":"a","startTime":null,"edges":[],"steps":[]}]`}, "none": {200, `[]`}, "bad": {500, "internal error"}, "no-run": {404, "not found"},
	} {
		got := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/" + name + "/nodedetails"})
		if got.Code != want.code || !strings.Contains(got.Body.String(), want.body) {
			t.Errorf("%s: %d %s, want %d %s", name, got.Code, got.Body, want.code, want.body)
		}
	}
}

func TestBackward(t *testing.T) {
	w := newWorld(t, nil, sampleRun("one", func(run *devopsv1alpha3.PipelineRun) {
		run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] = `{"id":"7","state":"RUNNING"}`
	}), sampleRun("two", nil))
	got := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns?backward=true"})
	if want := `{"items":[{"id":"7","state":"RUNNING"}],"totalItems":1}`; strings.TrimSpace(got.Body.String()) != want {
		t.Errorf("%s, want %s", got.Body, want)
	}
}

// fakeSources are Jenkins and the object store in memory.
type fakeSources struct {
	mu    sync.Mutex
	text  string
	more  bool
	err   error
	build pipelinerun.Build
	files map[string]string
	// steps are the logs of steps, by node/step.
	steps map[string]string
	// asked are the questions.
	asked []pipelinerun.LogRequest
}

func (f *fakeSources) Log(_ context.Context, want pipelinerun.LogRequest) (pipelinerun.LogPart, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.build = want.Build
	f.asked = append(f.asked, want)
	if f.err != nil {
		return pipelinerun.LogPart{}, f.err
	}
	text, start := f.text, want.Start
	if want.Step != "" {
		var ok bool
		if text, ok = f.steps[want.Node+"/"+want.Step]; !ok {
			return pipelinerun.LogPart{}, jenkins.ErrNotFound
		}
	}
	if want.Last > 0 {
		start = max(0, int64(len(text))-want.Last<<10)
	}
	return pipelinerun.LogPart{Text: io.NopCloser(strings.NewReader(text[min(start, int64(len(text))):])), Next: int64(len(text)), More: f.more}, nil
}

func (f *fakeSources) set(text string, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text, f.more = text, more
}

func (f *fakeSources) ListArtifacts(context.Context, pipelinerun.Build) ([]pipelinerun.File, error) {
	return []pipelinerun.File{{Path: "live/a.txt", Size: 4}}, nil
}

func (f *fakeSources) OpenArtifact(_ context.Context, _ pipelinerun.Build, path string) (pipelinerun.Content, error) {
	if path != "live/a.txt" {
		return pipelinerun.Content{}, jenkins.ErrNotFound
	}
	return pipelinerun.Content{ReadCloser: io.NopCloser(strings.NewReader("live")), Size: -1}, nil
}

func (f *fakeSources) List(_ context.Context, prefix string) ([]pipelinerun.File, error) {
	var files []pipelinerun.File
	for key, content := range f.files {
		if path, ok := strings.CutPrefix(key, prefix); ok {
			files = append(files, pipelinerun.File{Path: path, Size: int64(len(content))})
		}
	}
	return files, nil
}

func (f *fakeSources) Open(_ context.Context, key string, offset int64) (pipelinerun.Content, error) {
	content, ok := f.files[key]
	if !ok {
		return pipelinerun.Content{}, objectstore.ErrNotFound
	}
	return pipelinerun.Content{ReadCloser: io.NopCloser(strings.NewReader(content[min(int(offset), len(content)):])), Size: int64(len(content))}, nil
}

func withSources(f *fakeSources) func(*Config) {
	return func(c *Config) { c.Sources = pipelinerun.Sources{Logs: f, Artifacts: f, Archive: f} }
}

func TestLog(t *testing.T) {
	stored := map[string]string{"runs/ann-demo/r-u1/log.txt": "stored log"}
	cases := map[string]struct {
		reason             string
		run                func(*devopsv1alpha3.PipelineRun)
		source             *fakeSources
		query              string
		wantCode           int
		wantBody           string
		wantSize, wantMore string
	}{
		"live":           {reason: "what there is, and that there will be more", source: &fakeSources{text: "hello", more: true}, wantCode: 200, wantBody: "hello", wantSize: "5", wantMore: "true"},
		"live from":      {reason: "from the offset", source: &fakeSources{text: "hello", more: true}, query: "?start=2", wantCode: 200, wantBody: "llo", wantSize: "5", wantMore: "true"},
		"end":            {reason: "no more is no header, which consoles only look for", run: endedRun, source: &fakeSources{text: "hello"}, wantCode: 200, wantBody: "hello", wantSize: "5"},
		"queued":         {reason: "without a build there will be a log", run: func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }, source: &fakeSources{}, wantCode: 200, wantSize: "0", wantMore: "true"},
		"never built":    {reason: "it was stopped in the queue", run: func(run *devopsv1alpha3.PipelineRun) { endedRun(run); run.Annotations = nil }, source: &fakeSources{}, wantCode: 200, wantSize: "0"},
		"starting":       {reason: "Jenkins has the number before the log", source: &fakeSources{err: jenkins.ErrNotFound}, wantCode: 200, wantSize: "0", wantMore: "true"},
		"discarded":      {reason: "the user learns what happened", run: endedRun, source: &fakeSources{err: jenkins.ErrNotFound}, wantCode: 404, wantBody: "has discarded the build"},
		"jenkins down":   {reason: "it may come back", source: &fakeSources{err: jenkins.ErrUnavailable}, wantCode: 503, wantBody: "Jenkins cannot be reached"},
		"stored":         {reason: "the copy outlives Jenkins", run: storedRun, source: &fakeSources{err: jenkins.ErrNotFound, files: stored}, wantCode: 200, wantBody: "stored log", wantSize: "10"},
		"stored from":    {reason: "who began with Jenkins goes on there", run: storedRun, source: &fakeSources{text: "log with marks", files: stored}, query: "?start=4", wantCode: 200, wantBody: "with marks", wantSize: "14"},
		"stored, down":   {reason: "else with the copy", run: storedRun, source: &fakeSources{err: jenkins.ErrUnavailable, files: stored}, query: "?start=7", wantCode: 200, wantBody: "log", wantSize: "10"},
		"stored, beyond": {reason: "there is nothing behind the end", run: storedRun, source: &fakeSources{err: jenkins.ErrNotFound, files: stored}, query: "?start=99", wantCode: 200, wantSize: "99"},
		"copy is lost":   {reason: "Jenkins may still have it", run: storedRun, source: &fakeSources{text: "hello"}, wantCode: 200, wantBody: "hello", wantSize: "5"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, withSources(tc.source), sampleRun("r", tc.run))
			// The console adds a slash, and takes JSON.
			answer := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/r/log/" + tc.query, header: map[string]string{"Accept": "application/json"}})
			if answer.Code != tc.wantCode || !strings.Contains(answer.Body.String(), tc.wantBody) {
				t.Fatalf("%s: %d %q, want %d %q", tc.reason, answer.Code, answer.Body, tc.wantCode, tc.wantBody)
			}
			if tc.wantCode == 200 && answer.Body.String() != tc.wantBody {
				t.Errorf("%s: %q, want %q", tc.reason, answer.Body, tc.wantBody)
			}
			if got := answer.Header().Get("X-Text-Size"); got != tc.wantSize {
				t.Errorf("%s: X-Text-Size %q, want %q", tc.reason, got, tc.wantSize)
			}
			if got := answer.Header().Get("X-More-Data"); got != tc.wantMore {
				t.Errorf("%s: X-More-Data %q, want %q", tc.reason, got, tc.wantMore)
			}
			if tc.source.build.Number != 0 && tc.source.build != (pipelinerun.Build{Folder: "ann-demo", Job: "build", Number: 7}) {
				t.Errorf("%s: asked for %+v: a run must not lead out of its namespace", tc.reason, tc.source.build)
			}
		})
	}
}

// TestForeignFolder reads what Jenkins has of a run whose project was not given the folder of its name:
// the folder may be another's, and the number of the build is what a user wrote.
func TestForeignFolder(t *testing.T) {
	foreign := func(change func(*devopsv1alpha3.DevOpsProject)) *devopsv1alpha3.DevOpsProject {
		project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: "ann-demo"}}
		project.Status.AdminNamespace = "ann-demo"
		project.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionTrue}}
		change(project)
		return project
	}
	for name, project := range map[string]*devopsv1alpha3.DevOpsProject{
		"folder in conflict":        foreign(func(p *devopsv1alpha3.DevOpsProject) { p.Status.Conditions[0].Status = metav1.ConditionFalse }),
		"namespace of another":      foreign(func(p *devopsv1alpha3.DevOpsProject) { p.Status.AdminNamespace = "ann-other" }),
		"the project is not there":  foreign(func(p *devopsv1alpha3.DevOpsProject) { p.Name = "ann-third" }),
		"nothing known of a folder": foreign(func(p *devopsv1alpha3.DevOpsProject) { p.Status.Conditions = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			source := &fakeSources{text: "secret"}
			w := newWorld(t, withSources(source), sampleRun("r", nil), project)
			if name == "the project is not there" {
				if err := w.kube.Delete(context.Background(), &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: "ann-demo"}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, path := range []string{"log", "artifacts", "artifacts/download?filename=live/a.txt"} {
				answer := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/r/" + path})
				download := strings.HasPrefix(path, "artifacts/download")
				if strings.Contains(answer.Body.String(), "secret") || !download && strings.Contains(answer.Body.String(), "a.txt") || download && answer.Code == 200 || source.build.Number != 0 {
					t.Errorf("%s: %d %s, Jenkins was asked for %+v", path, answer.Code, answer.Body, source.build)
				}
			}
		})
	}
}

func TestFollowLog(t *testing.T) {
	source := &fakeSources{text: "one\n", more: true}
	w := newWorld(t, withSources(source), sampleRun("r", nil))
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+devops+"/namespaces/ann-demo/pipelineruns/r/log?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	first := make([]byte, 4)
	if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "one\n" {
		t.Fatalf("first part %q, %v: it must come before the end", first, err)
	}
	source.set("one\ntwo\n", true)
	second := make([]byte, 4)
	if _, err := io.ReadFull(answer.Body, second); err != nil || string(second) != "two\n" {
		t.Fatalf("second part %q, %v", second, err)
	}
	source.set("one\ntwo\nend\n", false)
	rest, err := io.ReadAll(answer.Body)
	if err != nil || string(rest) != "end\n" {
		t.Errorf("rest %q, %v, want the end and nothing twice", rest, err)
	}
}

func TestFollowedLogIsCutWhenJenkinsFails(t *testing.T) {
	source := &fakeSources{text: "one\n", more: true}
	w := newWorld(t, withSources(source), sampleRun("r", nil))
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+devops+"/namespaces/ann-demo/pipelineruns/r/log?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	source.mu.Lock()
	source.err = jenkins.ErrInternal
	source.mu.Unlock()
	if rest, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("%q and a clean end: the client takes a part for the whole", rest)
	}
}

func TestArtifacts(t *testing.T) {
	prefix := "runs/ann-demo/stored-u1/artifacts/"
	source := &fakeSources{files: map[string]string{prefix + "dir/ünï \"x\".txt": "stored", prefix + "page.html": "<script>", "runs/ann-demo/stored-u1/log.txt": "log"}}
	w := newWorld(t, withSources(source), sampleRun("stored", storedRun), sampleRun("live", nil),
		sampleRun("queued", func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }))
	runs := devops + "/namespaces/ann-demo/pipelineruns/"

	for name, want := range map[string]int{"stored": 2, "live": 1, "queued": 0} {
		list := decode[response.List[pipelinerun.Artifact]](t, w.do(call{user: "ann", path: runs + name + "/artifacts"}))
		if list.TotalItems != want || len(list.Items) != want {
			t.Errorf("artifacts of %s: %+v, want %d", name, list, want)
		}
		for _, item := range list.Items {
			if got := w.do(call{user: "ann", path: item.URL}); got.Code != 200 || got.Body.Len() != int(item.Size) {
				t.Errorf("%s: %d with %d bytes, want %d", item.URL, got.Code, got.Body.Len(), item.Size)
			}
		}
	}
	page := w.do(call{user: "ann", path: runs + "stored/artifacts/download?filename=page.html"})
	if page.Header().Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(page.Header().Get("Content-Disposition"), "attachment") {
		t.Errorf("a page is served as %v: a build could speak for this server", page.Header())
	}
	odd := w.do(call{user: "ann", path: runs + "stored/artifacts/download?filename=dir%2F%C3%BCn%C3%AF%20%22x%22.txt"})
	if got, want := odd.Header().Get("Content-Disposition"), "attachment; filename*=utf-8''%C3%BCn%C3%AF%20%22x%22.txt"; got != want {
		t.Errorf("Content-Disposition %q, want %q", got, want)
	}
	for filename, want := range map[string]int{
		"../log.txt": 400, "/etc/passwd": 400, "dir//x": 400, "dir/../page.html": 400, `dir\x`: 400, ".": 400, "a%00b": 400, "a%0ab": 400,
		strings.Repeat("a", 1000): 400, "none.txt": 404, "log.txt": 404,
	} {
		path := runs + "stored/artifacts/download?filename=" + strings.ReplaceAll(filename, `\`, "%5C")
		if got := w.do(call{user: "ann", path: path}); got.Code != want {
			t.Errorf("filename %.40q: %d %s, want %d", filename, got.Code, got.Body, want)
		}
	}
	if got := w.do(call{user: "ann", path: runs + "queued/artifacts/download?filename=a.txt"}); got.Code != 404 {
		t.Errorf("artifact of a run without a build: %d, want 404", got.Code)
	}
}

func TestWatch(t *testing.T) {
	w := newWorld(t, nil, samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline"}))
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+devops+"/namespaces/ann-demo/pipelines?watch=true&type=pipeline", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != 200 {
		t.Fatalf("watch: %d", answer.StatusCode)
	}
	for name, kind := range map[string]devopsv1alpha3.PipelineType{"hidden": "multi-branch-pipeline", "shown": "pipeline"} {
		if err := w.kube.Create(context.Background(), samplePipeline("ann-demo", name, devopsv1alpha3.PipelineSpec{Type: kind})); err != nil {
			t.Fatal(err)
		}
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		buffer := make([]byte, 64<<10)
		n, _ := answer.Body.Read(buffer)
		lines <- string(buffer[:n])
	}()
	select {
	case line := <-lines:
		if !strings.Contains(line, `"type":"ADDED"`) || !strings.Contains(line, `"name":"shown"`) || !strings.Contains(line, `"kind":"Pipeline"`) || strings.Contains(line, "hidden") {
			t.Errorf("event %s", line)
		}
		if !bytes.HasSuffix([]byte(line), []byte("\n")) {
			t.Errorf("event %q is no line", line)
		}
	case <-time.After(time.Minute):
		t.Fatal("no event")
	}
}
