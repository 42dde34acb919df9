// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"encoding/json"
	"strings"
	"testing"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// FuzzValues puts any text into strings of both kinds: it must come out of the parsed step as it went in,
// and the step must have the same structure.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"", "a", "'", `"`, `\`, "$", "${x}", "\n", "'''", "\u2028", `\u0027`, "held", "{{.param.m}}"} {
		f.Add(seed)
	}
	spec := &devopsv1alpha3.StepTemplateSpec{Runtime: devopsv1alpha3.StepRuntimeDSL,
		Template:   "echo '{{.param.m}}'\necho {{quote .param.m}}\necho \"${env.X}<{{.param.m}}>\"",
		Parameters: []devopsv1alpha3.StepParameter{{Name: "m", Type: devopsv1alpha3.StepParameterText}}}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "?")
		doc, err := Step(t.Context(), spec, map[string]any{"m": value}, nil)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		var steps []struct {
			Name      string
			Arguments []struct {
				Value struct {
					IsLiteral bool
					Value     string
				}
			}
		}
		if err := json.Unmarshal(doc, &steps); err != nil {
			t.Fatal(err)
		}
		if len(steps) != 3 {
			t.Fatalf("%q: %d steps: %s", value, len(steps), doc)
		}
		for _, step := range steps[:2] {
			if got := step.Arguments[0].Value; !got.IsLiteral || got.Value != value {
				t.Errorf("%q became %q", value, got.Value)
			}
		}
		code := steps[2].Arguments[0].Value.Value
		script, err := jenkinsfile.ParseScript("x = " + code)
		if err != nil {
			t.Fatalf("%q: %s: %v", value, code, err)
		}
		found := false
		jenkinsfile.Walk(script.Stmts[0], func(n jenkinsfile.Node) {
			if constant, ok := n.(*jenkinsfile.Constant); ok && constant.Value == "<"+value+">" {
				found = true
			}
		})
		if !found || len(script.Stmts) != 1 {
			t.Errorf("%q is not in %s", value, code)
		}
	})
}
