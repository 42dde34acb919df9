// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const (
	// maxMatches bounds a listing: more artifacts than that are a mistake in the pattern.
	maxMatches = 100_000
	// maxLinks is how many symbolic links to folders one path may go through, the limit of Ant.
	maxLinks = 5
)

// defaultExcludes are Ant's default excludes as of Ant 1.10 (org.apache.tools.ant.DirectoryScanner):
// files of version control systems and editors.
var defaultExcludes = []string{
	"**/*~", "**/#*#", "**/.#*", "**/%*%", "**/._*",
	"**/CVS", "**/CVS/**", "**/.cvsignore",
	"**/SCCS", "**/SCCS/**", "**/vssver.scc",
	"**/.svn", "**/.svn/**", "**/.DS_Store",
	"**/.git", "**/.git/**", "**/.gitattributes", "**/.gitignore", "**/.gitmodules",
	"**/.hg", "**/.hg/**", "**/.hgignore", "**/.hgsub", "**/.hgsubstate", "**/.hgtags",
	"**/.bzr", "**/.bzr/**", "**/.bzrignore",
}

// GlobOptions say what to find.
type GlobOptions struct {
	// Dir is the absolute folder to look in.
	Dir string
	// Includes and Excludes are comma separated Ant patterns. Empty Includes mean "**".
	Includes, Excludes string
	// NoDefaultExcludes finds files such as .gitignore as well.
	NoDefaultExcludes bool
}

// Glob lists the files below Dir that match, as slash separated paths relative to it, sorted. A
// pattern has the meaning that Ant gives it: "?" and "*" match within one element, "**" any number of
// elements, a trailing "/" is short for "/**", case matters, and no other character is special.
//
// Symbolic links are followed, at most 5 folders deep and never into a folder that the path is in
// already. A missing Dir is a Failure of reason NotFound; folders that may not be read, or are
// gone by then, are left out.
func Glob(opts GlobOptions) ([]string, error) {
	dir, err := CheckPath(opts.Dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, explain("list", dir, err)
	}
	if !info.IsDir() {
		return nil, agent.Fail(agent.ExitError, "NotADirectory", "list %s: it is not a folder", dir)
	}
	w := &walker{root: dir, excludes: patterns(opts.Excludes)}
	if w.includes = patterns(opts.Includes); len(w.includes) == 0 {
		w.includes = []string{"**"}
	}
	if !opts.NoDefaultExcludes {
		w.excludes = append(w.excludes, defaultExcludes...)
	}
	for _, p := range w.includes {
		base, _ := doublestar.SplitPattern(p)
		w.bases = append(w.bases, unescape(base))
	}
	if err := w.dir("", []fs.FileInfo{info}, 0); err != nil {
		return nil, err
	}
	slices.Sort(w.found)
	return w.found, nil
}

// patterns splits a list and translates each pattern from Ant's language to doublestar's, where
// brackets, braces and the backslash are special as well.
func patterns(list string) []string {
	var out []string
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		p = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(p)
		if strings.HasSuffix(p, "/") {
			p += "**"
		}
		for strings.HasPrefix(p, "./") {
			p = p[2:]
		}
		out = append(out, p)
	}
	return out
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

type walker struct {
	root               string
	includes, excludes []string
	bases              []string // the folders in which each include can match at all
	found              []string
}

// dir walks one folder. parents are the folders from the root to it, to find loops of links.
func (w *walker) dir(rel string, parents []fs.FileInfo, links int) error {
	entries, err := os.ReadDir(filepath.Join(w.root, rel))
	if rel != "" && leftOut(err) {
		return nil
	}
	if err != nil {
		return explain("list", filepath.Join(w.root, rel), err)
	}
	for _, e := range entries {
		if err := w.entry(path.Join(rel, e.Name()), e, parents, links); err != nil {
			return err
		}
	}
	return nil
}

// leftOut tells if a folder that could not be listed may not be read, or is gone since.
func leftOut(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (w *walker) entry(name string, e fs.DirEntry, parents []fs.FileInfo, links int) error {
	if !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
		if e.Type().IsRegular() {
			return w.file(name)
		}
		return nil
	}
	// Most of what is skipped here is .git and folders such as node_modules outside of the pattern.
	if !w.reachable(name) || e.IsDir() && w.pruned(name) {
		return nil
	}
	info, err := os.Stat(filepath.Join(w.root, name))
	switch {
	case err != nil:
		return nil //nolint:nilerr // a dangling link, or gone since
	case info.Mode().IsRegular():
		return w.file(name)
	case !info.IsDir() || w.pruned(name):
		return nil
	}
	if !e.IsDir() {
		links++
	}
	if links > maxLinks || slices.ContainsFunc(parents, func(p fs.FileInfo) bool { return sameDir(p, info) }) {
		return nil
	}
	return w.dir(name, append(slices.Clip(parents), info), links)
}

func sameDir(a, b fs.FileInfo) bool {
	sa, ok1 := a.Sys().(*syscall.Stat_t)
	sb, ok2 := b.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

// reachable tells if files that match an include can be in the folder or below it.
func (w *walker) reachable(dir string) bool {
	for _, base := range w.bases {
		if base == "." || base == dir || strings.HasPrefix(base, dir+"/") || strings.HasPrefix(dir, base+"/") {
			return true
		}
	}
	return false
}

// pruned tells if everything in the folder is excluded.
func (w *walker) pruned(dir string) bool {
	for _, p := range w.excludes {
		if head, ok := strings.CutSuffix(p, "/**"); ok && head != "**" && doublestar.MatchUnvalidated(head, dir) {
			return true
		}
	}
	return false
}

func (w *walker) file(name string) error {
	if !matchAny(w.includes, name) || matchAny(w.excludes, name) {
		return nil
	}
	if len(w.found) >= maxMatches {
		return agent.Fail(agent.ExitError, "TooManyFiles", "more than %d files match: use a narrower pattern", maxMatches)
	}
	w.found = append(w.found, name)
	return nil
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return doublestar.MatchUnvalidated(p, name) })
}

// FormatList renders paths for stdout: each with a newline at its end, or with a NUL if null is set,
// which is the only way that holds for every name.
func FormatList(names []string, null bool) []byte {
	end := "\n"
	if null {
		end = "\x00"
	}
	var b strings.Builder
	for _, n := range names {
		fmt.Fprint(&b, n, end)
	}
	return []byte(b.String())
}
