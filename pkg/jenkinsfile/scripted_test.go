// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinsfile

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoad(t *testing.T) {
	declarative := "pipeline { agent any\n stages { stage('a') { steps { echo 'x' } } } }"
	p, err := Load(declarative)
	if err != nil || p.Script != nil || len(p.Stages) != 1 {
		t.Errorf("Declarative: %+v, %v", p, err)
	}
	p, err = Load(`properties([parameters([string(name: 'A', defaultValue: 'x'), booleanParam(name: 'B')]),
  pipelineTriggers([cron('@daily')]), buildDiscarder(logRotator(numToKeepStr: '3')), disableConcurrentBuilds()])
node { stage('a') { echo params.A } }`)
	if err != nil || p.Script == nil || len(p.Script.Stmts) != 2 || !p.SetsProperties {
		t.Fatalf("Scripted: %+v, %v", p, err)
	}
	want := []Parameter{{Name: "A", Type: ParameterString, Default: "x"}, {Name: "B", Type: ParameterBoolean, Default: "false"}}
	if d := cmp.Diff(want, p.Parameters()); d != "" {
		t.Error(d)
	}
	if len(p.Triggers) != 1 || p.Triggers[0].Name != "cron" || len(p.Options) != 2 || p.Options[0].Name != "buildDiscarder" {
		t.Errorf("triggers %v, options %v", p.Triggers, p.Options)
	}
	for src, reason := range map[string]string{
		"if (x) { properties([parameters([string(name: 'A')])]) } else { properties([]) }": "two calls: only the run knows which",
		"def list = []\nproperties(list)":                                                  "a list that is computed",
		"node { }":                                                                         "no call",
	} {
		if p, err := Load(src); err != nil || len(p.ParameterDefs)+len(p.Options)+len(p.Triggers) > 0 {
			t.Errorf("%s: %v, %v", reason, p, err)
		}
	}
	for _, src := range []string{"node {", "pipeline { agent any }", "do { } while (true)", "outer: for (;;) { break inner }"} {
		var list *ErrorList
		if _, err := Load(src); !errors.As(err, &list) || errors.Is(err, ErrScripted) {
			t.Errorf("%q: got %v", src, err)
		}
	}
	// What checks Declarative Pipelines goes on to say that this is none.
	if err := ValidateJenkinsfile("node { stage('a') { echo 'x' } }\n"); err == nil ||
		err.Error() != "Jenkinsfile content 'node { stage('a') { echo 'x' } }\n' did not contain the 'pipeline' step" {
		t.Errorf("got %v", err)
	}
}
