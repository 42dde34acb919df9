// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/history"
)

// past is a world with a pipeline whose Jenkinsfile is kept as the controller does it.
type past struct {
	*world
	recorder history.Recorder
}

const pastPipeline = devops + "/namespaces/ann-demo/pipelines/build"

func newPast(t *testing.T) *past {
	t.Helper()
	w := newWorld(t, nil,
		&devopsv1alpha3.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "build", UID: "u1"},
			Spec:       devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "one\n"}},
		},
		&devopsv1alpha3.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "remote", UID: "u2"},
			Spec: devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{
				Source: &devopsv1alpha3.JenkinsfileSource{URL: "https://git.example.org/x", Ref: "main"}}},
		})
	p := &past{w, history.Recorder{Live: w.kube, Client: w.kube, Now: time.Now}}
	p.seen()
	return p
}

// seen lets the recorder see the pipeline, as the controller does after each change.
func (p *past) seen() {
	p.t.Helper()
	if err := p.recorder.Record(p.t.Context(), p.get()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) get() *devopsv1alpha3.Pipeline {
	p.t.Helper()
	obj := &devopsv1alpha3.Pipeline{}
	if err := p.kube.Get(p.t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: "build"}, obj); err != nil {
		p.t.Fatal(err)
	}
	return obj
}

// must makes a request that succeeds, and lets the recorder see what it did.
func (p *past) must(user, method, path, body string) string {
	p.t.Helper()
	got := p.do(call{method: method, user: user, path: path, body: body})
	if got.Code >= 300 {
		p.t.Fatalf("%s %s as %s: %d %s", method, path, user, got.Code, got.Body)
	}
	if method != "GET" {
		p.seen()
	}
	return got.Body.String()
}

func (p *past) authors() string {
	p.t.Helper()
	var names []string
	list := decode[struct{ Items []history.Revision }](p.t, p.do(call{user: "ann", path: pastPipeline + "/jenkinsfile/revisions"}))
	for _, r := range list.Items {
		names = append(names, fmt.Sprintf("%d %s", r.Number, r.Author))
	}
	return strings.Join(names, ", ")
}

func TestJenkinsfileHistory(t *testing.T) {
	p := newPast(t)
	p.must("ann", "PUT", pastPipeline+"/jenkinsfile?mode=raw", `{"data":"one\ntwo\n"}`)
	p.must("root", "PUT", pastPipeline+"/jenkinsfile?mode=raw", `{"data":"one\ntwo\nthree\n"}`)
	if got, want := p.authors(), "3 root, 2 ann, 1 "+history.UnknownAuthor; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	for name, tc := range map[string]struct{ path, accept, want string }{
		"page":           {"?limit=1&page=2", "", `"totalItems":3`},
		"page, its item": {"?limit=1&page=2", "", `"author":"ann"`},
		"beyond":         {"?limit=2&page=9", "", `"items":[]`},
		"oldest first":   {"?ascending=true&limit=1", "", `"revision":1,`},
		"one":            {"/2", "", `"jenkinsfile":"one\ntwo\n"`},
		"diff":           {"/1/diff", "", "--- revision 1\n+++ current\n@@ -1,1 +1,3 @@\n one\n+two\n+three\n"},
		"diff of two":    {"/3/diff?to=2", "text/plain", "--- revision 3\n+++ revision 2\n@@ -1,3 +1,2 @@\n one\n two\n-three\n"},
		"diff as JSON":   {"/3/diff", "application/json", `{"from":"revision 3","to":"current","diff":""}`},
	} {
		for _, family := range []string{"/namespaces/", "/devops/"} {
			got := p.do(call{user: "ann", path: strings.Replace(pastPipeline, "/namespaces/", family, 1) + "/jenkinsfile/revisions" + tc.path, header: map[string]string{"Accept": tc.accept}})
			if got.Code != 200 || !strings.Contains(got.Body.String(), tc.want) {
				t.Errorf("%s%s: %d %s, want %q", family, name, got.Code, got.Body, tc.want)
			}
		}
	}
	if text := p.must("ann", "GET", pastPipeline+"/jenkinsfile/revisions", ""); strings.Contains(text, "two") || !strings.Contains(text, `"current":true`) {
		t.Errorf("a list has the texts, or not which one is current: %s", text)
	}
	version := p.get().ResourceVersion
	p.must("ann", "POST", pastPipeline+"/jenkinsfile/revisions/1/restore", fmt.Sprintf(`{"resourceVersion":%q}`, version))
	if got := p.get(); got.Spec.Pipeline.Jenkinsfile != "one\n" || got.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] != "raw" {
		t.Errorf("restored %q with %v", got.Spec.Pipeline.Jenkinsfile, got.Annotations)
	}
	if got := p.must("ann", "GET", pastPipeline+"/jenkinsfile/revisions/4", ""); !strings.Contains(got, `"restoredFrom":1`) || !strings.Contains(got, `"author":"ann"`) {
		t.Errorf("the restoring: %s", got)
	}
	if got := p.do(call{method: "POST", user: "ann", path: pastPipeline + "/jenkinsfile/revisions/2/restore", body: fmt.Sprintf(`{"resourceVersion":%q}`, version)}); got.Code != 409 {
		t.Errorf("what was changed meanwhile is lost: %d %s", got.Code, got.Body)
	}
	p.must("ann", "POST", strings.Replace(pastPipeline, "/namespaces/", "/devops/", 1)+"/jenkinsfile/revisions/2/restore", "")
	if got := p.get().Spec.Pipeline.Jenkinsfile; got != "one\ntwo\n" {
		t.Errorf("restored without a body: %q", got)
	}
}

// TestAuthorIsWhoChangedTheText: a write that leaves the Jenkinsfile as it is takes nobody's authorship, and a note in a
// request is not believed.
func TestAuthorIsWhoChangedTheText(t *testing.T) {
	p := newPast(t)
	put := func(user, text, more string) string {
		return fmt.Sprintf(`{"metadata":{"uid":"u1","resourceVersion":%q,"annotations":{"x":"y"%s}},"spec":{"type":"pipeline","pipeline":{"jenkinsfile":%q}}}`, p.get().ResourceVersion, more, text)
	}
	forged := fmt.Sprintf(`,%q:%q`, devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation, `{"user":"bob","id":"1","hash":"`+history.Digest("forged\n")+`"}`)
	// The edit of ann has not been seen by the controller when root writes something else.
	if got := p.do(call{method: "PUT", user: "ann", path: pastPipeline + "/jenkinsfile?mode=raw", body: `{"data":"two\n"}`}); got.Code != 200 {
		t.Fatal(got.Body)
	}
	p.must("root", "PUT", pastPipeline, put("root", "two\n", ""))
	p.must("root", "PUT", pastPipeline, put("root", "forged\n", forged))
	if got, want := p.authors(), "3 root, 2 ann, 1 "+history.UnknownAuthor; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	created := p.must("ann", "POST", devops+"/namespaces/ann-demo/pipelines", `{"metadata":{"name":"other","annotations":{"x":"y"`+forged+`}},"spec":{"pipeline":{"jenkinsfile":"forged\n"}}}`)
	if strings.Contains(created, "bob") || !strings.Contains(created, `\"user\":\"ann\"`) {
		t.Errorf("a new pipeline: %s", created)
	}
}

func TestJenkinsfileHistoryRefusals(t *testing.T) {
	p := newPast(t)
	remote := devops + "/namespaces/ann-demo/pipelines/remote"
	for name, tc := range map[string]struct {
		reason             string
		user, method, path string
		body               string
		code               int
		says               string
	}{
		"stranger":           {"no right in the namespace", "bob", "GET", pastPipeline + "/jenkinsfile/revisions", "", 403, ""},
		"stranger restores":  {"no right in the namespace", "bob", "POST", pastPipeline + "/jenkinsfile/revisions/1/restore", "", 403, ""},
		"nobody":             {"no token", "", "GET", pastPipeline + "/jenkinsfile/revisions/1", "", 401, ""},
		"no pipeline":        {"none of this name", "ann", "GET", pastPipeline + "x/jenkinsfile/revisions", "", 404, "not found"},
		"no revision":        {"none of this number", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/99", "", 404, `"99" not found`},
		"no number":          {"not a number", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/latest", "", 400, "counts from 1"},
		"zero":               {"not counted from 0", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/0", "", 400, "counts from 1"},
		"huge":               {"more than fits", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/" + strings.Repeat("9", 200), "", 400, "counts from 1"},
		"bad page":           {"not a number", "ann", "GET", pastPipeline + "/jenkinsfile/revisions?page=x", "", 400, "page must be"},
		"bad side":           {"not a number", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/1/diff?to=%2e%2e", "", 400, "counts from 1"},
		"other side missing": {"none of this number", "ann", "GET", pastPipeline + "/jenkinsfile/revisions/1/diff?to=8", "", 404, "not found"},
		"unknown field":      {"a field that does not exist", "ann", "POST", pastPipeline + "/jenkinsfile/revisions/1/restore", `{"version":"1"}`, 400, "version"},
		"restore nothing":    {"none of this number", "ann", "POST", pastPipeline + "/jenkinsfile/revisions/5/restore", "", 404, "not found"},
		"edit a repository":  {"it is changed there", "ann", "PUT", remote + "/jenkinsfile?mode=raw", `{"data":"x"}`, 400, "spec.pipeline.source"},
		"edit it as JSON":    {"it is changed there", "ann", "PUT", remote + "/jenkinsfile?mode=json", `{"data":"{}"}`, 400, "spec.pipeline.source"},
		"both": {"which one counts nobody could tell", "ann", "POST", devops + "/namespaces/ann-demo/pipelines",
			`{"metadata":{"name":"z"},"spec":{"pipeline":{"jenkinsfile":"x","source":{"url":"https://git.example.org/x","ref":"main"}}}}`, 422, "either jenkinsfile or source"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.do(call{method: tc.method, user: tc.user, path: tc.path, body: tc.body})
			if got.Code != tc.code || !strings.Contains(got.Body.String(), strings.ReplaceAll(tc.says, `"`, `\"`)) {
				t.Errorf("%s: %d %s, want %d with %q", tc.reason, got.Code, got.Body, tc.code, tc.says)
			}
		})
	}
	if got := p.do(call{user: "ann", path: remote + "/jenkinsfile/revisions"}); got.Code != 200 || strings.TrimSpace(got.Body.String()) != `{"items":[],"totalItems":0}` {
		t.Errorf("a pipeline without a Jenkinsfile of its own: %d %s", got.Code, got.Body)
	}
}
