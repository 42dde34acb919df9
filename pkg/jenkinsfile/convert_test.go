// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
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
	var err error
	var doc []byte
	var source string
	switch e.Call {
	case "toJson":
		doc, err = ToJSON(e.Input)
	case "stepsToJson":
		doc, err = StepsToJSON(e.Input)
	case "toJenkinsfile":
		source, err = FromJSON([]byte(e.Input))
	case "stepsToJenkinsfile":
		source, err = StepsFromJSON([]byte(e.Input))
	case "validateJenkinsfile":
		err = ValidateJenkinsfile(e.Input)
	case "validateJson":
		err = ValidateJSON([]byte(e.Input))
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
	const wantEqual = 261
	// different are the answers that differ, with the reason.
	const tools = "Jenkins refuses tools that are not installed on it; which are is not known here"
	different := map[string]string{
		"tools: toJson":              tools,
		"tools: validateJenkinsfile": tools,
	}
	all := exchanges(t)
	equal := 0
	for _, e := range all {
		var want bytes.Buffer
		if err := json.Compact(&want, e.Answer); err != nil {
			t.Fatal(err)
		}
		got := e.answer(t)
		reason, excepted := different[e.Name]
		switch {
		case bytes.Equal(got, want.Bytes()):
			equal++
			if excepted {
				t.Errorf("%s: equal now, no longer an exception", e.Name)
			}
		case excepted:
			t.Logf("%s differs: %s", e.Name, reason)
		default:
			t.Errorf("%s:\n got %s\nwant %s\n%s", e.Name, got, want.Bytes(), diffJSON(got, want.Bytes()))
		}
	}
	t.Logf("equal / all: %d / %d", equal, len(all))
	if equal < wantEqual {
		t.Errorf("%d answers are equal, fewer than %d", equal, wantEqual)
	}
}

func diffJSON(a, b []byte) string {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return ""
	}
	return cmp.Diff(x, y)
}
