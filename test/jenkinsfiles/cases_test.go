// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

func TestGraph(t *testing.T) {
	got := Graph([]jenkins.Stage{
		{ID: "6", DisplayName: "build", Type: "STAGE", State: "FINISHED", Result: "SUCCESS", Edges: []jenkins.Edge{{ID: "9"}, {ID: "10"}}},
		{ID: "9", DisplayName: "a", Type: "PARALLEL", State: "FINISHED", Result: "FAILURE", FirstParent: "6"},
		{ID: "10", DisplayName: "b", Type: "PARALLEL", State: "PAUSED", Result: "UNKNOWN", FirstParent: "6", Edges: []jenkins.Edge{{ID: "77"}}},
		{ID: "20", DisplayName: "end", Type: "STAGE", State: "SKIPPED", Result: "NOT_BUILT"},
	})
	want := []string{"1. build SUCCESS >2 3", "2. a [parallel] FAILURE <1", "3. b [parallel] PAUSED/UNKNOWN <1 >?77", "4. end SKIPPED"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLog(t *testing.T) {
	const log = "begin\n+ echo one\none\ntwo ****\nend\n"
	cases := map[string]struct {
		want, absent []string
		says         string
	}{
		"in order":          {want: []string{"one", "/^one$/", "two ****"}},
		"missing":           {want: []string{"begin", "three"}, says: `line 2 of those expected is missing after line 1 of the log: "three"`},
		"too early":         {want: []string{"end", "begin"}, says: "it is line 1, too early"},
		"once is not twice": {want: []string{"/^one$/", "/^one$/"}, says: "line 2 of those expected"},
		"absent":            {absent: []string{"three", "/^echo/"}},
		"forbidden":         {absent: []string{"/^two/"}, says: `the log has "/^two/"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := MissingLine(log, c.want) + Forbidden(log, c.absent)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("%q, want %q", got, c.says)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	const builds = "builds:\n- {result: SUCCESS, graph: []}\n"
	cases := map[string]struct{ name, text, says string }{
		"bad name":      {"maven", "about: x\n" + builds, "NN-name"},
		"no about":      {"01-a", builds, "what it is about"},
		"no builds":     {"01-a", "about: x\n", "no builds"},
		"no result":     {"01-a", "about: x\nbuilds:\n- {graph: []}\n", "build 1 has no result"},
		"no graph":      {"01-a", "about: x\nbuilds:\n- {result: SUCCESS}\n", "no graph"},
		"unknown field": {"01-a", "about: x\nresults: y\n" + builds, `unknown field "results"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, c.name), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, c.name, "expect.yaml"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(root, ""); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if _, err := Load(root, "other"); err == nil || !strings.Contains(err.Error(), "no case") {
				t.Errorf("the filter does not count: %v", err)
			}
		})
	}
	if _, err := Load(t.TempDir(), "("); err == nil {
		t.Error("a broken filter is taken")
	}
}
