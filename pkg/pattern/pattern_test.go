// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pattern

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for name, tc := range map[string]struct {
		expression, text string
		want             bool
	}{
		"found":      {"^main$", "main", true},
		"not found":  {"^main$", "domain", false},
		"everything": {"", "x", true},
		"any case":   {"(?i)MAIN", "main", true},
		"letters":    {`^\p{L}+$`, "größe", true},
		"count":      {"^[0-9a-f]{40}$", strings.Repeat("a", 40), true},
		"long text":  {"^[^<>]+$", strings.Repeat("a", 1<<20), true},
		"long count": {"^.{0,1000}$", strings.Repeat("a", 1000), true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Match(tc.text); err != nil || got != tc.want {
				t.Errorf("%v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for expression, large := range map[string]bool{
		"(": false, "(?=x)": false, "a{1001}": false, "(a{100}){100}": false,
		strings.Repeat("a", MaxLength+1):  true,
		strings.Repeat("(.{0,1000})", 90): true,
	} {
		_, err := Compile(expression)
		if err == nil || errors.Is(err, ErrTooLarge) != large {
			t.Errorf("%.40s…: %v", expression, err)
		}
	}
}

// TestWorst has what takes longest of what is taken. The times are far above what it takes.
func TestWorst(t *testing.T) {
	for name, tc := range map[string]struct {
		expression string
		length     int
		refused    bool
	}{
		"many states":             {strings.Repeat("(.{0,900})", 5) + "y", 3000, false},
		"as many, a longer text":  {strings.Repeat("(.{0,900})", 5) + "y", 30_000, true},
		"few states, a long text": {"(.?.?.?.?.?)*y", 1 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = p.Match(strings.Repeat("a", tc.length))
			if errors.Is(err, ErrTooLarge) != tc.refused {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			t.Log(time.Since(begin))
		})
	}
}

func TestRemove(t *testing.T) {
	for name, tc := range map[string]struct {
		expression, text, want string
		refused                bool
	}{
		"prefix":    {"^refs/heads/", "refs/heads/main", "main", false},
		"not again": {"^a", "aaa", "aa", false},
		"long":      {"[^0-9]", strings.Repeat("a1", 2048), strings.Repeat("1", 2048), false},
		"tag":       {"^(refs/(heads|tags)/)?v", "refs/tags/v1", "1", false},
		"nothing":   {"x", "", "", false},
		"too large": {strings.Repeat("(.{0,900})", 5) + "y", strings.Repeat("a", 4096), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			got, err := p.Remove(tc.text)
			if errors.Is(err, ErrTooLarge) != tc.refused || got != tc.want {
				t.Errorf("%q, %v", got, err)
			}
			t.Log(time.Since(begin))
		})
	}
	p, err := Compile("a.*b|a") // each is looked for up to the end
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := p.Remove(strings.Repeat("a", 4096)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	t.Log(time.Since(begin))
}
