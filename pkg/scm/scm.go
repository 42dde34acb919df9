// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scm talks to source code servers: GitHub, GitLab, Gitea, Bitbucket Cloud, Bitbucket Server and
// plain git servers, public ones and those that somebody runs.
//
// A Factory makes a Client for one server and one credential. All connections go through package egress,
// as the addresses are users'. Errors are an *Error, whose Reason says what kind it is, and whose text
// says what to do; no text has a credential in it.
package scm

import (
	"context"
	"slices"
	"strings"
)

// Provider is a kind of server.
type Provider string

// The kinds of servers.
const (
	// GitHub is github.com and GitHub Enterprise.
	GitHub Provider = "github"
	// GitLab is gitlab.com and GitLab.
	GitLab Provider = "gitlab"
	// Gitea is Gitea and Forgejo.
	Gitea Provider = "gitea"
	// BitbucketCloud is bitbucket.org.
	BitbucketCloud Provider = "bitbucket"
	// BitbucketServer is Bitbucket Server and Data Center.
	BitbucketServer Provider = "bitbucket_server"
	// Git is any server that speaks git's own protocol over HTTP.
	Git Provider = "git"
)

// aliases are the names that consoles and KubeSphere's API have for the providers.
var aliases = map[string]Provider{
	"github": GitHub, "github-enterprise": GitHub, "github_enterprise": GitHub,
	"gitlab": GitLab, "gitea": Gitea, "forgejo": Gitea, "git": Git,
	"bitbucket": BitbucketCloud, "bitbucket-cloud": BitbucketCloud, "bitbucket_cloud": BitbucketCloud, "bitbucketcloud": BitbucketCloud,
	"bitbucket-server": BitbucketServer, "bitbucket_server": BitbucketServer, "bitbucketserver": BitbucketServer, "stash": BitbucketServer,
}

// ParseProvider reads the name of a kind of server.
func ParseProvider(name string) (Provider, error) {
	if p, ok := aliases[strings.ToLower(name)]; ok {
		return p, nil
	}
	return "", failure(Invalid, "%q is no kind of source code server; there are github, gitlab, gitea, bitbucket, bitbucket_server and git", oneLine(name))
}

// User is an account on a server.
type User struct {
	// Login is the name that addresses of the user's own repositories have.
	Login string
	// Avatar is the address of a picture, "" if there is none.
	Avatar string
}

// Organization is what repositories belong to: an organization, group, workspace, project or user.
type Organization struct {
	// Name is what Client.Repositories takes: the login, GitLab's full path, or the key of a project.
	Name string
	// DisplayName is for people; it may be empty.
	DisplayName string
	// Avatar is the address of a picture, "" if there is none.
	Avatar string
	// User tells that it is the account of the credential itself.
	User bool
}

// Repository is a repository on a server.
type Repository struct {
	// Name is the last part of its path.
	Name string
	// FullName is its path on the server.
	FullName string
	// DefaultBranch is "" where the server does not say: Bitbucket Server does not in lists.
	DefaultBranch string
	// CloneURL and WebURL are addresses of it.
	CloneURL, WebURL string
	// Private tells that not everybody can read it.
	Private bool
}

// Page is a part of a list.
type Page struct {
	// Number counts from 1, which is also what less means.
	Number int
	// Size is how many there are on a page: 1 to MaxPageSize, DefaultPageSize if it is less.
	Size int
}

// The sizes of pages.
const (
	DefaultPageSize = 100
	MaxPageSize     = 500
)

func (p Page) normal() Page {
	if p.Size < 1 {
		p.Size = DefaultPageSize
	}
	return Page{Number: min(max(p.Number, 1), maxPages), Size: min(p.Size, MaxPageSize)}
}

// Client is one server, used with one credential for one request of a user: it reads so many bytes of answers and no
// more. Its methods may be called from several goroutines.
type Client interface {
	// Verify asks the server who the credential is of. For Git it reads the refs of the repository.
	Verify(ctx context.Context) (User, error)
	// Organizations gives what the user has repositories in, sorted as the server does; with includeUser
	// the user comes first.
	Organizations(ctx context.Context, includeUser bool) ([]Organization, error)
	// Repositories gives a page of what belongs to an organization or to the user.
	Repositories(ctx context.Context, organization string, page Page) ([]Repository, error)
}

// maxPages bounds what is asked for in one go.
const maxPages = 1000

// fetcher gives one page of a server's list; more says that there are others behind it.
type fetcher[T any] func(page, size int) (items []T, more bool, err error)

// all collects a list, up to so many entries.
func all[T any](size, limit int, fetch fetcher[T]) ([]T, error) {
	var out []T
	for page := 1; ; page++ {
		items, more, err := fetch(page, size)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
		if !more || len(items) == 0 || len(out) >= limit {
			return out[:min(len(out), limit)], nil
		}
	}
}

// window gives the page that is wanted from a server that has pages of its own size.
func window[T any](want Page, size int, fetch fetcher[T]) ([]T, error) {
	want = want.normal()
	out, given, err := cut(want, min(size, want.Size), fetch)
	if err == nil && given > 0 {
		// Servers may be configured to give less than they are asked for; their pages count by that.
		out, _, err = cut(want, given, fetch)
	}
	return out, err
}

// cut is window with pages of a size. given is how many the server gives if that is less, while there are
// more; out is not all then.
func cut[T any](want Page, size int, fetch fetcher[T]) (out []T, given int, err error) {
	start, end := (want.Number-1)*want.Size, want.Number*want.Size
	first := start/size + 1
	for page := first; (page-1)*size < end; page++ {
		items, more, err := fetch(page, size)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, items...)
		if !more || len(items) == 0 {
			break
		}
		if len(items) < size {
			given = len(items)
			break
		}
	}
	skip := min(start-(first-1)*size, len(out))
	return slices.Clip(out[skip:min(skip+want.Size, len(out))]), given, nil
}
