// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// maxProblem bounds the text about a broken Jenkinsfile, in bytes.
const maxProblem = 2000

// Analyze reads a Jenkinsfile for the controllers.
func Analyze(source string) pipeline.Analysis {
	if strings.TrimSpace(source) == "" {
		return pipeline.Analysis{Problem: "the pipeline has no Jenkinsfile: set spec.pipeline.jenkinsfile"}
	}
	parsed, err := jenkinsfile.Parse(source)
	switch {
	case errors.Is(err, jenkinsfile.ErrScripted):
		// Jenkins takes it, and only Jenkins can tell what is in it.
		return pipeline.Analysis{Runs: anything}
	case err != nil:
		text := err.Error()
		if len(text) > maxProblem {
			text = strings.ToValidUTF8(text[:maxProblem], "") + "…"
		}
		return pipeline.Analysis{Problem: text, Runs: anything}
	}
	out := analysisOf(parsed.Parameters(), len(parsed.ParameterDefs))
	out.Runs = runsOf(parsed)
	return out
}

// anything is what a run may write of which nothing is known.
var anything = jobxml.Runs{SetParameters: true, SetTriggers: true, SetOptions: true}

// setsProperties finds the step properties, which writes all properties of a job, and what may hide it: libraries.
var setsProperties = regexp.MustCompile(`\bproperties\s*[(\[]|@Library\b|\blibrary\s*[(\s]\s*['"]`)

// runsOf tells what each run of a Declarative Pipeline writes into its own job. Of the options only two are also settings
// of Slipway's.
func runsOf(parsed *jenkinsfile.Pipeline) jobxml.Runs {
	if len(parsed.Libraries) > 0 || setsProperties.MatchString(parsed.Source) {
		return anything
	}
	return jobxml.Runs{
		SetParameters: len(parsed.ParameterDefs) > 0, SetTriggers: len(parsed.Triggers) > 0,
		SetOptions: slices.ContainsFunc(parsed.Options, func(d *jenkinsfile.Directive) bool {
			return d.Name == "buildDiscarder" || d.Name == "disableConcurrentBuilds"
		}),
	}
}

// analysisOf leaves out parameters that only Jenkins can make: those of other kinds, and those whose
// name or choices are computed.
func analysisOf(found []jenkinsfile.Parameter, declared int) pipeline.Analysis {
	var out pipeline.Analysis
	seen := map[string]bool{}
	for _, p := range found {
		if p.Name == "" || seen[p.Name] || p.Type == jenkinsfile.ParameterChoice && len(p.Choices) == 0 {
			continue
		}
		seen[p.Name] = true
		value := p.Default
		if p.Type == jenkinsfile.ParameterChoice {
			value = strings.Join(p.Choices, "\n")
		}
		out.Parameters = append(out.Parameters, devopsv1alpha3.ParameterDefinition{
			Name: p.Name, Type: string(p.Type), DefaultValue: value, Description: p.Description, Trim: p.Trim,
		})
	}
	out.Complete = len(out.Parameters) == declared
	return out
}
