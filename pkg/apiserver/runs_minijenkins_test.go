// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/minijenkins/local/localtest"
)

const gatedPipeline = `pipeline {
  agent any
  stages {
    stage('make') {
      steps {
        sh 'i=0; while [ $i -lt 20000 ]; do echo "line $i of the build"; i=$((i+1)); done'
        archiveArtifacts artifacts: 'none*', allowEmptyArchive: true
      }
    }
    stage('gate') { steps { input id: 'gate', message: 'Release?', parameters: [choice(name: 'WHERE', choices: ['dev', 'prod'])] } }
    stage('end') { steps { echo 'went on' } }
  }
}
`

// eventually waits for a condition.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// gatedBuild starts a build that waits at an input, and gives its Jenkins.
func gatedBuild(t *testing.T) *jenkins.Client {
	t.Helper()
	mj := localtest.Start(t, localtest.Options{})
	c, err := jenkins.New(jenkins.Config{URL: mj.URL, Username: mj.User, Token: mj.Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	doc, err := jobxml.Render(&devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Name: "build", Jenkinsfile: gatedPipeline}}, jobxml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureFolder(t.Context(), "ann-demo"); err != nil {
		t.Fatal(err)
	}
	if err := c.PutJob(t.Context(), "ann-demo", "build", doc); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartBuild(t.Context(), "ann-demo", "build", jenkins.StartRequest{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the build waits", func() bool {
		run, err := c.GetRun(t.Context(), "ann-demo", "build", 1)
		return err == nil && run.State == jenkins.StatePaused
	})
	return c
}

// TestRunInMinijenkins reads and answers a build on the embedded Jenkins through the whole server: its log while
// it grows, its stages, the log of a step, its input, and the log as a file when it has ended.
func TestRunInMinijenkins(t *testing.T) {
	j := sources.Jenkins{Client: gatedBuild(t)}
	w := newWorld(t, func(c *Config) {
		c.Clients = asUser{c.Clients}
		c.Sources.Logs, c.Sources.Artifacts, c.Sources.Stages, c.Sources.Inputs = j, j, j, j
	}, buildPipeline(), numbered("live", 1, "", nil))
	base := older + "/namespaces/ann-demo/pipelines/build/runs/1"

	// Somebody follows the log from now on to its end.
	server := httptest.NewServer(w.server.Handler())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+base+"/log?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, "ann"))
	followed := make(chan string, 1)
	answer, err := http.DefaultClient.Do(r) // it asks for gzip, and uncompresses
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			text = append(text, []byte(err.Error())...)
		}
		followed <- string(text)
	}()

	get := func(path string, header map[string]string) *httptest.ResponseRecorder {
		t.Helper()
		return w.do(call{user: "ann", path: path, header: header})
	}
	part := get(base+"/log/?start=0", nil)
	if part.Code != 200 || part.Header().Get("X-More-Data") != "true" || strings.Contains(part.Body.String(), "went on") {
		t.Fatalf("%d %v", part.Code, part.Header())
	}
	node, step, shell := "", "", ""
	for _, stage := range decode[[]map[string]any](t, get(base+"/nodesdetail", nil)) {
		for _, s := range stage["steps"].([]any) {
			one := s.(map[string]any)
			switch {
			case one["aprovable"] == true:
				node, step = fmt.Sprint(stage["id"]), fmt.Sprint(one["id"])
			case one["displayName"] == "Shell Script":
				shell = fmt.Sprintf("/nodes/%s/steps/%s/log", stage["id"], one["id"])
			}
		}
	}
	if step == "" || shell == "" {
		t.Fatalf("no step waits, or there is no shell step: %s", get(base+"/nodesdetail", nil).Body)
	}
	own := get(base+shell, nil)
	size := own.Header().Get("X-Text-Size")
	if own.Code != 200 || !strings.Contains(own.Body.String(), "line 19999 of the build\n") || strings.Contains(own.Body.String(), "Release?") || own.Header().Get("X-More-Data") != "" {
		t.Errorf("the step's log: %d, %d bytes, %v", own.Code, own.Body.Len(), own.Header())
	}
	for _, query := range []string{"?start=" + size, "?start=99999999"} {
		if more := get(base+shell+query, nil); more.Code != 200 || more.Body.Len() != 0 || more.Header().Get("X-More-Data") != "" {
			t.Errorf("behind the end: %d, %d bytes", more.Code, more.Body.Len())
		}
	}
	tail := get(base+shell+"?thresholdInKB=1", nil)
	if text := tail.Body.String(); tail.Code != 200 || len(text) > 1024 || !strings.HasPrefix(text, "line ") || !strings.HasSuffix(own.Body.String(), text) || tail.Header().Get("X-Text-Size") != size {
		t.Errorf("the end of the step's log: %d %q", tail.Code, text)
	}
	if got := get(base+"/nodes/"+node+"/steps/9999/log", nil); got.Code != 404 {
		t.Errorf("a step that is not there: %d %s", got.Code, got.Body)
	}

	said := w.do(call{method: "POST", user: "ann", path: base + "/nodes/" + node + "/steps/" + step + "/", body: `{"id":"Gate","parameters":[{"name":"WHERE","value":"prod"}],"comment":"tested on dev"}`})
	if said.Code != 200 || !strings.Contains(said.Body.String(), `"allow":"true"`) {
		t.Fatalf("%d %s", said.Code, said.Body)
	}
	eventually(t, "the build ends", func() bool {
		run, err := j.Client.GetRun(t.Context(), "ann-demo", "build", 1)
		return err == nil && run.State == jenkins.StateFinished && run.Result == jenkins.ResultSuccess
	})
	if kept := w.approvals("live"); len(kept) != 1 || kept[0].By != "ann" || kept[0].Comment != "tested on dev" || kept[0].Stage != "gate" {
		t.Errorf("kept %+v", kept)
	}
	rest := get(base+"/log?start="+part.Header().Get("X-Text-Size"), nil)
	if !strings.Contains(rest.Body.String(), "went on") || strings.Contains(rest.Body.String(), "line 0 of") || rest.Header().Get("X-More-Data") != "" {
		t.Errorf("what came after: %q %v", rest.Body, rest.Header())
	}
	whole := get(base+"/log", nil).Body.String()
	if text := <-followed; text != whole {
		t.Errorf("followed %d bytes, the log has %d: %.200q", len(text), len(whole), text[max(0, len(text)-200):])
	}
	if part.Body.String()+rest.Body.String() != whole {
		t.Error("the parts are not the whole")
	}

	// The log is a file now.
	run := &devopsv1alpha3.PipelineRun{}
	if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: "live"}, run); err != nil {
		t.Fatal(err)
	}
	endedRun(run)
	if err := w.kube.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	ranged := get(base+"/log", map[string]string{"Range": "bytes=100000-100099"})
	if want := whole[100000:100100]; ranged.Code != 206 || ranged.Body.String() != want || ranged.Header().Get("Content-Range") != fmt.Sprintf("bytes 100000-100099/%d", len(whole)) {
		t.Errorf("range: %d %q %v, want %q", ranged.Code, ranged.Body, ranged.Header(), want)
	}

	// Jenkins' discarder comes, and there is no copy.
	if err := j.Client.DeleteBuild(context.WithoutCancel(t.Context()), "ann-demo", "build", 1); err != nil {
		t.Fatal(err)
	}
	if got := get(base+"/log", nil); got.Code != 404 || !strings.Contains(got.Body.String(), "discarded") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
