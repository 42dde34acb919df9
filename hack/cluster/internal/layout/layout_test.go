// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	l, err := New("/repo", "")
	if err != nil {
		t.Fatal(err)
	}
	if want := "/repo/.run/cluster"; l.State != want {
		t.Errorf("state is %s, want %s", l.State, want)
	}
	other, err := New("/repo", "/tmp/x")
	if err != nil {
		t.Fatal(err)
	}
	if l.ID == other.ID || l.Veth() == other.Veth() || l.NetNS() == other.NetNS() {
		t.Errorf("two state directories share names: %s, %s", l.ID, other.ID)
	}
	if n := len(l.Veth()); n > 15 {
		t.Errorf("the link's name %s has %d bytes; Linux takes 15", l.Veth(), n)
	}
}

func TestCheckLength(t *testing.T) {
	for n, ok := range map[int]bool{20: true, maxStateDir: true, maxStateDir + 1: false} {
		l, err := New("/repo", "/"+strings.Repeat("x", n-1))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.CheckLength(); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestFindRepo(t *testing.T) {
	repo := t.TempDir()
	deep := filepath.Join(repo, "hack", "cluster", "cmd")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo, "hack", "cluster", "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	got, err := FindRepo()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := filepath.EvalSymlinks(repo); err != nil || got != want && got != repo {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
	t.Chdir(t.TempDir())
	if _, err := FindRepo(); err == nil {
		t.Error("a checkout was found where there is none")
	}
}
