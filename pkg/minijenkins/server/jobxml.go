// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The classes of items, which are the root elements of their config.xml.
const (
	classFolder      = "com.cloudbees.hudson.plugins.folder.Folder"
	classWorkflowJob = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
	classMultibranch = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
	rootWorkflowJob  = "flow-definition"

	propParameters    = "hudson.model.ParametersDefinitionProperty"
	propNoConcurrent  = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
	propDiscarder     = "jenkins.model.BuildDiscarderProperty"
	definitionScript  = "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"
	definitionFromSCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
)

// errConfig says that a config.xml cannot be read.
var errConfig = errors.New("bad config.xml")

// errKind says that a config.xml is of a kind of item that is not known here.
type errKind struct{ class string }

func (e *errKind) Error() string { return fmt.Sprintf("%s: unknown class %q", errConfig, e.class) }

// Unwrap makes it an errConfig.
func (e *errKind) Unwrap() error { return errConfig }

// jobConfig is what a config.xml says, as far as minijenkins acts on it.
type jobConfig struct {
	kind        store.Kind
	description *string
	disabled    bool
	// authToken lets a request with it start the job as a remote cause.
	authToken string
	// cron is the schedule of the timer trigger, triggers are the others.
	cron     string
	triggers store.Triggers
	// properties are the classes of the job properties, in order.
	properties []string
	// hasParameters tells an empty list from none.
	hasParameters bool
	parameters    []jenkinsfile.Parameter
	noConcurrent  bool
	abortPrevious bool
	discard       store.Discard
	// definition is the class of the definition; script is of a CpsFlowDefinition, scm of the other.
	definition string
	script     string
	scm        scmConfig
	// multi is of a multi-branch job.
	multi multiConfig
	// libraries are those that a folder offers.
	libraries []LibraryConfig
}

// scmConfig is the repository of a CpsScmFlowDefinition.
type scmConfig struct{ url, branch, credentialsID, scriptPath string }

// element is an XML element.
type element struct {
	name     string
	attrs    map[string]string
	text     string
	children []*element
	// words collects the text while the element is read.
	words strings.Builder
}

func (e *element) child(names ...string) *element {
	for _, n := range names {
		if e == nil {
			return nil
		}
		var found *element
		for _, c := range e.children {
			if c.name == n {
				found = c
				break
			}
		}
		e = found
	}
	return e
}

func (e *element) value(names ...string) string {
	if c := e.child(names...); c != nil {
		return c.text
	}
	return ""
}

var (
	prolog11     = regexp.MustCompile(`^(\s*<\?xml\s+version=['"])1\.1(['"])`)
	prologLatin1 = regexp.MustCompile(`(?i)^(\s*<\?xml\s[^>]{0,200}?encoding=['"])iso-8859-1(['"])`)
	charRefRE    = regexp.MustCompile(`&#(x[0-9a-fA-F]{1,6}|[0-9]{1,7});`)
	byteOrder    = []byte("\xef\xbb\xbf")
)

// inUTF8 rewrites a document in ISO 8859-1, so that its parts can be put together with others; all else it leaves as it is.
func inUTF8(doc []byte) []byte {
	if !prologLatin1.Match(doc) {
		return doc
	}
	out := make([]byte, 0, len(doc)+len(doc)/8)
	for _, b := range doc {
		out = utf8.AppendRune(out, rune(b))
	}
	return prologLatin1.ReplaceAll(out, []byte("${1}UTF-8${2}"))
}

// controlBase is where control characters of XML 1.1 are put while encoding/xml, which knows only
// 1.0, reads a document: a private area of Unicode.
const controlBase = 0xF0000

// prepare makes XML 1.1 readable by encoding/xml. With sameLength every offset stays what it was.
func prepare(doc []byte, sameLength bool) []byte {
	if bytes.HasPrefix(doc, byteOrder) {
		doc = append([]byte("   "), doc[len(byteOrder):]...)
	}
	if !prolog11.Match(doc) {
		return doc
	}
	doc = prolog11.ReplaceAll(doc, []byte("${1}1.0${2}"))
	return charRefRE.ReplaceAllFunc(doc, func(ref []byte) []byte {
		num, base := string(ref[2:len(ref)-1]), 10
		if num[0] == 'x' {
			num, base = num[1:], 16
		}
		n, err := strconv.ParseInt(num, base, 32)
		if err != nil || n >= 0x20 || n == 0 || n == '\t' || n == '\n' || n == '\r' {
			return ref
		}
		if sameLength {
			return bytes.Repeat([]byte{'?'}, len(ref))
		}
		return []byte(string(rune(controlBase + n)))
	})
}

func restore(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r > controlBase && r < controlBase+0x20 }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r > controlBase && r < controlBase+0x20 {
			return r - controlBase
		}
		return r
	}, s)
}

func newDecoder(doc []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-8", "us-ascii":
			return in, nil
		}
		return nil, fmt.Errorf("unknown encoding %q", charset)
	}
	return d
}

// What bounds a config.xml: how deep it is nested and how many elements it has.
const (
	maxXMLDepth    = 200
	maxXMLElements = 100_000
)

func parseXML(doc []byte) (*element, error) {
	d := newDecoder(prepare(inUTF8(doc), false))
	r := &xmlReader{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.take(tok)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
	}
	if r.root == nil {
		return nil, fmt.Errorf("%w: no root element", errConfig)
	}
	return r.root, nil
}

// xmlReader builds the tree of a document.
type xmlReader struct {
	root  *element
	stack []*element
	n     int
}

func (r *xmlReader) take(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return r.begin(t)
	case xml.EndElement:
		e := r.stack[len(r.stack)-1]
		e.text = restore(e.words.String())
		e.words.Reset()
		r.stack = r.stack[:len(r.stack)-1]
	case xml.CharData:
		if len(r.stack) > 0 {
			r.stack[len(r.stack)-1].words.Write(t)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errors.New("text outside of the root element")
		}
	case xml.Directive:
		return errors.New("a document type is not allowed")
	}
	return nil
}

func (r *xmlReader) begin(t xml.StartElement) error {
	e := &element{name: t.Name.Local}
	if len(t.Attr) > 0 {
		e.attrs = make(map[string]string, len(t.Attr))
	}
	for _, a := range t.Attr {
		e.attrs[a.Name.Local] = a.Value
	}
	switch {
	case len(r.stack) > 0:
		p := r.stack[len(r.stack)-1]
		p.children = append(p.children, e)
	case r.root != nil:
		return errors.New("a second root element")
	default:
		r.root = e
	}
	if r.n++; r.n > maxXMLElements {
		return errors.New("too many elements")
	}
	if r.stack = append(r.stack, e); len(r.stack) > maxXMLDepth {
		return errors.New("too deep")
	}
	return nil
}

// parseConfig reads a config.xml. Elements that it does not know are ignored, as Jenkins does.
func parseConfig(doc []byte) (*jobConfig, error) {
	root, err := parseXML(doc)
	if err != nil {
		return nil, err
	}
	c := &jobConfig{disabled: strings.TrimSpace(root.value("disabled")) == "true"}
	switch root.name {
	case classFolder:
		c.kind = store.KindFolder
	case rootWorkflowJob:
		c.kind = store.KindPipeline
	case classMultibranch:
		c.kind = store.KindMultibranch
	default:
		return nil, &errKind{root.name}
	}
	if d := root.child("description"); d != nil {
		c.description = &d.text
	}
	c.authToken = strings.TrimSpace(root.value("authToken"))
	c.cron, c.triggers = timerSpec(root), triggersXML(root)
	if def := root.child("definition"); def != nil {
		c.definition = def.attrs["class"]
		c.script = def.value("script")
		c.scm = scmConfig{
			url:           strings.TrimSpace(def.value("scm", "userRemoteConfigs", "hudson.plugins.git.UserRemoteConfig", "url")),
			credentialsID: strings.TrimSpace(def.value("scm", "userRemoteConfigs", "hudson.plugins.git.UserRemoteConfig", "credentialsId")),
			branch:        strings.TrimSpace(def.value("scm", "branches", "hudson.plugins.git.BranchSpec", "name")),
			scriptPath:    strings.TrimSpace(def.value("scriptPath")),
		}
	}
	if c.kind == store.KindMultibranch {
		c.multi = multiConfigOf(root)
	}
	if props := root.child("properties"); props != nil {
		for _, p := range props.children {
			c.property(p)
		}
	}
	return c, nil
}

func (c *jobConfig) property(p *element) {
	c.properties = append(c.properties, p.name)
	switch p.name {
	case propNoConcurrent:
		c.noConcurrent = true
		c.abortPrevious = strings.TrimSpace(p.value("abortPrevious")) == "true"
	case propLibraries:
		c.libraries = append(c.libraries, librariesOf(p)...)
	case propDiscarder:
		c.discard.Num, _ = strconv.Atoi(strings.TrimSpace(p.value("strategy", "numToKeep")))
		c.discard.Days, _ = strconv.Atoi(strings.TrimSpace(p.value("strategy", "daysToKeep")))
	case propParameters:
		c.hasParameters = true
		if defs := p.child("parameterDefinitions"); defs != nil {
			for _, d := range defs.children {
				if def, ok := parameterOf(d); ok {
					c.parameters = append(c.parameters, def)
				}
			}
		}
	}
}

// parameterClasses are the definitions that minijenkins knows.
var parameterClasses = map[string]jenkinsfile.ParameterType{
	"hudson.model.StringParameterDefinition":   jenkinsfile.ParameterString,
	"hudson.model.TextParameterDefinition":     jenkinsfile.ParameterText,
	"hudson.model.BooleanParameterDefinition":  jenkinsfile.ParameterBoolean,
	"hudson.model.ChoiceParameterDefinition":   jenkinsfile.ParameterChoice,
	"hudson.model.PasswordParameterDefinition": jenkinsfile.ParameterPassword,
	"hudson.model.FileParameterDefinition":     jenkinsfile.ParameterFile,
}

func parameterOf(e *element) (jenkinsfile.Parameter, bool) {
	typ, ok := parameterClasses[e.name]
	if !ok {
		return jenkinsfile.Parameter{}, false
	}
	p := jenkinsfile.Parameter{
		Name: e.value("name"), Type: typ, Description: e.value("description"),
		Default: e.value("defaultValue"), Trim: strings.TrimSpace(e.value("trim")) == "true",
	}
	switch typ {
	case jenkinsfile.ParameterBoolean:
		p.Default = strconv.FormatBool(strings.TrimSpace(p.Default) == "true")
	case jenkinsfile.ParameterChoice:
		collectStrings(e.child("choices"), &p.Choices)
		if len(p.Choices) > 0 {
			p.Default = p.Choices[0]
		}
	}
	return p, p.Name != ""
}

func collectStrings(e *element, into *[]string) {
	if e == nil {
		return
	}
	for _, c := range e.children {
		if c.name == "string" {
			*into = append(*into, c.text)
		} else {
			collectStrings(c, into)
		}
	}
}

// setElement replaces the text of a child of the root, or adds the child at the end, and leaves
// every other byte alone.
func setElement(doc []byte, name, text string) ([]byte, error) {
	return replaceElement(doc, name, "<"+name+">"+escapeXML(text)+"</"+name+">")
}

// replaceElement replaces a child of the root by other XML, or adds that at the end, and leaves every other byte alone.
func replaceElement(doc []byte, name, with string) ([]byte, error) {
	doc = inUTF8(doc)
	d := newDecoder(prepare(doc, true))
	depth, from, to, end := 0, -1, -1, -1
	for {
		before := d.InputOffset()
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 1 && t.Name.Local == name && from < 0 {
				from = int(before)
			}
			depth++
		case xml.EndElement:
			depth--
			if depth == 1 && t.Name.Local == name && to < 0 && from >= 0 {
				to = int(d.InputOffset())
			}
			// The end of an element that closes itself takes no place.
			if depth == 0 && d.InputOffset() > before {
				end = int(before)
			}
		}
	}
	if end < 0 {
		return nil, fmt.Errorf("%w: the root element is empty", errConfig)
	}
	if from < 0 || to < 0 {
		from, to, with = end, end, "  "+with+"\n"
	}
	return bytes.Join([][]byte{doc[:from], []byte(with), doc[to:]}, nil), nil
}

func escapeXML(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' {
			return -1
		}
		return r
	}, html.EscapeString(s))
}

// defaultConfig is the config.xml of an item that was made by form.
func defaultConfig(kind store.Kind) []byte {
	const head = "<?xml version='1.1' encoding='UTF-8'?>\n"
	switch kind {
	case store.KindFolder:
		return []byte(head + "<" + classFolder + ">\n  <properties/>\n  <healthMetrics/>\n</" + classFolder + ">")
	case store.KindMultibranch:
		return []byte(head + "<" + classMultibranch + ">\n  <properties/>\n  <triggers/>\n  <disabled>false</disabled>\n</" + classMultibranch + ">")
	default:
		return []byte(head + "<flow-definition>\n  <keepDependencies>false</keepDependencies>\n  <properties/>\n  <triggers/>\n  <disabled>false</disabled>\n</flow-definition>")
	}
}
