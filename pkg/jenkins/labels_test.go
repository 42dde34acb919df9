// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// replies serves one text for each path, and 404 for others.
func replies(t *testing.T, texts map[string]string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Jenkins", "2.541.2")
		text, ok := texts[r.URL.EscapedPath()]
		switch {
		case !ok:
			http.NotFound(w, r)
		case text == "":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
	}))
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestAgentLabels(t *testing.T) {
	const dashboard, computers = "/labelsdashboard/labelsData", "/computer/api/json"
	for reason, tt := range map[string]struct {
		texts map[string]string
		want  []string
		err   error
	}{
		"plugin":              {map[string]string{dashboard: `{"status":"ok","data":[{"label":"b"},{"label":"a"},{"label":"b"},{"label":""}]}`, computers: ""}, []string{"a", "b"}, nil},
		"none":                {map[string]string{dashboard: `{"status":"ok","data":null}`}, []string{}, nil},
		"no plugin":           {map[string]string{computers: `{"computer":[{"displayName":"n1","assignedLabels":[{"name":"n1"},{"name":"x"}]},{"displayName":"Built-In Node","assignedLabels":[{"name":"built-in"}]}]}`}, []string{"built-in", "x"}, nil},
		"away":                {map[string]string{dashboard: ""}, nil, ErrUnavailable},
		"away after that":     {map[string]string{computers: ""}, nil, ErrUnavailable},
		"no plugin, no nodes": {nil, nil, ErrNotFound},
	} {
		got, err := replies(t, tt.texts).AgentLabels(t.Context())
		if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, -want +got:\n%s", reason, err, diff)
		}
	}
}

func TestSonarAnalyses(t *testing.T) {
	const path = "/job/team/job/app/job/feat%252Fx/lastBuild/api/json"
	for reason, tt := range map[string]struct {
		text, job string
		want      []SonarAnalysis
		err       error
	}{
		"one": {`{"_class":"x","actions":[{"_class":"hudson.model.CauseAction"},{},{"_class":"hudson.plugins.sonar.action.SonarAnalysisAction","ceTaskId":"AY1","sonarqubeDashboardUrl":"http://s/d?id=k","new":true}]}`,
			"app/feat%2Fx", []SonarAnalysis{{Class: sonarAction, TaskID: "AY1", DashboardURL: "http://s/d?id=k"}}, nil},
		"none":     {`{"_class":"x","actions":[{}]}`, "app/feat%2Fx", []SonarAnalysis{}, nil},
		"no build": {`{}`, "other", nil, ErrNotFound},
		"bad name": {`{}`, "..", nil, ErrInvalid},
		"away":     {"", "app/feat%2Fx", nil, ErrUnavailable},
	} {
		got, err := replies(t, map[string]string{path: tt.text}).SonarAnalyses(t.Context(), "team", tt.job)
		if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, -want +got:\n%s", reason, err, diff)
		}
	}
}
