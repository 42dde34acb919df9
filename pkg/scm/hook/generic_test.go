// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scm"
)

func TestNotify(t *testing.T) {
	servers := scm.NewDirectory([]scm.Server{{Name: "ours", Provider: scm.GitLab, URL: "https://gitlab.example.org"}}, nil, "")
	objects := func() []client.Object {
		return []client.Object{gitURL("multi", "https://git.example.org/a/b.git"), plain("plain", "https://git.example.org/a/b", `["^main$"]`), gitlabSource("named", "ours", "", "a", "a/b")}
	}
	token := func(text string) Request { return Request{Query: url.Values{"token": {text}}, Header: http.Header{}} }
	for name, tc := range map[string]struct {
		url, branches, commit string
		q                     Request
		unsigned              bool
		want                  []string
		err                   error
	}{
		"scan":        {"git@git.example.org:A/B", "", "", token(serverSecret), false, []string{"scan p/multi"}, nil},
		"start":       {"https://git.example.org/a/b", "dev, main", commitA, token(serverSecret), false, []string{"scan p/multi", "start p/plain"}, nil},
		"no commit":   {"https://git.example.org/a/b", "main", "", token(serverSecret), false, []string{"scan p/multi"}, nil},
		"bearer":      {"https://git.example.org/a/b", "", "", Request{Header: http.Header{"Authorization": {"Bearer " + serverSecret}}}, false, []string{"scan p/multi"}, nil},
		"named":       {"https://gitlab.example.org/a/b.git", "", "", token(serverSecret), false, []string{"scan p/named"}, nil},
		"wrong":       {"https://git.example.org/a/b", "", "", token("wrong"), true, nil, ErrSignature},
		"none":        {"https://git.example.org/a/b", "", "", token(""), false, nil, ErrUnsigned},
		"unsigned":    {"https://git.example.org/a/b", "", "", token(""), true, []string{"scan p/multi"}, nil},
		"no address":  {"", "", "", token(serverSecret), false, nil, ErrMalformed},
		"bad address": {"javascript:1", "", "", token(serverSecret), false, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{Secret: []byte(serverSecret), AllowUnsigned: tc.unsigned, Servers: servers}, objects()...)
			if err := w.receiver.Notify(t.Context(), tc.url, tc.branches, tc.commit, tc.q); !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want %v", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, w.done()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGeneric(t *testing.T) {
	pipeline := func(name, token string, change func(*devopsv1alpha3.NoScmPipeline)) *devopsv1alpha3.Pipeline {
		p := plain(name, "", "")
		p.Spec.Pipeline.GenericWebhook = &devopsv1alpha3.GenericWebhook{Enable: true, Token: token, RequestVariables: []devopsv1alpha3.GenericVariable{{Key: "ref", RegexpFilter: "^refs/heads/"}},
			HeaderVariables: []devopsv1alpha3.GenericVariable{{Key: "X-Build-Kind"}, {Key: "Authorization"}}}
		p.Spec.Pipeline.Jenkinsfile = "pipeline { agent any\n parameters { string(name: 'x_build_kind', defaultValue: '') }\n stages { stage('a') { steps { echo 'x' } } } }"
		p.Spec.Pipeline.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "ref", Type: "string"}, {Name: "ref_0", Type: "choice", DefaultValue: "a\nb"}, {Name: "authorization", Type: "string"}, {Name: "unset", Type: "string"}}
		if change != nil {
			change(p.Spec.Pipeline)
		}
		return p
	}
	filter := func(text, expression string) func(*devopsv1alpha3.NoScmPipeline) {
		return func(p *devopsv1alpha3.NoScmPipeline) {
			p.GenericWebhook.FilterText, p.GenericWebhook.FilterExpression = text, expression
		}
	}
	objects := []client.Object{
		pipeline("a", "token-one", nil), pipeline("b", "token-one", filter("$ref ${x_build_kind}", "^main full$")), pipeline("c", "token-one", filter("$ref", "^dev$")), pipeline("d", "token-one", filter("x", "(")),
		pipeline("e", "token-two", nil), pipeline("off", "token-one", func(p *devopsv1alpha3.NoScmPipeline) { p.GenericWebhook.Enable = false }),
		pipeline("bad", "token-one", func(p *devopsv1alpha3.NoScmPipeline) { p.GenericWebhook.RequestVariables[0].RegexpFilter = "(?<x" }),
		pipeline("empty", "", nil),
		// What would take the server's memory or time starts nothing.
		pipeline("huge", "token-one", filter(strings.Repeat("$ref", 60_000), "main")),
		pipeline("slow", "token-one", filter("$ref", "main|"+strings.Repeat("(.{0,1000})", 90)+"y")),
		pipeline("slower", "token-one", func(p *devopsv1alpha3.NoScmPipeline) {
			p.GenericWebhook.RequestVariables[0].RegexpFilter = strings.Repeat("(.{0,1000})", 90) + "y"
		}),
	}
	request := func(token, delivery string) Request {
		return Request{Query: url.Values{"token": {token}, "ref": {"refs/heads/main"}}, Header: http.Header{"X-Build-Kind": {"full"}, "Authorization": {"Bearer token-one"}, "Idempotency-Key": {delivery}}}
	}
	w := newWorld(t, Options{}, objects...)
	for _, step := range []struct {
		reason string
		q      Request
		want   []string
		err    error
	}{
		{"", request("token-one", "1"), []string{"start p/a", "start p/b"}, nil},
		{"one delivery is one run", request("token-one", "1"), nil, nil},
		{"", request("token-one", "2"), []string{"start p/a", "start p/b"}, nil},
		{"without a name each starts a run", request("token-two", ""), []string{"start p/e"}, nil},
		{"", request("token-two", ""), []string{"start p/e"}, nil},
		{"nobody has it, and nobody is told", request("token-none", "3"), nil, nil},
		{"a bearer token is one, too", Request{Header: http.Header{"Authorization": {"Bearer token-two"}}}, []string{"start p/e"}, nil},
		{"and a header", Request{Header: http.Header{"Token": {"token-two"}}}, []string{"start p/e"}, nil},
		{"", Request{}, nil, ErrUnsigned},
		{"", request(strings.Repeat("x", 300), "4"), nil, ErrUnsigned},
	} {
		if err := w.receiver.Generic(t.Context(), step.q); !errors.Is(err, step.err) {
			t.Fatalf("%s: %v", step.reason, err)
		}
		if diff := cmp.Diff(step.want, w.done()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.reason, diff)
		}
	}
	runs := &devopsv1alpha3.PipelineRunList{}
	if err := w.kube.List(t.Context(), runs, client.InNamespace("p")); err != nil {
		t.Fatal(err)
	}
	want := []devopsv1alpha3.Parameter{{Name: "ref", Value: "main"}, {Name: "x_build_kind", Value: "full"}}
	for _, run := range runs.Items {
		if run.Spec.PipelineRef.Name != "a" {
			continue
		}
		if diff := cmp.Diff(want, run.Spec.Parameters); diff != "" {
			t.Errorf("parameters that the pipeline defines: %s", diff)
		}
		if strings.Contains(fmt.Sprint(run.Annotations), "token-one") {
			t.Errorf("the token is in %v", run.Annotations)
		}
	}
}
