// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// converterCase is a Jenkinsfile with the answer of Jenkins' /pipeline-model-converter/toJson.
type converterCase struct {
	Name        string   `json:"name"`
	Jenkinsfile string   `json:"jenkinsfile"`
	Accepted    bool     `json:"accepted"`
	Errors      []string `json:"errors"`
}

func converterCases(tb testing.TB) []converterCase {
	tb.Helper()
	data, err := os.ReadFile("testdata/converter.json")
	if err != nil {
		tb.Fatal(err)
	}
	var cases []converterCase
	if err := json.Unmarshal(data, &cases); err != nil {
		tb.Fatal(err)
	}
	return cases
}

// TestJenkinsAgrees compares with what Jenkins 2.541.2 answered.
func TestJenkinsAgrees(t *testing.T) {
	// Where we differ on purpose.
	exceptions := map[string]string{
		"tools": "Jenkins refuses tools that are not installed on it; which are is not known here",
	}
	// Where we refuse too, but with other words or at another place.
	otherWords := map[string]string{
		"empty": "the form without content is the converter's own error",
	}
	agree, words, total := 0, 0, 0
	for _, c := range converterCases(t) {
		total++
		_, err := Parse(c.Jenkinsfile)
		if reason, ok := exceptions[c.Name]; ok {
			t.Logf("%-45s exception: %s", c.Name, reason)
			if (err == nil) == c.Accepted {
				t.Errorf("%s: no longer an exception", c.Name)
			}
			continue
		}
		if (err == nil) != c.Accepted {
			t.Errorf("%-45s Jenkins accepted=%v, we: %v", c.Name, c.Accepted, err)
			continue
		}
		agree++
		if err == nil {
			continue
		}
		same := true
		for _, want := range c.Errors {
			if !strings.Contains(err.Error(), strings.TrimSuffix(want, ".")) {
				same = false
				if _, ok := otherWords[c.Name]; !ok {
					t.Errorf("%s: message\n got %s\nwant %s", c.Name, err, want)
				}
			}
		}
		if same {
			words++
		}
		if _, ok := otherWords[c.Name]; ok && same {
			t.Errorf("%s: the same words now", c.Name)
		}
		t.Logf("%-45s refused, same words: %v", c.Name, same)
	}
	t.Logf("agree with Jenkins: %d of %d, same message: %d", agree, total, words)
}
