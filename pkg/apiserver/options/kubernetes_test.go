// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"strings"
	"testing"
)

func TestCheckNamesWhatIsMissing(t *testing.T) {
	filled := map[string]bool{"Pipeline": true}
	var kinds filling
	for _, kind := range []string{"Pipeline", "PipelineRun", "Template"} {
		kinds = append(kinds, part{kind, func() bool { return filled[kind] }})
	}
	if err := kinds.check(t.Context()); err == nil || !strings.Contains(err.Error(), ": PipelineRun, Template;") {
		t.Errorf("%v, want the kinds that are missing", err)
	}
	filled["PipelineRun"], filled["Template"] = true, true
	if err := kinds.check(t.Context()); err != nil {
		t.Errorf("all is there: %v", err)
	}
}
