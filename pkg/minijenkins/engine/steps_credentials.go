// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// bindingParams are the parameters of the bindings of withCredentials.
var bindingParams = []string{"credentialsId", "variable", "usernameVariable", "passwordVariable", "keyFileVariable", "passphraseVariable"}

// secretFilesTimeout bounds the removal of secret files after the block, also when the build was aborted.
const secretFilesTimeout = 30 * time.Second

// secretFile is a file with a secret that is on the agent during a block.
type secretFile struct {
	variable, name string
	content        []byte
}

// binding is what one entry of withCredentials gives.
type binding struct {
	vars [][2]string
	// masked are the variables that hold a secret, for the log.
	masked []string
	files  []secretFile
}

// stepWithCredentials sets variables to credentials during a block; the secrets of all are masked from then on.
func stepWithCredentials(ctx context.Context, c *stepCall) (any, error) {
	list, ok := c.args["bindings"].(*groovy.List)
	if !ok {
		return nil, &groovy.Exception{Class: "java.lang.ClassCastException", Message: "withCredentials needs a list of bindings", Pos: c.pos}
	}
	var all binding
	dir := ""
	return c.runBlock(ctx, blockStep{
		before: func(ctx context.Context) (context.Context, error) {
			for _, item := range list.Items {
				one, err := c.bindCredential(ctx, item)
				if err != nil {
					return ctx, err
				}
				all.add(one)
			}
			var err error
			if dir, err = c.bindAll(ctx, &all); err != nil {
				return ctx, err
			}
			return c.b.overlay(ctx, all.vars), nil
		},
		after: func(ctx context.Context, err error) error {
			c.removeSecretFiles(ctx, dir)
			return err
		},
	})
}

// add takes in what another binding gives.
func (b *binding) add(one *binding) {
	b.vars, b.masked, b.files = append(b.vars, one.vars...), append(b.masked, one.masked...), append(b.files, one.files...)
}

// bindAll puts the files of a binding on the agent, in the folder that it returns, and says what is masked.
func (c *stepCall) bindAll(ctx context.Context, all *binding) (dir string, err error) {
	if len(all.files) > 0 {
		if dir, err = c.writeSecretFiles(ctx, all); err != nil {
			c.removeSecretFiles(ctx, dir)
			return dir, err
		}
	}
	if len(all.masked) > 0 {
		c.b.stamped(ctx, "Masking supported pattern matches of $"+strings.Join(all.masked, " or $"))
	}
	return dir, nil
}

// keyFile is the file of a private key.
func keyFile(variable string, c Credential) secretFile {
	return secretFile{variable, "ssh-key", []byte(strings.TrimRight(c.Secret, "\n") + "\n")} // ssh refuses a key without it
}

// bindCredential finds the credential of one binding.
func (c *stepCall) bindCredential(ctx context.Context, item any) (*binding, error) {
	m, ok := item.(*groovy.Map)
	if !ok {
		return nil, failed("withCredentials: %s is not a binding", clip(groovy.ToString(item)))
	}
	text := func(name string) string {
		if v, ok := m.Get(name); ok && v != nil {
			return groovy.ToString(v)
		}
		return ""
	}
	kind := text(symbolKey)
	want, ok := bindingKinds[kind]
	if !ok {
		return nil, failed("withCredentials: the binding %s is not supported by the built-in runner; use Jenkins", clip(kind))
	}
	for _, name := range want.required {
		if !envName(text(name)) {
			return nil, failed("withCredentials: %s needs %s, the name of a variable", kind, name)
		}
	}
	id := text("credentialsId")
	found, err := c.b.credential(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.Kind != want.kind {
		return nil, failed("Credentials '%s' is of type ‘%s’ where ‘%s’ was expected", id, found.Kind, want.kind)
	}
	return want.bind(c.b, found, text), nil
}

// bindingKinds are the bindings by their symbols.
var bindingKinds = map[string]struct {
	kind     CredentialKind
	required []string
	bind     func(b *build, c Credential, text func(string) string) *binding
}{
	"string": {CredentialSecretText, []string{"variable"}, func(_ *build, c Credential, text func(string) string) *binding {
		return &binding{vars: [][2]string{{text("variable"), c.Secret}}, masked: []string{text("variable")}}
	}},
	"usernamePassword": {CredentialUsernamePassword, []string{"usernameVariable", "passwordVariable"}, func(_ *build, c Credential, text func(string) string) *binding {
		return &binding{vars: [][2]string{{text("usernameVariable"), c.Username}, {text("passwordVariable"), c.Password}}, masked: []string{text("passwordVariable")}}
	}},
	"usernameColonPassword": {CredentialUsernamePassword, []string{"variable"}, func(b *build, c Credential, text func(string) string) *binding {
		pair := c.Username + ":" + c.Password
		b.masks.add(pair)
		return &binding{vars: [][2]string{{text("variable"), pair}}, masked: []string{text("variable")}}
	}},
	"file": {CredentialFile, []string{"variable"}, func(_ *build, c Credential, text func(string) string) *binding {
		return &binding{files: []secretFile{{text("variable"), c.FileName, c.File}}}
	}},
	"sshUserPrivateKey": {CredentialSSHKey, []string{"keyFileVariable"}, func(_ *build, c Credential, text func(string) string) *binding {
		out := &binding{files: []secretFile{keyFile(text("keyFileVariable"), c)}}
		if name := text("usernameVariable"); envName(name) {
			out.vars = append(out.vars, [2]string{name, c.Username})
		}
		if name := text("passphraseVariable"); envName(name) {
			out.vars = append(out.vars, [2]string{name, c.Password})
			out.masked = append(out.masked, name)
		}
		return out
	}},
}

// writeSecretFiles puts the files on the agent, where nobody but the build's user can read them, and sets their variables.
func (c *stepCall) writeSecretFiles(ctx context.Context, all *binding) (dir string, err error) {
	f := flowOf(ctx)
	if f.agent == nil {
		return "", failed("Attempted to execute a step that requires a node context while ‘agent none’ was specified. " +
			"Be sure to specify your own ‘agent’ in the stage when using ‘agent none’ (step withCredentials).")
	}
	dir = f.agent.Workspace() + "@tmp/secretFiles/" + c.b.effectID(f.branch.next())
	script := strings.Builder{}
	script.WriteString("#!/bin/sh\nset -e\numask 077\n")
	paths := make([]string, len(all.files))
	for i, file := range all.files {
		paths[i] = dir + "/" + itoa(i) + "/" + fileBase(file.name)
		script.WriteString(`mkdir -p "$DIR/` + itoa(i) + "\"\n: > \"$FILE" + itoa(i) + "\"\n")
	}
	env := map[string]string{"DIR": dir}
	for i, path := range paths {
		env["FILE"+itoa(i)] = path
	}
	// A file that is there keeps its mode when it is written.
	err = c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, id string) error {
		code, err := a.Shell(ctx, ShellRequest{ID: id, Script: script.String(), Dir: a.Workspace(), Env: env}, io.Discard, nil)
		if err == nil && code != 0 {
			err = failed("The folder for secret files could not be made on the agent")
		}
		for i := 0; err == nil && i < len(paths); i++ {
			err = a.WriteFile(ctx, paths[i], all.files[i].content)
		}
		return err
	})
	for i, file := range all.files {
		all.vars = append(all.vars, [2]string{file.variable, paths[i]})
		all.masked = append(all.masked, file.variable)
	}
	return dir, err
}

// fileBase is the last part of a name, without what a path or a shell would read otherwise.
func fileBase(name string) string {
	name = name[strings.LastIndexAny(name, "/\\")+1:]
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, 0) {
		return "file"
	}
	return name
}

// removeSecretFiles removes the files, also after the build was aborted. An agent that is gone has taken them with it.
func (c *stepCall) removeSecretFiles(ctx context.Context, dir string) {
	f := flowOf(ctx)
	if dir == "" || f.agent == nil {
		return
	}
	err := c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, _ string) error {
		ctx, cancel := c.b.detached(ctx, secretFilesTimeout)
		defer cancel()
		return a.RemoveAll(ctx, dir)
	})
	if err != nil {
		c.b.stamped(ctx, "The secret files could not be removed from the agent")
	}
}
