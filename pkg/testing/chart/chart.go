// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart lets tests look at the Helm chart without Helm.
package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Dir is the folder of the chart.
func Dir(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		// Built with -trimpath: tests run in the folder of their package.
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				return filepath.Join(dir, "charts", "slipway")
			}
		}
		t.Fatal("the folder of the module was not found")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "charts", "slipway")
}

// Read gives the text of a file of the chart.
func Read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{Dir(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var flag = regexp.MustCompile(`(?m)^\s*- --([a-z0-9-]+)`)

// CheckFlags holds the flags that a template of the chart, and named parts of _helpers.tpl, give a program against
// those that it has.
func CheckFlags(t testing.TB, flags *pflag.FlagSet, template string, parts ...string) {
	t.Helper()
	texts := []string{Read(t, "templates", template)}
	helpers := Read(t, "templates", "_helpers.tpl")
	for _, part := range parts {
		_, text, found := strings.Cut(helpers, `define "`+part+`"`)
		if !found {
			t.Fatalf("_helpers.tpl does not define %s", part)
		}
		text, _, _ = strings.Cut(text, "{{- define ")
		texts = append(texts, text)
	}
	count := 0
	for _, text := range texts {
		for _, match := range flag.FindAllStringSubmatch(text, -1) {
			count++
			if flags.Lookup(match[1]) == nil {
				t.Errorf("the chart gives --%s, which the program does not have", match[1])
			}
		}
	}
	if count == 0 {
		t.Error("the chart gives no flags; does the test read it rightly?")
	}
}
