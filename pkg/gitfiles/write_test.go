// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var author = Author{Name: "Ann <x>\n", Email: "ann@example.org"}

func put(branch string, files map[string]string) Change {
	c := Change{Branch: branch, Message: "a change", Author: author}
	for name, content := range files {
		c.Puts = append(c.Puts, Put{Path: name, Content: []byte(content)})
	}
	return c
}

func TestWrite(t *testing.T) {
	s, _, second := fixture(t)
	overSSH, key, known := s.ssh()
	for name, target := range map[string]Target{
		"http": s.target(),
		"ssh":  {Key: "k", URL: overSSH, Credential: Credential{PrivateKey: key, KnownHosts: []byte(known)}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			run(t, s.bare, "update-ref", "refs/heads/main", second)
			r := open(t, newCache(t, nil), target)
			change := put("main", map[string]string{"new/deep/file": "text " + name, "a-b": "sorted", "a/b": "x"})
			commit, err := r.Write(ctx, change)
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, s.bare, "rev-parse", "main"); got != commit.Hash.String() {
				t.Errorf("the branch is at %s, the answer says %s", got, commit.Hash)
			}
			run(t, s.bare, "fsck", "--strict", "--no-dangling")
			if got := run(t, s.bare, "log", "-1", "--format=%an|%ae|%cn|%P|%B", "main"); got != "Ann x|ann@example.org|Ann x|"+second+"|a change\n\nSigned-off-by: Ann x <ann@example.org>" {
				t.Errorf("commit: %q", got)
			}
			if got := s.show("main", "new/deep/file"); got != "text "+name {
				t.Errorf("file: %q", got)
			}
			if got := s.show("main", "src/b/b.go"); got != "package b" {
				t.Errorf("another file: %q", got)
			}
			// The same again changes nothing: a client that lost the answer may repeat it.
			change.Overwrite = true
			again, err := r.Write(ctx, change)
			if err != nil || again.Hash != commit.Hash {
				t.Errorf("again: %v, %v", again, err)
			}
			if _, err := r.Write(ctx, Change{Branch: "main", Message: "rm", Author: author, Deletes: []string{"new/deep/file", "src/"}}); err != nil {
				t.Fatal(err)
			}
			files, err := r.List(ctx, "main", "", ListOptions{})
			if got := names(files); err != nil || got != "README.md a-b a/ bin* passwd@" {
				t.Errorf("an empty folder is gone: %q, %v", got, err)
			}
			run(t, s.bare, "fsck", "--strict", "--no-dangling")
		})
	}
}

func TestWriteKeepsModes(t *testing.T) {
	s := newServer(t)
	work := t.TempDir()
	run(t, work, "clone", "--quiet", s.bare, ".")
	if err := os.WriteFile(filepath.Join(work, "run.sh"), []byte("one"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, work, "add", "--all")
	run(t, work, "commit", "--quiet", "-m", "one")
	run(t, work, "push", "--quiet", "origin", "HEAD:main")
	c := put("main", map[string]string{"run.sh": "two", "plain": "x"})
	c.Overwrite = true
	if _, err := open(t, newCache(t, nil), s.target()).Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := run(t, s.bare, "ls-tree", "--format=%(objectmode) %(path)", "main"); got != "100644 plain\n100755 run.sh" {
		t.Errorf("got %q", got)
	}
}

func TestWriteIntoAnEmptyRepository(t *testing.T) {
	s := newServer(t)
	r := open(t, newCache(t, nil), s.target())
	if list, total, err := r.Branches(t.Context(), Page{Limit: 20}); err != nil || total != 0 || list == nil {
		t.Errorf("branches: %v, %d, %v", list, total, err)
	}
	if _, err := r.Write(t.Context(), put("main", map[string]string{"README.md": "first"})); err != nil {
		t.Fatal(err)
	}
	if got := s.show("main", "README.md"); got != "first" {
		t.Errorf("got %q", got)
	}
	if _, err := r.Write(t.Context(), put("other", map[string]string{"README.md": "x"})); !errors.Is(err, ErrNotFound) {
		t.Errorf("a typing error makes no second branch: %v", err)
	}
}

func TestWriteErrors(t *testing.T) {
	s, first, _ := fixture(t)
	overwrite := func(c Change) Change { c.Overwrite = true; return c }
	based := func(c Change, base string) Change { c.Base = base; return c }
	c := newCache(t, func(o *Options) { o.MaxFileBytes, o.MaxCommitBytes = 100, 150 })
	remove := func(names ...string) Change {
		return Change{Branch: "main", Message: "rm", Author: author, Deletes: names}
	}
	big := strings.Repeat("x", 90)
	cases := map[string]struct {
		reason string
		change Change
		want   error
	}{
		"exists":            {change: put("main", map[string]string{"README.md": "x"}), want: ErrConflict},
		"a folder":          {change: overwrite(put("main", map[string]string{"src": "x"})), want: ErrConflict},
		"below a file":      {change: overwrite(put("main", map[string]string{"README.md/x": "x"})), want: ErrConflict},
		"a link":            {reason: "what it leads to is not what was meant", change: overwrite(put("main", map[string]string{"passwd": "x"})), want: ErrInvalid},
		"through a link":    {change: overwrite(put("main", map[string]string{"passwd/x": "x"})), want: ErrInvalid},
		"git":               {change: put("main", map[string]string{".GIT/hooks/post-checkout": "x"}), want: ErrInvalid},
		"up":                {change: put("main", map[string]string{"../x": "x"}), want: ErrInvalid},
		"absolute twice":    {change: put("main", map[string]string{"//etc/x": "x"}), want: ErrInvalid},
		"file and folder":   {change: put("main", map[string]string{"n": "x", "n/m": "x"}), want: ErrConflict},
		"twice":             {change: Change{Branch: "main", Message: "x", Puts: []Put{{Path: "n"}, {Path: "/n"}}}, want: ErrInvalid},
		"no message":        {change: Change{Branch: "main", Message: " ", Puts: []Put{{Path: "n"}}}, want: ErrInvalid},
		"long message":      {change: Change{Branch: "main", Message: strings.Repeat("x", maxMessage+1), Puts: []Put{{Path: "n"}}}, want: ErrInvalid},
		"nothing":           {change: Change{Branch: "main", Message: "x"}, want: ErrInvalid},
		"no branch":         {change: put("nope", map[string]string{"n": "x"}), want: ErrNotFound},
		"bad branch":        {change: put("a..b", map[string]string{"n": "x"}), want: ErrInvalid},
		"big":               {change: put("main", map[string]string{"n": big + big}), want: ErrTooLarge},
		"big together":      {change: put("main", map[string]string{"n": big, "m": big}), want: ErrTooLarge},
		"many":              {change: remove(make([]string, maxChanges+1)...), want: ErrTooLarge},
		"delete nothing":    {change: remove("nope"), want: ErrNotFound},
		"delete in nothing": {change: remove("nope/x"), want: ErrNotFound},
		"delete and change": {change: Change{Branch: "main", Message: "x", Deletes: []string{"src"}, Puts: []Put{{Path: "src/n"}}}, want: ErrInvalid},
		"old base":          {reason: "the author saw another text", change: based(overwrite(put("main", map[string]string{"README.md": "x"})), first), want: ErrConflict},
		"foreign base":      {change: based(put("main", map[string]string{"n": "x"}), strings.Repeat("a", 40)), want: ErrNotFound},
		"bad base":          {change: based(put("main", map[string]string{"n": "x"}), "main"), want: ErrInvalid},
	}
	before := run(t, s.bare, "rev-parse", "main")
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := open(t, c, s.target()).Write(t.Context(), tc.change); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.reason, err, tc.want)
			}
		})
	}
	if after := run(t, s.bare, "rev-parse", "main"); after != before {
		t.Error("the branch has moved")
	}
	// What the author saw elsewhere in the repository does not matter.
	if _, err := open(t, c, s.target()).Write(t.Context(), based(overwrite(put("main", map[string]string{"src/a.go": "x"})), first)); err != nil {
		t.Errorf("an old base whose file is the same: %v", err)
	}
}

// TestReplicasWrite has several replicas, each with a cache of its own, that all write to one branch.
func TestReplicasWrite(t *testing.T) {
	s, _, second := fixture(t)
	var wait sync.WaitGroup
	for replica := range 3 {
		c := newCache(t, nil)
		wait.Add(1)
		go func() {
			defer wait.Done()
			r, err := c.Open(s.target())
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 4 {
				if _, err := r.Write(t.Context(), put("main", map[string]string{fmt.Sprintf("f-%d-%d", replica, i): "x"})); err != nil {
					t.Errorf("replica %d: %v", replica, err)
				}
			}
		}()
	}
	wait.Wait()
	if got := run(t, s.bare, "rev-list", "--count", second+"..main"); got != "12" {
		t.Errorf("%s commits, want 12: one was lost or made twice", got)
	}
	if got := run(t, s.bare, "rev-list", "--min-parents=2", "--count", "main"); got != "0" {
		t.Errorf("%s merges", got)
	}
}

// isPush tells if a request sends objects.
func isPush(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") }

func TestTheBranchMovesDuringAWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, file string
		want         error
	}{
		"another file": {reason: "the commit is made again on top", file: "other"},
		"the file":     {reason: "what somebody wrote meanwhile must not be lost", file: "README.md", want: ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := fixture(t)
			var once atomic.Bool
			s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if isPush(r) && once.CompareAndSwap(false, true) {
					s.commit("main", map[string]string{tc.file: "meanwhile"})
				}
				return false
			})
			c := put("main", map[string]string{"README.md": "mine"})
			c.Overwrite = true
			_, err := open(t, newCache(t, nil), s.target()).Write(t.Context(), c)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%s: got %v, want %v", tc.reason, err, tc.want)
			}
			if got := s.show("main", tc.file); got != "meanwhile" {
				t.Errorf("the other's file is %q", got)
			}
			if got := s.show("main", "README.md"); tc.want == nil && got != "mine" {
				t.Errorf("our file is %q", got)
			}
		})
	}
}

func TestTheAnswerToAWriteIsLost(t *testing.T) {
	s, _, second := fixture(t)
	var once atomic.Bool
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if isPush(r) && once.CompareAndSwap(false, true) {
			recorder := &deaf{header: http.Header{}}
			s.before.Store(nil)
			s.handler.ServeHTTP(recorder, r)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	commit, err := open(t, newCache(t, nil), s.target()).Write(t.Context(), put("main", map[string]string{"n": "x"}))
	if err != nil {
		t.Fatalf("the commit is there: %v", err)
	}
	if got := run(t, s.bare, "rev-list", second+"..main"); got != commit.Hash.String() {
		t.Errorf("commits %q, want %s alone", got, commit.Hash)
	}
}

// deaf takes an answer that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

func TestTheServerRefusesAWrite(t *testing.T) {
	s, _, _ := fixture(t)
	hook := filepath.Join(s.bare, "hooks", "update")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n[ \"$1\" = refs/heads/main ] && { echo protected >&2; exit 1; }; exit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := open(t, newCache(t, nil), s.target())
	_, err := r.Write(t.Context(), put("main", map[string]string{"n": "x"}))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "hook declined") {
		t.Errorf("a hook: got %v", err)
	}
	if _, err := r.Write(t.Context(), put("feat/x", map[string]string{"n": "x"})); err != nil {
		t.Errorf("another branch: %v", err)
	}
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.RawQuery+r.URL.Path, "receive-pack") {
			http.Error(w, "no", http.StatusForbidden)
			return true
		}
		return false
	})
	if _, err := r.Write(t.Context(), put("feat/x", map[string]string{"m": "x"})); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "may not write") {
		t.Errorf("a credential for reading: got %v", err)
	}
}

func TestCreateBranch(t *testing.T) {
	s, first, second := fixture(t)
	r := open(t, newCache(t, nil), s.target())
	for name, tc := range map[string]struct {
		branch, from, want string
		created            bool
		err                error
	}{
		"default": {branch: "n1", want: second, created: true},
		"branch":  {branch: "n2", from: "main", want: second, created: true},
		"tag":     {branch: "n3", from: "v1", want: first, created: true},
		"commit":  {branch: "n4/x", from: first, want: first, created: true},
		"exists":  {branch: "main", from: "v1", want: second},
		"nothing": {branch: "n5", from: "nope", err: ErrNotFound},
		"lost":    {branch: "n6", from: strings.Repeat("a", 40), err: ErrNotFound},
		"name":    {branch: "-x", err: ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			b, created, err := r.CreateBranch(t.Context(), tc.branch, tc.from)
			if !errors.Is(err, tc.err) || created != tc.created {
				t.Fatalf("got %v, %v, want %v, %v", created, err, tc.created, tc.err)
			}
			if tc.err == nil && (b.Commit.Hash.String() != tc.want || run(t, s.bare, "rev-parse", tc.branch) != tc.want) {
				t.Errorf("it is at %s, want %s", b.Commit.Hash, tc.want)
			}
		})
	}
}

func TestWriteIsCancelled(t *testing.T) {
	s, _, _ := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client is gone only then
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	})
	if _, err := open(t, newCache(t, nil), s.target()).Write(ctx, put("main", map[string]string{"n": "x"})); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
