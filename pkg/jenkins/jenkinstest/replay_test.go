// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorder is a test that notes its failures instead of failing.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Helper() {}

const recording = `{"exchanges":[
{"name":"one","request":{"method":"GET","path":"/a%2Fb/api/json?tree=jobs[name,color,builds[number]{0,5}],x"},"response":{"status":200,"headers":{"X-Jenkins":"2"},
 "body":{"json":{"_class":"F","x":1,"jobs":[{"_class":"J","name":"n","color":"blue","builds":[{"number":3},{"number":2},{"number":1}]}]}}}},
{"name":"two","request":{"method":"GET","path":"/poll"},"response":{"status":404,"body":{"container_message":"gone"}}},
{"name":"two","request":{"method":"GET","path":"/poll"},"response":{"status":200,"body":{"text":"there"}}},
{"name":"form","request":{"method":"POST","path":"/form","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"a=1&b=%C3%BC"},"response":{"status":302,"headers":{"Location":"/x"},"body":{"text":""}}},
{"name":"anonymous","request":{"method":"GET","path":"/none","headers":{"auth":"none"}},"response":{"status":403,"body":{"text":"no"}}}
]}`

func TestReplay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(file, []byte(recording), 0o600); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{TB: t}
	srv := Replay(rec, file)
	send := func(method, path, body string, login bool) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "*/*")
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if login {
			req.SetBasicAuth(User, Token)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	known := []struct {
		method, path, body string
		login              bool
		status             int
		want               string
	}{
		{"GET", "/a%2Fb/api/json?tree=jobs%5Bname%2Cbuilds%5Bnumber%5D%7B0%2C2%7D%5D", "", true, 200, `{"_class":"F","jobs":[{"_class":"J","builds":[{"number":3},{"number":2}],"name":"n"}]}`},
		{"GET", "/poll", "", true, 404, "gone"},
		{"GET", "/poll", "", true, 200, "there"},
		{"GET", "/poll", "", true, 200, "there"},
		{"POST", "/form", "b=%c3%bc&a=1", true, 302, ""},
		{"GET", "/none", "", false, 403, "no"},
	}
	for _, k := range known {
		status, body := send(k.method, k.path, k.body, k.login)
		if status != k.status || !strings.Contains(body, k.want) {
			t.Errorf("%s %s = %d %s", k.method, k.path, status, body)
		}
	}
	if len(rec.failures) > 0 {
		t.Fatalf("known requests failed: %v", rec.failures)
	}
	unknown := []struct {
		method, path, body string
		login              bool
	}{
		{"GET", "/other", "", true}, {"POST", "/poll", "", true}, {"GET", "/poll?start=1", "", true}, {"GET", "/poll", "", false}, {"POST", "/form", "a=2&b=%C3%BC", true},
		{"GET", "/a/b/api/json?tree=x", "", true}, {"GET", "/a%2Fb/api/json?tree=y", "", true}, {"GET", "/a%2Fb/api/json", "", true},
		{"GET", "/a%2Fb/api/json?tree=jobs[builds[number]{0,6}]", "", true},
	}
	for i, u := range unknown {
		if status, _ := send(u.method, u.path, u.body, u.login); status != http.StatusTeapot || len(rec.failures) != i+1 {
			t.Errorf("%s %s %s was answered with %d", u.method, u.path, u.body, status)
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "two", "two", "form", "anonymous"}, srv.Calls()); diff != "" {
		t.Error(diff)
	}
}

func TestProject(t *testing.T) {
	var v any
	if err := json.Unmarshal([]byte(`{"a":1,"b":{"c":2,"d":3},"l":[{"c":1},{"c":2}]}`), &v); err != nil {
		t.Fatal(err)
	}
	for tree, want := range map[string]string{
		"":          `{"a":1,"b":{"c":2,"d":3},"l":[{"c":1},{"c":2}]}`,
		"a":         `{"a":1}`,
		"b[c],none": `{"b":{"c":2}}`,
		"l[c]{0,1}": `{"l":[{"c":1}]}`,
		"b[*]":      `{"b":{"c":2,"d":3}}`,
		"b[":        `{"b":{}}`,
	} {
		got, err := json.Marshal(project(v, parseTree(tree)))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", tree, got, err, want)
		}
	}
}
