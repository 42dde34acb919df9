// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"net/url"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

func stepGit(ctx context.Context, c *stepCall) (any, error) {
	branch := c.text("branch")
	if branch == "" {
		branch = "master"
	}
	return c.clone(ctx, SCM{URL: c.text("url"), Branch: branch, CredentialsID: c.text("credentialsId")})
}

// stepCheckout runs checkout scm and checkout of a plain git repository.
func stepCheckout(ctx context.Context, c *stepCall) (any, error) {
	m, ok := c.args["scm"].(*groovy.Map)
	if !ok {
		return nil, failed("checkout needs scm or a GitSCM")
	}
	class, _ := m.Get("$class")
	switch groovy.ToString(class) {
	case "PipelineSCM":
		return c.clone(ctx, *c.b.spec.SCM)
	case "GitSCM":
		scm, err := gitSCM(m)
		if err != nil {
			return nil, err
		}
		return c.clone(ctx, scm)
	}
	return nil, failed("checkout of %s is not supported by the built-in runner; use Jenkins", clip(groovy.ToString(class)))
}

// gitSCM reads [$class: 'GitSCM', branches: [[name: …]], userRemoteConfigs: [[url: …]]].
func gitSCM(m *groovy.Map) (SCM, error) {
	first := func(key string) *groovy.Map {
		v, _ := m.Get(key)
		if l, ok := v.(*groovy.List); ok && len(l.Items) == 1 {
			if inner, ok := l.Items[0].(*groovy.Map); ok {
				return inner
			}
		}
		return groovy.NewMap()
	}
	text := func(m *groovy.Map, key string) string {
		v, _ := m.Get(key)
		if v == nil {
			return ""
		}
		return groovy.ToString(v)
	}
	if v, _ := m.Get("extensions"); groovy.Truth(v) {
		return SCM{}, failed("checkout: extensions of GitSCM are not supported by the built-in runner; use Jenkins")
	}
	remote := first("userRemoteConfigs")
	scm := SCM{URL: text(remote, "url"), CredentialsID: text(remote, "credentialsId")}
	scm.Branch = strings.TrimPrefix(strings.TrimPrefix(text(first("branches"), "name"), "*/"), "refs/heads/")
	return scm, nil
}

// clone fetches a repository into the current folder and returns what Jenkins' steps return.
func (c *stepCall) clone(ctx context.Context, scm SCM) (any, error) {
	if scm.URL == "" {
		return nil, failed("%s needs the url of a repository", c.name)
	}
	req := CloneRequest{URL: scm.URL, Ref: scm.Branch, Dir: flowOf(ctx).dir}
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
	c.say("Cloning repository " + shown)
	commit := ""
	err := c.agent(ctx, func(a *agentHandle) error {
		var err error
		if commit, err = a.Clone(ctx, req, c.w); err != nil {
			return failed("Error cloning remote repo %s: %v", shown, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.say("Checking out Revision " + commit)
	vars := groovy.NewMap()
	vars.Put("GIT_COMMIT", commit)
	vars.Put("GIT_URL", shown)
	vars.Put("GIT_BRANCH", scm.Branch)
	vars.Put("GIT_LOCAL_BRANCH", scm.Branch)
	c.value = vars
	return vars, nil
}

// maskURL masks the password in the address of a repository.
func (b *build) maskURL(address string) {
	if u, err := url.Parse(address); err == nil {
		if pw, ok := u.User.Password(); ok {
			b.masks.add(pw)
		}
	}
}

// checkoutDefault is the checkout that Declarative Pipeline does first on every agent.
func (b *build) checkoutDefault(ctx context.Context, stage string) error {
	if b.spec.SCM == nil || b.option(b.spec.Pipeline.Options, "skipDefaultCheckout") || b.stageSkipsCheckout(stage) || flowOf(ctx).cell.skipsCheckout(b, stage) {
		return nil
	}
	return b.runBlock(ctx, blockStep{name: "stage", label: "Declarative: Checkout SCM", body: func(ctx context.Context, _ string) error {
		c := &stepCall{b: b, name: "checkout", args: map[string]any{"scm": scmObject()}}
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

// withSCMEnv adds the variables of the default checkout.
func (b *build) withSCMEnv(ctx context.Context) context.Context {
	h := flowOf(ctx).agent
	if len(h.scm) == 0 {
		return ctx
	}
	return b.overlay(ctx, h.scm)
}
