// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clone clones git repositories without git: into the volume of a dev container, where a
// user's work must never be touched, and into the workspace of a build, where the wanted commit must
// be there afterwards whatever was there before.
package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	git "github.com/go-git/go-git/v5"

	"github.com/slipway-dev/slipway/pkg/agent"
	"github.com/slipway-dev/slipway/pkg/agent/files"
)

// DefaultTimeout bounds a clone.
const DefaultTimeout = 10 * time.Minute

// Options say what to clone.
type Options struct {
	// URL is checked as CheckURL says.
	URL string
	// Ref is a branch, a tag, a commit or a full ref name (refs/pull/1/head); empty is the remote's
	// default branch. "origin/main" and "*/main" are read as "main" where no branch has that name.
	Ref string
	// Dir is the absolute target folder.
	Dir string
	// Depth is how many commits to fetch; 0 is all.
	Depth int
	// Submodules clones submodules as well.
	Submodules bool
	// Credentials go to the host of URL only, also when submodules are elsewhere.
	Credentials Credentials
	// Timeout bounds everything; 0 is DefaultTimeout.
	Timeout time.Duration
	// Progress gets lines of text; nil discards them.
	Progress io.Writer
	// Build makes it a checkout for a build: only the wanted ref is fetched, and what is in Dir
	// already is brought to that commit. Without it a folder that is not empty is left alone.
	Build bool
	// Ended, if not nil, is called once when nothing is written to Dir any more. If ctx has ended that may be after
	// Clone has returned, which only who lives on has to know.
	Ended func()
}

// Result is what a clone did.
type Result struct {
	// Commit is the full hash of the commit that is checked out; empty if Dir was left alone or the
	// repository is empty.
	Commit string
	// Kept says why Dir was left alone; empty if it was not.
	Kept string
}

// Clone clones. Its errors are *agent.Failure with a reason and a message that says what to do and
// holds no credential. A clone that is killed at any moment leaves nothing that the next one would take
// for a repository or for a user's work.
func Clone(ctx context.Context, opts Options) (*Result, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	if opts.Ended == nil {
		opts.Ended = func() {}
	}
	begun := false
	defer func() {
		if !begun {
			opts.Ended()
		}
	}()
	r, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	if err := CheckRef(opts.Ref); err != nil {
		return nil, err
	}
	if opts.Depth < 0 {
		return nil, agent.Fail(agent.ExitUsage, "InvalidDepth", "the depth %d is negative", opts.Depth)
	}
	if opts.Dir, err = files.CheckPath(opts.Dir); err != nil {
		return nil, err
	}
	if err := setUpTransports(); err != nil {
		return nil, err
	}
	c := &cloner{opts: opts, remote: r}
	if c.auth, err = opts.Credentials.auth(r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()

	// go-git's dialing of SSH and its writing of the work tree do not look at the context, so it runs
	// beside. The process ends soon after this returns, and a half clone is nothing (see place.go).
	type answer struct {
		res *Result
		err error
	}
	done := make(chan answer, 1)
	begun = true
	go func() {
		defer opts.Ended()
		res, err := c.run(ctx)
		done <- answer{res, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		a.err = ctx.Err()
	}
	if a.err != nil && ctx.Err() != nil {
		a.err = ctx.Err()
	}
	return a.res, explain(a.err, r, opts.Credentials, opts.Timeout)
}

func (c *cloner) run(ctx context.Context) (*Result, error) {
	if res, err := c.prepare(); res != nil || err != nil {
		return res, err
	}
	if c.opts.Build {
		if repo, err := git.PlainOpen(c.opts.Dir); err == nil {
			res, err := c.update(ctx, repo)
			if !errors.Is(err, errStartOver) {
				return res, err
			}
			c.say("%v", err)
		}
		// What is not a usable repository is replaced by one.
	}
	tmp := filepath.Join(c.opts.Dir, newDir)
	commit, err := c.fresh(ctx, tmp)
	if err != nil {
		if ctx.Err() == nil {
			_ = os.RemoveAll(tmp)
		}
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := os.Rename(tmp, filepath.Join(c.opts.Dir, doneDir)); err != nil {
		return nil, fmt.Errorf("finish clone: %w", err)
	}
	return c.finish(commit)
}

// prepare makes the folder, cleans up or finishes what a killed clone left, and decides if there is
// anything to do. A result means that there is not.
func (c *cloner) prepare() (*Result, error) {
	dir := c.opts.Dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, agent.Fail(agent.ExitError, "DirNotWritable", "cannot make the folder %s: %v", dir, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, doneDir)); err == nil {
		if c.opts.Build {
			// It may be of another ref; a build clones again.
			if err := os.RemoveAll(filepath.Join(dir, doneDir)); err != nil {
				return nil, fmt.Errorf("clean up: %w", err)
			}
		} else {
			c.say("finishing an earlier clone that was interrupted")
			return c.finish("")
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look into %s: %w", dir, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, newDir)); err != nil {
		return nil, fmt.Errorf("clean up an interrupted clone: %w", err)
	}
	if c.opts.Build {
		return nil, nil
	}
	names, err := content(dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return &Result{Kept: c.whatIsThere()}, nil
}

// whatIsThere says why a folder that is not empty is left alone.
func (c *cloner) whatIsThere() string {
	repo, err := git.PlainOpen(c.opts.Dir)
	if err != nil {
		return "it is not empty and not a git repository; your files are kept and nothing is cloned"
	}
	if rem, err := repo.Remote(git.DefaultRemoteName); err == nil && len(rem.Config().URLs) > 0 &&
		sameRepository(rem.Config().URLs[0], c.remote.url) {
		return "it has the repository already"
	}
	return "it has another git repository; your files are kept and nothing is cloned"
}

func (c *cloner) finish(commit string) (*Result, error) {
	kept, err := place(c.opts.Dir, c.opts.Build)
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		c.say("kept what was there already: %s", strings.Join(kept, ", "))
	}
	if commit == "" {
		if repo, err := git.PlainOpen(c.opts.Dir); err == nil {
			if head, err := repo.Head(); err == nil {
				commit = head.Hash().String()
			}
		}
	}
	return &Result{Commit: commit}, nil
}

func (c *cloner) say(format string, args ...any) {
	_, _ = fmt.Fprintln(c.opts.Progress, agent.OneLine(fmt.Sprintf(format, args...)))
}
