// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs holds what the pages for people name against what there is.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// pages gives the pages by their paths below the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "hack/cluster/*.md", "pkg/agent/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(path)] = string(text)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// anchors are the places of a page that links can lead to, as GitHub makes them of headings.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		all[anchor] = true
	}
	return all
}

// TestLinks: each link within the repository leads somewhere.
func TestLinks(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, match[1])
				continue
			}
			if anchor != "" && !anchors(all[path])[anchor] {
				t.Errorf("%s: %s has no heading #%s", page, path, anchor)
			}
		}
	}
}

var (
	flag    = regexp.MustCompile(`(?:^|[\s` + "`" + `("'=])--([a-z][a-z0-9-]+)`)
	literal = regexp.MustCompile(`"([a-z][a-z0-9-]+)"`)
	target  = regexp.MustCompile("(?m)(?:`|^ {4}|^\\$ )make ([a-z][a-z-]*)")
)

// foreign are flags of other programs.
var foreign = map[string]bool{
	"build-arg": true, "clusterrole": true, "comment": true, "data-binary": true, "data-urlencode": true, "entrypoint": true, "fail-with-body": true,
	"from-file": true, "namespace": true, "server-side": true, "serviceaccount": true, "set": true, "user": true, "help": true,
}

// TestFlags: each flag that a page names is one of a program.
func TestFlags(t *testing.T) {
	known := map[string]bool{}
	for _, dir := range []string{"cmd", "pkg", "test", "hack/cluster"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range literal.FindAllStringSubmatch(string(text), -1) {
				known[match[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for page, text := range pages(t) {
		if page == "CHANGELOG.md" {
			continue // it names what is gone, too
		}
		for _, match := range flag.FindAllStringSubmatch(text, -1) {
			if !known[match[1]] && !foreign[match[1]] {
				t.Errorf("%s names --%s, which no program has", page, match[1])
			}
		}
	}
}

// TestTargets: each target of make that a page names is there.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, match := range target.FindAllStringSubmatch(text, -1) {
			name := match[1]
			// build-% is made of a list.
			if !strings.Contains(string(makefile), "\n"+name+":") && !strings.HasPrefix(name, "build-") {
				t.Errorf("%s names make %s, which is no target", page, name)
			}
		}
	}
}
