// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package minijenkins

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// variant is a pipeline whose builds are disturbed.
type variant struct {
	job, want string
	// extra stands at the end of the second branch.
	extra string
	// abort stops the build before the kill.
	abort bool
	// rich has many kinds of steps in it, scripted is a Scripted Pipeline.
	rich, scripted bool
}

var variants = []variant{
	{job: "good", want: "SUCCESS"},
	{job: "bad", want: "FAILURE", extra: "sh 'echo b breaks; exit 3'"},
	{job: "stopped", want: "ABORTED", abort: true},
	{job: "rich", want: "UNSTABLE", rich: true},
	{job: "scripted", want: "SUCCESS", scripted: true},
}

// order is the order in which the variants take turns.
var order = []int{0, 3, 1, 0, 2, 4, 0, 3, 4}

// shell is an sh that writes its own lines over some time and one line into a file outside of the workspace.
func shell(name, counter string, lines int) string {
	return fmt.Sprintf("sh '''echo %[1]s >> %[2]s\n"+
		"i=0; while [ $i -lt %[3]d ]; do i=$((i+1)); echo %[1]s line $i; sleep 0.06; done'''\n", name, counter, lines)
}

// pipeline has three stages, the second with three parallel branches.
func (v variant) pipeline(counter string) string {
	switch {
	case v.rich:
		return richPipeline(counter)
	case v.scripted:
		return scriptedPipeline(counter)
	}
	sh := func(name string, lines int) string { return shell(name, counter, lines) }
	branch := func(name, extra string) string {
		return "stage('" + name + "') { steps {\n" + sh(name+"1", 5) + "echo 'between in " + name + "'\n" + sh(name+"2", 4) +
			"script { " + name + " = sh(returnStdout: true, script: 'echo " + name + "3 >> " + counter + "; echo value of " + name + "').trim() }\n" +
			"echo \"got ${" + name + "}\"\n" + extra + "\n} }\n"
	}
	return "def a, b, c\npipeline {\nagent any\nstages {\n" +
		"stage('first') { steps { echo 'begin'\n" + sh("first1", 4) + "writeFile file: 'f.txt', text: 'of the first stage'\n} }\n" +
		"stage('second') { parallel {\n" + branch("a", "") + branch("b", v.extra) + branch("c", "") + "} }\n" +
		"stage('third') { steps {\n" + sh("third1", 4) + "echo readFile('f.txt')\n} }\n" +
		"}\npost { always {\n" + sh("post1", 2) + "echo \"ended ${currentBuild.currentResult}\"\n} }\n}\n"
}

// child is the job that the rich pipeline builds.
const child = "child"

func childPipeline(counter string) string {
	return "pipeline { agent any\n stages { stage('child') { steps {\n" + shell("child1", counter, 3) + "} } } }"
}

func richPipeline(counter string) string {
	sh := func(name string, lines int) string { return shell(name, counter, lines) }
	return `pipeline {
agent any
options { timeout(time: 5, unit: 'MINUTES') }
environment { GREETING = 'hello' }
stages {
stage('first') { steps {
  deleteDir()
  retry(3) { sh '''#!/bin/sh
echo again >> tries
echo first$(wc -l < tries) >> ` + counter + `
echo try $(wc -l < tries)
[ $(wc -l < tries) -ge 2 ]''' }
  writeFile file: 'd/kept.txt', text: "${GREETING} of the first stage"
  stash name: 'kept', includes: 'd/**'
  sleep(time: 150, unit: 'MILLISECONDS')
} }
stage('second') { parallel {
  stage('a') { agent any
    steps { unstash 'kept'
` + sh("a1", 4) + `
      echo readFile('d/kept.txt') } }
  stage('b') { steps { lock('shared') {
` + sh("b1", 4) + `} } }
  stage('c') { steps { timeout(time: 1, unit: 'MINUTES') {
` + sh("c1", 2) + `
      withEnv(['X=of the block']) { sh 'echo c2 >> ` + counter + `; echo $X' }
      catchError(buildResult: 'UNSTABLE', stageResult: 'FAILURE') { sh 'echo c3 >> ` + counter + `; exit 4' } } } }
} }
stage('third') { steps { script {
  def jobs = [:]
  for (n in ['x', 'y', 'z']) { def name = n
    jobs[name] = { sh "echo ${name}1 >> ` + counter + `; for i in 1 2 3; do echo ${name}1 line \$i; sleep 0.05; done" } }
  parallel jobs
  def b = build(job: '` + child + `')
  echo "child ended ${b.result}"
  def code = sh(returnStatus: true, script: 'echo third1 >> ` + counter + `; exit 7')
  echo "code ${code}, ${fileExists('d/kept.txt')}"
  archiveArtifacts 'd/*.txt'
} } }
}
post { always { echo "ended ${currentBuild.currentResult}"
` + sh("post1", 2) + `} }
}
`
}

// scriptedPipeline has a timeout that passes, errors that are caught, and branches of a loop.
func scriptedPipeline(counter string) string {
	sh := func(name string, lines int) string { return shell(name, counter, lines) }
	return `def said = []
def helper(name) { echo "helper of ${name}"; return name.toUpperCase() }
node {
  stage('first') {
    try {
      timeout(time: 4, unit: 'SECONDS') { sh 'echo late1 >> ` + counter + `; sleep 60; echo never >> ` + counter + `' }
    } catch (e) { echo 'it was late' }
` + sh("first1", 2) + `
  }
  stage('second') {
    def branches = [:]
    for (int i = 0; i < 3; i++) {
      def name = ['a', 'b', 'c'][i]
      branches[name] = {
        for (int n = 1; n <= 2; n++) {
          sh "echo ${name}${n} >> ` + counter + `; for i in 1 2 3; do echo ${name}${n} line \$i; sleep 0.05; done"
        }
        said << helper(name)
      }
    }
    parallel branches
    echo "said ${said.sort()}"
  }
  stage('third') {
    def n = 0
    waitUntil(initialRecurrencePeriod: 50) { n++; return n >= 3 }
    try {
      sh 'echo third1 >> ` + counter + `; exit 2'
    } catch (e) {
      echo "caught ${e.message}"
    } finally {
` + sh("third2", 3) + `
    }
    def started = currentBuild.startTimeInMillis
    echo "${n} times, ${System.currentTimeMillis() >= started}"
  }
}
`
}

// ran are the names that the scripts of an undisturbed build write into the counter's file.
func (v variant) ran() []string {
	switch {
	case v.rich:
		return []string{"a1", "b1", "c1", "c2", "c3", "child1", "first1", "first2", "post1", "third1", "x1", "y1", "z1"}
	case v.scripted:
		return []string{"a1", "a2", "b1", "b2", "c1", "c2", "first1", "late1", "third1", "third2"}
	case v.want == "FAILURE":
		return []string{"a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3", "first1", "post1"}
	default:
		return []string{"a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3", "first1", "post1", "third1"}
	}
}

// trace is all that can be seen of a build and is the same in every run of it.
type trace struct {
	Result string
	// Lines are those of the log, sorted, as branches take turns at random.
	Lines []string
	// Nodes are the stages, Logs what each of them wrote, by name; Steps are the steps of each with their logs.
	Nodes []node
	Logs  map[string]string
	Steps map[string][]stepTrace
}

type node struct {
	ID, DisplayName, Type, State, Result, FirstParent string
	Edges                                             []struct{ ID string }
}

type stepTrace struct{ DisplayName, DisplayDescription, State, Result, Log string }

const blue = "/blue/rest/organizations/jenkins/pipelines/%s/runs/%d/"

// ownLine is a line that a script writes once.
var ownLine = regexp.MustCompile(`^\w+ line \d+\n$`)

// numbers of builds are others in each run.
var numbers = regexp.MustCompile(`#\d+`)

// trace reads what there is of an ended build.
func (d *daemon) trace(job string, number int) (trace, string) {
	d.Helper()
	must := func(err error) {
		d.Helper()
		if err != nil {
			d.Fatal(err)
		}
	}
	base := fmt.Sprintf(blue, job, number)
	tr := trace{Result: d.ended(job, number), Logs: map[string]string{}, Steps: map[string][]stepTrace{}}
	log, err := d.get(fmt.Sprintf("/job/%s/%d/consoleText", job, number))
	must(err)
	tr.Lines = slices.Sorted(strings.Lines(numbers.ReplaceAllString(string(log), "#N")))
	must(d.getJSON(base+"nodes/?limit=1000", &tr.Nodes))
	for _, n := range tr.Nodes {
		text, err := d.get(base + "nodes/" + n.ID + "/log/")
		must(err)
		tr.Logs[n.DisplayName] = numbers.ReplaceAllString(string(text), "#N")
		var steps []struct {
			stepTrace
			ID string
		}
		must(d.getJSON(base+"nodes/"+n.ID+"/steps/?limit=1000", &steps))
		for _, s := range steps {
			text, err := d.get(base + "steps/" + s.ID + "/log/")
			if !isStatus(err, 404) {
				must(err)
			}
			s.Log = numbers.ReplaceAllString(string(text), "#N")
			tr.Steps[n.DisplayName] = append(tr.Steps[n.DisplayName], s.stepTrace)
		}
	}
	// The stages around branches have what those did, in whatever order.
	for _, name := range []string{"second", "third"} {
		tr.Logs[name] = strings.Join(slices.Sorted(strings.Lines(tr.Logs[name])), "")
		slices.SortFunc(tr.Steps[name], func(a, b stepTrace) int {
			return strings.Compare(a.DisplayDescription+a.Log, b.DisplayDescription+b.Log)
		})
	}
	return tr, string(log)
}

// number is an environment variable that is a number.
func number(t *testing.T, name string, unset int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return unset
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("$%s: %v", name, err)
	}
	return n
}

// TestKill kills the server at random moments of a build with three stages and parallel branches, starts it again,
// and wants all to be as if nothing had happened. SLIPWAY_KILLS is how many builds are disturbed, SLIPWAY_SEED
// repeats the moments of a former run.
func TestKill(t *testing.T) {
	kills := number(t, "SLIPWAY_KILLS", 6)
	seed := number(t, "SLIPWAY_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Logf("SLIPWAY_KILLS=%d SLIPWAY_SEED=%d", kills, seed)
	k := &killer{daemon: newDaemon(t), rand: rand.New(rand.NewPCG(uint64(seed), 0)), next: map[string]int{},
		calm: map[string]trace{}, took: map[string]time.Duration{}}
	k.counter = filepath.Join(t.TempDir(), "counter")
	k.start()
	k.job(child, childPipeline(k.counter))
	for _, v := range variants {
		k.job(v.job, v.pipeline(k.counter))
		k.undisturbed(v)
	}
	for i := range kills {
		v := variants[order[i%len(order)]]
		moments := []float64{k.rand.Float64()}
		if i%3 == 1 {
			moments = append(moments, k.rand.Float64())
		}
		t.Run(fmt.Sprintf("%02d %s", i, v.job), func(t *testing.T) {
			outer := k.TB
			k.TB = t
			defer func() { k.TB = outer }()
			k.disturbed(v, moments, i%7 == 3)
		})
	}
}

// killer is a server that is killed.
type killer struct {
	*daemon
	rand    *rand.Rand
	counter string
	// next is the number of a job's next build, calm its undisturbed build, took how long that took.
	next map[string]int
	calm map[string]trace
	took map[string]time.Duration
}

// begin starts a build and returns its number.
func (k *killer) begin(v variant) int {
	k.Helper()
	if err := os.WriteFile(k.counter, nil, 0o600); err != nil {
		k.Fatal(err)
	}
	k.next[v.job]++
	k.build(v.job)
	return k.next[v.job]
}

// undisturbed has two builds run in peace: what differs between them cannot be compared later.
func (k *killer) undisturbed(v variant) {
	k.Helper()
	if v.abort {
		k.took[v.job] = k.took[variants[0].job]
		return
	}
	var traces []trace
	for range 2 {
		began := time.Now()
		n := k.begin(v)
		f := k.follow(v.job, n, nil)
		k.ended(v.job, n)
		k.took[v.job] = max(k.took[v.job], time.Since(began))
		tr, log := k.trace(v.job, n)
		traces = append(traces, tr)
		if tr.Result != v.want {
			k.Fatalf("an undisturbed build of %s ends %s, want %s:\n%s", v.job, tr.Result, v.want, log)
		}
		k.checkFollower(f, log)
	}
	if diff := cmp.Diff(traces[0], traces[1]); diff != "" {
		k.Fatalf("two undisturbed builds of %s differ (-first +second):\n%s", v.job, diff)
	}
	k.checkCounter(v)
	k.calm[v.job] = traces[0]
	k.Logf("an undisturbed build of %s takes %s and has %d lines", v.job, k.took[v.job].Round(time.Millisecond), len(traces[0].Lines))
}

// disturbed has a build whose server is killed at these parts of the time that it takes; gently by TERM.
func (k *killer) disturbed(v variant, moments []float64, gently bool) {
	k.Helper()
	began := time.Now()
	n := k.begin(v)
	f := k.follow(v.job, n, nil)
	at := func(part float64) time.Duration { return time.Duration(part * float64(k.took[v.job])) }
	if v.abort {
		time.Sleep(at(moments[0]) * 9 / 10)
		k.wait("the build has begun", time.Millisecond, func() (bool, error) {
			return k.post(fmt.Sprintf("/job/%s/%d/stop", v.job, n), "", "") == nil, nil
		})
		// So soon that the abort is often not done yet.
		time.Sleep(time.Duration(k.rand.Int64N(int64(100 * time.Millisecond))))
	} else {
		time.Sleep(at(moments[0]))
	}
	k.Logf("killed %s after the start of %s #%d, gently: %v", time.Since(began).Round(time.Millisecond), v.job, n, gently)
	if gently {
		k.terminate()
	}
	k.kill()
	for _, part := range moments[1:] {
		k.fork()
		// It may not even serve yet.
		pause := at(part * part * 0.8)
		time.Sleep(pause)
		k.kill()
		k.Logf("killed again %s after its start", pause.Round(time.Millisecond))
	}
	k.start()
	got, log := k.trace(v.job, n)
	k.checkFollower(f, log)
	k.checkCounter(v)
	if v.abort {
		if got.Result != v.want && !strings.Contains(log, "ended SUCCESS") {
			k.Errorf("the aborted build ended %s, want %s", got.Result, v.want)
		}
		for i, line := range got.Lines {
			if i > 0 && line == got.Lines[i-1] && ownLine.MatchString(line) {
				k.Errorf("the log has a line twice: %s", line)
			}
		}
	} else if diff := cmp.Diff(k.calm[v.job], got); diff != "" {
		k.Errorf("it differs from an undisturbed build (-undisturbed +disturbed):\n%s", diff)
	}
	k.checkLeft()
	if k.Failed() {
		k.Logf("log of %s #%d:\n%s", v.job, n, log)
	}
}

// checkFollower wants that the follower has seen the log as it is.
func (k *killer) checkFollower(f *follower, log string) {
	k.Helper()
	select {
	case err := <-f.done:
		if err != nil {
			k.Errorf("follower: %v", err)
		}
	case <-time.After(patience):
		close(f.stop)
		k.Errorf("follower: %v", <-f.done)
	}
	if diff := cmp.Diff(log, f.body.String()); diff != "" {
		k.Errorf("the follower saw another log (-log +follower):\n%s", diff)
	}
}

// checkCounter wants each sh of the pipeline to have run once; those of an aborted build at most once.
func (k *killer) checkCounter(v variant) {
	k.Helper()
	data, err := os.ReadFile(k.counter)
	if err != nil {
		k.Fatal(err)
	}
	got := strings.Fields(string(data))
	slices.Sort(got)
	if v.abort {
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			k.Errorf("a script ran twice: %v", got)
		}
		return
	}
	want := v.ran()
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("scripts did not run exactly once (-want +got):\n%s", diff)
	}
}

// checkLeft wants no agent to be left.
func (k *killer) checkLeft() {
	k.Helper()
	entries, err := os.ReadDir(filepath.Join(k.state, "agents", "agents"))
	if err != nil || len(entries) > 0 {
		k.Errorf("%d agents are left behind the build (%v)", len(entries), err)
	}
}
