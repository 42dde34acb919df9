// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// TestAbortWhileReading: a build that is aborted while its Jenkinsfile is read is aborted, not failed.
func TestAbortWhileReading(t *testing.T) {
	asked := make(chan struct{})
	h := newHarness(t, t.TempDir(), withEngine, func(c *Config, _ *Server) {
		if c != nil {
			c.LoadSCM = func(ctx context.Context, _ engine.SCM, _ string) (string, error) {
				close(asked)
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
		}
	})
	h.want(200, "POST", "/createItem?name=j", typeXML, `<flow-definition><definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">`+
		`<scm class="hudson.plugins.git.GitSCM"><userRemoteConfigs><hudson.plugins.git.UserRemoteConfig><url>https://git.example.com/x.git</url>`+
		`</hudson.plugins.git.UserRemoteConfig></userRemoteConfigs></scm><scriptPath>Jenkinsfile</scriptPath></definition></flow-definition>`)
	h.want(201, "POST", "/job/j/build?delay=0", "", "")
	<-asked
	h.want(302, "POST", "/job/j/1/stop", "", "")
	b := h.ended("j", 1)
	log := h.get("/job/j/1/consoleText")
	if b.Result != engine.ResultAborted || !strings.HasSuffix(log, "\nAborted by admin\nFinished: ABORTED\n") || strings.Contains(log, "ERROR") {
		t.Errorf("%+v\n%s", b, log)
	}
}
