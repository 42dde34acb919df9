// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // G504 is about Go before 1.6.3
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
)

// GitServer serves repositories by smart HTTP.
type GitServer struct {
	// URL is the address under which the repositories are.
	URL    string
	root   string
	server *http.Server
}

// ServeGit serves the repositories that are made below a folder on a free port of a host, until Close.
func ServeGit(ctx context.Context, root, host string) (*GitServer, error) {
	execPath, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve git: %w", err)
	}
	s := &GitServer{URL: "http://" + listener.Addr().String(), root: root, server: &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: &cgi.Handler{
			Path:   filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
			Stderr: io.Discard, // the progress of each clone
			Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
				"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
				// Pushes are taken, and change no working tree.
				"GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=true",
				"GIT_CONFIG_KEY_2=receive.denyCurrentBranch", "GIT_CONFIG_VALUE_2=ignore"},
		},
	}}
	// Serve ends with an error that says that Close was called; before that a failure shows in the clones.
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Close stops serving.
func (s *GitServer) Close() error { return s.server.Close() }

// Repo is a repository that is served.
type Repo struct {
	URL  string
	dir  string
	repo *git.Repository
	// commits counts them, so that each has a time of its own.
	commits int
}

// firstCommit is the time of the first commit of each repository.
var firstCommit = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)

// NewRepo makes an empty repository.
func (s *GitServer) NewRepo(name string) (*Repo, error) {
	r := &Repo{URL: s.URL + "/" + name, dir: filepath.Join(s.root, name)}
	var err error
	if r.repo, err = git.PlainInit(r.dir, false); err != nil {
		return nil, fmt.Errorf("make repository %s: %w", name, err)
	}
	return r, r.head("main")
}

func (r *Repo) head(branch string) error {
	return r.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.NewBranchReferenceName(branch)))
}

// Commit makes a commit; the branch is made from main if it does not exist.
func (r *Repo) Commit(c Commit) error {
	branch := c.Branch
	if branch == "" {
		branch = "main"
	}
	wt, err := r.repo.Worktree()
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(branch)
	if r.commits > 0 {
		_, err := r.repo.Reference(ref, true)
		checkout := &git.CheckoutOptions{Branch: ref, Force: true, Create: err != nil}
		if err != nil {
			main, err := r.repo.Reference("refs/heads/main", true)
			if err != nil {
				return err
			}
			checkout.Hash = main.Hash()
		}
		if err := wt.Checkout(checkout); err != nil {
			return fmt.Errorf("check out %s: %w", branch, err)
		}
	}
	if err := r.write(wt, c.Files); err != nil {
		return err
	}
	who := &gitobject.Signature{Name: "Dev Eloper", Email: "dev@example.invalid", When: firstCommit.Add(time.Duration(r.commits) * time.Hour)}
	if c.Author != "" {
		who.Name = c.Author
	}
	if _, err = wt.Commit(c.Message, &git.CommitOptions{Author: who, AllowEmptyCommits: true}); err != nil {
		return fmt.Errorf("commit %q: %w", c.Message, err)
	}
	r.commits++
	// The repository's own HEAD is what a clone without a branch gets.
	return r.head("main")
}

func (r *Repo) write(wt *git.Worktree, files map[string]string) error {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path, text := filepath.Join(r.dir, filepath.FromSlash(name)), files[name]
		var err error
		if text == "" {
			err = os.Remove(path)
		} else {
			mode := os.FileMode(0o644)
			if strings.HasPrefix(text, "#!") {
				mode = 0o755
			}
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)) //nolint:gosec // what git serves to everybody
		}
		if err == nil {
			_, err = wt.Add(name)
		}
		if err != nil {
			return fmt.Errorf("file %s of a commit: %w", name, err)
		}
	}
	return nil
}

// tree reads the files of a folder of a case; a missing one has none.
func (c *Case) tree(folder string, fill *strings.Replacer) (map[string]string, error) {
	files := map[string]string{}
	root := filepath.Join(c.Dir, folder)
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return files, nil
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = c.File(filepath.Join(folder, name), fill)
		return err
	})
	return files, err
}
