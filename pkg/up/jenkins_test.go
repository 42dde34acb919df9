// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// given is a Jenkins as far as an inspection sees it.
func given(answers map[string]string, status map[string]int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Jenkins", "2.541.2")
		if v, ok := answers["version"]; ok {
			w.Header().Set("X-Jenkins", v)
		}
		path := strings.TrimPrefix(r.URL.Path, "/ci")
		if code, ok := status[path]; ok {
			w.WriteHeader(code)
			return
		}
		if body, ok := answers[path]; ok {
			_, _ = io.WriteString(w, body)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}
}

// allPlugins is the answer of a Jenkins that has what Slipway uses, but for some.
func allPlugins(but ...string) string {
	var list []string
	for _, r := range jenkins.Requirements() {
		if !strings.Contains(" "+strings.Join(but, " ")+" ", " "+r.Plugin+" ") {
			list = append(list, fmt.Sprintf(`{"shortName":%q,"version":"1","active":true}`, r.Plugin))
		}
	}
	return `{"plugins":[` + strings.Join(list, ",") + `]}`
}

func TestInspection(t *testing.T) {
	const (
		root, who, plugins, cloud = "/api/json", "/whoAmI/api/json", "/pluginManager/api/json", "/manage/cloud/kubernetes/"
		admin                     = `{"anonymous":false,"name":"admin"}`
	)
	for reason, tc := range map[string]struct {
		answers map[string]string
		status  map[string]int
		said    []string
		not     []string
		err     string
	}{
		"all is there": {
			answers: map[string]string{root: "{}", who: admin, plugins: allPlugins(), cloud: "<html>"},
			said:    []string{"Jenkins 2.541.2 at http", "as admin"}, not: []string{"  - "},
		},
		"old": {
			answers: map[string]string{"version": "2.387.3", root: "{}", who: admin, plugins: allPlugins(), cloud: "x"},
			said:    []string{"Jenkins 2.387.3 is older than 2.414"},
		},
		"plugins are missing": {
			answers: map[string]string{root: "{}", who: admin, plugins: allPlugins("workflow-job", "generic-event"), cloud: "x"},
			said:    []string{"MISSING plugin workflow-job: pipelines", "plugin generic-event is not there (optional: news of builds", "make test-jenkins"},
		},
		"a user of few rights": {
			answers: map[string]string{root: "{}", who: `{"name":"dev"}`}, status: map[string]int{plugins: 403, cloud: 403},
			said: []string{"as dev", "may not see the plugins (Overall/SystemRead)", "MISSING right Overall/Administer"},
		},
		"no cloud": {
			answers: map[string]string{root: "{}", who: admin, plugins: allPlugins()}, said: []string{`MISSING Kubernetes cloud "kubernetes"`},
		},
		"anonymous":     {answers: map[string]string{root: "{}", who: `{"anonymous":true,"name":"anonymous"}`, plugins: allPlugins(), cloud: "x"}, said: []string{"anonymous user"}},
		"a wrong token": {status: map[string]int{root: 401}, err: "refuses the credential"},
		"no read":       {status: map[string]int{root: 403}, err: "Overall/Read"},
		"no Jenkins":    {answers: map[string]string{"version": "", root: "{}"}, err: "is not Jenkins"},
		"starting":      {status: map[string]int{root: 503}, said: []string{"waiting for Jenkins", "WARNING: Jenkins at http", "does not answer"}},
	} {
		t.Run(reason, func(t *testing.T) {
			srv := httptest.NewServer(given(tc.answers, tc.status))
			defer srv.Close()
			client, err := jenkins.New(jenkins.Config{URL: srv.URL + "/ci", Username: "u", Token: "hunter2"})
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			i := &inspection{jenkins: client, url: srv.URL + "/ci", cloud: "kubernetes", patience: 100 * time.Millisecond,
				say: func(format string, args ...any) { fmt.Fprintf(&out, format, args...) }}
			err = i.run(t.Context())
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("err = %v, want %q", err, tc.err)
			}
			for _, want := range tc.said {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
			for _, not := range tc.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("it says %q:\n%s", not, out.String())
				}
			}
			if strings.Contains(out.String()+fmt.Sprint(err), "hunter2") {
				t.Errorf("it tells the token: %v\n%s", err, out.String())
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		client, err := jenkins.New(jenkins.Config{URL: "http://" + l.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		i := &inspection{jenkins: client, url: "u", say: func(format string, args ...any) { fmt.Fprintf(&out, format, args...) }}
		if err := i.run(t.Context()); err != nil || !strings.Contains(out.String(), "WARNING") {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
}
