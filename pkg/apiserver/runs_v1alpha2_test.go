// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
)

const older = "/kapis/devops.kubesphere.io/v1alpha2"

// numbered is a run of ann-demo/build with a build, of a branch unless that is empty.
func numbered(name string, number int, branch string, change func(*devopsv1alpha3.PipelineRun)) *devopsv1alpha3.PipelineRun {
	return sampleRun(name, func(run *devopsv1alpha3.PipelineRun) {
		run.UID = types.UID("u-" + name)
		run.CreationTimestamp = metav1.NewTime(time.Unix(int64(1_700_000_000+number), 0))
		run.Annotations = map[string]string{}
		if number > 0 {
			run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] = fmt.Sprint(number)
			run.Annotations[devopsv1alpha3.JenkinsPipelineRunStatusAnnotation] = fmt.Sprintf(`{"id":"%d","pipeline":"build","state":"RUNNING","estimatedDurationInMillis":12345678901}`, number)
		}
		if branch != "" {
			run.Spec.SCM = &devopsv1alpha3.SCM{RefType: devopsv1alpha3.Branch, RefName: branch}
		}
		if change != nil {
			change(run)
		}
	})
}

func buildPipeline() *devopsv1alpha3.Pipeline {
	return samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: declarative}})
}

func branchedPipeline() *devopsv1alpha3.Pipeline {
	return samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "multi-branch-pipeline", MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{Name: "build", SourceType: "git"}})
}

func TestOldRunsList(t *testing.T) {
	objects := []client.Object{branchedPipeline(), numbered("waiting", 0, "main", func(run *devopsv1alpha3.PipelineRun) {
		run.Annotations[devopsv1alpha3.QueueItemAnnotation] = "99"
		run.Status.Phase = devopsv1alpha3.Pending
		run.Status.Conditions = []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Reason: "Queued", Message: "no executor"}}
	}), numbered("refused", 0, "main", endedRun)}
	for i := 1; i <= 12; i++ {
		objects = append(objects, numbered(fmt.Sprintf("r%d", i), i, "main", nil))
	}
	objects = append(objects, numbered("feature", 3, "feat%2Fx", nil))
	other := numbered("other", 1, "", nil)
	other.Spec.PipelineRef.Name = "another"
	objects = append(objects, other)
	cases := map[string]struct {
		reason string
		query  string
		code   int
		ids    string
		total  int
	}{
		"all":         {"the newest first, by number and not by text; what has no build yet is on top, what never got one is not there", "?branch=main", 200, " 12 11 10 9 8 7 6 5 4 3 2 1", 13},
		"branches":    {"those of all branches", "?start=1", 200, "12 11 10 9 8 7 6 5 4 3 3 2 1", 14},
		"raw branch":  {"as git calls it", "?branch=feat/x", 200, "3", 1},
		"job":         {"as Jenkins calls it", "?branch=feat%252Fx", 200, "3", 1},
		"page":        {"", "?branch=main&start=2&limit=3", 200, "11 10 9", 13},
		"last page":   {"", "?branch=main&start=11&limit=10", 200, "2 1", 13},
		"end":         {"nothing is there, and not everything", "?branch=main&start=13&limit=10", 200, "", 13},
		"beyond":      {"", "?branch=main&start=1000&limit=10", 200, "", 13},
		"overflow":    {"", "?branch=main&start=2&limit=9223372036854775807", 200, "11 10 9 8 7 6 5 4 3 2 1", 13},
		"no limit":    {"", "?branch=main&start=1&limit=-1", 200, "12 11 10 9 8 7 6 5 4 3 2 1", 13},
		"none":        {"", "?branch=nope", 200, "", 0},
		"bad start":   {"", "?start=-1", 400, "", 0},
		"bad limit":   {"", "?limit=ten", 400, "", 0},
		"no pipeline": {"", "-", 404, "", 0},
	}
	w := newWorld(t, nil, objects...)
	for name, tc := range cases {
		for _, family := range []string{"namespaces", "devops"} {
			t.Run(name+" "+family, func(t *testing.T) {
				path := older + "/" + family + "/ann-demo/pipelines/build/runs" + tc.query
				if tc.query == "-" {
					path = older + "/" + family + "/ann-demo/pipelines/none/runs"
				}
				got := w.do(call{user: "ann", path: path})
				if got.Code != tc.code {
					t.Fatalf("%s: %d %s", tc.reason, got.Code, got.Body)
				}
				if tc.code != 200 {
					return
				}
				list := decode[response.List[map[string]any]](t, got)
				ids := make([]string, 0, len(list.Items))
				for _, item := range list.Items {
					id, _ := item["id"].(string)
					ids = append(ids, id)
				}
				if diff := cmp.Diff(tc.ids, strings.Join(ids, " ")); diff != "" || list.TotalItems != tc.total || !strings.Contains(got.Body.String(), `"items":[`) {
					t.Errorf("%s: total %d, want %d, -want +got:\n%s", tc.reason, list.TotalItems, tc.total, diff)
				}
			})
		}
	}
	got := w.do(call{user: "ann", path: older + "/namespaces/ann-demo/pipelines/build/runs?branch=main&limit=2"})
	for _, part := range []string{`"state":"QUEUED"`, `"queueId":"99"`, `"causeOfBlockage":"Queued: no executor"`, `"estimatedDurationInMillis":12345678901`, `"pipelineRun":"r12"`} {
		if !strings.Contains(got.Body.String(), part) {
			t.Errorf("%s lacks %s", got.Body, part)
		}
	}
}

func TestOldRun(t *testing.T) {
	older1 := numbered("first", 7, "", nil)
	newer := numbered("second", 7, "", func(run *devopsv1alpha3.PipelineRun) { run.CreationTimestamp = metav1.Now() })
	lost := numbered("lost", 8, "", func(run *devopsv1alpha3.PipelineRun) {
		run.Status.Phase = devopsv1alpha3.Failed
		run.Status.CompletionTime = &metav1.Time{Time: time.Unix(1_700_000_500, 0)}
	})
	bare := numbered("bare", 9, "", func(run *devopsv1alpha3.PipelineRun) {
		delete(run.Annotations, devopsv1alpha3.JenkinsPipelineRunStatusAnnotation)
	})
	w := newWorld(t, nil, older1, newer, lost, bare, numbered("feature", 3, "feat%2Fx", nil))
	runs := older + "/namespaces/ann-demo/pipelines/build/runs/"
	for name, tc := range map[string]struct {
		reason string
		path   string
		code   int
		want   []string
	}{
		"newest":      {"a job that was made again counts from one", runs + "7", 200, []string{`"id":"7"`, `"pipelineRun":"second"`}},
		"slash":       {"the console adds one", runs + "7/", 200, []string{`"id":"7"`}},
		"lost":        {"Jenkins lost it while it ran; it does not run", runs + "8", 200, []string{`"state":"FINISHED"`, `"result":"FAILURE"`, `"endTime":"2023-11-14T22:21:40Z"`}},
		"no JSON yet": {"", runs + "9", 200, []string{`"id":"9"`, `"pipeline":"build"`}},
		"branch":      {"once encoded", older + "/namespaces/ann-demo/pipelines/build/branches/feat%2Fx/runs/3", 200, []string{`"pipelineRun":"feature"`}},
		"branch, v3":  {"as the console has it", older + "/devops/ann-demo/pipelines/build/branches/feat%252Fx/runs/3/", 200, []string{`"pipelineRun":"feature"`}},
		"alias":       {"", "/v1alpha2/namespaces/ann-demo/pipelines/build/runs/7", 200, []string{`"id":"7"`}},
		"no branch":   {"numbers count within a branch", runs + "3", 404, []string{"has no run 3"}},
		"none":        {"", runs + "99", 404, []string{"has no run 99"}},
		"text":        {"", runs + "x", 400, []string{"number of its build"}},
		"zero":        {"", runs + "0", 400, []string{"number of its build"}},
		"negative":    {"", runs + "-1", 400, []string{"number of its build"}},
		"huge":        {"", runs + strings.Repeat("9", 40), 400, []string{"number of its build"}},
		"separator":   {"it is no other run's key", runs + "7%237", 400, []string{"number of its build"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(call{user: "ann", path: tc.path})
			if got.Code != tc.code {
				t.Fatalf("%s: %d %s", tc.reason, got.Code, got.Body)
			}
			for _, part := range tc.want {
				if !strings.Contains(got.Body.String(), part) {
					t.Errorf("%s: %s lacks %s", tc.reason, got.Body, part)
				}
			}
		})
	}
	if got := w.do(call{user: "bob", path: runs + "7"}); got.Code != 403 {
		t.Errorf("another tenant: %d", got.Code)
	}
}

// controlled gives clients of a cluster whose controller gives a new run what change says.
type controlled struct {
	kapis.Clients
	change func(*devopsv1alpha3.PipelineRun)
}

func (c controlled) ClientFor(u user.Info) (client.WithWatch, error) {
	own, err := c.Clients.ClientFor(u)
	if err != nil {
		return nil, err
	}
	return interceptor.NewClient(own, interceptor.Funcs{
		Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if err := kube.Create(ctx, obj, opts...); err != nil {
				return err
			}
			run := obj.DeepCopyObject().(*devopsv1alpha3.PipelineRun)
			c.change(run)
			return kube.Update(ctx, run)
		},
	}), nil
}

// Start and replay: the answer has the number of the build.
func TestOldStart(t *testing.T) {
	started := func(run *devopsv1alpha3.PipelineRun) {
		if run.Annotations == nil {
			run.Annotations = map[string]string{}
		}
		run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] = "8"
	}
	refusedRun := func(run *devopsv1alpha3.PipelineRun) {
		run.Status.Phase = devopsv1alpha3.Failed
		run.Status.Conditions = []devopsv1alpha3.Condition{{Type: devopsv1alpha3.ConditionSucceeded, Reason: "PipelineMissing", Message: "it is gone"}}
	}
	runs := older + "/namespaces/ann-demo/pipelines/build/runs"
	cases := map[string]struct {
		reason   string
		pipeline *devopsv1alpha3.Pipeline
		control  func(*devopsv1alpha3.PipelineRun)
		call     call
		code     int
		want     []string
		created  int
	}{
		"start":        {"", buildPipeline(), started, call{user: "ann", path: runs, body: `{"parameters":[{"name":"TARGET","value":"prod"}]}`}, 200, []string{`"id":"8"`, `"state":"QUEUED"`}, 1},
		"no body":      {"defaults", buildPipeline(), started, call{user: "ann", path: runs + "/"}, 200, []string{`"id":"8"`}, 1},
		"devops":       {"", buildPipeline(), started, call{user: "ann", path: strings.Replace(runs, "namespaces", "devops", 1)}, 200, []string{`"id":"8"`}, 1},
		"branch":       {"", branchedPipeline(), started, call{user: "ann", path: older + "/namespaces/ann-demo/pipelines/build/branches/feat%252Fx/runs", body: `{"parameters":[]}`}, 200, []string{`"id":"8"`, `"pipeline":"feat%2Fx"`}, 1},
		"which branch": {"", branchedPipeline(), started, call{user: "ann", path: runs}, 400, []string{"name one"}, 0},
		"unknown":      {"Jenkins would drop it", buildPipeline(), started, call{user: "ann", path: runs, body: `{"parameters":[{"name":"NOPE","value":"1"}]}`}, 400, []string{"does not define"}, 0},
		"no pipeline":  {"", buildPipeline(), started, call{user: "ann", path: older + "/namespaces/ann-demo/pipelines/none/runs"}, 404, nil, 0},
		"other tenant": {"", buildPipeline(), started, call{user: "bob", path: runs}, 403, nil, 0},
		"not started":  {"why is said", buildPipeline(), refusedRun, call{user: "ann", path: runs}, 409, []string{"PipelineMissing: it is gone"}, 1},
		"replay":       {"", buildPipeline(), started, call{user: "ann", path: runs + "/7/replay"}, 200, []string{`"id":"8"`}, 1},
		"replay none":  {"", buildPipeline(), started, call{user: "ann", path: runs + "/99/replay"}, 404, []string{"has no run 99"}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Clients = controlled{c.Clients, tc.control} }, tc.pipeline, numbered("old", 7, "", endedRun))
			tc.call.method = http.MethodPost
			got := w.do(tc.call)
			if got.Code != tc.code {
				t.Fatalf("%s: %d %s, want %d", tc.reason, got.Code, got.Body, tc.code)
			}
			for _, part := range tc.want {
				if !strings.Contains(got.Body.String(), part) {
					t.Errorf("%s: %s lacks %s", tc.reason, got.Body, part)
				}
			}
			list := &devopsv1alpha3.PipelineRunList{}
			if err := w.kube.List(t.Context(), list); err != nil || len(list.Items) != 1+tc.created {
				t.Errorf("%s: %d runs, %v, want %d more", tc.reason, len(list.Items)-1, err, tc.created)
			}
		})
	}
}

func TestOldStop(t *testing.T) {
	w := newWorld(t, nil, numbered("live", 7, "", nil), numbered("done", 6, "", endedRun), numbered("feature", 3, "feat%2Fx", nil))
	runs := older + "/namespaces/ann-demo/pipelines/build/runs/"
	for name, tc := range map[string]struct {
		path string
		code int
		want string
		stop string
	}{
		"live":     {runs + "7/stop", 200, `"id":"7"`, "live"},
		"ended":    {runs + "6/stop?blocking=true&timeOutInSecs=10", 200, `"id":"6"`, ""},
		"branch":   {older + "/devops/ann-demo/pipelines/build/branches/feat%252Fx/runs/3/stop/?blocking=false", 200, `"id":"3"`, "feature"},
		"blocking": {runs + "7/stop?blocking=true&timeOutInSecs=0", 200, `"id":"7"`, "live"},
		"bad time": {runs + "7/stop?blocking=true&timeOutInSecs=soon", 400, "timeOutInSecs", ""},
		"bad flag": {runs + "7/stop?blocking=maybe", 400, "blocking", ""},
		"none":     {runs + "99/stop", 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(call{method: "POST", user: "ann", path: tc.path})
			if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.want) {
				t.Fatalf("%d %s, want %d %s", got.Code, got.Body, tc.code, tc.want)
			}
			if tc.stop == "" {
				return
			}
			run := &devopsv1alpha3.PipelineRun{}
			if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: tc.stop}, run); err != nil || run.Spec.Action == nil || *run.Spec.Action != devopsv1alpha3.Stop {
				t.Errorf("%v, action %v", err, run.Spec.Action)
			}
		})
	}
	// A stop that waits answers with the end.
	ends := newWorld(t, nil, numbered("live", 7, "", nil))
	go func() {
		time.Sleep(200 * time.Millisecond)
		run := &devopsv1alpha3.PipelineRun{}
		if err := ends.kube.Get(context.Background(), client.ObjectKey{Namespace: "ann-demo", Name: "live"}, run); err == nil {
			run.Status.Phase = devopsv1alpha3.Cancelled
			_ = ends.kube.Update(context.Background(), run)
		}
	}()
	got := ends.do(call{method: "POST", user: "ann", path: runs + "7/stop?blocking=true&timeOutInSecs=20"})
	if got.Code != 200 || !strings.Contains(got.Body.String(), `"result":"ABORTED"`) {
		t.Errorf("%d %s, want the run as it ended", got.Code, got.Body)
	}
}

func TestOldStages(t *testing.T) {
	many := make([]jenkins.Stage, 0, 400)
	for i := range 400 {
		many = append(many, jenkins.Stage{ID: fmt.Sprint(i + 10), DisplayName: "s", Type: "STAGE", State: jenkins.StateFinished, Steps: []jenkins.Step{{ID: fmt.Sprint(i + 1000)}}})
	}
	many[0].State = jenkins.StatePaused
	many[0].Steps = []jenkins.Step{
		{ID: "5", State: jenkins.StatePaused, Input: &jenkins.Input{ID: "Free"}}, {ID: "6", State: jenkins.StatePaused, Input: &jenkins.Input{ID: "Lead", Submitter: "lead"}}, {ID: "7"},
	}
	w := newWorld(t, func(c *Config) { c.Sources.Stages, c.Clients = &fakeStages{stages: many}, asUser{c.Clients} },
		numbered("live", 7, "", nil), numbered("feature", 3, "feat%2Fx", nil), numbered("done", 6, "", endedRun), stagesOf("done", `[{"id":"1","displayName":"kept","steps":[{"id":"2"}]}]`))
	for _, run := range []string{"/runs/7", "/branches/feat%252Fx/runs/3"} {
		base := older + "/namespaces/ann-demo/pipelines/build" + run
		nodes := w.do(call{user: "ann", path: base + "/nodes?limit=10000"})
		if list := decode[[]map[string]any](t, nodes); nodes.Code != 200 || len(list) != 400 || list[0]["steps"] != nil {
			t.Errorf("%d with %d nodes", nodes.Code, len(list))
		}
		detail := decode[[]map[string]any](t, w.do(call{user: "ann", path: base + "/nodesdetail"}))
		if len(detail) != 400 {
			t.Fatalf("%d nodes", len(detail))
		}
		steps := decode[[]map[string]any](t, w.do(call{user: "ann", path: base + "/nodes/10/steps/"}))
		for i, want := range []bool{true, false, false} {
			first := detail[0]["steps"].([]any)[i].(map[string]any)
			if first["aprovable"] != want || steps[i]["aprovable"] != want {
				t.Errorf("step %d: %v and %v, want %v", i, first["aprovable"], steps[i]["aprovable"], want)
			}
		}
		if got := w.do(call{user: "ann", path: base + "/nodes/9999/steps"}); got.Code != 404 {
			t.Errorf("steps of no node: %d", got.Code)
		}
		if got := w.do(call{user: "bob", path: base + "/nodesdetail"}); got.Code != 403 {
			t.Errorf("another tenant: %d", got.Code)
		}
	}
	if got := w.do(call{user: "ann", path: older + "/devops/ann-demo/pipelines/build/runs/6/nodesdetail/?limit=10000"}); !strings.Contains(got.Body.String(), `"displayName":"kept"`) || !strings.Contains(got.Body.String(), `"aprovable":false`) {
		t.Errorf("ended: %d %s", got.Code, got.Body)
	}
}

// TestOldStagesWhenStepsFail: the calls for steps fail one by one in Jenkins; nobody waits for ever.
func TestOldStagesWhenStepsFail(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/nodes/") {
			nodes := make([]string, 300)
			for i := range nodes {
				nodes[i] = fmt.Sprintf(`{"id":"%d","state":"RUNNING"}`, i+1)
			}
			_, _ = w.Write([]byte("[" + strings.Join(nodes, ",") + "]"))
			return
		}
		http.Error(w, `{"message":"broken","code":500}`, http.StatusInternalServerError)
	}))
	defer server.Close()
	c, err := jenkins.New(jenkins.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	w := newWorld(t, func(config *Config) { config.Sources.Stages = sources.Jenkins{Client: c} }, numbered("live", 7, "", nil), stagesOf("live", `[{"id":"1","displayName":"kept","steps":[]}]`))
	start := time.Now()
	got := w.do(call{user: "ann", path: older + "/namespaces/ann-demo/pipelines/build/runs/7/nodesdetail"})
	if got.Code != 200 || !strings.Contains(got.Body.String(), "kept") || !strings.HasPrefix(got.Header().Get("Warning"), "110 ") || time.Since(start) > 20*time.Second {
		t.Errorf("%d %s after %s, Warning %q: want what was known", got.Code, got.Body, time.Since(start), got.Header().Get("Warning"))
	}
}

func TestOldLogsAndArtifacts(t *testing.T) {
	source := &fakeSources{text: "hello\n", more: true, steps: map[string]string{"4/5": "step\n"}}
	w := newWorld(t, withSources(source), numbered("live", 7, "", nil), numbered("feature", 3, "feat%2Fx", nil))
	for run, job := range map[string]string{"/runs/7": "build", "/branches/feat%252Fx/runs/3": "build/feat%2Fx"} {
		for _, family := range []string{"namespaces", "devops"} {
			base := older + "/" + family + "/ann-demo/pipelines/build" + run
			for path, want := range map[string]string{"/log/?start=0": "hello\n", "/log?start=3": "lo\n", "/log?thresholdInKB=150": "hello\n", "/nodes/4/steps/5/log/?start=0": "step\n"} {
				got := w.do(call{user: "ann", path: base + path})
				if got.Code != 200 || got.Body.String() != want || got.Header().Get("X-More-Data") != "true" || got.Header().Get("X-Text-Size") == "" {
					t.Errorf("%s: %d %q %v", path, got.Code, got.Body, got.Header())
				}
				if source.build.Job != job {
					t.Errorf("%s: of job %q, want %q", path, source.build.Job, job)
				}
			}
			got := w.do(call{user: "ann", path: base + "/artifacts/?start=0&limit=100"})
			list := decode[[]map[string]any](t, got)
			if got.Code != 200 || len(list) != 1 || list[0]["path"] != "live/a.txt" || list[0]["name"] != "a.txt" || list[0]["downloadable"] != true ||
				!strings.Contains(fmt.Sprint(list[0]["url"]), "/pipelineruns/") {
				t.Errorf("artifacts: %d %s", got.Code, got.Body)
			}
			if got := w.do(call{user: "ann", path: base + "/artifacts?start=5"}); strings.TrimSpace(got.Body.String()) != "[]" {
				t.Errorf("behind the end: %s", got.Body)
			}
			for _, path := range []string{"/log", "/artifacts", "/nodes/4/steps/5/log"} {
				if got := w.do(call{user: "bob", path: base + path}); got.Code != 403 {
					t.Errorf("%s by another tenant: %d", path, got.Code)
				}
			}
		}
	}
	for _, path := range []string{"/log", "/artifacts", "/nodes", "/nodes/4/steps/5/log"} {
		if got := w.do(call{user: "ann", path: older + "/namespaces/ann-demo/pipelines/build/runs/99" + path}); got.Code != 404 {
			t.Errorf("%s of no run: %d, and Jenkins' 404 is no 500", path, got.Code)
		}
	}
}

func TestOldInput(t *testing.T) {
	base := older + "/namespaces/ann-demo/pipelines/build/runs/7/nodes/4/steps/"
	for name, tc := range map[string]struct {
		reason  string
		call    call
		code    int
		want    string
		answers []string
		kept    string
	}{
		"proceed":       {"", call{user: "ann", path: base + "5/", body: `{"id":"Free","parameters":[{"name":"WHERE","value":"prod"}],"comment":"looks good"}`}, 200, `{"allow":"true","message":"success"}`, []string{`4/steps/5/ {"id":"Free","parameters":[{"name":"WHERE","value":"prod"}]}`}, "ann proceed Free looks good"},
		"abort":         {"", call{user: "ann", path: base + "5", body: `{"id":"Free","abort":true}`}, 200, `"allow":"true"`, []string{`4/steps/5/ {"abort":true,"id":"Free"}`}, "ann abort Free "},
		"not named":     {"the console reads allow", call{user: "ann", path: base + "6", body: `{"id":"Lead","parameters":[]}`}, 200, `{"allow":"false","message":"the input \"Lead\" can only be answered by \"lead, team\""}`, nil, ""},
		"administrator": {"", call{user: "root", path: base + "6", body: `{"id":"Lead"}`}, 200, `"allow":"true"`, []string{`4/steps/6/ {"id":"Lead","parameters":[]}`}, "root proceed Lead "},
		"devops":        {"", call{user: "ann", path: strings.Replace(base, "namespaces", "devops", 1) + "5", body: `{"id":"Free"}`}, 200, `"allow":"true"`, []string{`4/steps/5/ {"id":"Free","parameters":[]}`}, "ann proceed Free "},
		"past":          {"", call{user: "ann", path: base + "7", body: `{"id":"Old"}`}, 404, "answered already", nil, ""},
		"other tenant":  {"", call{user: "bob", path: base + "5", body: `{"id":"Free"}`}, 403, "", nil, ""},
		"long comment":  {"", call{user: "ann", path: base + "5", body: `{"id":"Free","comment":"` + strings.Repeat("x", 2001) + `"}`}, 400, "comment is longer", nil, ""},
		"control":       {"", call{user: "ann", path: base + "5", body: `{"id":"Free","comment":"a\u0007b"}`}, 400, "control characters", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, j := inputWorld(t, numbered("live", 7, "", nil))
			tc.call.method = http.MethodPost
			got := w.do(tc.call)
			if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.want) {
				t.Errorf("%s: %d %s, want %d %s", tc.reason, got.Code, got.Body, tc.code, tc.want)
			}
			if diff := cmp.Diff(tc.answers, j.answers); diff != "" {
				t.Errorf("%s: answers in Jenkins -want +got:\n%s", tc.reason, diff)
			}
			kept := ""
			for _, a := range w.approvals("live") {
				kept += fmt.Sprintf("%s %s %s %s", a.By, a.Decision, a.ID, a.Comment)
			}
			if kept != tc.kept {
				t.Errorf("%s: kept %q, want %q", tc.reason, kept, tc.kept)
			}
		})
	}
}

// approvals reads what is kept of the answers to a run's inputs.
func (w *world) approvals(name string) []devopsv1alpha3.Approval {
	w.t.Helper()
	run := &devopsv1alpha3.PipelineRun{}
	if err := w.kube.Get(w.t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: name}, run); err != nil {
		w.t.Fatal(err)
	}
	return devopsv1alpha3.Approvals(run)
}

// refusing is a source of inputs that takes no answer.
type refusing struct {
	pipelinerun.InputSource
	err error
}

func (r refusing) SubmitInput(context.Context, pipelinerun.Build, jenkins.Answer) error { return r.err }

// TestRecordOfAnAnswer: what Jenkins did not take is not kept; what nobody knows of is marked.
func TestRecordOfAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		code int
		want string
	}{
		"answered": {jenkins.ErrInvalid, 400, ""},
		"gone":     {jenkins.ErrNotFound, 404, ""},
		"away":     {jenkins.ErrUnavailable, 503, "ann unconfirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &inputJenkins{}
			server := httptest.NewServer(j)
			defer server.Close()
			c, err := jenkins.New(jenkins.Config{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseIdleConnections()
			w := newWorld(t, func(config *Config) {
				config.Clients = asUser{config.Clients}
				config.Sources.Inputs = refusing{sources.Jenkins{Client: c}, tc.err}
			}, numbered("live", 7, "", func(run *devopsv1alpha3.PipelineRun) {
				// Somebody else has answered another input.
				if err := devopsv1alpha3.PutApproval(run, devopsv1alpha3.Approval{Node: "1", Step: "2", ID: "X", By: "bob", Decision: devopsv1alpha3.Proceeded}); err != nil {
					t.Fatal(err)
				}
			}))
			got := w.do(call{method: "POST", user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live/nodes/4/steps/5", body: `{"id":"Free","comment":"x"}`})
			kept := ""
			for _, a := range w.approvals("live")[1:] {
				kept += a.By
				if a.Unconfirmed {
					kept += " unconfirmed"
				}
			}
			if got.Code != tc.code || kept != tc.want {
				t.Errorf("%d %s, kept %q, want %d, %q", got.Code, got.Body, kept, tc.code, tc.want)
			}
		})
	}
}

// TestAnswerIsKeptFirst: without a record there is no answer.
func TestAnswerIsKeptFirst(t *testing.T) {
	j := &inputJenkins{}
	server := httptest.NewServer(j)
	defer server.Close()
	c, err := jenkins.New(jenkins.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	var last string
	full := newWorld(t, func(config *Config) {
		broken := interceptor.NewClient(config.Client.(client.WithWatch), interceptor.Funcs{
			Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
				return errors.New("etcd is full")
			},
		})
		config.Clients = asUser{actAs{broken, &last}}
		config.Sources.Inputs = sources.Jenkins{Client: c}
	}, numbered("live", 7, "", nil))
	got := full.do(call{method: "POST", user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live/nodes/4/steps/5", body: `{"id":"Free"}`})
	if got.Code != 500 || len(j.answers) != 0 {
		t.Errorf("%d, answers %v", got.Code, j.answers)
	}
}

// TestShownApprovals: who answered, and until when an input waits, is shown with stages and inputs.
func TestShownApprovals(t *testing.T) {
	since := time.Unix(1_700_000_000, 0).UTC()
	stages := []jenkins.Stage{{ID: "4", State: jenkins.StatePaused, Steps: []jenkins.Step{
		{ID: "5", State: jenkins.StatePaused, StartTime: jenkins.Time{Time: since}, Input: &jenkins.Input{ID: "Free"}}, {ID: "7", State: jenkins.StateFinished}}}}
	pipeline := buildPipeline()
	pipeline.Annotations = map[string]string{devopsv1alpha3.InputDeadlineAnnotation: "24h"}
	run := numbered("live", 7, "", func(run *devopsv1alpha3.PipelineRun) {
		if err := devopsv1alpha3.PutApproval(run, devopsv1alpha3.Approval{Node: "4", Step: "7", ID: "Old", By: "bob", At: metav1.NewMicroTime(since), Decision: devopsv1alpha3.Proceeded, Comment: "fine"}); err != nil {
			t.Fatal(err)
		}
	})
	w := newWorld(t, func(c *Config) {
		c.Sources.Stages, c.Sources.Inputs, c.Clients = &fakeStages{stages: stages}, heldInputs(stages), asUser{c.Clients}
	}, pipeline, run)
	details := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live/nodedetails"})
	for _, part := range []string{`"deadline":"2023-11-15T22:13:20Z"`, `"answer":{"node":"4","step":"7","id":"Old","by":"bob","at":"2023-11-14T22:13:20.000000Z","decision":"proceed","comment":"fine"}`, `"approvable":true`} {
		if !strings.Contains(details.Body.String(), part) {
			t.Errorf("%s lacks %s", details.Body, part)
		}
	}
	inputs := w.do(call{user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/live/inputs"})
	for _, part := range []string{`"deadline":"2023-11-15T22:13:20Z"`, `"answered":[{"node":"4"`, `"totalItems":1`} {
		if !strings.Contains(inputs.Body.String(), part) {
			t.Errorf("%s lacks %s", inputs.Body, part)
		}
	}
	if !json.Valid(inputs.Body.Bytes()) {
		t.Error(inputs.Body)
	}
}

// heldInputs are the stages of a build that waits.
type heldInputs []jenkins.Stage

func (h heldInputs) InputStages(context.Context, pipelinerun.Build) ([]jenkins.Stage, error) {
	return h, nil
}
func (h heldInputs) SubmitInput(context.Context, pipelinerun.Build, jenkins.Answer) error { return nil }
