// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	shipped "github.com/slipway-dev/slipway/config/templates"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/templates"
)

// nasty is text that ends strings, begins expressions and lines, and is longer than one line.
const nasty = "it's \"x\" \\ ${env.SECRET} $HOME `id` \n'''\r\t\x01 ; } sh 'evil' // \u2028 äß世界"

// render renders with the defaults and with values for what is required without one.
func render(t *testing.T, template *devopsv1alpha3.ClusterTemplate, values ...templates.Value) string {
	t.Helper()
	given := []templates.Value{}
	for _, p := range template.Spec.Parameters {
		if p.Required && p.Default == nil {
			given = append(given, templates.Value{Name: p.Name, Value: "https://git.example.com/team/app.git"})
		}
	}
	text, err := templates.Jenkinsfile(t.Context(), &template.Spec, append(given, values...))
	if err != nil {
		t.Fatalf("render %s: %v", template.Name, err)
	}
	return text
}

// check parses, converts there and back, and asks minijenkins.
func check(t *testing.T, name, text string) *jenkinsfile.Pipeline {
	t.Helper()
	pipeline, err := jenkinsfile.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	doc, err := jenkinsfile.ToJSON(text)
	if err != nil {
		t.Fatalf("%s: to JSON: %v\n%s", name, err, text)
	}
	if _, err := jenkinsfile.FromJSON(doc); err != nil {
		t.Errorf("%s: from JSON: %v\n%s", name, err, text)
	}
	if err := engine.Check(pipeline, nil); err != nil {
		t.Errorf("%s: minijenkins does not run it: %v\n%s", name, err, text)
	}
	return pipeline
}

func TestShippedClusterTemplates(t *testing.T) {
	all, err := shipped.ClusterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("%d templates are shipped", len(all))
	}
	for _, template := range all {
		t.Run(template.Name, func(t *testing.T) {
			checkAnnotations(t, template.Annotations)
			defaults := render(t, template)
			check(t, "defaults", defaults)
			if strings.Contains(defaults, "agent any") == strings.Contains(defaults, "label '") {
				t.Errorf("want an agent:\n%s", defaults)
			}
			if !strings.Contains(defaults, "checkout scm") {
				t.Errorf("without a repository it is not that of the Jenkinsfile:\n%s", defaults)
			}
			repository := templates.Value{Name: "repository", Value: "https://git.example.com/team/app.git"}
			for _, credential := range []string{"", "robot"} {
				text := render(t, template, repository, templates.Value{Name: "credential", Value: credential})
				check(t, "repository", text)
				if !strings.Contains(text, "url: 'https://git.example.com/team/app.git', branch: 'main'") || strings.Contains(text, "credentialsId: 'robot'") != (credential != "") {
					t.Errorf("the repository is not checked out:\n%s", text)
				}
			}
			for _, p := range template.Spec.Parameters {
				switch p.Type {
				case "bool":
					check(t, p.Name, render(t, template, templates.Value{Name: p.Name, Value: true}))
				case "string", "code":
					checkNasty(t, template, p.Name)
				}
			}
		})
	}
}

// checkNasty renders with a nasty value, if the parameter's validation lets it through, and looks for it as
// a part of a literal of the parsed Jenkinsfile.
func checkNasty(t *testing.T, template *devopsv1alpha3.ClusterTemplate, name string) {
	t.Helper()
	text, err := templates.Jenkinsfile(t.Context(), &template.Spec, []templates.Value{
		{Name: "repository", Value: "https://git.example.com/team/app.git"}, {Name: name, Value: nasty}})
	if err != nil {
		if !strings.Contains(err.Error(), "is not valid: ") {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	script, err := jenkinsfile.ParseScript(text)
	if err != nil {
		t.Errorf("%s breaks out: %v\n%s", name, err, text)
		return
	}
	found := false
	for _, statement := range script.Stmts {
		jenkinsfile.Walk(statement, func(n jenkinsfile.Node) {
			if constant, ok := n.(*jenkinsfile.Constant); ok {
				literal, _ := constant.Value.(string)
				found = found || strings.Contains(literal, nasty) || strings.Contains(literal, strings.ReplaceAll(nasty, "'", `'\''`))
			}
		})
	}
	if !found {
		t.Errorf("%s: the value is no literal of the Jenkinsfile:\n%s", name, text)
	}
	if len(script.Stmts) != 1 {
		t.Errorf("%s: %d statements, want the pipeline alone", name, len(script.Stmts))
	}
}

func checkAnnotations(t *testing.T, annotations map[string]string) {
	t.Helper()
	for _, key := range []string{devopsv1alpha3.DisplayNameENAnnotation, devopsv1alpha3.DisplayNameZHAnnotation,
		devopsv1alpha3.DescriptionENAnnotation, devopsv1alpha3.DescriptionZHAnnotation} {
		if annotations[key] == "" {
			t.Errorf("the annotation %s is missing", key)
		}
	}
}

func TestShippedStepTemplates(t *testing.T) {
	all, err := shipped.ClusterStepTemplates()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 6 {
		t.Fatalf("%d templates are shipped", len(all))
	}
	for _, template := range all {
		t.Run(template.Name, func(t *testing.T) {
			checkAnnotations(t, template.Annotations)
			values := map[string]any{}
			for _, p := range template.Spec.Parameters {
				if p.Required && p.DefaultValue == "" {
					values[p.Name] = "https://git.example.com/team/app.git"
				}
			}
			for _, secret := range []*templates.Secret{nil, {Name: "s", Namespace: "p", Type: devopsv1alpha3.SecretTypeBasicAuth}} {
				doc, err := templates.Step(t.Context(), &template.Spec, values, secret)
				if err != nil {
					t.Fatal(err)
				}
				inPipeline(t, doc)
			}
			for _, p := range template.Spec.Parameters {
				if p.Type != "string" && p.Type != "text" && p.Type != "code" && p.Type != "secret" {
					continue
				}
				withNasty := map[string]any{p.Name: nasty}
				for name, value := range values {
					if name != p.Name {
						withNasty[name] = value
					}
				}
				doc, err := templates.Step(t.Context(), &template.Spec, withNasty, nil)
				if err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
				inPipeline(t, doc)
				if !holds(t, doc, strings.TrimSpace(nasty)) {
					t.Errorf("%s: the value is not in\n%s", p.Name, doc)
				}
			}
		})
	}
}

// inPipeline checks that the converter makes a Jenkinsfile of a pipeline with the step.
func inPipeline(t *testing.T, doc []byte) {
	t.Helper()
	text, err := jenkinsfile.StepsFromJSON(doc)
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	check(t, "step", "pipeline {\n agent any\n stages {\n stage('x') {\n steps {\n"+text+"\n}\n}\n}\n}\n")
}

// holds tells if a text of the document is want.
func holds(t *testing.T, doc []byte, want string) bool {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	var in func(v any) bool
	in = func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == want
		case []any:
			for _, item := range v {
				if in(item) {
					return true
				}
			}
		case map[string]any:
			for _, item := range v {
				if in(item) {
					return true
				}
			}
		}
		return false
	}
	return in(v)
}

func TestAllIsComplete(t *testing.T) {
	all, err := shipped.All()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, object := range all {
		kind := object.GetObjectKind().GroupVersionKind()
		if kind.Group != devopsv1alpha3.GroupName || kind.Version != "v1alpha3" {
			t.Errorf("%s: %s", object.GetName(), kind)
		}
		if names[kind.Kind+object.GetName()] {
			t.Errorf("%s is there twice", object.GetName())
		}
		names[kind.Kind+object.GetName()] = true
	}
	if len(names) < 11 {
		t.Errorf("%d templates", len(names))
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestDocs renders the examples of the documentation.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	rendered := 0
	for _, block := range yamlBlock.FindAllSubmatch(text, -1) {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(block[1], &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case devopsv1alpha3.ClusterTemplateKind:
			template := &devopsv1alpha3.ClusterTemplate{}
			if err := yaml.UnmarshalStrict(block[1], template); err != nil {
				t.Fatal(err)
			}
			got := render(t, template, templates.Value{Name: "whom", Value: "Ann"})
			if check(t, "example", got); strings.Count(got, "Hello Ann") != 2 {
				t.Errorf("rendered %s", got)
			}
			rendered++
		case devopsv1alpha3.ClusterStepTemplateKind:
			template := &devopsv1alpha3.ClusterStepTemplate{}
			if err := yaml.UnmarshalStrict(block[1], template); err != nil {
				t.Fatal(err)
			}
			doc, err := templates.Step(t.Context(), &template.Spec, map[string]any{"folder": "it's"}, &templates.Secret{Name: "prod", Type: devopsv1alpha3.SecretTypeKubeconfig})
			if err != nil {
				t.Fatal(err)
			}
			if !holds(t, doc, `kubectl apply -f 'it'\''s'`) {
				t.Errorf("rendered %s", doc)
			}
			rendered++
		}
	}
	if rendered != 2 {
		t.Errorf("%d examples", rendered)
	}
}
