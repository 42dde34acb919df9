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

const v3 = "/kapis/devops.kubesphere.io/v1alpha3"

func TestParse(t *testing.T) {
	devops := func(i Info) *Info {
		i.IsResourceRequest, i.APIGroup, i.APIVersion = true, "devops.kubesphere.io", "v1alpha3"
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
