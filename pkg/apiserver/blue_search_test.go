// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type found struct {
	Items []struct {
		Class       string            `json:"_class"`
		Name        string            `json:"name"`
		FullName    string            `json:"fullName"`
		Annotations map[string]string `json:"annotations"`
		LatestRun   *struct {
			ID string `json:"id"`
		} `json:"latestRun"`
	} `json:"items"`
	TotalCount int `json:"total_count"`
}

func (f found) names() string {
	names := make([]string, 0, len(f.Items))
	for _, item := range f.Items {
		names = append(names, item.FullName)
	}
	return strings.Join(names, " ")
}

func TestSearch(t *testing.T) {
	a := &answers{}
	alias := plainPipeline("ann-web", "p1", map[string]string{"kubesphere.io/alias-name": "Größe Zwei"})
	w := blueWorld(t, a, plainPipeline("ann-demo", "alpha", metadata(metadataOfBuild)), plainPipeline("ann-demo", "alpha-two", nil), plainPipeline("ann-demo", "beta", nil),
		multiBranch("ann-demo", "many", branched(branchesOfMany)), alias, plainPipeline("ann-web", "alpha", nil), plainPipeline("bob-x", "alpha", nil),
		runOf("ann-demo", "alpha", "r1", 0, 3))
	const tail = ";excludedFromFlattening=jenkins.branch.MultiBranchProject,hudson.matrix.MatrixProject"
	for reason, tt := range map[string]struct{ user, q, more, want string }{
		"console's list":     {"ann", "type:pipeline;organization:jenkins;pipeline:ann-demo/*" + tail, "&filter=no-folders&start=0&limit=10", "ann-demo/alpha ann-demo/alpha-two ann-demo/beta ann-demo/many of 4"},
		"keyword":            {"ann", "type:pipeline;organization:jenkins;pipeline:ann-demo/*ALPHA*" + tail, "", "ann-demo/alpha ann-demo/alpha-two of 2"},
		"any order":          {"ann", "pipeline:ann-demo/*two*;excludedFromFlattening:x;type:pipeline", "", "ann-demo/alpha-two of 1"},
		"prefix":             {"ann", "pipeline:ann-demo/al*", "", "ann-demo/alpha ann-demo/alpha-two of 2"},
		"suffix":             {"ann", "pipeline:ann-demo/*two", "", "ann-demo/alpha-two of 1"},
		"exact":              {"ann", "pipeline:ann-demo/alpha", "", "ann-demo/alpha of 1"},
		"middle":             {"ann", "pipeline:ann-demo/a*h*-*", "", "ann-demo/alpha-two of 1"},
		"no overlap":         {"ann", "pipeline:ann-demo/alpha*alpha", "", " of 0"},
		"across projects":    {"ann", "type:pipeline;pipeline:*alpha*", "", "ann-demo/alpha ann-demo/alpha-two ann-web/alpha of 3"},
		"no pattern":         {"ann", "pipeline:ann-web/", "", "ann-web/alpha ann-web/p1 of 2"},
		"no term":            {"ann", "", "&limit=2", "ann-demo/alpha ann-demo/alpha-two of 6"},
		"alias, encoded":     {"ann", "pipeline:ann-web/*" + url.QueryEscape("größe") + "*", "", "ann-web/p1 of 1"},
		"alias":              {"ann", "pipeline:*Zwei*", "", "ann-web/p1 of 1"},
		"second page":        {"ann", "pipeline:ann-demo/*", "&start=3&limit=3", "ann-demo/many of 4"},
		"page over projects": {"ann", "", "&start=3&limit=2", "ann-demo/many ann-web/alpha of 6"},
		"beyond the end":     {"ann", "pipeline:ann-demo/*", "&start=400&limit=10", " of 4"},
		"far beyond":         {"ann", "pipeline:ann-demo/*", "&start=999999999999", " of 4"},
		"all":                {"ann", "pipeline:ann-demo/*", "&limit=-1", "ann-demo/alpha ann-demo/alpha-two ann-demo/beta ann-demo/many of 4"},
		"everything":         {"ann", "pipeline:ann-demo/*", "&limit=10000000", "ann-demo/alpha ann-demo/alpha-two ann-demo/beta ann-demo/many of 4"},
		"another's project":  {"ann", "pipeline:bob-x/*", "", " of 0"},
		"of another":         {"bob", "pipeline:*", "", "bob-x/alpha of 1"},
		"administrator":      {"root", "pipeline:*alpha", "", "ann-demo/alpha ann-web/alpha bob-x/alpha of 3"},
		"nobody's":           {"eve", "", "", " of 0"},
		"odd":                {"ann", ";;;:=;pipeline:ann-demo/[a-z]?%zz;", "", " of 0"},
	} {
		answer := w.do(call{user: tt.user, path: blueRoot + "/search?q=" + url.QueryEscape(tt.q) + tt.more})
		if answer.Code != 200 {
			t.Errorf("%s: %d %s", reason, answer.Code, answer.Body)
			continue
		}
		got := decode[found](t, answer)
		if text := fmt.Sprintf("%s of %d", got.names(), got.TotalCount); text != tt.want {
			t.Errorf("%s: found %q, want %q", reason, text, tt.want)
		}
		if got.Items == nil {
			t.Errorf("%s: items is null", reason)
		}
	}
	// The alias path, and items as the detail shows them.
	got := decode[found](t, w.do(call{user: "ann", path: "/v1alpha2/search?q=" + url.QueryEscape("pipeline:ann-demo/alpha")}))
	if len(got.Items) != 1 || got.Items[0].LatestRun == nil || got.Items[0].LatestRun.ID != "3" || got.Items[0].Class == "" {
		t.Errorf("item: %+v", got)
	}
	if got := decode[found](t, w.do(call{user: "ann", path: blueRoot + "/search?q=pipeline:ann-web/p1"})); len(got.Items) != 1 || got.Items[0].Annotations["kubesphere.io/alias-name"] == "" {
		t.Errorf("annotations: %+v", got)
	}
	// Semicolons as the console of version 3 sends them, and half encoded.
	for _, raw := range []string{
		"start=0&q=type:pipeline;organization:jenkins;pipeline:ann-demo/*alpha*;excludedFromFlattening=a,b&filter=no-folders&limit=10",
		"q=type%3Apipeline;pipeline%3Aann-demo%2F*alpha*", "q=pipeline:ann-demo/*alpha*;%zz",
	} {
		got := decode[found](t, w.do(call{user: "ann", path: blueRoot + "/search?" + raw}))
		if got.TotalCount != 2 {
			t.Errorf("%s: %d found, want 2", raw, got.TotalCount)
		}
	}
	for query, want := range map[string]string{"q=type:folder": "type:pipeline", "start=-1": "start", "limit=0": "limit", "limit=many": "limit"} {
		if code, body := w.send("ann", "GET", blueRoot+"/search?"+query, ""); code != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want 400 about %s", query, code, body, want)
		}
	}
	if code, _ := w.send("", "GET", blueRoot+"/search", ""); code != 401 {
		t.Errorf("nobody: %d", code)
	}
	if asked := a.asked(); len(asked) > 0 {
		t.Errorf("Jenkins was asked: %v", asked)
	}
}

// TestSearchAsksOnceForAProject counts the questions for rights: not one a pipeline.
func TestSearchAsksOnceForAProject(t *testing.T) {
	var objects []client.Object
	for i := range 300 {
		objects = append(objects, plainPipeline(fmt.Sprintf("ann-%d", i%3), fmt.Sprintf("p%d", i), nil))
	}
	var asked int
	w := newWorld(t, func(config *Config) { config.Authorizer = ownNamespaces(&asked) }, objects...)
	if got := decode[found](t, w.do(call{user: "ann", path: blueRoot + "/search?limit=5"})); got.TotalCount != 300 || len(got.Items) != 5 {
		t.Fatalf("%d of %d", len(got.Items), got.TotalCount)
	}
	if asked != 4 {
		t.Errorf("%d questions for 3 projects, want one each and one for all", asked)
	}
}

// TestSearchWithoutAnswer is that of a cluster that cannot say who may see what.
func TestSearchWithoutAnswer(t *testing.T) {
	w := newWorld(t, func(config *Config) {
		config.Authorizer = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return authorizer.DecisionDeny, "", errors.New("hunter2: connection refused")
		})
	}, plainPipeline("ann-demo", "alpha", nil), ownedProject("ann-demo"))
	for _, path := range []string{blueRoot + "/search", devops + "/workspaces/ws/workspacemembers/ann/namespaces", devops + "/ci/nodelabels"} {
		if code, body := w.send("ann", "GET", path, ""); code != 503 || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %d %s, want 503", path, code, body)
		}
	}
}
