// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package localtest

import (
	"encoding/xml"
	"io"
	"net/http"
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

func TestStart(t *testing.T) {
	mj := Start(t, Options{})
	var script strings.Builder
	_ = xml.EscapeText(&script, []byte("pipeline { agent any\n stages { stage('hello') { steps {\n sh 'echo hello from $NODE_NAME > f; cat f'\n echo readFile('f') } } } }"))
	call(t, mj, "POST", "/createItem?name=hello", "application/xml", `<flow-definition plugin="workflow-job"><definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition" plugin="workflow-cps"><script>`+
		script.String()+`</script><sandbox>true</sandbox></definition></flow-definition>`)
	call(t, mj, "POST", "/job/hello/build?delay=0sec", "", "")
	var text string
	for end := time.Now().Add(20 * time.Second); !strings.Contains(text, "Finished: "); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the build did not end:\n%s", text)
		}
		if strings.Contains(call(t, mj, "GET", "/job/hello/api/json", "", ""), `"lastBuild":{`) {
			text = call(t, mj, "GET", "/job/hello/1/consoleText", "", "")
		}
	}
	for _, want := range []string{"Running on local-1 in " + mj.StateDir + "/agents/workspace/hello\n", "\nhello from local-1\n", "\nFinished: SUCCESS\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not have %q:\n%s", want, text)
		}
	}
}
