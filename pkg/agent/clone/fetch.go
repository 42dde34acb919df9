// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/slipway-dev/slipway/pkg/agent"
)

type cloner struct {
	opts   Options
	remote remote
	auth   transport.AuthMethod
}

var (
	fullHash  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	shortHash = regexp.MustCompile(`^[0-9a-f]{7,39}$`)
)

// target is what a ref name turned out to be on the server.
type target struct {
	// name is the full name on the server; empty for a commit.
	name plumbing.ReferenceName
	// hash is the commit (or annotated tag) that the server has there; zero for a short hash.
	hash plumbing.Hash
	// isDefault is true for the server's HEAD.
	isDefault bool
}

// resolve finds what opts.Ref means among the refs of the server.
func (c *cloner) resolve(refs []*plumbing.Reference) (target, error) {
	byName := map[plumbing.ReferenceName]*plumbing.Reference{}
	for _, r := range refs {
		byName[r.Name()] = r
	}
	ref := c.opts.Ref
	if ref == "" || ref == "HEAD" {
		return c.resolveHead(byName)
	}
	names := []plumbing.ReferenceName{plumbing.NewBranchReferenceName(ref), plumbing.NewTagReferenceName(ref)}
	if strings.HasPrefix(ref, "refs/") {
		names = []plumbing.ReferenceName{plumbing.ReferenceName(ref)}
	}
	for _, prefix := range []string{"origin/", "*/"} {
		if short, ok := strings.CutPrefix(ref, prefix); ok {
			names = append(names, plumbing.NewBranchReferenceName(short))
		}
	}
	for _, n := range names {
		if r := byName[n]; r != nil {
			return target{name: n, hash: r.Hash()}, nil
		}
	}
	switch lower := strings.ToLower(ref); {
	case fullHash.MatchString(lower):
		return target{hash: plumbing.NewHash(lower)}, nil
	case shortHash.MatchString(lower):
		return target{}, nil
	}
	return target{}, c.refNotFound()
}

func (c *cloner) resolveHead(byName map[plumbing.ReferenceName]*plumbing.Reference) (target, error) {
	head := byName[plumbing.HEAD]
	if head == nil {
		return target{}, agent.Fail(agent.ExitError, ReasonRefNotFound,
			"%s has no default branch with a commit: name a branch", c.remote.url)
	}
	if head.Type() == plumbing.HashReference {
		return target{hash: head.Hash(), isDefault: true}, nil
	}
	if r := byName[head.Target()]; r != nil {
		return target{name: r.Name(), hash: r.Hash(), isDefault: true}, nil
	}
	return target{}, agent.Fail(agent.ExitError, ReasonRefNotFound,
		"the default branch of %s has no commit: name another branch", c.remote.url)
}

func (c *cloner) refNotFound() error {
	return agent.Fail(agent.ExitError, ReasonRefNotFound,
		"%s has no branch, tag or commit %q", c.remote.url, agent.OneLine(c.opts.Ref))
}

// list asks the server for its refs.
func (c *cloner) list(ctx context.Context, repo *git.Repository) (target, error) {
	rem, err := repo.Remote(git.DefaultRemoteName)
	if err != nil {
		return target{}, err
	}
	refs, err := rem.ListContext(ctx, &git.ListOptions{Auth: c.auth})
	if err != nil {
		return target{}, err
	}
	return c.resolve(refs)
}

// fresh makes a new repository in dir and checks the wanted commit out.
func (c *cloner) fresh(ctx context.Context, dir string) (string, error) {
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		return "", fmt.Errorf("make repository: %w", err)
	}
	if _, err := repo.CreateRemote(c.remoteConfig()); err != nil {
		return "", fmt.Errorf("make repository: %w", err)
	}
	c.say("cloning %s", c.remote.url)
	t, err := c.list(ctx, repo)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) && !c.opts.Build {
		// A dev container of a new repository is where its first commit is made.
		c.say("the repository is empty: nothing to check out")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return c.checkout(ctx, repo, t)
}

func (c *cloner) remoteConfig() *config.RemoteConfig {
	return &config.RemoteConfig{Name: git.DefaultRemoteName, URLs: []string{c.remote.url}}
}

// update brings an existing repository of a workspace to the wanted commit: like a checkout of
// Jenkins' git plugin it changes the files that git knows and leaves others alone.
func (c *cloner) update(ctx context.Context, repo *git.Repository) (*Result, error) {
	if rem, err := repo.Remote(git.DefaultRemoteName); err != nil || rem.Config().URLs[0] != c.remote.url {
		if err == nil {
			if err := repo.DeleteRemote(git.DefaultRemoteName); err != nil {
				return nil, fmt.Errorf("set remote: %w", err)
			}
		}
		if _, err := repo.CreateRemote(c.remoteConfig()); err != nil {
			return nil, fmt.Errorf("set remote: %w", err)
		}
	}
	c.say("fetching from %s", c.remote.url)
	t, err := c.list(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := restoreChanged(repo); err != nil {
		return nil, err
	}
	commit, err := c.checkout(ctx, repo, t)
	if err != nil {
		return nil, err
	}
	return &Result{Commit: commit}, nil
}

// restoreChanged undoes what a build changed in files that git knows. A hard reset of everything would
// do that too, but go-git's deletes the files that git does not know as well.
func restoreChanged(repo *git.Repository) error {
	head, err := repo.Head()
	if err != nil {
		return errStartOver
	}
	wt, err := repo.Worktree()
	if err != nil {
		return err
	}
	status, err := wt.Status()
	if err != nil {
		return fmt.Errorf("%w: %w", errStartOver, err)
	}
	var changed []string
	for name, s := range status {
		if s.Worktree != git.Untracked && s.Worktree != git.Unmodified {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := wt.Reset(&git.ResetOptions{Commit: head.Hash(), Mode: git.HardReset, Files: changed}); err != nil {
		return fmt.Errorf("%w: %w", errStartOver, err)
	}
	return nil
}

// errStartOver says that a repository of a workspace cannot be brought to another commit in place.
var errStartOver = errors.New("the repository in the workspace must be replaced")

// checkout fetches the target, points HEAD at it and writes the files that differ from the index.
func (c *cloner) checkout(ctx context.Context, repo *git.Repository, t target) (string, error) {
	if err := c.fetchTarget(ctx, repo, t); err != nil {
		return "", err
	}
	commit, err := c.commitOf(repo, t)
	if err != nil {
		return "", err
	}
	if err := setHead(repo, t, commit); err != nil {
		return "", fmt.Errorf("set HEAD: %w", err)
	}
	wt, err := repo.Worktree()
	if err != nil {
		return "", err
	}
	c.say("checking out %s", commit)
	err = wt.Reset(&git.ResetOptions{Commit: commit, Mode: git.MergeReset})
	if errors.Is(err, git.ErrUnstagedChanges) {
		return "", errStartOver
	}
	if err != nil {
		return "", fmt.Errorf("check out: %w", err)
	}
	if c.opts.Submodules {
		if err := c.submodules(ctx, wt, 0); err != nil {
			return "", err
		}
	}
	c.hintLFS(wt.Filesystem.Root())
	return commit.String(), nil
}

// fetchTarget fetches what opts ask for: all branches and tags for a dev container, one ref for a
// build or with a depth.
func (c *cloner) fetchTarget(ctx context.Context, repo *git.Repository, t target) error {
	all := []config.RefSpec{"+refs/heads/*:refs/remotes/origin/*"}
	one := c.opts.Build || c.opts.Depth > 0
	switch {
	case t.name == "" && t.hash.IsZero(): // a short hash can only be found among everything
		return c.fetch(ctx, repo, all, git.AllTags, 0)
	case t.name == "":
		exact := []config.RefSpec{config.RefSpec(t.hash.String() + ":refs/slipway/commit")}
		if one {
			// Not every server gives out commits by hash.
			if c.fetch(ctx, repo, exact, git.NoTags, c.opts.Depth) == nil {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := c.fetch(ctx, repo, all, git.AllTags, 0); err != nil || one {
			return err
		}
		if _, err := repo.CommitObject(t.hash); err == nil {
			return nil
		}
		if err := c.fetch(ctx, repo, exact, git.NoTags, 0); err != nil && ctx.Err() == nil {
			return c.refNotFound()
		}
		return ctx.Err()
	case one:
		return c.fetch(ctx, repo, []config.RefSpec{refSpec(t.name)}, git.TagFollowing, c.opts.Depth)
	}
	if spec := refSpec(t.name); !t.name.IsBranch() && !t.name.IsTag() {
		all = append(all, spec)
	}
	return c.fetch(ctx, repo, all, git.AllTags, 0)
}

// refSpec says where a ref of the server is kept.
func refSpec(name plumbing.ReferenceName) config.RefSpec {
	return config.RefSpec("+" + name.String() + ":" + tracking(name).String())
}

func tracking(name plumbing.ReferenceName) plumbing.ReferenceName {
	switch {
	case name.IsBranch():
		return plumbing.NewRemoteReferenceName(git.DefaultRemoteName, name.Short())
	case name.IsTag():
		return name
	}
	return plumbing.NewRemoteReferenceName(git.DefaultRemoteName, strings.TrimPrefix(name.String(), "refs/"))
}

func (c *cloner) fetch(ctx context.Context, repo *git.Repository, specs []config.RefSpec, tags git.TagMode, depth int) error {
	err := repo.FetchContext(ctx, &git.FetchOptions{
		RefSpecs: specs, Tags: tags, Depth: depth, Auth: c.auth, Force: true,
		Progress: &lineWriter{out: c.opts.Progress},
	})
	if errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
}

// commitOf finds the commit of the target in what was fetched. A branch may have moved since the refs
// were listed; then what was fetched counts.
func (c *cloner) commitOf(repo *git.Repository, t target) (plumbing.Hash, error) {
	rev := t.hash.String()
	switch {
	case t.name != "":
		rev = tracking(t.name).String()
	case t.hash.IsZero():
		rev = strings.ToLower(c.opts.Ref)
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(rev))
	if err != nil {
		return plumbing.ZeroHash, c.refNotFound()
	}
	if _, err := repo.CommitObject(*hash); err != nil {
		return plumbing.ZeroHash, c.refNotFound()
	}
	return *hash, nil
}

// setHead points HEAD at a local branch that tracks the server's, or at the commit itself.
func setHead(repo *git.Repository, t target, commit plumbing.Hash) error {
	if !t.name.IsBranch() {
		return repo.Storer.SetReference(plumbing.NewHashReference(plumbing.HEAD, commit))
	}
	cfg, err := repo.Config()
	if err != nil {
		return err
	}
	short := t.name.Short()
	if cfg.Branches[short] == nil {
		cfg.Branches[short] = &config.Branch{Name: short, Remote: git.DefaultRemoteName, Merge: t.name}
		if err := repo.SetConfig(cfg); err != nil {
			return err
		}
	}
	refs := []*plumbing.Reference{
		plumbing.NewHashReference(t.name, commit),
		plumbing.NewSymbolicReference(plumbing.HEAD, t.name),
	}
	if t.isDefault {
		refs = append(refs, plumbing.NewSymbolicReference(plumbing.NewRemoteHEADReferenceName(git.DefaultRemoteName), tracking(t.name)))
	}
	for _, r := range refs {
		if err := repo.Storer.SetReference(r); err != nil {
			return err
		}
	}
	return nil
}

// maxSubmoduleDepth bounds submodules of submodules, which may name each other.
const maxSubmoduleDepth = 10

// submodules clones the submodules of a work tree. Their URLs come from the repository, so they are
// checked as the first one was, and get the credential only if they are on its host.
func (c *cloner) submodules(ctx context.Context, wt *git.Worktree, depth int) error {
	subs, err := wt.Submodules()
	if err != nil {
		return fmt.Errorf("submodules: %w", err)
	}
	for _, sub := range subs {
		cfg := sub.Config()
		opts := &git.SubmoduleUpdateOptions{Init: true, Depth: c.opts.Depth}
		if strings.HasPrefix(cfg.URL, "./") || strings.HasPrefix(cfg.URL, "../") {
			opts.Auth = c.auth
		} else {
			r, err := parseURL(cfg.URL)
			if err != nil {
				return agent.Fail(agent.ExitError, "InvalidURL", "submodule %s: %s", agent.OneLine(cfg.Name), err).Because(err)
			}
			if r.scheme == c.remote.scheme && r.host == c.remote.host {
				opts.Auth = c.auth
			}
		}
		c.say("cloning submodule %s", cfg.Path)
		if err := sub.UpdateContext(ctx, opts); err != nil {
			return fmt.Errorf("submodule %s: %w", cfg.Name, err)
		}
		if depth >= maxSubmoduleDepth {
			continue
		}
		repo, err := sub.Repository()
		if err != nil {
			return fmt.Errorf("submodule %s: %w", cfg.Name, err)
		}
		inner, err := repo.Worktree()
		if err != nil {
			return fmt.Errorf("submodule %s: %w", cfg.Name, err)
		}
		if err := c.submodules(ctx, inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// hintLFS tells that files of Git LFS are only pointers, which go-git does not replace.
func (c *cloner) hintLFS(dir string) {
	data, err := os.ReadFile(filepath.Join(dir, ".gitattributes"))
	if err == nil && strings.Contains(string(data), "filter=lfs") {
		c.say("note: this repository uses Git LFS; run \"git lfs pull\" in the container to get its large files")
	}
}
