// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
)

// A list that holds itself must not end the server, whichever step it is given to.
func TestCyclicArguments(t *testing.T) {
	for _, call := range []string{
		"properties(l)", "properties([l])", "properties([m])", "properties([parameters(l)])", "properties([parameters([m])])", "properties([pipelineTriggers(l)])",
		"properties([[$class: 'ParametersDefinitionProperty', parameterDefinitions: l]])", "parallel(m)", "parallel(a: l)", "writeJSON(file: 'x', json: l)", "writeJSON(file: 'x', json: m)",
		"writeYaml(file: 'x', data: l)", "writeYaml(file: 'x', data: m)", "input(message: 'x', parameters: l)", "input(message: 'x', parameters: [m])", "build(job: 'x', parameters: l)",
		"build(job: 'x', parameters: [m])", "withEnv(l) { }", "checkout(m)", "checkout([$class: 'GitSCM', branches: l, userRemoteConfigs: l])", "step(m)", "withCredentials(l) { }",
		"withCredentials([m]) { }", "timeout(m) { }", "echo(l)", "echo(\"$m\")", "env.X = l", "currentBuild.description = l", "retry(l) { }", "archiveArtifacts(l)", "junit(l)", "lock(extra: l, resource: 'x') { }",
		"error(\"$l\")", "stash(name: l)", "podTemplate(containers: l) { }", "podTemplate(containers: [m]) { }", "catchError(message: l) { }", "sh(script: l)", "node(l) { }", "stage(l) { }", "milestone(l)",
		"currentBuild.getBuildCauses(l)", "readJSON(text: l)", "unstable(l)", "waitUntil(m) { true }", "load(l)", "library(l)", "writeFile(file: 'x', text: \"$l\")", "findFiles(glob: l)", "deleteDir(m)", "fileExists(l)",
	} {
		t.Run(call, func(t *testing.T) {
			r := newScriptRun(t, "def l = ['x']\ndef m = [a: 1]\nl << l << m\nm.m = m\nm.l = l\nnode { try { "+call+" } catch (Throwable e) { echo 'caught' }\necho 'on' }")
			result, err := Run(t.Context(), r.spec)
			if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Errorf("got %v, %v", result, err)
			}
		})
	}
}

// A script can not fill the memory of the server with its environment.
func TestEnvironmentLimit(t *testing.T) {
	for name, src := range map[string]string{
		"Bytes":     "int i = 0\nwhile (true) { env[\"A${i++}\"] = 'x' * 100000 }",
		"Variables": "int i = 0\nwhile (true) { env[\"A${i++}\"] = 'x' }",
	} {
		t.Run(name, func(t *testing.T) {
			r := newScriptRun(t, src)
			result, err := Run(t.Context(), r.spec)
			if result != ResultFailure || err == nil || !strings.Contains(err.Error(), "the environment would have more than") {
				t.Errorf("got %v, %v", result, err)
			}
		})
	}
}
