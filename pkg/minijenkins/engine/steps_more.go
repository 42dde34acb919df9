// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is a step of that name, not a protection
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// utilitySteps are steps of the plugin pipeline-utility-steps and of the core that stand on few others.
func utilitySteps() map[string]stepDef {
	one := func(only string, params ...string) stepDef {
		return stepDef{symbol: true, only: only, params: params}
	}
	return map[string]stepDef{
		"fingerprint": {display: "Record fingerprints of files to track usage", only: "targets", describe: "targets", params: []string{"excludes", "caseSensitive", "defaultExcludes"}, agent: true, run: stepFingerprint},
		"findFiles":   {display: "Find files in the workspace", describe: "glob", params: []string{"glob", "excludes"}, agent: true, run: stepFindFiles},
		"readProperties": {display: "Read properties from files in the workspace or text.", describe: "file",
			params: []string{"file", "text", "defaults", "charset", "interpolate"}, run: stepReadProperties},
		"sha1":    {display: "Compute the SHA1 of a given file", only: "file", describe: "file", agent: true, run: stepHash},
		"sha256":  {display: "Compute the SHA-256 of a given file", only: "file", describe: "file", agent: true, run: stepHash},
		"touch":   {display: "Create a file (if not already exist) in the workspace, and set the timestamp", only: "file", describe: "file", agent: true, run: stepTouch},
		"step":    {display: "General Build Step", only: "delegate", agent: true, run: stepDelegate},
		"archive": {display: "Archive artifacts", only: "includes", describe: "includes", params: []string{"excludes"}, agent: true, run: stepLegacyArchive},

		// The symbols of retry's conditions.
		"agent": one(""), "kubernetesAgent": one("", "handleNonKubernetes"), "nonresumable": one(""),
	}
}

// globbed asks the agent for files below the current folder.
func (c *stepCall) globbed(ctx context.Context, includes, excludes string) ([]string, error) {
	dir := flowOf(ctx).dir
	return onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) ([]string, error) {
		files, err := a.Glob(ctx, dir, includes, excludes)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !usablePath(f) {
				return nil, failed("The agent named a file with a bad path: %q", f)
			}
		}
		return files, nil
	})
}

// withDefaultExcludes adds the files of version control to the excludes, unless defaultExcludes is false.
func (c *stepCall) withDefaultExcludes(excludes string) string {
	if c.enabled("defaultExcludes") {
		return strings.TrimPrefix(excludes+","+defaultExcludes, ",")
	}
	return excludes
}

// noCaseless refuses patterns for which the case of letters does not count.
func (c *stepCall) noCaseless() error {
	if !c.enabled("caseSensitive") {
		return failed("%s: caseSensitive: false is not supported by the built-in runner; use Jenkins", c.name)
	}
	return nil
}

func stepFingerprint(ctx context.Context, c *stepCall) (any, error) {
	if err := c.noCaseless(); err != nil {
		return nil, err
	}
	if c.text("targets") == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "fingerprint needs targets", Pos: c.pos}
	}
	c.say("Recording fingerprints")
	_, err := c.globbed(ctx, c.text("targets"), c.withDefaultExcludes(c.text("excludes")))
	return nil, err
}

// maxFound bounds how many files findFiles gives.
const maxFound = 10_000

func stepFindFiles(ctx context.Context, c *stepCall) (any, error) {
	glob := c.text("glob")
	if glob == "" {
		glob = "*"
	}
	files, err := c.globbed(ctx, glob, c.text("excludes"))
	if err != nil {
		return nil, err
	}
	if len(files) > maxFound {
		return nil, failed("findFiles: %d files are more than %d; use a narrower glob", len(files), maxFound)
	}
	list := groovy.NewList()
	for _, f := range files {
		list.Items = append(list.Items, fileObject(f))
	}
	return list, nil
}

// fileObject is a file as findFiles gives it. Its size and time are not known.
func fileObject(name string) *beanObject {
	o := newBean("org.jenkinsci.plugins.pipeline.utility.steps.fs.FileWrapper", name)
	o.props.Put("name", path.Base(name))
	o.props.Put("path", name)
	o.props.Put("directory", false)
	return o
}

func stepReadProperties(ctx context.Context, c *stepCall) (any, error) {
	if c.flag("interpolate") {
		return nil, failed("readProperties: interpolate is not supported by the built-in runner; use Jenkins")
	}
	if e := c.text("charset"); e != "" && !strings.EqualFold(e, "UTF-8") && !strings.EqualFold(e, "ISO-8859-1") {
		return nil, failed("readProperties: charset %s is not supported by the built-in runner; use UTF-8 or Jenkins", clip(e))
	}
	out := groovy.NewMap()
	if d, ok := c.args["defaults"].(*groovy.Map); ok {
		for _, k := range d.Keys() {
			v, _ := d.Get(k)
			out.Put(k, v)
		}
	}
	text, err := c.dataText(ctx)
	if err != nil {
		return nil, err
	}
	for _, kv := range javaProperties(text) {
		out.Put(kv[0], kv[1])
	}
	return out, nil
}

// javaProperties reads the format of java.util.Properties: comments, continued lines, escapes, and '=', ':' or a space between key and value.
func javaProperties(text string) [][2]string {
	var out [][2]string
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		end := keyEnd(line)
		value := strings.TrimLeft(line[end:], " \t\f")
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], " \t\f")
		}
		out = append(out, [2]string{unescapeProperty(line[:end]), unescapeProperty(value)})
	}
	return out
}

// continued tells if a line ends in an odd number of backslashes.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func keyEnd(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			return i
		}
	}
	return len(line)
}

func unescapeProperty(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			var r rune
			if _, err := fmt.Sscanf(s[i+1:min(i+5, len(s))], "%04x", &r); err == nil && i+5 <= len(s) {
				b.WriteRune(r)
				i += 4
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func stepHash(ctx context.Context, c *stepCall) (any, error) {
	file := flowOf(ctx).resolve(c.text("file"))
	return onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (string, error) {
		h := sha256.New()
		if c.name == "sha1" {
			h = sha1.New() //nolint:gosec // the step is named so
		}
		r, err := a.Open(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return "", &groovy.Exception{Class: "java.io.FileNotFoundException", Message: file, Pos: c.pos}
		}
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(h, r); err != nil {
			return "", errors.Join(err, r.Close())
		}
		return hex.EncodeToString(h.Sum(nil)), r.Close()
	})
}

// stepTouch makes a file or sets its time to now.
func stepTouch(ctx context.Context, c *stepCall) (any, error) {
	name := c.text("file")
	if name == "" {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "touch needs a file", Pos: c.pos}
	}
	file, dir := flowOf(ctx).resolve(name), flowOf(ctx).dir
	err := c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, id string) error {
		// The name goes by the environment, so that no shell reads it.
		req := ShellRequest{ID: id, Dir: dir, Script: "#!/bin/sh\nmkdir -p \"$(dirname \"$SLIPWAY_FILE\")\" && touch \"$SLIPWAY_FILE\"\n", Env: map[string]string{"SLIPWAY_FILE": file}}
		code, err := a.Shell(ctx, req, c.w, nil)
		if err == nil && code != 0 {
			err = failed("touch: %s cannot be made", clip(name))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return fileObject(name), nil
}

// namedClass is the class in step($class: '…', …).
func namedClass(inv groovy.Invocation) (any, bool) {
	if inv.Named == nil {
		return nil, false
	}
	return inv.Named.Get(symbolKey)
}

// delegates are the steps that stand for the classes of the step step.
var delegates = map[string]string{
	"ArtifactArchiver": "archiveArtifacts", "JUnitResultArchiver": "junit", "Fingerprinter": "fingerprint", "WsCleanup": "cleanWs", "HtmlPublisher": "publishHTML",
}

// stepDelegate is step([$class: 'ArtifactArchiver', artifacts: '…']), the way to use a step before it had a name.
func stepDelegate(ctx context.Context, c *stepCall) (any, error) {
	m := propsOf(c.args["delegate"])
	if m == nil {
		return nil, failed("step needs [$class: '…']")
	}
	class := mapText(m, symbolKey)
	name, ok := delegates[class[strings.LastIndexByte(class, '.')+1:]]
	if !ok {
		return nil, failed("step of the class %s is not supported by the built-in runner; use Jenkins", clip(class))
	}
	def := stepDefs[name]
	args := map[string]any{}
	for _, k := range m.Keys() {
		key := groovy.ToString(k)
		if key == symbolKey {
			continue
		}
		if key != def.only && !contains(def.params, key) {
			return nil, failed("step: parameter %s of %s is not supported by the built-in runner; use Jenkins", clip(key), class)
		}
		args[key], _ = m.Get(k)
	}
	inner := *c
	inner.name, inner.args = name, args
	v, err := def.run(ctx, &inner)
	c.result, c.value = inner.result, inner.value
	return v, err
}

// stepLegacyArchive is archive 'x', the older form of archiveArtifacts.
func stepLegacyArchive(ctx context.Context, c *stepCall) (any, error) {
	inner := *c
	inner.args = map[string]any{"artifacts": c.args["includes"], "excludes": c.args["excludes"], "allowEmptyArchive": true}
	return stepArchive(ctx, &inner)
}

// retryConditions reads conditions: [agent(), …] of retry: whether only the loss of an agent is a reason to try again.
func (c *stepCall) retryConditions() (agentsOnly bool, err error) {
	v := c.args["conditions"]
	if v == nil {
		return false, nil
	}
	list, ok := v.(*groovy.List)
	if !ok {
		return false, failed("retry: conditions must be a list such as [agent(), nonresumable()]")
	}
	for _, item := range list.Items {
		kind := ""
		if m := propsOf(item); m != nil {
			kind = mapText(m, symbolKey)
		}
		switch kind[strings.LastIndexByte(kind, '.')+1:] {
		case "agent", "kubernetesAgent", "AgentErrorCondition", "KubernetesAgentErrorCondition", "nonresumable", "SynchronousResumeNotSupportedErrorCondition":
		default:
			return false, failed("retry: the condition %s is not supported by the built-in runner; use Jenkins", clip(groovy.ToString(item)))
		}
	}
	return len(list.Items) > 0, nil
}

// lostAgent tells if an error is the loss of an agent.
func lostAgent(err error) bool {
	var lost *agentError
	return errors.As(err, &lost)
}

// refusedArguments are arguments of steps that are refused before the run if they are set.
var refusedArguments = map[string]map[string]string{
	"timeout":        {"activity": "give it a longer time"},
	"lock":           {"label": "name a resource", "priority": "", "resourceSelectStrategy": ""},
	"readProperties": {"interpolate": ""},
}

// refusedArgument refuses an argument that is known and not supported, unless it is plainly not set.
func (c *checker) refusedArgument(step string, a jenkinsfile.Arg) bool {
	instead, refused := refusedArguments[step][a.Name]
	if !refused {
		return false
	}
	if v, known := jenkinsfile.ConstantText(a.Value); known && (v == "" || v == "false") {
		return false
	}
	c.refuse(a.NamePos, step, "parameter \"%s\" of step \"%s\": %s", a.Name, step, adviceWith(instead))
	return true
}

// refusedGlobals are global variables of plugins.
var refusedGlobals = map[string]string{
	"docker": insteadImageTool, "openshift": insteadCommand, "Artifactory": insteadCommand, "artifactory": insteadCommand, "kubernetes": insteadCommand, "manager": "", "pipelineUtils": "",
}

// global refuses global variables of plugins where a method or a property of them is used.
func (c *checker) global(object jenkinsfile.Expr) {
	id, ok := object.(*jenkinsfile.Ident)
	if !ok || c.declared[id.Name] || c.vars[id.Name] != nil {
		return
	}
	if instead, refused := refusedGlobals[id.Name]; refused {
		c.refuse(id.From, id.Name, "global variable \"%s\": %s", id.Name, adviceWith(instead))
	}
}
