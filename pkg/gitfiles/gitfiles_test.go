// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitfiles

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func names(files []File) string {
	var list []string
	for _, f := range files {
		name := f.Name
		if f.Folder {
			name += "/"
		}
		if f.Link {
			name += "@"
		}
		if f.Binary {
			name += "*"
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// fixture is a repository with three commits on main and a branch feat/x.
func fixture(t *testing.T) (s *server, first, second string) {
	t.Helper()
	s = newServer(t)
	first = s.commit("main", map[string]string{"README.md": "# one", "src/a.go": "package a", "src/b/b.go": "package b", "bin": "a\x00b"}, "--date=2026-01-01T00:00:00Z")
	second = s.commit("main", map[string]string{"README.md": "# two", "passwd": "link:/etc/passwd"})
	s.commit("feat/x", map[string]string{"x": "x"})
	run(t, s.bare, "tag", "-a", "-m", "v1", "v1", first)
	return s, first, second
}

func TestRead(t *testing.T) {
	s, first, second := fixture(t)
	overSSH, key, known := s.ssh()
	for name, target := range map[string]Target{
		"http": s.target(),
		"ssh":  {Key: "k", URL: overSSH, Credential: Credential{PrivateKey: key, KnownHosts: []byte(known)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, newCache(t, nil), target)
			ctx := t.Context()
			if err := r.Check(ctx); err != nil {
				t.Fatal(err)
			}
			branches, total, err := r.Branches(ctx, Page{Limit: 20})
			if err != nil || total != 2 || branches[0].Name != "feat/x" || branches[1].Commit.Hash.String() != second {
				t.Fatalf("branches: %v, %d, %v", branches, total, err)
			}
			if page, total, err := r.Branches(ctx, Page{Offset: 1, Limit: 1}); err != nil || total != 2 || len(page) != 1 || page[0].Name != "main" {
				t.Errorf("second page: %v, %d, %v", page, total, err)
			}
			if main, err := r.Default(ctx); err != nil || main != "main" {
				t.Errorf("default branch: %q, %v", main, err)
			}
			files, err := r.List(ctx, "main", "/", ListOptions{})
			if got := names(files); err != nil || got != "README.md bin* passwd@ src/" {
				t.Errorf("files: %q, %v", got, err)
			}
			files, err = r.List(ctx, "main", "src/", ListOptions{Content: true})
			if got := names(files); err != nil || got != "a.go b/" || string(files[0].Content) != "package a" {
				t.Errorf("files of src: %q, %v", got, err)
			}
			f, err := r.File(ctx, Ref{Branch: "main"}, "README.md", true)
			if err != nil || string(f.Content) != "# two" || f.Size != 5 || f.Binary {
				t.Errorf("file: %+v, %v", f, err)
			}
			f, err = r.File(ctx, Ref{Commit: first}, "README.md", true)
			if err != nil || string(f.Content) != "# one" {
				t.Errorf("file of the first commit: %+v, %v", f, err)
			}
			f, err = r.File(ctx, Ref{Branch: "main"}, "passwd", true)
			if err != nil || !f.Link || string(f.Content) != "/etc/passwd" {
				t.Errorf("a link is shown as what it says, got %+v, %v", f, err)
			}
			log, total, err := r.Log(ctx, "main", "", Page{Limit: 20})
			if err != nil || total != 2 || log[0].Hash.String() != second || log[1].Hash.String() != first {
				t.Errorf("log: %v, %d, %v", log, total, err)
			}
			log, total, err = r.Log(ctx, "main", "src", Page{Limit: 20})
			if err != nil || total != 1 || log[0].Hash.String() != first {
				t.Errorf("log of src: %v, %d, %v", log, total, err)
			}
			files, err = r.List(ctx, "main", "", ListOptions{LastCommit: true})
			got := map[string]string{}
			for _, f := range files {
				got[f.Name] = f.Commit.Hash.String()
			}
			want := map[string]string{"README.md": second, "bin": first, "passwd": second, "src": first}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("last commits: %v, %s", err, diff)
			}
			c, err := r.Commit(ctx, first)
			if err != nil || c.Author.Name != "Dev" || !strings.HasPrefix(c.Message, "change of main") {
				t.Errorf("commit: %v, %v", c, err)
			}
		})
	}
}

func TestReadIsNeverStale(t *testing.T) {
	s, _, _ := fixture(t)
	r := open(t, newCache(t, nil), s.target())
	for i := range 5 {
		want := fmt.Sprintf("# version %d", i)
		commit := s.commit("main", map[string]string{"README.md": want})
		f, err := r.File(t.Context(), Ref{Branch: "main"}, "README.md", true)
		if err != nil || string(f.Content) != want {
			t.Fatalf("got %+v, %v; want %q", f, err, want)
		}
		if log, total, err := r.Log(t.Context(), "main", "", Page{Limit: 1}); err != nil || total != 3+i || log[0].Hash.String() != commit {
			t.Fatalf("log: %v, %d, %v", log, total, err)
		}
	}
	// A branch that was moved back is shown as it is.
	run(t, s.bare, "update-ref", "refs/heads/main", "main~4")
	if f, err := r.File(t.Context(), Ref{Branch: "main"}, "README.md", true); err != nil || string(f.Content) != "# version 0" {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestReadErrors(t *testing.T) {
	s, _, _ := fixture(t)
	work := t.TempDir()
	run(t, work, "clone", "--quiet", s.bare, ".")
	run(t, work, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", s.bare, "mod")
	run(t, work, "commit", "--quiet", "-m", "submodule")
	run(t, work, "push", "--quiet", "origin", "HEAD:sub")
	c := newCache(t, nil)
	anonymous, wrong := s.target(), s.target()
	anonymous.Credential = Credential{}
	wrong.Credential.Password = "not it"
	local := s.target()
	gone := s.target()
	gone.URL = strings.Replace(gone.URL, "repo.git", "none.git", 1)
	dead := s.target()
	dead.URL = "http://127.0.0.1:1/repo.git"
	nowhere := s.target()
	nowhere.URL = "http://no-such-host.invalid/repo.git"
	cases := map[string]struct {
		reason string
		target Target
		call   func(context.Context, *Repository) error
		want   error
		text   string
	}{
		"anonymous":  {reason: "the cache of another must not answer", target: anonymous, call: readme, want: ErrAuthentication, text: "private or does not exist"},
		"wrong":      {target: wrong, call: readme, want: ErrAuthentication, text: "refuses the credential"},
		"repository": {target: gone, call: readme, want: ErrNotFound},
		"dead":       {target: dead, call: readme, want: ErrUnavailable, text: "refused"},
		"host":       {target: nowhere, call: readme, want: ErrUnavailable, text: "no host no-such-host.invalid"},
		"branch": {target: local, want: ErrNotFound, call: func(ctx context.Context, r *Repository) error {
			_, err := r.Branch(ctx, "nope")
			return err
		}},
		"branch name": {target: local, want: ErrInvalid, call: func(ctx context.Context, r *Repository) error {
			_, err := r.Branch(ctx, "a..b")
			return err
		}},
		"commit": {target: local, want: ErrNotFound, call: func(ctx context.Context, r *Repository) error {
			_, err := r.Commit(ctx, strings.Repeat("a", 40))
			return err
		}},
		"commit name": {target: local, want: ErrInvalid, call: func(ctx context.Context, r *Repository) error {
			_, err := r.Commit(ctx, "HEAD")
			return err
		}},
		"file":           {target: local, want: ErrNotFound, call: file("main", "nope")},
		"behind a file":  {target: local, want: ErrNotFound, call: file("main", "README.md/x")},
		"through a link": {reason: "links are not followed", target: local, want: ErrNotFound, call: file("main", "passwd/x")},
		"folder":         {target: local, want: ErrInvalid, call: file("main", "src")},
		"submodule":      {target: local, want: ErrInvalid, call: file("sub", "mod")},
		"in submodule":   {target: local, want: ErrNotFound, call: file("sub", "mod/README.md")},
		"up":             {target: local, want: ErrInvalid, call: file("main", "../x")},
		"git":            {target: local, want: ErrInvalid, call: file("main", ".git/config")},
		"list of a file": {target: local, want: ErrNotFound, call: func(ctx context.Context, r *Repository) error {
			_, err := r.List(ctx, "main", "README.md", ListOptions{})
			return err
		}},
	}
	if err := readme(t.Context(), open(t, c, local)); err != nil {
		t.Fatalf("it must be in the cache: %v", err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.call(t.Context(), open(t, c, tc.target))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: got %v, want %v with %q", tc.reason, err, tc.want, tc.text)
			}
			if err != nil && strings.Contains(err.Error(), testPassword) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

func readme(ctx context.Context, r *Repository) error {
	_, err := r.File(ctx, Ref{Branch: "main"}, "README.md", true)
	return err
}

func file(branch, name string) func(context.Context, *Repository) error {
	return func(ctx context.Context, r *Repository) error {
		_, err := r.File(ctx, Ref{Branch: branch}, name, true)
		return err
	}
}

func TestBounds(t *testing.T) {
	s := newServer(t)
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 7)
	}
	s.commit("main", map[string]string{"big": string(noise), "README.md": "x"})
	r := open(t, newCache(t, func(o *Options) { o.MaxFileBytes = 1000 }), s.target())
	if f, err := r.File(t.Context(), Ref{Branch: "main"}, "big", false); err != nil || f.Size != 1<<20 {
		t.Errorf("without its content it can be seen: %+v, %v", f, err)
	}
	if _, err := r.File(t.Context(), Ref{Branch: "main"}, "big", true); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if _, err := r.List(t.Context(), "main", "", ListOptions{Content: true}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("list: got %v, want ErrTooLarge", err)
	}
	r = open(t, newCache(t, func(o *Options) { o.MaxRepositoryBytes = 2000 }), s.target())
	if err := readme(t.Context(), r); !errors.Is(err, ErrTooLarge) {
		t.Errorf("repository: got %v, want ErrTooLarge", err)
	}
}

func TestLocalAddressesAreRefused(t *testing.T) {
	s, _, _ := fixture(t)
	overSSH, key, known := s.ssh()
	c := newCache(t, func(o *Options) { o.AllowLocal = false })
	for _, target := range []Target{s.target(), {Key: "k", URL: overSSH, Credential: Credential{PrivateKey: key, KnownHosts: []byte(known)}}} {
		if err := open(t, c, target).Check(t.Context()); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "local") {
			t.Errorf("%s: got %v", target.URL, err)
		}
	}
	// A redirect does not lead there either.
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://169.254.169.254/x/info/refs", http.StatusFound)
		return true
	})
	if err := open(t, newCache(t, nil), s.target()).Check(t.Context()); !errors.Is(err, ErrInvalid) {
		t.Errorf("redirect: got %v", err)
	}
}

func TestHostKeys(t *testing.T) {
	s, _, _ := fixture(t)
	address, key, known := s.ssh()
	_, _, other := s.ssh()
	fields := strings.Fields(known)
	changed := fields[0] + " " + strings.Join(strings.Fields(other)[1:], " ")
	cases := map[string]struct {
		known, wide string
		key         []byte
		want        error
		text        string
	}{
		"of the secret": {known: known, key: key},
		"server-wide":   {wide: known, key: key},
		"unknown":       {known: other, key: key, want: ErrHostKey, text: known},
		"none":          {key: key, want: ErrHostKey, text: "known_hosts"},
		"changed":       {known: changed, key: key, want: ErrHostKey, text: "another key"},
		"nonsense":      {known: "host no-key", key: key, want: ErrInvalid},
		"no key":        {known: known, want: ErrAuthentication, text: "ssh-auth"},
		"bad key":       {known: known, key: []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret"), want: ErrAuthentication, text: "cannot be read"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, func(o *Options) { o.KnownHosts = []byte(tc.wide) })
			err := open(t, c, Target{Key: "k", URL: address, Credential: Credential{PrivateKey: tc.key, KnownHosts: []byte(tc.known)}}).Check(t.Context())
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
	foreign, foreignKey, _ := s.ssh()
	_ = foreign
	err := open(t, newCache(t, nil), Target{Key: "k", URL: address, Credential: Credential{PrivateKey: foreignKey, KnownHosts: []byte(known)}}).Check(t.Context())
	if !errors.Is(err, ErrAuthentication) {
		t.Errorf("another's key: got %v", err)
	}
	gone := strings.Replace(address, "repo.git", "none.git", 1)
	err = open(t, newCache(t, nil), Target{Key: "k", URL: gone, Credential: Credential{PrivateKey: key, KnownHosts: []byte(known)}}).Check(t.Context())
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a repository that is not there: got %v", err)
	}
}

func TestCancellation(t *testing.T) {
	s, _, _ := fixture(t)
	release := make(chan struct{})
	reached := make(chan struct{}, 1)
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		reached <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := open(t, newCache(t, nil), s.target())
	go func() { done <- readme(ctx, r) }()
	<-reached
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on after its context ended")
	}
	short := open(t, newCache(t, func(o *Options) { o.Timeout = 50 * time.Millisecond }), s.target())
	if err := readme(t.Context(), short); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("a slow server: got %v", err)
	}
}

func TestShelfShrinks(t *testing.T) {
	s, _, _ := fixture(t)
	var clock atomic.Int64
	c := newCache(t, func(o *Options) {
		o.MaxCacheBytes = 1
		o.Now = func() time.Time { return time.Unix(1_700_000_000+clock.Add(1), 0) }
	})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			target := s.target()
			target.Key = fmt.Sprint("tenant", i%3)
			r, err := c.Open(target)
			if err == nil {
				err = readme(t.Context(), r)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	left, err := os.ReadDir(filepath.Join(c.opts.Dir, "git-objects"))
	if err != nil || len(left) > 0 {
		t.Errorf("nothing is in use, so nothing is kept beyond the bound: %v, %v", left, err)
	}
}

func TestWornAndDamagedLayers(t *testing.T) {
	s, _, _ := fixture(t)
	c := newCache(t, nil)
	r := open(t, c, s.target())
	for i := range maxPacks + 3 {
		text := fmt.Sprint(i)
		// Objects of the commit are made without a work tree, which is quicker.
		blob := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(blob, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hash := run(t, s.bare, "hash-object", "-w", blob)
		tree := filepath.Join(t.TempDir(), "index")
		t.Setenv("GIT_INDEX_FILE", tree)
		run(t, s.bare, "update-index", "--add", "--cacheinfo", "100644,"+hash+",README.md")
		commit := run(t, s.bare, "commit-tree", "-m", text, "-p", "main", run(t, s.bare, "write-tree"))
		run(t, s.bare, "update-ref", "refs/heads/main", commit)
		f, err := r.File(t.Context(), Ref{Branch: "main"}, "README.md", true)
		if err != nil || string(f.Content) != text {
			t.Fatalf("%d: got %+v, %v", i, f, err)
		}
	}
	packs, err := filepath.Glob(filepath.Join(c.opts.Dir, "git-objects", "*", "tips", "objects", "pack", "*.pack"))
	if err != nil || len(packs) == 0 || len(packs) > maxPacks+1 {
		t.Errorf("%d packs, %v", len(packs), err)
	}
}

func TestPaths(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "/a/b": true, ".github/x": true, ".gitignore": true, "a.git/x": true, "ünïcödé/日本": true, "a b": true, "...": true,
		"": false, ".": false, "..": false, "a/../b": false, "a//b": false, "a/./b": false, "//a": false, "a/": false, ".git": false, ".GIT/config": false,
		"x/.git": false, ".git/hooks": false, ".git ": false, ".git.": false, "GIT~1": false, ".git::$INDEX_ALLOCATION": false, ".g\u200cit": false,
		`a\b`: false, "a\x00b": false, "a\nb": false, "\xff": false, strings.Repeat("a/", 3000) + "a": false,
	} {
		if _, err := CleanPath(name); (err == nil) != ok {
			t.Errorf("%.40q: %v", name, err)
		}
	}
	for encoded, want := range map[string]string{
		"UkVBRE1FLm1k": "README.md", "c3JjL2EuZ28": "src/a.go", "c3JjL2EuZ28=": "src/a.go", "8J+YgC8/Pz8": "😀/???", "8J-YgC8_Pz8": "😀/???", "8J+YgC8%2FPz8": "😀/???",
		"!!!": "", "Li4vLi4vZXRjL3Bhc3N3ZA==": "", "": "",
	} {
		got, err := DecodePath(encoded)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", encoded, got, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.org/a/b.git":            "https://example.org/a/b.git",
		"https://u:secret@example.org:8443/a":    "https://example.org:8443/a",
		"git@example.org:a/b.git":                "ssh://git@example.org/a/b.git",
		"ssh://git@[::1]:2222/a":                 "ssh://git@[::1]:2222/a",
		"HTTPS://example.org/a":                  "https://example.org/a",
		"":                                       "",
		"file:///etc":                            "",
		"/etc/passwd":                            "",
		"ext::sh -c id":                          "",
		"https://":                               "",
		"https://example.org":                    "",
		"git://example.org/a":                    "",
		"ssh://h/a'; id; '":                      "",
		"https://example.org/a\nb":               "",
		"https://e/" + strings.Repeat("a", 3000): "",
	} {
		a, err := parseAddress(text)
		if a != nil {
			if got := a.String(); got != want && !strings.HasSuffix(want, "a/b.git") {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		} else if want != "" || err == nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
