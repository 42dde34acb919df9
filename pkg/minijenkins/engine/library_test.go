// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// memLibraries keeps libraries by name and version.
type memLibraries map[string]*Library

func (m memLibraries) Resolve(_ context.Context, req LibraryRequest, say func(string)) (LibraryPin, error) {
	l := m[req.String()]
	if l == nil {
		return LibraryPin{}, fmt.Errorf("No library named %s found", req.Name)
	}
	say("Found match: revision " + l.Commit)
	return l.LibraryPin, nil
}

func (m memLibraries) Open(pin LibraryPin) (*Library, error) {
	for _, l := range m {
		if l.ID == pin.ID {
			return l, nil
		}
	}
	return nil, errors.New("not kept")
}

func testLibrary() *Library {
	return &Library{
		LibraryPin: LibraryPin{ID: "1", Name: "shared", Version: "main", Commit: "c0ffee"},
		Vars: map[string]string{
			"greet":     "import groovy.transform.Field\n@Field int calls = 0\ndef call(String who = 'nobody') {\n  calls++\n  echo \"hello ${who}, call ${calls} of ${env.JOB_NAME} ${params.P}\"\n  return calls\n}\ndef loud(String who) { echo who.toUpperCase(); helper(who) }\ndef helper(who) { echo \"helped ${who}\" }",
			"wrapped":   "def call(Map config = [:], Closure body) {\n  echo \"before ${config.name}\"\n  withEnv([\"W=${config.name}\"]) { body() }\n  echo 'after'\n}",
			"config":    "def call(Closure body) {\n  def config = [:]\n  body.resolveStrategy = Closure.DELEGATE_FIRST\n  body.delegate = config\n  body()\n  echo \"image ${config.image}\"\n}",
			"broken":    "def call() {\n  echo 'x'\n  throw new Exception('boom')\n}",
			"fails":     "def call() {\n\n  def x = null\n  x.size()\n}",
			"twice":     "def call() { greet('twice'); greet.loud('again') }",
			"bad":       "def call() {\n  echo 'a'\n  slackSend 'x'\n}",
			"usesSrc":   "import org.acme.Tool\ndef call() { new Tool().run() }",
			"syntax":    "def call( {",
			"res":       "def call() { return libraryResource('a/b.txt') }",
			"echo2":     "def call(m) { echo \"<${m}>\" }",
			"standard":  "def call(Map config = [:]) {\n  def image = config.image ?: 'none'\n  pipeline {\n    agent any\n    parameters { string(name: 'WHO', defaultValue: 'me') }\n    environment { IMG = \"${image}\" }\n    stages {\n      stage('build') { steps { sh \"echo image=${config.image} env=\\$IMG\"\n script { config.hook?.call(params.WHO) } } }\n      stage('deploy') { when { expression { config.deploy } }\n        steps { greet(image) } }\n    }\n    post { always { echo \"done ${image}\" } }\n  }\n}",
			"badPipe":   "def call() {\n pipeline { agent { docker 'x' }\n stages { stage('s') { steps { nosuch() } } } }\n}",
			"emptyPipe": "def call() {\n pipeline { }\n}",
			"isUnix":    "def call() { return 'overridden' }",
		},
		Resources: map[string][]byte{"a/b.txt": []byte("text\n"), "bin": {0xff, 0xfe}},
		Classes:   []string{"org.acme.Tool"},
	}
}

func testLibraries() memLibraries {
	other := testLibrary()
	other.ID, other.Version, other.Vars = "2", "v2", map[string]string{"late": "def call() { echo 'late called' }", "unused": "def call() { slackSend 'x' }"}
	other.Name = "other"
	bad := testLibrary()
	bad.ID, bad.Name, bad.Vars = "3", "bad", map[string]string{"late": "def call() {\n slackSend 'x' }"}
	return memLibraries{"shared@main": testLibrary(), "other@v2": other, "bad": bad}
}

func TestLibraries(t *testing.T) {
	static := func(r *testRun) {
		r.spec.Loaded = []*Library{testLibrary()}
		r.spec.Params = []ParamValue{{Name: "P", Value: "pv"}}
	}
	dynamic := func(r *testRun) { r.spec.Libraries = testLibraries() }
	lib := "@Library('shared@main') _\n"
	runCases(t, map[string]stepCase{
		"Calls": {
			reason: "A variable of a library is called, keeps its fields, and sees env and params",
			src:    lib + stages("greet 'a'\n greet()\n script { def n = greet('c'); greet.loud('quiet'); echo \"n=${n}\" }"), change: static,
			result: ResultSuccess, want: []string{"hello a, call 1 of team/app pv\n", "hello nobody, call 2", "hello c, call 3", "QUIET\n", "helped quiet\n", "n=3\n"},
		},
		"Body": {
			reason: "A closure and a map reach it as in Groovy",
			src:    lib + stages("wrapped(name: 'w') { sh 'echo in=$W' }"), change: static,
			result: ResultSuccess, want: []string{"before w\n", "in=w\n", "after\n"},
		},
		"EachOther": {
			reason: "Libraries call their own variables",
			src:    lib + stages("twice()"), change: static, result: ResultSuccess, want: []string{"hello twice, call 1", "AGAIN\n"},
		},
		"Pipeline": {
			reason: "A whole pipeline in a library sees the variables of its function",
			src:    lib + "standard(image: 'go', deploy: true, hook: { who -> echo \"hook ${who}\" })", change: static,
			result: ResultSuccess, want: []string{"image=go env=go\n", "hook me\n", "[Pipeline] { (deploy)\n", "hello go, call 1", "[Pipeline] { (Declarative: Post Actions)\n", "done go\n"},
		},
		"PipelineSkips": {
			reason: "and its when directives, too",
			src:    lib + "standard()", change: static, result: ResultSuccess, want: []string{"image=null env=none\n", "Stage \"deploy\" skipped due to when conditional", "done none\n"},
		},
		"TwoPipelines": {
			reason: "One pipeline is enough",
			src:    lib + "standard()\nstandard()", change: static, result: ResultFailure, want: []string{"ERROR: pipeline: only one pipeline block can run in a build"},
		},
		"Resource": {
			reason: "libraryResource reads text, and bytes as Base64",
			src:    lib + stages("script { echo \"r=${res().trim()} ${libraryResource(resource: 'bin', encoding: 'Base64')}\" }"), change: static,
			result: ResultSuccess, want: []string{"r=text //4=\n"},
		},
		"NoResource": {
			reason: "and says what is not there",
			src:    lib + stages("script { libraryResource 'none' }"), change: static, result: ResultFailure, want: []string{"ERROR: No such library resource none could be found."},
		},
		"Overrides": {
			reason: "A variable goes before a step of its name",
			src:    lib + stages("script { echo \"u=${isUnix()}\" }"), change: static, result: ResultSuccess, want: []string{"u=overridden\n"},
		},
		"Place": {
			reason: "An error names the file and the line of the library",
			src:    lib + stages("fails()"), change: static, result: ResultFailure, want: []string{"NullPointerException", "at fails.call(shared@main: vars/fails.groovy:4)\n"},
		},
		"Step": {
			reason: "The step library brings names during the run",
			src:    stages("script { library 'other@v2'\n late() }"), change: dynamic,
			result: ResultSuccess, want: []string{"Loading library other@v2\n", "Found match: revision c0ffee\n", "late called\n"},
		},
		"StepInPreamble": {
			reason: "also outside of the pipeline, with a retriever",
			src:    "library identifier: 'other@v2', retriever: modernSCM([$class: 'GitSCMSource', remote: 'https://git.example/x.git', credentialsId: 'c'])\n" + stages("late()"), change: dynamic,
			result: ResultSuccess, want: []string{"late called\n"},
		},
		"StepRefuses": {
			reason: "What the script uses of it is looked at then",
			src:    stages("script { library 'bad'\n late() }"), change: dynamic,
			result: ResultFailure, want: []string{`ERROR: bad@main: vars/late.groovy: 2: step "slackSend"`}, absent: []string{"late called"},
		},
		"StepUnknown": {
			reason: "A library that is not configured",
			src:    stages("script { library 'none@x' }"), change: dynamic, result: ResultFailure, want: []string{"ERROR: No library named none found"},
		},
		"Twice": {
			reason: "The first definition counts",
			src:    stages("script { library 'other@v2'; library 'other@v3'; late() }"), change: dynamic,
			result: ResultSuccess, want: []string{"Only using first definition of library other\n"},
		},
		"Classes": {
			reason: "Its classes are refused by name",
			src:    stages("script { library('other@v2').org.acme.Tool.new() }"), change: dynamic,
			result: ResultFailure, want: []string{"org of the library other: classes of libraries", "connect a Jenkins server"},
		},
		"UnknownName": {
			reason: "A name that no library brought fails when it is called",
			src:    stages("script { library 'other@v2'\n nowhere() }"), change: dynamic, result: ResultFailure, want: []string{"No such DSL method 'nowhere'"},
		},
	})
}

func TestCheckLibraries(t *testing.T) {
	for name, tc := range map[string]struct{ reason, src, want string }{
		"Fine":        {"What is used can run", "@Library('shared') _\n" + stages("greet 'x'"), ""},
		"List":        {"A list of libraries", "@Library(['shared', 'none@1']) _\n" + stages("greet 'x'"), `1: annotation "@Library"`},
		"Directive":   {"libraries {} of Declarative Pipeline", "pipeline { agent any\n libraries { lib('shared@main') }\n stages { stage('s') { steps { greet 'x' } } } }", ""},
		"Unknown":     {"A library that is not there", "@Library('none') _\n" + stages("echo 'x'"), `annotation "@Library"`},
		"NotConstant": {"A name that has to be computed", "def n = 'x'\n@Library(\"${n}\") _\n" + stages("echo 'x'"), `annotation "@Library"`},
		"Inside":      {"What a used variable cannot do is named with its file", "@Library('shared') _\n" + stages("bad()"), `shared@main: vars/bad.groovy: 3: step "slackSend"`},
		"Unused":      {"and what nobody uses does not matter", "@Library('shared') _\n" + stages("greet()"), ""},
		"Class":       {"A class of src", "@Library('shared') import org.acme.Tool\n" + stages("echo 'x'"), `class "org.acme.Tool" of the library shared`},
		"ClassInside": {"also in a variable", "@Library('shared') _\n" + stages("usesSrc()"), "shared@main: vars/usesSrc.groovy: 1: class"},
		"Pipeline":    {"A pipeline in a library is checked like one", "@Library('shared') _\nbadPipe()", "shared@main: vars/badPipe.groovy: 2: agent \"docker\""},
		"PipeStep":    {"with its steps", "@Library('shared') _\nbadPipe()", "shared@main: vars/badPipe.groovy: 3: step \"nosuch\""},
		"EmptyPipe":   {"and its rules", "@Library('shared') _\nemptyPipe()", "shared@main: vars/emptyPipe.groovy: 2: Missing required section \"stages\""},
		"Syntax":      {"A file that cannot be read", "@Library('shared') _\n" + stages("syntax()"), "shared@main: vars/syntax.groovy: 1:"},
		"Step":        {"A step that nobody has", "@Library('shared') _\n" + stages("nosuch()"), `step "nosuch"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckWith(mustParse(t, tc.src), &fakeAgents{}, []*Library{testLibrary()})
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("%s: %v", tc.reason, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%s: got %v, want %s", tc.reason, err, tc.want)
			}
		})
	}
}

func TestCheckouts(t *testing.T) {
	scm := func(r *testRun) {
		r.spec.SCM = &SCM{URL: "https://git.example/own.git", Branch: "main", Commit: strings.Repeat("a", 40), CredentialsID: "cred", PreviousCommit: "p1", PreviousSuccess: "p0"}
		r.spec.Credentials = secrets{"cred": {Kind: CredentialUsernamePassword, Username: "u", Password: "pw12345"}}
	}
	at := func(want CloneRequest) func(t *testing.T, r *testRun) {
		return func(t *testing.T, r *testRun) {
			t.Helper()
			got := r.agents.clones[len(r.agents.clones)-1]
			if got.URL != want.URL || got.Ref != want.Ref || !strings.HasSuffix(got.Dir, want.Dir) || want.Username != got.Username {
				t.Errorf("cloned %+v, want %+v", got, want)
			}
		}
	}
	own := CloneRequest{URL: "https://git.example/own.git", Ref: strings.Repeat("a", 40), Username: "u"}
	for name, tc := range map[string]struct {
		reason, src string
		check       func(t *testing.T, r *testRun)
		want        string
		fails       bool
	}{
		"SCM":       {"checkout scm is the commit of the Jenkinsfile", stages("checkout scm"), at(own), "", false},
		"Variables": {"The default checkout gives its variables", stages("sh 'echo v=$GIT_BRANCH,$GIT_LOCAL_BRANCH,$GIT_COMMIT,$GIT_PREVIOUS_COMMIT,$GIT_PREVIOUS_SUCCESSFUL_COMMIT'"), nil, "v=origin/main,main,0123456789abcdef,p1,p0\n", false},
		"Parts": {"A checkout made of the parts of scm is the same commit", stages(`checkout([$class: 'GitSCM', branches: scm.branches, extensions: scm.extensions + [[$class: 'CleanBeforeCheckout'], [$class: 'RelativeTargetDirectory', relativeTargetDir: 'src']], userRemoteConfigs: scm.userRemoteConfigs])
 script { echo "b=${scm.branches[0].name} u=${scm.userRemoteConfigs[0].url} ${scm.getUserRemoteConfigs()[0].getCredentialsId()}" }`),
			at(CloneRequest{URL: own.URL, Ref: own.Ref, Dir: "/src", Username: "u"}), "b=main u=https://git.example/own.git cred\n", false},
		"Class": {"GitSCM by its class, variables in its texts", stages(`script { env.REF = 'release/1'
 def v = checkout([$class: 'GitSCM', branches: [[name: '*/${REF}']], doGenerateSubmoduleConfigurations: false, extensions: [[$class: 'CloneOption', depth: 1, shallow: true], [$class: 'LocalBranch', localBranch: 'work']], submoduleCfg: [], userRemoteConfigs: [[url: 'https://git.example/x.git']]])
 echo "v=${v.GIT_BRANCH} ${v.GIT_LOCAL_BRANCH} ${v['GIT_COMMIT']}" }`), at(CloneRequest{URL: "https://git.example/x.git", Ref: "release/1"}), "v=origin/release/1 work 0123456789abcdef\n", false},
		"Symbol": {"and by symbols", stages(`checkout scmGit(branches: [[name: 'refs/heads/dev']], extensions: [cloneOption(depth: 1), relativeTargetDirectory('sub'), cleanBeforeCheckout()], userRemoteConfigs: [[url: 'https://git.example/x.git', credentialsId: 'cred']])`),
			at(CloneRequest{URL: "https://git.example/x.git", Ref: "dev", Dir: "/sub", Username: "u"}), "", false},
		"Named":       {"with a name and options", stages("checkout scm: [$class: 'GitSCM', userRemoteConfigs: [[url: 'https://git.example/x.git']]], changelog: false, poll: false"), at(CloneRequest{URL: "https://git.example/x.git"}), "", false},
		"Git":         {"git clones a branch with a credential", stages("git branch: 'dev', credentialsId: 'cred', url: 'https://git.example/x.git'"), at(CloneRequest{URL: "https://git.example/x.git", Ref: "dev", Username: "u"}), "", false},
		"Tag":         {"A tag has no branch", stages("script { echo \"t=${checkout([$class: 'GitSCM', branches: [[name: 'refs/tags/v1']], userRemoteConfigs: [[url: 'https://git.example/x.git']]]).GIT_BRANCH}\" }"), at(CloneRequest{URL: "https://git.example/x.git", Ref: "refs/tags/v1"}), "t=detached\n", false},
		"Extension":   {"An extension that changes the content is refused", stages("checkout([$class: 'GitSCM', extensions: [[$class: 'SubmoduleOption']], userRemoteConfigs: [[url: 'https://git.example/x.git']]])"), nil, "the extension SubmoduleOption of GitSCM is not supported", true},
		"TwoRemotes":  {"so are several remotes", stages("checkout([$class: 'GitSCM', userRemoteConfigs: [[url: 'a'], [url: 'b']]])"), nil, "2 remotes in userRemoteConfigs", true},
		"Refspec":     {"a refspec", stages("checkout([$class: 'GitSCM', userRemoteConfigs: [[url: 'https://x/y', refspec: '+refs/pull/*:refs/x/*']]])"), nil, "the refspec", true},
		"Pattern":     {"a pattern of branches", stages("checkout([$class: 'GitSCM', branches: [[name: 'feature/*']], userRemoteConfigs: [[url: 'https://x/y']]])"), nil, "the branch specification feature/*", true},
		"Subversion":  {"and what is not git", stages("checkout([$class: 'SubversionSCM', locations: []])"), nil, "checkout of SubversionSCM is not supported", true},
		"NoURL":       {"A checkout of nothing", stages("checkout([$class: 'GitSCM', userRemoteConfigs: [[:]]])"), nil, "needs the url", true},
		"Subfolder":   {"checkoutToSubdirectory", "pipeline { agent any\n options { checkoutToSubdirectory('a/b') }\n stages { stage('s') { steps { echo 'x' } } } }", at(CloneRequest{URL: own.URL, Ref: own.Ref, Dir: "/a/b", Username: "u"}), "", false},
		"StageFolder": {"of a stage", "pipeline { agent none\n stages { stage('s') { agent any\n options { checkoutToSubdirectory('c') }\n steps { echo 'x' } } } }", at(CloneRequest{URL: own.URL, Ref: own.Ref, Dir: "/c", Username: "u"}), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, tc.src)
			scm(r)
			r.agents.makeDirs = true
			result, err := r.run(t.Context())
			log := r.mem.text()
			if (result != ResultSuccess) != tc.fails || !strings.Contains(log, tc.want) {
				t.Errorf("%s: %s, %v; want %q\n%s", tc.reason, result, err, tc.want, log)
			}
			if tc.check != nil {
				tc.check(t, r)
			}
		})
	}
}

func TestLibrarySizes(t *testing.T) {
	big := &Library{Vars: map[string]string{"a": strings.Repeat("x", maxLibraryCode/2+1)}, Resources: map[string][]byte{"r": make([]byte, maxLibraryData/2+1)}}
	data := &Library{Resources: big.Resources}
	for name, tc := range map[string]struct {
		libs []*Library
		want string
	}{
		"one":  {libs: []*Library{big}},
		"code": {libs: []*Library{big, big}, want: "The variables"},
		"data": {libs: []*Library{data, data}, want: "The resources"},
		"many": {libs: make([]*Library, 0), want: ""},
	} {
		if name == "many" {
			for range maxLibraries + 1 {
				tc.libs = append(tc.libs, &Library{})
			}
			tc.want = "no more than 32 libraries"
		}
		if err := CheckLibraries(tc.libs); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
