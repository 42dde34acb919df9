// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// put stores an object.
func put(t *testing.T, repo *git.Repository, o interface {
	Encode(plumbing.EncodedObject) error
}) plumbing.Hash {
	t.Helper()
	e := repo.Storer.NewEncodedObject()
	if err := o.Encode(e); err != nil {
		t.Fatal(err)
	}
	h, err := repo.Storer.SetEncodedObject(e)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestTreeBomb has a handful of objects that name each other so often that they are ten to the power of twelve files.
func TestTreeBomb(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	blob := repo.Storer.NewEncodedObject()
	blob.SetType(plumbing.BlobObject)
	inner, err := repo.Storer.SetEncodedObject(blob)
	if err != nil {
		t.Fatal(err)
	}
	mode := filemode.Regular
	for range 12 {
		tree := &object.Tree{}
		for i := range 10 {
			tree.Entries = append(tree.Entries, object.TreeEntry{Name: "d" + strconv.Itoa(i), Mode: mode, Hash: inner})
		}
		inner, mode = put(t, repo, tree), filemode.Dir
	}
	who := object.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600, 0)}
	first := put(t, repo, &object.Commit{Author: who, Committer: who, Message: "nothing", TreeHash: put(t, repo, &object.Tree{})})
	second := put(t, repo, &object.Commit{Author: who, Committer: who, Message: "bomb", TreeHash: inner, ParentHashes: []plumbing.Hash{first}})
	for name, hash := range map[plumbing.ReferenceName]plumbing.Hash{"refs/heads/main": second} {
		if err := repo.Storer.SetReference(plumbing.NewHashReference(name, hash)); err != nil {
			t.Fatal(err)
		}
	}
	r, refs := open(t, "file://"+dir, options(t))
	head, ok := refs.Find("main")
	if !ok {
		t.Fatal("no branch")
	}
	if _, err := r.Files(t.Context(), head, FilesLimit{Count: 10, Bytes: 100}, func(string) (bool, bool) { return false, false }); !errors.Is(err, ErrTooLarge) {
		t.Errorf("files: %v", err)
	}
	if _, err := r.Log(t.Context(), head, second.String(), first.String()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("log: %v", err)
	}
}

func TestLongTexts(t *testing.T) {
	h := newHistory(t)
	first := h.commit("first", map[string]string{"a": "1"})
	last := h.commit(strings.Repeat("x", maxMessage+5), map[string]string{"a": "2"})
	r, refs := open(t, "file://"+h.dir, options(t))
	head, _ := refs.Find("main")
	list, err := r.Log(t.Context(), head, last, first)
	if err != nil || len(list) != 1 || len(list[0].Message) != maxMessage {
		t.Errorf("a long message is cut: %d commits, %v", len(list), err)
	}
}

func TestRedirect(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/same/") {
			http.Redirect(w, r, "/moved"+strings.TrimPrefix(r.URL.Path, "/same"), http.StatusMovedPermanently)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, other.URL+r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
	}))
	defer s.Close()
	for address, want := range map[string]error{s.URL + "/r.git": ErrURL, s.URL + "/same/r.git": ErrNotFound} {
		r, err := Open(address, Options{Username: "user", Password: "pa55word", Scratch: options(t).Scratch})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.List(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", address, err, want)
		} else if strings.Contains(err.Error(), "pa55word") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if asked > 0 {
		t.Error("another server was asked")
	}
}
