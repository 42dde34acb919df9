// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package localtest

import (
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func call(t *testing.T, mj *Instance, method, path, contentType, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, mj.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(mj.User, mj.Token)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s %v", method, path, resp.Status, data, err)
	}
	return string(data)
}

// build makes a job and starts its first build.
func build(t *testing.T, mj *Instance, name, steps string) {
	t.Helper()
	var script strings.Builder
	_ = xml.EscapeText(&script, []byte("pipeline { agent any\n stages { stage('only') { steps {\n"+steps+"\n } } } }"))
	call(t, mj, "POST", "/createItem?name="+name, "application/xml", `<flow-definition plugin="workflow-job"><definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition" plugin="workflow-cps"><script>`+
		script.String()+`</script><sandbox>true</sandbox></definition></flow-definition>`)
	call(t, mj, "POST", "/job/"+name+"/build?delay=0sec", "", "")
}

// logHas waits until the log of the first build has a text.
func logHas(t *testing.T, mj *Instance, name, want string) (text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(text, want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log never has %q:\n%s", want, text)
		}
		if strings.Contains(call(t, mj, "GET", "/job/"+name+"/api/json", "", ""), `"lastBuild":{`) {
			text = call(t, mj, "GET", "/job/"+name+"/1/consoleText", "", "")
		}
	}
	return text
}

func TestStart(t *testing.T) {
	mj := Start(t, Options{})
	build(t, mj, "hello", "sh 'echo hello from $NODE_NAME > f; cat f'\n echo readFile('f')")
	text := logHas(t, mj, "hello", "Finished: ")
	for _, want := range []string{"Running on local-1 in " + mj.StateDir + "/agents/workspace/hello\n", "\nhello from local-1\n", "\nFinished: SUCCESS\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not have %q:\n%s", want, text)
		}
	}
}

func TestStartAgain(t *testing.T) {
	first := Start(t, Options{})
	build(t, first, "long", "sh 'echo began; while [ ! -e go ]; do sleep 0.02; done; echo went on'")
	logHas(t, first, "long", "\nbegan\n")
	first.Stop()
	second := Start(t, Options{StateDir: first.StateDir})
	if err := os.WriteFile(first.StateDir+"/agents/workspace/long/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text := logHas(t, second, "long", "Finished: "); !strings.Contains(text, "\nwent on\n") || !strings.Contains(text, "Finished: SUCCESS") {
		t.Errorf("the build did not go on:\n%s", text)
	}
}

func TestNothingIsLeft(t *testing.T) {
	pid := t.TempDir() + "/pid"
	t.Run("build", func(t *testing.T) {
		mj := Start(t, Options{})
		build(t, mj, "endless", "sh 'echo $$ > "+pid+"; echo began; sleep 10000'")
		logHas(t, mj, "endless", "\nbegan\n")
	})
	data, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(data)) + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("a step outlived its test: %s", stat)
	}
}
