// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobxml turns pipelines into the config.xml of Jenkins jobs and back.
//
// The documents are built from typed structs by encoding/xml. Jenkins writes XML 1.1, which encoding/xml does not read, and
// which allows control characters as references, which encoding/xml does not write; both are dealt with here, so that every
// Jenkinsfile in UTF-8 without NUL comes back as it was. Source of the element names: the classes of the plugins workflow-job,
// workflow-multibranch, branch-api, git, cloudbees-folder and generic-webhook-trigger as Jenkins 2.541 writes them.
package jobxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// ErrInvalid says that a pipeline cannot be told to Jenkins, or that a document is no config.xml of a pipeline.
var ErrInvalid = errors.New("invalid job")

// ErrUnsupportedSource says that the source of a multi-branch pipeline is of a type that is not rendered.
var ErrUnsupportedSource = fmt.Errorf("%w: the source type is not supported", ErrInvalid)

// ClassError says that a document is the config.xml of another class of jobs than was expected. It is ErrInvalid.
type ClassError struct {
	// Class is the root element of the document, such as "project" for a freestyle job.
	Class string
	// Want is the root element that was expected, empty if any pipeline would have been right.
	Want string
}

// Error implements error.
func (e *ClassError) Error() string {
	if e.Want == "" {
		return fmt.Sprintf("%v: the job is of the class %s, which is no pipeline", ErrInvalid, e.Class)
	}
	return fmt.Sprintf("%v: the job is of the class %s, not %s", ErrInvalid, e.Class, e.Want)
}

// Is reports that the error is ErrInvalid.
func (e *ClassError) Is(target error) bool { return target == ErrInvalid }

// Runs says what each run of a Jenkinsfile writes into the properties of its own job: Jenkins puts the directives
// parameters, triggers and options, and the step properties, into the job.
type Runs struct {
	SetParameters, SetTriggers, SetOptions bool
}

// Options are what a job has besides its spec.
type Options struct {
	// AuthToken lets who knows it start the job and name a cause. A token in spec.pipeline.remote_trigger goes first.
	// Multi-branch jobs have none.
	AuthToken string
	// Hash identifies the spec that the job was made from. It stands in an XML comment, so nobody sees it in Jenkins. A save
	// of the job in Jenkins' own pages drops it.
	Hash string
	// Parameters are those of the Jenkinsfile, used if the spec has none.
	Parameters []devopsv1alpha3.ParameterDefinition
	// Runs is what runs of the Jenkinsfile write themselves, for Merge and Drift.
	Runs Runs
}

// Token returns the token that Render gives the job.
func (o Options) Token(spec *devopsv1alpha3.PipelineSpec) string {
	if p := spec.Pipeline; p != nil && p.RemoteTrigger != nil && p.RemoteTrigger.Token != "" {
		return p.RemoteTrigger.Token
	}
	return o.AuthToken
}

// HasParameters reports whether the job that Render makes has parameters, which decides over how it is started.
func (o Options) HasParameters(spec *devopsv1alpha3.PipelineSpec) bool {
	return spec.Pipeline != nil && (len(spec.Pipeline.Parameters) > 0 || len(o.Parameters) > 0)
}

const header = "<?xml version='1.1' encoding='UTF-8'?>\n"

// marker begins the comment that tells our jobs; the hash follows.
const marker = " managed by slipway "

// Render returns the config.xml of a pipeline.
func Render(spec *devopsv1alpha3.PipelineSpec, opts Options) ([]byte, error) {
	var root any
	var err error
	switch spec.Type {
	case devopsv1alpha3.NoScmPipelineType, "":
		if spec.Pipeline == nil {
			return nil, fmt.Errorf("%w: spec.pipeline is missing", ErrInvalid)
		}
		root, err = flowOf(spec, opts)
	case devopsv1alpha3.MultiBranchPipelineType:
		if spec.MultiBranchPipeline == nil {
			return nil, fmt.Errorf("%w: spec.multi_branch_pipeline is missing", ErrInvalid)
		}
		root, err = multiBranchOf(spec.MultiBranchPipeline, opts)
	default:
		return nil, fmt.Errorf("%w: unknown type %q", ErrInvalid, spec.Type)
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func comment(hash string) (string, error) {
	if strings.Contains(hash, "--") || strings.HasSuffix(hash, "-") {
		return "", fmt.Errorf("%w: the hash %q cannot stand in a comment", ErrInvalid, hash)
	}
	return marker + hash + " ", nil
}

func flowOf(spec *devopsv1alpha3.PipelineSpec, opts Options) (*flow, error) {
	p := spec.Pipeline
	note, err := comment(opts.Hash)
	if err != nil {
		return nil, err
	}
	f := &flow{Plugin: "workflow-job", Comment: note, Description: text(p.Description), AuthToken: text(opts.Token(spec))}
	if f.Definition, err = definitionOf(p); err != nil {
		return nil, err
	}
	if p.DisableConcurrent {
		f.Properties.DisableConcurrent = &disableConcurrent{}
	}
	if d := p.Discarder; d != nil && (d.DaysToKeep != "" || d.NumToKeep != "") {
		s := rotator{Class: "hudson.tasks.LogRotator", ArtifactDays: "-1", ArtifactNum: "-1"}
		if s.Days, s.Num, err = keep(d); err != nil {
			return nil, err
		}
		f.Properties.Discarder = &discarder{Strategy: s}
	}
	params := p.Parameters
	if len(params) == 0 {
		params = opts.Parameters
	}
	if f.Properties.Parameters, err = parametersOf(params); err != nil {
		return nil, err
	}
	f.Properties.Triggers = triggersOf(p)
	return f, nil
}

// keep checks the numbers of a discarder; Jenkins would refuse the whole job with a stack trace.
func keep(d *devopsv1alpha3.DiscarderProperty) (days, num string, err error) {
	days, num = "-1", "-1"
	if d == nil {
		return days, num, nil
	}
	for _, f := range []struct {
		name, value string
		to          *string
	}{{"days_to_keep", d.DaysToKeep, &days}, {"num_to_keep", d.NumToKeep, &num}} {
		if f.value == "" {
			continue
		}
		n, err := strconv.ParseInt(f.value, 10, 32)
		if err != nil || n < -1 {
			return "", "", fmt.Errorf("%w: discarder.%s is not a number: %q", ErrInvalid, f.name, f.value)
		}
		*f.to = strconv.FormatInt(n, 10)
	}
	return days, num, nil
}

func parametersOf(params []devopsv1alpha3.ParameterDefinition) (*parameters, error) {
	if len(params) == 0 {
		return nil, nil
	}
	out := &parameters{}
	seen := map[string]bool{}
	for _, p := range params {
		if p.Name == "" || seen[p.Name] {
			return nil, fmt.Errorf("%w: the parameter name %q is empty or used twice", ErrInvalid, p.Name)
		}
		seen[p.Name] = true
		class, ok := parameterClass[p.Type]
		if !ok {
			return nil, fmt.Errorf("%w: the parameter %q has the unknown type %q", ErrInvalid, p.Name, p.Type)
		}
		def := parameter{XMLName: xml.Name{Local: class}, Name: text(p.Name), Description: text(p.Description)}
		value := text(p.DefaultValue)
		switch p.Type {
		case "string", "text":
			def.Trim = strconv.FormatBool(p.Trim && p.Type == "string")
			def.Default = &value
		case "boolean":
			value = "false"
			if strings.EqualFold(strings.TrimSpace(p.DefaultValue), "true") {
				value = "true"
			}
			def.Default = &value
		case "password":
			def.Default = &value
		case "choice":
			def.Choices = &choices{Class: "java.util.Arrays$ArrayList", Array: stringArray{Class: "string-array"}}
			for _, line := range strings.Split(p.DefaultValue, "\n") {
				if line = strings.TrimSuffix(line, "\r"); line != "" {
					def.Choices.Array.Strings = append(def.Choices.Array.Strings, text(line))
				}
			}
			if len(def.Choices.Array.Strings) == 0 {
				return nil, fmt.Errorf("%w: the choice parameter %q has no choices", ErrInvalid, p.Name)
			}
		}
		out.Definitions.List = append(out.Definitions.List, def)
	}
	return out, nil
}

func triggersOf(p *devopsv1alpha3.NoScmPipeline) *triggers {
	t := &triggers{}
	if p.TimerTrigger != nil && strings.TrimSpace(p.TimerTrigger.Cron) != "" {
		t.List.Timer = &timer{Spec: text(p.TimerTrigger.Cron)}
	}
	if w := p.GenericWebhook; w != nil && w.Enable {
		g := &genericTrigger{
			Plugin: "generic-webhook-trigger", FilterText: text(w.FilterText), FilterExpression: text(w.FilterExpression),
			PrintPostContent: w.PrintPostContent, PrintVariables: w.PrintVariables, Cause: text(w.Cause), Token: text(w.Token),
		}
		for _, v := range w.RequestVariables {
			g.Request.List = append(g.Request.List, variable{Key: text(v.Key), Filter: text(v.RegexpFilter)})
		}
		for _, v := range w.HeaderVariables {
			g.Header.List = append(g.Header.List, variable{Key: text(v.Key), Filter: text(v.RegexpFilter)})
		}
		t.List.Webhook = g
	}
	if t.List.Timer == nil && t.List.Webhook == nil {
		return nil
	}
	return t
}

func multiBranchOf(p *devopsv1alpha3.MultiBranchPipeline, opts Options) (*multiBranch, error) {
	source, err := sourceOf(p)
	if err != nil {
		return nil, err
	}
	note, err := comment(opts.Hash)
	if err != nil {
		return nil, err
	}
	days, num, err := keep(p.Discarder)
	if err != nil {
		return nil, err
	}
	script := p.ScriptPath
	if script == "" {
		script = defaultScript
	}
	owner := ownerRef{Class: multiBranchClass, Reference: "../.."}
	m := &multiBranch{
		Plugin: "workflow-multibranch", Comment: note, Description: text(p.Description),
		Orphans: orphans{Class: "com.cloudbees.hudson.plugins.folder.computed.DefaultOrphanedItemStrategy", Plugin: "cloudbees-folder",
			Prune: true, Days: days, Num: num},
		Sources: sources{Class: "jenkins.branch.MultiBranchProject$BranchSourceList", Plugin: "branch-api", Owner: owner},
		Factory: factory{Class: "org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory", Owner: owner, ScriptPath: text(script)},
	}
	if m.Triggers.Periodic, err = periodicOf(p.TimerTrigger); err != nil {
		return nil, err
	}
	if t := p.MultiBranchJobTrigger; t != nil && (t.CreateActionJobsToTrigger != "" || t.DeleteActionJobsToTrigger != "") {
		m.Properties.JobTrigger = &jobTrigger{Plugin: "multibranch-action-triggers",
			Create: text(t.CreateActionJobsToTrigger), Delete: text(t.DeleteActionJobsToTrigger)}
	}
	m.Sources.Data.Source = []branchSource{{Source: source, Strategy: strategy{
		Class: "jenkins.branch.NamedExceptionsBranchPropertyStrategy",
		Props: classed{"empty-list"}, Exceptions: classed{"empty-list"},
	}}}
	return m, nil
}

func periodicOf(t *devopsv1alpha3.TimerTrigger) (*periodic, error) {
	if t == nil || t.Interval == "" {
		return nil, nil
	}
	ms, err := strconv.ParseInt(t.Interval, 10, 64)
	if err != nil || ms <= 0 {
		return nil, fmt.Errorf("%w: timer_trigger.interval is not a number of milliseconds: %q", ErrInvalid, t.Interval)
	}
	return &periodic{Plugin: "cloudbees-folder", Spec: wakeUp(time.Duration(ms) * time.Millisecond), Interval: ms}, nil
}

// wakeUp returns how often Jenkins looks whether the interval is over, as a cron line.
func wakeUp(interval time.Duration) string {
	switch {
	case interval < 5*time.Minute:
		return "* * * * *"
	case interval < 30*time.Minute:
		return "H/5 * * * *"
	case interval < time.Hour:
		return "H/15 * * * *"
	case interval < 8*time.Hour:
		return "H * * * *"
	case interval < 24*time.Hour:
		return "H H/4 * * *"
	}
	return "H H * * *"
}
