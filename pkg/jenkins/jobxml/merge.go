// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Merge returns the config.xml of a pipeline for a job that exists: what the spec says is as Render writes it, and what the API does not know is kept from the
// existing document, such as properties, triggers and traits of other plugins, parameters of other kinds, and whether the job is disabled. What a run of the
// Jenkinsfile set itself (Options.Runs) is kept, too, where the spec says nothing about it. A job of another class is a *ClassError.
func Merge(existing []byte, spec *devopsv1alpha3.PipelineSpec, opts Options) ([]byte, error) {
	rendered, err := Render(spec, opts)
	if err != nil {
		return nil, err
	}
	oldRoot, err := parseTree(existing)
	if err != nil {
		return nil, err
	}
	newRoot, err := parseTree(rendered)
	if err != nil {
		return nil, err
	}
	if oldRoot.name != newRoot.name {
		return nil, &ClassError{Class: oldRoot.name, Want: newRoot.name}
	}
	var b bytes.Buffer
	b.WriteString(header)
	if err := ownership[newRoot.name].merge(oldRoot, newRoot, opts.Runs).write(&b, ""); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// element is an XML element with either children or text.
type element struct {
	name     string
	attrs    []xml.Attr
	comment  string
	children []*element
	text     string
}

func (e *element) class() string {
	for _, a := range e.attrs {
		if a.Name.Local == "class" {
			return a.Value
		}
	}
	return ""
}

func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// owner says which children of an element are the API's. A child that is not named here is kept from the existing document.
type owner struct {
	// own are the children that are as rendered, also if they are not rendered at all.
	own []string
	// keep are the children that stay as they are if they exist.
	keep []string
	// below are the children that are merged.
	below map[string]*owner
	// sameClass: only an element of the same class is merged with.
	sameClass bool
	// keepClass: an element of another class stays as it is.
	keepClass bool
	// byRun tells if a run of the Jenkinsfile sets the children that are the API's. It replaces all of them, or, if
	// single is true, those that it names.
	byRun  func(Runs) bool
	single bool
}

// drops tells if a child of the existing element that is the API's goes, as the spec does not have it.
func (o *owner) drops(name string, now *element, runs Runs) bool {
	if o.byRun == nil || !o.byRun(runs) {
		return true
	}
	// What the spec says counts until the next run; what it does not say is the run's.
	return now.child(name) != nil || !o.single && len(now.children) > 0
}

func classesOf(m map[string]string) []string {
	var list []string
	for _, c := range m {
		list = append(list, c)
	}
	return list
}

// ownTraits are the traits that the API knows.
func ownTraits() []string {
	list := []string{traitClone, traitRegex, traitGitBranches, traitGitTags}
	for _, h := range hostings {
		list = append(list, h.branches, h.tags, h.origin, h.forks, h.skip)
	}
	return list
}

// The elements that more than one rule names.
const (
	elementConcurrent = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
	elementDiscarder  = "jenkins.model.BuildDiscarderProperty"
	elementParameters = "hudson.model.ParametersDefinitionProperty"
	elementTriggers   = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
	elementTimer      = "hudson.triggers.TimerTrigger"
	elementWebhook    = "org.jenkinsci.plugins.gwt.GenericTrigger"
	elementOrphans    = "orphanedItemStrategy"
	elementStrategy   = "strategy"
	elementClone      = "hudson.plugins.git.extensions.impl.CloneOption"
)

// An element that is in own and in below goes if it is not rendered, and is merged if it is.
var ownership = map[string]*owner{
	"flow-definition": {
		own:  []string{"description", "authToken"},
		keep: []string{"actions", "keepDependencies", "disabled", "triggers"},
		below: map[string]*owner{
			"definition": {own: []string{"script", "sandbox", "scriptPath", "lightweight"}, sameClass: true, below: map[string]*owner{"scm": {
				own: []string{"branches"}, keep: []string{"configVersion", "doGenerateSubmoduleConfigurations", "submoduleCfg"}, sameClass: true,
				below: map[string]*owner{
					"userRemoteConfigs": {below: map[string]*owner{"hudson.plugins.git.UserRemoteConfig": {own: []string{"url", "credentialsId"}}}},
					"extensions": {own: []string{elementClone}, below: map[string]*owner{
						elementClone: {own: []string{"shallow", "timeout", "depth"}, keep: []string{"noTags", "reference", "honorRefspec"}},
					}},
				},
			}}},
			"properties": {
				own:   []string{elementConcurrent, elementDiscarder},
				byRun: func(r Runs) bool { return r.SetOptions }, single: true,
				below: map[string]*owner{
					elementConcurrent: {keep: []string{"abortPrevious"}},
					elementDiscarder: {below: map[string]*owner{
						elementStrategy: {own: []string{"daysToKeep", "numToKeep"}, keep: []string{"artifactDaysToKeep", "artifactNumToKeep"}, sameClass: true},
					}},
					elementParameters: {below: map[string]*owner{
						"parameterDefinitions": {own: classesOf(parameterClass), byRun: func(r Runs) bool { return r.SetParameters }},
					}},
					elementTriggers: {below: map[string]*owner{"triggers": {
						own:   []string{elementTimer, elementWebhook},
						byRun: func(r Runs) bool { return r.SetTriggers }, single: true,
						below: map[string]*owner{elementWebhook: {
							own: []string{"regexpFilterText", "regexpFilterExpression", "genericRequestVariables", "genericHeaderVariables",
								"printPostContent", "printContributedVariables", "causeString", "token"},
							keep: []string{"spec", "genericVariables", "silentResponse"},
						}},
					}}},
				},
			},
		},
	},
	multiBranchClass: {
		own:  []string{"description", elementOrphans},
		keep: []string{"actions", "disabled"},
		below: map[string]*owner{
			elementOrphans: {own: []string{"pruneDeadBranches", "daysToKeep", "numToKeep"}, sameClass: true},
			"properties":   {own: []string{"org.jenkinsci.plugins.workflow.multibranch.PipelineTriggerProperty"}},
			"triggers":     {own: []string{"com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger"}},
			"factory":      {own: []string{"owner", "scriptPath"}, keepClass: true},
			"sources": {own: []string{"owner"}, below: map[string]*owner{"data": {below: map[string]*owner{"jenkins.branch.BranchSource": {
				keep: []string{elementStrategy},
				below: map[string]*owner{"source": {
					own: []string{"id", "name", "remote", "remoteBase", "apiUri", "serverUrl", "serverName", "credentialsId", "repoOwner", "repository",
						"projectOwner", "projectPath", "includes", "excludes", "scm"},
					below: map[string]*owner{"traits": {own: ownTraits(), below: map[string]*owner{traitClone: {below: map[string]*owner{
						"extension": {own: []string{"shallow", "timeout", "depth"}, keep: []string{"noTags", "reference", "honorRefspec"}, sameClass: true},
					}}}}},
					sameClass: true,
				}},
			}}}}},
		},
	},
}

func contains(list []string, name string) bool { return slices.Contains(list, name) }

// merge returns the rendered element with what the existing one has besides.
func (o *owner) merge(was, now *element, runs Runs) *element {
	if was.class() != now.class() {
		switch {
		case o.keepClass:
			return was
		case o.sameClass:
			return now
		}
	}
	out := &element{name: now.name, attrs: now.attrs, comment: now.comment, text: now.text}
	done := map[string]*element{}
	for _, c := range now.children {
		is := was.child(c.name)
		switch below := o.below[c.name]; {
		case is == nil:
		case below != nil:
			c, done[c.name] = below.merge(is, c, runs), is
		case contains(o.keep, c.name):
			c, done[c.name] = is, is
		}
		out.children = append(out.children, c)
	}
	for _, c := range was.children {
		below, merged := o.below[c.name], done[c.name]
		switch {
		case merged == c:
			continue
		case merged != nil:
			// One more of the kind, such as a second source: it was added in Jenkins.
		case contains(o.own, c.name):
			if o.drops(c.name, now, runs) {
				continue
			}
		case below != nil:
			// Nothing of it is rendered; what is not ours in it stays.
			c = below.merge(c, &element{name: c.name, attrs: c.attrs}, runs)
			if len(below.strip(c).children) == 0 {
				continue
			}
		}
		out.children = append(out.children, c)
	}
	return out
}

// strip leaves out children that have become empty, so that a property without content does not stay for ever.
func (o *owner) strip(e *element) *element {
	out := &element{name: e.name, attrs: e.attrs}
	for _, c := range e.children {
		if below := o.below[c.name]; below != nil && len(below.strip(c).children) == 0 {
			continue
		}
		out.children = append(out.children, c)
	}
	return out
}

// parseTree reads a document into elements.
func parseTree(doc []byte) (*element, error) {
	p, s, err := open(doc)
	if err != nil {
		return nil, err
	}
	d := xml.NewDecoder(strings.NewReader(s))
	var stack []*element
	var root *element
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			e := &element{name: qualified(t.Name)}
			for _, a := range t.Attr {
				e.attrs = append(e.attrs, xml.Attr{Name: xml.Name{Local: qualified(a.Name)}, Value: p.str(text(a.Value))})
			}
			if len(stack) > 0 {
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, e)
			} else if root == nil {
				root = e
			}
			stack = append(stack, e)
			if len(stack) > maxNesting {
				return nil, fmt.Errorf("%w: the document is nested deeper than %d", ErrInvalid, maxNesting)
			}
		case xml.EndElement:
			if len(stack) == 0 || stack[len(stack)-1].name != qualified(t.Name) {
				return nil, fmt.Errorf("%w: </%s> closes nothing", ErrInvalid, qualified(t.Name))
			}
			if e := stack[len(stack)-1]; len(e.children) > 0 {
				e.text = "" // indentation
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += p.str(text(t))
			}
		case xml.Comment:
			if len(stack) == 1 {
				root.comment = string(t)
			}
		}
	}
	if root == nil || len(stack) > 0 {
		return nil, fmt.Errorf("%w: the document has no end", ErrInvalid)
	}
	return root, nil
}

// maxNesting bounds how deep the elements of a document may lie.
const maxNesting = 200

// elementName is what may be an element or an attribute: XStream writes Java names.
var elementName = regexp.MustCompile(`^[\pL_][\pL\pN_.:\-]*$`)

func qualified(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

func (e *element) write(b *bytes.Buffer, indent string) error {
	if !elementName.MatchString(e.name) {
		return fmt.Errorf("%w: %q is no name of an element", ErrInvalid, e.name)
	}
	b.WriteString(indent + "<" + e.name)
	for _, a := range e.attrs {
		if !elementName.MatchString(a.Name.Local) {
			return fmt.Errorf("%w: %q is no name of an attribute", ErrInvalid, a.Name.Local)
		}
		value, err := escaped(a.Value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, a.Name.Local, err)
		}
		b.WriteString(" " + a.Name.Local + `="` + strings.NewReplacer(`"`, "&#34;", "\n", "&#xA;", "\t", "&#x9;").Replace(value) + `"`)
	}
	b.WriteString(">")
	if e.comment != "" {
		b.WriteString("\n" + indent + "  <!--" + e.comment + "-->")
	}
	if len(e.children) == 0 {
		value, err := escaped(e.text)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, e.name, err)
		}
		b.WriteString(value)
	} else {
		for _, c := range e.children {
			b.WriteString("\n")
			if err := c.write(b, indent+"  "); err != nil {
				return err
			}
		}
		b.WriteString("\n" + indent)
	}
	b.WriteString("</" + e.name + ">")
	return nil
}
