// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

func TestCheckMistakes(t *testing.T) {
	cases := map[string]struct{ src, says, reason string }{
		"Typo":       {"node { ehco 'x' }", `did you mean "echo"?`, "two letters are swapped"},
		"Case":       {"node { SH 'x' }", `did you mean "sh"?`, "steps are written in small letters"},
		"Function":   {"def deploy() { }\nnode { deplo() }", `did you mean "deploy"?`, "functions of the script count"},
		"Far":        {"node { frobnicate() }", `step "frobnicate": the built-in`, "nothing is like it"},
		"Plugin":     {"node { mail to: 'x' }", `step "mail": the built-in`, "what plugins have is known, and no typing error"},
		"OldStage":   {"stage('a')\nnode { }", `"stage" without a block`, "it is refused before the run"},
		"StageBlock": {"def b = { echo 'x' }\nstage('a', b)\nstage('b') { }", "", "a variable may hold the block"},
		"ClassOnce":  {"class A { }\nclass B { }", "", "each is told once"},
		"With":       {"def b = new StringBuilder()\nb.with { append('x') }", "", "what is called may be a method of the delegate"},
		"Delegate":   {"def c = { image 'x' }\nc.delegate = [:]", "", "the same for a delegate that is set"},
		"Refused":    {"[1].with { mail to: 'x' }", `step "mail"`, "known steps are refused in there as well"},
		"Static":     {"import static java.lang.Math.max\necho \"${max(1, 2)}\"", "", "a method that was imported is no step"},
		"Sprintf":    {"echo sprintf('%d', 1)", "", "every script has it"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := jenkinsfile.Load(c.src)
			if err != nil {
				t.Fatal(err)
			}
			err = Check(p, nil)
			var found *CheckError
			switch {
			case name == "ClassOnce":
				if !errors.As(err, &found) || len(found.Problems) != 2 {
					t.Errorf("%s: got %v", c.reason, err)
				}
			case c.says == "":
				if err != nil {
					t.Errorf("%s: got %v", c.reason, err)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("%s: got %v, want %q", c.reason, err, c.says)
			}
		})
	}
}

func TestReadWriteYAML(t *testing.T) {
	cases := map[string]struct{ in, text, out string }{
		"Order":    {"b: 1\na: {d: 1, c: 2}\n", "[b:1, a:[d:1, c:2]]", "b: 1\na:\n  d: 1\n  c: 2\n"},
		"Float":    {"v: 1.0\nw: 1.10\n", "[v:1.0, w:1.1]", "v: 1.0\nw: 1.1\n"},
		"Booleans": {"[yes, no, On, off, true, y, n, 'yes']", "[true, false, true, false, true, y, n, yes]", ""},
		"Numbers":  {"[0x1f, -3, 1e3, .5]", "[31, -3, 1000.0, 0.5]", ""},
		"Merge":    {"a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", "[a:[k:1, l:2], b:[k:3, l:2]]", ""},
		"Null":     {"a:\nb: ~\n", "[a:null, b:null]", "a: null\nb: null\n"},
		"Keys":     {"1: a\ntrue: b\n", "[1:a, true:b]", "1: a\ntrue: b\n"},
		"Text":     {"s: |\n  x\n  y\nt: '5'\n", "[s:x\ny\n, t:5]", "s: |\n  x\n  y\nt: \"5\"\n"},
	}
	for name, c := range cases {
		docs, err := decodeYAML(c.in)
		if err != nil || len(docs) != 1 {
			t.Errorf("%s: %v, %v", name, docs, err)
			continue
		}
		if got := groovy.ToString(docs[0]); got != c.text {
			t.Errorf("%s: read %s, want %s", name, got, c.text)
		}
		out, err := encodeYAML(docs[0])
		if err != nil || c.out != "" && string(out) != c.out {
			t.Errorf("%s: wrote %q, %v", name, out, err)
		}
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for _, n := range "123456789" {
		bomb += string([]rune{'a', n}) + ": &a" + string(n) + " [" + strings.Repeat("*a"+string(n-1)+", ", 9) + "]\n"
	}
	if _, err := decodeYAML(bomb); err == nil || !strings.Contains(err.Error(), "values") {
		t.Errorf("aliases multiply: %v", err)
	}
	big := groovy.NewList()
	for range 100 {
		big.Items = append(big.Items, strings.Repeat("x", maxStdout/50)) // texts that a script holds only once
	}
	if _, err := encodeYAML(big); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a text of many MiB: %v", err)
	}
	if _, err := decodeYAML("a: &a [*a]"); err == nil {
		t.Error("a value holds itself")
	}
}
