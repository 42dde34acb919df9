// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/sonarqube"
	"github.com/slipway-dev/slipway/pkg/sonarqube/sonarqubetest"
)

// sonarBuild is what a build says of its analyses; the other action is one of every build.
func sonarBuild(tasks ...string) func(http.ResponseWriter, *http.Request) {
	actions := []string{`{"_class":"hudson.model.CauseAction"}`, `{}`}
	for _, task := range tasks {
		actions = append(actions, `{"_class":"hudson.plugins.sonar.action.SonarAnalysisAction","ceTaskId":"`+task+
			`","installationName":"sonar","serverUrl":"http://evil.example","sonarqubeDashboardUrl":"http://evil.example/dashboard?id=secret"}`)
	}
	return text(`{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowRun","actions":[` + strings.Join(actions, ",") + `]}`)
}

func TestSonarStatus(t *testing.T) {
	s := sonarqubetest.New(t, "/sonar")
	s.Task("AY1", "shop", "SUCCESS", nil)
	s.Gate("AY1", "ERROR")
	s.Task("AY2", "shop", "PENDING", nil)
	const job, branch = "GET /job/ann-demo/job/build/lastBuild/api/json", "GET /job/ann-demo/job/many/job/feat%252Fx/lastBuild/api/json"
	for reason, tt := range map[string]struct {
		user, path    string
		address       string
		jenkins       func(http.ResponseWriter, *http.Request)
		sonar         int
		code          int
		want, without string
	}{
		"results":        {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 200, `"measures":{"component":{"key":"shop"`, "secret-of"},
		"of the action":  {"ann", "devops/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 200, `"jenkinsAction":{"_class":"hudson.plugins.sonar.action.SonarAnalysisAction","ceTaskId":"AY1"`, ""},
		"gate":           {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 200, `"qualityGate":{"projectStatus":{"status":"ERROR"`, ""},
		"facets":         {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 200, `"facets":[{"property":"severities","values":[{"val":"CRITICAL","count":1}`, ""},
		"at work":        {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY2"), 0, 200, `[{"task":{"task":{"id":"AY2"`, "measures"},
		"of a branch":    {"ann", "namespaces/ann-demo/pipelines/many/branches/feat%252Fx/sonarstatus", branch, sonarBuild("AY1"), 0, 200, `"status":"SUCCESS"`, ""},
		"once encoded":   {"ann", "namespaces/ann-demo/pipelines/many/branches/feat%2Fx/sonarstatus", branch, sonarBuild("AY1"), 0, 200, `"status":"SUCCESS"`, ""},
		"no analysis":    {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild(), 0, 200, `[]`, "{"},
		"no task":        {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild(""), 0, 200, `[]`, "{"},
		"forgotten":      {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("gone"), 0, 200, `[]`, "{"},
		"no build":       {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, nil, 0, 200, `[]`, "{"},
		"Jenkins away":   {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, status(503), 0, 503, "Jenkins", ""},
		"Sonar away":     {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 503, 503, "SonarQube cannot be reached", "ce/task"},
		"token refused":  {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 401, 502, "SonarQube refuses this server's token", ""},
		"failure":        {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 500, 502, "answer cannot be used", ""},
		"no branches":    {"ann", "namespaces/ann-demo/pipelines/build/branches/main/sonarstatus", job, nil, 0, 400, "no multi-branch", ""},
		"no pipeline":    {"ann", "namespaces/ann-demo/pipelines/none/sonarstatus", job, nil, 0, 404, "none", ""},
		"no own folder":  {"ann", "namespaces/ann-alone/pipelines/build/sonarstatus", "GET /job/ann-alone/job/build/lastBuild/api/json", sonarBuild("AY1"), 0, 404, "DevOps project", ""},
		"other tenant":   {"bob", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 403, "", ""},
		"nobody":         {"", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild("AY1"), 0, 401, "", ""},
		"many analyses":  {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, sonarBuild(strings.Fields(strings.Repeat("AY1 ", 40))...), 0, 200, "AY1", ""},
		"broken Jenkins": {"ann", "namespaces/ann-demo/pipelines/build/sonarstatus", job, status(500), 0, 502, "", ""},
	} {
		a := &answers{}
		j := newJenkins(t, a)
		c, err := sonarqube.New(sonarqube.Config{URL: s.URL, Token: sonarqubetest.Token, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, func(config *Config) {
			config.JenkinsAPI, config.SonarQube, config.Authorizer = j, c, ownNamespaces(nil)
		},
			ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil), multiBranch("ann-demo", "many", nil), plainPipeline("ann-alone", "build", nil))
		a.set(tt.address, tt.jenkins)
		s.Fail(tt.sonar, "")
		s.Seen()
		code, body := w.send(tt.user, "GET", blueRoot+"/"+tt.path, "")
		if code != tt.code || !strings.Contains(body, tt.want) || tt.without != "" && strings.Contains(body, tt.without) || strings.Contains(body, sonarqubetest.Token) {
			t.Errorf("%s: %d %.600s, want %d with %s", reason, code, body, tt.code, tt.want)
		}
		// The project is the one that SonarQube names, not what a build says of itself.
		for _, seen := range s.Seen() {
			if strings.Contains(seen, "secret") {
				t.Errorf("%s: SonarQube was asked for a project that the build names: %s", reason, seen)
			}
		}
		if reason == "many analyses" && strings.Count(body, `"jenkinsAction"`) != 10 {
			t.Errorf("%s: %d, want the last 10", reason, strings.Count(body, `"jenkinsAction"`))
		}
		c.CloseIdleConnections()
	}
}

func TestSonarStatusWithoutSonarQube(t *testing.T) {
	objects := []client.Object{ownedProject("ann-demo"), plainPipeline("ann-demo", "build", nil)}
	w := blueWorld(t, &answers{}, objects...)
	if code, body := w.send("ann", "GET", blueRoot+"/namespaces/ann-demo/pipelines/build/sonarstatus", ""); code != 404 || !strings.Contains(body, "--sonarqube-url") {
		t.Errorf("%d %s, want 404 that says how to set it up", code, body)
	}
}
