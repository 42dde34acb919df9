// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	agents "github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	minijenkins "github.com/slipway-dev/slipway/pkg/minijenkins/server"
)

type noAgents struct{ minijenkins.AgentSource }

func (noAgents) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (noAgents) Reap(context.Context) error { return nil }

func (noAgents) ForBuild(agents.Build) engine.AgentProvider { return nil }

func (noAgents) Agents() []agents.AgentInfo { return nil }

func startMinijenkins(t *testing.T) *jenkins.Client {
	t.Helper()
	var server *minijenkins.Server
	listener := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { server.Handler().ServeHTTP(w, q) }))
	address := "http://" + listener.Listener.Addr().String()
	var err error
	server, err = minijenkins.New(minijenkins.Config{
		StateDir: t.TempDir(), BaseURL: address, Accounts: []minijenkins.Account{{Name: "admin", Token: "token"}}, QuietPeriod: -1, StopTimeout: -1,
		NewAgents: func(minijenkins.AgentDeps) (minijenkins.AgentSource, error) { return noAgents{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		listener.Close()
		cancel()
		<-done
	})
	c, err := jenkins.New(jenkins.Config{URL: address, Username: "admin", Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestBlueWithMinijenkins asks the embedded Jenkins what the other tests ask a Jenkins with prepared answers.
func TestBlueWithMinijenkins(t *testing.T) {
	c, ctx := startMinijenkins(t), t.Context()
	if err := c.CreateFolder(ctx, "ann-demo", ""); err != nil {
		t.Fatal(err)
	}
	many, build := multiBranch("ann-demo", "many", nil), plainPipeline("ann-demo", "build", nil)
	many.Spec.MultiBranchPipeline.SourceType = "git"
	many.Spec.MultiBranchPipeline.GitSource = &devopsv1alpha3.GitSource{URL: "https://git.invalid/x.git", DiscoverBranches: true}
	for name, spec := range map[string]*devopsv1alpha3.PipelineSpec{"build": &build.Spec, "taken": &build.Spec, "many": &many.Spec} {
		document, err := jobxml.Render(spec, jobxml.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.PutJob(ctx, "ann-demo", name, document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	w := newWorld(t, func(config *Config) {
		config.JenkinsAPI, config.Credentials, config.Authorizer = c, c, ownNamespaces(nil)
	},
		ownedProject("ann-demo"), build, many)
	for reason, tt := range map[string]struct {
		method, path, body string
		code               int
		want               string
	}{
		"detail":           {"GET", "pipelines/build", "", 200, `"fullName":"ann-demo/build"`},
		"branches":         {"GET", "pipelines/many/branches", "", 200, "[]"},
		"name of a job":    {"GET", "pipelines/taken?check=true", "", 200, `{"exist":true}`},
		"free name":        {"GET", "pipelines/free?check=true", "", 200, `{"exist":false}`},
		"log of the scan":  {"GET", "pipelines/many/consolelog", "", 200, ""},
		"compiles":         {"POST", "pipelines/new/checkScriptCompile", `{"value":"node { echo 'größe' }"}`, 200, `"status":"success"`},
		"does not compile": {"POST", "pipelines/new/checkScriptCompile", `{"value":"node {"}`, 200, `"status":"fail"`},
		"cron":             {"POST", "checkCron", `{"pipelineName":"build","cron":"H 3 * * *"}`, 200, `"result":"ok","message":"Would last have run`},
		"times":            {"POST", "checkCron", `{"cron":"@daily"}`, 200, `"nextTime":"2`},
		"bad cron":         {"POST", "checkCron", `{"pipelineName":"build","cron":"not a cron"}`, 200, `"result":"error"`},
		"empty cron":       {"POST", "checkCron", `{"cron":""}`, 200, `"result":"warning"`},
	} {
		code, body := w.send("ann", tt.method, blueRoot+"/namespaces/ann-demo/"+tt.path, tt.body)
		if code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", reason, code, body, tt.code, tt.want)
		}
	}
	if code, body := w.send("ann", "GET", devops+"/ci/nodelabels", ""); code != 200 || !strings.Contains(body, `"status":"success"`) {
		t.Errorf("labels: %d %s", code, body)
	}
	if analyses, err := c.SonarAnalyses(ctx, "ann-demo", "build"); err == nil {
		t.Errorf("analyses of a job without a build: %v", analyses)
	}
}
