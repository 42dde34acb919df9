// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
)

// gitServer serves what git's smart protocol over HTTP asks first, from a repository on disk: /open.git for
// all, /closed.git with a token, /empty.git without a commit.
func gitServer(t *testing.T) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInit(filepath.Join(dir, "repo"), false)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "repo", "Jenkinsfile"), []byte("pipeline {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Add("Jenkinsfile"); err != nil {
		t.Fatal(err)
	}
	commit, err := tree.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "dev", Email: "dev@example.test", When: time.Unix(1, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, branch := range []string{"a", "feat/x", "ünï"} {
		if err := repo.Storer.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), commit)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := git.PlainInit(filepath.Join(dir, "empty"), true); err != nil {
		t.Fatal(err)
	}
	advertise := func(w http.ResponseWriter, r *http.Request, name string) {
		endpoint := &transport.Endpoint{Protocol: "file", Path: name}
		session, err := server.NewServer(server.NewFilesystemLoader(osfs.New(dir))).NewUploadPackSession(endpoint, nil)
		if err != nil {
			t.Error(err)
			return
		}
		refs, err := session.AdvertisedReferencesContext(r.Context())
		if errors.Is(err, transport.ErrEmptyRemoteRepository) {
			refs, err = packp.NewAdvRefs(), nil
		}
		if err != nil {
			t.Error(err)
			return
		}
		refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), nil}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_ = refs.Encode(w)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch path := strings.TrimSuffix(r.URL.Path, "/info/refs"); {
		case path == "/open.git":
			advertise(w, r, "repo/.git")
		case path == "/empty.git":
			advertise(w, r, "empty")
		case path == "/page.git":
			_, _ = w.Write([]byte("<html>"))
		case path == "/limited.git":
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusTooManyRequests)
		case path != "/closed.git":
			http.NotFound(w, r)
		case password == "":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		case password == weakToken:
			w.WriteHeader(http.StatusForbidden)
		case password != goodToken:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			advertise(w, r, "repo/.git")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestGit(t *testing.T) {
	s := gitServer(t)
	tests := map[string]struct {
		path    string
		token   string
		want    Reason
		message string
	}{
		"open":          {"/open.git", "", "", ""},
		"closed":        {"/closed.git", goodToken, "", ""},
		"no credential": {"/closed.git", "", BadCredential, "wants a credential"},
		"wrong":         {"/closed.git", "wrong-token", BadCredential, "does not accept"},
		"weak":          {"/closed.git", weakToken, NoRight, ""},
		"missing":       {"/nothing.git", "", NotFound, "check the address"},
		"empty":         {"/empty.git", "", "", ""},
		"page":          {"/page.git", "", ServerError, "git server"},
		"limited":       {"/limited.git", "", RateLimited, "5s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := connect(t, Options{Provider: Git, Server: s.URL + tc.path, Credential: Credential{Token: tc.token}})
			_, err := c.Verify(t.Context())
			if tc.want == "" && err != nil || tc.want != "" && !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.message) || tc.token != "" && strings.Contains(err.Error(), tc.token)) {
				t.Errorf("message %q", err)
			}
		})
	}
	c := connect(t, Options{Provider: Git, Server: s.URL + "/open.git"})
	if list, err := c.Organizations(t.Context(), true); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if _, err := c.Repositories(t.Context(), "x", Page{}); !errors.Is(err, Unsupported) {
		t.Errorf("%v", err)
	}
}
