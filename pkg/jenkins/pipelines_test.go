// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGetPipeline(t *testing.T) {
	c, srv := replay(t, "03-pipeline-job.json", "08-multibranch.json")
	srv.Use("blue after the update", "blue: pipeline")
	info, err := c.GetPipeline(t.Context(), "rec-03", "p1")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, p := range info.Parameters {
		types = append(types, p.Type)
	}
	if diff := cmp.Diff([]string{"string", "text", "boolean", "choice", "password", "file"}, types); diff != "" {
		t.Error(diff)
	}
	info, err = c.GetPipeline(t.Context(), "rec-08c", "mb")
	if err != nil {
		t.Fatal(err)
	}
	info.BranchNames = info.BranchNames[:2]
	doc, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"mb","weatherScore":100,"estimatedDurationInMillis":266,"numberOfPipelines":9,"totalNumberOfBranches":9,"numberOfSuccessfulBranches":8,` +
		`"branchNames":["main","a%25b"],"scmSource":{"id":"git","apiUrl":"file:///srv/repo/git/svc.git"},"scriptPath":"Jenkinsfile"}`
	if diff := cmp.Diff(want, string(doc)); diff != "" {
		t.Error(diff)
	}
}

func TestBranches(t *testing.T) {
	c, srv := replay(t, "08-multibranch.json")
	srv.Use("blue: branches")
	list, err := c.BranchPage(t.Context(), "rec-08c", "mb", Page{Limit: 100000})
	if err != nil || len(list) != 9 {
		t.Fatalf("%d branches, %v", len(list), err)
	}
	names := map[string]string{}
	for _, b := range list {
		names[b.Name] = b.RawName
		if b.Name != BranchJobName(b.RawName) {
			t.Errorf("BranchJobName(%q) = %q, Jenkins says %q", b.RawName, BranchJobName(b.RawName), b.Name)
		}
	}
	want := map[string]string{
		"main": "main", "a%25b": "a%b", "größe": "größe", "UPPER-Case": "UPPER-Case", "fix%231": "fix#1", "feature%2Fx": "feature/x",
		"very%2Fdeep%2Fer_name.with.dots": "very/deep/er_name.with.dots", "rel+1.0": "rel+1.0", "v1.0": "v1.0",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	doc, err := json.Marshal(list[2])
	if err != nil {
		t.Fatal(err)
	}
	entry := `{"name":"größe","rawName":"größe","weatherScore":100,"latestRun":{"id":"1","pipeline":"größe","result":"SUCCESS","state":"FINISHED",` +
		`"startTime":"2026-11-21T01:02:24.06Z","endTime":"2026-11-21T01:02:29.285Z","durationInMillis":5225,"causes":[{"shortDescription":"Branch indexing"}]},"branch":{"url":"größe"}}`
	if diff := cmp.Diff(entry, string(doc)); diff != "" {
		t.Error(diff)
	}
}

func TestScan(t *testing.T) {
	c, srv := replay(t, "08-multibranch.json")
	srv.Final()
	if err := c.Scan(t.Context(), "rec-08c", "mb"); err != nil {
		t.Fatal(err)
	}
	if err := c.Scan(t.Context(), "rec-08c", "rx"); !errors.Is(err, ErrInternal) {
		t.Fatalf("a disabled job: %v", err)
	}
	log, err := c.ScanLog(t.Context(), "rec-08c", "mb")
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, log); !strings.Contains(got, "Finished") {
		t.Errorf("log = %q", got)
	}
}

func TestScanState(t *testing.T) {
	for name, want := range map[string]ScanState{
		"indexing log before any scan": {},
		"scan: log":                    {Ran: true, Started: "[Sat Nov 21 01:02:17 UTC 2026] Starting branch indexing...", Result: "SUCCESS"},
		"log of the second scan":       {Ran: true, Started: "[Sat Nov 21 01:02:35 UTC 2026] Starting branch indexing...", Result: "SUCCESS"},
		"bad remote: scan log": {Ran: true, Started: "[Sat Nov 21 01:02:45 UTC 2026] Starting branch indexing...", Result: "FAILURE",
			Problem: "stderr: fatal: '/srv/repo/git/none.git' does not appear to be a git repository"},
	} {
		t.Run(name, func(t *testing.T) {
			c, srv := replay(t, "08-multibranch.json")
			srv.Use(name)
			job := "mb"
			if strings.HasPrefix(name, "bad") {
				job = "bad"
			}
			got, err := c.ScanState(t.Context(), "rec-08c", job)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("long and running", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "[now] Starting branch indexing...\n"+strings.Repeat("x", 1<<20)+" Finished: SUCCESS\n")
			for range 20000 {
				_, _ = io.WriteString(w, "  Checking branch some/long/name/of/a/branch\n")
			}
		})
		got, err := c.ScanState(t.Context(), "f", "j")
		if err != nil || !got.Ran || got.Result != "" || got.Started == "" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("no job", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Jenkins", "2.541.2")
			w.WriteHeader(http.StatusNotFound)
		})
		if _, err := c.ScanState(t.Context(), "f", "j"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestBranchPage(t *testing.T) {
	c, srv := replay(t, "08-multibranch.json")
	srv.Use("blue: branches limit 2")
	list, err := c.BranchPage(t.Context(), "rec-08c", "mb", Page{Limit: 2})
	if err != nil || len(list) != 2 || list[1].RawName != "a%b" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestFolderNamedLogin: Jenkins leads from a deleted job to its folder, which is no request to log in.
func TestFolderNamedLogin(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/job/login")
		w.WriteHeader(http.StatusFound)
	})
	if err := c.DeleteJob(t.Context(), "login", "j"); err != nil {
		t.Fatal(err)
	}
}
