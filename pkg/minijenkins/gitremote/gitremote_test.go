// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitremote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// repository makes one with branches main, dev and an annotated tag v1.
func repository(t *testing.T) (dir, first string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "r")
	repo, err := git.PlainInit(dir, false)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	check(repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	wt, err := repo.Worktree()
	check(err)
	who := &object.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600, 0)}
	commit := func(name, text string) plumbing.Hash {
		check(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		_, err := wt.Add(name)
		check(err)
		h, err := wt.Commit("c", &git.CommitOptions{Author: who})
		check(err)
		return h
	}
	one := commit("Jenkinsfile", "one")
	_, err = repo.CreateTag("v1", one, &git.CreateTagOptions{Tagger: who, Message: "v1"})
	check(err)
	check(repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/dev", one)))
	commit("ci/Jenkinsfile", "two")
	check(os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	_, err = wt.Add("link")
	check(err)
	commit("big", strings.Repeat("0123456789abcdef", 1000))
	return dir, one.String()
}

// serve serves the repository over HTTP as git itself does, to user and password.
func serve(t *testing.T, dir string) string {
	t.Helper()
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: nothing serves the repository over HTTP")
	}
	back := &cgi.Handler{Path: bin, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=uploadpack.allowFilter", "GIT_CONFIG_VALUE_0=true",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "user" || p != "pa55word" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "a body that is not shown", http.StatusUnauthorized)
			return
		}
		back.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/r/.git"
}

func options(t *testing.T) Options {
	t.Helper()
	base := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
			t.Errorf("what was fetched is left: %v, %v", left, err)
		}
	})
	return Options{AllowFile: true, Scratch: func() (string, func() error, error) {
		dir, err := os.MkdirTemp(base, "x")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}}
}

func open(t *testing.T, address string, opts Options) (*Remote, *Refs) {
	t.Helper()
	r, err := Open(address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	refs, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, refs
}

func TestLook(t *testing.T) {
	dir, first := repository(t)
	for _, over := range []string{"file", "http"} {
		t.Run(over, func(t *testing.T) {
			opts, address := options(t), "file://"+dir
			if over == "http" {
				opts.Username, opts.Password, address = "user", "pa55word", serve(t, dir)
			}
			r, refs := open(t, address, opts)
			if len(refs.Heads) != 3 || refs.Default != "main" {
				t.Fatalf("%+v", refs)
			}
			having, err := r.Having(t.Context(), refs.Heads, "ci/Jenkinsfile")
			main, _ := refs.Find("*/main")
			if err != nil || !having[main.Commit] || having[first] {
				t.Errorf("%v, %v", having, err)
			}
			for spec, want := range map[string]string{"": "two", "main": "two", "origin/main": "two", "refs/heads/main": "two"} {
				h, ok := refs.Find(spec)
				if text, err := r.Read(t.Context(), h, "ci/Jenkinsfile"); !ok || err != nil || text != want {
					t.Errorf("%q: %q, %v", spec, text, err)
				}
			}
			for _, spec := range []string{"dev", "v1", "refs/tags/v1", first} {
				h, ok := refs.Find(spec)
				if text, err := r.Read(t.Context(), h, "Jenkinsfile"); !ok || err != nil || text != "one" {
					t.Errorf("%q: %q, %v", spec, text, err)
				}
			}
			for _, file := range []string{"none", "ci", "link", "ci/Jenkinsfile/x", "../Jenkinsfile"} {
				if text, err := r.Read(t.Context(), main, file); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %q, %v", file, text, err)
				}
			}
			if _, ok := refs.Find("none"); ok {
				t.Error("a branch that is not there was found")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	dir, _ := repository(t)
	for address, reason := range map[string]string{
		"": "nothing", "ssh://git@host/x": "another protocol", "git@host:x.git": "another protocol", "http://": "no host", "file://host/x": "the disk of another host",
		"file:relative": "a relative path", "https://h/" + strings.Repeat("x", 3000): "too long", "http://[::1": "no URL", "ftp://h/x": "another protocol",
	} {
		if _, err := Open(address, options(t)); !errors.Is(err, ErrURL) {
			t.Errorf("%q (%s): %v", address, reason, err)
		}
	}
	opts := options(t)
	opts.AllowFile = false
	if _, err := Open("file://"+dir, opts); !errors.Is(err, ErrURL) {
		t.Errorf("a file: %v", err)
	}
}

func TestServerFailures(t *testing.T) {
	dir, _ := repository(t)
	address := serve(t, dir)
	list := func(ctx context.Context, address string, opts Options) error {
		r, err := Open(address, opts)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		_, err = r.List(ctx)
		return err
	}
	opts := options(t)
	if err := list(t.Context(), "http://169.254.169.254/r.git", opts); !errors.Is(err, ErrURL) {
		t.Errorf("the metadata service of a cloud: %v", err)
	}
	if err := list(t.Context(), address, opts); !errors.Is(err, ErrAuthentication) || strings.Contains(err.Error(), "not shown") {
		t.Errorf("without a credential: %v", err)
	}
	opts.Username, opts.Password = "user", "wr0ng"
	if err := list(t.Context(), address, opts); !errors.Is(err, ErrAuthentication) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("with a wrong credential: %v", err)
	}
	opts.Password = "pa55word"
	if err := list(t.Context(), strings.Replace(address, "/r/", "/none/", 1), opts); !errors.Is(err, ErrNotFound) {
		t.Errorf("no repository: %v", err)
	}
	if err := list(t.Context(), strings.Replace(address, "http://", "http://user:pa55word@", 1), options(t)); err != nil {
		t.Errorf("the credential is in the address: %v", err)
	}
	small := opts
	small.MaxBytes = 100
	if err := list(t.Context(), address, small); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than allowed: %v", err)
	}
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hang.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := list(ctx, hang.URL+"/x", opts); err == nil || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("a server that does not answer: %v", err)
	}
}
