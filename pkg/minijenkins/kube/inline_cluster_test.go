// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// TestJenkinsfilePodOnCluster runs a pod of two containers beside the agent's own, where Pod Security is "restricted".
func TestJenkinsfilePodOnCluster(t *testing.T) {
	c := newCluster(t)
	c.cfg.AgentImage = agentImage
	container := func(name, command string) string {
		return "  - {name: " + name + ", image: '" + devImage + "', imagePullPolicy: IfNotPresent, command: " + command + ", tty: true,\n" +
			"     securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}\n"
	}
	pod := &engine.PodRequest{DefaultContainer: "a", Layers: []engine.PodLayer{{YAML: "apiVersion: v1\nkind: Pod\nspec:\n  terminationGracePeriodSeconds: 1\n" +
		"  securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000}\n  containers:\n" + container("a", "[cat]") + container("b", "[sleep, infinity]")}}}
	provider := c.ForBuild(Build{Project: "team", Job: "team/app", Number: 1})
	if err := engine.CheckPod(provider, pod); err != nil {
		t.Fatal(err)
	}
	agent, err := provider.Acquire(c.ctx, engine.AgentRequest{ID: "i-1-0.1", Label: "team_app_1-abcde", Pod: pod}, func(r string) { t.Log(r) })
	if err != nil {
		t.Fatal(err)
	}
	var own *engine.StepError
	if _, err := agent.Shell(c.ctx, engine.ShellRequest{ID: "s", Script: "id", Dir: agent.Workspace()}, io.Discard, nil); !errors.As(err, &own) {
		t.Errorf("a shell without a shell: %v", err)
	}
	if err := agent.WriteFile(c.ctx, agent.Workspace()+"/from-jnlp", []byte("hello")); err != nil {
		t.Error(err)
	}
	for i, name := range []string{"a", "b"} {
		inner, err := agent.(engine.Containers).InContainer(c.ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		script := "set +x; cat from-jnlp; ls; echo here > in-" + name + "; test ! -e /var/run/secrets/kubernetes.io && echo no token"
		code, err := inner.Shell(c.ctx, engine.ShellRequest{ID: "s-" + name, Script: script, Dir: agent.Workspace()}, &out, nil)
		if err != nil || code != 0 || !strings.Contains(out.String(), "hello") || !strings.Contains(out.String(), "no token") || i == 1 && !strings.Contains(out.String(), "in-a") {
			t.Errorf("%s: %d, %v, %s", name, code, err, out.String())
		}
	}
	if _, err := agent.(engine.Containers).InContainer(c.ctx, "nosuch"); !errors.As(err, &own) {
		t.Error(err)
	}
	if err := agent.Release(c.ctx); err != nil {
		t.Error(err)
	}
	c.wantNoPods()
}

// noRecords is a Recorder that keeps the log only.
type noRecords struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (r *noRecords) PutNode(engine.Node)   {}
func (r *noRecords) PutStep(engine.Step)   {}
func (r *noRecords) SetDescription(string) {}
func (r *noRecords) SetDisplayName(string) {}
func (r *noRecords) Log(string) io.Writer  { return r }
func (r *noRecords) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// TestJenkinsfileOnCluster runs whole Jenkinsfiles in pods that they describe.
func TestJenkinsfileOnCluster(t *testing.T) {
	c := newCluster(t)
	c.cfg.AgentImage = agentImage
	c.template("dc-team.app", podYAML(devImage, "IfNotPresent", copyAgent, ""))
	container := func(name string) string {
		return "{name: " + name + ", image: '" + devImage + "', command: [sleep], args: [infinity], env: [{name: WHO, value: " + name + "}], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}"
	}
	spec := "spec: {terminationGracePeriodSeconds: 1, securityContext: {runAsNonRoot: true, runAsUser: 1000}, containers: [" + container("a") + ", " + container("b") + "]}"
	for reason, src := range map[string]string{
		"declarative": "pipeline { agent { kubernetes { defaultContainer 'a'; yaml '''" + spec + "''' } }\n stages { stage('s') { steps { sh 'echo in $WHO > f'; container('b') { sh 'cat f; echo and in $WHO' } } } } }",
		"merged":      "pipeline { agent { kubernetes { inheritFrom 'dc-team.app'; yamlMergeStrategy merge(); yaml '''spec: {containers: [" + container("b") + "]}''' } }\n stages { stage('s') { steps { sh 'echo in a > f'; container('b') { sh 'cat f; echo and in $WHO' } } } } }",
		"scripted":    "podTemplate(yaml: '''" + spec + "''') { node(POD_LABEL) { container('a') { sh 'echo in $WHO > f' }\n container('b') { sh 'cat f; echo and in $WHO' } } }",
	} {
		t.Run(reason, func(t *testing.T) {
			p, err := jenkinsfile.Load(src)
			if err != nil {
				t.Fatal(err)
			}
			rec := &noRecords{}
			result, err := engine.Run(c.ctx, engine.RunSpec{Pipeline: p, Recorder: rec, Agents: c.ForBuild(Build{Project: "team", Job: "team/app", Number: 1}),
				Build: engine.BuildInfo{JobName: "team/app", Number: 1}})
			if log := rec.log.String(); result != engine.ResultSuccess || !strings.Contains(log, "\nin a\n") || !strings.Contains(log, "\nand in b\n") {
				t.Errorf("%s %v\n%s", result, err, log)
			}
		})
	}
	c.wantNoPods()
}
