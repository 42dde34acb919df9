// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUtilitySteps(t *testing.T) {
	runCases(t, map[string]stepCase{
		"FindFiles": {
			reason: "findFiles gives names and paths",
			src:    stages("sh 'mkdir -p a/b; touch a/b/x.txt a/y.txt a/z.log'\n script { findFiles(glob: 'a/**/*.txt', excludes: '**/y.*').each { echo \"${it.name}=${it.path} ${it.directory} ${it}\" } }"),
			result: ResultSuccess, want: []string{"x.txt=a/b/x.txt false a/b/x.txt\n"}, absent: []string{"y.txt="},
		},
		"Properties": {
			reason: "readProperties reads files and text over defaults",
			src:    stages("sh 'printf \"# c\\na=1\\nb : two\\n\" > p'\n script { def p = readProperties(file: 'p', defaults: [a: '0', z: 'last']); def q = readProperties(text: 'k=v'); echo \"p=${p.a}${p['b']}${p.z}${q.k}\" }"),
			result: ResultSuccess, want: []string{"p=1twolastv\n"},
		},
		"Hashes": {
			reason: "sha1 and sha256 of a file",
			src:    stages("sh 'printf abc > f'\n script { echo \"${sha1('f')} ${sha256(file: 'f')}\" }"),
			result: ResultSuccess, want: []string{"a9993e364706816aba3e25717850c26c9cd0d89d ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"},
		},
		"HashOfNothing": {reason: "A file that is not there", src: stages("script { sha256 'none' }"), result: ResultFailure, want: []string{"java.io.FileNotFoundException"}},
		"Touch": {
			reason: "touch makes a file with an odd name and its folders",
			src:    stages("touch file: 'a b/$(x)'\n sh 'ls \"a b\"'"), result: ResultSuccess, want: []string{"\n$(x)\n"},
		},
		"Delegates": {
			reason: "step runs what has a name today",
			src:    stages("sh 'echo 1 > a.txt'\n step([$class: 'ArtifactArchiver', artifacts: '*.txt', fingerprint: true])\n step($class: 'Fingerprinter', targets: '*.txt')\n archive 'nothing'"),
			result: ResultSuccess, want: []string{"Archiving artifacts\n", "Recording fingerprints\n", "No artifacts found"},
		},
		"DelegateUnknown":   {reason: "but not what the engine lacks", src: stages("step([$class: 'Mailer', recipients: 'x'])"), result: ResultFailure, want: []string{"step of the class Mailer is not supported"}},
		"DelegateParameter": {reason: "nor its unknown parameters", src: stages("step([$class: 'ArtifactArchiver', artifacts: 'x', nosuch: 1])"), result: ResultFailure, want: []string{"parameter nosuch of ArtifactArchiver"}},
		"DefaultExcludes": {
			reason: "archiveArtifacts leaves out the files of version control unless it is told otherwise",
			src:    stages("sh 'mkdir .git; echo x > .git/config; echo y > y'\n archiveArtifacts '**'\n script { try { archiveArtifacts artifacts: '.git/**' } catch (e) { echo \"none: ${e.message}\" } }\n archiveArtifacts artifacts: '.git/**', defaultExcludes: false"),
			result: ResultSuccess, want: []string{"none: No artifacts found that match"},
		},
		"Caseless": {reason: "and does not take case for nothing", src: stages("sh 'echo > a'\n archiveArtifacts artifacts: 'A', caseSensitive: false"), result: ResultFailure, want: []string{"caseSensitive: false is not supported"}},
		"Encodings": {
			reason: "Files and output may be of ISO-8859-1, files of Base64",
			src:    stages("writeFile file: 'l', text: 'ü', encoding: 'ISO-8859-1'\n writeFile file: 'b', text: 'w7w=', encoding: 'Base64'\n script { echo \"${readFile(file: 'l', encoding: 'iso-8859-1')} ${readFile('b')} ${readFile(file: 'b', encoding: 'Base64')} ${sh(script: 'printf \"\\\\374\"', returnStdout: true, encoding: 'ISO-8859-1')}\" }"),
			result: ResultSuccess, want: []string{"ü ü w7w= ü\n"},
		},
		"Encoding":  {reason: "Others are refused", src: stages("sh script: 'true', encoding: 'UTF-16'"), result: ResultFailure, want: []string{"sh: encoding UTF-16 is not supported"}},
		"BadBase64": {reason: "Text that is no Base64", src: stages("writeFile file: 'b', text: '%', encoding: 'Base64'"), result: ResultFailure, want: []string{"the text is no Base64"}},
	})
}

func TestRetryConditions(t *testing.T) {
	lost := func(r *testRun) {
		n := 0
		r.agents.shell = func(_ context.Context, _ ShellRequest, out io.Writer) (int, error) {
			if n++; n < 3 {
				return 0, errors.New("pod is gone")
			}
			_, _ = io.WriteString(out, "at last\n")
			return 0, nil
		}
	}
	runCases(t, map[string]stepCase{
		"AgentLost":   {reason: "The loss of an agent is a reason", src: stages("retry(count: 3, conditions: [agent(), nonresumable()]) { sh 'x' }"), change: lost, result: ResultSuccess, want: []string{"Retrying\n", "at last\n"}},
		"StepFailed":  {reason: "a step that fails is none", src: stages("retry(count: 3, conditions: [kubernetesAgent(handleNonKubernetes: true)]) { sh 'exit 3' }"), result: ResultFailure, absent: []string{"Retrying"}},
		"Unknown":     {reason: "Other conditions are refused", src: stages("retry(count: 3, conditions: [string(name: 'x')]) { sh 'exit 3' }"), result: ResultFailure, want: []string{"retry: the condition"}},
		"NoCondition": {reason: "No condition is every failure", src: stages("script { def n = 0\n retry(count: 2, conditions: []) { n++\n if (n < 2) { error 'x' } } }"), result: ResultSuccess, want: []string{"Retrying\n"}},
	})
}

func TestJavaProperties(t *testing.T) {
	got := javaProperties("# comment\n! another\n\n  a=1\nb:2\nc 3\n d \\\n   = long \\\n   value\ne\\=f=g\\u00fc\\t!\nkey\nwin=c:\\\\dir\n\\ lead=x\nlast=\\")
	want := [][2]string{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "long value"}, {"e=f", "gü\t!"}, {"key", ""}, {"win", `c:\dir`}, {" lead", "x"}, {"last", `\`}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefusedBeforeTheRun(t *testing.T) {
	for src, want := range map[string]string{
		stages("script { docker.image('x').inside { sh 'y' } }"): `3: global variable "docker"`,
		stages("script { def docker = [:]; docker.x = 1 }"):      "",
		stages("timeout(time: 5, activity: true) { sh 'x' }"):    `3: parameter "activity" of step "timeout"`,
		stages("timeout(time: 5, activity: false) { sh 'x' }"):   "",
		stages("lock(label: 'printers') { sh 'x' }"):             `parameter "label" of step "lock": ` + advice + ", or name a resource",
		stages("emailext to: 'x', body: 'y'"):                    "or send it with a command in sh",
		stages("httpRequest 'http://x'"):                         "or use curl in sh",
		stages("bat 'dir'"):                                      "agents run Linux",
		stages("withMaven { sh 'mvn' }"):                         "put the tool into the image of the agent",
		stages("withDockerContainer('x') { sh 'y' }"):            "no Docker daemon",
	} {
		err := Check(mustParse(t, src), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
	}
}

func TestConditions(t *testing.T) {
	for condition, want := range map[string]bool{
		"branch 'main'": true, "branch 'MAIN'": true, "branch pattern: 'ma.n', comparator: 'REGEXP'": true, "branch pattern: 'MAIN', comparator: 'EQUALS'": false,
		"branch pattern: 'main', comparator: 'EQUALS'": true, "branch pattern: 'm*', comparator: 'GLOB'": true, "branch 'x'": false,
		"buildingTag()": true, "tag 'v*'": true, "tag()": true, "tag pattern: 'v\\\\d+', comparator: 'REGEXP'": true, "tag 'w*'": false,
		"changeRequest()": true, "changeRequest id: '7'": true, "changeRequest target: 'mai?', author: 'dev'": true, "changeRequest title: '.*fix.*', comparator: 'REGEXP'": true, "changeRequest branch: 'x'": false,
		"environment name: 'E', value: 'v'": true, "environment name: 'E', value: 'V'": false, "environment name: 'E', value: 'V', ignoreCase: true": true, "environment name: 'NONE', value: ''": true,
		"equals expected: 2, actual: 1 + 1": true, "equals expected: 'a', actual: 'b'": false,
		"expression { params.P == 'pv' }": true, "expression { return null }": false,
		"not { branch 'x' }": true, "allOf { branch 'main'; environment name: 'E', value: 'v' }": true, "allOf { branch 'main'; branch 'x' }": false,
		"anyOf { branch 'x'; not { anyOf { branch 'y'; branch 'z' } } }": true, "anyOf { branch 'x'; allOf { branch 'main'; not { branch 'main' } } }": false,
		"triggeredBy 'SCMTrigger'": true, "triggeredBy cause: 'UserIdCause', detail: 'ann'": true, "triggeredBy cause: 'UserIdCause', detail: 'bob'": false, "triggeredBy 'TimerTrigger'": false,
		"changeset 'docs/*'": true, "changeset 'DOCS/*'": true, "changeset pattern: 'DOCS/*', caseSensitive: true": false, "changeset pattern: 'docs/.+\\\\.md', comparator: 'REGEXP'": true,
		"changeset pattern: 'docs/a.md', comparator: 'EQUALS'": true, "changeset '**/*.go'": false, "changelog '.*fix.*'": true, "changelog 'fix'": false,
		"isRestartedRun()": false,
	} {
		t.Run(condition, func(t *testing.T) {
			r := newRun(t, "pipeline { agent any\n environment { E = 'v' }\n stages { stage('s') { when { "+condition+" }\n steps { echo 'it ran' } } } }")
			r.spec.Build.Branch = "main"
			r.spec.Params = []ParamValue{{Name: "P", Value: "pv"}}
			r.spec.Env = map[string]string{"TAG_NAME": "v1", "CHANGE_ID": "7", "CHANGE_TARGET": "main", "CHANGE_AUTHOR": "dev", "CHANGE_TITLE": "a fix of it", "CHANGE_BRANCH": "topic"}
			r.spec.Causes = []Cause{{Class: "hudson.triggers.SCMTrigger$SCMTriggerCause"}, {Class: "hudson.model.Cause$UserIdCause", User: "ann"}}
			r.spec.Changes = func(context.Context) ([]Change, error) {
				return []Change{{ID: "1", Message: "a fix\n\nof it\n", Paths: []string{"docs/a.md", "x"}}}, nil
			}
			result, err := r.run(t.Context())
			if got := strings.Contains(r.mem.text(), "\nit ran\n"); result != ResultSuccess || got != want {
				t.Errorf("%s, %v: ran %v, want %v\n%s", result, err, got, want, r.mem.text())
			}
		})
	}
}
