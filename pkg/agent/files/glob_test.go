// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{
		"a.txt", "b.TXT", ".hidden", "x~", ".gitignore", ".git/config", "sub/.git/HEAD",
		"target/app.jar", "target/lib/dep.jar", "target/a,b.jar", "sub/target/app.jar",
		"[x].txt", "{a}.txt", `back\slash.txt`, "ab/c d/é.txt", "deep/1/2/3/4/f.log",
	} {
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		reason   string
		in, ex   string
		all      bool
		want     []string
		contains string
	}{
		"star":          {reason: "one level", in: "*.txt", want: []string{"[x].txt", "a.txt", `back\slash.txt`, "{a}.txt"}},
		"case":          {reason: "case matters", in: "*.TXT", want: []string{"b.TXT"}},
		"double star":   {reason: "zero or more folders", in: "**/app.jar", want: []string{"sub/target/app.jar", "target/app.jar"}},
		"in the middle": {in: "deep/**/f.log", want: []string{"deep/1/2/3/4/f.log"}},
		"question":      {in: "?.txt", want: []string{"a.txt"}},
		"folder":        {reason: "a trailing slash is /**", in: "target/", want: []string{"target/a,b.jar", "target/app.jar", "target/lib/dep.jar"}},
		"list":          {reason: "commas, with space around", in: " a.txt , target/*.jar,", want: []string{"a.txt", "target/a,b.jar", "target/app.jar"}},
		"exclude":       {in: "**/*.jar", ex: "sub/**, target/lib/", want: []string{"target/a,b.jar", "target/app.jar"}},
		"brackets":      {reason: "not special in Ant", in: "[x].txt", want: []string{"[x].txt"}},
		"braces":        {reason: "not special in Ant", in: "{a}.txt", want: []string{"{a}.txt"}},
		"backslash":     {in: `back\slash.txt`, want: []string{`back\slash.txt`}},
		"unicode":       {in: "ab/*/?.txt", want: []string{"ab/c d/é.txt"}},
		"hidden":        {reason: "a star matches a leading dot", in: "*idden", want: []string{".hidden"}},
		"defaults":      {reason: "version control is left out", in: "**/.git*, **/.git/**, *~", want: nil},
		"no defaults":   {in: "**/.git*, **/.git/**, *~", all: true, want: []string{".git/config", ".gitignore", "sub/.git/HEAD", "x~"}},
		"dot slash":     {in: "./a.txt", want: []string{"a.txt"}},
		"absolute":      {reason: "never matches", in: "/etc/**", want: nil},
		"dot dot":       {reason: "never leaves the folder", in: "../**", want: nil},
		"nothing":       {in: "no/such/**", want: nil},
		"a folder":      {reason: "folders are no files", in: "target", want: nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Glob(GlobOptions{Dir: dir, Includes: tc.in, Excludes: tc.ex, NoDefaultExcludes: tc.all})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestGlobSymlinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "real/in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "real/f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"real/loop": "..", "real/self": ".", "linked": "real", "file": "real/f", "dangling": "none", "real/in/up": "../..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// Links that multiply the paths: without a bound on links this has 2^20 of them.
	bomb := filepath.Join(dir, "bomb")
	for i := range 20 {
		d := filepath.Join(bomb, string(rune('a'+i)))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, l := range []string{"1", "2"} {
			if err := os.Symlink("../"+string(rune('b'+i)), filepath.Join(d, l)); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := time.Now()
	got, err := Glob(GlobOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file", "linked/f", "real/f"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %s", d)
	}
}
