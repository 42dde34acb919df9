// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// history is a repository whose commits are made one after the other.
type history struct {
	t    *testing.T
	dir  string
	repo *git.Repository
	n    int
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{t: t, dir: filepath.Join(t.TempDir(), "r")}
	var err error
	if h.repo, err = git.PlainInit(h.dir, false); err != nil {
		t.Fatal(err)
	}
	h.check(h.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	return h
}

func (h *history) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// commit changes files and commits them with the parents, or those of HEAD without any.
func (h *history) commit(message string, files map[string]string, parents ...string) string {
	h.t.Helper()
	wt, err := h.repo.Worktree()
	h.check(err)
	for name, text := range files {
		file := filepath.Join(h.dir, filepath.FromSlash(name))
		if text == "" {
			h.check(os.Remove(file))
		} else {
			h.check(errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)))
		}
		_, err := wt.Add(name)
		h.check(err)
	}
	h.n++
	who := &object.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600+int64(h.n), 0).UTC()}
	opts := &git.CommitOptions{Author: who, AllowEmptyCommits: true}
	for _, p := range parents {
		opts.Parents = append(opts.Parents, plumbing.NewHash(p))
	}
	hash, err := wt.Commit(message, opts)
	h.check(err)
	return hash.String()
}

func (h *history) reset(to string) {
	h.t.Helper()
	wt, err := h.repo.Worktree()
	h.check(err)
	h.check(wt.Reset(&git.ResetOptions{Mode: git.HardReset, Commit: plumbing.NewHash(to)}))
}

func TestLog(t *testing.T) {
	h := newHistory(t)
	one := h.commit("one", map[string]string{"a": "1", "dir/b": "1"})
	two := h.commit("two: first line\n\nmore\n", map[string]string{"dir/b": "2", "dir/sub/ü x": "1"})
	h.commit("empty", nil)
	// Its tree has what two changed, as its parent is an older one.
	side := h.commit("side", map[string]string{"side": "1"}, one)
	h.reset(two)
	h.commit("three", map[string]string{"a": ""})
	three, err := h.repo.Head()
	h.check(err)
	merge := h.commit("merge", map[string]string{"side": "1"}, three.Hash().String(), side)
	for i := range 40 {
		h.commit("many "+strconv.Itoa(i), map[string]string{"n": strconv.Itoa(i)})
	}
	text := func(list []Commit) string {
		var out []string
		for _, c := range list {
			first, _, _ := strings.Cut(c.Message, "\n")
			out = append(out, first+"="+strings.Join(c.Paths, ","))
		}
		return strings.Join(out, "; ")
	}
	for _, over := range []string{"file", "http"} {
		t.Run(over, func(t *testing.T) {
			opts, address := options(t), "file://"+h.dir
			if over == "http" {
				opts.Username, opts.Password, address = "user", "pa55word", serve(t, h.dir)
			}
			r, refs := open(t, address, opts)
			main, _ := refs.Find("main")
			list, err := r.Log(t.Context(), main, main.Commit, merge)
			if err != nil || len(list) != 40 || list[0].Message != "many 0" || list[39].Message != "many 39" || list[0].Author != "dev" ||
				list[0].Email != "dev@example.invalid" || !list[0].Time.Equal(time.Unix(1767225600+7, 0)) {
				t.Errorf("since the merge: %v, %d commits: %s", err, len(list), text(list))
			}
			list, err = r.Log(t.Context(), main, main.Commit, one)
			if got := text(list); err != nil || !strings.HasPrefix(got, "two: first line=dir/b,dir/sub/ü x; side=dir/b,dir/sub/ü x,side; three=a; many 0=n; ") || len(list) != 43 {
				t.Errorf("since the first commit: %v, %d commits: %s", err, len(list), got)
			}
			if list, err = r.Log(t.Context(), main, main.Commit, main.Commit); err != nil || len(list) != 0 {
				t.Errorf("since itself: %v, %v", list, err)
			}
			for _, bad := range []string{"", "x", strings.Repeat("0", 40), strings.Repeat("a", 40)} {
				if list, err = r.Log(t.Context(), main, main.Commit, bad); !errors.Is(err, ErrNotFound) {
					t.Errorf("since %q: %v, %v", bad, list, err)
				}
			}
			if list, err = r.Log(t.Context(), main, merge, two); err != nil || text(list) != "side=dir/b,dir/sub/ü x,side; three=a" {
				t.Errorf("up to an older commit: %v, %s", err, text(list))
			}
			small := opts
			small.MaxBytes = 3000
			if s, sr := open(t, address, small); over == "http" {
				m, _ := sr.Find("main")
				if _, err := s.Log(t.Context(), m, m.Commit, one); !errors.Is(err, ErrTooLarge) {
					t.Errorf("more than may be read: %v", err)
				}
			}
		})
	}
}

func TestLogAfterForcedPush(t *testing.T) {
	h := newHistory(t)
	base := h.commit("base", map[string]string{"a": "1"})
	old := h.commit("old", map[string]string{"a": "2"})
	h.reset(base)
	h.commit("new", map[string]string{"b": "1"})
	r, refs := open(t, "file://"+h.dir, options(t))
	main, _ := refs.Find("main")
	list, err := r.Log(t.Context(), main, main.Commit, old)
	if err != nil || len(list) != 1 || list[0].Message != "new" {
		t.Errorf("%v, %v", list, err)
	}
}
