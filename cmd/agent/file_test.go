// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func file(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := agentCmd(nil, append([]string{"file"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return runCmd(t, cmd)
}

func TestFileReadWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "new dir/文件\n1")
	content := "a\x00\xff世界\r\n"
	if r := file(t, content, "write", name); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := file(t, "", "read", name); r.stdout != content || r.code != 0 {
		t.Errorf("%+v", r)
	}
	if err := os.Chmod(name, 0o751); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if r := file(t, "two", "write", "--size", "3", link); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o751 || readFile(t, name) != "two" {
		t.Errorf("mode %v, content %q, %v", info.Mode(), readFile(t, name), err)
	}
	if l, _ := os.Lstat(link); l.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if r := file(t, "cut o", "write", "--size", "7", name); r.code != 1 || !strings.Contains(r.stderr, `"reason":"Incomplete"`) {
		t.Errorf("%+v", r)
	}
	if readFile(t, name) != "two" {
		t.Error("a broken upload changed the file")
	}
	if entries, _ := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args   []string
		code   int
		reason string
	}{
		"missing":       {[]string{"read", dir + "/none"}, 4, "NotFound"},
		"folder":        {[]string{"read", dir}, 1, "NotAFile"},
		"fifo":          {[]string{"read", dir + "/fifo"}, 1, "NotAFile"},
		"relative":      {[]string{"read", "x"}, 2, "BadPath"},
		"dot dot":       {[]string{"read", dir + "/../../etc/passwd"}, 2, "BadPath"},
		"long":          {[]string{"read", "/" + strings.Repeat("x/", 3000)}, 2, "BadPath"},
		"long name":     {[]string{"read", "/" + strings.Repeat("x", 300)}, 1, "Error"},
		"write folder":  {[]string{"write", dir}, 1, "NotAFile"},
		"write fifo":    {[]string{"write", dir + "/fifo"}, 1, "NotAFile"},
		"below a file":  {[]string{"write", "/etc/passwd/x"}, 1, "Error"},
		"rm root":       {[]string{"rm", "/"}, 2, "BadPath"},
		"rm usr":        {[]string{"rm", "//usr/"}, 2, "BadPath"},
		"rm dot dot":    {[]string{"rm", "/tmp/../usr/x"}, 2, "BadPath"},
		"glob missing":  {[]string{"glob", "--dir", dir + "/none"}, 4, "NotFound"},
		"glob file":     {[]string{"glob", "--dir", "/etc/passwd"}, 1, "NotADirectory"},
		"glob no dir":   {[]string{"glob"}, 2, "BadPath"},
		"no path":       {[]string{"read"}, 2, "Usage"},
		"unknown flag":  {[]string{"read", "--x", "/y"}, 2, "Usage"},
		"two arguments": {[]string{"rm", "/tmp/a", "/tmp/b"}, 2, "Usage"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := file(t, "", tc.args...)
			if r.code != tc.code || !strings.Contains(r.stderr, `"reason":"`+tc.reason+`"`) {
				t.Errorf("got %+v, want code %d, reason %s", r, tc.code, tc.reason)
			}
		})
	}
}

func TestFileGlob(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a b.jar", "sub/ü.jar", ".git/config", "x.txt"} {
		writeFile(t, filepath.Join(dir, f), "", 0o644)
	}
	if r := file(t, "", "glob", "--dir", dir, "--includes", "**/*.jar, *.txt", "--excludes", "sub/"); r.stdout != "a b.jar\nx.txt\n" {
		t.Errorf("%+v", r)
	}
	if r := file(t, "", "glob", "--dir", dir, "--null"); r.stdout != "a b.jar\x00sub/ü.jar\x00x.txt\x00" {
		t.Errorf("%+v", r)
	}
}

func TestFileRemove(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "keep")
	writeFile(t, outside, "k", 0o644)
	w := filepath.Join(dir, "w")
	writeFile(t, filepath.Join(w, "a/b/c"), "", 0o444)
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(w, "link")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it does not exist
		if r := file(t, "", "rm", w); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if _, err := os.Stat(w); err == nil {
		t.Error("still there")
	}
	readFile(t, outside)

	// Read-only folders, as of Go's module cache, for a user who is not root.
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can become another user")
	}
	base, err := os.MkdirTemp("", "slipway-rm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	writeFile(t, filepath.Join(base, "w/mod/x/y"), "", 0o444)
	for _, p := range []struct {
		path string
		mode os.FileMode
	}{{"w/mod/x/y", 0o444}, {"w/mod/x", 0o555}, {"w/mod", 0o000}, {"w", 0o555}, {"", 0o755}} {
		full := filepath.Join(base, p.path)
		if err := os.Chown(full, 54321, 54321); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(full, p.mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := agentCmd(nil, "file", "rm", filepath.Join(base, "w"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	cmd.Dir = "/"
	if r := runCmd(t, cmd); r.code != 0 {
		t.Errorf("read-only folders: %+v", r)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"no-such"}, {"step"}, {"step", "no-such"}, {"file", ""}} {
		if r := runCmd(t, agentCmd(nil, args...)); r.code != 2 || !strings.Contains(r.stderr, "usage: slipway-agent") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := runCmd(t, agentCmd(nil, "init", "-h")); r.code != 0 || !strings.Contains(r.stderr, "-keys-dir") {
		t.Errorf("%+v", r)
	}
	if r := runCmd(t, agentCmd(nil, "--help")); r.code != 0 {
		t.Errorf("%+v", r)
	}
}
