// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var (
	jobPart   = regexp.MustCompile(`^/job/[^/]+(/job/[^/]+)?(/job/[^/]+)?`)
	bluePart  = regexp.MustCompile(`^/blue/rest/organizations/jenkins/pipelines/[^/]+(/pipelines/[^/]+)?(/branches/[^/]+)?`)
	number    = regexp.MustCompile(`/\d+(/|$)`)
	apisParts = regexp.MustCompile(`^/apis?/(?:[^/]+/)?v[^/]+/`)
)

// callOf names what a request does; empty for the reads and watches that fill caches, which have no
// effect and happen at their own times.
func callOf(kind string, r *http.Request) string {
	switch kind {
	case "kube":
		return kubeCall(r)
	case "s3":
		what := "file"
		if strings.HasSuffix(r.URL.Path, "/log.txt") {
			what = "log.txt"
		} else if strings.Count(r.URL.Path, "/") <= 2 {
			what = "bucket"
		}
		return "S3 " + r.Method + " " + what
	}
	path := r.URL.EscapedPath()
	path = bluePart.ReplaceAllString(path, "blue")
	path = jobPart.ReplaceAllString(path, "job")
	for number.MatchString(path) {
		path = number.ReplaceAllString(path, "/N$1")
	}
	if strings.HasPrefix(path, "job/api/json") && strings.Contains(r.URL.RawQuery, "jobs") {
		path = "folder/api/json"
	}
	return "Jenkins " + r.Method + " " + strings.TrimSuffix(path, "/")
}

func kubeCall(r *http.Request) string {
	rest := apisParts.ReplaceAllString(r.URL.Path, "")
	if rest == r.URL.Path {
		return "" // discovery
	}
	parts := strings.Split(strings.TrimPrefix(rest, "namespaces/"), "/")
	if strings.HasPrefix(rest, "namespaces/") && len(parts) > 1 {
		parts = parts[1:] // the namespace's name
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	if r.Method == http.MethodGet && len(parts) < 2 {
		return "" // a list or a watch
	}
	return "Kubernetes " + r.Method + " " + resource
}

func TestCallOf(t *testing.T) {
	for name, tt := range map[string]struct{ kind, method, url, want string }{
		"a status":              {"kube", "PATCH", "/apis/devops.kubesphere.io/v1alpha3/namespaces/p/pipelineruns/r/status", "Kubernetes PATCH pipelineruns/status"},
		"core":                  {"kube", "POST", "/api/v1/namespaces/p/configmaps", "Kubernetes POST configmaps"},
		"cluster scope":         {"kube", "PATCH", "/apis/devops.kubesphere.io/v1alpha3/devopsprojects/p", "Kubernetes PATCH devopsprojects"},
		"a watch has no effect": {"kube", "GET", "/api/v1/pods?watch=true", ""},
		"discovery neither":     {"kube", "GET", "/apis", ""},
		"a start":               {"jenkins", "POST", "/job/p/job/a%20b/buildWithParameters", "Jenkins POST job/buildWithParameters"},
		"bulk":                  {"jenkins", "GET", "/job/p/api/json?tree=jobs[name]", "Jenkins GET folder/api/json"},
		"a run":                 {"jenkins", "GET", "/blue/rest/organizations/jenkins/pipelines/p/pipelines/b/runs/12/", "Jenkins GET blue/runs/N"},
		"steps":                 {"jenkins", "GET", "/blue/rest/organizations/jenkins/pipelines/p/pipelines/b/runs/12/nodes/6/steps/", "Jenkins GET blue/runs/N/nodes/N/steps"},
		"a queue item":          {"jenkins", "GET", "/queue/item/8/api/json", "Jenkins GET /queue/item/N/api/json"},
		"a log":                 {"s3", "PUT", "/slipway/runs/p/r-uid/log.txt", "S3 PUT log.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://host"+tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := callOf(tt.kind, r); got != tt.want {
				t.Errorf("callOf = %q, want %q", got, tt.want)
			}
		})
	}
}
