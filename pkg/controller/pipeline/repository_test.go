// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// TestSelfHostedRepositoriesMatchTheirWebhooks: the peer takes every GitHub, GitLab and Bitbucket for the public one and compares
// addresses letter by letter.
func TestSelfHostedRepositoriesMatchTheirWebhooks(t *testing.T) {
	of := func(kind, api, owner, repo, server string) *devopsv1alpha3.PipelineSpec {
		h := devopsv1alpha3.HostedSource{APIURI: api, Owner: owner, Repo: repo}
		m := &devopsv1alpha3.MultiBranchPipeline{SourceType: kind}
		switch kind {
		case "git":
			m.GitSource = &devopsv1alpha3.GitSource{URL: repo}
		case "github":
			m.GitHubSource = &devopsv1alpha3.GitHubSource{HostedSource: h}
		case "gitlab":
			m.GitlabSource = &devopsv1alpha3.GitlabSource{HostedSource: h, ServerName: server}
		case "bitbucket_server":
			m.BitbucketServerSource = &devopsv1alpha3.BitbucketServerSource{HostedSource: h}
		case "svn":
			m.SvnSource = &devopsv1alpha3.SvnSource{Remote: repo}
		}
		return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: m}
	}
	tests := map[string]struct {
		spec    *devopsv1alpha3.PipelineSpec
		yes, no []string
	}{
		"GitHub": {of("github", "", "team", "app", ""),
			[]string{"https://github.com/team/app", "https://github.com/team/app.git", "git@github.com:Team/App.git", "ssh://git@github.com/team/app"},
			[]string{"https://ghe.example/team/app", "https://github.com/team/app2", "https://github.com/team"}},
		"GitHubAPI":  {of("github", "https://api.github.com", "team", "app", ""), []string{"https://github.com/team/app"}, nil},
		"Enterprise": {of("github", "https://GHE.example:8443/api/v3", "team", "app", ""), []string{"https://ghe.example:8443/team/app.git", "git@ghe.example:team/app.git"}, []string{"https://github.com/team/app"}},
		"GitLab":     {of("gitlab", "", "group", "group/sub/app", ""), []string{"https://gitlab.com/group/sub/app.git"}, []string{"https://gitlab.com/group/app.git"}},
		"GitLabOwn":  {of("gitlab", "https://git.corp.example/api/v4", "group", "app", ""), []string{"https://git.corp.example/group/app.git"}, []string{"https://gitlab.com/group/app"}},
		"GitLabName": {of("gitlab", "", "group", "app", "corp"), []string{"https://git.corp.example/group/app.git", "https://gitlab.com/group/app"}, []string{"https://git.corp.example/group/b"}},
		"Bitbucket":  {of("bitbucket_server", "https://bb.example", "PROJ", "app", ""), []string{"https://bb.example/scm/proj/app.git", "ssh://git@bb.example:7999/proj/app.git"}, []string{"https://bitbucket.org/PROJ/app"}},
		"Git":        {of("git", "", "", "https://user:secret@git.example/a/b.git/", ""), []string{"git@git.example:a/b", "https://git.example/a/b"}, []string{"https://git.example/b"}},
		"File":       {of("git", "", "", "file:///srv/repo/app.git", ""), []string{"/srv/repo/app.git"}, []string{"/srv/repo/b.git"}},
		"Svn":        {of("svn", "", "", "https://svn.example/r/trunk", ""), []string{"https://svn.example/r/trunk"}, []string{"https://svn.example/r"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			repo, ok := RepositoryOf(tt.spec)
			if !ok {
				t.Fatal("no repository")
			}
			for want, list := range map[bool][]string{true: tt.yes, false: tt.no} {
				for _, address := range list {
					other, ok := ParseRepository(address)
					if !ok || repo.Matches(other) != want {
						t.Errorf("%s and %+v of %s: want %v", repo, other, address, want)
					}
				}
			}
		})
	}
	for reason, spec := range map[string]*devopsv1alpha3.PipelineSpec{
		"no repository":        {Pipeline: &devopsv1alpha3.NoScmPipeline{}},
		"no source":            {MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "github"}},
		"empty address":        of("git", "", "", "", ""),
		"no owner":             of("github", "", "", "app", ""),
		"address of no syntax": of("git", "", "", "http://[::1", ""),
	} {
		if repo, ok := RepositoryOf(spec); ok {
			t.Errorf("%s: %+v", reason, repo)
		}
	}
}
