// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
)

// templateObjects are templates of all kinds. The step is that of the peer's own API test.
func templateObjects() []client.Object {
	spec := devopsv1alpha3.TemplateSpec{
		Parameters: []devopsv1alpha3.TemplateParameter{{Name: "what", Required: true}, {Name: "n", Type: "int", Default: &apiextensionsv1.JSON{Raw: []byte("1")}}},
		Template:   "node { echo $(.params.what | quote) }",
	}
	return []client.Object{
		&devopsv1alpha3.Template{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-p", Name: "own", Labels: map[string]string{"l": "1"}}, Spec: spec},
		&devopsv1alpha3.Template{ObjectMeta: metav1.ObjectMeta{Namespace: "bob-p", Name: "other"}, Spec: spec},
		&devopsv1alpha3.ClusterTemplate{ObjectMeta: metav1.ObjectMeta{Name: "go"}, Spec: spec},
		&devopsv1alpha3.ClusterTemplate{ObjectMeta: metav1.ObjectMeta{Name: "maven", Annotations: map[string]string{"a": "b"}}, Spec: spec},
		&devopsv1alpha3.ClusterStepTemplate{ObjectMeta: metav1.ObjectMeta{Name: "steptemplate-sample"},
			Spec: devopsv1alpha3.StepTemplateSpec{Runtime: "shell", Template: "echo 1"}},
		&devopsv1alpha3.ClusterStepTemplate{ObjectMeta: metav1.ObjectMeta{Name: "secret"},
			Spec: devopsv1alpha3.StepTemplateSpec{Template: "{{.param.command}}", Secret: devopsv1alpha3.StepSecret{Wrap: true},
				Parameters: []devopsv1alpha3.StepParameter{{Name: "command", Type: "code", Required: true}}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-p", Name: "s"}, Type: devopsv1alpha3.SecretTypeSecretText,
			Data: map[string][]byte{"secret": []byte("hidden")}},
	}
}

func TestTemplateLists(t *testing.T) {
	w := newWorld(t, nil, templateObjects()...)
	cases := map[string]struct {
		reason, path string
		want         []string
	}{
		"Cluster":       {"the console asks for a hundred", devops + "/clustertemplates?limit=100&sortBy=name&ascending=true", []string{"go", "maven"}},
		"ClusterPage":   {"pages", devops + "/clustertemplates?page=2&limit=1&sortBy=name&ascending=true", []string{"maven"}},
		"ClusterName":   {"part of a name", devops + "/clustertemplates?name=mav", []string{"maven"}},
		"Steps":         {"all steps", devops + "/clustersteptemplates?sortBy=name", []string{"steptemplate-sample", "secret"}},
		"Alias":         {"the short address", "/v1alpha3/clustersteptemplates?name=sample", []string{"steptemplate-sample"}},
		"Own":           {"those of one project only", devops + "/namespaces/ann-p/templates", []string{"own"}},
		"OldFamily":     {"version 3 of the console", devops + "/devops/ann-p/templates?labelSelector=l%3D1", []string{"own"}},
		"Label":         {"labels", devops + "/namespaces/ann-p/templates?labelSelector=l%3D2", []string{}},
		"TrailingSlash": {"a trailing slash", devops + "/clustertemplates/?name=go", []string{"go"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			answer := w.do(call{user: "ann", path: tc.path})
			if answer.Code != 200 || answer.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			if strings.Contains(answer.Body.String(), `"items":null`) {
				t.Error("items is null")
			}
			list := decode[response.List[metav1.PartialObjectMetadata]](t, answer)
			got := []string{}
			for _, item := range list.Items {
				got = append(got, item.Name)
				if item.Kind == "" {
					t.Error("kind is missing")
				}
			}
			if strings.Join(got, ",") != strings.Join(tc.want, ",") {
				t.Errorf("%s: %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}

func TestTemplateRender(t *testing.T) {
	w := newWorld(t, nil, templateObjects()...)
	for _, path := range []string{"/namespaces/ann-p/templates/own", "/devops/ann-p/templates/own", "/clustertemplates/go", "/clustertemplates/maven"} {
		t.Run(path, func(t *testing.T) {
			if answer := w.do(call{user: "ann", path: devops + path}); answer.Code != 200 {
				t.Errorf("get: %d %s", answer.Code, answer.Body)
			}
			answer := w.do(call{method: "POST", user: "ann", path: devops + path + "/render", body: `{"parameters":[{"name":"what","value":"it's"}]}`})
			if answer.Code != 200 {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			got := decode[metav1.PartialObjectMetadata](t, answer)
			if text := got.Annotations[devopsv1alpha3.RenderResultAnnotation]; text != `node { echo 'it\'s' }` {
				t.Errorf("rendered %q", text)
			}
			again := decode[metav1.PartialObjectMetadata](t, w.do(call{user: "ann", path: devops + path}))
			if _, stored := again.Annotations[devopsv1alpha3.RenderResultAnnotation]; stored {
				t.Error("the result is stored")
			}
		})
	}
	cases := map[string]struct {
		reason, path, body string
		user               string
		code               int
		message            string
	}{
		"Required":  {reason: "a value that is missing is named", path: "/clustertemplates/go/render", code: 400, message: `parameter "what" is required`},
		"EmptyBody": {reason: "an empty object is no values", path: "/clustertemplates/go/render", body: "{}", code: 400, message: `parameter "what" is required`},
		"Type":      {reason: "the type is checked", path: "/clustertemplates/go/render", body: `{"parameters":[{"name":"what","value":"x"},{"name":"n","value":"y"}]}`, code: 400, message: `parameter "n" must be a whole number`},
		"Unknown":   {reason: "unknown fields are told", path: "/clustertemplates/go/render", body: `{"params":[]}`, code: 400, message: "params"},
		"NotJSON":   {reason: "so is what is no JSON", path: "/clustertemplates/go/render", body: `nope`, code: 400},
		"NotThere":  {reason: "a template that is not there", path: "/clustertemplates/nope/render", code: 404},
		"Foreign":   {reason: "another's project", path: "/namespaces/bob-p/templates/other/render", code: 403},
		"Anonymous": {reason: "nobody", path: "/clustertemplates/go/render", user: "-", code: 401},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			user := "ann"
			if tc.user == "-" {
				user = ""
			}
			answer := w.do(call{method: "POST", user: user, path: devops + tc.path, body: tc.body})
			if answer.Code != tc.code || !strings.Contains(decode[metav1.Status](t, answer).Message, tc.message) {
				t.Errorf("%s: %d %s, want %d %s", tc.reason, answer.Code, answer.Body, tc.code, tc.message)
			}
		})
	}
}

func TestStepTemplateRender(t *testing.T) {
	w := newWorld(t, nil, templateObjects()...)
	rendered := func(t *testing.T, path, body string) map[string]any {
		t.Helper()
		answer := w.do(call{method: "POST", user: "ann", path: path, body: body})
		if answer.Code != 200 {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
		var step map[string]any
		if err := json.Unmarshal([]byte(decode[struct{ Data string }](t, answer).Data), &step); err != nil {
			t.Fatalf("data is not JSON: %v: %s", err, answer.Body)
		}
		return step
	}
	if step := rendered(t, "/v1alpha3/clustersteptemplates/steptemplate-sample/render", ""); step["name"] != "sh" {
		t.Errorf("got %v, want the step sh", step)
	}
	if answer := w.do(call{user: "ann", path: "/v1alpha3/clustersteptemplates/steptemplate-sample"}); answer.Code != 200 {
		t.Errorf("get: %d", answer.Code)
	}
	step := rendered(t, devops+"/clustersteptemplates/secret/render?secret=s&secretNamespace=ann-p", `{"command":"echo \"$VARIABLE\""}`)
	text, _ := json.Marshal(step)
	if step["name"] != "withCredentials" || strings.Contains(string(text), "hidden") {
		t.Errorf("got %s", text)
	}
	if plain := rendered(t, devops+"/clustersteptemplates/secret/render", `{"command":"x"}`); plain["name"] != "sh" {
		t.Errorf("without a Secret: %v", plain)
	}
	cases := map[string]struct {
		reason, path, body string
		code               int
		message            string
	}{
		"NoNamespace": {"a Secret has a namespace", "/secret/render?secret=s", `{"command":"x"}`, 400, "secretNamespace is missing"},
		"BadName":     {"a name is a name", "/secret/render?secret=..%2Fx&secretNamespace=ann-p", `{"command":"x"}`, 400, "secret is not a name"},
		"NoSecret":    {"a Secret that is not there", "/secret/render?secret=nope&secretNamespace=ann-p", `{"command":"x"}`, 404, ""},
		"Required":    {"a value that is missing is named", "/secret/render", "", 400, `parameter "command" is required`},
		"WrongType":   {"a list is no script", "/secret/render", `{"command":[1]}`, 400, `parameter "command" must be a text`},
		"List":        {"the body is an object", "/secret/render", `[]`, 400, ""},
		"NotThere":    {"a template that is not there", "/nope/render", "", 404, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			answer := w.do(call{method: "POST", user: "ann", path: devops + "/clustersteptemplates" + tc.path, body: tc.body})
			if answer.Code != tc.code || !strings.Contains(decode[metav1.Status](t, answer).Message, tc.message) {
				t.Errorf("%s: %d %s, want %d %s", tc.reason, answer.Code, answer.Body, tc.code, tc.message)
			}
		})
	}
}
