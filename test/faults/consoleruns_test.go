// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authuser "k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/controller"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/pipelinerun"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// everybody acts with the rights of the test.
type everybody struct{ client.WithWatch }

func (e everybody) ClientFor(authuser.Info) (client.WithWatch, error) { return e.WithWatch, nil }

// api is the API server over a world, with a cache of its own.
type api struct {
	*world
	handler http.Handler
	token   string
}

func (w *world) startAPI() *api {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	reader, err := cache.New(w.rest, cache.Options{Scheme: envtest.Scheme()})
	if err != nil {
		w.Fatal(err)
	}
	if err := index.Register(ctx, reader); err != nil {
		w.Fatal(err)
	}
	go func() { _ = reader.Start(ctx) }()
	objects, err := objectstore.New(objectstore.Config{Endpoint: w.s3, AccessKey: s3Key, SecretKey: s3Secret, PathStyle: true})
	if err != nil {
		w.Fatal(err)
	}
	j := sources.Jenkins{Client: w.jenkins}
	secret := []byte("0123456789abcdef0123456789abcdef")
	config, err := apiserver.Config{
		RestConfig: w.rest, Reader: reader, Client: w.kube, Clients: everybody{w.kube}, Scheme: envtest.Scheme(), JWTSecret: secret,
		Authorizer: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return authorizer.DecisionAllow, "", nil
		}),
		Sources: pipelinerun.Sources{Logs: j, Artifacts: j, Archive: sources.Store{Store: objects}, Stages: j, Inputs: j},
	}.Complete()
	if err != nil {
		w.Fatal(err)
	}
	server, err := apiserver.New(config)
	if err != nil {
		w.Fatal(err)
	}
	issuer, err := jwt.NewIssuer(secret, 0)
	if err != nil {
		w.Fatal(err)
	}
	text, _, err := issuer.Issue("ann", nil)
	if err != nil {
		w.Fatal(err)
	}
	return &api{world: w, handler: server.Handler(), token: text}
}

// do sends a request below the pipelines of the project, in the older version.
func (a *api) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	a.Helper()
	r := httptest.NewRequestWithContext(a.Context(), method, "/kapis/devops.kubesphere.io/v1alpha2/namespaces/"+a.project+"/pipelines/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	a.handler.ServeHTTP(recorder, r)
	return recorder
}

type fields = map[string]any

// object gives the object of an answer that must be good.
func (a *api) object(got *httptest.ResponseRecorder) fields {
	a.Helper()
	var object fields
	if err := json.Unmarshal(got.Body.Bytes(), &object); err != nil || got.Code != http.StatusOK {
		a.Fatalf("%d %s", got.Code, got.Body)
	}
	return object
}

// ends waits until a run is finished, and gives it.
func (a *api) ends(path string) (run fields) {
	a.Helper()
	a.wait("the run ends", func() (bool, string) {
		run = a.object(a.do(http.MethodGet, path, ""))
		return run["state"] == "FINISHED", fmt.Sprint(run)
	})
	return run
}

// TestRunsOfAnOldConsole: what a console of version 3 does with runs, from start to after Jenkins has discarded
// them, over the real controllers.
func TestRunsOfAnOldConsole(t *testing.T) {
	w := newWorld(t, nil)
	controllers := w.startControllers(nil, controller.Options{})
	defer controllers.stop()
	w.newProject("oldconsole")
	w.newPipeline("gated", "pipeline { agent none\n stages { stage('say') { steps { echo 'hello' } }\n stage('gate') { steps { input 'Go on?' } } } }")
	w.newPipeline("endless", "pipeline { agent none\n stages { stage('wait') { steps { sleep 600 } } } }")
	a := w.startAPI()

	begun := time.Now()
	started := a.object(a.do(http.MethodPost, "gated/runs", `{"parameters":[]}`))
	t.Logf("a start took %s", time.Since(begun).Round(time.Millisecond))
	if started["id"] != "1" {
		t.Fatalf("started: %v", started)
	}
	name := fmt.Sprint(started["pipelineRun"])
	// It is found by its number at once.
	if got := a.object(a.do(http.MethodGet, "gated/runs/1/", "")); got["pipelineRun"] != name {
		t.Errorf("%v", got)
	}
	address, say := "", ""
	a.wait("the input is shown", func() (bool, string) {
		got := a.do(http.MethodGet, "gated/runs/1/nodesdetail/?limit=10000", "")
		var stages []struct {
			ID    string
			Steps []struct {
				ID        string
				Aprovable bool
			}
		}
		if err := json.Unmarshal(got.Body.Bytes(), &stages); err != nil {
			t.Fatal(got.Code, got.Body)
		}
		for _, stage := range stages {
			for _, step := range stage.Steps {
				path := "gated/runs/1/nodes/" + stage.ID + "/steps/" + step.ID
				if step.Aprovable {
					address = path
				} else if say == "" {
					say = path
				}
			}
		}
		return address != "", got.Body.String()
	})
	if got := a.do(http.MethodGet, say+"/log/?start=0", ""); got.Code != 200 || got.Body.String() != "hello\n" {
		t.Errorf("the log of the step: %d %q", got.Code, got.Body)
	}
	if got := a.object(a.do(http.MethodPost, address+"/", `{"id":"","comment":"go"}`)); got["allow"] != "true" {
		t.Errorf("%v", got)
	}
	if run := a.ends("gated/runs/1"); run["result"] != "SUCCESS" {
		t.Errorf("%v", run)
	}

	// Jenkins discards it, the copy stays.
	run := &devopsv1alpha3.PipelineRun{}
	run.Namespace, run.Name = w.project, name
	w.wait("the run is archived", func() (bool, string) {
		w.get(run)
		return run.Annotations[devopsv1alpha3.ArchivedAnnotation] != "", fmt.Sprint(run.Status.Conditions)
	})
	if err := w.jenkins.DeleteBuild(t.Context(), w.project, "gated", 1); err != nil {
		t.Fatal(err)
	}
	whole := a.do(http.MethodGet, "gated/runs/1/log/?start=0", "")
	if whole.Code != 200 || !strings.Contains(whole.Body.String(), "hello\n") || whole.Header().Get("X-More-Data") != "" {
		t.Errorf("%d %q", whole.Code, whole.Body)
	}
	if got := a.do(http.MethodGet, "gated/runs/1/log", "", "Range", "bytes=-9"); got.Code != 206 || !strings.HasSuffix(whole.Body.String(), got.Body.String()) || got.Body.Len() != 9 {
		t.Errorf("range of the copy: %d %q", got.Code, got.Body)
	}
	if got := a.do(http.MethodGet, say+"/log", ""); got.Code != 410 || !strings.Contains(got.Body.String(), "/pipelineruns/"+name+"/log") {
		t.Errorf("the log of a step that is gone: %d %s", got.Code, got.Body)
	}
	if got := a.do(http.MethodGet, "gated/runs/1/nodesdetail", ""); !strings.Contains(got.Body.String(), `"comment":"go"`) {
		t.Errorf("the answer is not shown: %d %s", got.Code, got.Body)
	}

	// Nobody answers the next.
	pipeline := &devopsv1alpha3.Pipeline{}
	pipeline.Namespace, pipeline.Name = w.project, "gated"
	w.get(pipeline)
	old := pipeline.DeepCopy()
	pipeline.Annotations[devopsv1alpha3.InputDeadlineAnnotation] = "3s"
	if err := w.kube.Patch(t.Context(), pipeline, client.MergeFrom(old)); err != nil {
		t.Fatal(err)
	}
	second := a.object(a.do(http.MethodPost, "gated/runs", ""))
	number := fmt.Sprint(second["id"])
	if got := a.ends("gated/runs/" + number); got["result"] != "ABORTED" {
		t.Errorf("%v", got)
	}
	run = &devopsv1alpha3.PipelineRun{}
	run.Namespace, run.Name = w.project, fmt.Sprint(second["pipelineRun"])
	w.wait("the run says why it ended", func() (bool, string) {
		w.get(run)
		text := fmt.Sprint(run.Status.Conditions)
		return strings.Contains(text, devopsv1alpha3.ReasonInputExpired) && run.Status.Phase == devopsv1alpha3.Cancelled, text
	})
	list := a.object(a.do(http.MethodGet, "gated/runs?start=0&limit=1", ""))
	if items := list["items"].([]any); list["totalItems"] != 2.0 || len(items) != 1 || items[0].(fields)["id"] != number {
		t.Errorf("%v", list)
	}

	// A stop that waits.
	a.object(a.do(http.MethodPost, "endless/runs", ""))
	if got := a.object(a.do(http.MethodPost, "endless/runs/1/stop/?blocking=true&timeOutInSecs=30", "")); got["state"] != "FINISHED" || got["result"] != "ABORTED" {
		t.Errorf("stopped: %v", got)
	}
	// And once more.
	again := a.object(a.do(http.MethodPost, "endless/runs/1/replay", ""))
	if again["id"] != "2" {
		t.Errorf("replayed: %v", again)
	}
	a.object(a.do(http.MethodPost, "endless/runs/2/stop?blocking=true&timeOutInSecs=30", ""))
}
