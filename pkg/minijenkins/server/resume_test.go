// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// TestBuildGoesOn: a build in the middle of a step goes on, whether its server was stopped or killed, with the
// same number, IDs, log and agent.
func TestBuildGoesOn(t *testing.T) {
	const text = "pipeline { agent any\n environment { A = 'x' }\n stages {\n stage('one') { steps { sh '''%s''' } }\n" +
		" stage('two') { steps { echo \"${A} ${sh(returnStdout: true, script: 'echo out').trim()}\" } } } }"
	for name, again := range map[string]func(*durableServer) *durableServer{"stop": (*durableServer).restart, "kill": (*durableServer).crash} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			rec := newEventReceiver(t)
			d := newDurable(t, w, t.TempDir(), rec.option)
			d.folder("f")
			d.job("f", "j", fmt.Sprintf(text, waits("go")), paramsXML("PW*hidden"), "")
			d.want(http.StatusCreated, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, "PW=topsecret")
			d.says("j", 1, "before-go\n")
			before := d.console("j", 1)
			steps := d.get(blueOrg + "pipelines/f/pipelines/j/runs/1/steps/")
			d = again(d)
			if got := d.get("/job/f/job/j/1/api/json?tree=building,number"); !strings.Contains(got, `"building":true`) {
				t.Error(got)
			}
			after := d.do("GET", "/job/f/job/j/1/logText/progressiveText?start="+strconv.Itoa(len(before)), "", "")
			if n, _ := strconv.Atoi(after.Header.Get("X-Text-Size")); n < len(before) || after.Header.Get("X-More-Data") != "true" {
				t.Error(after.Header)
			}
			if got := d.get(blueOrg + "pipelines/f/pipelines/j/runs/1/steps/"); stepIDs(got) != stepIDs(steps) {
				t.Errorf("%s\nbecame %s", steps, got)
			}
			w.touch(t, "go")
			b := d.ended("f/j", 1)
			if b.Result != engine.ResultSuccess || b.Params[0].Value != "" {
				t.Errorf("%+v", b)
			}
			log := d.console("j", 1)
			if !strings.HasPrefix(log, before) {
				t.Errorf("the log has changed: %q became %q", before, log)
			}
			// Another build that nothing disturbs says the same, but for its number.
			d.want(http.StatusCreated, "POST", "/job/f/job/j/buildWithParameters?delay=0", typeForm, "PW=topsecret")
			d.ended("f/j", 2)
			undisturbed := d.console("j", 2)
			norm := strings.NewReplacer("-2-0.", "-N-0.", "-1-0.", "-N-0.").Replace
			if diff := cmp.Diff(norm(undisturbed), norm(log)); diff != "" {
				t.Error(diff)
			}
			for script, n := range w.began {
				if want := 2; n != want {
					t.Errorf("%q began %d times in 2 builds", script, n)
				}
			}
			for id, n := range w.made {
				if n != 1 {
					t.Errorf("agent %s was made %d times", id, n)
				}
			}
			if w.living() != 0 {
				t.Errorf("%d agents are left", w.living())
			}
			var kinds []string
			d.eventually("all events are there", func() bool {
				kinds = nil
				rec.mu.Lock()
				defer rec.mu.Unlock()
				for _, ev := range rec.list {
					if strings.HasSuffix(ev.URL, "/j/1/") {
						kinds = append(kinds, ev.Type)
					}
				}
				return len(kinds) > 0 && kinds[len(kinds)-1] == EventFinalized
			})
			if diff := cmp.Diff([]string{EventInitialize, EventStarted, EventCompleted, EventFinalized}, kinds); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func stepIDs(body string) string {
	var out []string
	for _, part := range strings.Split(body, `"id":"`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

// TestKilledAnytime kills servers at random moments of a build with branches; what comes out is always the same.
func TestKilledAnytime(t *testing.T) {
	const text = "pipeline { agent any\n stages {\n stage('all') { parallel {\n" +
		" stage('a') { steps { sh 'for i in 1 2 3 4 5; do echo a$i; sleep 0.02; done'\n echo 'a is done' } }\n" +
		" stage('b') { steps { sh 'for i in 1 2 3 4 5; do echo b$i; sleep 0.02; done; exit 3' } }\n" +
		" stage('c') { steps { echo 'c'; sh 'seq 2000' } } } } }\n post { always { sh 'echo post' } } }"
	lines := func(log string) map[string]int {
		out := map[string]int{}
		for _, l := range strings.Split(log, "\n") {
			// Why a build waits is said as long as it does: a server that is killed meanwhile may take that with it.
			if l != "Still waiting to schedule task" && l != "the agent is made" {
				out[l]++
			}
		}
		return out
	}
	norm := func(log string, n int) string { return strings.ReplaceAll(log, fmt.Sprintf("-%d-0.", n), "-N-0.") }
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", text, "", "")
	d.build("j")
	d.ended("f/j", 1)
	want := lines(norm(d.console("j", 1), 1))
	rnd := rand.New(rand.NewPCG(4, 2))
	kills := 8
	if testing.Short() {
		kills = 3
	}
	for n := 2; n < 2+kills; n++ {
		d.build("j")
		d.started("f/j", n)
		time.Sleep(time.Duration(rnd.IntN(250)) * time.Millisecond)
		d = d.crash()
		if n%3 == 0 {
			time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
			d = d.crash()
		}
		b := d.ended("f/j", n)
		if b.Result != engine.ResultFailure {
			t.Errorf("#%d: %s", n, b.Result)
		}
		if diff := cmp.Diff(want, lines(norm(d.console("j", n), n))); diff != "" {
			t.Errorf("#%d: %s", n, diff)
		}
		if w.living() != 0 {
			t.Errorf("#%d: %d agents are left", n, w.living())
		}
	}
	for script, n := range w.began {
		if n != 1+kills {
			t.Errorf("%q began %d times in %d builds", script, n, 1+kills)
		}
	}
}

// TestManyDurableBuilds has many builds at once that keep a history, and restarts the server under them.
func TestManyDurableBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("short: 100 builds take some seconds")
	}
	const builds = 100
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", "pipeline { agent any\n stages { stage('a') { steps { echo 'hi'\n sh 'echo one' } }\n stage('b') { steps { sh 'echo two'\n sh '''"+strings.Replace(waits("go"), "sleep 0.01", "sleep 1", 1)+"''' } } } }", paramsXML("N=0"), "")
	begin := time.Now()
	parallel(builds, func(i int) {
		d.want(http.StatusCreated, "POST", "/job/f/job/j/buildWithParameters?delay=0&N="+strconv.Itoa(i), typeForm, "")
	})
	waiting := func() (n int) {
		for _, r := range d.s.running() {
			r.mu.Lock()
			if len(r.steps) == 4 {
				n++
			}
			r.mu.Unlock()
		}
		return n
	}
	d.eventually("all are at their last step", func() bool { return waiting() == builds })
	began := time.Since(begin)
	begin = time.Now()
	d = d.restart()
	d.eventually("all are there again", func() bool { return waiting() == builds })
	restarted := time.Since(begin)
	begin = time.Now()
	w.touch(t, "go")
	for n := range builds {
		if b := d.ended("f/j", n+1); b.Result != engine.ResultSuccess {
			t.Fatalf("%+v", b)
		}
	}
	t.Logf("%d builds with 4 steps: at the last after %v, again after a restart in %v, ended %v later", builds, began.Round(time.Millisecond),
		restarted.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
	for script, n := range w.began {
		if n != builds {
			t.Errorf("%q began %d times in %d builds", script, n, builds)
		}
	}
}

// TestAbortSurvives: an abort that was answered counts, also if the server is killed right after, and so does a kill.
func TestAbortSurvives(t *testing.T) {
	for action, last := range map[string]string{"stop": "Aborted by admin", "term": "Aborted by admin", "kill": hardKill} {
		t.Run(action, func(t *testing.T) {
			w := newWorld(t)
			d := newDurable(t, w, t.TempDir())
			d.folder("f")
			d.job("f", "j", "pipeline { agent any\n stages { stage('s') { steps { sh '''"+waits("never")+"''' } } } }", "", "")
			d.build("j")
			d.says("j", 1, "before-never\n")
			// The server gets no further than to note it.
			d.link.cut()
			d.want(http.StatusFound, "POST", "/job/f/job/j/1/"+action, "", "")
			d = d.crash()
			b := d.ended("f/j", 1)
			log := d.console("j", 1)
			if b.Result != engine.ResultAborted || !strings.Contains(log, "\n"+last+"\n") || !strings.HasSuffix(log, "\nFinished: ABORTED\n") || strings.Count(log, last) != 1 {
				t.Errorf("%+v %s", b, log)
			}
			if action != "kill" && (len(b.AbortedBy) != 1 || b.AbortedBy[0] != testUser) {
				t.Errorf("aborted by %v", b.AbortedBy)
			}
			if action != "kill" {
				d.eventually("the agent is given back", func() bool { return w.living() == 0 })
			}
		})
	}
}

// TestInputSurvives: a question is asked again, an answer that was taken is not.
func TestInputSurvives(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", "pipeline { agent any\n stages { stage('ask') { steps { script { def v = input(message: 'go?', parameters: [string(name: 'A'), string(name: 'B')])\n echo \"got ${v}\"\n sh '''"+waits("go")+"''' } } } } }", "", "")
	d.build("j")
	d.asks("f/j", 1, 1)
	d = d.crash()
	d.asks("f/j", 1, 1)
	pending := decode[[]struct{ ID string }](t, d.get("/job/f/job/j/1/wfapi/pendingInputActions"))
	// The answer is taken and the server dies before the build could do anything with it.
	d.s.mu.RLock()
	r := d.s.runs[store.BuildKey{Job: jobID(d.harness, "f/j"), Number: 1}]
	d.s.mu.RUnlock()
	r.mu.Lock()
	r.questions[0] = &question{Input: r.questions[0].Input, answer: make(chan engine.Answer, 1)}
	r.mu.Unlock()
	d.want(http.StatusOK, "POST", "/job/f/job/j/1/input/"+pending[0].ID+"/proceed", typeForm, "json="+`{"parameter":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}`)
	d = d.crash()
	d.says("j", 1, "before-go\n")
	w.touch(t, "go")
	if b := d.ended("f/j", 1); b.Result != engine.ResultSuccess {
		t.Errorf("%+v", b)
	}
	if log := d.console("j", 1); strings.Count(log, "Input requested\nApproved by admin\n") != 1 || !strings.Contains(log, "got [A:1, B:2]\n") {
		t.Error(log)
	}
}

func jobID(h *harness, job string) uint64 {
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	it := h.s.root
	for _, name := range strings.Split(job, "/") {
		it = it.kids[name]
	}
	return it.ID
}

// TestDownstreamOnce: a build that asked for another one before the crash waits for that one after it.
func TestDownstreamOnce(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "up", "pipeline { agent none\n stages { stage('s') { steps { script { def b = build(job: 'down', quietPeriod: 0)\n echo \"it is ${b.number}\" } } } } }", "", "")
	d.job("f", "down", "pipeline { agent any\n stages { stage('s') { steps { sh '''"+waits("go")+"''' } } } }", "", "")
	d.build("up")
	d.says("down", 1, "before-go\n")
	d = d.crash()
	d.says("down", 1, "before-go\n")
	d = d.crash()
	w.touch(t, "go")
	if b := d.ended("f/up", 1); b.Result != engine.ResultSuccess {
		t.Errorf("%+v", b)
	}
	log := d.console("up", 1)
	if strings.Count(log, "Scheduling project") != 1 || strings.Count(log, "Starting building: f » down #1") != 1 || !strings.Contains(log, "it is 1\n") {
		t.Error(log)
	}
	if got := d.get("/job/f/job/down/api/json?tree=builds[number]"); strings.Count(got, `"number"`) != 1 {
		t.Error(got)
	}
}

// TestTestsOnce: a step that recorded its results before the crash, but not that it had, records them once.
func TestTestsOnce(t *testing.T) {
	d := newDurable(t, newWorld(t), t.TempDir())
	d.folder("f")
	d.job("f", "j", "pipeline { agent any\n stages { stage('s') { steps { sh 'echo x' } } } }", "", "")
	d.build("j")
	d.ended("f/j", 1)
	r := d.s.newRun(d.s.items[jobID(d.harness, "f/j")], d.s.items[jobID(d.harness, "f/j")].builds[1])
	r.ctx = t.Context()
	suite := func(step string, names ...string) []engine.TestSuite {
		s := engine.TestSuite{Name: "s", StepID: step}
		for _, n := range names {
			s.Cases = append(s.Cases, engine.TestCase{Name: n})
		}
		return []engine.TestSuite{s}
	}
	for _, list := range [][]engine.TestSuite{suite("7", "a", "b"), suite("9", "c"), suite("7", "a", "b"), suite("9", "c"), suite("", "d")} {
		if err := r.AddTests(list); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.build.Tests.Total; got != 4 {
		t.Errorf("%d tests", got)
	}
}

// TestLocksSurvive: a lock that a build holds is nobody else's after the restart, and free after its end.
func TestLocksSurvive(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	for _, j := range []string{"a", "b"} {
		d.job("f", j, "pipeline { agent any\n stages { stage('s') { steps { lock('door') { sh '''"+waits(j)+"''' } } } } }", "", "")
	}
	d.build("a")
	d.says("a", 1, "before-a\n")
	d.build("b")
	d.says("b", 1, "waiting")
	w.touch(t, "b")
	d = d.crash()
	d.build("b")
	d.started("f/b", 2)
	time.Sleep(300 * time.Millisecond)
	for n := range 2 {
		if log := d.console("b", n+1); strings.Contains(log, "before-b") {
			t.Errorf("b #%d has the lock of a: %s", n+1, log)
		}
	}
	w.touch(t, "a")
	for _, b := range []store.Build{d.ended("f/a", 1), d.ended("f/b", 1), d.ended("f/b", 2)} {
		if b.Result != engine.ResultSuccess {
			t.Errorf("%+v", b)
		}
	}
}

// TestMilestonesSurvive: a build that is overtaken by one that ended before the restart ends.
func TestMilestonesSurvive(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", "pipeline { agent any\n stages { stage('s') { steps { milestone 1\n sh '''if [ $BUILD_NUMBER = 1 ]; then "+waits("go")+"; fi'''\n milestone 2\n echo 'through' } } } }", "", "")
	d.build("j")
	d.says("j", 1, "before-go\n")
	d.link.cut() // of build 1 the supersession is lost with the server
	d.s.mu.Lock()
	err := d.s.store.PutMilestone(jobID2(d, "j"), store.PassedMilestone{Build: 2, Seq: 100, Ordinal: 2})
	d.s.mu.Unlock()
	if err == nil {
		err = d.s.store.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	d = d.crash()
	w.touch(t, "go")
	b := d.ended("f/j", 1)
	if log := d.console("j", 1); b.Result != engine.ResultNotBuilt || strings.Contains(log, "through") {
		t.Errorf("%+v %s", b, log)
	}
}

func jobID2(d *durableServer, name string) uint64 { return d.s.root.kids["f"].kids[name].ID }

// TestCannotGoOn: builds with which it is not possible to go on end, with the reason.
func TestCannotGoOn(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	for _, j := range []string{"broken", "old", "fine"} {
		d.job("f", j, "pipeline { agent any\n stages { stage('s') { steps { sh '''"+waits("go")+"''' } } } }", "", "")
		d.build(j)
		d.says(j, 1, "before-go\n")
	}
	// One was begun by an older version, of one the record is broken.
	d.s.mu.Lock()
	old := *d.s.root.kids["f"].kids["old"].builds[1]
	brokenID := d.s.root.kids["f"].kids["broken"].ID
	d.s.mu.Unlock()
	old.Durable = false
	if err := errors.Join(d.s.store.PutBuild(&old), d.s.store.PutPlan(store.BuildKey{Job: brokenID, Number: 1}, &store.Plan{Script: "pipeline {"}), d.s.store.Flush()); err != nil {
		t.Fatal(err)
	}
	d = d.crash()
	w.touch(t, "go")
	for job, want := range map[string]struct {
		result engine.Result
		text   string
	}{"broken": {engine.ResultFailure, "WorkflowScript: "}, "old": {engine.ResultAborted, interruptedText + "\nFinished: ABORTED\n"}, "fine": {engine.ResultSuccess, "after-go\n"}} {
		b := d.ended("f/"+job, 1)
		if log := d.console(job, 1); b.Result != want.result || !strings.Contains(log, want.text) {
			t.Errorf("%s: %+v %s", job, b, log)
		}
	}
}

// TestOverButForTheRecord: a build whose last line is in the log has ended, also if that is all that is left of its end.
func TestOverButForTheRecord(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", "pipeline { agent any\n stages { stage('s') { steps { sh '''"+waits("go")+"''' } } } }", "", "")
	d.build("j")
	d.says("j", 1, "before-go\n")
	d.link.cut()
	r := d.s.running()[0]
	r.log.End("why\nFinished: UNSTABLE\n")
	d = d.crash()
	b := d.ended("f/j", 1)
	if log := d.console("j", 1); b.Result != engine.ResultUnstable || strings.Count(log, finished) != 1 || !strings.HasSuffix(log, "why\nFinished: UNSTABLE\n") {
		t.Errorf("%+v %s", b, log)
	}
	rec, err := d.s.store.RunRecord(b.Key())
	if err != nil || rec.Plan != nil {
		t.Errorf("%+v %v", rec, err)
	}
}

// TestOverButForTheRecordStartsOnce: what the end of a build started before the crash is not started again.
func TestOverButForTheRecordStartsOnce(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "up", "pipeline { agent any\n stages { stage('s') { steps { sh '''"+waits("go")+"''' } } } }", "", "")
	d.job("f", "down", "pipeline { agent none\n triggers { upstream 'up' }\n stages { stage('s') { steps { echo 'x' } } } }", "", "")
	d.build("down") // its trigger is known then
	d.ended("f/down", 1)
	for n := 1; n <= 2; n++ {
		d.build("up")
		d.says("up", n, "before-go\n")
	}
	// The server dies between the start and the record of the end; at the other one nothing is started yet.
	d.link.cut()
	for _, r := range d.s.running() {
		r.log.End("Finished: SUCCESS\n")
	}
	d.s.mu.Lock()
	up := d.s.root.kids["f"].kids["up"]
	d.s.startDependents(up, up.builds[1], false)
	d.s.mu.Unlock()
	if err := d.s.store.Flush(); err != nil {
		t.Fatal(err)
	}
	d = d.crash()
	d.ended("f/up", 1)
	d.ended("f/up", 2)
	started := map[int]int{}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	down := d.s.root.kids["f"].kids["down"]
	note := func(causes []store.Cause) {
		for _, c := range causes {
			if c.Upstream != nil {
				started[c.Upstream.Build]++
			}
		}
	}
	for _, q := range d.s.waitingOf(down) {
		note(q.Causes)
	}
	for _, b := range down.builds {
		note(b.Causes)
	}
	if diff := cmp.Diff(map[int]int{1: 1, 2: 1}, started); diff != "" {
		t.Error(diff)
	}
}

// TestScriptedSurvives: that a build runs a Scripted Pipeline is known also after a restart.
func TestScriptedSurvives(t *testing.T) {
	w := newWorld(t)
	d := newDurable(t, w, t.TempDir())
	d.folder("f")
	d.job("f", "j", "node { stage('s') { sh '''"+waits("go")+"''' } }", "", "")
	d.build("j")
	d.says("j", 1, "before-go\n")
	d = d.crash()
	w.touch(t, "go")
	if b := d.ended("f/j", 1); b.Result != engine.ResultSuccess || !b.Scripted {
		t.Errorf("%+v", b)
	}
}
