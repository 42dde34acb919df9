// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package request

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	v2 = "/kapis/devops.kubesphere.io/v1alpha2"
	v3 = "/kapis/devops.kubesphere.io/v1alpha3"
)

func TestParse(t *testing.T) {
	devops := func(i Info) *Info {
		i.IsResourceRequest, i.APIGroup, i.APIVersion = true, "devops.kubesphere.io", "v1alpha3"
		return &i
	}
	older := func(i Info) *Info {
		i.IsResourceRequest, i.APIGroup, i.APIVersion = true, "devops.kubesphere.io", "v1alpha2"
		return &i
	}
	cases := map[string]struct {
		reason string
		method string
		target string
		want   *Info
	}{
		"list": {
			reason: "a collection is listed",
			target: v3 + "/namespaces/demo/pipelines?limit=10",
			want:   devops(Info{Verb: "list", Namespace: "demo", Resource: "pipelines"}),
		},
		"list of the v3 console": {
			reason: "the older path family means the same",
			target: v3 + "/devops/demo/pipelines",
			want:   devops(Info{Verb: "list", Namespace: "demo", Resource: "pipelines"}),
		},
		"watch": {
			reason: "a watch is a right of its own and a stream",
			target: v3 + "/namespaces/demo/pipelines?watch=true",
			want:   devops(Info{Verb: "watch", Namespace: "demo", Resource: "pipelines", LongRunning: true}),
		},
		"get with watch": {
			reason: "a single object cannot be watched by its address",
			target: v3 + "/namespaces/demo/pipelines/p?watch=true",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "pipelines", Name: "p"}),
		},
		"runs of a pipeline": {
			reason: "they are runs of the namespace, not a subresource of the pipeline",
			method: http.MethodPost,
			target: v3 + "/namespaces/demo/pipelines/p/pipelineruns",
			want:   devops(Info{Verb: "create", Namespace: "demo", Resource: "pipelineruns"}),
		},
		"log": {
			reason: "a log is a subresource",
			target: v3 + "/namespaces/demo/pipelineruns/r/log?start=5",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "r", Subresource: "log"}),
		},
		"followed log": {
			reason: "a followed log is a stream",
			target: v3 + "/namespaces/demo/pipelineruns/r/log/?follow=true",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "r", Subresource: "log", LongRunning: true}),
		},
		"artifact": {
			reason: "a download takes as long as it takes",
			target: v3 + "/namespaces/demo/pipelineruns/r/artifacts/download?filename=a.txt",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "r", Subresource: "artifacts", LongRunning: true}),
		},
		"stages": {
			reason: "the stages are granted with the run",
			target: v3 + "/namespaces/demo/pipelineruns/r/nodedetails",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "r"}),
		},
		"stop": {
			reason: "to stop a run is to update it",
			method: http.MethodPost,
			target: v3 + "/namespaces/demo/pipelineruns/r/stop",
			want:   devops(Info{Verb: "update", Namespace: "demo", Resource: "pipelineruns", Name: "r"}),
		},
		"unknown action": {
			reason: "what is not known needs a right of its own name",
			method: http.MethodPost,
			target: v3 + "/namespaces/demo/pipelineruns/r/replay",
			want:   devops(Info{Verb: "create", Namespace: "demo", Resource: "pipelineruns", Name: "r", Subresource: "replay"}),
		},
		"projects of a workspace": {
			reason: "projects are cluster-scoped",
			target: v3 + "/workspaces/ws/namespaces",
			want:   devops(Info{Verb: "list", Workspace: "ws", Resource: "devopsprojects"}),
		},
		"project": {
			reason: "the older family again",
			method: http.MethodDelete,
			target: v3 + "/workspaces/ws/devops/demo",
			want:   devops(Info{Verb: "delete", Workspace: "ws", Resource: "devopsprojects", Name: "demo"}),
		},
		"delete of a collection": {
			reason: "it is a right of its own",
			method: http.MethodDelete,
			target: v3 + "/namespaces/demo/pipelines",
			want:   devops(Info{Verb: "deletecollection", Namespace: "demo", Resource: "pipelines"}),
		},
		"run of the older version": {
			reason: "a build's number stands for its run",
			target: v2 + "/namespaces/demo/pipelines/p/runs/5/nodes/7/steps",
			want:   older(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "5"}),
		},
		"input of the older version": {
			reason: "an answer lets the run go on",
			method: http.MethodPost,
			target: v2 + "/devops/demo/pipelines/p/branches/main/runs/5/nodes/7/steps/9",
			want:   older(Info{Verb: "update", Namespace: "demo", Resource: "pipelineruns", Name: "5"}),
		},
		"log of a step": {
			reason: "it is granted as the run's log",
			target: v2 + "/namespaces/demo/pipelines/p/runs/5/nodes/7/steps/9/log?start=12",
			want:   older(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "5", Subresource: "log"}),
		},
		"part of a log": {
			reason: "a range may be long",
			target: v2 + "/namespaces/demo/pipelines/p/branches/feat%252Fx/runs/5/log?download=true",
			want:   older(Info{Verb: "get", Namespace: "demo", Resource: "pipelineruns", Name: "5", Subresource: "log", LongRunning: true}),
		},
		"start in a branch": {
			reason: "a run is made",
			method: http.MethodPost,
			target: v2 + "/namespaces/demo/pipelines/p/branches/main/runs",
			want:   older(Info{Verb: "create", Namespace: "demo", Resource: "pipelineruns"}),
		},
		"branch": {
			reason: "branches are a part of what a pipeline shows",
			target: v2 + "/namespaces/demo/pipelines/p/branches/main/sonarstatus",
			want:   older(Info{Verb: "get", Namespace: "demo", Resource: "pipelines", Name: "p"}),
		},
		"script check": {
			reason: "it changes nothing",
			method: http.MethodPost,
			target: v2 + "/namespaces/demo/pipelines/p/checkScriptCompile",
			want:   older(Info{Verb: "get", Namespace: "demo", Resource: "pipelines", Name: "p"}),
		},
		"scan": {
			reason: "a right of its own: whoever may run pipelines need not change them",
			method: http.MethodPost,
			target: v2 + "/namespaces/demo/pipelines/p/scan?delay=0",
			want:   older(Info{Verb: "create", Namespace: "demo", Resource: "pipelines", Name: "p", Subresource: "scan"}),
		},
		"cron check": {
			reason: "it is about no object",
			method: http.MethodPost,
			target: v2 + "/namespaces/demo/checkCron",
			want:   older(Info{Verb: "list", Namespace: "demo", Resource: "pipelines"}),
		},
		"cron check that would stay": {
			reason: "it is no watch, and has the time limit of all others",
			target: v2 + "/namespaces/demo/checkCron?watch=true",
			want:   older(Info{Verb: "list", Namespace: "demo", Resource: "pipelines"}),
		},
		"what was a proxy": {
			reason: "its path is no name",
			method: http.MethodPost,
			target: v2 + "/namespaces/demo/jenkins/gitlab/serverList",
			want:   older(Info{Verb: "list", Namespace: "demo", Resource: "pipelines"}),
		},
		"files of a repository": {
			reason: "to delete a file is to update the repository",
			method: http.MethodDelete,
			target: v3 + "/namespaces/demo/gitrepositories/r/branches/main/files",
			want:   devops(Info{Verb: "update", Namespace: "demo", Resource: "gitrepositories", Name: "r", Upload: true, LongRunning: true}),
		},
		"file of a repository": {
			reason: "to read one is to read the repository",
			target: v3 + "/namespaces/demo/gitrepositories/r/branches/main/files/UkVBRE1F",
			want:   devops(Info{Verb: "get", Namespace: "demo", Resource: "gitrepositories", Name: "r"}),
		},
		"upload": {
			reason: "a file may be larger than other bodies",
			method: http.MethodPut,
			target: v2 + "/namespaces/demo/s2ibinaries/b/file",
			want:   older(Info{Verb: "update", Namespace: "demo", Resource: "s2ibinaries", Name: "b", Upload: true, LongRunning: true}),
		},
		"template": {
			reason: "to render one is to read it",
			method: http.MethodPost,
			target: v3 + "/clustertemplates/t/render",
			want:   devops(Info{Verb: "get", Resource: "clustertemplates", Name: "t"}),
		},
		"search": {
			reason: "it is about the projects that the user may see",
			target: v2 + "/search?q=type:pipeline",
			want:   &Info{Verb: "get"},
		},
		"member": {
			reason: "it is about the rights of the member",
			target: v3 + "/workspaces/ws/workspacemembers/m/namespaces",
			want:   &Info{Verb: "get"},
		},
		"continuous delivery": {
			reason: "it is not served, which everybody may know",
			target: "/kapis/gitops.kubesphere.io/v1alpha1/namespaces/demo/applications",
			want:   &Info{Verb: "get"},
		},
		"event": {
			reason: "those of source code servers may be large, and are bounded by what takes them",
			method: http.MethodPost, target: v3 + "/webhooks/scm/",
			want: &Info{Verb: "post", Upload: true},
		},
		"older event": {
			reason: "as above",
			method: http.MethodPost, target: v2 + "/webhook/github",
			want: &Info{Verb: "post", Upload: true},
		},
		"generic event": {
			reason: "as above",
			method: http.MethodPost, target: v2 + "/webhook/generic-trigger",
			want: &Info{Verb: "post", Upload: true},
		},
		"event of Jenkins": {
			reason: "those are small",
			method: http.MethodPost, target: v3 + "/webhooks/jenkins",
			want: &Info{Verb: "post"},
		},
		"event by another name": {
			reason: "nobody bounds the body there",
			method: http.MethodPost, target: v3 + "/webhooks/scm/x",
			want: &Info{IsResourceRequest: true, Verb: "create", APIGroup: "devops.kubesphere.io", APIVersion: "v1alpha3", Resource: "webhooks", Name: "scm", Subresource: "x"},
		},
		"event by PUT": {
			reason: "as above",
			method: http.MethodPut, target: v3 + "/webhooks/scm",
			want: &Info{Verb: "put"},
		},
		"health": {
			reason: "an address outside of /kapis is no resource",
			target: "/healthz",
			want:   &Info{Verb: "get"},
		},
		"prefix of the root": {
			reason: "a longer first segment is another address",
			target: "/kapisx/devops.kubesphere.io/v1alpha3/namespaces/demo/pipelines",
			want:   &Info{Verb: "get"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, tc.target, nil)
			tc.want.Path = r.URL.Path
			got, err := Parse(r)
			if err != nil {
				t.Fatalf("%s: Parse: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: Parse: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		reason string
		target string
		want   string
	}{
		"encoded slash": {
			reason: "authorization and routing must not read two addresses",
			target: v3 + "/namespaces/mine%2fpipelines%2f..%2f..%2fother/pipelines", want: "encoded slash",
		},
		"encoded backslash": {
			reason: "some proxies take it for a slash",
			target: v3 + "/namespaces/mine%5Cother/pipelines", want: "encoded slash or backslash",
		},
		"dots":         {reason: "an address has one reading", target: v3 + "/namespaces/mine/../other/pipelines", want: `segment ".."`},
		"encoded dots": {reason: "encoding hides nothing", target: v3 + "/namespaces/mine/%2e%2e/other/pipelines", want: `segment ".."`},
		"empty":        {reason: "a name is missing", target: v3 + "/namespaces//pipelines", want: "empty segment"},
		"long name":    {reason: "no name is that long", target: v3 + "/namespaces/demo/pipelines/" + strings.Repeat("a", 300), want: "300 characters long; the limit is 253"},
		"control":      {reason: "no name holds one", target: v3 + "/namespaces/demo/pipelines/a%00b", want: "control character"},
		"not UTF-8":    {reason: "no name is", target: v3 + "/namespaces/demo/pipelines/%ff", want: "UTF-8"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(httptest.NewRequest(http.MethodGet, tc.target, nil))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: Parse: %v, want an error with %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestResolveAlias(t *testing.T) {
	cases := map[string]string{
		"/v1alpha3/webhooks/jenkins": "/kapis/devops.kubesphere.io/v1alpha3/webhooks/jenkins",
		"/v1alpha2/search":           "/kapis/devops.kubesphere.io/v1alpha2/search",
		"/v1alpha31/x":               "/v1alpha31/x",
		"/kapis/x":                   "/kapis/x",
	}
	for path, want := range cases {
		if got := ResolveAlias(path); got != want {
			t.Errorf("ResolveAlias(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestResolveNames(t *testing.T) {
	cases := map[string]struct{ reason, target, want string }{
		"once":      {"a branch as it is called in git", v2 + "/namespaces/d/pipelines/p/branches/feat%2Fx/runs", v2 + "/namespaces/d/pipelines/p/branches/feat%2Fx/runs"},
		"twice":     {"a branch as Jenkins calls it", v2 + "/namespaces/d/pipelines/p/branches/feat%252Fx/runs", v2 + "/namespaces/d/pipelines/p/branches/feat%2Fx/runs"},
		"deep":      {"every slash", v3 + "/namespaces/d/gitrepositories/r/branches/a%2fb%2Fc/files", v3 + "/namespaces/d/gitrepositories/r/branches/a%2Fb%2Fc/files"},
		"unicode":   {"the rest is decoded", v2 + "/namespaces/d/pipelines/p/branches/feat%2F%C3%BC%20x", v2 + "/namespaces/d/pipelines/p/branches/feat%2Fü x"},
		"elsewhere": {"a name of ours has no slash; it is refused", v2 + "/namespaces/a%2Fb/pipelines", v2 + "/namespaces/a/b/pipelines"},
		"outside":   {"others are not touched", "/swagger-ui/branches/a%2Fb", "/swagger-ui/branches/a/b"},
		"climbing":  {"a name that climbs stays one segment", v2 + "/namespaces/d/pipelines/p/branches/..%2F..%2Fx", v2 + "/namespaces/d/pipelines/p/branches/..%2F..%2Fx"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.target, nil)
			got := ResolveNames(r.URL)
			if got.Path != tc.want {
				t.Errorf("%s: %q, want %q", tc.reason, got.Path, tc.want)
			}
			if again := ResolveNames(got); again.Path != got.Path {
				t.Errorf("%s: a second reading gives %q", tc.reason, again.Path)
			}
		})
	}
}
