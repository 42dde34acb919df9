// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"

	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/jenkinsproxy"
	v3 "github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/scm"
	"github.com/slipway-dev/slipway/pkg/scm"
)

// GitLab lists GitLab servers and projects where consoles ask Jenkins' GitLab plugin for them. It
// implements jenkinsproxy.GitLab. There is no credential in those requests, and none of somebody else's is
// used for them: what the public may see is listed, and other projects are chosen by their paths.
type GitLab struct{ deps Deps }

// NewGitLab makes it.
func NewGitLab(deps Deps) *GitLab { return &GitLab{deps} }

// maxProjects bounds a list of projects.
const maxProjects = 1000

// Servers gives the GitLab servers, with gitlab.com. They are the same for all namespaces.
func (g *GitLab) Servers(ctx context.Context, _ string) ([]jenkinsproxy.Server, error) {
	list, err := g.deps.Servers.List(ctx, scm.GitLab)
	if err != nil {
		return nil, v3.Answer(err)
	}
	out := make([]jenkinsproxy.Server, 0, len(list))
	for _, s := range list {
		out = append(out, jenkinsproxy.Server{Name: s.Name, ServerURL: s.URL})
	}
	return out, nil
}

// Projects gives the full paths of the projects of a group or user.
func (g *GitLab) Projects(ctx context.Context, _, server, owner string) ([]string, error) {
	found, err := g.deps.Servers.Find(ctx, scm.GitLab, server)
	if err != nil {
		return nil, v3.Answer(err)
	}
	c, err := g.deps.Factory.Client(scm.Options{Provider: scm.GitLab, Server: found.URL})
	if err != nil {
		return nil, v3.Answer(err)
	}
	var out []string
	for page := 1; len(out) < maxProjects; page++ {
		repositories, err := c.Repositories(ctx, owner, scm.Page{Number: page, Size: scm.DefaultPageSize})
		if err != nil {
			return nil, v3.Answer(err)
		}
		for _, r := range repositories {
			out = append(out, r.FullName)
		}
		if len(repositories) < scm.DefaultPageSize {
			break
		}
	}
	return out, nil
}

var _ jenkinsproxy.GitLab = (*GitLab)(nil)
