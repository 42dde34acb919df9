// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"encoding/xml"
	"fmt"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Types of sources in the API.
const (
	sourceGit       = "git"
	sourceGitHub    = "github"
	sourceGitLab    = "gitlab"
	sourceBitbucket = "bitbucket_server"
	sourceSvn       = "svn"
	sourceSingleSvn = "single_svn"
)

// Traits that all sources on git have.
const (
	traitClone       = "jenkins.plugins.git.traits.CloneOptionTrait"
	traitRegex       = "jenkins.scm.impl.trait.RegexSCMHeadFilterTrait"
	traitGitBranches = "jenkins.plugins.git.traits.BranchDiscoveryTrait"
	traitGitTags     = "jenkins.plugins.git.traits.TagDiscoveryTrait"
)

// Classes of the sources that have no vocabulary of their own.
const (
	classGit       = "jenkins.plugins.git.GitSCMSource"
	classSvn       = "jenkins.scm.impl.subversion.SubversionSCMSource"
	classSingleSvn = "jenkins.scm.impl.SingleSCMSource"
)

// pluginSkip has the traits that keep Jenkins from reporting results to GitHub and Bitbucket.
const pluginSkip = "skip-notifications-trait"

// hosting is how the plugin of a hosting service names things. Element names have every underscore of a class twice.
type hosting struct {
	class, plugin string
	// branches, tags, origin and forks are the names of the traits' elements.
	branches, tags, origin, forks string
	// trust is the class that the classes of trust are in, trusts those classes by the numbers of the API.
	trust  string
	trusts map[int]string
	// skip is the trait that keeps Jenkins from reporting results, of the plugin skipPlugin.
	skip, skipPlugin string
}

var hostings = map[string]hosting{
	sourceGitHub: {
		class: "org.jenkinsci.plugins.github_branch_source.GitHubSCMSource", plugin: "github-branch-source",
		branches: "org.jenkinsci.plugins.github__branch__source.BranchDiscoveryTrait", tags: "org.jenkinsci.plugins.github__branch__source.TagDiscoveryTrait",
		origin: "org.jenkinsci.plugins.github__branch__source.OriginPullRequestDiscoveryTrait",
		forks:  "org.jenkinsci.plugins.github__branch__source.ForkPullRequestDiscoveryTrait",
		trust:  "org.jenkinsci.plugins.github_branch_source.ForkPullRequestDiscoveryTrait$",
		trusts: map[int]string{1: "TrustContributors", 2: "TrustEveryone", 3: "TrustPermission", 4: "TrustNobody"},
		skip:   "org.jenkinsci.plugins.github.notifications.SkipNotificationsTrait", skipPlugin: pluginSkip,
	},
	sourceGitLab: {
		class: "io.jenkins.plugins.gitlabbranchsource.GitLabSCMSource", plugin: "gitlab-branch-source",
		branches: "io.jenkins.plugins.gitlabbranchsource.BranchDiscoveryTrait", tags: "io.jenkins.plugins.gitlabbranchsource.TagDiscoveryTrait",
		origin: "io.jenkins.plugins.gitlabbranchsource.OriginMergeRequestDiscoveryTrait",
		forks:  "io.jenkins.plugins.gitlabbranchsource.ForkMergeRequestDiscoveryTrait",
		trust:  "io.jenkins.plugins.gitlabbranchsource.ForkMergeRequestDiscoveryTrait$",
		trusts: map[int]string{1: "TrustMembers", 2: "TrustEveryone", 3: "TrustPermission", 4: "TrustNobody"},
		// Of the same plugin as the source.
		skip: "io.jenkins.plugins.gitlabbranchsource.GitLabSkipNotificationsTrait", skipPlugin: "gitlab-branch-source",
	},
	sourceBitbucket: {
		class: "com.cloudbees.jenkins.plugins.bitbucket.BitbucketSCMSource", plugin: "cloudbees-bitbucket-branch-source",
		branches: "com.cloudbees.jenkins.plugins.bitbucket.BranchDiscoveryTrait", tags: "com.cloudbees.jenkins.plugins.bitbucket.TagDiscoveryTrait",
		origin: "com.cloudbees.jenkins.plugins.bitbucket.OriginPullRequestDiscoveryTrait",
		forks:  "com.cloudbees.jenkins.plugins.bitbucket.ForkPullRequestDiscoveryTrait",
		trust:  "com.cloudbees.jenkins.plugins.bitbucket.ForkPullRequestDiscoveryTrait$",
		// The plugin has no trust by permission. Its word for members is "team forks".
		trusts: map[int]string{1: "TrustTeamForks", 2: "TrustEveryone", 4: "TrustNobody"},
		skip:   "com.cloudbees.jenkins.plugins.bitbucket.notifications.SkipNotificationsTrait", skipPlugin: pluginSkip,
	},
}

func ref(s string) *text { t := text(s); return &t }

// opt leaves out an empty element, so that the plugin takes its default.
func opt(s string) *text {
	if s == "" {
		return nil
	}
	return ref(s)
}

// idOf returns the id of a source. Without one Jenkins makes a new one at every save, and rebuilds every branch.
func idOf(id string) text {
	if id == "" {
		id = "default"
	}
	return text(id)
}

// sourceOf returns the source that the type names.
func sourceOf(p *devopsv1alpha3.MultiBranchPipeline) (scmSource, error) {
	missing := fmt.Errorf("%w: %q is not set", ErrUnsupportedSource, p.SourceType)
	switch p.SourceType {
	case sourceGit:
		if p.GitSource == nil {
			return scmSource{}, missing
		}
		return gitSourceOf(p.GitSource)
	case sourceGitHub:
		if p.GitHubSource == nil {
			return scmSource{}, missing
		}
		src, err := hostedSourceOf(p.SourceType, &p.GitHubSource.HostedSource)
		src.APIURI = opt(p.GitHubSource.APIURI)
		return src, err
	case sourceBitbucket:
		if p.BitbucketServerSource == nil {
			return scmSource{}, missing
		}
		src, err := hostedSourceOf(p.SourceType, &p.BitbucketServerSource.HostedSource)
		src.ServerURL = opt(p.BitbucketServerSource.APIURI)
		return src, err
	case sourceGitLab:
		if p.GitlabSource == nil {
			return scmSource{}, missing
		}
		src, err := hostedSourceOf(p.SourceType, &p.GitlabSource.HostedSource)
		src.ServerName = opt(p.GitlabSource.ServerName)
		src.ProjectOwner, src.ProjectPath, src.RepoOwner, src.Repository = src.RepoOwner, src.Repository, nil, nil
		return src, err
	case sourceSvn:
		s := p.SvnSource
		if s == nil {
			return scmSource{}, missing
		}
		return scmSource{Class: classSvn, Plugin: "subversion", ID: idOf(s.ScmID), RemoteBase: ref(s.Remote), Credentials: ref(s.CredentialID),
			Includes: opt(s.Includes), Excludes: opt(s.Excludes)}, required("svn_source.remote", s.Remote)
	case sourceSingleSvn:
		s := p.SingleSvnSource
		if s == nil {
			return scmSource{}, missing
		}
		return scmSource{Class: classSingleSvn, Plugin: "scm-api", ID: idOf(s.ScmID), Name: ref("master"), SCM: &svnSCM{
			Class: "hudson.scm.SubversionSCM", Plugin: "subversion", Updater: classed{"hudson.scm.subversion.UpdateUpdater"},
			Location: svnLocation{Remote: text(s.Remote), Credentials: text(s.CredentialID), Local: ".", Depth: "infinity", IgnoreExternals: true, CancelProcess: true},
		}}, required("single_svn_source.remote", s.Remote)
	}
	return scmSource{}, fmt.Errorf("%w: %q", ErrUnsupportedSource, p.SourceType)
}

// required refuses what is missing, and what a program that Jenkins gives it to would take for an option.
func required(field, value string) error {
	if value == "" {
		return fmt.Errorf("%w: %s is empty", ErrInvalid, field)
	}
	if value[0] == '-' {
		return fmt.Errorf("%w: %s begins with -, as an option of a program", ErrInvalid, field)
	}
	return nil
}

func named(element string) trait { return trait{XMLName: xml.Name{Local: element}} }

func withStrategy(element string, n int) trait {
	t := named(element)
	t.Strategy = &n
	return t
}

func gitSourceOf(g *devopsv1alpha3.GitSource) (scmSource, error) {
	list := &traits{}
	if g.DiscoverBranches {
		list.List = append(list.List, named(traitGitBranches))
	}
	if g.DiscoverTags {
		list.List = append(list.List, named(traitGitTags))
	}
	list.common(g.CloneOption, g.RegexFilter)
	return scmSource{Class: classGit, Plugin: "git", ID: idOf(g.ScmID), Remote: ref(g.URL), Credentials: ref(g.CredentialID), Traits: list},
		required("git_source.url", g.URL)
}

func (l *traits) common(c *devopsv1alpha3.GitCloneOption, regex string) {
	if c != nil {
		t := named(traitClone)
		t.Extension = &cloneOption{
			Class: "hudson.plugins.git.extensions.impl.CloneOption", Shallow: c.Shallow, Timeout: c.Timeout, Depth: c.Depth, HonorRefspec: true,
		}
		l.List = append(l.List, t)
	}
	if regex != "" {
		t := named(traitRegex)
		t.Plugin, t.Regex = "scm-api", ref(regex)
		l.List = append(l.List, t)
	}
}

// hostedSourceOf returns what the sources on GitHub, GitLab and Bitbucket have in common.
func hostedSourceOf(kind string, s *devopsv1alpha3.HostedSource) (scmSource, error) {
	h, list := hostings[kind], &traits{}
	for _, d := range []struct {
		element string
		n       int
	}{{h.branches, s.DiscoverBranches}, {h.origin, s.DiscoverPRFromOrigin}} {
		switch {
		case d.n < 0 || d.n > 3:
			return scmSource{}, fmt.Errorf("%w: the strategy %d of %s_source is not one of 0 to 3", ErrInvalid, d.n, kind)
		case d.n > 0:
			list.List = append(list.List, withStrategy(d.element, d.n))
		}
	}
	if f := s.DiscoverPRFromForks; f != nil {
		class, ok := h.trusts[f.Trust]
		if !ok || f.Strategy < 1 || f.Strategy > 3 {
			return scmSource{}, fmt.Errorf("%w: discover_pr_from_forks of %s_source has the unknown strategy %d or trust %d", ErrInvalid, kind, f.Strategy, f.Trust)
		}
		t := withStrategy(h.forks, f.Strategy)
		t.Trust = &classed{h.trust + class}
		list.List = append(list.List, t)
	}
	if s.DiscoverTags {
		list.List = append(list.List, named(h.tags))
	}
	list.common(s.CloneOption, s.RegexFilter)
	if !s.AcceptJenkinsNotification {
		t := named(h.skip)
		t.Plugin = h.skipPlugin
		list.List = append(list.List, t)
	}
	src := scmSource{Class: h.class, Plugin: h.plugin, ID: idOf(s.ScmID), Credentials: ref(s.CredentialID), RepoOwner: ref(s.Owner), Repository: ref(s.Repo), Traits: list}
	if err := required(kind+"_source.owner", s.Owner); err != nil {
		return src, err
	}
	return src, required(kind+"_source.repo", s.Repo)
}

// source reads a source into the spec.
func (p *parser) source(src *scmSource, spec *devopsv1alpha3.MultiBranchPipeline) error {
	id := p.str(src.ID)
	switch src.Class {
	case "":
		return nil
	case classGit:
		g := &devopsv1alpha3.GitSource{ScmID: id, URL: p.ref(src.Remote), CredentialID: p.ref(src.Credentials)}
		for _, t := range src.traits() {
			switch t.XMLName.Local {
			case traitGitBranches:
				g.DiscoverBranches = true
			case traitGitTags:
				g.DiscoverTags = true
			}
			p.common(t, &g.CloneOption, &g.RegexFilter)
		}
		spec.SourceType, spec.GitSource = sourceGit, g
		return nil
	case classSvn:
		spec.SourceType = sourceSvn
		spec.SvnSource = &devopsv1alpha3.SvnSource{ScmID: id, Remote: p.ref(src.RemoteBase), CredentialID: p.ref(src.Credentials),
			Includes: p.ref(src.Includes), Excludes: p.ref(src.Excludes)}
		return nil
	case classSingleSvn:
		if src.SCM == nil || src.SCM.Class != "hudson.scm.SubversionSCM" {
			break
		}
		spec.SourceType = sourceSingleSvn
		spec.SingleSvnSource = &devopsv1alpha3.SingleSvnSource{ScmID: id, Remote: p.str(src.SCM.Location.Remote), CredentialID: p.str(src.SCM.Location.Credentials)}
		return nil
	}
	for kind, h := range hostings {
		if h.class != src.Class {
			continue
		}
		spec.SourceType = kind
		s := p.hosted(h, src)
		switch kind {
		case sourceGitHub:
			s.APIURI = p.ref(src.APIURI)
			spec.GitHubSource = &devopsv1alpha3.GitHubSource{HostedSource: s}
		case sourceBitbucket:
			s.APIURI = p.ref(src.ServerURL)
			spec.BitbucketServerSource = &devopsv1alpha3.BitbucketServerSource{HostedSource: s}
		case sourceGitLab:
			s.Owner, s.Repo = p.ref(src.ProjectOwner), p.ref(src.ProjectPath)
			spec.GitlabSource = &devopsv1alpha3.GitlabSource{HostedSource: s, ServerName: p.ref(src.ServerName)}
		}
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnsupportedSource, src.Class)
}

func (p *parser) ref(t *text) string {
	if t == nil {
		return ""
	}
	return p.str(*t)
}

func (s *scmSource) traits() []trait {
	if s.Traits == nil {
		return nil
	}
	return s.Traits.List
}

func (p *parser) common(t trait, clone **devopsv1alpha3.GitCloneOption, regex *string) {
	switch e := t.Extension; {
	case t.XMLName.Local == traitClone && e != nil:
		*clone = &devopsv1alpha3.GitCloneOption{Shallow: e.Shallow, Timeout: e.Timeout, Depth: e.Depth}
	case t.XMLName.Local == traitRegex:
		*regex = p.ref(t.Regex)
	}
}

func (p *parser) hosted(h hosting, src *scmSource) devopsv1alpha3.HostedSource {
	s := devopsv1alpha3.HostedSource{ScmID: p.str(src.ID), CredentialID: p.ref(src.Credentials), Owner: p.ref(src.RepoOwner), Repo: p.ref(src.Repository),
		AcceptJenkinsNotification: true}
	for _, t := range src.traits() {
		n := 0
		if t.Strategy != nil {
			n = *t.Strategy
		}
		switch t.XMLName.Local {
		case h.branches:
			s.DiscoverBranches = n
		case h.origin:
			s.DiscoverPRFromOrigin = n
		case h.tags:
			s.DiscoverTags = true
		case h.forks:
			s.DiscoverPRFromForks = &devopsv1alpha3.DiscoverPRFromForks{Strategy: n}
			for number, class := range h.trusts {
				if t.Trust != nil && strings.TrimPrefix(t.Trust.Class, h.trust) == class {
					s.DiscoverPRFromForks.Trust = number
				}
			}
		case h.skip:
			s.AcceptJenkinsNotification = false
		}
		p.common(t, &s.CloneOption, &s.RegexFilter)
	}
	return s
}
