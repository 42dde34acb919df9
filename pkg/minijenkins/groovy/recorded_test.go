// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// TestRecorded compares with what Groovy 2.4.21 on Java 17, that of Jenkins, gave for the same scripts.
func TestRecorded(t *testing.T) {
	data, err := os.ReadFile("testdata/groovy-2.4.21.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Source, Value, Output, Throws string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		s, err := jenkinsfile.ParseScript(c.Source)
		if err != nil {
			t.Errorf("%s: %v", c.Source, err)
			continue
		}
		h := &recordedHost{}
		v, _, err := New(h, Limits{}).Load(t.Context(), "Script1", s)
		var e *Exception
		switch {
		case c.Throws != "":
			if !errors.As(err, &e) || e.Class != c.Throws {
				t.Errorf("%s: got %v, %v, want %s", c.Source, v, err, c.Throws)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.Source, err)
			continue
		}
		if got := ToString(v); got != c.Value && (v != nil || c.Value != "") {
			t.Errorf("%s = %s, want %s", c.Source, got, c.Value)
		}
		if got := h.out.String(); got != c.Output {
			t.Errorf("%s wrote %q, want %q", c.Source, got, c.Output)
		}
	}
	t.Logf("%d scripts", len(cases))
}

// recordedHost has the steps that the scripts write with.
type recordedHost struct{ clockHost }

func (h *recordedHost) HasStep(name string) bool {
	return name == "echo" || name == "println" || name == "boom"
}

func (h *recordedHost) Step(ctx context.Context, inv Invocation) (any, error) {
	switch {
	case inv.Name == "boom":
		return nil, &Exception{Class: "java.lang.RuntimeException", Message: "boom"}
	case len(inv.Args) == 0:
		inv.Args = []any{""}
	}
	inv.Name = "echo"
	return h.clockHost.Step(ctx, inv)
}
