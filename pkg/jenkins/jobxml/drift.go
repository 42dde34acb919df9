// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"errors"
	"reflect"
	"regexp"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Drift compares the config.xml that a job has with its spec. It returns the names of the fields, as in the API, that somebody changed in Jenkins,
// and the document that puts them right and keeps the rest; both are nil if there is nothing to put right. A job of another class is a *ClassError.
//
// Not everything that differs is drift. What the API does not know is nobody's business here. What a run of the Jenkinsfile writes itself
// (Options.Runs) differs after each run; to put it "right" would undo the author's own words until the next run. Jenkins encrypts the default of a
// password when it saves a job, a browser turns line ends into CRLF, and a save drops our comment; none of these changes what the job does.
func Drift(doc []byte, spec *devopsv1alpha3.PipelineSpec, opts Options) (fields []string, repaired []byte, err error) {
	// The comparison is with what a repair would make of it: what a repair does not change, it need not be made for.
	repaired, err = Merge(doc, spec, opts)
	if err != nil {
		return nil, nil, err
	}
	want, err := Parse(repaired)
	if err != nil {
		return nil, nil, err
	}
	have, err := Parse(doc)
	switch {
	case errors.Is(err, ErrUnsupportedSource):
		fields = []string{"source_type"}
	case err != nil:
		// An element that is ours has a value that it cannot have.
		fields = []string{"config.xml"}
	case want.Spec.Pipeline != nil:
		fields = flowDrift(have, want, opts.Runs)
	default:
		fields = multiBranchDrift(have.Spec.MultiBranchPipeline, want.Spec.MultiBranchPipeline)
	}
	if len(fields) == 0 {
		return nil, nil, nil
	}
	return fields, repaired, nil
}

type comparison struct {
	field      string
	have, want any
}

func flowDrift(have, want *Parsed, runs Runs) []string {
	h, w := have.Spec.Pipeline, want.Spec.Pipeline
	list := []comparison{
		{"description", lines(h.Description), lines(w.Description)},
		{"jenkinsfile", lines(h.Jenkinsfile), lines(w.Jenkinsfile)},
		{"source", h.Source, w.Source},
		{"sandbox", have.Sandbox, want.Sandbox},
		{"remote_trigger", have.AuthToken, want.AuthToken},
	}
	if !runs.SetOptions {
		list = append(list, comparison{"discarder", h.Discarder, w.Discarder}, comparison{"disable_concurrent", h.DisableConcurrent, w.DisableConcurrent})
	}
	if !runs.SetParameters {
		list = append(list, comparison{"parameters", plain(h.Parameters, w.Parameters), plain(w.Parameters, nil)})
	}
	if !runs.SetTriggers {
		list = append(list, comparison{"timer_trigger", h.TimerTrigger, w.TimerTrigger}, comparison{"generic_webhook", h.GenericWebhook, w.GenericWebhook})
	}
	return different(list)
}

func multiBranchDrift(h, w *devopsv1alpha3.MultiBranchPipeline) []string {
	source := func(p *devopsv1alpha3.MultiBranchPipeline) any {
		return []any{p.GitSource, p.GitHubSource, p.GitlabSource, p.BitbucketServerSource, p.SvnSource, p.SingleSvnSource}
	}
	return different([]comparison{
		{"description", lines(h.Description), lines(w.Description)},
		{"discarder", h.Discarder, w.Discarder},
		{"timer_trigger", h.TimerTrigger, w.TimerTrigger},
		{"source_type", h.SourceType, w.SourceType},
		{w.SourceType + "_source", source(h), source(w)},
		{"script_path", h.ScriptPath, w.ScriptPath},
		{"multibranch_job_trigger", h.MultiBranchJobTrigger, w.MultiBranchJobTrigger},
	})
}

func different(list []comparison) []string {
	var fields []string
	for _, c := range list {
		if !reflect.DeepEqual(c.have, c.want) {
			fields = append(fields, c.field)
		}
	}
	return fields
}

func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// encrypted is how Jenkins writes a secret.
var encrypted = regexp.MustCompile(`^\{[A-Za-z0-9+/]+=*\}$`)

// plain gives parameters in the form in which they are compared; an encrypted default counts as that of the
// parameter of the same place in other.
func plain(params, other []devopsv1alpha3.ParameterDefinition) []devopsv1alpha3.ParameterDefinition {
	out := make([]devopsv1alpha3.ParameterDefinition, len(params))
	for i, p := range params {
		if p.Type == "password" && i < len(other) && encrypted.MatchString(p.DefaultValue) {
			p.DefaultValue = other[i].DefaultValue
		}
		p.Description, p.DefaultValue = lines(p.Description), lines(p.DefaultValue)
		out[i] = p
	}
	return out
}
