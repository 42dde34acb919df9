// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// TestEditJenkinsfile stores edits for the controller, which converts them.
func TestEditJenkinsfile(t *testing.T) {
	const doc = `{"pipeline":{}}`
	body := func(data string) string {
		text, err := json.Marshal(map[string]string{"data": data})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	own := func() client.Object {
		return &devopsv1alpha3.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "build", Annotations: map[string]string{"pipeline.devops.kubesphere.io/jenkinsfile": "before"}},
			Spec:       devopsv1alpha3.PipelineSpec{Type: "pipeline", Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "old"}},
		}
	}
	branches := func() client.Object {
		return &devopsv1alpha3.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ann-demo", Name: "build"},
			Spec:       devopsv1alpha3.PipelineSpec{Type: "multi-branch-pipeline", MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{}},
		}
	}
	type state struct{ mode, doc, jenkinsfile string }
	unchanged := state{"", "before", "old"}
	cases := map[string]struct {
		reason       string
		pipeline     func() client.Object
		user, path   string
		body         string
		code         int
		wantInAnswer string
		want         state
	}{
		"raw":        {"the Jenkinsfile is stored", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", body("new"), 200, `{"result":"success"}`, state{"raw", "before", "new"}},
		"raw v3":     {"the older paths", own, "ann", "/devops/ann-demo/pipelines/build/jenkinsfile?mode=raw", body("größe\n"), 200, `{"result":"success"}`, state{"raw", "before", "größe\n"}},
		"raw broken": {"what is wrong is told by the pipeline", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", body("pipeline {"), 200, `{"result":"success"}`, state{"raw", "before", "pipeline {"}},
		"raw empty":  {"a Jenkinsfile can be cleared", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", body(""), 200, `{"result":"success"}`, state{"raw", "before", ""}},
		"json":       {"the Jenkinsfile stays until the document is converted", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=json", body(doc), 200, `{"result":"success"}`, state{"json", doc, "old"}},
		"no mode":    {"what data is must be said", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile", body(doc), 400, "mode must be raw", unchanged},
		"other mode": {"what data is must be said", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=xml", body(doc), 400, "mode must be raw", unchanged},
		"no body":    {"nothing to store", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", " ", 400, "the body is empty", unchanged},
		"no data":    {"it is not cleared by an oversight", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", `{}`, 400, "data is missing", unchanged},
		"null":       {"as none", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", `{"data":null}`, 400, "data is missing", unchanged},
		"a list":     {"data is a text", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=json", `{"data":{}}`, 400, "data", unchanged},
		"unknown":    {"a field that does not exist", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", `{"dat":"x"}`, 400, "dat", unchanged},
		"large":      {"it would not fit in the annotations", own, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=json", body(strings.Repeat("x", 200<<10)), 413, "edit the Jenkinsfile itself", unchanged},
		"branches":   {"the Jenkinsfile is in the repository", branches, "ann", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", body("x"), 400, "in its repository", state{}},
		"missing":    {"no such pipeline", own, "ann", "/namespaces/ann-demo/pipelines/other/jenkinsfile?mode=raw", body("x"), 404, "not found", unchanged},
		"stranger":   {"no right in the namespace", own, "bob", "/namespaces/ann-demo/pipelines/build/jenkinsfile?mode=raw", body("x"), 403, "", unchanged},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, tc.pipeline())
			answer := w.do(call{method: "PUT", user: tc.user, path: devops + tc.path, body: tc.body})
			if answer.Code != tc.code || !strings.Contains(answer.Body.String(), tc.wantInAnswer) {
				t.Errorf("%s: %d %.300s, want %d with %q", tc.reason, answer.Code, answer.Body, tc.code, tc.wantInAnswer)
			}
			p := &devopsv1alpha3.Pipeline{}
			if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "ann-demo", Name: "build"}, p); err != nil {
				t.Fatal(err)
			}
			got := state{mode: p.Annotations["pipeline.devops.kubesphere.io/jenkinsfile.edit.mode"], doc: p.Annotations["pipeline.devops.kubesphere.io/jenkinsfile"]}
			if p.Spec.Pipeline != nil {
				got.jenkinsfile = p.Spec.Pipeline.Jenkinsfile
			}
			if got != tc.want {
				t.Errorf("%s: stored %+v, want %+v", tc.reason, got, tc.want)
			}
		})
	}
}
