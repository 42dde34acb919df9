// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// podAgents hands out agents with containers.
type podAgents struct {
	*fakeAgents
	containers []string
	// refuse is what CheckPod says of pods that are not nil; checked are those that it was asked about.
	refuse  error
	checked []*PodRequest
	// lose has the first agents lose their pod at the first script.
	lose int
}

func (p *podAgents) CheckPod(pod *PodRequest) error {
	if pod == nil {
		return nil
	}
	p.checked = append(p.checked, pod)
	return p.refuse
}

func (p *podAgents) Acquire(ctx context.Context, req AgentRequest, waiting func(string)) (Agent, error) {
	a, err := p.fakeAgents.Acquire(ctx, req, waiting)
	if err != nil {
		return nil, err
	}
	return &containerAgent{localAgent: a.(*localAgent), p: p}, nil
}

// containerAgent has no shell outside of its containers.
type containerAgent struct {
	*localAgent
	p    *podAgents
	name string
}

func (a *containerAgent) InContainer(_ context.Context, name string) (Agent, error) {
	if !slices.Contains(a.p.containers, name) {
		return nil, &StepError{"container [" + name + "] does not exist"}
	}
	return &containerAgent{localAgent: a.localAgent, p: a.p, name: name}, nil
}

func (a *containerAgent) Shell(ctx context.Context, req ShellRequest, out, stdout io.Writer) (int, error) {
	if a.name == "" {
		return 0, &StepError{"no shell here"}
	}
	if a.p.lose > 0 {
		a.p.lose--
		return 0, errors.New("the pod was deleted")
	}
	req.Env["IN_CONTAINER"] = a.name
	return a.localAgent.Shell(ctx, req, out, stdout)
}

func (a *containerAgent) Release(ctx context.Context) error {
	if a.name != "" {
		return errors.New("a container is released")
	}
	return a.localAgent.Release(ctx)
}

func newPodRun(t *testing.T, src string) (*testRun, *podAgents) {
	t.Helper()
	r := newRun(t, src)
	p := &podAgents{fakeAgents: r.agents, containers: []string{"maven", "node", "jnlp"}}
	r.spec.Agents = p
	return r, p
}

const podYAML = `'''
    apiVersion: v1
    kind: Pod
    spec: {containers: [{name: maven, image: 'maven:3', command: [cat], tty: true}]}
'''`

// TestKubernetesAgent: the lines are those that Jenkins with the plugin kubernetes writes.
func TestKubernetesAgent(t *testing.T) {
	r, p := newPodRun(t, `pipeline { agent { kubernetes { yaml `+podYAML+`
 inheritFrom 'base other'
 yamlMergeStrategy merge()
 defaultContainer 'maven'
 idleMinutes 5
 cloud 'kubernetes' } }
 stages { stage('s') { steps { sh 'echo in $IN_CONTAINER $POD_CONTAINER'
 container('node') { sh 'echo in $IN_CONTAINER $POD_CONTAINER'
 container('maven') { writeFile file: 'a', text: 'b' } }
 sh 'echo back in $IN_CONTAINER' } } } }`)
	r.spec.SCM = &SCM{URL: "https://git.example/app.git"}
	r.agents.makeDirs = true
	result, err := r.run(t.Context())
	log := r.mem.text()
	if result != ResultSuccess || err != nil {
		t.Fatalf("%s %v\n%s", result, err, log)
	}
	var lines []string
	for _, l := range strings.Split(nodeRE.ReplaceAllString(log, "Running on AGENT"), "\n") {
		if !strings.HasPrefix(l, "+ ") && l != "" {
			lines = append(lines, l)
		}
	}
	want := strings.Split(`[Pipeline] Start of Pipeline
[Pipeline] podTemplate
[Pipeline] {
[Pipeline] node
Running on AGENT
[Pipeline] {
[Pipeline] stage
[Pipeline] { (Declarative: Checkout SCM)
[Pipeline] checkout
[Pipeline] }
[Pipeline] // stage
[Pipeline] container
[Pipeline] {
[Pipeline] stage
[Pipeline] { (s)
[Pipeline] sh
in maven maven
[Pipeline] container
[Pipeline] {
[Pipeline] sh
in node node
[Pipeline] container
[Pipeline] {
[Pipeline] writeFile
[Pipeline] }
[Pipeline] // container
[Pipeline] }
[Pipeline] // container
[Pipeline] sh
back in maven
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // container
[Pipeline] }
[Pipeline] // node
[Pipeline] }
[Pipeline] // podTemplate
[Pipeline] End of Pipeline`, "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "Cloning") || strings.HasPrefix(l, "Checking out")
	})
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("%s\n%s", d, log)
	}
	if len(r.agents.acquired) != 1 || r.agents.released != 1 || len(p.checked) == 0 {
		t.Fatalf("%d agents, %d released, %d checks", len(r.agents.acquired), r.agents.released, len(p.checked))
	}
	req := r.agents.acquired[0]
	if !strings.HasPrefix(req.Label, "team_app_7-") || req.ID == "" {
		t.Errorf("%+v", req)
	}
	wantPod := &PodRequest{DefaultContainer: "maven", Cloud: "kubernetes", Layers: []PodLayer{{InheritFrom: "base other", Merge: true, YAML: strings.Trim(podYAML, "'")}}}
	for _, got := range []*PodRequest{req.Pod, p.checked[0]} {
		if d := cmp.Diff(wantPod, got); d != "" {
			t.Error(d)
		}
	}
}

func TestPods(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, src  string
		lose         int
		result       Result
		want, absent []string
	}{
		"NoShell": {reason: "the agent's own container may have no shell, which is the step's failure",
			src: "pipeline { agent { kubernetes { yaml " + podYAML + " } }\n stages { stage('s') { steps { writeFile file: 'a', text: 'b'\n sh 'echo x' } } } }", result: ResultFailure, want: []string{"ERROR: no shell here"}, absent: []string{"was lost"}},
		"NoContainer": {reason: "a container that is not there fails the step container",
			src: "pipeline { agent { kubernetes { yaml " + podYAML + " } }\n stages { stage('s') { steps { container('nosuch') { echo 'never' } } } } }", result: ResultFailure,
			want: []string{"[Pipeline] container\n[Pipeline] // container\n", "ERROR: container [nosuch] does not exist"}, absent: []string{"never"}},
		"Caught": {reason: "which a script can catch",
			src: "pipeline { agent { kubernetes { } }\n stages { stage('s') { steps { script { try { container('nosuch') { } } catch (e) { echo \"caught ${e.message}\" } } } } } }", result: ResultSuccess, want: []string{"caught container [nosuch] does not exist"}},
		"Stage": {reason: "a stage has a pod of its own, with variables in its YAML",
			src:    "pipeline { agent none\n environment { V = '3' }\n stages { stage('s') { agent { kubernetes { label 'mine'; defaultContainer 'maven'; yaml \"\"\"spec: {containers: [{name: maven, image: 'maven:${V}'}]}\"\"\" } }\n steps { sh 'echo in $IN_CONTAINER'; echo env.POD_LABEL } } } }",
			result: ResultSuccess, want: []string{"in maven\n", "mine\n"}},
		"Scripted": {reason: "podTemplate has the label of the node in it", src: "podTemplate(yaml: " + podYAML + ") { node(POD_LABEL) { container('maven') { sh 'echo in $IN_CONTAINER' }\n echo \"label ${POD_LABEL}\" } }",
			result: ResultSuccess, want: []string{"[Pipeline] podTemplate\n[Pipeline] {\n[Pipeline] node\n", "in maven\n", "label team_app_7-"}},
		"Named": {reason: "or one that was given", src: "podTemplate(label: 'mine', containers: [containerTemplate(name: 'maven', image: 'm', command: 'sleep', args: '99d', ttyEnabled: true, envVars: [envVar(key: 'A', value: 'b')])]) { node('mine') { container('maven') { sh 'echo in $IN_CONTAINER' } } }",
			result: ResultSuccess, want: []string{"in maven\n"}},
		"Retries": {reason: "a lost pod is tried again", lose: 1, src: "pipeline { agent { kubernetes { defaultContainer 'maven'; retries 2 } }\n stages { stage('s') { steps { sh 'echo in $IN_CONTAINER' } } } }",
			result: ResultSuccess, want: []string{"[Pipeline] retry\n", "was lost: the pod was deleted", "Retrying", "in maven\n"}},
		"RetriesOfSteps": {reason: "a step that fails is not", src: "pipeline { agent { kubernetes { defaultContainer 'maven'; retries 2 } }\n stages { stage('s') { steps { sh 'exit 3' } } } }",
			result: ResultFailure, absent: []string{"Retrying"}},
		"Label": {reason: "container in an agent that has none", src: "pipeline { agent { label 'linux' }\n stages { stage('s') { steps { container('maven') { sh 'echo in $IN_CONTAINER' } } } } }", result: ResultSuccess, want: []string{"in maven\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := newPodRun(t, tc.src)
			p.lose = tc.lose
			result, err := r.run(t.Context())
			log := r.mem.text()
			if result != tc.result {
				t.Errorf("%s: %s %v\n%s", tc.reason, result, err, log)
			}
			for _, w := range tc.want {
				if !strings.Contains(log, w) {
					t.Errorf("%s: the log lacks %q:\n%s", tc.reason, w, log)
				}
			}
			for _, w := range tc.absent {
				if strings.Contains(log, w) {
					t.Errorf("%s: the log has %q:\n%s", tc.reason, w, log)
				}
			}
			if len(r.agents.acquired) != r.agents.released {
				t.Errorf("%d agents, %d released", len(r.agents.acquired), r.agents.released)
			}
		})
	}
	t.Run("NoContainers", func(t *testing.T) {
		r := newRun(t, stages("container('x') { sh 'y' }"))
		if err := Check(r.spec.Pipeline, r.spec.Agents); err == nil || !strings.Contains(err.Error(), `3: step "container": the agents of this server are no pods`) {
			t.Error(err)
		}
		r.spec.Agents = justPods{r.agents}
		if result, err := r.run(t.Context()); result != ResultFailure || !strings.Contains(r.mem.text(), "has no containers; use agent { kubernetes") {
			t.Errorf("%s %v\n%s", result, err, r.mem.text())
		}
	})
}

// TestPodLayers: what podTemplate in podTemplate asks for.
func TestPodLayers(t *testing.T) {
	r, _ := newPodRun(t, `podTemplate(inheritFrom: 'base', cloud: 'c', containers: [containerTemplate(name: 'maven', image: 'm:1', command: "sh -c 'sleep 9'", alwaysPullImage: true,
 resourceLimitMemory: '1Gi', envVars: [containerEnvVar(key: 'A', value: 'b')])]) {
 podTemplate(yaml: 'spec: {}', yamlMergeStrategy: merge(), agentContainer: 'maven') { node(POD_LABEL) { echo 'x' } } }`)
	if result, err := r.run(t.Context()); result != ResultSuccess {
		t.Fatalf("%s %v\n%s", result, err, r.mem.text())
	}
	want := &PodRequest{Cloud: "c", AgentContainer: "maven", Layers: []PodLayer{{InheritFrom: "base", Containers: `spec:
  containers:
  - command:
    - sh
    - -c
    - sleep 9
    env:
    - name: A
      value: b
    image: m:1
    imagePullPolicy: Always
    name: maven
    resources:
      limits:
        memory: 1Gi
`}, {YAML: "spec: {}", Merge: true}}}
	if d := cmp.Diff(want, r.agents.acquired[0].Pod); d != "" {
		t.Error(d)
	}
}

func TestCheckPods(t *testing.T) {
	agent := func(fields string) string {
		return "pipeline { agent { kubernetes {\n " + fields + "\n } }\n stages { stage('s') { steps { echo 'x' } } } }"
	}
	for name, tc := range map[string]struct{ reason, src, want string }{
		"Refused":    {"the provider's refusal has the place of the YAML", agent("label 'x'\n yaml 'spec: {hostNetwork: true}'"), `WorkflowScript: 3: agent "kubernetes": refused by the provider @ line 3, column 2.`},
		"Scripted":   {"that of podTemplate, too", "podTemplate(yaml: 'x') { }", `WorkflowScript: 1: step "podTemplate": refused by the provider`},
		"YAMLFile":   {"a file of the repository", agent("yamlFile 'pod.yaml'"), `agent option "yamlFile"`},
		"Namespace":  {"a namespace", agent("namespace 'kube-system'"), `agent option "namespace"`},
		"Account":    {"an account", agent("serviceAccount 'admin'"), `or inherit from a template that has it`},
		"Template":   {"the older syntax", agent("containerTemplate { name 'a'\n image 'b' }"), `agent option "containerTemplate"`},
		"Unknown":    {"something else", agent("nosuch 'x'"), `agent option "nosuch"`},
		"Strategy":   {"a strategy that does not exist", agent("yamlMergeStrategy 'merge'"), `yamlMergeStrategy must be merge() or override()`},
		"Argument":   {"arguments of podTemplate", "podTemplate(serviceAccount: 'admin') { }", `parameter "serviceAccount" of step "podTemplate"`},
		"Volumes":    {"volumes of podTemplate", "podTemplate(volumes: [hostPathVolume(hostPath: '/', mountPath: '/host')]) { }", `step "hostPathVolume"`},
		"Privileged": {"privileges of containerTemplate", "podTemplate(containers: [containerTemplate(name: 'a', image: 'b', privileged: true)]) { }", `parameter "privileged" of step "containerTemplate"`},
		"Shell":      {"another shell", stages("container(name: 'x', shell: '/bin/bash') { }"), `parameter "shell" of step "container"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := &podAgents{fakeAgents: &fakeAgents{t: t}, refuse: errors.New("refused by the provider")}
			err := Check(mustParse(t, tc.src), p)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
	for name, src := range map[string]string{
		"Variable YAML":       agent("yaml \"${env.X}\""),
		"A label of its own":  "podTemplate(label: 'mine') { node('mine') { } }",
		"A label that varies": "def l = 'x'\npodTemplate(label: l) { node('y') { } }",
	} {
		p := &podAgents{fakeAgents: &fakeAgents{t: t}}
		if err := Check(mustParse(t, src), p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := Check(mustParse(t, src), p.fakeAgents); err == nil || !strings.Contains(err.Error(), ErrNoPods.Error()) {
			t.Errorf("%s, where agents are no pods: %v", name, err)
		}
	}
	if err := Check(mustParse(t, "node('mars') { }\npodTemplate(label: 'mine') { }"), &podAgents{fakeAgents: &fakeAgents{t: t}}); err == nil || !strings.Contains(err.Error(), "‘mars’") {
		t.Errorf("the label of no pod: %v", err)
	}
}

func TestShellWords(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "cat": {"cat"}, " sleep  99d ": {"sleep", "99d"}, `sh -c 'a b' "c 'd"`: {"sh", "-c", "a b", "c 'd"}, `a''b ""`: {"ab", ""}, "'open end": {"open end"},
	} {
		if d := cmp.Diff(want, shellWords(in)); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

// justPods are agents without containers that claim to be pods.
type justPods struct{ *fakeAgents }

func (justPods) CheckPod(*PodRequest) error { return nil }

// CheckPod and InContainer let the builds of the durable tests have pods.
func (l *life) CheckPod(*PodRequest) error { return nil }

func (a *lifeAgent) InContainer(context.Context, string) (Agent, error) { return a, nil }
