// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kubesphere

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestMatch(t *testing.T) {
	cases := map[string]struct {
		reason    string
		want, got string
		problem   string
	}{
		"Subset":        {"other keys may be there", `{a: 1}`, `{"a":1,"b":2}`, ""},
		"Other":         {"a value differs", `{a: 1}`, `{"a":2}`, "body/a: want 1, got 2"},
		"Missing":       {"a key is missing", `{a: $any}`, `{"b":2}`, "got nothing"},
		"Null":          {"null is not any value", `{a: $any}`, `{"a":null}`, "got null"},
		"AnyList":       {"a list is any value", `{a: $any}`, `{"a":[]}`, ""},
		"Absent":        {"a key is not there", `{a: $absent}`, `{"b":1}`, ""},
		"Present":       {"a key is there that should not be", `{a: $absent}`, `{"a":{}}`, "want \"$absent\""},
		"Length":        {"lists are as long as wanted", `[1]`, `[1,2]`, "want [1]"},
		"EmptyList":     {"an empty list is not null", `{items: []}`, `{"items":null}`, "got null"},
		"Empty":         {"an empty list", `$empty`, `[]`, ""},
		"NotEmpty":      {"a list with something", `$empty`, `[1]`, "got [1]"},
		"Contains":      {"an element matches", `{$contains: {k: b}}`, `[{"k":"a"},{"k":"b"}]`, ""},
		"ContainsNone":  {"no element does", `{$contains: {k: c}}`, `[{"k":"a"}]`, "no element"},
		"Every":         {"one does not", `{$every: {k: a}}`, `[{"k":"a"},{"k":"b"}]`, "body/1/k"},
		"EveryOfNone":   {"an empty list proves nothing", `{$every: {k: a}}`, `[]`, "not empty"},
		"JSON":          {"a text is JSON", `{$json: {x: [1]}}`, `"{\"x\":[1]}"`, ""},
		"NoJSON":        {"a text is not", `{$json: {x: 1}}`, `"x"`, "want JSON"},
		"Expression":    {"a text", `re:^a.c$`, `"abc"`, ""},
		"NoText":        {"a number is no text", `re:1`, `1`, "got 1"},
		"Time":          {"RFC 3339", `$time`, `"2026-11-21T10:00:00Z"`, ""},
		"JenkinsTime":   {"Jenkins' layout is not", `$time`, `"2026-11-21T10:00:00.000+0000"`, "$time"},
		"Not":           {"what is not wanted", `{$not: a}`, `"a"`, "not wanted"},
		"OneOf":         {"one of them", `{$oneOf: [a, b]}`, `"b"`, ""},
		"NoneOf":        {"none of them", `{$oneOf: [a, b]}`, `"c"`, "got \"c\""},
		"AtLeast":       {"a number", `{$atLeast: 2}`, `1`, "got 1"},
		"AtMost":        {"a number", `{$atMost: 2}`, `2`, ""},
		"Ordered":       {"by a key", `{$ordered: {by: m/k}}`, `[{"m":{"k":"a"}},{"m":{"k":"b"}}]`, ""},
		"Unordered":     {"the other way round", `{$ordered: {by: k, descending: true}}`, `[{"k":"a"},{"k":"b"}]`, "not sorted"},
		"LengthOf":      {"of a list", `{$length: {$atLeast: 2}}`, `[1]`, "(length)"},
		"NumberForText": {"a number is not its text", `"1"`, `1`, "want \"1\""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var want, got any
			for text, into := range map[string]*any{tc.want: &want, tc.got: &got} {
				if err := yaml.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			m := &matcher{}
			problem := m.match("body", want, got)
			if tc.problem == "" && problem != "" || !strings.Contains(problem, tc.problem) {
				t.Errorf("%s: got %q, want %q", tc.reason, problem, tc.problem)
			}
			if m.checks == 0 && tc.problem == "" {
				t.Errorf("%s: nothing was counted", tc.reason)
			}
		})
	}
}

func TestCasesAreValid(t *testing.T) {
	cases, err := Cases("")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Error("there are no cases")
	}
	if _, err := Routes(); err != nil {
		t.Error(err)
	}
}

func TestRoutesFind(t *testing.T) {
	table, err := Routes()
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"GET /v1alpha3/clustersteptemplates?limit=1":                                             "GET /kapis/devops.kubesphere.io/v1alpha3/clustersteptemplates",
		"GET /kapis/devops.kubesphere.io/v1alpha3/devops/p/pipelines/a/":                         "GET /kapis/devops.kubesphere.io/v1alpha3/devops/{devops}/pipelines/{pipeline}",
		"POST /kapis/devops.kubesphere.io/v1alpha2/namespaces/p/jenkins/gitlab/serverList":       "POST /kapis/devops.kubesphere.io/v1alpha2/namespaces/{devops}/jenkins/{path*}",
		"POST /kapis/devops.kubesphere.io/v1alpha2/namespaces/p/pipelines/a/branches/x%2Fy/runs": "POST /kapis/devops.kubesphere.io/v1alpha2/namespaces/{devops}/pipelines/{pipeline}/branches/{branch}/runs",
		"GET /kapis/devops.kubesphere.io/v1alpha3/workspaces/w/devops/p":                         "GET /kapis/devops.kubesphere.io/v1alpha3/workspaces/{workspace}/devops/{devops}",
		"DELETE /kapis/devops.kubesphere.io/v1alpha3/namespaces/p/pipelines":                     "",
		"GET /healthz": "",
	} {
		method, path, _ := strings.Cut(target, " ")
		address, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.find(method, address); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

// TestReread repeats a change that met a conflict with what is read again.
func TestReread(t *testing.T) {
	puts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			_, _ = w.Write([]byte(`{"metadata":{"name":"p-1"}}`))
		case http.MethodDelete:
			_, _ = w.Write([]byte(`{"message":"success"}`))
		case http.MethodPut:
			if puts++; r.URL.RawQuery != "2" {
				w.WriteHeader(http.StatusConflict)
			}
			_, _ = w.Write([]byte(`{}`))
		default:
			_, _ = fmt.Fprintf(w, `{"version":%d,"status":{"adminNamespace":"p-1"}}`, puts)
		}
	}))
	defer server.Close()
	put := Step{Do: "PUT /x?<<version>>", Reread: 1}
	cases := []Case{{Name: "put", Behaviour: "a change", Once: true, Steps: []Step{{Do: "GET /x", Save: map[string]string{"version": "version"}}, put}}}
	report, err := Run(t.Context(), Environment{Base: server.URL, Token: "t"}, Options{Cases: cases})
	if err != nil {
		t.Fatal(err)
	}
	if failed := report.Failed(); len(failed) > 0 || puts != 3 {
		t.Errorf("%d changes were sent, want 3; failed: %+v", puts, failed)
	}
}

// TestRun runs a suite of one case against a server that breaks the contract in one place.
func TestRun(t *testing.T) {
	good := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPost:
			_, _ = w.Write([]byte(`{"metadata":{"name":"p-1"}}`))
		case r.Method == http.MethodDelete:
			_, _ = w.Write([]byte(`{"message":"success"}`))
		case strings.HasSuffix(r.URL.Path, "/pipelines") && !good:
			_, _ = w.Write([]byte(`{"items":null}`))
		case strings.HasSuffix(r.URL.Path, "/pipelines"):
			_, _ = w.Write([]byte(`{"items":[]}`))
		default:
			_, _ = w.Write([]byte(`{"status":{"adminNamespace":"p-1"}}`))
		}
	}))
	defer server.Close()
	cases := []Case{
		{Name: "list", Behaviour: "a list", Steps: []Step{{Do: "GET <<v3ns>>/pipelines", Expect: Expect{JSON: map[string]any{"items": []any{}}}}}},
		{Name: "git", Behaviour: "a need", Needs: []Need{NeedGit}, Once: true, Steps: []Step{{Do: "GET /"}}},
	}
	for _, good = range []bool{true, false} {
		report, err := Run(t.Context(), Environment{Base: server.URL, Token: "t"}, Options{Cases: cases})
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Outcomes) != 3 || report.Outcomes[0].Skipped == "" {
			t.Fatalf("outcomes %+v", report.Outcomes)
		}
		want := 0
		if !good {
			want = 2
		}
		if failed := report.Failed(); len(failed) != want {
			t.Errorf("server is good: %v, failed: %+v", good, failed)
		}
		list := "GET /kapis/devops.kubesphere.io/v1alpha3/devops/{devops}/pipelines"
		for _, missing := range report.Missing {
			if missing == list && good {
				t.Errorf("%s counts as not covered", missing)
			}
		}
	}
}

func TestFind(t *testing.T) {
	value := map[string]any{"a/b": []any{map[string]any{"k": "x"}, map[string]any{"k": "y", "i": map[string]any{"id": "1"}, "e": []any{}}}}
	for path, want := range map[string]any{
		"a~1b/0/k": "x", "a~1b/[k=y]/i/id": "1", "a~1b/[i]/k": "y", "a~1b/9/k": nil, "a~1b/[k=z]/k": nil, "a~1b/[e]/k": nil, "c": nil, "a~1b/0/k/z": nil,
	} {
		got, err := find(value, path)
		if got != want || (err == nil) != (want != nil) {
			t.Errorf("%s: got %v (%v), want %v", path, got, err, want)
		}
	}
}
