// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exchange is a call of Jenkins' pipeline-model-converter with the data of its answer, as recorded of
// Jenkins 2.541.2.
type exchange struct {
	Name   string          `json:"name"`
	Call   string          `json:"call"`
	Input  string          `json:"input"`
	Answer json.RawMessage `json:"answer"`
}

func exchanges(tb testing.TB) []exchange {
	tb.Helper()
	data, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		tb.Fatal(err)
	}
	var list []exchange
	if err := json.Unmarshal(data, &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

// answer makes the call here and gives the data of the answer in Jenkins' shape.
func (e exchange) answer(tb testing.TB) []byte {
	tb.Helper()
	// The recorded Jenkins had no tools.
	jenkins := Converter{Tools: map[string][]string{}}
	var err error
	var doc []byte
	var source string
	switch e.Call {
	case "toJson":
		doc, err = jenkins.ToJSON(e.Input)
	case "stepsToJson":
		doc, err = StepsToJSON(e.Input)
	case "toJenkinsfile":
		source, err = jenkins.FromJSON([]byte(e.Input))
	case "stepsToJenkinsfile":
		source, err = StepsFromJSON([]byte(e.Input))
	case "validateJenkinsfile":
		err = jenkins.ValidateJenkinsfile(e.Input)
	case "validateJson":
		err = jenkins.ValidateJSON([]byte(e.Input))
	default:
		tb.Fatalf("%s: unknown call %s", e.Name, e.Call)
	}
	var out any
	var failure *ConvertError
	switch {
	case errors.As(err, &failure):
		out = failure
	case err != nil:
		tb.Fatalf("%s: %T: %v", e.Name, err, err)
	default:
		out = struct {
			Result      string          `json:"result"`
			JSON        json.RawMessage `json:"json,omitempty"`
			Jenkinsfile string          `json:"jenkinsfile,omitempty"`
		}{"success", doc, source}
	}
	text, err := marshal(out)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// TestConverterAgrees compares with every recorded answer, byte for byte but for blanks: the order of
// the keys counts, and so do the messages.
func TestConverterAgrees(t *testing.T) {
	all := exchanges(t)
	equal := 0
	for _, e := range all {
		var want bytes.Buffer
		if err := json.Compact(&want, e.Answer); err != nil {
			t.Fatal(err)
		}
		if got := e.answer(t); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s:\n got %s\nwant %s\n%s", e.Name, got, want.Bytes(), diffJSON(got, want.Bytes()))
			continue
		}
		equal++
	}
	const least = 263
	if t.Logf("equal / all: %d / %d", equal, len(all)); len(all) < least {
		t.Errorf("%d recorded answers, fewer than %d", len(all), least)
	}
}

func TestConverterTools(t *testing.T) {
	src := "pipeline {\n  agent any\n  tools {\n    maven 'maven-3'\n    jdk \"jdk-${x}\"\n  }\n  stages { stage('a') { tools { jdk 'jdk-11' }\n steps { echo 'x' } } }\n}"
	doc, err := ToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	for reason, c := range map[string]struct {
		tools map[string][]string
		want  string
	}{
		"not known":           {nil, ""},
		"all there":           {map[string][]string{"maven": {"maven-3"}, "jdk": {"jdk-11"}}, ""},
		"one of another name": {map[string][]string{"maven": {"maven-3"}, "jdk": {"jdk-8", "jdk-17"}}, `Tool type "jdk" does not have an install of "jdk-11" configured - did you mean "jdk-17"?`},
		"none of that type":   {map[string][]string{"jdk": {"jdk-11"}}, `Tool type "maven" does not have an install of "maven-3" configured - did you mean "null"?`},
	} {
		jenkins := Converter{Tools: c.tools}
		_, err := jenkins.ToJSON(src)
		_, errJSON := jenkins.FromJSON(doc)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", reason, err, c.want)
		}
		if (errJSON == nil) != (c.want == "") || errJSON != nil && !strings.Contains(errJSON.Error(), "tools/0/value: "+c.want) {
			t.Errorf("%s: %v, want %s", reason, errJSON, c.want)
		}
	}
}

func diffJSON(a, b []byte) string {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return ""
	}
	return cmp.Diff(x, y)
}
