// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/kapis"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// inputJenkins is a Jenkins with a build 7 of ann-demo/build that waits at two inputs: one that anybody may
// answer and one for the lead and the team. It answers as recording 07.
type inputJenkins struct {
	answers []string
	// asked are the questions.
	asked atomic.Int32
}

const inputBase = "/blue/rest/organizations/jenkins/pipelines/ann-demo/pipelines/build/runs/7/nodes/"

func (j *inputJenkins) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		j.asked.Add(1)
	}
	switch {
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, inputBase):
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		j.answers = append(j.answers, strings.TrimPrefix(r.URL.Path, inputBase)+" "+string(body))
	case r.URL.Path == inputBase:
		_, _ = w.Write([]byte(`[{"id":"4","displayName":"gate","state":"PAUSED"},{"id":"9","displayName":"done","state":"FINISHED"}]`))
	case r.URL.Path == inputBase+"4/steps/":
		_, _ = w.Write([]byte(`[
			{"id":"5","state":"PAUSED","input":{"id":"Free","message":"go on?","ok":"Proceed","parameters":[
				{"name":"WHERE","type":"ChoiceParameterDefinition","choices":["dev","prod"]},{"name":"DRY","type":"BooleanParameterDefinition"}]}},
			{"id":"6","state":"PAUSED","input":{"id":"Lead","message":"release?","submitter":"lead, team"}},
			{"id":"7","state":"FINISHED","input":{"id":"Old","message":"past"}}]`))
	case r.URL.Path == inputBase+"9/steps/":
		_, _ = w.Write([]byte(`[]`))
	default:
		http.NotFound(w, r)
	}
}

// asUser is the cluster as one user sees it: root administers the project.
type asUser struct{ kapis.Clients }

func (c asUser) ClientFor(u user.Info) (client.WithWatch, error) {
	own, err := c.Clients.ClientFor(u)
	if err != nil {
		return nil, err
	}
	return interceptor.NewClient(own, interceptor.Funcs{
		Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
			if !ok {
				return kube.Create(ctx, obj, opts...)
			}
			a := review.Spec.ResourceAttributes
			switch {
			case a.Verb == "update" && a.Resource == "devopsprojects" && a.Name == "ann-demo":
				review.Status.Allowed = u.GetName() == "root"
			case a.Verb == "update" && a.Resource == "pipelineruns" && a.Namespace == "ann-demo" && a.Name != "":
				review.Status.Allowed = u.GetName() != "guest"
			default:
				return errors.New("another right was asked for")
			}
			return nil
		},
	}), nil
}

func inputWorld(t *testing.T, objects ...client.Object) (*world, *inputJenkins) {
	t.Helper()
	j := &inputJenkins{}
	server := httptest.NewServer(j)
	t.Cleanup(server.Close)
	c, err := jenkins.New(jenkins.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	sealer, err := sealing.New([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(config *Config) {
		config.Clients = asUser{config.Clients}
		config.Sources.Inputs, config.Sources.Sealer = sources.Jenkins{Client: c}, sealer
	}, objects...)
	return w, j
}

func TestInputs(t *testing.T) {
	waits := func(run *devopsv1alpha3.PipelineRun) { run.Status.Phase = devopsv1alpha3.Pending }
	runs := devops + "/namespaces/ann-demo/pipelineruns/"
	step := runs + "live/nodes/4/steps/"
	cases := map[string]struct {
		reason   string
		call     call
		wantCode int
		wantBody string
		answers  []string
	}{
		"free":            {"anybody who may update the run", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"WHERE","value":"prod"},{"name":"DRY","value":true}]}`}, 200, "success", []string{`4/steps/5/ {"id":"Free","parameters":[{"name":"WHERE","value":"prod"},{"name":"DRY","value":"true"}]}`}},
		"defaults":        {"values may be left out", call{user: "ann", path: step + "5", body: `{"id":"Free"}`}, 200, "success", []string{`4/steps/5/ {"id":"Free","parameters":[]}`}},
		"spelling":        {"Jenkins capitalises the id, users do not", call{user: "ann", path: step + "5", body: `{"id":"free"}`}, 200, "success", []string{`4/steps/5/ {"id":"Free","parameters":[]}`}},
		"not named":       {"the input names others", call{user: "ann", path: step + "6", body: `{"id":"Lead"}`}, 403, "lead, team", nil},
		"refused by one":  {"to refuse is to stop", call{user: "ann", path: step + "6", body: `{"id":"Lead","abort":true}`}, 200, "success", []string{`4/steps/6/ {"abort":true,"id":"Lead"}`}},
		"administrator":   {"as in Jenkins", call{user: "root", path: step + "6", body: `{"id":"Lead"}`}, 200, "success", []string{`4/steps/6/ {"id":"Lead","parameters":[]}`}},
		"other tenant":    {"has no right here", call{user: "bob", path: step + "5", body: `{"id":"Free"}`}, 403, "", nil},
		"number":          {"Jenkins takes text", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"DRY","value":9007199254740993}]}`}, 200, "success", []string{`4/steps/5/ {"id":"Free","parameters":[{"name":"DRY","value":"9007199254740993"}]}`}},
		"fraction":        {"", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"DRY","value":-1.5}]}`}, 200, "success", []string{`4/steps/5/ {"id":"Free","parameters":[{"name":"DRY","value":"-1.5"}]}`}},
		"null as value":   {"", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"DRY","value":null}]}`}, 400, "text, a number or a boolean", nil},
		"wrong id":        {"a stale page", call{user: "ann", path: step + "5", body: `{"id":"Lead"}`}, 404, "answered already", nil},
		"past":            {"it has been answered", call{user: "ann", path: step + "7", body: `{"id":"Old"}`}, 404, "answered already", nil},
		"no such node":    {"", call{user: "ann", path: runs + "live/nodes/99/steps/5", body: `{"id":"Free"}`}, 404, "answered already", nil},
		"unknown value":   {"it would be dropped", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"NOPE","value":"1"}]}`}, 400, "does not ask for", nil},
		"twice":           {"", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"DRY","value":true},{"name":"DRY","value":false}]}`}, 400, "given twice", nil},
		"choice":          {"", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"WHERE","value":"mars"}]}`}, 400, "one of its choices", nil},
		"object as value": {"", call{user: "ann", path: step + "5", body: `{"id":"Free","parameters":[{"name":"WHERE","value":{"a":1}}]}`}, 400, "text, a number or a boolean", nil},
		"unknown field":   {"a typo must not be a default", call{user: "ann", path: step + "5", body: `{"id":"Free","abrot":true}`}, 400, "abrot", nil},
		"huge":            {"", call{user: "ann", path: step + "5", body: `{"id":"` + strings.Repeat("x", 2<<20) + `"}`}, 413, "", nil},
		"ended":           {"", call{user: "ann", path: runs + "ended/nodes/4/steps/5", body: `{"id":"Free"}`}, 404, "answered already", nil},
		"resume":          {"one of two is for others", call{user: "ann", path: runs + "live/resume"}, 403, "lead, team", nil},
		"resume by admin": {"all are answered", call{user: "root", path: runs + "live/resume"}, 200, "", []string{`4/steps/5/ {"id":"Free","parameters":[]}`, `4/steps/6/ {"id":"Lead","parameters":[]}`}},
		"pause":           {"Jenkins cannot", call{user: "ann", path: runs + "live/pause"}, 409, "cannot hold a build", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w, j := inputWorld(t, sampleRun("live", waits), sampleRun("ended", endedRun))
			tc.call.method = "POST"
			got := w.do(tc.call)
			if got.Code != tc.wantCode || !strings.Contains(got.Body.String(), tc.wantBody) {
				t.Errorf("%s: %d %.300s, want %d with %q", tc.reason, got.Code, got.Body, tc.wantCode, tc.wantBody)
			}
			if diff := cmp.Diff(tc.answers, j.answers); diff != "" {
				t.Errorf("%s: answers in Jenkins -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestListInputs(t *testing.T) {
	w, j := inputWorld(t, sampleRun("live", nil), sampleRun("ended", endedRun), sampleRun("queued", func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }))
	list := func(user, name string) map[string]bool {
		answer := w.do(call{user: user, path: devops + "/namespaces/ann-demo/pipelineruns/" + name + "/inputs"})
		if answer.Code != 200 || !strings.Contains(answer.Body.String(), `"items":[`) {
			t.Fatalf("%s: %d %s", name, answer.Code, answer.Body)
		}
		out := map[string]bool{}
		for _, input := range decode[response.List[pipelinerun.PendingInput]](t, answer).Items {
			out[input.Node+"/"+input.Step+"/"+input.ID] = input.Approvable
		}
		return out
	}
	if diff := cmp.Diff(map[string]bool{"4/5/Free": true, "4/6/Lead": false}, list("ann", "live")); diff != "" {
		t.Error(diff)
	}
	if n := j.asked.Load(); n != 2 {
		t.Errorf("%d calls of Jenkins, want 2: the stages, and the steps of the one that waits", n)
	}
	if diff := cmp.Diff(map[string]bool{"4/5/Free": true, "4/6/Lead": true}, list("root", "live")); diff != "" {
		t.Error(diff)
	}
	if len(list("ann", "ended"))+len(list("ann", "queued")) != 0 {
		t.Error("a run that does not wait has inputs")
	}
}

func TestInputsWithoutJenkins(t *testing.T) {
	w := newWorld(t, nil, sampleRun("live", nil))
	for _, c := range []call{{method: "GET", path: "/inputs"}, {method: "POST", path: "/resume"}, {method: "POST", path: "/nodes/4/steps/5", body: `{"id":"Free"}`}} {
		c.user, c.path = "ann", devops+"/namespaces/ann-demo/pipelineruns/live"+c.path
		if got := w.do(c); got.Code != 503 || !strings.Contains(got.Body.String(), "does not know Jenkins") {
			t.Errorf("%s %s: %d %s, want 503: nobody knows what the build waits for", c.method, c.path, got.Code, got.Body)
		}
	}
}

func TestHoldBeforeTheStart(t *testing.T) {
	fresh := sampleRun("fresh", func(run *devopsv1alpha3.PipelineRun) {
		run.Annotations, run.Status.Phase = nil, devopsv1alpha3.Pending
	})
	w, _ := inputWorld(t, fresh)
	for _, action := range []string{"pause", "resume"} {
		answer := w.do(call{method: "POST", user: "ann", path: devops + "/namespaces/ann-demo/pipelineruns/fresh/" + action})
		if answer.Code != 200 {
			t.Fatalf("%s: %d %s", action, answer.Code, answer.Body)
		}
		if got := decode[devopsv1alpha3.PipelineRun](t, answer).Spec.Action; got == nil || !strings.EqualFold(string(*got), action) {
			t.Errorf("%s: action %v", action, got)
		}
	}
}

func TestReplayRoute(t *testing.T) {
	const path = devops + "/namespaces/ann-demo/pipelineruns/"
	pipeline := samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "now"}})
	original := sampleRun("old", func(run *devopsv1alpha3.PipelineRun) {
		endedRun(run)
		run.Spec.PipelineSpec = &devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "then"}}
		run.Spec.Parameters = []devopsv1alpha3.Parameter{{Name: "PW", Value: sealing.Mask}, {Name: "A", Value: "1"}}
	})
	w, _ := inputWorld(t, pipeline, original, sampleRun("queued", func(run *devopsv1alpha3.PipelineRun) { run.Annotations = nil }),
		sampleRun("orphan", func(run *devopsv1alpha3.PipelineRun) { run.Spec.PipelineRef.Name = "gone" }))
	answer := w.do(call{method: "POST", user: "ann", path: path + "old/replay"})
	if answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	run := decode[devopsv1alpha3.PipelineRun](t, answer)
	if run.Spec.ReplayOf != "old" || run.Spec.PipelineSpec.Pipeline.Jenkinsfile != "then" || run.Annotations[devopsv1alpha3.PipelineRunCreatorAnnotation] != "ann" ||
		run.Annotations[devopsv1alpha3.JenkinsPipelineRunIDAnnotation] != "" {
		t.Errorf("%+v", run)
	}
	if diff := cmp.Diff(original.Spec.Parameters, run.Spec.Parameters); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]int{"queued": 409, "none": 404, "orphan": 404} {
		if got := w.do(call{method: "POST", user: "ann", path: path + name + "/replay"}); got.Code != want {
			t.Errorf("replay of %s: %d %s, want %d", name, got.Code, got.Body, want)
		}
	}
	if got := w.do(call{method: "POST", user: "bob", path: path + "old/replay"}); got.Code != 403 {
		t.Errorf("replay by another tenant: %d", got.Code)
	}
}

func TestPasswordsAreSealed(t *testing.T) {
	const hunter = "hunter2-€"
	pipeline := samplePipeline("ann-demo", "build", devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{
		Jenkinsfile: "pipeline { agent any\n stages { stage('a') { steps { echo 'x' } } } }",
		Parameters:  []devopsv1alpha3.ParameterDefinition{{Name: "PW", Type: "password", DefaultValue: hunter}, {Name: "TEXT", Type: "string"}},
	}})
	w, _ := inputWorld(t, pipeline)
	path := devops + "/namespaces/ann-demo/pipelines/build/pipelineruns"
	answer := w.do(call{method: "POST", user: "ann", path: path, body: `{"parameters":[{"name":"PW","value":"` + hunter + `"},{"name":"TEXT","value":"plain"}]}`})
	if answer.Code != 200 || strings.Contains(answer.Body.String(), hunter) {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	list := &devopsv1alpha3.PipelineRunList{}
	if err := w.kube.List(context.Background(), list); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(list)
	if err != nil || strings.Contains(string(text), hunter) || len(list.Items) != 1 {
		t.Errorf("stored in plain text: %s", text)
	}
	if p := list.Items[0].Spec.Parameters; !sealing.Sealed(p[0].Value) || p[1].Value != "plain" {
		t.Errorf("parameters %v", p)
	}
	for _, shown := range []string{sealing.Mask, list.Items[0].Spec.Parameters[0].Value} {
		body, _ := json.Marshal(map[string]any{"parameters": []map[string]string{{"name": "PW", "value": shown}}})
		if got := w.do(call{method: "POST", user: "ann", path: path, body: string(body)}); got.Code != 400 || !strings.Contains(got.Body.String(), "cannot be read back") {
			t.Errorf("what a run shows is taken for a password: %d %s", got.Code, got.Body)
		}
	}
}
