// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTaskOf(t *testing.T) {
	tests := map[string]struct {
		reason, address, job string
		build                int64
	}{
		"job":       {reason: "a start that waits", address: "http://jenkins.example/job/rec-04c/job/one/", job: "rec-04c/one"},
		"prefix":    {reason: "a path prefix is not the job's", address: "https://ci.example/jenkins/job/a/job/b/", job: "a/b"},
		"agent":     {reason: "a build that waits for an agent has a relative address", address: "job/rec-14/job/j06/4/", job: "rec-14/j06", build: 4},
		"branch":    {reason: "the branch job keeps its own encoding", address: "job/p/job/mb/job/feature%252Fx/12/", job: "p/mb/feature%2Fx", build: 12},
		"unicode":   {reason: "letters are decoded", address: "http://j/job/p/job/gr%C3%B6%C3%9Fe/", job: "p/größe"},
		"named job": {reason: "a job may be called job", address: "job/job/job/job/7/", job: "job/job", build: 7},
		"other":     {reason: "a task that is no job", address: "http://j/computer/x/"},
		"no number": {reason: "what follows a job is a build number or nothing", address: "job/a/job/b/lastBuild/"},
		"negative":  {reason: "builds count from 1", address: "job/a/-4/"},
		"nonsense":  {reason: "", address: "job/%zz/"},
		"empty":     {reason: "a task without an address", address: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if job, build := taskOf(tt.address); job != tt.job || build != tt.build {
				t.Errorf("%s: got %q %d, want %q %d", tt.reason, job, build, tt.job, tt.build)
			}
		})
	}
}

func TestQueue(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/queue/api/json" || strings.Contains(r.URL.RawQuery, "actions") {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, `{"items":[
			{"id":112,"why":"There are no nodes with the label ‘x’","stuck":true,"task":{"url":"job/rec-14/job/j06/4/"}},
			{"id":626,"why":"In the quiet period.\nExpires in 4.3 sec","task":{"url":"http://jenkins.example/job/rec-04c/job/one/"}},
			{"id":627,"why":null,"task":{}}]}`)
	})
	got, err := c.Queue(t.Context())
	want := []Waiting{
		{ID: 112, Why: "There are no nodes with the label ‘x’", Stuck: true, Job: "rec-14/j06", Build: 4},
		{ID: 626, Why: "In the quiet period. Expires in 4.3 sec", Job: "rec-04c/one"},
		{ID: 627},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("queue: %v\n%s", err, diff)
	}
}

func TestListRuns(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/blue/rest/organizations/jenkins/pipelines/p/pipelines/mb/branches/feature%252Fx/runs/" || r.URL.RawQuery != "limit=2&start=0" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, `[{"id":"3","state":"FINISHED","result":"UNSTABLE","artifactsZipFile":"/x.zip"},{"id":"2","state":"RUNNING","artifactsZipFile":null}]`)
	})
	got, err := c.ListRuns(t.Context(), "p", BranchJob("mb", "feature%2Fx"), Page{Limit: 2})
	if err != nil || len(got) != 2 || got[0].ID != "3" || got[0].Result != ResultUnstable || got[0].ArtifactsZipFile == nil || got[1].ArtifactsZipFile != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if !strings.Contains(string(got[0].RawJSON), `"result":"UNSTABLE"`) || !strings.Contains(string(got[1].RawJSON), `"artifactsZipFile":null`) {
		t.Errorf("console JSON: %s, %s", got[0].RawJSON, got[1].RawJSON)
	}
	c = handler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[null]`) })
	if _, err := c.ListRuns(t.Context(), "p", "j", Page{}); !errors.Is(err, ErrUnexpected) {
		t.Errorf("a null in the list: %v", err)
	}
}

// TestRunStepsHasNoLimit reads more steps than a page of Blue Ocean has.
func TestRunStepsHasNoLimit(t *testing.T) {
	const all = 750
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		var page []string
		for i := start; i < min(start+100, all); i++ {
			page = append(page, fmt.Sprintf(`{"id":"%d"}`, i))
		}
		_, _ = io.WriteString(w, "["+strings.Join(page, ",")+"]")
	})
	got, err := c.RunSteps(t.Context(), "p", "j", 7)
	if err != nil || len(got) != all || got[all-1].ID != strconv.Itoa(all-1) {
		t.Errorf("%d steps, %v", len(got), err)
	}
}
