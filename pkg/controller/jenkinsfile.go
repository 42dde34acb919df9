// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
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
		return pipeline.Analysis{}
	case err != nil:
		text := err.Error()
		if len(text) > maxProblem {
			text = strings.ToValidUTF8(text[:maxProblem], "") + "…"
		}
		return pipeline.Analysis{Problem: text}
	}
	return analysisOf(parsed.Parameters(), len(parsed.ParameterDefs))
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
			Name: p.Name, Type: string(p.Type), DefaultValue: value, Description: p.Description,
		})
	}
	out.Complete = len(out.Parameters) == declared
	return out
}
