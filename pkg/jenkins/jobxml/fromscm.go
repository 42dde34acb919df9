// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"fmt"
	"regexp"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Classes of where a pipeline has its Jenkinsfile.
const (
	classScript  = "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"
	classFromSCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
	classGitSCM  = "hudson.plugins.git.GitSCM"
)

// defaultScript is where a Jenkinsfile is in a repository if nobody says otherwise.
const defaultScript = "Jenkinsfile"

const (
	headsPrefix = "refs/heads/"
	refsPrefix  = "refs/"
)

var (
	// commitID is a commit by its whole name.
	commitID = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
	// notInRef is what git allows in no name of a reference. To Jenkins some of it would be a pattern.
	notInRef = regexp.MustCompile(`[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|^-|^/|/$`)
)

// definitionOf tells where the Jenkinsfile is: in the job or in a repository.
func definitionOf(p *devopsv1alpha3.NoScmPipeline) (definition, error) {
	yes := true
	if p.Source == nil {
		return definition{Class: classScript, Plugin: "workflow-cps", Script: ref(p.Jenkinsfile), Sandbox: &yes}, nil
	}
	s := p.Source
	if p.Jenkinsfile != "" {
		return definition{}, fmt.Errorf("%w: a pipeline has either jenkinsfile or source, not both", ErrInvalid)
	}
	if err := required("source.url", s.URL); err != nil {
		return definition{}, err
	}
	if notInRef.MatchString(s.Ref) {
		return definition{}, fmt.Errorf("%w: source.ref is no branch, tag or commit: %q", ErrInvalid, s.Ref)
	}
	if err := required("source.ref", s.Ref); err != nil {
		return definition{}, err
	}
	script := s.ScriptPath
	if script == "" {
		script = defaultScript
	}
	light := lightweight(s)
	scm := &gitSCM{Class: classGitSCM, Plugin: "git", ConfigVersion: 2, Modules: classed{"empty-list"}}
	scm.Remotes.List = []gitRemote{{URL: text(s.URL), Credentials: opt(s.CredentialID)}}
	scm.Branches.List = []gitBranch{{Name: text(branchSpec(s.Ref))}}
	if c := s.CloneOption; c != nil {
		scm.Extensions.Clone = &gitClone{Shallow: c.Shallow, Timeout: c.Timeout, Depth: c.Depth, HonorRefspec: true}
	}
	return definition{Class: classFromSCM, Plugin: "workflow-cps", SCM: scm, ScriptPath: ref(script), Lightweight: &light}, nil
}

// lightweight tells if Jenkins is to read nothing but the Jenkinsfile. Of a commit it cannot: it would look for a branch of that name.
func lightweight(s *devopsv1alpha3.JenkinsfileSource) bool {
	return (s.Lightweight == nil || *s.Lightweight) && !commitID.MatchString(s.Ref)
}

// branchSpec names what is built such that Jenkins takes it for nothing else: a bare name could be a tag or a branch of any remote.
func branchSpec(ref string) string {
	if strings.HasPrefix(ref, refsPrefix) || commitID.MatchString(ref) {
		return ref
	}
	return headsPrefix + ref
}

// definition reads where the Jenkinsfile is into the spec.
func (p *parser) definition(d *definition, spec *devopsv1alpha3.NoScmPipeline) {
	if d.Class != classFromSCM {
		spec.Jenkinsfile = p.ref(d.Script)
		return
	}
	s := &devopsv1alpha3.JenkinsfileSource{ScriptPath: p.ref(d.ScriptPath), Lightweight: d.Lightweight}
	if s.Lightweight == nil {
		s.Lightweight = new(bool)
	}
	spec.Source = s
	if d.SCM == nil || d.SCM.Class != classGitSCM {
		// Another kind of repository: all that is known is that it is none of ours.
		return
	}
	if list := d.SCM.Remotes.List; len(list) > 0 {
		s.URL, s.CredentialID = p.str(list[0].URL), p.ref(list[0].Credentials)
	}
	if list := d.SCM.Branches.List; len(list) > 0 {
		name := p.str(list[0].Name)
		if branch, ok := strings.CutPrefix(name, "*/"); ok {
			name = branch
		}
		s.Ref = strings.TrimPrefix(name, headsPrefix)
	}
	if c := d.SCM.Extensions.Clone; c != nil {
		s.CloneOption = &devopsv1alpha3.GitCloneOption{Shallow: c.Shallow, Timeout: c.Timeout, Depth: c.Depth}
	}
}
