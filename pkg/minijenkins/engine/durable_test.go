// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// durablePipelines are run, killed and gone on with.
var durablePipelines = map[string]struct {
	src        string
	result     Result
	sequential bool
	// abort is when somebody aborts the build, 0 for never.
	abort time.Duration
}{
	"Sequential": {sequential: true, result: ResultFailure, src: `pipeline { agent any
 environment { A = 'x'; B = "${FROM_AGENT}" }
 stages {
  stage('one') { steps {
   echo 'hello'; sh 'make partial'
   script { def v = sh(script: 'get', returnStdout: true).trim(); echo "got ${v} ${env.B}"; currentBuild.displayName = v; echo "code ${sh(script: 'exit 4', returnStatus: true)}" } } }
  stage('two') { steps { dir('sub') { writeFile file: 'a.txt', text: 'content'; echo readFile('a.txt'); echo "there ${fileExists('a.txt')} ${fileExists('b.txt')}" }
   archiveArtifacts artifacts: 'sub/*.txt'; readFile 'nosuch' } }
  stage('three') { steps { echo 'never' } } }
 post { always { sh 'clean up' }
 failure { echo 'bad' } } }`},
	"Parallel": {result: ResultSuccess, src: `pipeline { agent any
 stages { stage('p') { parallel {
  stage('a') { steps { sh 'a 1'; echo 'a'; sh 'a 2 partial'; echo 'aa'; sh 'a 3' } }
  stage('b') { steps { sh 'b 1'; echo 'b'; sh 'b 2'; echo 'bb' } }
  stage('c') { agent any
   steps { sh 'c 1'; sh 'c 2'; echo "c ${env.FROM_AGENT}"; sh 'c 3' } } } }
  stage('end') { steps { sh 'end' } } } }`},
	"Nested": {result: ResultFailure, src: stages(`script { parallel(
  x: { stage('in x') { sh 'x 1'; parallel(x1: { sh 'x11'; echo 'x11' }, x2: { sh 'x21'; sh 'x22 exit 3' }) } },
  y: { sh 'y 1'; stage('in y') { parallel(y1: { sh 'y11' }, y2: { echo 'y2'; sh 'y21' }) }; sh 'y 2' }) }`)},
	"Shared": {result: ResultSuccess, src: stages(`script {
  def seen = []; def n = 0; def jobs = [:]
  for (x in ['a', 'b', 'c']) { def name = x; jobs[name] = { for (int i = 0; i < 3; i++) { n++; def mine = n; sh "${name} ${i}"; seen << "${name}${i}/${mine}"; echo "${seen.size()} ${n}" } } }
  parallel jobs
  echo seen.join(' ') }`)},
	"Pods": {result: ResultSuccess, src: `pipeline { agent none
 stages { stage('p') { parallel {
  stage('a') { agent { kubernetes { defaultContainer 'c'; yaml 'spec: {}'; retries 2 } }
   steps { sh 'a 1'; container('d') { sh 'a 2 partial'; echo "d ${env.FROM_AGENT}" } } }
  stage('b') { steps { script { podTemplate(inheritFrom: 'x') { node(POD_LABEL) { sh 'b 1'; container('e') { sh 'b 2' }; echo "in ${POD_LABEL}" } } } } } } } } }`},
	"Retry": {sequential: true, result: ResultSuccess, src: stages("retry(4) { sh 'flaky 2'; echo 'through' }")},
	"Timeout": {sequential: true, result: ResultSuccess, src: stages(`script { try { timeout(time: 5, unit: 'SECONDS') { sh 'takes 100 partial' } } catch (e) { echo "caught ${e}" } }
  timeout(time: 1, unit: 'HOURS') { sh 'quick' }
  catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS') { timeout(time: 3, unit: 'SECONDS') { retry(3) { sleep 60 } } }
  echo 'after'`)},
	"Abort": {result: ResultAborted, abort: 20 * time.Second, src: `pipeline { agent any
 stages { stage('p') { parallel {
  stage('a') { steps { sh 'takes 100' }
   post { aborted { sh 'a post' } } }
  stage('b') { steps { timeout(time: 1, unit: 'HOURS') { sh 'b takes 3'; sleep 1000 } } }
  stage('c') { steps { script { try { input 'go?'; sh 'takes 50' } finally { sh 'finally' } } } } } } }
 post { always { sh 'post'; echo 'end' } } }`},
	"FailFast": {result: ResultFailure, src: `pipeline { agent any
 stages { stage('p') { failFast true
  parallel { stage('slow') { steps { sh 'takes 100'; echo 'never' } }
   stage('bad') { steps { sh 'takes 2'; sh 'exit 9' } }
   stage('sleepy') { steps { sleep 500 } } } } }
 post { failure { sh 'sad' } } }`},
	"Catch": {sequential: true, result: ResultUnstable, src: stages(`catchError(message: 'well', buildResult: 'UNSTABLE', stageResult: 'FAILURE') { sh 'exit 1' }
  warnError('careful') { readFile 'nosuch' }
  unstable 'hm'
  script { try { sh 'exit 7' } catch (e) { echo "caught ${e.message}" } finally { sh 'last' } }`)},
	"Input": {sequential: true, result: ResultSuccess, src: `pipeline { agent none
 stages { stage('ask') { input { message 'sure?' }
   steps { echo 'yes' } }
  stage('script') { agent any
   steps { script { def a = input(message: 'which?', parameters: [string(name: 'TIER'), booleanParam(name: 'OK')]); echo "a ${a.TIER} ${a.OK}"; sh "deploy ${a.TIER}" } } } } }`},
	"Sleep": {result: ResultSuccess, src: `pipeline { agent any
 options { timestamps() }
 stages { stage('p') { parallel {
  stage('a') { steps { sleep 10; sh 'after 10'; sleep(time: 100, unit: 'MILLISECONDS') } }
  stage('b') { steps { sleep 7; echo 'b'; script { int i = 0; waitUntil { i++; sh "try ${i}"; return i == 3 } } } } } } } }`},
	"Secrets": {sequential: true, result: ResultSuccess, src: `pipeline { agent any
 environment { REG = credentials('reg') }
 stages { stage('s') { steps { sh 'login $REG_PSW'; echo "as ${REG}"
  withCredentials([usernamePassword(credentialsId: 'reg', usernameVariable: 'U', passwordVariable: 'P'), file(credentialsId: 'key', variable: 'F')]) { sh 'use $U $P $F'; echo "${P}" } } } } }`},
	"Locks": {result: ResultSuccess, src: `pipeline { agent any
 stages { stage('p') { parallel {
  stage('a') { steps { lock('l') { sh 'takes 20'; sh 'in a' } ; sh 'a' } }
  stage('b') { steps { sh 'takes 3'; lock(resource: 'l', variable: 'L') { sh 'in b $L' } } } } }
  stage('m') { steps { milestone 1; lock('l') { echo 'free' } } } } }`},
	"Clock": {sequential: true, result: ResultSuccess, src: stages(`sh 'a'
  echo "took #${currentBuild.duration}"
  script { sleep 3; echo "then # ${currentBuild.durationString}"; echo "at #${System.currentTimeMillis()}"; sh "b"; echo "u #${UUID.randomUUID()}"; echo "r #${Math.random()}"; sh 'b' }`)},
	"Library": {sequential: true, result: ResultSuccess, src: `library 'other@v2'
late()
standard(image: 'go', deploy: true, hook: { who -> sh "hook ${who}"; late() })
node { sh 'b'; writeFile file: 'x.txt', text: 'abc'; echo "h ${sha256('x.txt')} ${findFiles(glob: 'x.txt')[0].name} ${checkout([$class: 'GitSCM', userRemoteConfigs: [[url: 'https://git.example/x.git']]]).GIT_COMMIT}" }
echo "c ${currentBuild.changeSets[0].items[0].author} ${currentBuild.changeSets[0].items[0].timestamp}"`},
	"Downstream": {sequential: true, result: ResultSuccess, src: stages(`script { def b = build(job: 'other'); echo "${b.number} ${b.result} ${b.buildVariables}"; sh 'more'; build(job: 'third', wait: false); sh 'x' }`)},
}

// stopsScripts are the pipelines with scripts that are stopped. A power cut must not take lines of theirs: with
// them goes the knowledge where among the output the line about the interruption belongs.
var stopsScripts = map[string]bool{"Timeout": true, "Abort": true, "FailFast": true}

// undisturbed runs a pipeline to its end in one life.
func undisturbed(t *testing.T, name string, seed uint64) (*world, outcomeOf, time.Duration) {
	t.Helper()
	c := durablePipelines[name]
	w := newWorld(t, seed)
	begin := time.Now()
	if c.abort > 0 {
		w.abortAt = begin.Add(c.abort)
	}
	result, ended := w.run(&life{}, c.src, 0)
	if !ended || result != c.result {
		t.Fatalf("undisturbed: %s (ended %v), want %s\n%s", result, ended, c.result, w.whole())
	}
	return w, w.outcome(result, c.sequential), time.Since(begin)
}

// disturbed runs it in many lives.
func disturbed(w *world, name string, next func(w *world, n int) (*life, time.Duration), r *rand.Rand) (outcomeOf, int) {
	c := durablePipelines[name]
	if c.abort > 0 {
		w.abortAt = time.Now().Add(c.abort)
	}
	for n := 0; ; n++ {
		if n > 500 {
			w.t.Fatal("it does not end")
		}
		l, after := next(w, n)
		result, ended := w.run(l, c.src, after)
		if ended {
			return w.outcome(result, c.sequential), n
		}
		if !stopsScripts[name] {
			w.crash(r)
		}
	}
}

func compareRuns(t *testing.T, how string, w *world, want, got outcomeOf) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: differs (-undisturbed +gone on):\n%s\nlog:\n%s\nfree: %s", how, d, w.whole(), w.stream(freeLog))
	}
	for id, a := range w.agents {
		if a.released == 0 {
			t.Errorf("%s: the agent of %s was not released", how, id)
		}
	}
	if w.leaks() {
		t.Errorf("%s: a secret is in the history or the log", how)
	}
}

// TestDurable kills the server at each event, before and behind it, at random lines of the log and at random
// times, once and again and again: what the build did and showed is what it does undisturbed.
func TestDurable(t *testing.T) {
	seeds := []uint64{42, 7}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for name := range durablePipelines {
		t.Run(name, func(t *testing.T) {
			for _, seed := range seeds {
				synctest.Test(t, func(t *testing.T) { durableCase(t, name, seed) })
			}
		})
	}
}

func durableCase(t *testing.T, name string, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, seed))
	w, want, took := undisturbed(t, name, seed)
	appends, writes := w.appends, w.writes
	if strings.Contains(name, "Shared") && appends < 10 {
		t.Fatalf("only %d events", appends)
	}
	plain := newWorld(t, seed)
	if c := durablePipelines[name].abort; c > 0 {
		plain.abortAt = time.Now().Add(c)
	}
	result, _ := plain.run(&life{quiet: true, change: func(s *RunSpec) { s.History = nil }}, durablePipelines[name].src, 0)
	if len(plain.events) > 0 {
		t.Errorf("%d events without a history", len(plain.events))
	}
	compareRuns(t, "without a history", plain, want, plain.outcome(result, durablePipelines[name].sequential))
	lives := 0
	check := func(how string, next func(w *world, n int) (*life, time.Duration)) {
		w := newWorld(t, seed)
		got, n := disturbed(w, name, next, r)
		lives += n
		compareRuns(t, how, w, want, got)
	}
	for at := 1; at <= appends && !t.Failed(); at++ {
		for _, before := range []bool{true, false} {
			check("append "+itoa(at), func(_ *world, n int) (*life, time.Duration) {
				if n > 0 {
					return &life{}, 0
				}
				return &life{killAppend: at, before: before}, 0
			})
		}
	}
	for i := 0; i < 15 && !t.Failed(); i++ {
		at := 1 + r.IntN(writes)
		check("write "+itoa(at), func(_ *world, n int) (*life, time.Duration) {
			if n > 0 {
				return &life{}, 0
			}
			return &life{killWrite: at}, 0
		})
	}
	for i := 0; i < 10 && !t.Failed(); i++ {
		check("again and again", func(w *world, _ int) (*life, time.Duration) {
			return &life{killAppend: w.appends + 1 + r.IntN(4), before: r.IntN(4) == 0}, 0
		})
	}
	for i := 0; i < 15 && !t.Failed(); i++ {
		check("time", func(_ *world, n int) (*life, time.Duration) {
			if n > 3 {
				return &life{}, 0
			}
			return &life{}, time.Duration(r.Int64N(int64(took))) + 1
		})
	}
	t.Logf("seed %d: %d events, killed %d times", seed, appends, lives)
}
