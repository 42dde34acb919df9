// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
)

// branchPipeline says where it runs and does something on main only.
const branchPipeline = `pipeline { agent any
 stages {
  stage('where') { steps { echo "branch ${env.BRANCH_NAME}, job ${env.JOB_NAME}, tag ${env.TAG_NAME}" } }
  stage('only main') { when { branch 'main' }
   steps { sh 'echo svc' } } } }
`

// gitRepo is a repository in a folder of the test.
type gitRepo struct {
	t    *testing.T
	dir  string
	repo *git.Repository
	n    int
	// message is that of the next commits; empty means "change".
	message string
}

func newGitRepo(t *testing.T) *gitRepo {
	t.Helper()
	g := &gitRepo{t: t, dir: filepath.Join(t.TempDir(), "svc.git")}
	var err error
	if g.repo, err = git.PlainInit(g.dir, false); err != nil {
		t.Fatal(err)
	}
	g.check(g.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	return g
}

func (g *gitRepo) check(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *gitRepo) url() string { return "file://" + g.dir }

// commit puts a commit with files on a branch; a file without content is removed.
func (g *gitRepo) commit(branch string, files map[string]string) string {
	g.t.Helper()
	wt, err := g.repo.Worktree()
	g.check(err)
	ref := plumbing.NewBranchReferenceName(branch)
	if _, err := g.repo.Reference(ref, true); err == nil {
		g.check(wt.Checkout(&git.CheckoutOptions{Branch: ref, Force: true}))
	} else {
		if head, err := g.repo.Head(); err == nil {
			g.check(wt.Checkout(&git.CheckoutOptions{Branch: ref, Hash: head.Hash(), Create: true, Force: true}))
		} else {
			g.check(g.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, ref)))
		}
	}
	for name, text := range files {
		file := filepath.Join(g.dir, filepath.FromSlash(name))
		if text == "" {
			g.check(os.Remove(file))
		} else {
			g.check(errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)))
		}
		_, err = wt.Add(name)
		g.check(err)
	}
	g.n++
	who := &gitobject.Signature{Name: "dev", Email: "dev@example.invalid", When: time.Unix(1767225600+int64(g.n), 0).UTC()}
	message := g.message
	if message == "" {
		message = "change"
	}
	hash, err := wt.Commit(message, &git.CommitOptions{Author: who, AllowEmptyCommits: true})
	g.check(err)
	g.check(g.repo.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")))
	return hash.String()
}

// tag makes a tag of a commit.
func (g *gitRepo) tag(name, commit string) {
	g.t.Helper()
	_, err := g.repo.CreateTag(name, plumbing.NewHash(commit), nil)
	g.check(err)
}

func (g *gitRepo) remove(branch string) {
	g.t.Helper()
	g.check(g.repo.Storer.RemoveReference(plumbing.NewBranchReferenceName(branch)))
}

// recordedRepo has the branches and the tag of recording 08.
func recordedRepo(t *testing.T) *gitRepo {
	t.Helper()
	g := newGitRepo(t)
	first := g.commit("main", map[string]string{"Jenkinsfile": branchPipeline, "README": "svc\n"})
	g.tag("v1.0", first)
	for _, b := range []string{"feature/x", "fix#1", "a%b", "größe", "UPPER-Case", "rel+1.0", "very/deep/er_name.with.dots"} {
		g.commit(b, map[string]string{"branch": b})
	}
	g.commit("no-jenkinsfile", map[string]string{"Jenkinsfile": ""})
	return g
}
