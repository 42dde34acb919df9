// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// gitServer serves bare repositories below root with git's own http-backend. Paths below /private/
// want user "bob" with password "s3cret-pw"; /forbidden/ answers 403, /broken/ 500.
type gitServer struct {
	*httptest.Server
	root string
	// hold delays the answers with packs until it is closed.
	hold atomic.Pointer[chan struct{}]
	// leaked is set if somebody sends credentials to a path that does not ask for them.
	leaked atomic.Bool
}

func newGitServer(t *testing.T, tls bool) *gitServer {
	t.Helper()
	backend := strings.TrimSpace(git(t, "", "--exec-path")) + "/git-http-backend"
	if _, err := os.Stat(backend); err != nil {
		t.Fatalf("git http-backend is needed: %v", err)
	}
	g := &gitServer{root: t.TempDir()}
	handler := &cgi.Handler{
		Path: backend,
		Env: []string{
			"GIT_PROJECT_ROOT=" + g.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=uploadpack.allowReachableSHA1InWant", "GIT_CONFIG_VALUE_1=true",
		},
	}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, has := r.BasicAuth()
		switch {
		case strings.HasPrefix(r.URL.Path, "/private/"):
			if user != "bob" || password != "s3cret-pw" {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				http.Error(w, "who are you, s3cret-pw?", http.StatusUnauthorized)
				return
			}
		case strings.HasPrefix(r.URL.Path, "/forbidden/"):
			http.Error(w, "no", http.StatusForbidden)
			return
		case strings.HasPrefix(r.URL.Path, "/broken/"):
			http.Error(w, strings.Repeat("x", 10<<20), http.StatusInternalServerError)
			return
		case has:
			g.leaked.Store(true)
		}
		if hold := g.hold.Load(); hold != nil && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			select {
			case <-*hold:
			case <-r.Context().Done():
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
	if tls {
		g.Server = httptest.NewTLSServer(serve)
	} else {
		g.Server = httptest.NewServer(serve)
	}
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
	return g
}

// git runs git in dir.
func git(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_ALLOW_PROTOCOL=file:http:https")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("git %v: %v: %s", args, err, out)
	}
	return string(out)
}

// repo is a repository with two commits on main, the branch feature/ü, the annotated tag v1.0 and a
// commit that only refs/pull/1/head has.
type repo struct {
	work                         string
	first, main, feature, pulled string
}

func (g *gitServer) addRepo(t *testing.T, name string) repo {
	t.Helper()
	r := repo{work: t.TempDir()}
	git(t, r.work, "init", "-q", "-b", "main")
	commit := func(file, text string) string {
		writeFile(t, filepath.Join(r.work, file), text, 0o644)
		git(t, r.work, "add", "-A")
		git(t, r.work, "commit", "-q", "-m", "add "+file)
		return strings.TrimSpace(git(t, r.work, "rev-parse", "HEAD"))
	}
	r.first = commit("README.md", "# über 项目\n")
	git(t, r.work, "tag", "-a", "v1.0", "-m", "one")
	writeFile(t, filepath.Join(r.work, "run.sh"), "#!/bin/sh\n", 0o755)
	if err := os.Symlink("README.md", filepath.Join(r.work, "link")); err != nil {
		t.Fatal(err)
	}
	r.main = commit("dir/文件 name.txt", "two\n")
	git(t, r.work, "checkout", "-q", "-b", "feature/ü")
	r.feature = commit("f", "f\n")
	git(t, r.work, "checkout", "-q", "--detach")
	r.pulled = commit("p", "p\n")
	git(t, r.work, "update-ref", "refs/pull/1/head", r.pulled)
	git(t, r.work, "checkout", "-q", "main")
	g.publish(t, r.work, name)
	return r
}

func (g *gitServer) publish(t *testing.T, work, name string) {
	t.Helper()
	bare := filepath.Join(g.root, name)
	if err := os.MkdirAll(bare, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, bare, "init", "-q", "--bare", "-b", "main")
	git(t, work, "push", "-q", "--mirror", bare)
}

type cloneCase struct {
	t   *testing.T
	dir string
	log string
	env []string
}

func newClone(t *testing.T) *cloneCase {
	t.Helper()
	base := t.TempDir()
	return &cloneCase{t: t, dir: filepath.Join(base, "data"), log: filepath.Join(base, "termination")}
}

func (c *cloneCase) cmd(args ...string) *exec.Cmd {
	return agentCmd(append(c.env, "SLIPWAY_TERMINATION_LOG="+c.log), append([]string{"clone", "--dir", c.dir}, args...)...)
}

func (c *cloneCase) run(args ...string) result { c.t.Helper(); return runCmd(c.t, c.cmd(args...)) }

// clean checks with git itself that the repository is whole and its work tree unchanged.
func clean(t *testing.T, dir, branch, commit string) {
	t.Helper()
	git(t, dir, "fsck", "--full")
	if got := git(t, dir, "status", "--porcelain"); got != "" {
		t.Errorf("git status:\n%s", got)
	}
	if got := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD")); got != commit {
		t.Errorf("HEAD is %s, want %s", got, commit)
	}
	if got := strings.TrimSpace(git(t, dir, "rev-parse", "--abbrev-ref", "HEAD")); got != branch {
		t.Errorf("branch is %s, want %s", got, branch)
	}
	for _, name := range []string{".slipway-clone.new", ".slipway-clone.done"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left behind", name)
		}
	}
}

func TestCloneRefs(t *testing.T) {
	g := newGitServer(t, false)
	r := g.addRepo(t, "o/r.git")
	cases := map[string]struct {
		args           []string
		branch, commit string
	}{
		"default":        {nil, "main", r.main},
		"branch":         {[]string{"--ref", "feature/ü"}, "feature/ü", r.feature},
		"full ref":       {[]string{"--ref", "refs/heads/main"}, "main", r.main},
		"origin/":        {[]string{"--ref", "origin/main"}, "main", r.main},
		"star":           {[]string{"--ref", "*/main"}, "main", r.main},
		"annotated tag":  {[]string{"--ref", "v1.0"}, "HEAD", r.first},
		"commit":         {[]string{"--ref", r.first}, "HEAD", r.first},
		"short commit":   {[]string{"--ref", r.first[:9]}, "HEAD", r.first},
		"pull request":   {[]string{"--ref", "refs/pull/1/head"}, "HEAD", r.pulled},
		"hidden commit":  {[]string{"--ref", r.pulled}, "HEAD", r.pulled},
		"depth":          {[]string{"--depth", "1"}, "main", r.main},
		"depth + commit": {[]string{"--depth", "1", "--ref", r.first}, "HEAD", r.first},
		"depth + tag":    {[]string{"--depth", "1", "--ref", "v1.0"}, "HEAD", r.first},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClone(t)
			res := c.run(append([]string{"--url", g.URL + "/o/r.git"}, tc.args...)...)
			if res.code != 0 || !strings.Contains(res.stdout, "checked out "+tc.commit) {
				t.Fatalf("%+v", res)
			}
			clean(t, c.dir, tc.branch, tc.commit)
			if got := readFile(t, filepath.Join(c.dir, "README.md")); got != "# über 项目\n" {
				t.Errorf("README.md is %q", got)
			}
			if depth := strings.TrimSpace(git(t, c.dir, "rev-list", "--count", "HEAD")); strings.HasPrefix(name, "depth") && depth != "1" {
				t.Errorf("%s commits, want 1", depth)
			}
		})
	}
	t.Run("git goes on with it", func(t *testing.T) {
		c := newClone(t)
		c.run("--url", g.URL+"/o/r.git")
		if got := strings.TrimSpace(git(t, c.dir, "rev-parse", "--abbrev-ref", "main@{upstream}")); got != "origin/main" {
			t.Errorf("upstream is %s", got)
		}
		git(t, c.dir, "pull", "-q")
		if got := git(t, c.dir, "branch", "-r"); !strings.Contains(got, "origin/feature/ü") || !strings.Contains(got, "origin/HEAD -> origin/main") {
			t.Errorf("remote branches:\n%s", got)
		}
		if info, err := os.Stat(filepath.Join(c.dir, "run.sh")); err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("run.sh is not executable: %v", err)
		}
	})
}

func TestCloneNeverTouchesWork(t *testing.T) {
	g := newGitServer(t, false)
	g.addRepo(t, "o/r.git")
	g.addRepo(t, "o/other.git")
	tree := func(dir string) string {
		out, err := exec.Command("sh", "-c", "cd "+dir+" && find . -type f | sort | xargs -d '\\n' sha1sum; find . -printf '%p %m %T@\\n' | sort").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	cases := map[string]struct {
		reason  string
		prepare func(c *cloneCase)
		url     string
		says    string
	}{
		"same repository": {"a restart of the pod", func(c *cloneCase) {
			c.run("--url", g.URL+"/o/r.git")
			writeFile(t, filepath.Join(c.dir, "README.md"), "my work", 0o644)
		}, g.URL + "/o/r", "has the repository already"},
		"other repository": {"the URL of the CR was changed", func(c *cloneCase) {
			c.run("--url", g.URL+"/o/other.git")
		}, g.URL + "/o/r.git", "another git repository"},
		"files": {"", func(c *cloneCase) { writeFile(t, filepath.Join(c.dir, "notes"), "x", 0o644) }, g.URL + "/o/r.git", "not empty"},
		"same, server down": {"needs no network", func(c *cloneCase) {
			c.run("--url", g.URL+"/o/r.git")
			git(t, c.dir, "remote", "set-url", "origin", "http://127.0.0.1:1/o/r.git")
		}, "http://127.0.0.1:1/o/r.git", "has the repository already"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClone(t)
			tc.prepare(c)
			before := tree(c.dir)
			res := c.run("--url", tc.url)
			if res.code != 0 || !strings.Contains(res.stdout, tc.says) {
				t.Errorf("%s: %+v, want %q", tc.reason, res, tc.says)
			}
			if after := tree(c.dir); after != before {
				t.Errorf("the folder was changed:\n%s\n->\n%s", before, after)
			}
		})
	}
	t.Run("lost+found is no work", func(t *testing.T) {
		c := newClone(t)
		if err := os.MkdirAll(filepath.Join(c.dir, "lost+found"), 0o700); err != nil {
			t.Fatal(err)
		}
		if res := c.run("--url", g.URL+"/o/r.git"); !strings.Contains(res.stdout, "checked out") {
			t.Errorf("%+v", res)
		}
	})
}

func TestCloneErrors(t *testing.T) {
	g := newGitServer(t, false)
	g.addRepo(t, "o/r.git")
	g.addRepo(t, "private/r.git")
	secure := newGitServer(t, true)
	secure.addRepo(t, "o/r.git")
	bob := []string{"SLIPWAY_GIT_USERNAME=bob", "SLIPWAY_GIT_PASSWORD=wrong-pw"}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	cases := map[string]struct {
		env  []string
		args []string
		want string
	}{
		"authentication": {nil, []string{"--url", g.URL + "/private/r.git"}, "AuthenticationRequired: " + g.URL + "/private/r.git wants authentication"},
		"wrong password": {bob, []string{"--url", g.URL + "/private/r.git"}, "AuthenticationRequired: " + g.URL + "/private/r.git refused the credential"},
		"forbidden":      {bob, []string{"--url", g.URL + "/forbidden/r.git"}, "AuthorizationFailed: the credential may not read"},
		"not found":      {nil, []string{"--url", g.URL + "/o/none.git"}, "RepositoryNotFound: repository " + g.URL + "/o/none.git was not found"},
		"server error":   {nil, []string{"--url", g.URL + "/broken/r.git"}, "ServerError: "},
		"no host":        {nil, []string{"--url", "https://no-such-host.invalid/r.git"}, "HostNotFound: could not resolve host no-such-host.invalid"},
		"refused":        {nil, []string{"--url", "http://127.0.0.1:1/r.git"}, "Unreachable: connection to 127.0.0.1 was refused"},
		"no branch":      {nil, []string{"--url", g.URL + "/o/r.git", "--ref", "nope"}, `RefNotFound: ` + g.URL + `/o/r.git has no branch, tag or commit "nope"`},
		"no commit":      {nil, []string{"--url", g.URL + "/o/r.git", "--ref", strings.Repeat("a", 40)}, "RefNotFound: "},
		"certificate":    {nil, []string{"--url", secure.URL + "/o/r.git"}, "CertificateNotTrusted: the TLS certificate of 127.0.0.1 is not trusted"},
		"timeout":        {nil, []string{"--url", "http://" + silent.Addr().String() + "/r.git", "--timeout", "300ms"}, "Timeout: "},
		"ssh timeout":    {[]string{"SLIPWAY_GIT_PASSWORD=wrong-pw"}, []string{"--url", "ssh://" + silent.Addr().String() + "/r.git", "--timeout", "300ms"}, "Timeout: "},
		"git timeout":    {nil, []string{"--url", "git://" + silent.Addr().String() + "/r.git", "--timeout", "300ms"}, "Timeout: "},
		"ssh, no key":    {nil, []string{"--url", "git@127.0.0.1:o/r.git"}, "AuthenticationRequired: git@127.0.0.1:o/r.git wants authentication"},
		"file":           {nil, []string{"--url", "file://" + g.root + "/o/r.git"}, "InvalidURL: "},
		"local path":     {nil, []string{"--url", g.root + "/o/r.git"}, "InvalidURL: "},
		"helper":         {nil, []string{"--url", "ext::sh -c touch% /tmp/x"}, "InvalidURL: "},
		"option":         {nil, []string{"--url=--upload-pack=touch /tmp/x"}, "InvalidURL: "},
		"password":       {nil, []string{"--url", "https://bob:hunter2-pw@example.com/r.git"}, "InvalidURL: the repository URL has a password in it"},
		"empty":          {nil, []string{"--url", ""}, "InvalidURL: the repository URL is empty"},
		"bad ref":        {nil, []string{"--url", g.URL + "/o/r.git", "--ref", "--x"}, "InvalidRef: "},
		"dir is a file":  {nil, []string{"--url", g.URL + "/o/r.git", "--dir", "/etc/passwd"}, "DirNotWritable: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClone(t)
			c.env = tc.env
			start := time.Now()
			res := c.run(tc.args...)
			if d := time.Since(start); d > 15*time.Second {
				t.Errorf("took %s", d)
			}
			message, _ := os.ReadFile(c.log)
			if res.code != 1 || !strings.HasPrefix(string(message), "SLIPWAY-CLONE "+tc.want) {
				t.Errorf("code %d, termination %q, want %q; %+v", res.code, message, tc.want, res)
			}
			if strings.Count(string(message), "\n") != 1 {
				t.Errorf("termination message has several lines: %q", message)
			}
			for _, secret := range []string{"wrong-pw", "s3cret-pw", "hunter2-pw"} {
				if strings.Contains(string(message)+res.stdout+res.stderr, secret) {
					t.Errorf("a password is in the output: %+v", res)
				}
			}
			// After a timeout the half clone stays, which the next run deletes.
			if entries, _ := os.ReadDir(c.dir); len(entries) != 0 && !strings.Contains(name, "timeout") {
				t.Errorf("left %v", entries)
			}
		})
	}
}

func TestCloneCredentials(t *testing.T) {
	g := newGitServer(t, false)
	r := g.addRepo(t, "private/r.git")
	dir := secretDir(t, map[string]string{"username": "bob\n", "password": "s3cret-pw\n"})
	for name, env := range map[string][]string{
		"environment": {"SLIPWAY_GIT_USERNAME=bob", "SLIPWAY_GIT_PASSWORD=s3cret-pw"},
		"Secret":      {"SLIPWAY_GIT_CREDENTIALS_DIR=" + dir},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClone(t)
			c.env = env
			if res := c.run("--url", g.URL+"/private/r.git"); res.code != 0 || strings.Contains(res.stdout+res.stderr, "s3cret-pw") {
				t.Fatalf("%+v", res)
			}
			clean(t, c.dir, "main", r.main)
			if cfg := readFile(t, filepath.Join(c.dir, ".git/config")); strings.Contains(cfg, "s3cret-pw") || strings.Contains(cfg, "bob") {
				t.Errorf("the credential is in .git/config:\n%s", cfg)
			}
		})
	}
}

func TestCloneTLSWithOwnCA(t *testing.T) {
	g := newGitServer(t, true)
	r := g.addRepo(t, "o/r.git")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, pemCertificate(g.Certificate().Raw), 0o644)
	c := newClone(t)
	c.env = []string{"SLIPWAY_GIT_CA_FILE=" + ca}
	if res := c.run("--url", g.URL+"/o/r.git"); res.code != 0 {
		t.Fatalf("%+v", res)
	}
	clean(t, c.dir, "main", r.main)
}

func TestCloneEmptyRepository(t *testing.T) {
	g := newGitServer(t, false)
	bare := filepath.Join(g.root, "empty.git")
	if err := os.MkdirAll(bare, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, bare, "init", "-q", "--bare")
	c := newClone(t)
	if res := c.run("--url", g.URL+"/empty.git"); res.code != 0 || !strings.Contains(res.stdout, "the repository is empty") {
		t.Errorf("%+v", res)
	}
	if got := git(t, c.dir, "remote", "-v"); !strings.Contains(got, g.URL+"/empty.git") {
		t.Errorf("no remote for the first push: %s", got)
	}
	res := runCmd(t, gitClone(t, filepath.Join(t.TempDir(), "w"), map[string]any{"url": g.URL + "/empty.git"}))
	if res.code != 1 || !strings.Contains(res.stderr, `"reason":"EmptyRepository"`) {
		t.Errorf("a build cannot run on nothing: %+v", res)
	}
}

func TestCloneSubmodules(t *testing.T) {
	g := newGitServer(t, false)
	g.addRepo(t, "private/sub.git")
	elsewhere := newGitServer(t, false)
	elsewhere.addRepo(t, "o/far.git")
	// Another host name for the same address: credentials must not go there.
	far := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	top := t.TempDir()
	git(t, top, "init", "-q", "-b", "main")
	add := func(name, from, url string) {
		git(t, top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", from, name)
		git(t, top, "config", "-f", ".gitmodules", "submodule."+name+".url", url)
	}
	add("near", filepath.Join(g.root, "private/sub.git"), "../sub.git")
	add("far", filepath.Join(elsewhere.root, "o/far.git"), far+"/o/far.git")
	git(t, top, "commit", "-q", "-am", "submodules")
	g.publish(t, top, "private/top.git")

	c := newClone(t)
	c.env = []string{"SLIPWAY_GIT_USERNAME=bob", "SLIPWAY_GIT_PASSWORD=s3cret-pw"}
	if res := c.run("--url", g.URL+"/private/top.git", "--submodules"); res.code != 0 {
		t.Fatalf("%+v", res)
	}
	for _, name := range []string{"near", "far"} {
		if got := readFile(t, filepath.Join(c.dir, name, "README.md")); !strings.HasPrefix(got, "# über") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := git(t, c.dir, "status", "--porcelain"); got != "" {
		t.Errorf("git status:\n%s", got)
	}
	if elsewhere.leaked.Load() {
		t.Error("the credential went to another host")
	}
	// A submodule that names a local path must not be cloned.
	git(t, top, "config", "-f", ".gitmodules", "submodule.far.url", "file:///etc")
	git(t, top, "commit", "-q", "-am", "evil")
	g.publish(t, top, "private/evil.git")
	e := newClone(t)
	e.env = c.env
	if res := e.run("--url", g.URL+"/private/evil.git", "--submodules"); res.code != 1 || !strings.Contains(res.stderr, "InvalidURL: submodule far") {
		t.Errorf("%+v", res)
	}
}

func TestCloneKilled(t *testing.T) {
	g := newGitServer(t, false)
	r := g.addRepo(t, "o/r.git")
	c := newClone(t)
	hold := make(chan struct{})
	g.hold.Store(&hold)
	cmd := c.cmd("--url", g.URL+"/o/r.git")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the clone is under way", func() bool {
		_, err := os.Stat(filepath.Join(c.dir, ".slipway-clone.new/.git/HEAD"))
		return err == nil
	})
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	close(hold)
	if _, err := os.Stat(filepath.Join(c.dir, ".git")); err == nil {
		t.Error("a killed clone left what looks like a repository")
	}
	if res := c.run("--url", g.URL+"/o/r.git"); res.code != 0 {
		t.Fatalf("the next clone: %+v", res)
	}
	clean(t, c.dir, "main", r.main)

	// Killed while the files are moved to their place: the next run only finishes the move.
	done := filepath.Join(c.dir, ".slipway-clone.done")
	if err := os.MkdirAll(done, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".git", "dir"} {
		if err := os.Rename(filepath.Join(c.dir, name), filepath.Join(done, name)); err != nil {
			t.Fatal(err)
		}
	}
	if res := c.run("--url", "http://127.0.0.1:1/o/r.git"); res.code != 0 || !strings.Contains(res.stdout, "finishing an earlier clone") {
		t.Fatalf("%+v", res)
	}
	clean(t, c.dir, "main", r.main)
}

func TestCloneStoppedByTERM(t *testing.T) {
	g := newGitServer(t, false)
	g.addRepo(t, "o/r.git")
	hold := make(chan struct{})
	defer close(hold)
	g.hold.Store(&hold)
	c := newClone(t)
	cmd := c.cmd("--url", g.URL+"/o/r.git")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the clone is under way", func() bool {
		_, err := os.Stat(filepath.Join(c.dir, ".slipway-clone.new/.git/HEAD"))
		return err == nil
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatal("TERM does not stop a clone")
	}
}

// gitClone makes a "git clone" command of a build.
func gitClone(t *testing.T, dir string, req map[string]any) *exec.Cmd {
	t.Helper()
	data, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	cmd := agentCmd(nil, "git", "clone", "--dir", dir)
	cmd.Stdin = strings.NewReader(string(data))
	return cmd
}

func TestGitCloneForBuilds(t *testing.T) {
	g := newGitServer(t, false)
	r := g.addRepo(t, "private/r.git")
	other := g.addRepo(t, "o/other.git")
	dir := filepath.Join(t.TempDir(), "work space")
	req := func(ref string) map[string]any {
		return map[string]any{"url": g.URL + "/private/r.git", "ref": ref, "username": "bob", "password": "s3cret-pw"}
	}
	checkout := func(reason string, req map[string]any, branch, commit string) {
		t.Helper()
		res := runCmd(t, gitClone(t, dir, req))
		lines := strings.Split(strings.TrimSpace(res.stderr), "\n")
		if res.code != 0 || lines[len(lines)-1] != fmt.Sprintf(`{"commit":"%s"}`, commit) {
			t.Fatalf("%s: %+v", reason, res)
		}
		if got := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD")); got != commit {
			t.Errorf("%s: HEAD is %s, want %s", reason, got, commit)
		}
		if got := strings.TrimSpace(git(t, dir, "rev-parse", "--abbrev-ref", "HEAD")); got != branch {
			t.Errorf("%s: branch %s, want %s", reason, got, branch)
		}
		if got := git(t, dir, "status", "--porcelain", "--untracked-files=no"); got != "" {
			t.Errorf("%s: git status:\n%s", reason, got)
		}
	}
	checkout("fresh", req("main"), "main", r.main)
	checkout("again", req("main"), "main", r.main)
	writeFile(t, filepath.Join(dir, "README.md"), "changed by the build", 0o644)
	writeFile(t, filepath.Join(dir, "out.bin"), "built", 0o644)
	checkout("another branch over changed files", req("feature/ü"), "feature/ü", r.feature)
	if readFile(t, filepath.Join(dir, "out.bin")) != "built" {
		t.Error("a file that git does not know was deleted")
	}
	checkout("a commit", req(r.first), "HEAD", r.first)
	checkout("a tag", req("v1.0"), "HEAD", r.first)

	// The branch moves on the server, also backwards.
	writeFile(t, filepath.Join(r.work, "new"), "n", 0o644)
	git(t, r.work, "add", "-A")
	git(t, r.work, "commit", "-q", "-m", "new")
	moved := strings.TrimSpace(git(t, r.work, "rev-parse", "HEAD"))
	g.publish(t, r.work, "private/r.git")
	checkout("moved", req("main"), "main", moved)
	git(t, r.work, "reset", "-q", "--hard", r.first)
	g.publish(t, r.work, "private/r.git")
	checkout("force pushed", req("main"), "main", r.first)
	checkout("other repository in the same folder", map[string]any{"url": g.URL + "/o/other.git"}, "main", other.main)

	// A folder with files and no repository, and one with a broken repository.
	dir = filepath.Join(t.TempDir(), "w")
	writeFile(t, filepath.Join(dir, "README.md"), "in the way", 0o644)
	writeFile(t, filepath.Join(dir, "keep"), "k", 0o644)
	writeFile(t, filepath.Join(dir, ".git/HEAD"), "broken", 0o644)
	checkout("not a repository", req("main"), "main", r.first)
	if readFile(t, filepath.Join(dir, "keep")) != "k" {
		t.Error("a file that is not in the way was deleted")
	}

	for name, tc := range map[string]struct {
		stdin  string
		reason string
	}{
		"unknown field": {`{"url":"x","branch":"y"}`, "BadRequest"},
		"no JSON":       {"x", "BadRequest"},
		"bad URL":       {`{"url":"/etc"}`, "InvalidURL"},
		"bad password":  {`{"url":"` + g.URL + `/private/r.git","username":"bob","password":"no-pw"}`, "AuthenticationRequired"},
	} {
		cmd := agentCmd(nil, "git", "clone", "--dir", filepath.Join(t.TempDir(), "x"))
		cmd.Stdin = strings.NewReader(tc.stdin)
		res := runCmd(t, cmd)
		if res.code == 0 || !strings.Contains(res.stderr, `"reason":"`+tc.reason+`"`) || strings.Contains(res.stderr, "no-pw") {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// TestCloneSSH clones from the built-in SSH server, which runs git-upload-pack as any server does.
func TestCloneSSH(t *testing.T) {
	g := newGitServer(t, false)
	r := g.addRepo(t, "o/r.git")
	h := builtin(t, containerOptions{})
	u := (&url.URL{Scheme: "ssh", User: url.User("root"), Host: fmt.Sprintf("127.0.0.1:%d", h.port), Path: filepath.Join(g.root, "o/r.git")}).String()
	secret := map[string]string{"ssh-privatekey": readFile(t, h.key), "known_hosts": readFile(t, h.known)}
	c := newClone(t)
	c.env = []string{"SLIPWAY_GIT_CREDENTIALS_DIR=" + secretDir(t, secret)}
	if res := c.run("--url", u); res.code != 0 {
		t.Fatalf("%+v", res)
	}
	clean(t, c.dir, "main", r.main)

	delete(secret, "known_hosts")
	c = newClone(t)
	c.env = []string{"SLIPWAY_GIT_CREDENTIALS_DIR=" + secretDir(t, secret)}
	if res := c.run("--url", u); res.code != 1 || !strings.Contains(res.stderr, "HostKeyUnknown: the SSH host key of 127.0.0.1 is not in known_hosts") {
		t.Errorf("an unknown host: %+v", res)
	}
	secret["known_hosts"] = readFile(t, h.known)
	secret["ssh-privatekey"], _ = func() (string, string) { f, p := sshKey(t); return readFile(t, f), p }()
	c = newClone(t)
	c.env = []string{"SLIPWAY_GIT_CREDENTIALS_DIR=" + secretDir(t, secret)}
	if res := c.run("--url", u); res.code != 1 || !strings.Contains(res.stderr, "AuthenticationRequired") {
		t.Errorf("a wrong key: %+v", res)
	}
}
