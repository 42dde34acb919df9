// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sonarqubetest is a SonarQube for tests: it speaks the part of SonarQube's web API that
// pkg/sonarqube reads, refusals included.
package sonarqubetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Token is the only one that the server accepts.
const Token = "squ_0123456789abcdef"

// Server is a SonarQube.
type Server struct {
	// URL is its address.
	URL string

	mu    sync.Mutex
	tasks map[string]map[string]any
	gates map[string]string
	fail  int
	body  string
	seen  []string
}

// New starts a server that ends with the test. Below prefix ("" or /sonar) it is as a SonarQube with sonar.web.context.
func New(t *testing.T, prefix string) *Server {
	t.Helper()
	s := &Server{tasks: map[string]map[string]any{}, gates: map[string]string{}}
	server := httptest.NewServer(http.StripPrefix(prefix, http.HandlerFunc(s.serve)))
	t.Cleanup(server.Close)
	s.URL = server.URL + prefix
	return s
}

// Task adds the task of a report. An analysis is there as soon as the status is SUCCESS.
func (s *Server) Task(id, project, status string, more map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	task := map[string]any{"id": id, "type": "REPORT", "componentKey": project, "componentName": project, "status": status, "submittedAt": "2026-11-21T01:03:21+0000",
		"organization": "default-organization", "hasScannerContext": true}
	if status == "SUCCESS" {
		task["analysisId"], task["executionTimeMs"] = "analysis-"+id, 512
	}
	for key, value := range more {
		task[key] = value
	}
	s.tasks[id] = task
}

// Gate sets the quality gate of a task's analysis: OK or ERROR.
func (s *Server) Gate(id, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates["analysis-"+id] = status
}

// Fail makes the server answer everything with a code and a body; 0 ends it.
func (s *Server) Fail(code int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.body = code, body
}

// Seen gives the requests since the last time, with their queries.
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI())
	w.Header().Set("Content-Type", "application/json")
	user, password, _ := r.BasicAuth()
	switch {
	case s.fail != 0:
		w.WriteHeader(s.fail)
		_, _ = w.Write([]byte(s.body))
	case user != Token || password != "":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		s.answer(w, r)
	}
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/api/ce/task":
		task, ok := s.tasks[q.Get("id")]
		if !ok {
			refuse(w, http.StatusNotFound, "No activity found for task '"+q.Get("id")+"'")
			return
		}
		write(w, map[string]any{"task": task})
	case "/api/measures/component":
		if q.Get("metricKeys") == "" {
			refuse(w, http.StatusBadRequest, "The 'metricKeys' parameter is missing")
			return
		}
		component := map[string]any{"key": q.Get("component"), "name": q.Get("component"), "qualifier": "TRK", "measures": []map[string]any{
			{"metric": "bugs", "value": "3", "bestValue": false}, {"metric": "ncloc", "value": "1234"},
			{"metric": "quality_gate_details", "value": `{"level":"OK","conditions":[]}`},
			{"metric": "new_bugs", "period": map[string]any{"index": 1, "value": "0", "bestValue": true}},
		}}
		answer := map[string]any{"component": component}
		if strings.Contains(q.Get("additionalFields"), "metrics") {
			answer["metrics"] = []map[string]any{{"key": "bugs", "name": "Bugs", "domain": "Reliability", "type": "INT"}}
		}
		write(w, answer)
	case "/api/issues/search":
		write(w, map[string]any{
			"total": 12, "p": 1, "ps": 10, "paging": map[string]any{"pageIndex": 1, "pageSize": 10, "total": 12}, "effortTotal": 60,
			"issues": []map[string]any{{"key": "AX1", "rule": "go:S100", "severity": "CRITICAL", "component": q.Get("componentKeys") + ":main.go", "project": q.Get("componentKeys"),
				"line": 7, "textRange": map[string]any{"startLine": 7, "endLine": 7, "startOffset": 0, "endOffset": 9}, "status": "OPEN", "message": "größe", "type": "BUG", "tags": []string{"cert"}}},
			"facets": []map[string]any{{"property": "severities", "values": []map[string]any{{"val": "CRITICAL", "count": 1}, {"val": "MINOR", "count": 11}}}},
		})
	case "/api/qualitygates/project_status":
		gate, ok := s.gates[q.Get("analysisId")]
		if !ok {
			refuse(w, http.StatusNotFound, "Analysis with id '"+q.Get("analysisId")+"' is not found")
			return
		}
		write(w, map[string]any{"projectStatus": map[string]any{"status": gate, "conditions": []map[string]any{
			{"status": gate, "metricKey": "new_coverage", "comparator": "LT", "errorThreshold": "80", "actualValue": "82.1"}}, "ignoredConditions": false}})
	default:
		refuse(w, http.StatusNotFound, "Unknown url : "+r.URL.Path)
	}
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"msg": message}}})
}

func write(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }
