// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/cli"
)

const (
	unformatted = "pipeline {\n  agent any // where\n  stages { stage('a') { steps { echo 'x' } } }\n}\n"
	formatted   = "pipeline {\n    agent any // where\n    stages {\n        stage('a') {\n            steps {\n                echo 'x'\n            }\n        }\n    }\n}\n"
)

// runSlipway runs the command with a standard input.
func runSlipway(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	command := newCommand()
	cli.Prepare(command)
	var out bytes.Buffer
	command.SetArgs(args)
	command.SetIn(strings.NewReader(in))
	command.SetOut(&out)
	command.SetErr(&out)
	err := command.Execute()
	return out.String(), err
}

func TestJenkinsfileCommand(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"a.jenkinsfile": unformatted, "b.jenkinsfile": formatted, "broken": "pipeline {\n", "scripted": "node {\necho 'x'\n}\n",
		"wrong": "pipeline {\n  agent any\n  bogus { }\n  stages { stage('a') { steps { sleep 'x' } } }\n}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	doc := `{"pipeline":{"stages":[{"name":"b","branches":[{"name":"default","steps":[{"name":"echo","arguments":{"isLiteral":true,"value":"x"}}]}]}],"agent":{"type":"any"}}}`
	for _, c := range []struct {
		reason, in string
		args       []string
		want, err  string
	}{
		{"from the standard input", unformatted, []string{"fmt"}, formatted, ""},
		{"from a file", "", []string{"fmt", "a.jenkinsfile"}, formatted, ""},
		{"two files", "", []string{"fmt", "a.jenkinsfile", "b.jenkinsfile"}, formatted + formatted, ""},
		{"the names of those that are not", "", []string{"fmt", "-l", "a.jenkinsfile", "b.jenkinsfile"}, "a.jenkinsfile\n", "not formatted: 1"},
		{"all are", "", []string{"fmt", "-l", "b.jenkinsfile"}, "", ""},
		{"what changes", "node {\nx()\n}\n", []string{"fmt", "-d", "-"}, "--- -\n+++ - (formatted)\n@@ -1,3 +1,3 @@\n node {\n-x()\n+    x()\n }\n", ""},
		{"no line end at the end", "node { }", []string{"fmt", "-d"}, "--- -\n+++ - (formatted)\n@@ -1 +1 @@\n-node { }\n\\ No newline at end of file\n+node { }\n", ""},
		{"nothing changes", formatted, []string{"fmt", "-d"}, "", ""},
		{"a file that is wrong", "", []string{"fmt", "broken"}, "", "broken: WorkflowScript: 2: unexpected token:  @ line 2, column 1."},
		{"a file that is not there", "", []string{"fmt", "nosuch"}, "", "open nosuch: no such file or directory"},
		{"no file to write", unformatted, []string{"fmt", "-w"}, "", "the standard input cannot be written to: name a file, or leave -w out"},
		{"too big", strings.Repeat(" ", 3<<20), []string{"fmt"}, "", "-: WorkflowScript: The Jenkinsfile has 2097153 bytes, more than the 1048576 that are allowed"},
		{"good ones", "", []string{"check", "a.jenkinsfile", "b.jenkinsfile", "scripted"}, "", ""},
		{"good ones as JSON", "", []string{"check", "-o", "json", "a.jenkinsfile"}, "[]\n", ""},
		{"with line and column", "", []string{"check", "a.jenkinsfile", "wrong"}, "wrong:3:3: Undefined section \"bogus\"\nwrong:4:39: Expecting \"int\" but got \"x\" of type class java.lang.String instead\n", "problems: 2"},
		{"what minijenkins lacks", "node {\n  slackSend 'hi'\n}\n", []string{"check", "--minijenkins"}, "-:2:3: step \"slackSend\": the built-in pipeline runner does not support it; connect a Jenkins server and run this pipeline there, " +
			"or send it with a command in sh, such as curl to an SMTP or chat service\n", "problems: 1"},
		{"no other output", "", []string{"check", "-o", "xml", "a.jenkinsfile"}, "", `output "xml": must be text or json`},
		{"to JSON", "", []string{"to-json", "scripted"}, "", "Jenkinsfile content 'node {\necho 'x'\n}\n' did not contain the 'pipeline' step"},
		{"from JSON", doc, []string{"from-json"}, "pipeline {\n  agent any\n  stages {\n    stage('b') {\n      steps {\n        echo 'x'\n      }\n    }\n\n  }\n}\n", ""},
		{"from JSON onto a file", doc, []string{"from-json", "--onto", "a.jenkinsfile"}, strings.Replace(unformatted, "'a'", "'b'", 1), ""},
		{"no JSON", "{", []string{"from-json"}, "", "Unexpected end-of-input"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			out, err := runSlipway(t, c.in, append([]string{"jenkinsfile"}, c.args...)...)
			if d := cmp.Diff(c.want, out); d != "" {
				t.Errorf("output (-want +got):\n%s", d)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestJenkinsfileWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Jenkinsfile")
	if err := os.WriteFile(file, []byte(unformatted), 0o640); err != nil {
		t.Fatal(err)
	}
	if out, err := runSlipway(t, "", "jenkinsfile", "fmt", "-w", "-l", file); err == nil || out != file+"\n" {
		t.Errorf("%v %q", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != formatted {
		t.Errorf("%v\n%s", err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", err, info)
	}
}

func TestJenkinsfileJSON(t *testing.T) {
	out, err := runSlipway(t, "pipeline {\n <\n}", "jenkinsfile", "check", "-o", "json")
	var problems []problem
	if json.Unmarshal([]byte(out), &problems) != nil || err == nil || len(problems) != 1 || problems[0].Line != 2 || problems[0].File != "-" {
		t.Errorf("%v %s", err, out)
	}
	out, err = runSlipway(t, unformatted, "jenkinsfile", "to-json")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := runSlipway(t, out, "jenkinsfile", "from-json", "-"); err != nil || !strings.Contains(back, "stage('a')") {
		t.Errorf("%v\n%s", err, back)
	}
}
