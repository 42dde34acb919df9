// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// maxDocument bounds a config.xml, in bytes.
const maxDocument = 16 << 20

// Parsed is what a config.xml says.
type Parsed struct {
	// Spec is the pipeline. What the API does not know is left out.
	Spec devopsv1alpha3.PipelineSpec
	// AuthToken is the token of the remote start. It is not put into Spec, as it mostly is the one that we gave.
	AuthToken string
	// Managed says that the document has our mark.
	Managed bool
	// Hash is Options.Hash of the document.
	Hash string
	// Disabled says that the job is disabled in Jenkins.
	Disabled bool
	// Sandbox says that the script of a pipeline runs in Jenkins' sandbox. Multi-branch jobs, and those with a Jenkinsfile from a
	// repository, have none to switch off.
	Sandbox bool
}

var (
	prolog    = regexp.MustCompile(`^\s*<\?xml([^>]*)\?>`)
	encoding  = regexp.MustCompile(`encoding\s*=\s*["']([^"']*)["']`)
	reference = regexp.MustCompile(`&#(x[0-9a-fA-F]{1,6}|[0-9]{1,7});`)
)

// parser holds where the references to control characters went: encoding/xml refuses them, so they are read as characters for
// private use that the document does not have.
type parser struct{ base rune }

// open checks a document and returns it without prolog, and with the references to control characters hidden.
func open(doc []byte) (*parser, string, error) {
	if len(doc) > maxDocument {
		return nil, "", fmt.Errorf("%w: the document is longer than %d bytes", ErrInvalid, maxDocument)
	}
	if !utf8.Valid(doc) {
		return nil, "", fmt.Errorf("%w: the document is not UTF-8", ErrInvalid)
	}
	s := strings.TrimPrefix(string(doc), "\ufeff")
	if m := prolog.FindStringSubmatch(s); m != nil {
		if e := encoding.FindStringSubmatch(m[1]); e != nil && !strings.EqualFold(e[1], "UTF-8") {
			return nil, "", fmt.Errorf("%w: the encoding %s is not supported", ErrInvalid, e[1])
		}
		s = s[len(m[0]):]
	}
	p := &parser{}
	if err := p.chooseBase(s); err != nil {
		return nil, "", err
	}
	return p, reference.ReplaceAllStringFunc(s, p.hide), nil
}

// Parse reads a config.xml. A job that is no pipeline is a *ClassError.
func Parse(doc []byte) (*Parsed, error) {
	p, s, err := open(doc)
	if err != nil {
		return nil, err
	}
	switch root := rootOf(s); root {
	case "flow-definition":
		var f flow
		if err := xml.Unmarshal([]byte(s), &f); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return p.flow(&f)
	case multiBranchClass:
		var m multiBranch
		if err := xml.Unmarshal([]byte(s), &m); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return p.multiBranch(&m)
	case "":
		return nil, fmt.Errorf("%w: the document is not XML", ErrInvalid)
	default:
		return nil, &ClassError{Class: root}
	}
}

// rootOf returns the name of the first element.
func rootOf(s string) string {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		if el, ok := t.(xml.StartElement); ok {
			return el.Name.Local
		}
	}
}

// chooseBase finds 256 characters of a plane for private use that the document does not have.
func (p *parser) chooseBase(s string) error {
	used := map[rune]bool{}
	for _, r := range s {
		if r >= 0xF0000 {
			used[r>>8] = true
		}
	}
	for b := rune(0xF00); b < 0xFFF; b++ {
		if !used[b] {
			p.base = b << 8
			return nil
		}
	}
	return fmt.Errorf("%w: the document uses up all characters for private use", ErrInvalid)
}

func (p *parser) hide(ref string) string {
	num := ref[2 : len(ref)-1]
	base := 10
	if num[0] == 'x' {
		num, base = num[1:], 16
	}
	n, err := strconv.ParseInt(num, base, 32)
	if err != nil || !isRestricted(rune(n)) {
		return ref
	}
	return string(p.base + rune(n))
}

// str returns a text with its control characters.
func (p *parser) str(t text) string {
	return strings.Map(func(r rune) rune {
		if r >= p.base && r < p.base+0x100 {
			return r - p.base
		}
		return r
	}, string(t))
}

func hashOf(note string) (hash string, managed bool) {
	hash, managed = strings.CutPrefix(note, marker)
	return strings.TrimSpace(hash), managed
}

func (p *parser) flow(f *flow) (*Parsed, error) {
	spec := &devopsv1alpha3.NoScmPipeline{Description: p.str(f.Description), DisableConcurrent: f.Properties.DisableConcurrent != nil}
	p.definition(&f.Definition, spec)
	if d := f.Properties.Discarder; d != nil {
		spec.Discarder = kept(d.Strategy.Days, d.Strategy.Num)
	}
	if ps := f.Properties.Parameters; ps != nil {
		for _, def := range ps.Definitions.List {
			if d, ok := p.parameter(def); ok {
				spec.Parameters = append(spec.Parameters, d)
			}
		}
	}
	if t := f.Properties.Triggers; t != nil {
		if t.List.Timer != nil {
			spec.TimerTrigger = &devopsv1alpha3.TimerTrigger{Cron: p.str(t.List.Timer.Spec)}
		}
		if g := t.List.Webhook; g != nil {
			spec.GenericWebhook = &devopsv1alpha3.GenericWebhook{
				Enable: true, Token: p.str(g.Token), Cause: p.str(g.Cause), PrintVariables: g.PrintVariables, PrintPostContent: g.PrintPostContent,
				RequestVariables: p.variables(g.Request.List), HeaderVariables: p.variables(g.Header.List),
				FilterText: p.str(g.FilterText), FilterExpression: p.str(g.FilterExpression),
			}
		}
	}
	out := &Parsed{Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: spec}, AuthToken: p.str(f.AuthToken),
		Disabled: f.Disabled, Sandbox: f.Definition.Class == classFromSCM || f.Definition.Sandbox != nil && *f.Definition.Sandbox}
	out.Hash, out.Managed = hashOf(f.Comment)
	return out, nil
}

// kept returns a discarder, or nil if it keeps everything.
func kept(days, num string) *devopsv1alpha3.DiscarderProperty {
	d := &devopsv1alpha3.DiscarderProperty{}
	if days != "-1" {
		d.DaysToKeep = days
	}
	if num != "-1" {
		d.NumToKeep = num
	}
	if *d == (devopsv1alpha3.DiscarderProperty{}) {
		return nil
	}
	return d
}

func (p *parser) variables(list []variable) []devopsv1alpha3.GenericVariable {
	var out []devopsv1alpha3.GenericVariable
	for _, v := range list {
		out = append(out, devopsv1alpha3.GenericVariable{Key: p.str(v.Key), RegexpFilter: p.str(v.Filter)})
	}
	return out
}

// parameter reads a definition; ok is false for a class that the API does not know.
func (p *parser) parameter(def parameter) (out devopsv1alpha3.ParameterDefinition, ok bool) {
	for kind, class := range parameterClass {
		if class == def.XMLName.Local {
			out.Type, ok = kind, true
		}
	}
	out.Name, out.Description = p.str(def.Name), p.str(def.Description)
	if def.Default != nil {
		out.DefaultValue = p.str(*def.Default)
	}
	out.Trim = out.Type == "string" && strings.TrimSpace(def.Trim) == "true"
	if c := def.Choices; c != nil {
		var lines []string
		for _, s := range append(c.Array.Strings, c.Plain...) {
			lines = append(lines, p.str(s))
		}
		out.DefaultValue = strings.Join(lines, "\n")
	}
	return out, ok
}

func (p *parser) multiBranch(m *multiBranch) (*Parsed, error) {
	var src scmSource
	if list := m.Sources.Data.Source; len(list) > 0 {
		src = list[0].Source
	}
	spec := &devopsv1alpha3.MultiBranchPipeline{
		Description: p.str(m.Description), Discarder: kept(m.Orphans.Days, m.Orphans.Num), ScriptPath: p.str(m.Factory.ScriptPath),
	}
	if err := p.source(&src, spec); err != nil {
		return nil, err
	}
	if t := m.Triggers.Periodic; t != nil {
		spec.TimerTrigger = &devopsv1alpha3.TimerTrigger{Interval: strconv.FormatInt(t.Interval, 10)}
	}
	if t := m.Properties.JobTrigger; t != nil {
		spec.MultiBranchJobTrigger = &devopsv1alpha3.MultiBranchJobTrigger{
			CreateActionJobsToTrigger: p.str(t.Create), DeleteActionJobsToTrigger: p.str(t.Delete),
		}
	}
	out := &Parsed{Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: spec}, Disabled: m.Disabled}
	out.Hash, out.Managed = hashOf(m.Comment)
	return out, nil
}
