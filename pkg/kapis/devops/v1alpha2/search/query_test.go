// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package search

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "type:pipeline;organization:jenkins;pipeline:p/*k*;excludedFromFlattening=a,b", "pipeline:*", "pipeline:/", ";=;:", "pipeline:%2f%zz", "pipeline:a/b/c**"} {
		f.Add(seed, "größe")
	}
	f.Fuzz(func(t *testing.T, q, name string) {
		wanted, err := parse(q)
		if err != nil {
			return
		}
		if strings.ContainsAny(wanted.namespace, "*/") {
			t.Errorf("parse(%q): namespace %q", q, wanted.namespace)
		}
		matched := wanted.matches(name)
		if wanted.pattern == "" && !matched {
			t.Errorf("parse(%q) does not match %q, and has no pattern", q, name)
		}
		if !(query{pattern: "*" + wanted.pattern + "*"}).matches(name) && matched {
			t.Errorf("a wider pattern than %q does not match %q", wanted.pattern, name)
		}
	})
}

func TestParseLong(t *testing.T) {
	for length, ok := range map[int]bool{maxPattern: true, maxPattern + 1: false} {
		if _, err := parse("pipeline:p/" + strings.Repeat("*", length)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}
