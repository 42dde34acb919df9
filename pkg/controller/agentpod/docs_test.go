// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentedReasons holds the table of docs/pipelines.md to the code.
func TestDocumentedReasons(t *testing.T) {
	page, err := os.ReadFile("../../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Agent[A-Za-z]+)` \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(string(page), -1) {
		if row[1] != "AgentLost" { // that of runs, which is not of a pod
			got[row[1]] = row[2]
		}
	}
	if diff := cmp.Diff(remedies, got); diff != "" {
		t.Errorf("docs/pipelines.md has other reasons or remedies than the code (-code +page):\n%s", diff)
	}
}
