// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// buildEnv are the variables that every build has, lowest first: about the build, of the server, the
// parameters, and what env.X = … set.
func (b *build) buildEnv() map[string]string {
	i := b.spec.Build
	number := itoa(i.Number)
	env := map[string]string{
		"JOB_NAME":           i.JobName,
		"JOB_BASE_NAME":      path.Base(i.JobName),
		"BUILD_NUMBER":       number,
		"BUILD_ID":           number,
		"BUILD_DISPLAY_NAME": "#" + number,
		"BUILD_TAG":          "jenkins-" + strings.ReplaceAll(i.JobName, "/", "-") + "-" + number,
		"CI":                 "true",
	}
	for name, v := range map[string]string{"BUILD_URL": i.BuildURL, "JOB_URL": i.JobURL, "BRANCH_NAME": i.Branch, "CHANGE_TARGET": i.ChangeTarget} {
		if v != "" {
			env[name] = v
		}
	}
	for k, v := range b.spec.Env {
		env[k] = v
	}
	for _, p := range b.spec.Params {
		env[p.Name] = groovy.ToString(p.Value)
	}
	for k, v := range b.vars {
		env[k] = v
	}
	return env
}

// env are all variables that a shell step gets.
func (b *build) env(ctx context.Context) map[string]string {
	f := flowOf(ctx)
	env := b.buildEnv()
	if f.agent != nil {
		env["NODE_NAME"] = f.agent.Name()
		env["WORKSPACE"] = f.agent.Workspace()
		env["WORKSPACE_TMP"] = f.agent.Workspace() + "@tmp"
	}
	if f.node != nil {
		env["STAGE_NAME"] = f.node.DisplayName
	}
	for k, v := range f.env {
		env[k] = v
	}
	return env
}

// lookupEnv finds one variable, at last in the environment of the agent.
func (b *build) lookupEnv(ctx context.Context, name string) (string, bool) {
	if v, ok := b.env(ctx)[name]; ok {
		return v, true
	}
	f := flowOf(ctx)
	if f.agent == nil || !envName(name) {
		return "", false
	}
	v, ok := f.agent.environment(ctx)[name]
	return v, ok
}

func envName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// agentEnvTimeout bounds the one command that asks an agent for its environment.
const agentEnvTimeout = 30 * time.Second

// environment asks the agent once for its own variables, such as PATH and HOME. Other branches that
// ask meanwhile wait without the baton.
func (h *agentHandle) environment(ctx context.Context) map[string]string {
	switch {
	case h.env != nil:
		return h.env
	case h.asking:
		j := &join{ready: make(chan struct{})}
		h.waiting = append(h.waiting, j)
		h.b.baton.wait(j)
		return h.env
	}
	h.asking = true
	env := map[string]string{}
	// An agent that does not answer has no variables.
	out, _ := effect(ctx, h.b, "env", func(ctx context.Context, id string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, agentEnvTimeout)
		defer cancel()
		var out bytes.Buffer
		if h.resume(ctx) != nil {
			return "", nil
		}
		req := ShellRequest{ID: id, Script: "#!/bin/sh\nenv\n", Dir: h.Workspace()}
		if code, err := h.Shell(ctx, req, io.Discard, &out); err != nil || code != 0 {
			return "", nil
		}
		return out.String(), nil
	})
	for _, line := range strings.Split(out, "\n") {
		if k, v, ok := strings.Cut(line, "="); ok && envName(k) {
			env[k] = v
		}
	}
	h.env, h.asking = env, false
	for _, j := range h.waiting {
		h.b.baton.release(j)
	}
	h.waiting = nil
	return env
}

// overlay returns the flow with more variables. NAME+X=value puts value in front of NAME.
func (b *build) overlay(ctx context.Context, add [][2]string) context.Context {
	env := map[string]string{}
	for k, v := range flowOf(ctx).env {
		env[k] = v
	}
	for _, kv := range add {
		name, value := kv[0], kv[1]
		if base, _, ok := strings.Cut(name, "+"); ok {
			name = base
			old, found := env[name]
			if !found {
				old, found = b.lookupEnv(ctx, name)
			}
			if found && old != "" {
				value += ":" + old
			}
		}
		env[name] = value
	}
	return withFlow(ctx, func(f *flow) { f.env = env })
}

// inEnvironment runs body with the variables of an environment directive.
func (b *build) inEnvironment(ctx context.Context, vars []*jenkinsfile.EnvVar, body func(context.Context) error) error {
	if len(vars) == 0 {
		return body(ctx)
	}
	var secrets, plain []*jenkinsfile.EnvVar
	for _, v := range vars {
		if _, ok := v.CredentialsCall(); ok {
			secrets = append(secrets, v)
		} else {
			plain = append(plain, v)
		}
	}
	return b.withSecrets(ctx, secrets, func(ctx context.Context) error {
		if len(plain) == 0 {
			return body(ctx)
		}
		// Values may use the variables above them.
		inner := ctx
		for _, v := range plain {
			x, err := b.m.Eval(inner, v.Value)
			if err != nil {
				return err
			}
			inner = b.overlay(inner, [][2]string{{v.Name, groovy.ToString(x)}})
		}
		return b.runBlock(ctx, blockStep{
			name:   "withEnv",
			before: func(context.Context) (context.Context, error) { return inner, nil },
			body:   func(ctx context.Context, _ string) error { return body(ctx) },
		})
	})
}

// withSecrets runs body with the variables that credentials() gives.
func (b *build) withSecrets(ctx context.Context, vars []*jenkinsfile.EnvVar, body func(context.Context) error) error {
	if len(vars) == 0 {
		return body(ctx)
	}
	var all binding
	c := &stepCall{b: b, name: "withCredentials"}
	dir := ""
	for _, v := range vars {
		arg, _ := v.CredentialsCall()
		x, err := b.m.Eval(ctx, arg)
		if err != nil {
			return err
		}
		found, err := b.credential(ctx, groovy.ToString(x))
		if err != nil {
			return err
		}
		all.add(b.secretBinding(v.Name, found))
	}
	return b.runBlock(ctx, blockStep{
		name: "withCredentials",
		before: func(ctx context.Context) (context.Context, error) {
			var err error
			if dir, err = c.bindAll(ctx, &all); err != nil {
				return ctx, err
			}
			return b.overlay(ctx, all.vars), nil
		},
		after: func(ctx context.Context, err error) error {
			c.removeSecretFiles(ctx, dir)
			return err
		},
		body: func(ctx context.Context, _ string) error { return body(ctx) },
	})
}

// credentialTimeout bounds how long a build that goes on after a restart looks for a credential again.
const credentialTimeout = time.Minute

// credential finds a credential and masks its secrets from now on.
func (b *build) credential(ctx context.Context, id string) (Credential, error) {
	if b.spec.Credentials == nil {
		return Credential{}, failed("Could not find credentials entry with ID '%s'", id)
	}
	var c Credential
	asked := false
	ok, err := effect(ctx, b, "credential", func(ctx context.Context, _ string) (ok bool, err error) {
		asked = true
		c, ok, err = b.spec.Credentials.Credential(ctx, id)
		return ok, err
	})
	if ok && err == nil && !asked {
		// No secret is kept in a history.
		again, cancel := b.detached(ctx, credentialTimeout)
		c, ok, err = b.spec.Credentials.Credential(again, id)
		cancel()
		if err != nil || !ok {
			b.breakOff(&brokenError{fmt.Sprintf("The build can not go on after the restart of the server: the credentials '%s', which it has used, are gone", id)})
			return Credential{}, b.stopped()
		}
	}
	switch {
	case b.stopped() != nil:
		return c, b.stopped()
	case err != nil && ctx.Err() != nil:
		return c, interrupted(ctx)
	case err != nil:
		return c, failed("Could not read credentials with ID '%s': %v", id, err)
	case !ok:
		return c, failed("Could not find credentials entry with ID '%s'", id)
	}
	b.masks.add(c.Password)
	b.masks.add(c.Secret)
	return c, nil
}

// secretBinding is what credentials() gives for a credential: beside the variable itself those of its parts.
func (b *build) secretBinding(name string, c Credential) *binding {
	switch c.Kind {
	case CredentialUsernamePassword:
		pair := c.Username + ":" + c.Password
		b.masks.add(pair)
		return &binding{vars: [][2]string{{name, pair}, {name + "_USR", c.Username}, {name + "_PSW", c.Password}}, masked: []string{name + "_PSW"}}
	case CredentialFile:
		return &binding{files: []secretFile{{name, c.FileName, c.File}}}
	case CredentialSSHKey:
		out := &binding{files: []secretFile{keyFile(name, c)}, vars: [][2]string{{name + "_USR", c.Username}}}
		if c.Password != "" {
			out.vars, out.masked = append(out.vars, [2]string{name + "_PSW", c.Password}), []string{name + "_PSW"}
		}
		return out
	}
	return &binding{vars: [][2]string{{name, c.Secret}}, masked: []string{name}}
}
