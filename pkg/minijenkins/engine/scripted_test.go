// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// newScriptRun is newRun for a Scripted Pipeline.
func newScriptRun(tb testing.TB, src string) *testRun {
	tb.Helper()
	p, err := jenkinsfile.Load(src)
	if err != nil {
		tb.Fatalf("load: %v", err)
	}
	if p.Script == nil {
		tb.Fatal("not a Scripted Pipeline")
	}
	agents := &fakeAgents{t: tb, labels: []string{"linux"}}
	mem := newMemory()
	params, err := ResolveParams(p.Parameters(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &testRun{agents: agents, mem: mem, spec: RunSpec{Pipeline: p, Params: params, Agents: agents, Recorder: mem, Artifacts: memArtifacts{},
		Build: BuildInfo{JobName: "team/app", Number: 7, BuildURL: "http://jenkins.example/job/team/job/app/7/"}}}
}

// The two Scripted Pipelines that were recorded on Jenkins 2.541.2, with their logs and node graphs.
func TestRecordedScripts(t *testing.T) {
	cases := map[string]struct {
		src, log string
		nodes    []recordedNode
		steps    map[string]string
	}{
		"scripted": {
			src: `node {
  stage('s1') { echo 'one' }
  stage('s2') { parallel a: { echo 'a' }, b: { sleep 1
 echo 'b' } }
}
echo 'outside of a stage'`,
			log: `[Pipeline] Start of Pipeline
[Pipeline] node
Running on AGENT
[Pipeline] {
[Pipeline] stage
[Pipeline] { (s1)
[Pipeline] echo
one
[Pipeline] }
[Pipeline] // stage
[Pipeline] stage
[Pipeline] { (s2)
[Pipeline] parallel
[Pipeline] { (Branch: a)
[Pipeline] { (Branch: b)
[Pipeline] echo
a
[Pipeline] }
[Pipeline] sleep
Sleeping for 1 sec
[Pipeline] echo
b
[Pipeline] }
[Pipeline] // parallel
[Pipeline] }
[Pipeline] // stage
[Pipeline] }
[Pipeline] // node
[Pipeline] echo
outside of a stage
[Pipeline] End of Pipeline`,
			nodes: []recordedNode{
				{"6", "s1", "STAGE", StateFinished, ResultSuccess, "", []string{"11"}},
				{"11", "s2", "STAGE", StateFinished, ResultSuccess, "6", []string{"14", "15"}},
				{"14", "a", "PARALLEL", StateFinished, ResultSuccess, "11", []string{}},
				{"15", "b", "PARALLEL", StateFinished, ResultSuccess, "11", []string{}},
			},
			steps: map[string]string{"7": "one", "16": "a", "18": "1", "19": "b"},
		},
		"nostage": {
			src: "node {\n  echo 'no stage at all'\n  sh 'echo shell'\n}",
			log: `[Pipeline] Start of Pipeline
[Pipeline] node
Running on AGENT
[Pipeline] {
[Pipeline] echo
no stage at all
[Pipeline] sh
+ echo shell
shell
[Pipeline] }
[Pipeline] // node
[Pipeline] End of Pipeline`,
			steps: map[string]string{"5": "no stage at all", "6": "echo shell"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newScriptRun(t, tc.src)
			result, err := r.run(t.Context())
			if result != ResultSuccess || err != nil {
				t.Fatalf("%s, %v\n%s", result, err, r.mem.text())
			}
			if d := cmp.Diff(strings.Split(tc.log, "\n"), strings.Split(nodeRE.ReplaceAllString(strings.TrimSpace(r.mem.text()), "Running on AGENT"), "\n")); d != "" {
				t.Errorf("log (-Jenkins +engine):\n%s", d)
			}
			if d := compareNodes(recordedRun{Nodes: tc.nodes}, r.mem, func(string) bool { return false }); d != "" {
				t.Errorf("nodes (-Jenkins +engine):\n%s", d)
			}
			for id, want := range tc.steps {
				if got := r.mem.steps[id].DisplayDescription; got != want {
					t.Errorf("step %s is %q, want %q", id, got, want)
				}
			}
			if r.agents.released != len(r.agents.acquired) {
				t.Errorf("%d agents acquired, %d released", len(r.agents.acquired), r.agents.released)
			}
		})
	}
}

func TestScripted(t *testing.T) {
	cases := map[string]struct {
		reason, src string
		result      Result
		// log must be in the log, in this order; not must not.
		log []string
		not string
	}{
		"Loop": {"branches are made in a loop", `
def branches = [:]
for (int i = 0; i < 3; i++) {
  def n = i
  branches["b${n}"] = { node { stage("s${n}") { echo "n=${n}" } } }
}
parallel branches + [failFast: true]`, ResultSuccess, []string{"{ (Branch: b0)", "{ (Branch: b2)", "// parallel"}, ""},
		"Functions": {"functions see the binding, not the variables of the script", `
count = 1
def local = 2
def add(x, y = 10) { return x + y + count }
echo "sum ${add(1)} ${add(1, 2)}"
def show() { echo "$local" }
show()`, ResultFailure, []string{"sum 12 4", "End of Pipeline", "groovy.lang.MissingPropertyException: No such property: local for class: groovy.lang.Binding"}, ""},
		"TryCatch": {"a failed sh is caught, the result is set, finally runs", `
node('linux') {
  try {
    stage('Build') { sh 'exit 3' }
  } catch (e) {
    currentBuild.result = 'UNSTABLE'
    echo "caught: ${e.message} ${e}"
  } finally {
    echo 'cleanup'
  }
}`, ResultUnstable, []string{"caught: script returned exit code 3 hudson.AbortException: script returned exit code 3", "cleanup"}, "ERROR"},
		"Rethrow": {"an error that is thrown on fails the build", `
node { try { error 'boom' } catch (err) { echo "saw ${err.getMessage()}"; throw err } }`, ResultFailure, []string{"saw boom", "End of Pipeline", "ERROR: boom"}, ""},
		"NoNode": {"a step without an agent", "sh 'x'", ResultFailure,
			[]string{"[Pipeline] sh\n", "End of Pipeline", "org.jenkinsci.plugins.workflow.steps.MissingContextVariableException: Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the sh step with a step that provides this, such as: node"}, ""},
		"Exception": {"an exception of the script with its line", "node {\n  throw new IllegalStateException('bad state')\n}", ResultFailure,
			[]string{"End of Pipeline", "java.lang.IllegalStateException: bad state", "at WorkflowScript.run(WorkflowScript:2)"}, ""},
		"NoStep": {"a step that is found to be missing when it runs", "def name = 'nosuch'\nnode { \"$name\"() }", ResultFailure,
			[]string{"java.lang.NoSuchMethodError: No such DSL method 'nosuch' found among steps ["}, ""},
		"Null":   {"a method of null", "def x = null\nx.foo()", ResultFailure, []string{"java.lang.NullPointerException: Cannot invoke method foo() on null object"}, ""},
		"Return": {"return at the top ends the script", "echo 'a'\nreturn\necho 'b'", ResultSuccess, []string{"a"}, "\nb\n"},
		"This": {"this is the script: its steps, functions and the environment", `
def twice(x) { x * 2 }
this.echo "n=${this.twice(4)} ${this.env.JOB_NAME}"
steps.echo 'from steps'`, ResultSuccess, []string{"n=8 team/app", "from steps"}, ""},
		"Env":    {"env is seen by all", "env.FOO = 'bar'\nnode { sh 'echo $FOO'\n withEnv(['FOO=baz']) { sh 'echo $FOO' }\n echo env.FOO }", ResultSuccess, []string{"\nbar\n", "\nbaz\n", "\nbar\n"}, ""},
		"Nested": {"agents nest", "node { stage('a') { node('linux') { echo env.STAGE_NAME } } }", ResultSuccess, []string{"Running on agent-1", "{ (a)", "Running on agent-2", "\na\n", "// node", "// stage", "// node"}, ""},
		"Field":  {"a field is seen by functions", "import groovy.transform.Field\n@Field def version = '1.2'\ndef show() { echo version }\nshow()", ResultSuccess, []string{"1.2"}, ""},
		"NonCPS": {"@NonCPS changes nothing", "@NonCPS\ndef f(s) { s.tokenize(',').collect { it.trim() } }\necho f('a, b').toString()", ResultSuccess, []string{"[a, b]"}, ""},
		"Branch": {"the failing branch is named and its error printed", "parallel ok: { echo 'x' }, bad: { error 'no' }", ResultFailure, []string{"Failed in branch bad", "ERROR: no"}, ""},
		"Ws":     {"another workspace", "node { ws('/tmp/slipway-ws-test') { echo env.WORKSPACE } }", ResultSuccess, []string{"[Pipeline] ws", "Running in /tmp/slipway-ws-test", "\n/tmp/slipway-ws-test\n", "// ws"}, ""},
		"Empty":  {"an empty file does nothing", "", ResultSuccess, []string{"Start of Pipeline", "End of Pipeline"}, ""},
		"Trace": {"an exception of a function names it", "def deploy() {\n  throw new IllegalStateException('bad')\n}\ndeploy()", ResultFailure,
			[]string{"java.lang.IllegalStateException: bad", "at WorkflowScript.deploy(WorkflowScript:2)"}, ""},
		"Clock":    {"the clock and random numbers", "echo \"${System.currentTimeMillis() > 0} ${UUID.randomUUID().toString().size()}\"", ResultSuccess, []string{"true 36"}, ""},
		"Numbers":  {"numbers of all kinds reach steps", "timeout(time: 1L, unit: 'MINUTES') { sleep time: 1.0 * 0, unit: 'SECONDS' }\necho \"${1 / 4}\"", ResultSuccess, []string{"Timeout set to expire in 1 min 0 sec", "0.25"}, ""},
		"UserCall": {"a closure with an explicit call and curry", "def f = { a, b -> echo \"$a-$b\" }\nf.call(1, 2)\nf.curry(7).call(8)", ResultSuccess, []string{"1-2", "7-8"}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newScriptRun(t, tc.src)
			result, err := r.run(t.Context())
			text := r.mem.text()
			if result != tc.result {
				t.Errorf("%s: %s, want %s (%v)", tc.reason, result, tc.result, err)
			}
			rest := text
			for _, w := range tc.log {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("%s: %q is missing or out of order in\n%s", tc.reason, w, text)
				}
				rest = rest[i+len(w)-1:]
			}
			if tc.not != "" && strings.Contains(text, tc.not) {
				t.Errorf("%s: %q in\n%s", tc.reason, tc.not, text)
			}
			if r.agents.released != len(r.agents.acquired) {
				t.Errorf("%d agents acquired, %d released", len(r.agents.acquired), r.agents.released)
			}
		})
	}
}

func TestProperties(t *testing.T) {
	src := `
properties([
  parameters([
    string(name: 'WHO', defaultValue: 'rick', description: 'who'),
    booleanParam(name: 'DEBUG', defaultValue: true),
    choice(name: 'V', choices: ['a', 'b']),
  ]),
  pipelineTriggers([cron('H 4 * * *')]),
  buildDiscarder(logRotator(numToKeepStr: '5')),
  disableConcurrentBuilds(abortPrevious: true),
])
echo "${params.WHO} ${params.DEBUG} ${params.V}"`
	static, err := jenkinsfile.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	dynamic := strings.Replace(src, "'rick'", "'ri' + 'CK'.toLowerCase()", 1)
	classes := `
def list = [[$class: 'StringParameterDefinition', name: 'WHO', defaultValue: 'rick', description: 'who'], [$class: 'BooleanParameterDefinition', name: 'DEBUG', defaultValue: true],
  choice(name: 'V', choices: ['a', 'b'])]
properties([[$class: 'ParametersDefinitionProperty', parameterDefinitions: list], pipelineTriggers([cron('H 4 * * *')]),
  [$class: 'BuildDiscarderProperty', strategy: [$class: 'LogRotator', numToKeepStr: '5']], disableConcurrentBuilds(abortPrevious: true)])
echo "${params.WHO} ${params.DEBUG} ${params.V}"`
	for name, s := range map[string]string{"constant": src, "computed": dynamic, "classes": classes} {
		r := newScriptRun(t, s)
		var set *jenkinsfile.Pipeline
		r.spec.Params = nil
		r.spec.SetProperties = func(_ context.Context, p *jenkinsfile.Pipeline) error { set = p; return nil }
		if result, err := r.run(t.Context()); result != ResultSuccess || !strings.Contains(r.mem.text(), "rick true a") {
			t.Fatalf("%s: %s, %v\n%s", name, result, err, r.mem.text())
		}
		if set == nil {
			t.Fatalf("%s: nothing set", name)
		}
		if d := cmp.Diff(static.Parameters(), set.Parameters()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(set.Options) != 2 || set.Options[1].Name != "disableConcurrentBuilds" || len(set.Triggers) != 1 {
			t.Fatalf("%s: options %v, triggers %v", name, set.Options, set.Triggers)
		}
		if spec, _ := jenkinsfile.ConstantText(set.Triggers[0].Arg("spec", true)); spec != "H 4 * * *" {
			t.Errorf("%s: cron %q", name, spec)
		}
	}
	r := newScriptRun(t, "properties([[$class: 'RebuildSettings', autoRebuild: false]])")
	if result, _ := r.run(t.Context()); result != ResultFailure || !strings.Contains(r.mem.text(), "RebuildSettings") {
		t.Errorf("an unknown property: %s\n%s", result, r.mem.text())
	}
}

func TestLoad(t *testing.T) {
	r := newScriptRun(t, `
def lib
node {
  writeFile file: 'ci/lib.groovy', text: '''
def prefix = 'hidden'
@groovy.transform.Field String name = 'lib'
def hello(who) { echo "hello ${who} from ${name}"; return who.size() }
def build(Map args, Closure body) { stage(args.name) { body() } }
return this
'''
  lib = load 'ci/lib.groovy'
  echo "size ${lib.hello('you')}"
  lib.build(name: 'S') { echo 'in S' }
  writeFile file: 'value.groovy', text: '[1, 2, 3].sum()'
  echo "value ${load('value.groovy')}"
  writeFile file: 'bad.groovy', text: 'def x = {'
  try { load 'bad.groovy' } catch (e) { echo "bad: ${e.message}" }
  try { load 'missing.groovy' } catch (e) { echo "missing: ${e.getClass}" }
}`)
	result, err := r.run(t.Context())
	text := r.mem.text()
	for _, want := range []string{"[Pipeline] load", "[Pipeline] { (ci/lib.groovy)", "// load", "hello you from lib", "size 3", "{ (S)", "in S", "value 6", "bad: startup failed in bad.groovy"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if result != ResultFailure || err == nil || t.Failed() {
		t.Errorf("%s %v\n%s", result, err, text)
	}
	_ = os.RemoveAll(filepath.Join(os.TempDir(), "slipway-ws-test"))
}

func TestCustomWorkspace(t *testing.T) {
	r := newRun(t, `pipeline { agent { node { label 'linux'; customWorkspace '/tmp/slipway-custom' } }
 stages { stage('s') { steps { echo "in ${env.WORKSPACE}" } } } }`)
	result, err := r.run(t.Context())
	if text := r.mem.text(); result != ResultSuccess || !strings.Contains(text, "[Pipeline] ws\nRunning in /tmp/slipway-custom\n[Pipeline] {") || !strings.Contains(text, "in /tmp/slipway-custom\n") {
		t.Errorf("%s %v\n%s", result, err, text)
	}
}

func TestCheckScripts(t *testing.T) {
	cases := map[string]struct{ reason, src, want string }{
		"Unknown":   {"a step that does not exist", "node {\n  frobnicate 'x'\n}", `WorkflowScript: 2: step "frobnicate"`},
		"Label":     {"a label that no agent has", "node('mars') { }", "There are no agents with the label ‘mars’"},
		"Pod":       {"pod templates", "podTemplate(yaml: '') { }", `step "podTemplate"`},
		"Option":    {"a property that does not exist here", "properties([rateLimitBuilds(throttle: [count: 1])])", "rateLimitBuilds"},
		"Nested":    {"a pipeline block that is not at the top", "if (true) { pipeline { agent any } }", `step "pipeline"`},
		"Class":     {"classes", "class Foo { }\nnew Foo()", `class "Foo"`},
		"Cron":      {"a schedule that is wrong", "properties([pipelineTriggers([cron('99 * * * *')])])", "99"},
		"Import":    {"an import of a class that only Jenkins has", "import jenkins.model.Jenkins\necho 'x'", `import jenkins.model.Jenkins`},
		"New":       {"an object that the sandbox refuses", "def f = new File('/etc/passwd')", `new File`},
		"StepParam": {"a parameter that a step does not have", "node { sh script: 'x', frob: 1 }", `parameter "frob" of step "sh"`},
	}
	for name, tc := range cases {
		p, err := jenkinsfile.Load(tc.src)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := Check(p, &fakeAgents{t: t, labels: []string{"linux"}}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %s: got %v, want %q", name, tc.reason, err, tc.want)
		}
	}
}
