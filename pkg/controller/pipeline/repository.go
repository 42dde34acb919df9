// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Repository is where a multi-branch pipeline finds its branches, in a form that does not depend on how an address is
// spelled.
type Repository struct {
	// Host is in lower case and has no port: that of ssh is another one than that of https. Empty: it is known to
	// Jenkins alone, as for a GitLab server that the spec only names.
	Host string
	// Path is without slashes around it and without ".git".
	Path string
}

// RepositoryOf gives the repository of a pipeline; ok is false if it has none.
func RepositoryOf(spec *devopsv1alpha3.PipelineSpec) (repo Repository, ok bool) {
	m := spec.MultiBranchPipeline
	if m == nil {
		return repo, false
	}
	switch {
	case m.SourceType == "git" && m.GitSource != nil:
		return ParseRepository(m.GitSource.URL)
	case m.SourceType == "github" && m.GitHubSource != nil:
		s := m.GitHubSource.HostedSource
		return hosted(s, hostOf(s.APIURI, "github.com"))
	case m.SourceType == "bitbucket_server" && m.BitbucketServerSource != nil:
		s := m.BitbucketServerSource.HostedSource
		return hosted(s, hostOf(s.APIURI, "bitbucket.org"))
	case m.SourceType == "gitlab" && m.GitlabSource != nil:
		public := "gitlab.com"
		if m.GitlabSource.ServerName != "" {
			public = ""
		}
		s := m.GitlabSource.HostedSource
		return hosted(s, hostOf(s.APIURI, public))
	case m.SourceType == "svn" && m.SvnSource != nil:
		return ParseRepository(m.SvnSource.Remote)
	case m.SourceType == "single_svn" && m.SingleSvnSource != nil:
		return ParseRepository(m.SingleSvnSource.Remote)
	}
	return repo, false
}

// hosted gives the repository of an owner on a hosting service. GitLab's projects may be given with their whole path.
func hosted(s devopsv1alpha3.HostedSource, host string) (Repository, bool) {
	repo := Repository{Host: host, Path: trimPath(s.Repo)}
	if !strings.Contains(repo.Path, "/") {
		repo.Path = trimPath(s.Owner) + "/" + repo.Path
	}
	return repo, s.Owner != "" && s.Repo != ""
}

// hostOf gives the host that an API address is of; without one it is the public service.
func hostOf(api, public string) string {
	u, err := url.Parse(api)
	switch {
	case api == "":
		return public
	case err != nil:
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if host == "api.github.com" || host == "api.bitbucket.org" {
		host = strings.TrimPrefix(host, "api.")
	}
	return host
}

// ParseRepository reads any address that git takes: https, ssh, git, and user@host:path. A password in it is dropped.
func ParseRepository(address string) (repo Repository, ok bool) {
	if address == "" {
		return repo, false
	}
	e, err := transport.NewEndpoint(address)
	if err != nil {
		return repo, false
	}
	repo = Repository{Host: strings.ToLower(e.Host), Path: trimPath(e.Path)}
	return repo, repo.Path != ""
}

func trimPath(p string) string {
	return strings.TrimSuffix(strings.Trim(p, "/"), ".git")
}

// Matches tells if two addresses mean the same repository. In doubt they do: the worst that comes of it is a scan that
// finds nothing new.
func (r Repository) Matches(other Repository) bool {
	if r.Host != "" && other.Host != "" && r.Host != other.Host {
		return false
	}
	// Bitbucket Server has "scm/" before its paths in https addresses, and not in ssh ones.
	bare := func(p string) string { return strings.TrimPrefix(strings.ToLower(p), "scm/") }
	return bare(r.Path) == bare(other.Path)
}
