// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/sources"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// fakeHealth is a Jenkins with a given state; it counts the questions.
type fakeHealth struct {
	since, last time.Time
	open        bool
	pings       atomic.Int64
}

func (f *fakeHealth) State() (since, lastAnswer time.Time, open bool) { return f.since, f.last, f.open }
func (f *fakeHealth) Ping(context.Context) error                      { f.pings.Add(1); return errors.New("x") }

func demoRun(annotations map[string]string) *devopsv1alpha3.PipelineRun {
	return &devopsv1alpha3.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: "r1", Namespace: "ann-demo", Annotations: annotations},
		Spec:       devopsv1alpha3.PipelineRunSpec{PipelineRef: &corev1.ObjectReference{Name: "p"}},
	}
}

func TestStaleness(t *testing.T) {
	now := time.Now()
	gone := now.Add(-time.Minute).Truncate(time.Second)
	runs := devops + "/namespaces/ann-demo/pipelineruns"
	for reason, tc := range map[string]struct {
		health *fakeHealth
		call   call
		want   bool
	}{
		"it answers":                     {&fakeHealth{last: now}, call{path: runs}, false},
		"it was never asked":             {&fakeHealth{}, call{path: runs}, false},
		"one call failed a moment ago":   {&fakeHealth{since: now, last: now}, call{path: runs}, false},
		"away: a list of runs":           {&fakeHealth{since: gone, last: gone}, call{path: runs}, true},
		"away: by an alias path":         {&fakeHealth{since: gone, last: gone}, call{path: "/v1alpha3/namespaces/ann-demo/pipelineruns"}, true},
		"away: one run":                  {&fakeHealth{since: gone, last: gone}, call{path: runs + "/r1"}, true},
		"away: pipelines":                {&fakeHealth{since: gone, last: gone}, call{path: devops + "/namespaces/ann-demo/pipelines"}, true},
		"away since a moment, and known": {&fakeHealth{since: now, last: gone, open: true}, call{path: runs}, true},
		"away: what Jenkins has no part in": {&fakeHealth{since: gone, last: gone},
			call{path: "/kapis/devcontainer.devstar.cn/v1/namespaces/ann-demo/devcontainerapps"}, false},
		"away: what changes something": {&fakeHealth{since: gone, last: gone}, call{method: http.MethodDelete, path: runs + "/r1"}, false},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Jenkins = tc.health }, demoRun(nil))
			tc.call.user = "ann"
			got := w.do(tc.call)
			if got.Code != http.StatusOK {
				t.Fatalf("%d %s", got.Code, got.Body)
			}
			want := ""
			if tc.want {
				want = `110 slipway "Jenkins does not answer since ` + tc.health.since.UTC().Format(time.RFC3339) + `; what is said of live runs is from before"`
			}
			if warning := got.Header().Get("Warning"); warning != want {
				t.Errorf("Warning = %s, want %s", warning, want)
			}
			if ready := w.do(call{path: "/readyz"}); ready.Code != http.StatusOK {
				t.Errorf("/readyz = %d: the server is ready without Jenkins", ready.Code)
			}
		})
	}
}

// TestNewsIsRenewed: reading runs asks Jenkins for news if it is old, at most one at a time, and never in the way of the request.
func TestNewsIsRenewed(t *testing.T) {
	health := &fakeHealth{last: time.Now().Add(-time.Hour)}
	w := newWorld(t, func(c *Config) { c.Jenkins = health }, demoRun(nil))
	for range 20 {
		w.do(call{path: devops + "/namespaces/ann-demo/pipelineruns", user: "ann"})
	}
	for deadline := time.Now().Add(time.Minute); health.pings.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("Jenkins was not asked")
		}
	}
	if n := health.pings.Load(); n != 1 {
		t.Errorf("Jenkins was asked %d times", n)
	}
	fresh := &fakeHealth{last: time.Now()}
	w = newWorld(t, func(c *Config) { c.Jenkins = fresh })
	w.do(call{path: "/healthz/jenkins"})
	if n := fresh.pings.Load(); n != 0 {
		t.Errorf("Jenkins was asked %d times although there is news", n)
	}
}

func TestJenkinsHealth(t *testing.T) {
	now := time.Now()
	gone := time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC)
	for reason, tc := range map[string]struct {
		health *fakeHealth
		code   int
		body   string
	}{
		"up":            {&fakeHealth{last: now}, 200, `{"up":true,"lastAnswer":"` + now.UTC().Format(time.RFC3339Nano) + `"}`},
		"away":          {&fakeHealth{since: gone.Add(time.Second), last: gone, open: true}, 503, `{"up":false,"since":"2026-11-21T01:02:04Z","lastAnswer":"2026-11-21T01:02:03Z"}`},
		"never reached": {&fakeHealth{}, 503, `{"up":false}`},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Jenkins = tc.health })
			got := w.do(call{path: "/healthz/jenkins"})
			if body := strings.TrimSpace(got.Body.String()); got.Code != tc.code || body != tc.body {
				t.Errorf("%d %s, want %d %s", got.Code, body, tc.code, tc.body)
			}
			if (got.Header().Get("Retry-After") != "") != (tc.code == 503) {
				t.Errorf("Retry-After = %q", got.Header().Get("Retry-After"))
			}
		})
	}
	t.Run("not configured", func(t *testing.T) {
		if got := newWorld(t, nil).do(call{path: "/healthz/jenkins"}); got.Code != http.StatusNotFound {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// TestWithoutJenkins: routes that need Jenkins say so with 503 and when to come back; the others go on.
func TestWithoutJenkins(t *testing.T) {
	for reason, down := range map[string]http.HandlerFunc{
		"cut":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"starting": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"hangs":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(reason, func(t *testing.T) {
			srv := httptest.NewServer(down)
			defer srv.Close()
			client, err := jenkins.New(jenkins.Config{URL: srv.URL, Timeout: 50 * time.Millisecond, MaxSilent: 2})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(c *Config) {
				c.Jenkins = client
				c.Sources.Logs, c.Sources.Artifacts = sources.Jenkins{Client: client}, sources.Jenkins{Client: client}
			}, demoRun(map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "7"}))
			run := devops + "/namespaces/ann-demo/pipelineruns/r1"
			for range 3 { // from the third on it is the breaker that answers
				for _, path := range []string{"/log", "/artifacts", "/artifacts/download?filename=a.txt"} {
					got := w.do(call{path: run + path, user: "ann"})
					status := decode[metav1.Status](t, got)
					if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" || !strings.Contains(status.Message, "Jenkins cannot be reached") {
						t.Errorf("%s: %d, Retry-After %q, %s", path, got.Code, got.Header().Get("Retry-After"), status.Message)
					}
					if strings.Contains(got.Body.String(), "127.0.0.1") {
						t.Errorf("%s tells where Jenkins is: %s", path, got.Body)
					}
				}
			}
			got := w.do(call{path: run, user: "ann"})
			if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Warning"), "110 slipway") {
				t.Errorf("the run: %d, Warning %q", got.Code, got.Header().Get("Warning"))
			}
		})
	}
}

// TestFollowedLogSurvivesAnOutage: who follows a log stays, and gets all of it once.
func TestFollowedLogSurvivesAnOutage(t *testing.T) {
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/progressiveText") {
			w.Header().Set("X-Jenkins", "2")
			_, _ = w.Write([]byte("{}"))
			return
		}
		switch n := calls.Add(1); {
		case n == 1:
			w.Header().Set("X-Text-Size", "6")
			w.Header().Set("X-More-Data", "true")
			_, _ = w.Write([]byte("first\n"))
		case n < 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Query().Get("start") != "6":
			t.Errorf("the log goes on from %s", r.URL.Query().Get("start"))
		default:
			w.Header().Set("X-Text-Size", "11")
			_, _ = w.Write([]byte("last\n"))
		}
	}))
	defer srv.Close()
	client, err := jenkins.New(jenkins.Config{URL: srv.URL, MaxSilent: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) {
		c.Jenkins = client
		c.Sources.Logs = sources.Jenkins{Client: client}
	}, demoRun(map[string]string{devopsv1alpha3.JenkinsPipelineRunIDAnnotation: "7"}))
	got := w.do(call{path: devops + "/namespaces/ann-demo/pipelineruns/r1/log?follow=true", user: "ann"})
	if got.Code != http.StatusOK || got.Body.String() != "first\nlast\n" {
		t.Errorf("%d %q", got.Code, got.Body)
	}
}
