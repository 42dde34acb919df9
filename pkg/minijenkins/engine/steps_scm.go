// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

func stepGit(ctx context.Context, c *stepCall) (any, error) {
	branch := c.text("branch")
	if branch == "" {
		branch = "master"
	}
	return c.clone(ctx, checkout{SCM: SCM{URL: c.text("url"), Branch: branch, CredentialsID: c.text("credentialsId")}})
}

// checkout is what to clone and how.
type checkout struct {
	SCM
	// dir is relative to the current folder; empty for that.
	dir string
	// clean removes what is there before, local is the name of the local branch.
	clean bool
	local string
	// notes are said before the clone.
	notes []string
}

// stepCheckout runs checkout scm and checkout of a git repository in its forms.
func stepCheckout(ctx context.Context, c *stepCall) (any, error) {
	if scm, ok := c.args["scm"].(*beanObject); ok && scm.class == classGitSCM {
		// scm as it is.
		how := checkout{SCM: *c.b.spec.SCM, dir: c.text("subdirectory")}
		return c.clone(ctx, how)
	}
	m := propsOf(c.args["scm"])
	if m == nil {
		return nil, failed("checkout needs scm or a GitSCM")
	}
	class := mapText(m, symbolKey)
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "GitSCM", "scmGit":
	default:
		return nil, failed("checkout of %s is not supported by the built-in runner; use Jenkins", clip(class))
	}
	scm, err := gitSCM(m)
	if err != nil {
		return nil, err
	}
	env := c.b.env(ctx)
	for _, field := range []*string{&scm.URL, &scm.Branch, &scm.CredentialsID} {
		*field = os.Expand(*field, func(name string) string { return env[name] })
	}
	how := checkout{SCM: scm}
	if own := c.b.spec.SCM; own != nil && own.URL == scm.URL && (own.Branch == scm.Branch || scm.Branch == "") {
		how.SCM = *own // the same commit as that of the Jenkinsfile
	}
	if err := how.extensions(m); err != nil {
		return nil, err
	}
	return c.clone(ctx, how)
}

// propsOf are the properties of a map or of an object of Jenkins; nil of anything else.
func propsOf(v any) *groovy.Map {
	switch v := v.(type) {
	case *groovy.Map:
		return v
	case *beanObject:
		return v.props
	}
	return nil
}

// items are the properties of the items of a list.
func items(m *groovy.Map, key string) []*groovy.Map {
	v, _ := m.Get(key)
	list, ok := v.(*groovy.List)
	if !ok {
		if one := propsOf(v); one != nil {
			return []*groovy.Map{one}
		}
		return nil
	}
	var out []*groovy.Map
	for _, item := range list.Items {
		if p := propsOf(item); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// defaultRefspec is the refspec that fetches all branches.
const defaultRefspec = "+refs/heads/*:refs/remotes/origin/*"

// gitSCM reads [$class: 'GitSCM', branches: [[name: …]], userRemoteConfigs: [[url: …]]].
func gitSCM(m *groovy.Map) (SCM, error) {
	remotes, branches := items(m, "userRemoteConfigs"), items(m, "branches")
	if len(remotes) != 1 {
		return SCM{}, failed("checkout: %d remotes in userRemoteConfigs are not supported by the built-in runner; name one, or use Jenkins", len(remotes))
	}
	if len(branches) > 1 {
		return SCM{}, failed("checkout: %d branches are not supported by the built-in runner; name one, or use Jenkins", len(branches))
	}
	if spec := mapText(remotes[0], "refspec"); spec != "" && spec != defaultRefspec {
		return SCM{}, failed("checkout: the refspec %s is not supported by the built-in runner; use Jenkins", clip(spec))
	}
	scm := SCM{URL: mapText(remotes[0], "url"), CredentialsID: mapText(remotes[0], "credentialsId")}
	if len(branches) == 0 {
		return scm, nil
	}
	spec := strings.TrimSpace(mapText(branches[0], "name"))
	if strings.HasPrefix(spec, ":") || strings.Contains(strings.TrimPrefix(spec, "*/"), "*") && spec != "**" && spec != "*/*" {
		return scm, failed("checkout: the branch specification %s is not supported by the built-in runner; name one branch, or use Jenkins", clip(spec))
	}
	for _, prefix := range []string{"refs/heads/", "refs/remotes/origin/", "remotes/origin/", "origin/", "*/"} {
		if short, ok := strings.CutPrefix(spec, prefix); ok {
			spec = short
			break
		}
	}
	if scm.Branch = spec; spec == "**" || spec == "*" || spec == "HEAD" {
		scm.Branch = ""
	}
	return scm, nil
}

// How the extensions of the git plugin are taken.
const (
	extensionIgnored = iota + 1
	extensionClean
	extensionDir
	extensionLocal
	extensionSparse
)

// gitExtensions are the extensions of the git plugin, by class and by symbol, that the engine takes. Those that are ignored are about speed,
// polling or the list of changes.
var gitExtensions = map[string]int{
	"CloneOption": extensionIgnored, "cloneOption": extensionIgnored, "CheckoutOption": extensionIgnored, "checkoutOption": extensionIgnored,
	"AuthorInChangelog": extensionIgnored, "authorInChangelog": extensionIgnored, "BuildSingleRevisionOnly": extensionIgnored, "buildSingleRevisionOnly": extensionIgnored,
	"ChangelogToBranch": extensionIgnored, "changelogToBranch": extensionIgnored, "DisableRemotePoll": extensionIgnored, "disableRemotePoll": extensionIgnored,
	"IgnoreNotifyCommit": extensionIgnored, "ignoreNotifyCommit": extensionIgnored, "PathRestriction": extensionIgnored, "pathRestriction": extensionIgnored,
	"MessageExclusion": extensionIgnored, "messageExclusion": extensionIgnored, "UserExclusion": extensionIgnored, "userExclusion": extensionIgnored,
	"PruneStaleBranch": extensionIgnored, "pruneStaleBranch": extensionIgnored, "PruneStaleTag": extensionIgnored, "pruneTags": extensionIgnored,
	"GitSCMStatusChecksExtension": extensionIgnored, "FirstBuildChangelog": extensionIgnored, "firstBuildChangelog": extensionIgnored,
	"CleanBeforeCheckout": extensionClean, "cleanBeforeCheckout": extensionClean, "CleanCheckout": extensionClean, "cleanAfterCheckout": extensionClean,
	"WipeWorkspace": extensionClean, "wipeWorkspace": extensionClean,
	"RelativeTargetDirectory": extensionDir, "relativeTargetDirectory": extensionDir,
	"LocalBranch": extensionLocal, "localBranch": extensionLocal,
	"SparseCheckoutPaths": extensionSparse, "sparseCheckout": extensionSparse,
}

// extensions reads the extensions of a GitSCM. Those that change what is checked out in another way are refused.
func (o *checkout) extensions(m *groovy.Map) error {
	for _, e := range items(m, "extensions") {
		class := mapText(e, symbolKey)
		class = class[strings.LastIndexByte(class, '.')+1:]
		switch gitExtensions[class] {
		case extensionIgnored:
		case extensionClean:
			o.clean = true
		case extensionDir:
			o.dir = mapText(e, "relativeTargetDir")
		case extensionLocal:
			o.local = strings.TrimPrefix(mapText(e, "localBranch"), "**")
		case extensionSparse:
			o.notes = append(o.notes, "Sparse checkout paths are not used: all files are checked out")
		default:
			return failed("checkout: the extension %s of GitSCM is not supported by the built-in runner; use Jenkins", clip(class))
		}
	}
	return nil
}

// clone fetches a repository and returns what Jenkins' steps return.
func (c *stepCall) clone(ctx context.Context, how checkout) (any, error) {
	scm := how.SCM
	if scm.URL == "" {
		return nil, failed("%s needs the url of a repository", c.name)
	}
	req := CloneRequest{URL: scm.URL, Ref: scm.Branch, Dir: flowOf(ctx).resolve(how.dir)}
	if scm.Commit != "" {
		req.Ref = scm.Commit
	}
	if scm.CredentialsID != "" {
		cred, err := c.b.credential(ctx, scm.CredentialsID)
		if err != nil {
			return nil, err
		}
		if cred.Kind != CredentialUsernamePassword {
			return nil, failed("Credential %s is of kind %s; the built-in runner clones with a user name and password", scm.CredentialsID, cred.Kind)
		}
		req.Username, req.Password = cred.Username, cred.Password
		c.say("using credential " + scm.CredentialsID)
	}
	c.b.maskURL(scm.URL)
	shown := c.b.masks.apply(scm.URL)
	for _, note := range how.notes {
		c.say(note)
	}
	c.say("Cloning repository " + shown)
	commit, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (string, error) {
		if how.clean {
			if err := a.RemoveAll(ctx, req.Dir); err != nil {
				return "", err
			}
		}
		commit, err := a.Clone(ctx, req, c.w)
		if err != nil {
			return "", failed("Error cloning remote repo %s: %v", shown, err)
		}
		return commit, nil
	})
	if err != nil {
		return nil, err
	}
	c.say("Checking out Revision " + commit)
	vars := groovy.NewMap()
	for _, kv := range c.b.gitVars(how, commit, shown) {
		vars.Put(kv[0], kv[1])
	}
	c.value = vars
	return vars, nil
}

// gitVars are the variables that the git plugin gives for a checkout.
func (b *build) gitVars(how checkout, commit, address string) [][2]string {
	out := [][2]string{{"GIT_COMMIT", commit}, {"GIT_URL", address}}
	branch := how.Branch
	switch {
	case branch == "" || branch == how.Commit || strings.HasPrefix(branch, "refs/tags/"):
		branch = "detached"
	case b.spec.Build.Branch == "" || b.spec.SCM == nil || b.spec.SCM.URL != how.URL:
		branch = "origin/" + branch
	}
	out = append(out, [2]string{"GIT_BRANCH", branch})
	local := how.local
	if local == "" {
		local = how.Branch
	}
	if local != "" {
		out = append(out, [2]string{"GIT_LOCAL_BRANCH", local})
	}
	if how.PreviousCommit != "" {
		out = append(out, [2]string{"GIT_PREVIOUS_COMMIT", how.PreviousCommit})
	}
	if how.PreviousSuccess != "" {
		out = append(out, [2]string{"GIT_PREVIOUS_SUCCESSFUL_COMMIT", how.PreviousSuccess})
	}
	return out
}

// classGitSCM is the class of scm.
const classGitSCM = "hudson.plugins.git.GitSCM"

// scmObject is the value of scm: checkout takes it as it is, and scripts make another one of its parts.
func (b *build) scmObject() *beanObject {
	scm, remote, branch := newBean(classGitSCM, classGitSCM), newBean("hudson.plugins.git.UserRemoteConfig", ""), newBean("hudson.plugins.git.BranchSpec", "")
	if own := b.spec.SCM; own != nil {
		b.maskURL(own.URL)
		for _, kv := range [][2]string{{"url", own.URL}, {"credentialsId", own.CredentialsID}, {"name", "origin"}, {"refspec", defaultRefspec}} {
			remote.props.Put(kv[0], kv[1])
		}
		branch.props.Put("name", own.Branch)
		branch.text = own.Branch
		scm.props.Put("key", "git "+own.URL)
	}
	scm.props.Put("branches", groovy.NewList(branch))
	scm.props.Put("userRemoteConfigs", groovy.NewList(remote))
	scm.props.Put("extensions", groovy.NewList())
	scm.props.Put("doGenerateSubmoduleConfigurations", false)
	scm.props.Put("submoduleCfg", groovy.NewList())
	return scm
}

// gitSymbols are the symbols in the arguments of checkout.
func gitSymbols() map[string]stepDef {
	one := func(only string, params ...string) stepDef {
		return stepDef{symbol: true, only: only, params: params}
	}
	return map[string]stepDef{
		"scmGit":      one("userRemoteConfigs", "branches", "extensions", "browser", "gitTool", "doGenerateSubmoduleConfigurations", "submoduleCfg"),
		"cloneOption": one("", "shallow", "noTags", "reference", "timeout", "depth", "honorRefspec"), "checkoutOption": one("timeout"),
		"authorInChangelog": one(""), "buildSingleRevisionOnly": one(""), "changelogToBranch": one("options"), "disableRemotePoll": one(""),
		"ignoreNotifyCommit": one(""), "pathRestriction": one("", "includedRegions", "excludedRegions"), "messageExclusion": one("excludedMessage"),
		"userExclusion": one("excludedUsers"), "pruneStaleBranch": one(""), "pruneTags": one("pruneTags"), "firstBuildChangelog": one("", "makeChangelog"),
		"cleanBeforeCheckout": one("", "deleteUntrackedNestedRepositories"), "cleanAfterCheckout": one("", "deleteUntrackedNestedRepositories"), "wipeWorkspace": one(""),
		"relativeTargetDirectory": one("relativeTargetDir"), "localBranch": one("localBranch"), "sparseCheckout": one("sparseCheckoutPaths"), "sparseCheckoutPath": one("path"),
	}
}

// minTokenLength tells a token from the name of a user in an address without a password, in bytes.
const minTokenLength = 16

// maskURL masks what is secret in the address of a repository: its password, or the token that stands in place of a user.
func (b *build) maskURL(address string) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.User == nil {
		return
	}
	pw, ok := u.User.Password()
	if ok {
		b.masks.add(pw)
	}
	if name := u.User.Username(); pw == "" && len(name) >= minTokenLength || pw == "x-oauth-basic" {
		b.masks.add(name)
	}
}

// checkoutDefault is the checkout that Declarative Pipeline does first on every agent.
func (b *build) checkoutDefault(ctx context.Context, stage string) error {
	if b.spec.SCM == nil || b.option(b.spec.Pipeline.Options, "skipDefaultCheckout") || b.stageSkipsCheckout(stage) || flowOf(ctx).cell.skipsCheckout(b, stage) {
		return nil
	}
	return b.runBlock(ctx, blockStep{name: "stage", label: "Declarative: Checkout SCM", body: func(ctx context.Context, _ string) error {
		c := &stepCall{b: b, name: "checkout", args: map[string]any{"scm": b.scmObject(), "subdirectory": b.checkoutDir(ctx, stage)}}
		v, err := b.atomic(ctx, stepDefs["checkout"], c)
		if m, ok := v.(*groovy.Map); ok {
			h := flowOf(ctx).agent
			for _, k := range m.Keys() {
				x, _ := m.Get(k)
				h.scm = append(h.scm, [2]string{groovy.ToString(k), groovy.ToString(x)})
			}
		}
		return err
	}})
}

func (b *build) stageSkipsCheckout(stage string) bool {
	skips := false
	b.spec.Pipeline.WalkStages(func(s *jenkinsfile.Stage) {
		if stage != "" && s.Name == stage {
			skips = b.option(s.Options, "skipDefaultCheckout")
		}
	})
	return skips
}

// checkoutDir is what the option checkoutToSubdirectory names, of the stage before that of the pipeline.
func (b *build) checkoutDir(ctx context.Context, stage string) string {
	dir := ""
	read := func(options []*jenkinsfile.Directive) {
		for _, o := range options {
			if o.Name == "checkoutToSubdirectory" && len(o.Args) == 1 {
				v, _ := b.m.Eval(ctx, o.Args[0].Value) // what is no text is no folder
				dir = groovy.ToString(v)
			}
		}
	}
	read(b.spec.Pipeline.Options)
	b.spec.Pipeline.WalkStages(func(s *jenkinsfile.Stage) {
		if stage != "" && s.Name == stage {
			read(s.Options)
		}
	})
	return dir
}

// withSCMEnv adds the variables of the default checkout.
func (b *build) withSCMEnv(ctx context.Context) context.Context {
	h := flowOf(ctx).agent
	if len(h.scm) == 0 {
		return ctx
	}
	return b.overlay(ctx, h.scm)
}
