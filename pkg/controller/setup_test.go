// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

func TestAnalyze(t *testing.T) {
	const stages = "agent any\n stages { stage('a') { steps { echo 'x' } } }\n}"
	tests := map[string]struct {
		reason, source string
		want           pipeline.Analysis
		says           string
	}{
		"Plain":    {source: "pipeline { " + stages, want: pipeline.Analysis{Complete: true}},
		"Scripted": {reason: "only Jenkins can judge it", source: "node { echo 'x' }", want: pipeline.Analysis{Runs: anything}},
		"Empty":    {source: " \n", says: "no Jenkinsfile"},
		"Broken":   {source: "pipeline {\n  agent any\n  stages {\n", says: "line"},
		"Parameters": {source: "pipeline { parameters { string(name: 'A', defaultValue: '1', description: 'd')\n choice(name: 'C', choices: ['x', 'y'])\n booleanParam(name: 'B') }\n " + stages,
			want: pipeline.Analysis{Complete: true, Runs: jobxml.Runs{SetParameters: true}, Parameters: []devopsv1alpha3.ParameterDefinition{
				{Name: "A", Type: "string", DefaultValue: "1", Description: "d"}, {Name: "C", Type: "choice", DefaultValue: "x\ny"}, {Name: "B", Type: "boolean", DefaultValue: "false"},
			}}},
		"OtherKinds": {reason: "credentials are a kind that is known to Jenkins alone", source: "pipeline { parameters { string(name: 'A', trim: true)\n credentials(name: 'G') }\n " + stages,
			want: pipeline.Analysis{Runs: jobxml.Runs{SetParameters: true}, Parameters: []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "string", Trim: true}}}},
		"Triggers": {source: "pipeline { triggers { cron('H 1 * * *') }\n " + stages, want: pipeline.Analysis{Complete: true, Runs: jobxml.Runs{SetTriggers: true}}},
		"Options":  {source: "pipeline { options { buildDiscarder(logRotator(numToKeepStr: '3')) }\n " + stages, want: pipeline.Analysis{Complete: true, Runs: jobxml.Runs{SetOptions: true}}},
		"OtherOptions": {reason: "they are no settings of Slipway's", source: "pipeline { options { timestamps() }\n " + stages,
			want: pipeline.Analysis{Complete: true}},
		"Properties": {reason: "the step replaces all properties", want: pipeline.Analysis{Complete: true, Runs: anything},
			source: "pipeline { agent any\n stages { stage('a') { steps { script { properties([pipelineTriggers([])]) } } } }\n}"},
		"Library": {reason: "a library may call that step", source: "@Library('x') _\npipeline { " + stages, want: pipeline.Analysis{Complete: true, Runs: anything}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Analyze(tt.source)
			if tt.says != "" {
				if !strings.Contains(got.Problem, tt.says) {
					t.Errorf("problem %q does not say %q", got.Problem, tt.says)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s:\n%s", tt.reason, diff)
			}
		})
	}
}

func TestSetup(t *testing.T) {
	client, err := jenkins.New(jenkins.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	full := Options{Jenkins: client, StartKey: []byte("0123456789abcdef")}
	full.DevContainers.AgentImage = "agent"
	noJenkins, shortKey := full, full
	noJenkins.Jenkins = nil
	shortKey.StartKey = []byte("short")
	tests := map[string]struct {
		options Options
		says    string
	}{
		"Complete":  {full, ""},
		"NoJenkins": {noJenkins, "no Jenkins client"},
		"ShortKey":  {shortKey, "at least 16 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := Setup(t.Context(), envtest.NewManager(t), tt.options)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}
