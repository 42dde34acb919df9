// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// askPipeline asks with the arguments and prints what it got.
func askPipeline(args string) string {
	return "pipeline { agent none\n stages { stage('ask') { steps { script { def v = input(" + args + ")\n echo \"got ${v}\" } } } } }"
}

// asks waits until a build has questions.
func (h *harness) asks(job string, n, questions int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s #%d asks", job, n), func() bool {
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		for _, r := range h.s.runs {
			if r.jobName == job && r.key.Number == n {
				return len(r.pending()) == questions
			}
		}
		return false
	})
}

const stepOfAsk = "/blue/rest/organizations/jenkins/pipelines/f/pipelines/j/runs/%d/nodes/4/steps/7/"

// TestInputAnswers: what the script gets for different answers, and what the log shows.
func TestInputAnswers(t *testing.T) {
	many := strings.Repeat("ü", 5000)
	for reason, c := range map[string]struct {
		args, answer string
		status       int
		log          []string
		secret       string
	}{
		"no parameters: nothing": {"message: 'go?'", `{"id":"ID","parameters":[]}`, 200, []string{"go?\nProceed or Abort\nApproved by admin\n", "got null"}, ""},
		"one parameter: its value": {"message: 'm', parameters: [string(name: 'A', defaultValue: 'x')]", `{"id":"ID","parameters":[{"name":"A","value":"größe $(id) ${x}"}]}`, 200,
			[]string{"Input requested\nApproved by admin\n", "got größe $(id) ${x}"}, ""},
		"defaults for what is not given": {"message: 'm', parameters: [booleanParam(name: 'B', defaultValue: true), choice(name: 'C', choices: ['x', 'y'])]", `{"id":"ID","parameters":[]}`, 200,
			[]string{"got [B:true, C:x]"}, ""},
		"who answered is a value too": {"message: 'm', submitterParameter: 'WHO', parameters: [text(name: 'T', defaultValue: 'a')]", `{"id":"ID","parameters":[]}`, 200, []string{"got [T:a, WHO:admin]"}, ""},
		"numbers and null":            {"message: 'm', parameters: [string(name: 'A'), string(name: 'B', defaultValue: 'b')]", `{"id":"ID","parameters":[{"name":"A","value":7},{"name":"B","value":null}]}`, 200, []string{"got [A:7, B:]"}, ""},
		"long text":                   {"message: 'm', parameters: [string(name: 'A')]", `{"id":"ID","parameters":[{"name":"A","value":"` + many + `"}]}`, 200, []string{"got " + many}, ""},
		"a password is masked":        {"message: 'm', parameters: [password(name: 'P', defaultValue: '')]", `{"id":"ID","parameters":[{"name":"P","value":"s3cr3t-word"}]}`, 200, []string{"got ****"}, "s3cr3t-word"},
		"no choice":                   {"message: 'm', parameters: [choice(name: 'C', choices: ['x'])]", `{"id":"ID","parameters":[{"name":"C","value":"z"}]}`, 500, nil, ""},
		"unknown parameter":           {"message: 'm'", `{"id":"ID","parameters":[{"name":"X","value":"z"}]}`, 400, nil, ""},
		"parameters of another type":  {"message: 'm'", `{"id":"ID","parameters":"all"}`, 400, nil, ""},
		"a parameter without a name":  {"message: 'm'", `{"id":"ID","parameters":[{"value":"z"}]}`, 400, nil, ""},
		"no list":                     {"message: 'm'", `{"id":"ID"}`, 400, nil, ""},
		"the ID is no text":           {"message: 'm'", `{"id":7,"parameters":[]}`, 500, nil, ""},
		"a list as body":              {"message: 'm'", `[]`, 500, nil, ""},
	} {
		t.Run(reason, func(t *testing.T) {
			h := newHarness(t, t.TempDir(), withEngine)
			h.folder("f")
			h.job("f", "j", askPipeline(c.args), "", "")
			h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
			h.asks("f/j", 1, 1)
			var pending []struct{ ID string }
			if err := json.Unmarshal([]byte(h.get("/job/f/job/j/1/wfapi/pendingInputActions")), &pending); err != nil || len(pending) != 1 {
				t.Fatal(pending, err)
			}
			h.want(c.status, "POST", fmt.Sprintf(stepOfAsk, 1), "application/json", strings.ReplaceAll(c.answer, "ID", pending[0].ID))
			if c.status != http.StatusOK {
				h.asks("f/j", 1, 1) // it still waits
				return
			}
			if b := h.ended("f/j", 1); b.Result != engine.ResultSuccess || !b.Asked || !b.Approved {
				t.Errorf("%+v\n%s", b, h.get("/job/f/job/j/1/consoleText"))
			}
			log := h.get("/job/f/job/j/1/consoleText")
			for _, want := range c.log {
				if !strings.Contains(log, want) {
					t.Errorf("the log lacks %q\n%.2000s", want, log)
				}
			}
			if c.secret != "" && strings.Contains(log, c.secret) {
				t.Error("the secret is in the log")
			}
		})
	}
}

// TestInputOnce: of many answers at once one counts.
func TestInputOnce(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	h.job("f", "j", askPipeline("message: 'm', id: 'q', parameters: [string(name: 'A')]"), "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.asks("f/j", 1, 1)
	var ok, late atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			switch h.do("POST", fmt.Sprintf(stepOfAsk, 1), "application/json", fmt.Sprintf(`{"id":"Q","parameters":[{"name":"A","value":"v%d"}]}`, i)).StatusCode {
			case http.StatusOK:
				ok.Add(1)
			case http.StatusBadRequest:
				late.Add(1)
			}
		}()
	}
	wg.Wait()
	h.ended("f/j", 1)
	if ok.Load() != 1 || late.Load() != 19 || strings.Count(h.get("/job/f/job/j/1/consoleText"), "\ngot v") != 1 {
		t.Error(ok.Load(), late.Load())
	}
}

// TestInputsOfOneID: when one of two equal questions is given up, the other one still waits and can be answered.
func TestInputsOfOneID(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	h.job("f", "j", "pipeline { agent none\n stages { stage('ask') { steps { script { parallel(one: { input 'go?' }, two: {\n"+
		"sleep(time: 200, unit: 'MILLISECONDS')\n"+
		"try { timeout(time: 50, unit: 'MILLISECONDS') { input 'go?' } } catch (e) { currentBuild.description = 'late' } }) } } } } }", "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	h.eventually("the second question is given up", func() bool { return strings.Contains(h.get("/job/f/job/j/1/api/json"), `"description":"late"`) })
	h.asks("f/j", 1, 1)
	var pending []struct{ ID string }
	if err := json.Unmarshal([]byte(h.get("/job/f/job/j/1/wfapi/pendingInputActions")), &pending); err != nil || len(pending) != 1 {
		t.Fatal(pending, err)
	}
	h.want(200, "POST", "/job/f/job/j/1/input/"+pending[0].ID+"/proceedEmpty", "", "")
	if b := h.ended("f/j", 1); b.Result != engine.ResultSuccess {
		t.Errorf("%+v\n%s", b, h.get("/job/f/job/j/1/consoleText"))
	}
}

// TestInputEndsWithItsBuild: a stop, the deletion of the job and the end of the server end the wait.
func TestInputEndsWithItsBuild(t *testing.T) {
	dir := t.TempDir()
	h := newHarness(t, dir, withEngine)
	h.folder("f")
	for _, j := range []string{"j", "gone", "left"} {
		h.job("f", j, askPipeline("message: 'm', id: 'q'"), "", "")
		h.want(201, "POST", "/job/f/job/"+j+"/build?delay=0", "", "")
		h.asks("f/"+j, 1, 1)
	}
	h.want(302, "POST", "/job/f/job/j/1/stop", "", "")
	if b := h.ended("f/j", 1); b.Result != engine.ResultAborted {
		t.Error(b.Result)
	}
	h.want(404, "POST", "/job/f/job/j/1/input/Q/proceedEmpty", "", "")
	h.want(400, "POST", fmt.Sprintf(stepOfAsk, 1), "application/json", `{"id":"Q","parameters":[]}`)
	if step := h.get(fmt.Sprintf(stepOfAsk, 1)); !strings.Contains(step, `"input":null`) || !strings.Contains(step, `"state":"FINISHED"`) {
		t.Error(step)
	}
	h.want(302, "POST", "/job/f/job/gone/doDelete", "", "")
	h.eventually("its build ends", func() bool { h.s.mu.RLock(); defer h.s.mu.RUnlock(); return len(h.s.runs) == 1 })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = newHarness(t, dir, withEngine)
	if b := h.ended("f/left", 1); b.Result != engine.ResultAborted {
		t.Error(b.Result)
	}
	h.want(404, "POST", "/job/f/job/left/1/input/Q/proceedEmpty", "", "")
	if !exists(t, filepath.Join(dir, "state", "state.db")) {
		t.Error("no state")
	}
}

// TestStagesAndInput: a when directive before the input, and the variables of the directive.
func TestStagesAndInput(t *testing.T) {
	h := newHarness(t, t.TempDir(), withEngine)
	h.folder("f")
	h.job("f", "j", `pipeline { agent none
 stages {
  stage('never') { when { beforeInput true; equals expected: 1, actual: 2 }
   input { message 'never asked' }
   steps { echo 'no' } }
  stage('asked') { when { equals expected: 1, actual: 2 }
   input { message 'asked, then skipped' }
   steps { echo 'no' } }
  stage('vars') { input { message 'm'
    submitterParameter 'WHO'
    parameters { booleanParam(name: 'B', defaultValue: true) } }
   steps { echo "B=${B} WHO=${env.WHO}" } }
  stage('after') { steps { echo "after: ${env.WHO}" } } } }`, "", "")
	h.want(201, "POST", "/job/f/job/j/build?delay=0", "", "")
	for _, id := range []string{"Asked", "Vars"} {
		h.eventually(id, func() bool {
			return h.do("POST", "/job/f/job/j/1/input/"+id+"/proceedEmpty", "", "").StatusCode == http.StatusOK
		})
	}
	h.ended("f/j", 1)
	log := h.get("/job/f/job/j/1/consoleText")
	for _, want := range []string{"B=true WHO=admin", "after: null", "Stage \"never\" skipped", "Stage \"asked\" skipped"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q\n%s", want, log)
		}
	}
	if strings.Contains(log, "never asked") {
		t.Error(log)
	}
}
