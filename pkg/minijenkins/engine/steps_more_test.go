// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stepCase is one Jenkinsfile with what its log must and must not have.
type stepCase struct {
	reason string
	src    string
	change func(*testRun)
	result Result
	want   []string
	absent []string
}

func runCases(t *testing.T, cases map[string]stepCase) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, tc.src)
			r.spec.Stashes = &memStashes{}
			if tc.change != nil {
				tc.change(r)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			result, err := r.run(ctx)
			log := r.mem.text()
			if result != tc.result {
				t.Errorf("%s: result %s (%v), want %s\n%s", tc.reason, result, err, tc.result, log)
			}
			for _, w := range tc.want {
				if !strings.Contains(log, w) {
					t.Errorf("%s: the log lacks %q:\n%s", tc.reason, w, log)
				}
			}
			for _, w := range tc.absent {
				if strings.Contains(log, w) {
					t.Errorf("%s: the log has %q:\n%s", tc.reason, w, log)
				}
			}
		})
	}
}

func TestStash(t *testing.T) {
	runCases(t, map[string]stepCase{
		"BetweenAgents": {
			reason: "Files, odd names and the right to execute go from the agent of one stage to that of another",
			src: `pipeline { agent none
 stages { stage('a') { agent any
 steps {
  sh 'mkdir -p out/deep .git; printf data > "out/deep/odd -name $ ü.txt"; printf "#!/bin/sh\necho ran\n" > out/tool; chmod +x out/tool; echo x > .git/config; echo no > out/skip.log'
  stash name: 'bin', includes: 'out/**,.git/**', excludes: '**/*.log' } }
 stage('b') { agent any
 steps { dir('in') { unstash 'bin'
  sh './out/tool; cat out/deep/*; ls -A . out' } } } } }`,
			result: ResultSuccess,
			want:   []string{"Stashed 2 file(s)\n", "\nran\n", "data"},
			absent: []string{"skip.log\n+", "config\n"},
		},
		"GitOnRequest": {
			reason: "useDefaultExcludes false takes the files of version control too",
			src:    stages("sh 'mkdir .git; echo x > .git/config'\n stash name: 'all', useDefaultExcludes: false"),
			result: ResultSuccess, want: []string{"Stashed 1 file(s)"},
		},
		"Replaced": {
			reason: "A second stash of the same name takes the place of the first",
			src:    stages("sh 'echo one > a'\n stash 'x'\n sh 'echo two > a'\n stash 'x'\n deleteDir()\n unstash 'x'\n sh 'cat a'"),
			result: ResultSuccess, want: []string{"+ cat a\ntwo\n"},
		},
		"Empty": {
			reason: "A stash without files is an error", src: stages("stash 'x'"),
			result: ResultFailure, want: []string{"ERROR: No files included in stash ‘x’"},
		},
		"EmptyAllowed": {
			reason: "unless it is allowed", src: stages("stash name: 'x', allowEmpty: true\n unstash 'x'\n echo 'end'"),
			result: ResultSuccess, want: []string{"Stashed 0 file(s)", "end"},
		},
		"Missing": {
			reason: "A stash that nobody made", src: stages("unstash 'nosuch'"),
			result: ResultFailure, want: []string{"ERROR: No such saved stash ‘nosuch’"},
		},
		"BadName": {
			reason: "A name that is a path", src: stages("script { def n = '../x'\n stash name: n, allowEmpty: true }"),
			result: ResultFailure, want: []string{"‘../x’ is no usable name of a stash"},
		},
		"TooBig": {
			reason: "The server's refusal is the step's error", src: stages("sh 'echo x > f'\n stash 'x'"),
			change: func(r *testRun) { r.spec.Stashes = &memStashes{fail: errors.New("more than 5 bytes")} },
			result: ResultFailure, want: []string{"could not be kept: more than 5 bytes"},
		},
		"None": {
			reason: "A server without stashes", src: stages("stash name: 'x', allowEmpty: true"),
			change: func(r *testRun) { r.spec.Stashes = nil },
			result: ResultFailure, want: []string{"This server keeps no stashes"},
		},
	})
}

func TestMatrix(t *testing.T) {
	runCases(t, map[string]stepCase{
		"Cells": {
			reason: "Each cell has its axes as variables, in agent, when and environment too; excludes and their notValues hold",
			src: `pipeline { agent none
 stages { stage('m') { matrix {
  agent { label "${OS == 'linux' ? 'linux' : 'linux'}" }
  axes { axis { name 'OS'; values 'linux', 'windows', 'mac' }
   axis { name 'ARCH'; values '32', '64' } }
  excludes { exclude { axis { name 'OS'; values 'mac' }
    axis { name 'ARCH'; values '32' } }
   exclude { axis { name 'OS'; notValues 'linux', 'mac' }
    axis { name 'ARCH'; values '64' } } }
  when { not { environment name: 'OS', value: 'windows' } }
  environment { PAIR = "${OS}-${ARCH}" }
  stages { stage('build') { steps { sh 'echo cell=$PAIR/$STAGE_NAME' } }
   stage('test') { when { environment name: 'ARCH', value: '64' }
    steps { echo "test ${PAIR}" } } }
  post { always { echo "post ${PAIR}" } } } }
 stage('after') { steps { echo 'after' } } } }`,
			result: ResultSuccess,
			want: []string{
				"[Pipeline] { (Branch: Matrix - OS = 'linux', ARCH = '32')\n[Pipeline] { (Branch: Matrix - OS = 'windows', ARCH = '32')\n[Pipeline] { (Branch: Matrix - OS = 'linux', ARCH = '64')\n[Pipeline] { (Branch: Matrix - OS = 'mac', ARCH = '64')\n[Pipeline] stage\n",
				"[Pipeline] { (Matrix - OS = 'linux', ARCH = '32')\n",
				"cell=linux-32/build\n", "cell=linux-64/build\n", "cell=mac-64/build\n", "test linux-64\n", "test mac-64\n", "post mac-64\n", "after\n",
				`Stage "Matrix - OS = 'windows', ARCH = '32'" skipped due to when conditional`,
			},
			absent: []string{"cell=windows", "test linux-32", "ARCH = '32')\n[Pipeline] { (Branch: Matrix - OS = 'mac', ARCH = '32'"},
		},
		"FailFast": {
			reason: "failFast ends the other cells",
			src: `pipeline { agent any
 stages { stage('m') { failFast true
 matrix { axes { axis { name 'A'; values 'bad', 'slow' } }
  stages { stage('s') { steps { sh 'if [ $A = bad ]; then exit 1; fi; sleep 20' } } } } } } }`,
			result: ResultFailure, want: []string{"Failed in branch Matrix - A = 'bad'"},
		},
		"Skipped": {
			reason: "After a failure the cells are gone through without being run",
			src: `pipeline { agent any
 stages { stage('a') { steps { error 'no' } }
 stage('m') { matrix { axes { axis { name 'A'; values 'x', 'y' } }
  stages { stage('s') { steps { echo 'never' } } } } } } }`,
			result: ResultFailure, want: []string{`Stage "Matrix - A = 'x'" skipped due to earlier failure(s)`}, absent: []string{"never"},
		},
	})
	r := newRun(t, `pipeline { agent any
 stages { stage('m') { matrix { axes { axis { name 'A'; values 'x', 'y' } }
  stages { stage('s') { steps { echo 'hi' } } } } } } }`)
	if res, err := r.run(context.Background()); res != ResultSuccess {
		t.Fatalf("%s: %v", res, err)
	}
	outer, got := r.mem.node("m"), []string{}
	for _, id := range outer.Edges {
		n := r.mem.nodes[id]
		got = append(got, n.Type+" "+n.DisplayName+" "+string(n.Result))
	}
	if d := cmp.Diff([]string{"PARALLEL Matrix - A = 'x' SUCCESS", "PARALLEL Matrix - A = 'y' SUCCESS"}, got); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
}

func TestCheckMatrixSize(t *testing.T) {
	values := strings.Repeat("'1', ", 39) + "'1'"
	src := "pipeline { agent any\n stages { stage('m') { matrix { axes { axis { name 'A'; values " + values + " }\n axis { name 'B'; values " + values +
		" } }\n stages { stage('s') { steps { echo '1' } } } } } } }"
	err := Check(mustParse(t, src), nil)
	if err == nil || !strings.Contains(err.Error(), "WorkflowScript: 2: a matrix of more than 512 cells") {
		t.Errorf("got %v", err)
	}
}

func TestLock(t *testing.T) {
	runCases(t, map[string]stepCase{
		"Free": {
			reason: "A free lock is taken and given back; its variable names it",
			src:    stages("lock(resource: 'deploy', quantity: 1, variable: 'L') { sh 'echo held=$L,$L0' }"),
			result: ResultSuccess,
			want: []string{"[Pipeline] lock\nTrying to acquire lock on [Resource: deploy]\nLock acquired on [Resource: deploy]\n[Pipeline] {\n",
				"held=deploy,deploy", "[Pipeline] }\nLock released on resource [Resource: deploy]\n[Pipeline] // lock\n"},
		},
		"Option": {
			reason: "The option lock holds the stage in it, and a failure gives it back",
			src: `pipeline { agent any
 options { lock('all') }
 stages { stage('a') { options { lock(resource: 'one') }
 steps { error 'x' } } } }`,
			result: ResultFailure, want: []string{"Lock acquired on [Resource: all]", "Lock released on resource [Resource: one]", "Lock released on resource [Resource: all]"},
		},
		"Itself": {
			reason: "A build that would wait for itself is told so", src: stages("lock('x') { lock(resource: 'y', extra: [[resource: 'x']]) { echo 'in' } }"),
			result: ResultFailure, want: []string{"ERROR: lock: this build holds [Resource: x] here already"}, absent: []string{"\nin\n"},
		},
		"Branches": {
			reason: "Branches of one build exclude each other",
			src: `pipeline { agent any
 stages { stage('p') { parallel {
  stage('a') { steps { lock('x') { sh 'test ! -e busy; touch busy; sleep 0.2; rm busy' } } }
  stage('b') { steps { lock('x') { sh 'test ! -e busy; touch busy; sleep 0.2; rm busy' } } } } } } }`,
			result: ResultSuccess, want: []string{"[Resource: x] is locked by build team » app #7, waiting for execution..."},
		},
		"NoName": {
			reason: "A lock needs a name", src: stages("lock(resource: ' ') { echo 'in' }"),
			result: ResultFailure, want: []string{"lock needs a resource with a name"},
		},
		"Quantity": {
			reason: "More than one of a resource is refused by name", src: stages("lock(resource: 'x', quantity: 2) { echo 'in' }"),
			result: ResultFailure, want: []string{"quantity 2 of 1 resource(s) is not supported"},
		},
		"SkipIfLocked": {
			reason: "skipIfLocked leaves the block out", src: stages("lock(resource: 'x', skipIfLocked: true) { echo 'in' }\n echo 'end'"),
			change: func(r *testRun) {
				locks := (&LockTable{}).Scope("t")
				if _, err := locks.Acquire(context.Background(), LockRequest{Names: []string{"x"}}, nil); err != nil {
					r.agents.t.Fatal(err)
				}
				r.spec.Locks = locks
			},
			result: ResultSuccess, want: []string{"is locked, skipping execution", "end\n"}, absent: []string{"\nin\n"},
		},
	})
}

func TestLockWaitIsShown(t *testing.T) {
	var table LockTable
	locks := table.Scope("team")
	release, err := locks.Acquire(context.Background(), LockRequest{Names: []string{"db"}, Holder: "team » other #3"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Scope("elsewhere").Acquire(context.Background(), LockRequest{Names: []string{"db"}, NoWait: true}, nil); err != nil {
		t.Fatal("a lock of another tenant is another lock")
	}
	r := newRun(t, stages("lock('db') { echo 'mine' }"))
	r.spec.Locks = locks
	var once sync.Once
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "[Resource: db] is locked by build team » other #3, waiting") {
			once.Do(func() {
				if n := r.mem.node("s"); n.State != StateQueued || !strings.Contains(n.CauseOfBlockage, "[Resource: db] is locked by build team » other #3") {
					t.Errorf("node %s %q", n.State, n.CauseOfBlockage)
				}
				release()
			})
		}
	}
	if res, err := r.run(context.Background()); res != ResultSuccess {
		t.Fatalf("%s: %v\n%s", res, err, r.mem.text())
	}
	for _, s := range r.mem.steps {
		if s.DisplayName == "Lock shared resource" {
			if d := cmp.Diff([]any{"db: locked by team » other #3", StateFinished, ResultSuccess}, []any{s.DisplayDescription, s.State, s.Result}); d != "" {
				t.Errorf("step (-want +got):\n%s", d)
			}
			return
		}
	}
	t.Error("the wait is no step")
}

func TestLockAborted(t *testing.T) {
	locks := (&LockTable{}).Scope("")
	release, _ := locks.Acquire(context.Background(), LockRequest{Names: []string{"db"}, Holder: "x"}, nil)
	r := newRun(t, stages("lock('db') { echo 'mine' }"))
	r.spec.Locks = locks
	ctx, cancel := context.WithCancelCause(context.Background())
	r.mem.onLog = func(log string) {
		if strings.Contains(log, "waiting for execution") {
			cancel(&AbortError{User: "ann"})
		}
	}
	if res, _ := r.run(ctx); res != ResultAborted || strings.Contains(r.mem.text(), "\nmine\n") {
		t.Errorf("%s\n%s", res, r.mem.text())
	}
	release()
	if again, err := locks.Acquire(context.Background(), LockRequest{Names: []string{"db"}, NoWait: true}, nil); again == nil || err != nil {
		t.Error("who gave up still waits for the lock")
	}
}

func TestLockTableOrder(t *testing.T) {
	locks := (&LockTable{}).Scope("")
	ctx := context.Background()
	release, _ := locks.Acquire(ctx, LockRequest{Names: []string{"a"}, Holder: "0"}, nil)
	order := make(chan string, 4)
	wait := func(holder string, first bool, names ...string) {
		queued := make(chan struct{})
		once := sync.OnceFunc(func() { close(queued) })
		go func() {
			free, err := locks.Acquire(ctx, LockRequest{Names: names, Holder: holder, First: first}, func(string, string) { once() })
			if err == nil {
				order <- holder
				free()
			}
		}()
		<-queued
	}
	wait("1", false, "a", "b")
	// b is free, but 1 waits for both and must not be overtaken for ever.
	wait("2", false, "b")
	wait("3", false, "a")
	wait("4", true, "a")
	release()
	got := []string{<-order, <-order, <-order, <-order}
	if got[0] != "4" || got[1] != "1" {
		t.Errorf("order %v, want 4 and 1 first", got)
	}
}

func TestMaskURL(t *testing.T) {
	const token = "ghp_0123456789abcdef0123"
	for address, want := range map[string]string{
		"https://bob:hunter2@host/r.git":              "https://bob:****@host/r.git",
		"https://" + token + "@host/r.git":            "https://****@host/r.git",
		"https://" + token + ":x-oauth-basic@host/r":  "https://****:****@host/r",
		"https://x-access-token:" + token + "@host/r": "https://x-access-token:****@host/r",
		"ssh://git@host/r.git":                        "ssh://git@host/r.git",
		"https://host/" + token:                       "https://host/" + token,
	} {
		b := &build{}
		b.maskURL(address)
		if got := b.masks.apply(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
