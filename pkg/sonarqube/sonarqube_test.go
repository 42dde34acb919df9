// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sonarqube_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/sonarqube"
	"github.com/slipway-dev/slipway/pkg/sonarqube/sonarqubetest"
)

func newClient(t *testing.T, url string) *sonarqube.Client {
	t.Helper()
	c, err := sonarqube.New(sonarqube.Config{URL: url, Token: sonarqubetest.Token, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestStatus(t *testing.T) {
	for _, prefix := range []string{"", "/sonar"} {
		s := sonarqubetest.New(t, prefix)
		s.Task("AY1", "shop:größe&x=1", "SUCCESS", map[string]any{"branch": "feat/x"})
		s.Gate("AY1", "OK")
		s.Task("AY2", "shop", "IN_PROGRESS", nil)
		s.Task("AY3", "shop", "SUCCESS", map[string]any{"pullRequest": "7"})
		c := newClient(t, s.URL+"/")
		got, err := c.Status(t.Context(), "AY1")
		if err != nil {
			t.Fatal(err)
		}
		if got.Task.Task.ComponentKey != "shop:größe&x=1" || got.Measures.Component.Measures[0].Value != "3" || got.Measures.Component.Measures[3].Period.Value != "0" ||
			got.Issues.Total != 12 || got.Issues.Issues[0].TextRange.EndOffset != 9 || got.Issues.Facets[0].Values[1].Count != 11 || got.Gate.ProjectStatus.Status != "OK" ||
			got.Gate.ProjectStatus.Conditions[0].ErrorThreshold != "80" {
			t.Errorf("status: %+v", got)
		}
		seen := s.Seen()
		for i, want := range []string{"/api/ce/task?id=AY1", "branch=feat%2Fx&component=shop%3Agr%C3%B6%C3%9Fe%26x%3D1", "branch=feat%2Fx&componentKeys=", "analysisId=analysis-AY1"} {
			if i >= len(seen) || !strings.Contains(seen[i], want) {
				t.Errorf("requests %v, want %s as the %d.", seen, want, i+1)
			}
		}
		got, err = c.Status(t.Context(), "AY2")
		if err != nil || got.Task.Task.Status != "IN_PROGRESS" || got.Measures != nil || got.Issues != nil || got.Gate != nil {
			t.Errorf("in progress: %+v, %v, want the task only", got, err)
		}
		s.Seen()
		got, err = c.Status(t.Context(), "AY3")
		if err != nil || got.Gate != nil || got.Measures == nil {
			t.Errorf("without a gate: %+v, %v", got, err)
		}
		if seen := s.Seen(); len(seen) != 4 || !strings.Contains(seen[1], "pullRequest=7") {
			t.Errorf("requests of a pull request: %v", seen)
		}
	}
}

func TestStatusFails(t *testing.T) {
	s := sonarqubetest.New(t, "")
	s.Task("AY1", "shop", "SUCCESS", nil)
	for reason, tt := range map[string]struct {
		code int
		body string
		id   string
		want error
	}{
		"unknown task":  {0, "", "nope", sonarqube.ErrNotFound},
		"no task":       {0, "", "", sonarqube.ErrNotFound},
		"long id":       {0, "", strings.Repeat("x", 200), sonarqube.ErrNotFound},
		"path as an id": {0, "", "../system/restart?x=1#", sonarqube.ErrNotFound},
		"token refused": {401, "", "AY1", sonarqube.ErrUnauthorized},
		"not to be seen": {403, `{"errors":[{"msg":"Insufficient privileges"}]}`, "AY1",
			sonarqube.ErrUnauthorized},
		"starting":  {503, "SonarQube is starting", "AY1", sonarqube.ErrUnavailable},
		"failure":   {500, "", "AY1", sonarqube.ErrUnexpected},
		"a page":    {200, "<html>login</html>", "AY1", sonarqube.ErrUnexpected},
		"redirect":  {302, "", "AY1", sonarqube.ErrUnexpected},
		"huge":      {200, `{"task":{"id":"` + strings.Repeat("x", 5<<20) + `"}}`, "AY1", sonarqube.ErrUnexpected},
		"odd types": {200, `{"task":[]}`, "AY1", sonarqube.ErrUnexpected},
	} {
		s.Fail(tt.code, tt.body)
		_, err := newClient(t, s.URL).Status(t.Context(), tt.id)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", reason, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), sonarqubetest.Token) {
			t.Errorf("%s: the error holds the token: %v", reason, err)
		}
	}
	c, err := sonarqube.New(sonarqube.Config{URL: s.URL, Token: "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	s.Fail(0, "")
	if _, err := c.Status(t.Context(), "AY1"); !errors.Is(err, sonarqube.ErrUnauthorized) {
		t.Errorf("wrong token: %v", err)
	}
}

func TestStatusOfSilence(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	if _, err := newClient(t, server.URL).Status(t.Context(), "AY1"); !errors.Is(err, sonarqube.ErrUnavailable) {
		t.Errorf("no answer in time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(t, server.URL).Status(ctx, "AY1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := newClient(t, "http://127.0.0.1:1").Status(t.Context(), "AY1"); !errors.Is(err, sonarqube.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	got := map[string]bool{}
	urls := []string{"", "sonar.example.org", "ftp://sonar.example.org", "http://", "http://u:p@sonar.example.org", "http://sonar.example.org?x=1", "http://sonar.example.org#x", "http://[::1"}
	want := map[string]bool{}
	for _, url := range urls {
		_, err := sonarqube.New(sonarqube.Config{URL: url})
		got[url], want[url] = err != nil, true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused: -want +got:\n%s", diff)
	}
}
