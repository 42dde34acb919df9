// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// TestNoPods: pods that a Jenkinsfile describes are refused before the build begins.
func TestNoPods(t *testing.T) {
	b := &buildAgents{p: &Provider{}}
	if err := engine.CheckPod(b, nil); !errors.Is(err, engine.ErrNoPods) {
		t.Error(err)
	}
	for src, want := range map[string]string{
		"pipeline { agent { kubernetes { yaml \"${x}\" } }\n stages { stage('s') { steps { echo 'x' } } } }": `agent "kubernetes": the agents of this server are no pods`,
		"podTemplate(yaml: '') { node(POD_LABEL) { } }":                                                      `step "podTemplate": the agents of this server are no pods`,
		"pipeline { agent any\n stages { stage('s') { steps { container('x') { echo 'x' } } } } }":           `2: step "container": the agents of this server are no pods`,
	} {
		p, err := jenkinsfile.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Check(p, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
}
