// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// maxMetadata bounds the annotation, in bytes: all annotations of an object together have 256 KiB.
const maxMetadata = 64 << 10

// weatherRuns is how many of the last runs make the weather, as in Jenkins.
const weatherRuns = 5

// metadata is the annotation jenkins-metadata. The console reads it in its list of pipelines.
type metadata struct {
	Name                    string          `json:"name"`
	Disabled                bool            `json:"disabled"`
	WeatherScore            int             `json:"weatherScore"`
	EstimatedDurationMillis int64           `json:"estimatedDurationInMillis"`
	Parameters              []metaParameter `json:"parameters,omitempty"`
	NumberOfPipelines       int             `json:"numberOfPipelines"`
	NumberOfFolders         int             `json:"numberOfFolders"`
	TotalBranches           int             `json:"totalNumberOfBranches"`
	TotalPullRequests       int             `json:"totalNumberOfPullRequests"`
}

type metaParameter struct {
	Name        string       `json:"name"`
	Type        string       `json:"type"`
	Description string       `json:"description,omitempty"`
	Choices     []string     `json:"choices,omitempty"`
	Default     *metaDefault `json:"defaultParameterValue,omitempty"`
}

type metaDefault struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// describe writes what the console shows of a pipeline. For a pipeline with its own Jenkinsfile it is made from what
// the cluster knows; to ask Jenkins for each again and again would cost more than all runs. What Jenkins alone knows,
// of the branches, is written when it was read.
func describe(ctx context.Context, s *scope) error {
	switch {
	case !s.written:
		return nil
	case !s.isMultiBranch():
		return s.describeJob(ctx)
	case s.info == nil:
		return nil
	}
	if err := s.describeMultiBranch(); err != nil {
		return err
	}
	return s.describeBranches()
}

func (s *scope) describeJob(ctx context.Context) error {
	runs, err := index.RunsOf(ctx, s.Client, client.ObjectKeyFromObject(s.pipeline))
	if err != nil {
		return err
	}
	m := metadata{Name: JobName(s.pipeline), Disabled: s.disabled, WeatherScore: weather(runs), EstimatedDurationMillis: estimate(runs)}
	defined, _ := Parameters(&s.pipeline.Spec, func(string) Analysis { return s.analysis })
	m.Parameters = describeParameters(defined)
	text, err := json.Marshal(m)
	if err == nil && len(text) > maxMetadata {
		m.Parameters = nil
		text, err = json.Marshal(m)
	}
	if err != nil {
		return fmt.Errorf("write pipeline metadata: %w", err)
	}
	s.annotate(devopsv1alpha3.PipelineJenkinsMetadataAnnotation, string(text))
	return nil
}

// multiBranchMetadata is jenkins.PipelineInfo with the numbers that a console reads also where they are 0.
type multiBranchMetadata struct {
	*jenkins.PipelineInfo
	Disabled          bool `json:"disabled"`
	NumberOfPipelines int  `json:"numberOfPipelines"`
	NumberOfFolders   int  `json:"numberOfFolders"`
	TotalBranches     int  `json:"totalNumberOfBranches"`
	TotalPullRequests int  `json:"totalNumberOfPullRequests"`
}

func (s *scope) describeMultiBranch() error {
	info := *s.info
	m := multiBranchMetadata{PipelineInfo: &info, Disabled: info.Disabled || s.disabled, NumberOfPipelines: info.NumberOfPipelines,
		NumberOfFolders: info.NumberOfFolders, TotalBranches: info.TotalNumberOfBranches, TotalPullRequests: info.TotalNumberOfPullRequests}
	text, err := json.Marshal(m)
	if err == nil && len(text) > maxMetadata {
		// The names are in jenkins-branches, as far as they fit.
		info.BranchNames, info.PipelineFolderNames, info.Parameters = nil, nil, nil
		text, err = json.Marshal(m)
	}
	if err != nil {
		return fmt.Errorf("write pipeline metadata: %w", err)
	}
	s.annotate(devopsv1alpha3.PipelineJenkinsMetadataAnnotation, string(text))
	return nil
}

func describeParameters(defined []devopsv1alpha3.ParameterDefinition) []metaParameter {
	out := make([]metaParameter, 0, len(defined))
	for _, p := range defined {
		m := metaParameter{Name: p.Name, Type: p.Type, Description: p.Description}
		switch p.Type {
		case "choice":
			m.Choices = Choices(p)
			if len(m.Choices) > 0 {
				m.Default = &metaDefault{Name: p.Name, Value: m.Choices[0]}
			}
		case "boolean":
			m.Default = &metaDefault{Name: p.Name, Value: strings.EqualFold(strings.TrimSpace(p.DefaultValue), "true")}
		case "password", "file":
			// A secret's default is nobody's business; a file has none.
		default:
			m.Default = &metaDefault{Name: p.Name, Value: p.DefaultValue}
		}
		out = append(out, m)
	}
	return out
}

// Choices gives the values of a choice parameter.
func Choices(p devopsv1alpha3.ParameterDefinition) []string {
	var choices []string
	for line := range strings.SplitSeq(p.DefaultValue, "\n") {
		if line = strings.TrimSuffix(line, "\r"); line != "" {
			choices = append(choices, line)
		}
	}
	return choices
}

// ended gives the runs that ended, the last first.
func ended(runs []devopsv1alpha3.PipelineRun) []devopsv1alpha3.PipelineRun {
	done := slices.DeleteFunc(slices.Clone(runs), func(r devopsv1alpha3.PipelineRun) bool { return r.Status.CompletionTime == nil })
	slices.SortFunc(done, func(a, b devopsv1alpha3.PipelineRun) int {
		if c := b.Status.CompletionTime.Compare(a.Status.CompletionTime.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return done
}

// weather is 100 less the share of failures among the last runs, and 100 without runs.
func weather(runs []devopsv1alpha3.PipelineRun) int {
	last := ended(runs)
	last = last[:min(len(last), weatherRuns)]
	if len(last) == 0 {
		return 100
	}
	failed := 0
	for _, run := range last {
		if run.Status.Phase == devopsv1alpha3.Failed {
			failed++
		}
	}
	return 100 * (len(last) - failed) / len(last)
}

// estimate is the mean duration of the last successful runs in milliseconds, -1 without any.
func estimate(runs []devopsv1alpha3.PipelineRun) int64 {
	var sum, n int64
	for _, run := range ended(runs) {
		if run.Status.Phase != devopsv1alpha3.Succeeded || run.Status.StartTime == nil {
			continue
		}
		sum += run.Status.CompletionTime.Sub(run.Status.StartTime.Time).Milliseconds()
		if n++; n == 3 { // Jenkins looks at three as well
			break
		}
	}
	if n == 0 {
		return -1
	}
	return sum / n
}
