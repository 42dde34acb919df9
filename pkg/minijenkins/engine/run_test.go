// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

func TestRun(t *testing.T) {
	t.Setenv("HOST_ONLY", "from-agent")
	cases := map[string]struct {
		reason string
		src    string
		change func(*testRun)
		result Result
		want   []string
		absent []string
	}{
		"ShellFails": {
			reason: "A failing script ends the build and skips the later stages, and post still runs",
			src: `pipeline { agent any
 stages { stage('a') { steps { sh 'echo out; exit 3' } }
 stage('b') { steps { echo 'never' } } }
 post { always { echo 'post' }
 success { echo 'wrong' }
 failure { echo 'sad' }
 cleanup { echo 'last' } } }`,
			result: ResultFailure,
			want:   []string{"+ exit 3", `Stage "b" skipped due to earlier failure(s)`, "post\n", "sad\n", "last\n", "ERROR: script returned exit code 3\n"},
			absent: []string{"never", "wrong"},
		},
		"ShellValues": {
			reason: "returnStdout and returnStatus give values to the script",
			src: stages(`script {
  def out = sh(script: 'echo hello; echo err >&2', returnStdout: true).trim()
  def code = sh script: 'exit 4', returnStatus: true
  echo "out=${out} code=${code}"
}`),
			result: ResultSuccess,
			want:   []string{"out=hello code=4\n"},
		},
		"Environment": {
			reason: "Variables of pipeline, stage, withEnv, parameters, build and agent reach the shell and the script",
			src: `pipeline { agent any
 parameters { string(name: 'WHO', defaultValue: 'me') }
 environment { A = 'one'; B = "${A}-two"; PATH = "/extra:${env.PATH}" }
 stages { stage('s') { environment { A = 'inner' }
  steps {
   sh 'echo shell=$A,$B,$WHO,$JOB_NAME,$BUILD_NUMBER,$STAGE_NAME; case $PATH in /extra:/*) echo path ok;; esac'
   withEnv(['A=with', 'C+X=first']) { sh 'echo with=$A,$C' }
   echo "bare ${BUILD_NUMBER} ${HOST_ONLY} ${env.NOSUCH}"
   script { env.LATER = 'set' }
   sh 'echo later=$LATER'
  } } } }`,
			result: ResultSuccess,
			want:   []string{"shell=inner,one-two,me,team/app,7,s\n", "path ok\n", "with=with,first\n", "bare 7 from-agent null\n", "later=set\n"},
		},
		"EnvironmentInParallel": {
			reason: "Branches that ask for the agent's variables at the same time do not block each other",
			src: `pipeline { agent any
 stages { stage('p') { parallel {
  stage('a') { steps { echo "a ${HOST_ONLY}" } }
  stage('b') { steps { echo "b ${HOST_ONLY}" } }
  stage('c') { steps { echo "c ${env.HOST_ONLY}" } } } } } }`,
			result: ResultSuccess,
			want:   []string{"a from-agent\n", "b from-agent\n", "c from-agent\n"},
		},
		"LoopInTimeout": {
			reason: "timeout also stops a script that only computes",
			src:    stages("timeout(time: 100, unit: 'MILLISECONDS') { script { while (true) { def x = 1 } } }"),
			result: ResultAborted,
			want:   []string{"Timeout has been exceeded\n"},
		},
		"Files": {
			reason: "Files are written, read, found and deleted in the current folder",
			src: stages(`dir('sub') { writeFile file: 'a/b.txt', text: 'content' }
 script {
  echo "exists ${fileExists('sub/a/b.txt')} ${fileExists('nosuch')}"
  echo "read ${readFile('sub/a/b.txt')}"
  dir('sub') { deleteDir() }
  echo "gone ${!fileExists('sub/a/b.txt')} unix ${isUnix()}"
 }`),
			result: ResultSuccess,
			want:   []string{"Running in /", "/sub\n[Pipeline] {", "exists true false", "read content", "gone true unix true"},
		},
		"MissingFile": {
			reason: "Reading a file that does not exist fails with its name",
			src:    stages(`readFile 'nosuch.txt'`),
			result: ResultFailure,
			want:   []string{"java.nio.file.NoSuchFileException: /", "nosuch.txt\n\tat WorkflowScript.run(WorkflowScript:3)"},
		},
		"NoArtifacts": {
			reason: "archiveArtifacts fails if nothing matches, unless that is allowed",
			src:    stages("archiveArtifacts artifacts: '*.none', allowEmptyArchive: true\n archiveArtifacts '*.jar'"),
			result: ResultFailure,
			want:   []string{`No artifacts found that match the file pattern "*.none". Configuration error?`, `ERROR: No artifacts found that match the file pattern "*.jar". Configuration error?`},
		},
		"Retry": {
			reason: "retry runs its block again after a failure",
			src:    stages(`retry(3) { sh 'echo x >> n; test $(wc -l < n) -ge 2' }`),
			result: ResultSuccess,
			want:   []string{"ERROR: script returned exit code 1\nRetrying\n[Pipeline] {\n[Pipeline] sh"},
		},
		"CatchError": {
			reason: "catchError goes on and sets the results that it is told to",
			src:    stages("catchError(message: 'well', buildResult: 'UNSTABLE', stageResult: 'FAILURE') { error 'boom' }\n echo 'after'"),
			result: ResultUnstable,
			want:   []string{"ERROR: well\nERROR: boom\n[Pipeline] // catchError\n[Pipeline] echo\nafter\n"},
		},
		"WarnError": {
			reason: "warnError makes the build unstable",
			src:    stages("warnError('careful') { error 'boom' }"),
			result: ResultUnstable,
			want:   []string{"ERROR: careful\n"},
		},
		"Unstable": {
			reason: "unstable sets build and stage and goes on; skipStagesAfterUnstable skips the rest",
			src: `pipeline { agent any
 options { skipStagesAfterUnstable() }
 stages { stage('s') { steps { unstable 'hm' }
 post { unstable { echo 'stage post' } } }
 stage('t') { steps { echo 'never' } } }
 post { unstable { echo 'shaky' } } }`,
			result: ResultUnstable,
			want:   []string{"WARNING: hm\n", "Post stage\n[Pipeline] echo\nstage post\n", `Stage "t" skipped due to earlier stage(s) marking the build as unstable`, "shaky\n"},
			absent: []string{"never"},
		},
		"Timeout": {
			reason: "timeout stops the step in it; the build is aborted and post runs",
			src: `pipeline { agent any
 stages { stage('s') { steps { timeout(time: 300, unit: 'MILLISECONDS') { sh 'sleep 30' } } } }
 post { aborted { echo 'too slow' } } }`,
			result: ResultAborted,
			want: []string{"Timeout set to expire in 300 ms\n", "Cancelling nested steps due to timeout\n", "Sending interrupt signal to process\n",
				"too slow\n", "Timeout has been exceeded\n"},
		},
		"FailFast": {
			reason: "failFast stops the other branches",
			src: `pipeline { agent any
 stages { stage('p') { failFast true
  parallel { stage('slow') { steps { sh 'sleep 30' } }
 stage('bad') { steps { sh 'sleep 0.2'; error 'no' } } } } } }`,
			result: ResultFailure,
			want:   []string{"Failed in branch bad\n", "Failed in branch slow\n", "ERROR: no\n"},
		},
		"ScriptParallel": {
			reason: "parallel, closures and stages work in a script",
			src: stages(`script {
  def jobs = [:]
  for (x in ['a', 'b']) { def name = x; jobs["job ${name}"] = { stage("in ${name}") { sh "echo branch=${name}" } } }
  jobs.failFast = false
  parallel jobs
}`),
			result: ResultSuccess,
			want:   []string{"{ (Branch: job a)", "branch=a\n", "branch=b\n", "{ (in b)"},
		},
		"When": {
			reason: "Conditions are evaluated with environment, branch and parameters",
			src: `pipeline { agent any
 parameters { booleanParam(name: 'YES', defaultValue: true) }
 environment { TIER = 'prod' }
 stages {
  stage('1') { when { environment name: 'TIER', value: 'prod'; branch 'feature/*'; not { branch 'main' } }
 steps { echo 'run 1' } }
  stage('2') { when { anyOf { equals expected: false, actual: params.YES; expression { return params.YES && env.TIER == 'prod' } } }
 steps { echo 'run 2' } }
  stage('3') { when { beforeAgent true; allOf { equals expected: true, actual: params.YES; branch pattern: 'rel-\\d+', comparator: 'REGEXP' } }
 agent any
   steps { echo 'run 3' } }
  stage('4') { when { changeRequest() }
 steps { echo 'run 4' } }
 } }`,
			change: func(r *testRun) { r.spec.Build.Branch = "feature/x" },
			result: ResultSuccess,
			want:   []string{"run 1\n", "run 2\n", `Stage "3" skipped due to when conditional`, `Stage "4" skipped due to when conditional`},
			absent: []string{"run 3", "run 4"},
		},
		"Credentials": {
			reason: "credentials() sets the variables and their secrets never reach the log",
			src: `pipeline { agent any
 environment { REG = credentials('reg'); TOKEN = credentials('tok') }
 stages { stage('s') { steps { sh 'echo user=$REG_USR pw=$REG_PSW both=$REG t=$TOKEN'; echo "say ${TOKEN}"; error "leak ${env.REG_PSW}" } } } }`,
			change: func(r *testRun) {
				r.spec.Credentials = secrets{"reg": {Kind: CredentialUsernamePassword, Username: "bob", Password: "hunter2"}, "tok": {Kind: CredentialSecretText, Secret: "t0psecret"}}
			},
			result: ResultFailure,
			want:   []string{"[Pipeline] withCredentials\nMasking supported pattern matches of $REG_PSW or $TOKEN\n", "user=bob pw=**** both=**** t=****\n", "say ****\n", "ERROR: leak ****\n"},
			absent: []string{"hunter2", "t0psecret"},
		},
		"MissingCredential": {
			reason: "A credential that does not exist fails with its ID",
			src:    `pipeline { agent any; environment { X = credentials('nosuch') }; stages { stage('s') { steps { echo 'x' } } } }`,
			change: func(r *testRun) { r.spec.Credentials = secrets{} },
			result: ResultFailure,
			want:   []string{"ERROR: Could not find credentials entry with ID 'nosuch'"},
		},
		"SensitiveParameter": {
			reason: "The value of a password parameter is masked",
			src:    `pipeline { agent any; parameters { password(name: 'PW', defaultValue: 's3cr3t') }; stages { stage('s') { steps { sh 'echo pw=$PW' } } } }`,
			result: ResultSuccess,
			want:   []string{"pw=****\n"},
			absent: []string{"s3cr3t"},
		},
		"AgentNone": {
			reason: "Steps that need an agent fail clearly without one; others run",
			src:    `pipeline { agent none; stages { stage('s') { steps { echo 'fine'; sh 'true' } } } }`,
			result: ResultFailure,
			want:   []string{"fine\n", "ERROR: Attempted to execute a step that requires a node context while ‘agent none’ was specified."},
		},
		"StageAgent": {
			reason: "A stage with an agent gets its own",
			src: `pipeline { agent none; stages { stage('s') { agent { label 'linux' }
 steps { sh 'echo on $NODE_NAME' } }
 stage('t') { agent { node { label "${'lin' + 'ux'}" } }
 steps { sh 'echo on $NODE_NAME' } } } }`,
			result: ResultSuccess,
			want:   []string{"on agent-1\n", "on agent-2\n"},
		},
		"AgentFails": {
			reason: "A provider that has no agent ends the build with its reason, and post runs without one",
			src: `pipeline { agent any; stages { stage('s') { steps { echo 'never' } } }
 post { always { echo 'post' } } }`,
			change: func(r *testRun) { r.agents.fail = errors.New("image not found") },
			result: ResultFailure,
			want:   []string{"ERROR: No agent for any label: image not found", "post\n"},
			absent: []string{"never"},
		},
		"AgentLost": {
			reason: "An agent that dies ends the build with a clear message",
			src:    stages("sh 'make'"),
			change: func(r *testRun) {
				r.agents.shell = func(context.Context, ShellRequest, io.Writer) (int, error) { return 0, errors.New("pod was evicted") }
			},
			result: ResultFailure,
			want:   []string{"ERROR: Agent agent-1 was lost: pod was evicted\n"},
		},
		"Waiting": {
			reason: "The log says why the build waits for an agent",
			src:    stages("echo 'x'"),
			change: func(r *testRun) {
				r.agents.reasons = []string{"‘agent-1’ is offline", "Pulling image registry/x"}
			},
			result: ResultSuccess,
			want:   []string{"[Pipeline] node\nStill waiting to schedule task\n‘agent-1’ is offline\nPulling image registry/x\nRunning on agent-1 in "},
		},
		"Checkout": {
			reason: "A Jenkinsfile from a repository checks it out first, with its credential, and gives GIT_COMMIT",
			src:    `pipeline { agent any; stages { stage('s') { steps { sh 'cat README; echo c=$GIT_COMMIT'; checkout scm; git url: 'https://u:pw123@git.example/x.git', branch: 'dev' } } } }`,
			change: func(r *testRun) {
				r.spec.SCM = &SCM{URL: "https://git.example/r.git", Branch: "main", CredentialsID: "git"}
				r.spec.Credentials = secrets{"git": {Kind: CredentialUsernamePassword, Username: "u", Password: "gitpw"}}
			},
			result: ResultSuccess,
			want: []string{"[Pipeline] { (Declarative: Checkout SCM)\n[Pipeline] checkout\nusing credential git\nCloning repository https://git.example/r.git\nCloning with ****\nChecking out Revision 0123456789abcdef\n",
				"c=0123456789abcdef\n", "Cloning repository https://u:****@git.example/x.git"},
			absent: []string{"gitpw", "pw123"},
		},
		"CloneFails": {
			reason: "A repository that can not be cloned is an error of the step, not of the agent",
			src:    stages("git 'https://git.example/missing.git'"),
			result: ResultFailure,
			want:   []string{"ERROR: Error cloning remote repo https://git.example/missing.git: repository not found\n"},
		},
		"CurrentBuild": {
			reason: "currentBuild can be read and changed; results only get worse",
			src: stages(`script {
  currentBuild.displayName = "v1-${currentBuild.number}"
  currentBuild.description = 'text'
  currentBuild.result = 'UNSTABLE'
  currentBuild.result = 'SUCCESS'
  echo "now ${currentBuild.currentResult} ${currentBuild.resultIsWorseOrEqualTo('UNSTABLE')} ${currentBuild.previousBuild?.result}"
}`),
			change: func(r *testRun) { r.spec.Build.PreviousResult = ResultFailure },
			result: ResultUnstable,
			want:   []string{"now UNSTABLE true FAILURE\n"},
		},
		"PostChanged": {
			reason: "fixed and changed look at the build before",
			src: `pipeline { agent any; stages { stage('s') { steps { echo 'x' } } }
 post { fixed { echo 'is fixed' }
 changed { echo 'is changed' }
 regression { echo 'is worse' } } }`,
			change: func(r *testRun) { r.spec.Build.PreviousResult = ResultFailure },
			result: ResultSuccess,
			want:   []string{"is changed\n[Pipeline] echo\nis fixed\n"},
			absent: []string{"is worse"},
		},
		"PostFails": {
			reason: "A failure in post is shown, makes the build fail, and the other conditions run",
			src: `pipeline { agent any; stages { stage('s') { steps { echo 'x' } } }
 post { always { error 'in post' }
 cleanup { echo 'tidy' } } }`,
			result: ResultFailure,
			want:   []string{"Error when executing always post condition:\nERROR: in post\n", "tidy\n"},
		},
		"EndlessLoop": {
			reason: "A loop without an end is stopped with its place",
			src:    stages("script {\n while (true) { def x = 1 }\n}"),
			result: ResultFailure,
			want:   []string{"ERROR: The script did more than", "is a loop endless? @ line 4"},
		},
		"ScriptError": {
			reason: "An error of the script shows class, message and line",
			src:    stages("echo 'x'\n script {\n  def l = []\n  l.nosuch()\n }"),
			result: ResultFailure,
			want:   []string{"groovy.lang.MissingMethodException: No signature of method: java.util.ArrayList.nosuch() is applicable for argument types: () values: []\n\tat WorkflowScript.run(WorkflowScript:6)"},
		},
		"MissingProperty": {
			reason: "An unknown name is a MissingPropertyException",
			src:    stages(`echo "${nosuch}"`),
			result: ResultFailure,
			want:   []string{"groovy.lang.MissingPropertyException: No such property: nosuch for class: groovy.lang.Binding"},
		},
		"TryCatch": {
			reason: "Scripts catch errors of steps and run finally",
			src: stages(`script {
  try { sh 'exit 9' } catch (hudson.AbortException e) { echo "caught ${e.message}" } finally { echo 'finally' }
  try { error 'two' } catch (err) { echo "again ${err}" }
  try { throw new RuntimeException('own') } catch (Exception e) { println e.getMessage() }
}`),
			result: ResultSuccess,
			want:   []string{"caught script returned exit code 9\n", "finally\n", "again hudson.AbortException: two\n", "own\n"},
		},
		"Functions": {
			reason: "Functions above the pipeline can be called",
			src:    "def hello(who, n = 2) { return 'hi ' + who * n }\ndef shout(s) { echo s.toUpperCase() }\n" + stages("echo \"${hello('x')}\"\n script { shout(hello('y', 1)) }"),
			result: ResultSuccess,
			want:   []string{"hi xx\n", "HI Y\n"},
		},
		"NoNewline": {
			reason: "Output without a line end does not swallow the next line of the log",
			src:    stages("sh '#!/bin/sh\\nprintf abc'\n echo 'next'"),
			result: ResultSuccess,
			want:   []string{"abc\n[Pipeline] echo\nnext\n"},
		},
		"Timestamps": {
			reason: "timestamps() stands in front of the lines of steps only",
			src:    "pipeline { agent any; options { timestamps() }; stages { stage('s') { steps { echo 'two\\nlines' } } } }",
			result: ResultSuccess,
			want:   []string{"[Pipeline] echo\n[20", "Z] two\n[20", "Z] lines\n[Pipeline] }"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, tc.src)
			if tc.change != nil {
				tc.change(r)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			result, err := r.run(ctx)
			log := r.mem.text()
			if result != tc.result {
				t.Errorf("%s: result %s (%v), want %s", tc.reason, result, err, tc.result)
			}
			if (err != nil) != (tc.result == ResultFailure || tc.result == ResultAborted) {
				t.Errorf("%s: error %v with result %s", tc.reason, err, result)
			}
			for _, w := range tc.want {
				if !strings.Contains(log, w) {
					t.Errorf("%s: the log lacks %q", tc.reason, w)
				}
			}
			for _, w := range tc.absent {
				for id, l := range r.mem.stepLogs {
					if strings.Contains(l.String(), w) {
						t.Errorf("%s: the log of step %s has %q", tc.reason, id, w)
					}
				}
				if strings.Contains(log, w) || strings.Contains(fmt.Sprint(r.mem.steps), w) {
					t.Errorf("%s: log or steps have %q", tc.reason, w)
				}
			}
			if len(r.agents.acquired) != r.agents.released && r.agents.fail == nil {
				t.Errorf("%d agents acquired, %d released", len(r.agents.acquired), r.agents.released)
			}
			for _, n := range r.mem.nodes {
				if n.State != StateFinished && n.State != StateSkipped {
					t.Errorf("node %s ended as %s", n.DisplayName, n.State)
				}
			}
			seen := map[string]bool{}
			for _, id := range r.agents.ids {
				if seen[id] {
					t.Errorf("shell ID %s is used twice", id)
				}
				seen[id] = true
			}
			if t.Failed() {
				t.Log(log)
			}
		})
	}
}

func TestAbortWhileWaiting(t *testing.T) {
	r := newRun(t, `pipeline { agent any; stages { stage('s') { steps { echo 'never' } } }
 post { aborted { echo 'was aborted' } } }`)
	r.agents.delay = make(chan struct{})
	r.agents.reasons = []string{"no room"}
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "no room") {
			cancel(&AbortError{User: "alice"})
		}
	}
	result, err := r.run(ctx)
	var abort *AbortError
	if result != ResultAborted || !errors.As(err, &abort) || abort.User != "alice" {
		t.Errorf("got %s, %v", result, err)
	}
	for _, want := range []string{"Aborted by alice\n", "was aborted\n", "[Pipeline] End of Pipeline\n"} {
		if !strings.Contains(r.mem.text(), want) {
			t.Errorf("log lacks %q:\n%s", want, r.mem.text())
		}
	}
}

func TestAbortStopsTheScript(t *testing.T) {
	r := newRun(t, `pipeline { agent any
 stages { stage('s') { steps { script { try { sh 'echo started; sleep 60' } catch (e) { echo 'swallowed'; sh 'echo tidy' } finally { echo 'cleaning' }
 echo 'not reached' } } }
 stage('t') { steps { echo 'never' } } }
 post { always { sh 'echo post shell' } } }`)
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "\nstarted\n") {
			cancel(&AbortError{User: "bob"})
		}
	}
	begin := time.Now()
	result, _ := r.run(ctx)
	if result != ResultAborted {
		t.Errorf("result %s", result)
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	log := r.mem.text()
	for _, want := range []string{"Aborted by bob\n", "Sending interrupt signal to process\n", "swallowed\n", "+ echo tidy\n", "cleaning\n", "+ echo post shell\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "not reached") || strings.Contains(log, "never") {
		t.Errorf("the script went on after an abort:\n%s", log)
	}
	if n := r.mem.node("s"); n.Result != ResultAborted {
		t.Errorf("stage ended as %s", n.Result)
	}
}

func TestPostIsBounded(t *testing.T) {
	r := newRun(t, `pipeline { agent any; stages { stage('s') { steps { sh 'echo go; sleep 60' } } }
 post { always { sh 'sleep 60' }
 cleanup { echo 'x' } } }`)
	r.spec.PostTimeout = 200 * time.Millisecond
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "\ngo\n") {
			cancel(&AbortError{User: "bob"})
		}
	}
	begin := time.Now()
	if result, _ := r.run(ctx); result != ResultAborted {
		t.Errorf("result %s", result)
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("post ran for %v", d)
	}
}

func TestArtifacts(t *testing.T) {
	r := newRun(t, stages(`sh 'mkdir -p "out/a dir"; echo 1 > "out/a dir/ü.txt"; echo 2 > out/b.log; echo 3 > c.txt'
 archiveArtifacts artifacts: 'out/**, c.txt', excludes: '**/*.log', fingerprint: true`))
	if result, err := r.run(context.Background()); result != ResultSuccess {
		t.Fatal(result, err, r.mem.text())
	}
	want := memArtifacts{"out/a dir/ü.txt": "1\n", "c.txt": "3\n"}
	if d := cmp.Diff(want, r.spec.Artifacts); d != "" {
		t.Error(d)
	}
}

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		reason string
		src    string
		want   []string
	}{
		"Fine":     {"What the engine runs passes", stages("sh 'x'\n script { def f = { it }; f(1); [1].each { echo \"$it\" } }"), nil},
		"Step":     {"An unknown step is refused with its place", stages("echo 'x'\n nosuchStep 'r.xml'"), []string{`4: step "nosuchStep"`, "connect a Jenkins server", "@ line 4, column 2."}},
		"InScript": {"Also in a script", stages("script { if (true) { nosuchBlock('x') { } } }"), []string{`step "nosuchBlock"`}},
		"Argument": {"An argument that is not understood is refused", stages("git url: 'x', shallow: true"), []string{`parameter "shallow" of step "git"`}},
		"Docker":   {"Agents that are no pods with a label are refused", "pipeline { agent { docker 'go' }\n stages { stage('s') { steps { echo 'x' } } } }", []string{`1: agent "docker"`}},
		"Label":    {"A label that nothing has is refused", "pipeline { agent { label 'nosuch' }\n stages { stage('s') { steps { echo 'x' } } } }", []string{"There are no agents with the label ‘nosuch’"}},
		"Option":   {"An argument of an option that is not understood is refused", "pipeline { agent any\n options { lock(label: 'x') }\n stages { stage('s') { steps { echo 'x' } } } }", []string{`2: parameter "label" of step "lock"`}},
		"Several": {"All problems are found, in order", "pipeline { agent any\n tools { maven 'm' }\n options { podTemplate(yaml: 'x') }\n stages { stage('s') { input { message 'go?' }\n when { branch 'x' }\n steps { nosuchStep 'x' } } } }",
			[]string{`2: tool "maven"`, `3: option "podTemplate"`, `6: step "nosuchStep"`}},
		"Trigger": {"Triggers that the server does not know are refused", "pipeline { agent any\n triggers { cron('H/5 * * * *')\n githubPush() }\n stages { stage('s') { steps { echo 'x' } } } }",
			[]string{`3: trigger "githubPush"`, "or use pollSCM and /git/notifyCommit"}},
		"Schedule": {"A schedule that is wrong is refused with its place", "pipeline { agent any\n triggers { cron('99 * * * *') }\n stages { stage('s') { steps { echo 'x' } } } }",
			[]string{`WorkflowScript: 2: Invalid input: "99 * * * *"`}},
		"New":   {"new is refused", stages("script { def f = new File('/etc/passwd') }"), []string{`"new File"`}},
		"Throw": {"but not where it throws", stages("script { throw new Exception('x') }"), nil},
		"Class": {"Classes are refused", "class A { def x }\n" + stages("echo 'x'"), []string{`class "A"`}},
		"Library": {"Shared libraries are refused", "@Library('x') _\n" + stages("echo 'x'"),
			[]string{`annotation "@Library"`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := Check(mustParse(t, tc.src), &fakeAgents{labels: []string{"linux"}})
			if len(tc.want) == 0 {
				if err != nil {
					t.Errorf("%s: %v", tc.reason, err)
				}
				return
			}
			var ce *CheckError
			if !errors.As(err, &ce) {
				t.Fatalf("%s: got %v", tc.reason, err)
			}
			rest := err.Error()
			for _, w := range tc.want {
				i := strings.Index(rest, w)
				if i < 0 {
					t.Fatalf("%s: %q is missing or out of order in\n%s", tc.reason, w, err)
				}
				rest = rest[i:]
			}
		})
	}
}

func TestRunRefusesBeforeTheStart(t *testing.T) {
	r := newRun(t, stages("echo 'never'\n nosuch 'x'"))
	result, err := r.run(context.Background())
	var ce *CheckError
	if result != ResultFailure || !errors.As(err, &ce) {
		t.Errorf("got %s, %v", result, err)
	}
	if len(r.agents.acquired) != 0 || strings.Contains(r.mem.text(), "Start of Pipeline") {
		t.Errorf("the build began:\n%s", r.mem.text())
	}
}

func TestResolveParams(t *testing.T) {
	defs := []jenkinsfile.Parameter{
		{Name: "s", Type: jenkinsfile.ParameterString, Default: "d", Trim: true},
		{Name: "b", Type: jenkinsfile.ParameterBoolean, Default: "false"},
		{Name: "c", Type: jenkinsfile.ParameterChoice, Choices: []string{"x", "y"}, Default: "x"},
		{Name: "p", Type: jenkinsfile.ParameterPassword, Default: "pw"},
	}
	got, err := ResolveParams(defs, map[string]string{"s": " v ", "b": "true", "nosuch": "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []ParamValue{{Name: "s", Value: "v"}, {Name: "b", Value: true}, {Name: "c", Value: "x"}, {Name: "p", Value: "pw", Sensitive: true}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := ResolveParams(defs, map[string]string{"c": "z"}); err == nil {
		t.Error("a choice that is not offered was taken")
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1 sec", time.Minute: "1 min 0 sec", 5 * time.Minute: "5 min 0 sec", 90 * time.Minute: "1 hr 30 min",
		25 * time.Hour: "1 day 1 hr", 49 * time.Hour: "2 days 1 hr", 250 * time.Millisecond: "250 ms",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestMatchAnt(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"main", "main", true}, {"main", "maint", false}, {"release-*", "release-1.2", true}, {"feature/*", "feature/a", true},
		{"feature/*", "feature/a/b", false}, {"feature/**", "feature/a/b", true}, {"**/x", "x", true}, {"*", "a/b", false},
		{"r?l", "rel", true}, {"**", "", true}, {strings.Repeat("*a", 30) + "b", strings.Repeat("a", 60), false},
	} {
		if got := matchAnt(tc.pattern, tc.s); got != tc.want {
			t.Errorf("matchAnt(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
}

func TestShellIDsAreStable(t *testing.T) {
	src := `pipeline { agent any; stages { stage('p') { parallel { stage('a') { steps { sh 'sleep 0.1'; sh 'true' } }
 stage('b') { steps { sh 'true'; retry(2) { sh 'true' } } } } } }
 post { always { sh 'true' } } }`
	ids := func() map[string]bool {
		r := newRun(t, src)
		if res, err := r.run(context.Background()); res != ResultSuccess {
			t.Fatal(res, err)
		}
		out := map[string]bool{}
		for _, id := range r.agents.ids {
			out[id] = true
		}
		return out
	}
	a, b := ids(), ids()
	if d := cmp.Diff(a, b); d != "" || len(a) != 5 {
		t.Errorf("%d IDs, second run differs: %s", len(a), d)
	}
}

func TestMatchAntCost(t *testing.T) {
	begin := time.Now()
	if matchAnt(strings.Repeat("**/", 3000)+"x", strings.Repeat("a/", 2000)+"y") {
		t.Error("it does not match")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("a pattern takes %v", took)
	}
}
